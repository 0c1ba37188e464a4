"""Outputs to score: drawn classifiers, and masks with all that is counted of them."""

import numpy as np
from numpy_bins import bins_of
from sklearn.metrics import confusion_matrix

from foldwise.metrics.boundary import of_image
from foldwise.metrics.influence import Units
from foldwise.metrics.outputs import Outputs
from foldwise.metrics.pixel_bins import NUM_BINS

n = 120


def alone(count=n):
    return Units(np.arange(count), count, grouped=False)


def classifier(family, *, seed=0, folds=1):
    rng = np.random.default_rng(seed)
    K = {"binary": 2, "multiclass": 4, "multilabel": 5}[family]
    if family == "multilabel":
        truth = rng.random((n, K)) < 0.4
        probabilities = 1 / (1 + np.exp(-rng.normal(truth * 2.0 - 1, 1.5)))
    else:
        truth = np.eye(K, dtype=bool)[rng.integers(0, K, n)]
        powers = np.exp(rng.normal(truth * 1.5, 1))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
    return Outputs(family, np.arange(n), np.arange(n) % folds, truth, probabilities)


def segmented(*images):
    """A binary segmentation from (TP, FP, FN) per image, of 2000 pixels each."""
    confusion = np.array([[[2000 - tp - fp - fn, fp], [fn, tp]] for tp, fp, fn in images])
    count = len(images)
    return Outputs("segmentation", np.arange(count), np.zeros(count, dtype=int), confusion=confusion)


def pixels(seed=0, K=3, count=12, side=20):
    """Drawn masks, their truth and decisions (n, H x W), and probabilities (n, H x W, K)."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, K, (count, side * side))
    powers = np.exp(rng.normal(np.eye(K)[truth] * 1.5, 1))
    said = powers / powers.sum(axis=2, keepdims=True)
    return masks(truth, said), truth, said.argmax(axis=2), said


def masks(truth, said):
    """Outputs of a segmentation from truth (n, H x W) and probabilities (n, H x W, K) of square images."""
    count, num_pixels, K = said.shape
    side, chosen = int(num_pixels**0.5), said.argmax(axis=2)
    pairs = list(zip(truth, chosen, strict=True))
    histogram = np.zeros((count, K, 2, NUM_BINS), dtype=np.int64)
    place = bins_of(said)
    for i in range(count):
        for k in range(K):
            np.add.at(histogram[i, k], ((truth[i] == k).astype(int), place[i, :, k]), 1)
    true = np.take_along_axis(said, truth[..., None], axis=2)[..., 0].clip(1e-7)
    squares = [part.reshape(side, side).astype(np.uint8) for pair in pairs for part in pair]
    return Outputs(
        "segmentation",
        np.arange(count),
        np.arange(count) % 3,
        confusion=np.stack([confusion_matrix(*pair, labels=range(K)) for pair in pairs]),
        histogram=histogram,
        nsd=np.stack(
            [of_image(*pair, K, tolerance_px=0)[0] for pair in zip(squares[::2], squares[1::2], strict=True)]
        ),
        log_loss_sum=-np.log(true).sum(axis=1),
        brier_sum=((said - np.eye(K)[truth]) ** 2).sum(axis=(1, 2)),
    )


def drawn_truth(family, *, count=150):
    """Of a classification (n, K) bool; of a segmentation (n, H x W), where each image but a few lacks a class."""
    rng = np.random.default_rng(1)
    if family == "segmentation":
        truth = rng.integers(0, 3, (24, 64))
        lacking = 1 + np.arange(24) % 2
        lacking[20:] = 3
        return np.where(truth == lacking[:, None], 0, truth)
    if family == "multilabel":
        return rng.random((count, 4)) < 0.4
    K = 2 if family == "binary" else 4
    return np.eye(K, dtype=bool)[rng.integers(0, K, count)]


def outputs_with(family, truth, p):
    """Outputs in three folds, where the truth `truth` is given the probabilities `p`, of shape (..., K)."""
    if family == "segmentation":
        return masks(truth, p)
    return Outputs(family, np.arange(len(truth)), np.arange(len(truth)) % 3, truth, p)


def one_hot(family, truth):
    """(..., K) float, the truth as probabilities."""
    return np.eye(3)[truth] if family == "segmentation" else truth.astype(float)


def drawn_outputs(family):
    """Outputs that are mostly right."""
    truth = drawn_truth(family)
    hot = one_hot(family, truth)
    evidence = np.random.default_rng(2).normal(hot * 2.0 - 1, 1.2)
    if family == "segmentation":
        evidence[::3] = 9 * hot[::3]  # some images without a error
    if family == "multilabel":
        return outputs_with(family, truth, 1 / (1 + np.exp(-evidence)))
    powers = np.exp(evidence)
    return outputs_with(family, truth, powers / powers.sum(axis=-1, keepdims=True))
