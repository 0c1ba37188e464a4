"""What is asked at every point of a surface: the losses of a study, standard ones, and what decisions cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from foldwise.data.batches.batches import Batch
from foldwise.errors import FoldwiseError, SpecError
from foldwise.insight.landscape.points import Criterion, Pooled, evaluate
from foldwise.learning.objectives.losses import check_loss
from foldwise.learning.training.counting import CLIP, decided
from foldwise.learning.training.scoring import ForwardPass
from foldwise.learning.training.setup import FitRequest, class_counts, loss_of
from foldwise.study.automatic import stated_loss
from foldwise.study.spec import IGNORE, Choice, Task

MAX_LOSSES = 6
STANDARD = {
    "segmentation": ("cross_entropy", "focal", "dice"),
    "several": ("binary_cross_entropy", "binary_focal"),
    "one": ("cross_entropy", "focal"),
}


@dataclass(frozen=True)
class Named:
    """A criterion with its name, and whether it is a loss or the error of decisions; smaller is better."""

    name: str
    title: str
    kind: Literal["loss", "error"]
    of: Criterion

    def record(self) -> dict[str, str]:
        """What result.json says of it."""
        return {"name": self.name, "title": self.title, "kind": self.kind}


def criteria_of(request: FitRequest) -> tuple[list[Named], int | None]:
    """The losses, then 1 - the metric that decides; and which of them the fit was trained with.

    The losses that were asked for come first. Where nothing was, these are those of the study, the fit's own among
    them however many there are, and then the standard ones.
    """
    about, task = request.settings["landscape"], request.packed.task
    own = stated_loss(request.training.loss, task)
    losses = _unique(stated_loss(Choice.model_validate(loss), task) for loss in about["losses"])
    if about["standard"]:
        others = [loss for loss in losses if loss != own][: MAX_LOSSES - 1]
        losses = [loss for loss in losses if loss == own or loss in others]
        names = {loss.name for loss in losses}
        room = MAX_LOSSES - len(losses)
        losses += [Choice(name=name) for name in STANDARD[_family(task)] if name not in names][:room]
    trained_with = losses.index(own) if own in losses else None
    criteria = [Named(str(loss), str(loss), "loss", loss_of(request, loss)) for loss in losses]
    return [*criteria, error_of(about["metric"], task)], trained_with


def check_losses(losses: Sequence[Choice], *, task: Task, num_classes: int, where: str) -> None:
    """Refuse losses that do not exist, do not fit the task or have no such option.

    Raises:
        SpecError: all of them at once.
    """
    errors = []
    for loss in losses:
        try:
            check_loss(loss, task=task, num_classes=num_classes)
        except FoldwiseError as error:
            errors.append(SpecError(error.what, where=where, cure=error.cure))
    if errors:
        raise SpecError.together(errors)


def _unique(losses: Iterable[Choice]) -> list[Choice]:
    return list({str(loss): loss for loss in losses}.values())


def _family(task: Task) -> str:
    if task.endswith("segmentation"):
        return "segmentation"
    return "several" if task == "multilabel_classification" else "one"


@dataclass(frozen=True)
class Decisions:
    """A metric of hard decisions: what is counted of a batch, and the metric of the sum of the counts."""

    title: str
    counts: Callable[[Tensor, Tensor], Tensor]
    value: Callable[[Tensor], Tensor]


def error_of(metric: str, task: Task) -> Named:
    """1 - the metric a study is judged by; where that does not follow from decisions, the first of its task.

    ``auto``, and what needs ranks, probabilities or outlines, such as AUROC, do not.
    """
    table = ERRORS[_family(task)]
    wanted = (metric, f"{metric}_macro", f"{metric}_img_macro", f"{metric}_img")
    name = next((one for one in wanted if one in table), next(iter(table)))
    row = table[name]
    of = Pooled(row.counts, lambda total: 1 - row.value(total))
    return Named(f"1 - {name}", f"1 - {row.title}", "error", of)


def _confusion_NKK(logits: Tensor, target: Tensor) -> Tensor:
    """(N, K, K) by [true, decided]: pixels of each image, or the image itself."""
    num, classes = logits.shape[:2]
    rows = torch.arange(num, device=logits.device).reshape(-1, *[1] * (target.ndim - 1)).expand_as(target)
    counts = target != IGNORE
    place = (rows * classes + target) * classes + decided(logits)
    return torch.bincount(place[counts], minlength=num * classes**2).reshape(num, classes, classes)


def _confusion(logits: Tensor, target: Tensor) -> Tensor:
    return _confusion_NKK(logits, target).sum(0)


def _of_labels(logits_NK: Tensor, target_NK: Tensor) -> Tensor:
    """(K, 2, 2) by [true, decided], each label by itself."""
    said, true = logits_NK >= 0, target_NK > 0.5
    cells = [((true == t) & (said == s)).sum(0) for t in (False, True) for s in (False, True)]
    return torch.stack(cells, -1).reshape(-1, 2, 2)


def _whole_rows(logits_NK: Tensor, target_NK: Tensor) -> Tensor:
    right = ((logits_NK >= 0) == (target_NK > 0.5)).all(1)
    return torch.stack([right.sum(), torch.tensor(len(right), device=right.device)])


def _overlap_sums(weight: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Of a batch: the sum over images of the mean over their foreground classes, and how many images have any.

    `weight` 2 gives Dice, 1 IoU; as `fitting.scoring.overlap` has it.
    """

    def sums(logits: Tensor, target: Tensor) -> Tensor:
        ratio, known = _overlaps(_confusion_NKK(logits, target), weight)
        there = known.sum(-1)
        per_image = ratio.sum(-1) / there.clamp(min=1)
        return torch.stack([per_image.sum(), (there > 0).sum()])

    return sums


