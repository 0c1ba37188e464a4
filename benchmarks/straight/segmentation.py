"""A plain PyTorch script for a segmentation study: every configuration on every fold, one after another.

    python -m benchmarks.straight.segmentation RUN IMAGES [--threads N] [--lightning]

RUN is the folder of a finished run, whose networks, folds, seeds, order of batches and settings are taken; IMAGES is the folder of
its data. Pictures are decoded once and stay in memory. With `--lightning`, Lightning's Trainer does the epochs, and
validates after each. The last line is JSON: the Dice score (mean over foreground classes, then over images) of every fold, by configuration.
"""

from __future__ import annotations

import argparse
import copy
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from benchmarks.straight.finished_run import Fit, network_of, optimizer_of, order_of, read_fits


def opened(root: Path, name: str) -> np.ndarray:
    """A picture, or one of a stack: ``stack.npy[3]``."""
    stack, _, index = name.removesuffix("]").partition("[")
    return np.load(root / stack)[int(index)] if index else np.asarray(Image.open(root / name))


class Pictures(Dataset):
    """Pictures and masks, decoded once and kept in memory, normalised by the training part."""

    def __init__(self, root, rows, num_classes, mean_std=None):
        pictures = [opened(root, row["image"]).astype(np.float32) for row in rows]
        self.images = [torch.from_numpy(p if p.ndim == 3 else p[..., None]).movedim(-1, 0) for p in pictures]
        scale = 255 if num_classes == 2 else 1
        self.masks = [torch.from_numpy(opened(root, row["mask"]) // scale).long() for row in rows]
        self.mean, self.std = mean_std or self.statistics()

    def statistics(self):
        pixels = torch.cat([image.flatten(1) for image in self.images], 1)
        return pixels.mean(1)[:, None, None], pixels.std(1)[:, None, None]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return (self.images[index] - self.mean) / self.std, self.masks[index]


class Dealt:
    """Batches of the training part, in the order of foldwise, epoch by epoch."""

    def __init__(self, fit: Fit):
        self.fit, self.epoch = fit, 0

    def __iter__(self):
        self.epoch += 1
        return iter([batch.tolist() for batch in order_of(self.fit, self.epoch)])

    def __len__(self):
        return len(order_of(self.fit, 1))


def dice_per_image(predicted, masks, num_classes):
    """Mean over the foreground classes that an image has in truth or prediction; nan where it has none."""
    scores = []
    for guessed, true in zip(predicted, masks, strict=True):
        sizes = [
            ((guessed == k).sum() + (true == k).sum(), ((guessed == k) & (true == k)).sum())
            for k in range(1, num_classes)
        ]
        parts = [float(2 * both / size) for size, both in sizes if size]
        scores.append(np.mean(parts) if parts else np.nan)
    return scores


@torch.no_grad()
def score(network, loader, num_classes):
    network.eval()
    scores = []
    for images, masks in loader:
        scores += dice_per_image(network(images).argmax(1), masks, num_classes)
    return float(np.nanmean(scores))


def loaders_of(fit: Fit, root: Path):
    """Of train, validation and test."""
    parts, size = fit.parts, fit.training["batch_size"]
    train = Pictures(root, parts["train"], fit.num_classes)
    others = [
        Pictures(root, parts[name], fit.num_classes, (train.mean, train.std))
        for name in ("validation", "test")
    ]
    return DataLoader(train, batch_sampler=Dealt(fit)), *(DataLoader(part, size) for part in others)


def plain(fit: Fit, network: nn.Module, train, validation) -> None:
    """The epochs, the best of which by the inner validation the network has in the end."""
    optimizer = optimizer_of(fit, network)
    best, best_score = copy.deepcopy(network.state_dict()), -1.0
    for _ in range(fit.training["epochs"]):
        network.train()
        for images, masks in train:
            loss = F.cross_entropy(network(images), masks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        inner_score = score(network, validation, fit.num_classes)
        if inner_score > best_score:
            best, best_score = copy.deepcopy(network.state_dict()), inner_score
    network.load_state_dict(best)


def with_lightning(fit: Fit, network: nn.Module, train, validation) -> None:
    """The same by Lightning's Trainer, which keeps the best epoch in a file, as its users have it."""
    import tempfile

    import lightning
    from lightning.pytorch.callbacks import ModelCheckpoint

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = network

        def training_step(self, batch, _):
            return F.cross_entropy(self.network(batch[0]), batch[1])

        def validation_step(self, batch, _):
            scores = dice_per_image(self.network(batch[0]).argmax(1), batch[1], fit.num_classes)
            self.log("dice", float(np.nanmean(scores)), batch_size=len(batch[0]))

        def configure_optimizers(self):
            return optimizer_of(fit, self.network)

    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        keep = ModelCheckpoint(folder, monitor="dice", mode="max")
        about = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False}
        about |= {"callbacks": [keep], "enable_model_summary": False, "default_root_dir": folder}
        trainer = lightning.Trainer(max_epochs=fit.training["epochs"], **about)
        module = Module()
        trainer.fit(module, train, validation)
        module.load_state_dict(torch.load(keep.best_model_path, weights_only=False)["state_dict"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--lightning", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    scores: dict[str, list[float]] = {}
    for fit in read_fits(asked.run):
        train, validation, test = loaders_of(fit, asked.images)
        channels, *size_hw = train.dataset.images[0].shape
        network = network_of(fit, channels, tuple(size_hw))
        torch.manual_seed(fit.seed)
        (with_lightning if asked.lightning else plain)(fit, network, train, validation)
        scores.setdefault(fit.configuration, []).append(score(network, test, fit.num_classes))
    print(json.dumps(scores))


if __name__ == "__main__":
    main()
