"""A straight PyTorch script for one configuration of a segmentation study: a DataLoader and a loop.

    python benchmarks/straight_segmentation.py RUN CONFIGURATION IMAGES

RUN is the folder of a finished foldwise run, CONFIGURATION an id or name in it, IMAGES the folder of its data.
The folds, the seeds of the folds and all settings are those of the run; the network is segmentation-models-pytorch's
for `smp:<decoder>/<encoder>`, and foldwise's own otherwise. Prints the Dice score (mean over foreground classes,
then over images) of every fold, the mean, and the seconds; the last line is the same as JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from finished_run import read_run, refuse_unused
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset


class Pictures(Dataset):
    """Pictures and masks, decoded once and kept in memory; flips and right-angle turns when training."""

    def __init__(self, root, rows, mean_std=None, *, augment=False, num_classes=2):
        pictures = [np.asarray(Image.open(root / row["image"]), np.float32) for row in rows]
        self.images = [torch.from_numpy(p if p.ndim == 3 else p[..., None]).movedim(-1, 0) for p in pictures]
        scale = 255 if num_classes == 2 else 1
        self.masks = [
            torch.from_numpy(np.asarray(Image.open(root / row["mask"])) // scale).long() for row in rows
        ]
        self.mean, self.std = mean_std or self.statistics()
        self.augment = augment

    def statistics(self):
        pixels = torch.cat([image.flatten(1) for image in self.images], 1)
        return pixels.mean(1)[:, None, None], pixels.std(1)[:, None, None]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image, mask = (self.images[index] - self.mean) / self.std, self.masks[index]
        if self.augment:
            turns = int(torch.randint(4, ()))
            image, mask = torch.rot90(image, turns, (1, 2)), torch.rot90(mask, turns, (0, 1))
            if torch.rand(()) < 0.5:
                image, mask = image.flip(2), mask.flip(1)
        return image, mask


class DiceCrossEntropy(nn.Module):
    """Cross-entropy plus 1 - soft Dice over the batch, mean over the classes that count."""

    def __init__(self, options):
        super().__init__()
        self.first = 0 if options.get("background", False) else 1

    def forward(self, logits, masks):
        p, true = logits.softmax(1), F.one_hot(masks, logits.shape[1]).movedim(-1, 1)
        overlap, size = (p * true).sum((0, 2, 3)), p.sum((0, 2, 3)) + true.sum((0, 2, 3))
        dice = ((2 * overlap + 1) / (size + 1))[self.first :]
        return F.cross_entropy(logits, masks) + 1 - dice.mean()


def make_loss(choice):
    name = "dice_cross_entropy" if choice["name"] == "auto" else choice["name"]
    if name == "dice_cross_entropy":
        return DiceCrossEntropy(choice["options"])
    if name == "cross_entropy" and not choice["options"]:
        return nn.CrossEntropyLoss()
    raise SystemExit(f"the straight script has no loss {choice}")


def make_model(settings, in_channels, seed):
    name = settings.training["model"]["name"]
    if name.startswith("smp:"):
        decoder, encoder = name.removeprefix("smp:").split("/")
        return smp.create_model(
            decoder, encoder, encoder_weights=None, in_channels=in_channels, classes=settings.num_classes
        )
    from foldwise.learning.networks.models import build
    from foldwise.learning.networks.network import DataShape
    from foldwise.study.training import Training

    training = Training.model_validate(settings.training)
    return build(training, DataShape(settings.task, in_channels, settings.num_classes), seed=seed)


def dice_per_image(predicted, masks, num_classes):
    """Mean over the foreground classes that an image has in truth or prediction; nan where it has none."""
    scores = []
    for found, true in zip(predicted, masks, strict=True):
        sizes = [
            ((found == k).sum() + (true == k).sum(), ((found == k) & (true == k)).sum())
            for k in range(1, num_classes)
        ]
        parts = [float(2 * both / size) for size, both in sizes if size]
        scores.append(np.mean(parts) if parts else np.nan)
    return scores


@torch.no_grad()
def score(model, loader, num_classes):
    model.eval()
    scores = []
    for images, masks in loader:
        scores += dice_per_image(model(images).argmax(1), masks, num_classes)
    return float(np.nanmean(scores))


def train_fold(fold, settings, root):
    training = settings.training
    augment = training["augment"]["flip"]
    torch.manual_seed(fold.seed)
    train = Pictures(root, fold.train, augment=augment, num_classes=settings.num_classes)
    others = [
        Pictures(root, rows, (train.mean, train.std), num_classes=settings.num_classes)
        for rows in (fold.validation, fold.test)
    ]
    size = training["batch_size"]
    batches = DataLoader(
        train, size, shuffle=True, drop_last=len(train) % size == 1
    )  # no statistics of one sample
    inner_batches, test_batches = (DataLoader(part, size) for part in others)

    model = make_model(settings, len(train.images[0]), fold.seed)
    optimizer = torch.optim.AdamW(model.parameters(), **training["optimizer"]["options"])
    loss_fn = make_loss(training["loss"])
    best, best_score = copy.deepcopy(model.state_dict()), -1.0
    for _ in range(training["epochs"]):
        model.train()
        for images, masks in batches:
            loss = loss_fn(model(images), masks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        inner_score = score(model, inner_batches, settings.num_classes)
        if inner_score > best_score:
            best, best_score = copy.deepcopy(model.state_dict()), inner_score
    model.load_state_dict(best)
    return score(model, test_batches, settings.num_classes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("configuration")
    parser.add_argument("images", type=Path)
    asked = parser.parse_args()
    settings, folds = read_run(asked.run, asked.configuration)
    known = {
        "weights": "none",
        "freeze": "none",
        "patience_epochs": None,
        "steps_per_epoch": None,
        "crop_px": None,
    }
    refuse_unused(settings.training, known)
    torch.set_num_threads(settings.threads)
    started = time.perf_counter()
    scores = []
    for fold in folds:
        scores.append(train_fold(fold, settings, asked.images))
        print(f"repeat {fold.repeat} fold {fold.fold}: Dice {scores[-1]:.4f}", flush=True)
    seconds = time.perf_counter() - started
    print(f"mean {np.mean(scores):.4f} in {seconds:.1f} s")
    print(json.dumps({"scores": scores, "mean": float(np.mean(scores)), "seconds": seconds}))


if __name__ == "__main__":
    main()