def _overlaps(confusion: Tensor, weight: int) -> tuple[Tensor, Tensor]:
    """(..., K - 1) the overlap of each foreground class, 0 where it is in neither, and whether it is in either."""
    counts = confusion.double() if confusion.device.type != "mps" else confusion.float()
    hit = counts.diagonal(dim1=-2, dim2=-1)[..., 1:]
    miss = counts.sum(-1)[..., 1:] + counts.sum(-2)[..., 1:] - 2 * hit
    known = hit + miss > 0
    return weight * hit / (weight * hit + miss).clamp(min=1), known


def _pooled_overlap(weight: int) -> Callable[[Tensor], Tensor]:
    def value(confusion: Tensor) -> Tensor:
        ratio, known = _overlaps(confusion, weight)
        return ratio.sum() / known.sum()

    return value


def _share(total: Tensor) -> Tensor:
    return total[0] / total[1]


def _right(confusion: Tensor) -> Tensor:
    """The share of right decisions, of all classes or labels."""
    return confusion.diagonal(dim1=-2, dim2=-1).sum() / confusion.sum()


def _recall(confusion: Tensor) -> Tensor:
    there = confusion.sum(1) > 0
    return (confusion.diagonal() / confusion.sum(1).clamp(min=1))[there].mean()


def _f1(confusion: Tensor) -> Tensor:
    hit, size = confusion.diagonal(), confusion.sum(0) + confusion.sum(1)
    return (2 * hit / size.clamp(min=1))[size > 0].mean()


def _f1_of_labels(counts_K22: Tensor) -> Tensor:
    hit = counts_K22[:, 1, 1]
    size = counts_K22[:, 1].sum(1) + counts_K22[:, :, 1].sum(1)
    return (2 * hit / size.clamp(min=1))[size > 0].mean()


# The first of each is taken where a study is judged by something that decisions do not tell.
ERRORS: Mapping[str, Mapping[str, Decisions]] = {
    "segmentation": {
        "dice_img_macro": Decisions("Dice per image", _overlap_sums(2), _share),
        "iou_img_macro": Decisions("IoU per image", _overlap_sums(1), _share),
        "dice_pooled_macro": Decisions("Dice, pooled", _confusion, _pooled_overlap(2)),
        "iou_pooled_macro": Decisions("IoU, pooled", _confusion, _pooled_overlap(1)),
        "pixel_accuracy_pooled": Decisions("pixel accuracy", _confusion, _right),
    },
    "several": {
        "label_accuracy": Decisions("label accuracy", _of_labels, _right),
        "exact_match": Decisions("exact match", _whole_rows, _share),
        "f1_macro": Decisions("macro F1", _of_labels, _f1_of_labels),
    },
    "one": {
        "balanced_accuracy": Decisions("balanced accuracy", _confusion, _recall),
        "accuracy": Decisions("accuracy", _confusion, _right),
        "f1_macro": Decisions("macro F1", _confusion, _f1),
    },
}


class Trivial(nn.Module):
    """Says the same of every image and pixel: the share that each class has of the training part."""

    def __init__(self, logits_K: Tensor, *, pixels: bool) -> None:
        super().__init__()
        self.register_buffer("logits_K", logits_K)
        self.pixels = pixels

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, K), or (N, K, H, W)."""
        if self.pixels:
            num, _, height, width = inputs.shape
            return self.logits_K[None, :, None, None].expand(num, -1, height, width)
        return self.logits_K.expand(len(inputs), -1)


def trivial_predictor(request: FitRequest) -> Trivial:
    """That of a fit. Its decision is the most frequent class, of several labels those that most images have."""
    packed, train = request.packed, request.split.train
    counts = class_counts(packed, train).astype(np.float64)
    if packed.task == "multilabel_classification":
        share = (counts / len(train)).clip(CLIP, 1 - CLIP)
        logits = np.log(share) - np.log1p(-share)
    else:
        logits = np.log((counts / max(counts.sum(), 1)).clip(min=CLIP))
    return Trivial(torch.from_numpy(logits).float(), pixels=request.segmentation).to(request.device)


def trivial_values(
    request: FitRequest, batches: Sequence[Batch], criteria: Sequence[Named], forward: ForwardPass
) -> np.ndarray:
    """(L,) what each criterion says of the trivial predictor, on the images that are looked at."""
    plain: dict[str, Any] = {"layout": torch.contiguous_format, "precision": "fp32"}
    asking = ForwardPass(forward.task, forward.num_classes, forward.device, **plain)
    return evaluate(trivial_predictor(request), batches, [one.of for one in criteria], forward=asking)
