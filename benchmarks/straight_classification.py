"""A straight PyTorch script for one configuration of a classification study: no foldwise, a DataLoader and a loop.

    python benchmarks/straight_classification.py RUN CONFIGURATION IMAGES

RUN is the folder of a finished foldwise run, CONFIGURATION an id or name in it, IMAGES the folder of its data.
The network (timm), the folds, the seeds of the folds and all settings are those of the run. Prints the balanced
accuracy of every fold, the mean, and the seconds; the last line is the same as JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path

import numpy as np
import timm
import torch
from finished_run import read_run, refuse_unused
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Pictures(Dataset):
    """Grey or RGB pictures, decoded once and kept in memory; flips and right-angle turns when training."""

    def __init__(self, root, rows, mode, mean_std=None, *, augment=False):
        pictures = [np.asarray(Image.open(root / row["image"]).convert(mode), np.float32) for row in rows]
        self.images = [torch.from_numpy(p if p.ndim == 3 else p[..., None]).movedim(-1, 0) for p in pictures]
        self.labels = [int(row["labels"]) for row in rows]
        self.mean, self.std = mean_std or self.statistics()
        self.augment = augment

    def statistics(self):
        pixels = torch.cat([image.flatten(1) for image in self.images], 1)
        return pixels.mean(1)[:, None, None], pixels.std(1)[:, None, None]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = (self.images[index] - self.mean) / self.std
        if self.augment:
            image = torch.rot90(image, int(torch.randint(4, ())), (1, 2))
            image = image.flip(2) if torch.rand(()) < 0.5 else image
        return image, self.labels[index]


@torch.no_grad()
def predict(model, loader):
    model.eval()
    parts = [(model(images).softmax(1), labels) for images, labels in loader]
    return torch.cat([p for p, _ in parts]), torch.cat([labels for _, labels in parts])


def train_fold(fold, settings, root, mode):
    training = settings.training
    augment = training["augment"]["flip"]
    torch.manual_seed(fold.seed)
    train = Pictures(root, fold.train, mode, augment=augment)
    inner = Pictures(root, fold.validation, mode, (train.mean, train.std))
    test = Pictures(root, fold.test, mode, (train.mean, train.std))
    size = training["batch_size"]
    batches = DataLoader(
        train, size, shuffle=True, drop_last=len(train) % size == 1
    )  # no statistics of one sample
    inner_batches, test_batches = (DataLoader(part, size) for part in (inner, test))

    name = training["model"]["name"].removeprefix("timm:")
    model = timm.create_model(name, in_chans=1 if mode == "L" else 3, num_classes=settings.num_classes)
    optimizer = torch.optim.AdamW(model.parameters(), **training["optimizer"]["options"])
    loss_fn = nn.CrossEntropyLoss()
    best, best_loss = None, float("inf")
    for _ in range(training["epochs"]):
        model.train()
        for images, labels in batches:
            loss = loss_fn(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        p, labels = predict(model, inner_batches)
        inner_loss = nn.functional.nll_loss(p.clamp(1e-7).log(), labels).item()
        if inner_loss < best_loss:
            best, best_loss = copy.deepcopy(model.state_dict()), inner_loss
    model.load_state_dict(best)
    p, labels = predict(model, test_batches)
    right = p.argmax(1) == labels
    return float(np.mean([right[labels == k].float().mean().item() for k in range(settings.num_classes)]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("configuration")
    parser.add_argument("images", type=Path)
    parser.add_argument("--mode", choices=["L", "RGB"], default="L", help="grey (L) or RGB")
    asked = parser.parse_args()
    settings, folds = read_run(asked.run, asked.configuration)
    known = {
        "weights": "none",
        "freeze": "none",
        "patience_epochs": None,
        "steps_per_epoch": None,
        "crop_px": None,
    }
    refuse_unused(settings.training, {**known, "head": {"name": "linear", "options": {}}})
    torch.set_num_threads(settings.threads)
    started = time.perf_counter()
    scores = []
    for fold in folds:
        scores.append(train_fold(fold, settings, asked.images, asked.mode))
        print(f"repeat {fold.repeat} fold {fold.fold}: balanced accuracy {scores[-1]:.4f}", flush=True)
    seconds = time.perf_counter() - started
    print(f"mean {np.mean(scores):.4f} in {seconds:.1f} s")
    print(json.dumps({"scores": scores, "mean": float(np.mean(scores)), "seconds": seconds}))


if __name__ == "__main__":
    main()
