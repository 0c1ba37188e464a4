"""Losses. All of them take logits, as networks end in a linear layer; probabilities appear in `predict` only.

Shapes: N images, K classes, H x W pixels. One label for each image or pixel: logits (N, K) or (N, K, H, W) and
class indices (N,) or (N, H, W). Several labels for each image: logits (N, K) and zeros and ones (N, K). A target
of 255 is counted by no loss, and a batch with nothing else has the loss 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from foldwise.errors import SpecError, choose
from foldwise.learning.objectives.loss_formulas import (
    BinaryCrossEntropy,
    BinaryFocal,
    CrossEntropy,
    Dice,
    Focal,
    GroupedLoss,
    Loss,
    Problem,
    Sum,
)
from foldwise.learning.options import bound, imported
from foldwise.study.configurations import Places
from foldwise.study.ranges import Exponent, Share, Weight, WeightAbove0
from foldwise.study.training import Choice, Task, stated_loss

Weights = Literal["none", "balanced", "class_balanced"] | list[Weight]

# Options that say how much a case counts, not what it costs.
WEIGHING = ("weight", "beta", "pos_weight", "alpha")
PER_LABEL = ("pos_weight",)  # options that may be a list with a number for every label


def cross_entropy(
    problem: Problem, *, weight: Weights = "none", beta: Share = 0.999, label_smoothing: Share = 0.0
) -> Loss:
    """Cross-entropy.

    Args:
        weight: of the classes; see `class_weights`.
        beta: of the weight ``class_balanced``.
        label_smoothing: share of the target spread over all classes.
    """
    return CrossEntropy(problem, class_weights(problem, weight, beta), label_smoothing)


def focal(problem: Problem, *, gamma: Exponent = 2.0, weight: Weights = "none", beta: Share = 0.999) -> Loss:
    """Focal loss of the softmax: cases already right count less. Gamma 0 is cross-entropy.

    Source: Lin et al. 2017, arXiv:1708.02002, with the softmax in place of the sigmoid.
    """
    return Focal(problem, class_weights(problem, weight, beta), gamma)


def dice(problem: Problem, *, smooth: Weight = 1.0, background: bool = False) -> Loss:
    """Soft Dice loss.

    Args:
        smooth: added to both sides of the fraction. Above 0, a class that the batch does not hold costs
            1 - smooth / (|P| + smooth), so predicting none of it is right; at 0 it is left out.
        background: whether class 0 is one of the classes of the mean.
    """
    return Dice(problem, smooth, background)


def dice_cross_entropy(
    problem: Problem,
    *,
    dice_share: WeightAbove0 = 1.0,
    cross_entropy_share: WeightAbove0 = 1.0,
    smooth: Weight = 1.0,
    background: bool = False,
    weight: Weights = "none",
) -> Loss:
    """The sum of Dice loss and cross-entropy, each times its share."""
    parts = [(dice_share, dice(problem, smooth=smooth, background=background))]
    return Sum(problem, [*parts, (cross_entropy_share, cross_entropy(problem, weight=weight))])


def binary_cross_entropy(
    problem: Problem, *, pos_weight: Literal["none", "balanced"] | WeightAbove0 | list[WeightAbove0] = "none"
) -> Loss:
    """Binary cross-entropy; where there are two logits, that of their difference.

    Args:
        pos_weight: how often a positive answer counts: a number, one for every label, or ``balanced``, the
            negatives for each positive of the training part.
    """
    return BinaryCrossEntropy(problem, positive_weights(problem, pos_weight))


def binary_focal(problem: Problem, *, gamma: Exponent = 2.0, alpha: Share | None = None) -> Loss:
    """Focal loss of yes-or-no questions (Lin et al. 2017, arXiv:1708.02002); alpha weighs the positive answers."""
    return BinaryFocal(problem, gamma, alpha)


@dataclass(frozen=True)
class LossRow:
    """A loss, and what it is for.

    Attributes:
        fits: ``one`` label, ``segmentation``, ``binary`` or ``multilabel`` questions.
        alone: whether a case has a loss by itself; False where the other pixels of its batch decide, too.
    """

    make: Callable[..., Loss]
    fits: frozenset[str]
    alone: bool = True


_ONE, _MASKS, _YES_OR_NO = (
    frozenset(kinds) for kinds in ({"one", "segmentation"}, {"segmentation"}, {"binary", "multilabel"})
)
LOSSES: dict[str, LossRow] = {
    "cross_entropy": LossRow(cross_entropy, _ONE),
    "focal": LossRow(focal, _ONE),
    "dice": LossRow(dice, _MASKS, alone=False),
    "dice_cross_entropy": LossRow(dice_cross_entropy, _MASKS, alone=False),
    "binary_cross_entropy": LossRow(binary_cross_entropy, _YES_OR_NO),
    "binary_focal": LossRow(binary_focal, _YES_OR_NO),
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
        choice = stated_loss(choice, task)
    row = choose(LOSSES, choice.name, "loss")
    options = bound(row.make, choice, "loss")
    if choice.name not in fitting(task):
        what = f"the loss {choice.name!r} does not fit {task.replace('_', ' ')}"
        raise SpecError(what, cure=f"Use one of: {', '.join(fitting(task))}.")
    return row.make(Problem(task, num_classes, class_counts, num_cases), **options)


def check_loss(choice: Choice, *, task: Task, num_classes: int) -> None:
    """Raise the SpecError that `make_loss` would, before any class is counted."""
    make_loss(choice, task=task, num_classes=num_classes, class_counts=np.ones(num_classes), num_cases=2)


def make_grouped_loss(
    choice: Choice, places: Places, *, class_counts: np.ndarray, task: Task, num_cases: int
) -> GroupedLoss:
    """The loss of `choice`, made anew for every group of labels.

    Args:
        choice: as for `make_loss`; a list with a number for every label is dealt to the groups.
        places: the class indices of every group.
        class_counts: (K,) of all labels.
    """
    lists = {
        name: value for name, value in choice.options.items() if name in PER_LABEL and isinstance(value, list)
    }
    losses = []
    for labels in map(list, places):
        own_lists = {name: [value[label] for label in labels] for name, value in lists.items()}
        own = Choice(name=choice.name, options=choice.options | own_lists)
        # Counted by label, so that each model has the weights that it would have alone.
        about = {"num_classes": len(labels), "class_counts": class_counts[labels], "num_cases": num_cases}
        losses.append(make_loss(own, task=task, **about))
    return GroupedLoss(losses, places)


def losses_to_map(
    choice: Choice, *, task: Task, num_classes: int, class_counts: np.ndarray
) -> dict[str, Loss]:
    """The losses by which a segmentation is drawn pixel by pixel: its own first, then every row with its defaults.

    A user's own loss is left out: it need not be a sum over pixels.
    """
    # By name: the loss of the fit may be a row with its defaults, and is then drawn once.
    choices = (stated_loss(choice, task), *(Choice(name=name) for name in fitting(task)))
    about = {"task": task, "num_classes": num_classes, "class_counts": class_counts}
    losses = {name: make_loss(own, **about) for name, own in {str(own): own for own in choices}.items()}
    return {name: loss for name, loss in losses.items() if isinstance(loss, Loss)}


def fitting(task: Task) -> tuple[str, ...]:
    """Names of the losses for a task."""
    kinds = {"multilabel"} if task == "multilabel_classification" else {"one"}
    if task.endswith("segmentation"):
        kinds = {"segmentation"}
    if task.startswith("binary"):
        kinds |= {"binary"}
    return tuple(name for name, row in LOSSES.items() if row.fits & kinds)


def class_weights(problem: Problem, weight: Weights, beta: float) -> Tensor | None:
    """The weight of every class (K,), None where all count alike.

    Args:
        problem: what the loss is for, with the class counts of the training part.
        weight: ``none``; ``balanced``, n / (K n_k), so that every class counts as much as every other in sum;
            ``class_balanced``, the inverse of the effective number of images (1 - beta^n_k) / (1 - beta),
            scaled to the sum K; or a list of K numbers. A class without cases is never a target, and gets 0.
        beta: how soon more images of a class bring nothing new: 0 at once, towards 1 never.

    Raises:
        SpecError: a list of another length, no counts, or ``class_balanced`` for pixels.

    Source: Cui, Jia, Lin, Song & Belongie 2019, arXiv:1901.05555.
    """
    if weight == "none":
        return None
    if isinstance(weight, list):
        if len(weight) != problem.num_classes or not any(weight):
            raise SpecError(
                f"the loss has {len(weight)} class weights for {problem.num_classes} classes: {weight}",
                cure="Give one weight for each class, in the order of the classes, and not all of them 0.",
            )
        return torch.tensor(weight, dtype=torch.float32)
    counts = _counts(problem)
    if weight == "balanced":
        inverse = counts.sum() / (problem.num_classes * counts.clip(min=1))
        return torch.tensor(np.where(counts > 0, inverse, 0.0), dtype=torch.float32)
    if problem.task.endswith("segmentation"):
        raise SpecError(
            "the weight 'class_balanced' counts images, and this task counts pixels, which are not independent",
            cure="Use 'balanced', or a list of weights.",
        )
    # 1 - beta^n by expm1: for a beta near 1 the difference itself would have no digits left. A beta of 0 has no
    # logarithm, and so small a number has the same limit: every class counts alike.
    effective = -np.expm1(counts.clip(min=1) * np.log(max(beta, 1e-300)))
    inverse = np.where(counts > 0, (1 - beta) / effective, 0.0)
    return torch.tensor(inverse * problem.num_classes / inverse.sum(), dtype=torch.float32)


def positive_weights(problem: Problem, weight: float | list[float] | str) -> Tensor | None:
    """How often a positive answer counts, a scalar or (K,), None where it counts once.

    Raises:
        SpecError: a list where there is one question, or of another length; no counts for ``balanced``.
    """
    if weight == "none":
        return None
    several = problem.task == "multilabel_classification"
    if isinstance(weight, list):
        if not several or len(weight) != problem.num_classes:
            wanted = f"{problem.num_classes} labels" if several else "one question"
            raise SpecError(
                f"the loss has {len(weight)} positive weights for {wanted}",
                cure="Give one weight for each label." if several else "Give a single number.",
            )
        return torch.tensor(weight, dtype=torch.float32)
    if weight != "balanced":
        return torch.tensor(float(weight))
    counts = _counts(problem)
    if not several:
        return torch.tensor(counts[0] / max(counts[1], 1.0), dtype=torch.float32)
    if problem.num_cases is None:
        raise ValueError("balanced positive weights of several labels need the number of images")
    return torch.tensor((problem.num_cases - counts) / counts.clip(min=1), dtype=torch.float32)


def _counts(problem: Problem) -> np.ndarray:
    if problem.class_counts is None:
        raise ValueError("weights by class need the class counts of the training part")
    counts = np.asarray(problem.class_counts, dtype=np.float64)
    if counts.shape != (problem.num_classes,) or not counts.any():
        raise ValueError(f"expected counts of {problem.num_classes} classes, not all 0, got {counts}")
    return counts
