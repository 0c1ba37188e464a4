"""What an image takes to predict: torch as it comes, foldwise in torch, and foldwise in onnxruntime, interleaved.

    python -m benchmarks.predicting [--rounds N]

CPU seconds of this process on one thread, medians of rounds in which all three take the same batch one after another, so
that other work on the machine weighs on all alike. Networks have random numbers: they take as long as trained ones.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from foldwise.data.batches.normalize import IMAGENET_MEAN, IMAGENET_STD, Normalization
from foldwise.learning.export.graph import Ensemble, write_graph
from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import DataShape
from foldwise.learning.runtimes import TorchRuntime
from foldwise.learning.training.scoring import probabilities
from foldwise.study.training import Training

# Task, network, side in pixels, images in a batch.
NETWORKS = {
    "U-Net/ResNet18": ("multiclass_segmentation", "smp:unet/resnet18", 256, 4),
    "ResNet18": ("multiclass_classification", "timm:resnet18", 224, 8),
    "EfficientNet-B0": ("multiclass_classification", "timm:efficientnet_b0", 224, 8),
}
ROUNDS = 7
GOAL = 1.7  # times as fast as torch as it comes


def figures(
    rounds: int = ROUNDS, networks: dict[str, tuple[str, str, int, int]] = NETWORKS
) -> list[dict[str, Any]]:
    """A row for each network: milliseconds an image, ratios to torch as it comes, and how far the probabilities differ."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_row(name, *asked, rounds=rounds) for name, asked in networks.items()]
    finally:
        torch.set_num_threads(before)


def _row(name: str, task: str, model: str, side: int, batch: int, *, rounds: int) -> dict[str, Any]:
    network = build(
        Training.model_validate({"model": model}), DataShape(task, 3, 3, (side, side)), seed=0
    ).eval()
    mean, std = (tuple(255 * value for value in part) for part in (IMAGENET_MEAN, IMAGENET_STD))
    saved = SimpleNamespace(
        task=task, classes=("a", "b", "c"), training=SimpleNamespace(precision="fp32", model=SimpleNamespace(name=model)), encoder_from=None,
        normalization=Normalization("fixed", mean, std, "uint8"),
    )  # fmt: skip
    winner: Any = SimpleNamespace(model=saved, members=(SimpleNamespace(model=saved, network=network),))
    raw = np.random.default_rng(0).integers(0, 256, (batch, 3, side, side)).astype(np.uint8)
    ours = TorchRuntime(winner, torch.device("cpu"))
    with tempfile.TemporaryDirectory(prefix="foldwise-bench-") as scratch:
        start = time.process_time()
        graph = write_graph(Ensemble(winner), raw, Path(scratch) / "a.onnx", ours, threads=1, about={})
        made_s = time.process_time() - start
    ways = {"eager": _eager(network, task, mean, std), "torch": ours, "onnxruntime": graph}
    took: dict[str, list[float]] = {way: [] for way in ways}
    outputs = {way: ask(raw) for way, ask in ways.items()}  # the first time is for warming up
    for _ in range(rounds):
        for way, ask in ways.items():
            start = time.process_time()
            ask(raw)
            took[way].append(1000 * (time.process_time() - start) / batch)
    ms = {way: statistics.median(each) for way, each in took.items()}
    ratios = {way: [a / b for a, b in zip(took["eager"], each, strict=True)] for way, each in took.items()}
    return {
        "network": name,
        "ms_per_image": ms,
        "ratio": {way: statistics.median(each) for way, each in ratios.items()},
        "range": {way: (min(each), max(each)) for way, each in ratios.items()},
        "difference": float(np.abs(outputs["onnxruntime"] - outputs["eager"]).max()),
        "making_s": made_s,
    }


def _eager(network: torch.nn.Module, task: str, mean: Any, std: Any) -> Callable[[np.ndarray], np.ndarray]:
    @torch.inference_mode()
    def ask(raw: np.ndarray) -> np.ndarray:
        means, stds = (torch.tensor(part)[None, :, None, None] for part in (mean, std))
        return probabilities(network((torch.from_numpy(raw).float() - means) / stds), task).numpy()

    return ask


def table(rows: list[dict[str, Any]]) -> str:
    """The figures in Markdown."""
    head = "| network | torch, ms | foldwise in torch | in onnxruntime | goal | differs by | graph made in |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for row in rows:
        ours = [
            f"{row['ratio'][way]:.2f} ({row['range'][way][0]:.2f} to {row['range'][way][1]:.2f})"
            for way in ("torch", "onnxruntime")
        ]
        cells = [
            row["network"],
            f"{row['ms_per_image']['eager']:.0f}",
            *ours,
            f"{GOAL}",
            f"{row['difference']:.0e}",
        ]
        lines.append(f"| {' | '.join(cells)} | {row['making_s']:.1f} s |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    print(table(figures(parser.parse_args().rounds)))
