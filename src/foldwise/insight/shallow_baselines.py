"""Shallow baselines: a classifier of pixels that learns from filters, judged on the same folds as the networks."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from foldwise.data.batches.normalize import WHITE
from foldwise.data.cache.packed import Packed
from foldwise.errors import DataError, choose
from foldwise.learning.job import Job
from foldwise.learning.options import bound
from foldwise.learning.training.scoring import pixel_counts
from foldwise.runs.leases import Beat
from foldwise.study.ranges import LearningRate, NumPixels, Trees, WeightAbove0
from foldwise.study.training import Choice

PIXELS = 20_000  # of the training part that a classifier learns from, where the study does not say
CHUNK = 2**16  # pixels that a classifier is asked about at a time
SIGMAS = (1.0, 2.0, 4.0, 8.0)  # pixels
# How far a feature sees: two filters of the largest sigma, each cut off at four sigma, and some.
REACH_PX = 80
STRIP_PIXELS = 2**18  # of an image whose features are held at a time: 32 numbers for each


def logistic_regression(seed: int, *, pixels: NumPixels = PIXELS, c: WeightAbove0 = 1.0) -> BaseEstimator:
    """Multinomial logistic regression on scaled features.

    Args:
        c: the inverse of the weight of the penalty.
    """
    regression = LogisticRegression(C=c, max_iter=1000, random_state=seed)
    return make_pipeline(StandardScaler(), regression)


def random_forest(
    seed: int, *, pixels: NumPixels = PIXELS, trees: Trees = 100, leaf: NumPixels = 5
) -> BaseEstimator:
    """A random forest.

    Args:
        leaf: the fewest pixels of a leaf; more give smoother probabilities.
    """
    # One thread, as an item has: how many workers there are is for the launcher to say.
    return RandomForestClassifier(n_estimators=trees, min_samples_leaf=leaf, n_jobs=1, random_state=seed)


def boosted_trees(
    seed: int, *, pixels: NumPixels = PIXELS, trees: Trees = 100, lr: LearningRate = 0.1
) -> BaseEstimator:
    """Gradient-boosted trees on binned features.

    Args:
        trees: rounds; each adds one tree a class.
        lr: how much of each tree is taken.
    """
    # No early stopping: it would hold out pixels of the very images it learns from, and they are no test of new ones.
    return HistGradientBoostingClassifier(
        max_iter=trees, learning_rate=lr, early_stopping=False, random_state=seed
    )


BASELINES: dict[str, Callable[..., BaseEstimator]] = {
    "logistic_regression": logistic_regression,
    "random_forest": random_forest,
    "boosted_trees": boosted_trees,
}


def check_baseline(baseline: Choice) -> dict[str, Any]:
    """The options of a baseline, checked; SpecError for a name or an option there is not."""
    return bound(choose(BASELINES, baseline.name, "baseline"), baseline, "baseline")


def shallow_item(job: Job) -> dict[str, Any]:
    """Learn from pixels of the training part, predict the test fold; the content of ``result.json``.

    Args:
        job: its settings are ``baseline`` (a choice), ``seed``, task, repeat, fold; its scratch folder gets
            ``scores.npz`` and ``predictions.npz`` as a fit leaves them. The validation part is left alone, as nothing
            is chosen.

    Raises:
        DataError: all training pixels are of one class.
    """
    settings, packed, split = job.settings, job.packed, job.split
    baseline = Choice.model_validate(settings["baseline"])
    options = check_baseline(baseline)
    seed = settings["seed"] % 2**32  # what scikit-learn takes
    with threadpool_limits(limits=1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        began = time.perf_counter()
        job.beat({"doing": "features of the training pixels"})
        features, classes = sample(packed, split.train, options.get("pixels", PIXELS), seed)
        if len(np.unique(classes)) < 2:
            cure = "Leave the baseline out, or add images of another class."
            raise DataError(
                "all training pixels are of one class, so there is nothing to tell apart", cure=cure
            )
        job.beat({"doing": "learning"})
        model = BASELINES[baseline.name](seed, **options)
        model.fit(features, classes)
        trained = time.perf_counter()
        _predict(model, packed, split.test, job.scratch, job.beat)
    seconds = time.perf_counter() - trained
    return {
        "baseline": str(baseline),
        "pixels": len(classes),
        "cost": {"train_s": trained - began, "evaluate_s": seconds, "device": "cpu", "threads": 1},
        "warnings": list(dict.fromkeys(str(warning.message).split("\n", 1)[0] for warning in caught)),
    }


def sample(packed: Packed, cases: np.ndarray, pixels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, F) and classes (n,) of about `pixels` random pixels of these cases that count.

    Each class has the share of the sample that it has of all pixels, but at least one where it is there at all. Which
    pixels they are depends on `seed` only.
    """
    # Counts are known without opening an image, so pixels are drawn by rank and each image is opened once.
    counts_nK = np.array([packed.measures[case].class_pixels for case in cases], np.int64)
    wanted_K = _shares(counts_nK.sum(0), pixels)
    drawn = np.random.default_rng(seed)
    ranks = [
        np.sort(drawn.choice(total, want, replace=False))
        for total, want in zip(counts_nK.sum(0).tolist(), wanted_K.tolist(), strict=True)
    ]
    before_nK = np.cumsum(counts_nK, 0) - counts_nK
    features, classes = [], []
    for row, case in enumerate(cases):
        target = packed.target(int(case)).ravel()
        drawn_here = []
        for k, rank in enumerate(ranks):
            first, last = before_nK[row, k], before_nK[row, k] + counts_nK[row, k]
            here = rank[(rank >= first) & (rank < last)] - first
            drawn_here.append(np.flatnonzero(target == k)[here])
        places = np.sort(np.concatenate(drawn_here))
        if len(places):
            features.append(_at(packed, int(case), places))
            classes.append(target[places])
    return np.concatenate(features), np.concatenate(classes)


