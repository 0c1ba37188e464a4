"""The formulas of the losses, as modules from (logits, target) to a scalar; `losses` says which there are.

Shapes are those of `losses`. Whatever the precision of the network, a loss is computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldwise.study.configurations import Places
from foldwise.study.ranges import IGNORE
from foldwise.study.training import Task


@dataclass(frozen=True)
class Problem:
    """What a loss is for.

    Args:
        num_classes: K, the number of logits.
        class_counts: (K,) images or pixels of each class in the training part, ignored ones left out.
        num_cases: images in the training part; only several labels for each image need it.
    """

    task: Task
    num_classes: int
    class_counts: np.ndarray | None = None
    num_cases: int | None = None

    @property
    def ignored(self) -> int:
        """The target that is not counted; with so many classes that it names one of them, there is none."""
        return IGNORE if self.num_classes <= IGNORE else -100


class Loss(nn.Module):
    """A scalar from (logits, target), smaller is better; `shares` takes it apart."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.ignored = problem.ignored

    def shares(self, logits: Tensor, target: Tensor) -> Tensor:
        """What each target adds, in the shape of `target`: the mean of what counts is the loss; nan elsewhere.

        So the shares of different losses of one image stand on one scale, that of the losses themselves.
        """
        raise NotImplementedError

    def _at(self, weight: Tensor | None, logits: Tensor) -> Tensor | None:
        return None if weight is None else weight.to(logits.device)


