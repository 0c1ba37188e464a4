"""What is asked at every point of a surface: the losses of a study, standard ones, and what decisions cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from foldwise.data.batches.batches import Batch
from foldwise.errors import FoldwiseError, SpecError
from foldwise.insight.landscape.points import Criterion, Pooled, evaluate
from foldwise.learning.objectives.losses import check_loss
from foldwise.learning.training.scoring import ForwardPass, decisions, outputs_of_decisions
from foldwise.learning.training.setup import FitRequest, class_counts, loss_of
from foldwise.metrics.influence import value_of
from foldwise.metrics.outputs import CLIP, FAMILIES
from foldwise.metrics.table import METRICS, choose_metric
from foldwise.study.training import Choice, Task, stated_loss
from foldwise.text import in_text

MAX_LOSSES = 6
STANDARD = {
    "segmentation": ("cross_entropy", "focal", "dice"),
    "multilabel": ("binary_cross_entropy", "binary_focal"),
    "binary": ("cross_entropy", "focal"),
    "multiclass": ("cross_entropy", "focal"),
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
    stated = [stated_loss(Choice.model_validate(loss), task) for loss in about["losses"]]
    losses = list({str(loss): loss for loss in stated}.values())
    if about["standard"]:
        # Room is left for the loss that the fit was trained with, wherever it stands in the study.
        others = [loss for loss in losses if loss != own][: MAX_LOSSES - 1]
        losses = [loss for loss in losses if loss == own or loss in others]
        # By name: a loss of the study stands for the standard one, whatever its options are.
        names = {loss.name for loss in losses}
        room = MAX_LOSSES - len(losses)
        losses += [Choice(name=name) for name in STANDARD[FAMILIES[task]] if name not in names][:room]
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


def error_of(metric: str, task: Task) -> Named:
    """1 - the metric a study is judged by; where that does not follow from decisions, that of its task which does.

    Ranks, probabilities and boundaries, as AUROC and NSD need them, do not. Of a metric that is better when lower
    the error is the metric itself.
    """
    family = FAMILIES[task]
    row = choose_metric(metric, family)
    if row.needs != "decisions":
        # The default of several labels is a ranking itself.
        row = METRICS["label_accuracy"] if family == "multilabel" else choose_metric("auto", family)

    def value(decisions_N: np.ndarray) -> float:
        score = value_of(row, outputs_of_decisions(decisions_N, task))
        return 1 - score if row.higher_is_better else score

    of = Pooled(lambda logits, target: decisions(logits, target, task), value)
    before = "1 - " if row.higher_is_better else ""
    return Named(f"{before}{row.name}", f"{before}{in_text(row.title)}", "error", of)


class Trivial(nn.Module):
    """Says the same of every image and pixel: the share that each class has of the training part."""

    def __init__(self, logits_K: Tensor, *, pixels: bool) -> None:
        super().__init__()
        self.logits_K, self.pixels = logits_K, pixels

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
    return Trivial(torch.from_numpy(logits).float().to(request.device), pixels=request.segmentation)


def trivial_values(
    request: FitRequest, batches: Sequence[Batch], criteria: Sequence[Named], forward: ForwardPass
) -> np.ndarray:
    """(L,) what each criterion says of the trivial predictor, on the images that are looked at."""
    # In float32, as all criteria of a landscape are; and a constant has no convolution that a layout could help.
    plain = replace(forward, layout=torch.contiguous_format, precision="fp32")
    rules = [criterion.of for criterion in criteria]
    return evaluate(trivial_predictor(request), batches, rules, forward=plain)
