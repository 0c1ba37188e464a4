"""Made runs whose fits record their training, epoch by epoch."""

from base64 import b64decode
from io import BytesIO

import numpy as np
from judged import judge
from PIL import Image

from foldwise.learning.objectives.losses import losses_to_map
from foldwise.learning.training.fit_files import WatchedImages
from foldwise.runs.folder import read_json, write_json
from foldwise.study.ranges import IGNORE

EPOCHS = (1, 2, 4, 5)


def recorded(configuration, fold):
    """Five epochs: the loss is lowest at 2 + fold, the accuracy highest at 4, the score at 5."""
    return [
        {
            "epoch": epoch,
            "train_loss": 1 / epoch + configuration,
            "val_loss": 0.5 + abs(epoch - 2 - fold) + configuration,
            "val_score": 0.1 * epoch,
            "val_steady": 0.1 * epoch,
            "accuracy": 0.9 - 0.1 * abs(epoch - 4) + 0.01 * fold,
            "iou": 0.05 * epoch,
            "confidence": [0.9, 0.1 * epoch, None],
            "lr": 0.001,
            "seconds": 0.1,
        }
        for epoch in range(1, 6)
    ]


def probabilities(truth, epoch, classes, seed):
    """(K, H, W) surer of the truth from epoch to epoch."""
    noise = np.random.default_rng(seed).random((classes, *truth.shape))
    powers = np.exp(
        np.eye(classes)[np.where(truth == IGNORE, 0, truth)].transpose(2, 0, 1) * epoch + 2 * noise
    )
    return (powers / powers.sum(0)).astype(np.float16)


def trained(folder, packed, *, strides):
    """Give the fits of a made-up run what fits record of their training; the watched images of its first fold."""
    K, configurations = len(packed.classes), []
    losses = {one.id: one.training.loss for one in folder.load_plan().configurations}
    for path in sorted(folder.root.glob("done/fit-*/result.json")):
        result = read_json(path)
        if result["configuration"] not in configurations:
            configurations.append(result["configuration"])
        place, fold = configurations.index(result["configuration"]), result["fold"]
        known = {"epochs": recorded(place, fold), "best_epoch": 4, "select": "dice_img_macro"}
        write_json(path, result | known)
        with np.load(path.with_name("scores.npz")) as arrays:
            kept = dict(arrays)
        counts = np.arange(1, K * K + 1).reshape(K, K)
        np.savez(
            path.with_name("scores.npz"), **kept, train_confusion=10 * counts, validation_confusion=counts
        )
        if fold == 0:
            write_watched(path.with_name("watched.npz"), packed, strides, losses[result["configuration"]])
    judge(folder)
    return folder


def write_watched(path, packed, strides, loss):
    """By the very code that writes it in a fit; the chosen epoch is 4."""
    K = len(packed.classes)
    class_pixels = np.array([90, 8, 2][:K])
    watch = WatchedImages(strides, epochs=5)
    for epoch in EPOCHS:
        maps = {
            case: probabilities(packed.target(case)[::stride, ::stride], epoch, K, epoch)
            for case, stride in strides.items()
        }
        watch.keep(epoch, maps, is_best=epoch <= 4)
    losses = losses_to_map(loss, task=packed.task, num_classes=K, class_counts=class_pixels)
    watch.write(path, packed, losses=losses, class_pixels=class_pixels)


def read(uri):
    """A picture of a palette, as indices and as colours."""
    picture = Image.open(BytesIO(b64decode(uri.removeprefix("data:image/png;base64,"))))
    return np.asarray(picture), np.asarray(picture.convert("RGB"))