def _shares(total_K: np.ndarray, pixels: int) -> np.ndarray:
    """How many pixels of each class are drawn: in proportion, none more than there are."""
    want = np.rint(total_K / max(total_K.sum(), 1) * min(pixels, total_K.sum())).astype(np.int64)
    return np.minimum(np.where(total_K > 0, np.maximum(want, 1), 0), total_K)


def _at(packed: Packed, case: int, places: np.ndarray) -> np.ndarray:
    """Features (n, F) of the pixels at `places`, ascending, counted row by row."""
    # Strip by strip, as features of a whole large image would need 32 numbers for each of its pixels.
    width = int(packed.shapes[case][1])
    parts = []
    for rows, features in strips(_lit(packed, case)):
        inside = places[(places >= rows.start * width) & (places < rows.stop * width)] - rows.start * width
        parts.append(features.reshape(-1, features.shape[2])[inside])
    return np.concatenate(parts)


def _lit(packed: Packed, case: int) -> np.ndarray:
    """The image (C, H, W) float32 in parts of full brightness."""
    return packed.image(case).astype(np.float32) / np.float32(WHITE[str(packed.dtype)])


def _predict(model: BaseEstimator, packed: Packed, cases: np.ndarray, scratch: Path, beat: Beat) -> None:
    parts: list[dict[str, np.ndarray]] = []
    maps: dict[str, np.ndarray] = {}
    for number, case in enumerate(np.sort(cases).tolist(), 1):
        p_KHW = probabilities(model, _lit(packed, case), len(packed.classes))
        p_NKHW = torch.from_numpy(p_KHW)[None]
        target_NHW = torch.from_numpy(packed.target(case).astype(np.int64))[None]
        # Probabilities sum to 1, so the softmax of their logarithms gives them back.
        parts.append(pixel_counts(p_NKHW, p_NKHW.clamp(min=1e-12).log(), target_NHW, fully=True))
        maps[str(case)] = p_KHW.argmax(0).astype(np.uint8)
        beat({"doing": f"{number} of {len(cases)} test images"})
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    np.savez(scratch / "scores.npz", case=np.sort(cases).astype(np.int32), **arrays)  # type: ignore[arg-type]
    np.savez_compressed(scratch / "predictions.npz", **maps)  # type: ignore[arg-type]


def probabilities(model: BaseEstimator, image_CHW: np.ndarray, num_classes: int) -> np.ndarray:
    """(K, H, W) float32; 0 for classes that the model has not seen."""
    p_KHW = np.zeros((num_classes, *image_CHW.shape[1:]), np.float32)
    for rows, features in strips(image_CHW):
        flat = features.reshape(-1, features.shape[2])
        chunks = (flat[start : start + CHUNK] for start in range(0, len(flat), CHUNK))
        p_NK = np.concatenate([model.predict_proba(chunk) for chunk in chunks])
        p_KHW[model.classes_, rows] = p_NK.T.reshape(-1, *features.shape[:2])
    return p_KHW


def pixel_features(image_CHW: np.ndarray) -> np.ndarray:
    """Features (H, W, C * 32) float32 of every pixel; edge pixels are repeated outward.

    Of every channel: its value; and at sigma 1, 2, 4 and 8 pixels the Gaussian, the gradient's magnitude, the
    Laplacian, the two eigenvalues of the Hessian and of the structure tensor (gradients at sigma, summed over the same
    sigma), the larger first; and the differences of neighbouring Gaussians. Derivatives are those of the Gaussian, not
    scaled by sigma.
    """
    features = [_of_channel(channel) for channel in image_CHW.astype(np.float32)]
    return np.concatenate(features).transpose(1, 2, 0)


def _of_channel(image_HW: np.ndarray) -> np.ndarray:
    """(32, H, W)."""
    parts, smooth = [image_HW], []
    for sigma in SIGMAS:
        smooth.append(_filtered(image_HW, sigma))
        dy, dx = _filtered(image_HW, sigma, (1, 0)), _filtered(image_HW, sigma, (0, 1))
        yy, xx = _filtered(image_HW, sigma, (2, 0)), _filtered(image_HW, sigma, (0, 2))
        yx = _filtered(image_HW, sigma, (1, 1))
        tensor = [_filtered(product, sigma) for product in (dy * dy, dy * dx, dx * dx)]
        parts += [smooth[-1], np.hypot(dy, dx), yy + xx, *_eigenvalues(yy, yx, xx), *_eigenvalues(*tensor)]
    parts += [fine - coarse for fine, coarse in pairwise(smooth)]
    return np.stack(parts)


def _filtered(image_HW: np.ndarray, sigma: float, order: tuple[int, int] = (0, 0)) -> np.ndarray:
    filtered: np.ndarray = gaussian_filter(image_HW, sigma, order=order, mode="nearest", output=np.float32)
    return filtered


def _eigenvalues(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the symmetric matrices [[a, b], [b, c]], the larger first."""
    middle, apart = (a + c) / 2, np.hypot((a - c) / 2, b)
    return middle + apart, middle - apart


def strips(image_CHW: np.ndarray, most_pixels: int = STRIP_PIXELS) -> Iterator[tuple[slice, np.ndarray]]:
    """The features of an image strip by strip, so that a large one needs little memory: (rows, features).

    A strip sees its surroundings, so its features are those of the whole image.
    """
    height, width = image_CHW.shape[1:]
    step = max(1, most_pixels // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        above, below = max(0, top - REACH_PX), min(height, bottom + REACH_PX)
        features = pixel_features(image_CHW[:, above:below])
        yield slice(top, bottom), features[top - above : bottom - above]
