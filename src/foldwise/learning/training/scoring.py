"""What a network says about whole images, counted finely enough that every metric follows without the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldwise.learning.networks.tiles import each_alone, is_large
from foldwise.learning.training.devices import autocast
from foldwise.metrics import pixel_bins
from foldwise.metrics.outputs import CLIP, FAMILIES, Outputs
from foldwise.metrics.pixel_bins import HALF, NUM_BINS
from foldwise.study.ranges import IGNORE
from foldwise.study.training import Task

if TYPE_CHECKING:
    from foldwise.data.batches.batches import Batch

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Scores:
    """The outputs for n cases, ascending by case; no weights, no pixels.

    Attributes:
        case: (n,) int32 case indices.
        arrays: classification: ``probabilities`` (n, K) float32. Segmentation: ``confusion`` (n, K, K) by [true,
            predicted], ``histogram`` (n, K, 2, 254) by class, by whether a pixel is of it, and by the bin of
            its probability (`metrics.pixel_bins`; only where asked for), ``log_loss_sum``, ``brier_sum`` (n,) over the pixels that count, ``pixels`` (n,),
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
    """How a network is asked: for which task, in which precision and memory layout, on which device.

    Attributes:
        of_tiles: whether its inputs are tiles already, which go through as they are.
    """

    task: Task
    num_classes: int
    device: torch.device
    precision: str = "fp32"
    layout: torch.memory_format = torch.contiguous_format
    of_tiles: bool = False

    def logits(self, network: nn.Module, inputs: Tensor) -> Tensor:
        """Logits (N, K) or (N, K, H, W) in float32; of masks, large images one by one, see `tiles`."""
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=self.layout)
        by_pixel = inputs.ndim == 4 and self.task.endswith("segmentation")
        with autocast(self.device, self.precision):
            if by_pixel and not network.training and not self.of_tiles and is_large(inputs):
                # Tiles are blended as probabilities; the softmax of their logarithm gives them back.
                return each_alone(network, inputs, blended=_softmax, back=_logarithm)
            outputs: Tensor = network(inputs)
        return outputs.float()


def _softmax(logits_NKHW: Tensor) -> Tensor:
    return logits_NKHW.softmax(1)


