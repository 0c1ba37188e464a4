"""What a network says about whole images, counted finely enough that every metric follows without the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foldwise.data.batches.batches import Batch
from foldwise.learning.training.counting import decided, pixel_counts
from foldwise.learning.training.devices import autocast
from foldwise.learning.training.tiles import is_large, tiled
from foldwise.study.spec import Task

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Scores:
    """The outputs for n cases, ascending by case; no weights, no pixels.

    Attributes:
        case: (n,) int32 case indices.
        arrays: classification: ``probabilities`` (n, K) float32. Segmentation: ``confusion`` (n, K, K) by [true,
            predicted], ``histogram`` (n, K, 2, 256) by class, by whether a pixel is of it, and by its probability
            (only where asked for), ``log_loss_sum``, ``brier_sum`` (n,) over the pixels that count, ``pixels`` (n,),
            ``confidence_sum`` (n, K) the probability of the true class, over the pixels whose truth is each class.
        truth: classification: labels (n,), or (n, K) for a multilabel task.
        loss: mean of the configuration's own loss over the cases; nan without one.
        maps: case index -> predicted class map (H, W) uint8, segmentation, where asked for.
        watched: case index -> probabilities (K, h, w) float16 of every so manieth pixel, of the cases asked for.
    """

    case: np.ndarray
    arrays: dict[str, np.ndarray]
    truth: np.ndarray | None
    loss: float
    maps: dict[int, np.ndarray]
    watched: dict[int, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class ForwardPass:
    """How a network is asked: for which task, in which precision and memory layout, on which device."""

    task: Task
    num_classes: int
    device: torch.device
    precision: str = "fp32"
    layout: torch.memory_format = torch.contiguous_format

    def logits(self, network: nn.Module, inputs: Tensor) -> Tensor:
        """Logits (N, K) or (N, K, H, W) in float32; large images go through in tiles."""
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=self.layout)
        with autocast(self.device, self.precision):
            if (
                inputs.ndim == 4
                and self.task.endswith("segmentation")
                and not network.training
                and is_large(inputs)
            ):
                # Tiles are blended as probabilities; the softmax of their logarithm gives them back.
                return tiled(lambda tile: network(tile).float().softmax(1), inputs).clamp(min=1e-12).log()
            outputs: Tensor = network(inputs)
        return outputs.float()


def probabilities(logits: Tensor, task: Task) -> Tensor:
    """Each label's own probability for a multilabel task; else those of the classes, which sum to 1."""
    return logits.sigmoid() if task == "multilabel_classification" else logits.softmax(1)


@torch.inference_mode()
def evaluate(
    network: nn.Module,
    batches: Iterable[Batch],
    forward: ForwardPass,
    *,
    loss: Loss | None = None,
    fully: bool = False,
    watch: Mapping[int, int] | None = None,
) -> Scores:
    """Ask a network about every case of `batches`, in evaluation mode.

    Args:
        network, forward: who is asked, and how.
        batches: whole images, or cached features.
        loss: the configuration's own loss, averaged over cases.
        fully: for segmentation: with histograms and class maps, as a test fold is scored.
        watch: case index -> stride: of these cases every stride-th pixel's probabilities are kept; segmentation.
    """
    was_training = network.training
    network.eval()
    losses, cases, parts, truths = [], [], [], []
    maps: dict[int, np.ndarray] = {}
    seen: dict[int, np.ndarray] = {}
    for batch in batches:
        logits = forward.logits(network, batch.inputs)
        if loss is not None:
            losses.append(loss(logits, batch.targets) * len(batch.cases))
        p = probabilities(logits, forward.task)
        if forward.task.endswith("segmentation"):
            parts.append(pixel_counts(p, logits, batch.targets, fully=fully))
            predicted = decided(p).to(torch.uint8).cpu().numpy() if fully else ()
            maps |= dict(zip(batch.cases.tolist(), predicted, strict=fully))
            seen |= _watched(p, batch.cases, watch or {})
        else:
            parts.append({"probabilities": p.cpu().numpy()})
            truths.append(batch.targets.cpu().numpy())
        cases.append(batch.cases)
    network.train(was_training)
    mean_loss = float(torch.stack(losses).sum()) / sum(map(len, cases)) if losses else float("nan")
    return _by_case(cases, parts, truths, mean_loss, dict(sorted(maps.items())), seen)


def _by_case(
    cases: list[np.ndarray], parts: list[dict[str, np.ndarray]], truths: list[np.ndarray], *rest: Any
) -> Scores:
    """What batches gave as one, ascending by case; `rest` is of no order."""
    case = np.concatenate(cases)
    order = np.argsort(case)
    arrays = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    truth = np.concatenate(truths)[order] if truths else None
    return Scores(case[order].astype(np.int32), arrays, truth, *rest)


def _watched(p_NKHW: Tensor, cases: np.ndarray, watch: Mapping[int, int]) -> dict[int, np.ndarray]:
    # Every stride-th pixel and no mean of several: a loss of a mean probability is not the mean of their losses.
    return {
        case: p_NKHW[row, :, :: watch[case], :: watch[case]].half().cpu().numpy()
        for row, case in enumerate(cases.tolist())
        if case in watch
    }