class MeanOfTerms(Loss):
    """A loss that is the mean of a term for every target, weighted or not."""

    def terms(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The weighted terms in the shape of `target`, which of them count, and the sum of the weights of these."""
        raise NotImplementedError

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        terms, counted, weight = self.terms(logits, target)
        return torch.where(counted, terms, 0.0).sum() / weight

    def shares(self, logits: Tensor, target: Tensor) -> Tensor:
        """Terms in units of the mean weight."""
        return _shared(*self.terms(logits, target))


class CrossEntropy(Loss):
    """The mean of -log p(true class), each case weighted by its class."""

    def __init__(self, problem: Problem, weight_K: Tensor | None, label_smoothing: float) -> None:
        super().__init__(problem)
        self.label_smoothing = label_smoothing
        self.register_buffer("weight_K", weight_K)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss; the sum over cases is divided by the sum of their weights, as in torch."""
        # One kernel sums as it goes; a tensor of terms would have to be kept for the gradient.
        target, weight_K = target.long(), self._at(self.weight_K, logits)
        return self._terms(logits, target, "sum") / _weight_sum(target, weight_K, self.ignored)

    def shares(self, logits: Tensor, target: Tensor) -> Tensor:
        """Terms in units of the mean weight."""
        target, weight_K = target.long(), self._at(self.weight_K, logits)
        terms = self._terms(logits, target, "none")
        return _shared(terms, target != self.ignored, _weight_sum(target, weight_K, self.ignored))

    def _terms(self, logits: Tensor, target: Tensor, reduction: str) -> Tensor:
        return F.cross_entropy(
            logits.float(),
            target,
            self._at(self.weight_K, logits),
            ignore_index=self.ignored,
            reduction=reduction,
            label_smoothing=self.label_smoothing,
        )


class Focal(MeanOfTerms):
    """The mean of -(1 - p)^gamma log p, p the softmax probability of the true class; both factors have a gradient."""

    def __init__(self, problem: Problem, weight_K: Tensor | None, gamma: float) -> None:
        super().__init__(problem)
        self.gamma = gamma
        self.register_buffer("weight_K", weight_K)

    def terms(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each weighted by its class."""
        target = target.long()
        weight_K, counted = self._at(self.weight_K, logits), target != self.ignored
        safe = torch.where(counted, target, 0)
        log_p = logits.float().log_softmax(1).gather(1, safe[:, None])[:, 0]
        terms = -_focus(log_p, self.gamma) * log_p
        if weight_K is not None:
            terms = terms * weight_K[safe]
        return terms, counted, _weight_sum(target, weight_K, self.ignored)


class Dice(Loss):
    """1 - the mean over classes of soft Dice, 2 |P T| / (|P| + |T|), all pixels of a batch taken together."""

    def __init__(self, problem: Problem, smooth: float, background: bool) -> None:
        super().__init__(problem)
        self.smooth, self.first = smooth, 0 if background else 1

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss. With smooth 0 a class that the batch does not hold is left out of the mean."""
        p_NKHW, true_NKHW, _ = self._compared(logits, target)
        overlap_K = (p_NKHW * true_NKHW).sum((0, 2, 3))[self.first :]
        size_K = self._size(p_NKHW, true_NKHW)
        if self.smooth:
            return 1 - ((2 * overlap_K + self.smooth) / (size_K + self.smooth)).mean()
        present_K = self._present(true_NKHW)
        lost_K = torch.where(present_K, 1 - 2 * overlap_K / size_K.clamp(min=1e-6), 0.0)
        return lost_K.sum() / present_K.sum().clamp(min=1)

    def shares(self, logits: Tensor, target: Tensor) -> Tensor:
        """|t - p| / (|P| + |T| + smooth), mean over classes.

        1 - (2 |P T| + s) / (|P| + |T| + s) has |P| + |T| - 2 |P T| above the line, to which each pixel adds its own
        |t - p|; so the shares are exact.
        """
        p_NKHW, true_NKHW, counted_NHW = self._compared(logits, target)
        present_K = self._present(true_NKHW) | bool(self.smooth)
        per_pixel_K = present_K / (self._size(p_NKHW, true_NKHW) + self.smooth).clamp(min=1e-6)
        apart_NKHW = (p_NKHW - true_NKHW.float()).abs()[:, self.first :]
        terms_NHW = (apart_NKHW * per_pixel_K[:, None, None]).sum(1)
        return _shared(terms_NHW, counted_NHW, present_K.sum().clamp(min=1))

    def _compared(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities, 0 where nothing counts; the truth of every class; and what counts."""
        logits, target = logits.float(), target.long()
        counted_NHW = target != self.ignored
        p_NKHW = logits.softmax(1) * counted_NHW[:, None]
        # A comparison keeps one byte for each number where one-hot integers would keep eight; 255 equals no class.
        true_NKHW = target[:, None] == torch.arange(logits.shape[1], device=target.device)[:, None, None]
        return p_NKHW, true_NKHW, counted_NHW

    def _size(self, p_NKHW: Tensor, true_NKHW: Tensor) -> Tensor:
        return (p_NKHW.sum((0, 2, 3)) + true_NKHW.sum((0, 2, 3)))[self.first :]

    def _present(self, true_NKHW: Tensor) -> Tensor:
        return true_NKHW.sum((0, 2, 3))[self.first :] > 0


class Sum(Loss):
    """A weighted sum of losses."""

    def __init__(self, problem: Problem, parts: list[tuple[float, Loss]]) -> None:
        super().__init__(problem)
        self.factors = [factor for factor, _ in parts]
        self.parts = nn.ModuleList(part for _, part in parts)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return self._sum(part(logits, target) for part in self.parts)

    def shares(self, logits: Tensor, target: Tensor) -> Tensor:
        """The same sum of the shares of each."""
        return self._sum(part.shares(logits, target) for part in self.parts)

    def _sum(self, of_parts: Iterable[Tensor]) -> Tensor:
        return sum(factor * value for factor, value in zip(self.factors, of_parts, strict=True))


class BinaryCrossEntropy(MeanOfTerms):
    """The mean of -log p(what is true) over yes-or-no questions, p the sigmoid of a logit."""

    def __init__(self, problem: Problem, weight: Tensor | None) -> None:
        super().__init__(problem)
        self.register_buffer("weight", weight)

    def terms(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A positive answer counts `weight` times, but once in the number that the sum is divided by, as in torch."""
        z, answer, counted = _questions(logits, target)
        weight = self._at(self.weight, logits)
        terms = F.binary_cross_entropy_with_logits(z, answer, pos_weight=weight, reduction="none")
        return terms, counted, counted.sum().clamp(min=1)


class BinaryFocal(MeanOfTerms):
    """The mean of -a (1 - p)^gamma log p over yes-or-no questions, p the probability of what is true."""

    def __init__(self, problem: Problem, gamma: float, alpha: float | None) -> None:
        super().__init__(problem)
        self.gamma, self.alpha = gamma, alpha

    def terms(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """With a: `alpha` for positive answers, 1 - alpha for negative ones."""
        z, answer, counted = _questions(logits, target)
        # logsigmoid keeps the digits of a probability near 0 that the logarithm of a sigmoid would lose.
        log_p = F.logsigmoid(torch.where(answer > 0.5, z, -z))
        terms = -_focus(log_p, self.gamma) * log_p
        if self.alpha is not None:
            terms = terms * torch.where(answer > 0.5, self.alpha, 1 - self.alpha)
        return terms, counted, counted.sum().clamp(min=1)


class GroupedLoss(nn.Module):
    """The loss of models that are trained side by side, each for some of the labels.

    Each model gets the gradient it would get alone: a mean over all K labels would give a group of k labels k / K of
    its gradient, and so another learning rate. The value is that mean nevertheless, the losses weighted by their
    numbers of labels, so that curves can be compared with those of a single model for all labels.
    """

    def __init__(self, losses: list[Callable[[Tensor, Tensor], Tensor]], places: Places) -> None:
        super().__init__()
        self.losses, self.places = losses, places
        self.modules_of_losses = nn.ModuleList(loss for loss in losses if isinstance(loss, nn.Module))

    def forward(self, logits_NK: Tensor, target_NK: Tensor) -> Tensor:
        """The scalar."""
        pairs = zip(self.losses, map(list, self.places), strict=True)
        each = torch.stack([loss(logits_NK[:, group], target_NK[:, group]) for loss, group in pairs])
        sizes = torch.tensor([len(group) for group in self.places], dtype=each.dtype, device=each.device)
        mean, total = (each * sizes / sizes.sum()).sum(), each.sum()
        return mean.detach() + total - total.detach()  # the value of the mean, the gradient of the sum


def _focus(log_p: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma; bounded away from 0, where a gamma below 1 has no finite slope."""
    return (-torch.expm1(log_p)).clamp(min=1e-12) ** gamma if gamma else torch.ones_like(log_p)


def _weight_sum(target: Tensor, weight_K: Tensor | None, ignored: int) -> Tensor:
    counted = target != ignored
    if weight_K is None:
        return counted.sum().clamp(min=1)
    return torch.where(counted, weight_K[torch.where(counted, target, 0)], 0.0).sum().clamp(min=1e-12)


def _questions(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logit, answer (0. or 1.) and whether it counts, of every yes-or-no question; all of one shape."""
    # The softmax of two logits is the sigmoid of their difference.
    logits = logits.float()
    z = logits if target.ndim == logits.ndim else logits[:, 1] - logits[:, 0]
    counted = target != IGNORE
    return z, torch.where(counted, target, 0).to(z.dtype), counted


def _shared(terms: Tensor, counted: Tensor, divisor: Tensor) -> Tensor:
    """Terms whose sum over `divisor` is a loss, scaled so that their mean is; nan where nothing counts."""
    return torch.where(counted, terms * (counted.sum() / divisor), torch.nan)