def _logarithm(p_NKHW: Tensor) -> Tensor:
    return p_NKHW.clamp(min=torch.finfo(torch.float32).tiny).log()


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
        batches: whole images, or cached features.
        loss: the configuration's own loss, averaged over cases.
        fully: for segmentation: with histograms and class maps, as a test fold is scored.
        watch: case index -> stride: of these cases every stride-th pixel's probabilities are kept; segmentation.
    """
    was_training = network.training
    network.eval()
    # Losses stay on the device until the end: to read one would wait for every batch by itself.
    losses, cases, parts, truths = [], [], [], []
    maps: dict[int, np.ndarray] = {}
    watched: dict[int, np.ndarray] = {}
    for batch in batches:
        logits = forward.logits(network, batch.inputs)
        if loss is not None:
            losses.append(loss(logits, batch.targets) * len(batch.cases))
        p = probabilities(logits, forward.task)
        if forward.task.endswith("segmentation"):
            parts.append(pixel_counts(p, logits, batch.targets, fully=fully))
            predicted = decided(p).to(torch.uint8).cpu().numpy() if fully else ()
            maps |= dict(zip(batch.cases.tolist(), predicted, strict=fully))
            watched |= _watched(p, batch.cases, watch or {})
        else:
            parts.append({"probabilities": p.cpu().numpy()})
            truths.append(batch.targets.cpu().numpy())
        cases.append(batch.cases)
    network.train(was_training)
    mean_loss = float(torch.stack(losses).sum()) / sum(map(len, cases)) if losses else float("nan")
    return by_case(cases, parts, truths, mean_loss, dict(sorted(maps.items())), watched)


def by_case(
    cases: list[np.ndarray], parts: list[dict[str, np.ndarray]], truths: list[np.ndarray], *rest: Any
) -> Scores:
    """What batches gave as one, ascending by case; `rest` is of no order."""
    # By case whatever the batches were: configurations are compared image by image.
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


def pixel_counts(
    p_NKHW: Tensor, logits_NKHW: Tensor, target_NHW: Tensor, *, fully: bool
) -> dict[str, np.ndarray]:
    """Per image what `Scores.arrays` holds of a segmentation; the histogram only where `fully` is asked for."""
    classes = p_NKHW.shape[1]
    counts_NHW = target_NHW != IGNORE
    true_NHW = target_NHW.clamp(max=classes - 1)
    log_p = F.log_softmax(logits_NKHW, 1).gather(1, true_NHW[:, None])[:, 0].clamp(min=float(np.log(CLIP)))
    squares, confidence = torch.zeros_like(log_p), []
    for k in range(classes):  # one-hot truth would be eight bytes for every class and pixel
        is_k = true_NHW == k
        squares += (p_NKHW[:, k] - is_k.float()) ** 2
        confidence.append(torch.where(is_k & counts_NHW, p_NKHW[:, k], 0.0).sum((1, 2), dtype=torch.float64))
    # Of two classes each error is counted in both; the Brier score of a yes-or-no question counts it once.
    squares = squares / 2 if classes == 2 else squares
    made = {
        "confusion": confusion_matrices(decided(p_NKHW), target_NHW, classes),
        "confidence_sum": torch.stack(confidence, 1),
        "log_loss_sum": torch.where(counts_NHW, -log_p, 0.0).sum((1, 2), dtype=torch.float64),
        "brier_sum": torch.where(counts_NHW, squares, 0.0).sum((1, 2), dtype=torch.float64),
        "pixels": counts_NHW.sum((1, 2)),
    }
    if fully:
        made["histogram"] = _histogram(p_NKHW, true_NHW, counts_NHW)
    return {name: values.cpu().numpy() for name, values in made.items()}


def confusion_matrices(decided_NHW: Tensor, target_NHW: Tensor, classes: int) -> Tensor:
    """(N, K, K) int64 by [true, decided], of the pixels of each image that count."""
    num = len(target_NHW)
    true_NHW = target_NHW.clamp(max=classes - 1)
    image_NHW = torch.arange(num, device=target_NHW.device)[:, None, None].expand_as(target_NHW)
    cell = (image_NHW * classes + true_NHW) * classes + decided_NHW
    return _counted(cell, target_NHW != IGNORE, num * classes**2).reshape(num, classes, classes)


def decisions(logits: Tensor, target: Tensor, task: Task) -> Tensor:
    """The decisions about each image of a batch: all that metrics need that go by decisions alone.

    Returns:
        masks: (N, K, K) int64 confusion matrices; else (N, 2, K) bool, the true labels and the decided ones.
    """
    classes = logits.shape[1]
    if task.endswith("segmentation"):
        return confusion_matrices(decided(logits), target, classes)
    if task == "multilabel_classification":
        return torch.stack([target > 0.5, logits >= 0], 1)
    return torch.stack([F.one_hot(target, classes) > 0, F.one_hot(decided(logits), classes) > 0], 1)


def outputs_of_decisions(decisions_N: np.ndarray, task: Task) -> Outputs:
    """The same as metrics take them, all in one fold; a decision counts as a probability of 1."""
    images = np.arange(len(decisions_N))
    outputs = Outputs(FAMILIES[task], images, np.zeros_like(images))
    if task.endswith("segmentation"):
        return replace(outputs, confusion=decisions_N)
    return replace(outputs, truth=decisions_N[:, 0], probabilities=decisions_N[:, 1].astype(np.float64))


def _histogram(p_NKHW: Tensor, true_NHW: Tensor, counts_NHW: Tensor) -> Tensor:
    """(N, K, 2, 254) int32."""
    num, classes = p_NKHW.shape[:2]
    # The others of a likely class: 1 - p would be 0 from 6e-8 downwards.
    rest_NHW = torch.where(p_NKHW > 0.5, 0.0, p_NKHW).sum(1)
    image_NHW = torch.arange(num, device=p_NKHW.device)[:, None, None]
    made = []
    for k in range(classes):  # cells of all classes at once would be eight bytes for each of them and pixel
        bins_NHW = bins_of(p_NKHW[:, k], rest_NHW)
        cell = (image_NHW * 2 + (true_NHW == k).long()) * NUM_BINS + bins_NHW
        made.append(_counted(cell, counts_NHW, num * 2 * NUM_BINS).reshape(num, 2, NUM_BINS).int())
    return torch.stack(made, 1)


def bins_of(p: Tensor, rest: Tensor) -> Tensor:
    """The bin of each probability, from 0 to `NUM_BINS` - 1, the same on any device.

    Args:
        p, rest: float32, and 1 - p, which is known better than from p: above 1 - 6e-8, p is 1 while those of other classes differ.
    """
    distances = torch.from_numpy(pixel_bins.DISTANCES).to(p.device)
    lower = p < 0.5
    steps = (torch.where(lower, p, rest).view(torch.int32) >> pixel_bins.SHIFT) - pixel_bins.FIRST_STEP
    distance = distances[steps.clamp(0, len(distances) - 1).long()].long()
    return torch.where(lower, HALF - 1 - distance, HALF + distance)


def decided(p_NKHW: Tensor) -> Tensor:
    """The likeliest class of every pixel (N, H, W) int64; the first of equals, as `Tensor.argmax` has it.

    Class by class, since argmax over a few far-apart numbers takes as long as a seventh of a U-Net.
    """
    best = p_NKHW[:, 0]
    chosen = torch.zeros(best.shape, dtype=torch.int64, device=p_NKHW.device)
    for k in range(1, p_NKHW.shape[1]):
        chosen = torch.where(p_NKHW[:, k] > best, k, chosen)
        best = torch.maximum(best, p_NKHW[:, k])
    return chosen


def _counted(cell: Tensor, counts: Tensor, num_bins: int) -> Tensor:
    """How often each of the cells 0 .. num_bins - 1 is there among those that count; the rest fall into a bin of their own."""
    return torch.bincount(torch.where(counts, cell, num_bins).flatten(), minlength=num_bins + 1)[:num_bins]
