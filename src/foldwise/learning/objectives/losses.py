"""Losses. All of them take logits, as networks end in a linear layer; probabilities appear in `predict` only.

Shapes: N images, K classes, H x W pixels. One label for each image or pixel: logits (N, K) or (N, K, H, W) and
class indices (N,) or (N, H, W). Several labels for each image: logits (N, K) and zeros and ones (N, K). A target
of 255 is counted by no loss, and a batch with nothing else has the loss 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from foldwise.errors import SpecError, choose
from foldwise.learning.objectives.class_weights import Problem, Weights, class_weights, positive_weights
from foldwise.learning.objectives.loss_formulas import (
    BinaryCrossEntropy,
    BinaryFocal,
    CrossEntropy,
    Dice,
    Focal,
    Loss,
    Sum,
)
from foldwise.learning.options import Share, bound, imported
from foldwise.study.spec import Choice, Task

Gamma = Annotated[float, Field(ge=0)]
Smooth = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


def cross_entropy(
    problem: Problem, *, weight: Weights = "none", beta: Share = 0.999, label_smoothing: Share = 0.0
) -> Loss:
    """Cross-entropy.

    Args:
        problem: what the loss is for.
        weight: of the classes; see `class_weights`.
        beta: of the weight ``class_balanced``.
        label_smoothing: share of the target spread over all classes.
    """
    return CrossEntropy(problem, class_weights(problem, weight, beta), label_smoothing)


def focal(problem: Problem, *, gamma: Gamma = 2.0, weight: Weights = "none", beta: Share = 0.999) -> Loss:
    """Focal loss of the softmax: cases already right count less. Gamma 0 is cross-entropy.

    Source: Lin et al. 2017, arXiv:1708.02002, with the softmax in place of the sigmoid.
    """
    return Focal(problem, class_weights(problem, weight, beta), gamma)


def dice(problem: Problem, *, smooth: Smooth = 1.0, background: bool = False) -> Loss:
    """Soft Dice loss.

    Args:
        problem: what the loss is for.
        smooth: added to both sides of the fraction. Above 0, a class that the batch does not hold costs
            1 - smooth / (|P| + smooth), so predicting none of it is right; at 0 it is left out.
        background: whether class 0 is one of the classes of the mean.
    """
    return Dice(problem, smooth, background)


def dice_cross_entropy(
    problem: Problem,
    *,
    dice_share: Positive = 1.0,
    cross_entropy_share: Positive = 1.0,
    smooth: Smooth = 1.0,
    background: bool = False,
    weight: Weights = "none",
) -> Loss:
    """The sum of Dice loss and cross-entropy, each times its share."""
    parts = [(dice_share, dice(problem, smooth=smooth, background=background))]
    return Sum(problem, [*parts, (cross_entropy_share, cross_entropy(problem, weight=weight))])


def binary_cross_entropy(
    problem: Problem, *, pos_weight: Literal["none", "balanced"] | Positive | list[Positive] = "none"
) -> Loss:
    """Binary cross-entropy; where there are two logits, that of their difference.

    Args:
        problem: what the loss is for.
        pos_weight: how often a positive answer counts: a number, one for every label, or ``balanced``, the
            negatives for each positive of the training part.
    """
    return BinaryCrossEntropy(problem, positive_weights(problem, pos_weight))


def binary_focal(problem: Problem, *, gamma: Gamma = 2.0, alpha: Share | None = None) -> Loss:
    """Focal loss of yes-or-no questions (Lin et al. 2017, arXiv:1708.02002); alpha weighs the positive answers."""
    return BinaryFocal(problem, gamma, alpha)


@dataclass(frozen=True)
class Row:
    """A loss, and what it is for: ``one`` label, ``segmentation``, ``binary`` or ``multilabel`` questions."""

    make: Callable[..., Loss]
    fits: frozenset[str]


_ONE, _YES_OR_NO = frozenset({"one", "segmentation"}), frozenset({"binary", "multilabel"})
LOSSES: dict[str, Row] = {
    "cross_entropy": Row(cross_entropy, _ONE),
    "focal": Row(focal, _ONE),
    "dice": Row(dice, frozenset({"segmentation"})),
    "dice_cross_entropy": Row(dice_cross_entropy, frozenset({"segmentation"})),
    "binary_cross_entropy": Row(binary_cross_entropy, _YES_OR_NO),
    "binary_focal": Row(binary_focal, _YES_OR_NO),
}


def make_loss(
    choice: Choice,
    *,
    task: Task,
    num_classes: int,
    class_counts: np.ndarray | None = None,
    num_cases: int | None = None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss asked for: a function from (logits, target) to a scalar.

    Args:
        choice: a row of `LOSSES`, ``auto``, or ``package.module:function``, which is called with the options.
        task: what is predicted.
        num_classes: K, the number of logits.
        class_counts: (K,) images (classification) or pixels (segmentation) of each class in the training part
            of the fold, and of nothing else.
        num_cases: images of that part; only ``pos_weight: balanced`` of several labels needs it.

    Raises:
        SpecError: an unknown name or option, a loss that does not fit the task, or counts that are needed.
    """
    if ":" in choice.name:
        return imported(choice.name, "loss")(**choice.options)
    if choice.name == "auto":
        if choice.options:
            raise SpecError("the loss 'auto' has no options", cure=f"Name the loss: {', '.join(LOSSES)}.")
        choice = Choice(name=automatic(task))
    row = choose(LOSSES, choice.name, "loss")
    options = bound(row.make, choice, "loss")
    if not row.fits & _kinds(task):
        fitting = [name for name, other in LOSSES.items() if other.fits & _kinds(task)]
        raise SpecError(
            f"the loss {choice.name!r} does not fit {task.replace('_', ' ')}",
            cure=f"Use one of: {', '.join(fitting)}.",
        )
    return row.make(Problem(task, num_classes, class_counts, num_cases), **options)


def check_loss(choice: Choice, *, task: Task, num_classes: int) -> None:
    """Raise the SpecError that `make_loss` would, before any class is counted."""
    make_loss(choice, task=task, num_classes=num_classes, class_counts=np.ones(num_classes), num_cases=2)


def automatic(task: Task) -> str:
    """The loss that ``auto`` stands for."""
    if task.endswith("segmentation"):
        return "dice_cross_entropy"
    return "binary_cross_entropy" if task == "multilabel_classification" else "cross_entropy"


def _kinds(task: Task) -> frozenset[str]:
    kinds = {"multilabel"} if task == "multilabel_classification" else {"one"}
    if task.endswith("segmentation"):
        kinds = {"segmentation"}
    return frozenset(kinds | ({"binary"} if task.startswith("binary") else set()))
