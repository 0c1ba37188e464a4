"""The formulas of the losses, as modules from (logits, target) to a scalar; `losses` says which are to be had.

Shapes are those of `losses`. Whatever the precision of the network, a loss is computed in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldwise.learning.objectives.class_weights import Problem
from foldwise.study.spec import IGNORE


class Loss(nn.Module):
    """A scalar from (logits, target), smaller is better."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.ignored = problem.ignored

    def _at(self, weight: Tensor | None, logits: Tensor) -> Tensor | None:
        return None if weight is None else weight.to(logits.device)


class CrossEntropy(Loss):
    """The mean of -log p(true class), each case weighted by its class."""

    def __init__(self, problem: Problem, weight_K: Tensor | None, label_smoothing: float) -> None:
        super().__init__(problem)
        self.label_smoothing = label_smoothing
        self.register_buffer("weight_K", weight_K)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss; the sum over cases is divided by the sum of their weights, as in torch."""
        target, weight_K = target.long(), self._at(self.weight_K, logits)
        total = F.cross_entropy(
            logits.float(),
            target,
            weight_K,
            ignore_index=self.ignored,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        return total / _weight_sum(target, weight_K, self.ignored)


class Focal(Loss):
    """The mean of -(1 - p)^gamma log p, p the softmax probability of the true class."""

    def __init__(self, problem: Problem, weight_K: Tensor | None, gamma: float) -> None:
        super().__init__(problem)
        self.gamma = gamma
        self.register_buffer("weight_K", weight_K)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss; the gradient flows through both factors."""
        target, weight_K = target.long(), self._at(self.weight_K, logits)
        counted = target != self.ignored
        safe = torch.where(counted, target, 0)
        log_p = logits.float().log_softmax(1).gather(1, safe[:, None])[:, 0]
        terms = -_focus(log_p, self.gamma) * log_p
        if weight_K is not None:
            terms = terms * weight_K[safe]
        return torch.where(counted, terms, 0.0).sum() / _weight_sum(target, weight_K, self.ignored)


class Dice(Loss):
    """1 - the mean over classes of soft Dice, 2 |P T| / (|P| + |T|), all pixels of a batch taken together."""

    def __init__(self, problem: Problem, smooth: float, background: bool) -> None:
        super().__init__(problem)
        self.smooth, self.first = smooth, 0 if background else 1

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss. With smooth 0 a class that the batch does not hold is left out of the mean."""
        logits, target = logits.float(), target.long()
        counted_NHW = target != self.ignored
        p_NKHW = logits.softmax(1) * counted_NHW[:, None]
        # A comparison keeps one byte for each number where one-hot integers would keep eight; 255 equals no class.
        true_NKHW = target[:, None] == torch.arange(logits.shape[1], device=target.device)[:, None, None]
        overlap_K = (p_NKHW * true_NKHW).sum((0, 2, 3))[self.first :]
        size_K = (p_NKHW.sum((0, 2, 3)) + true_NKHW.sum((0, 2, 3)))[self.first :]
        if self.smooth:
            return 1 - ((2 * overlap_K + self.smooth) / (size_K + self.smooth)).mean()
        held_K = true_NKHW.sum((0, 2, 3))[self.first :] > 0
        lost_K = torch.where(held_K, 1 - 2 * overlap_K / size_K.clamp(min=1e-6), 0.0)
        return lost_K.sum() / held_K.sum().clamp(min=1)


class Sum(Loss):
    """A weighted sum of losses."""

    def __init__(self, problem: Problem, parts: list[tuple[float, Loss]]) -> None:
        super().__init__(problem)
        self.shares = [share for share, _ in parts]
        self.parts = nn.ModuleList(part for _, part in parts)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return sum(share * part(logits, target) for share, part in zip(self.shares, self.parts, strict=True))


class BinaryCrossEntropy(Loss):
    """The mean of -log p(what is true) over yes-or-no questions, p the sigmoid of a logit."""

    def __init__(self, problem: Problem, weight: Tensor | None) -> None:
        super().__init__(problem)
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss; a positive answer counts `weight` times."""
        z, answer, counted = _questions(logits, target)
        weight = self._at(self.weight, logits)
        terms = F.binary_cross_entropy_with_logits(z, answer, pos_weight=weight, reduction="none")
        return _mean_where(counted, terms)


class BinaryFocal(Loss):
    """The mean of -a (1 - p)^gamma log p over yes-or-no questions, p the probability of what is true."""

    def __init__(self, problem: Problem, gamma: float, alpha: float | None) -> None:
        super().__init__(problem)
        self.gamma, self.alpha = gamma, alpha

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss; a is `alpha` for positive answers, 1 - alpha for negative ones."""
        z, answer, counted = _questions(logits, target)
        log_p = F.logsigmoid(torch.where(answer > 0.5, z, -z))
        terms = -_focus(log_p, self.gamma) * log_p
        if self.alpha is not None:
            terms = terms * torch.where(answer > 0.5, self.alpha, 1 - self.alpha)
        return _mean_where(counted, terms)


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
    logits = logits.float()
    z = logits if target.ndim == logits.ndim else logits[:, 1] - logits[:, 0]
    counted = target != IGNORE
    return z, torch.where(counted, target, 0).to(z.dtype), counted


def _mean_where(counted: Tensor, terms: Tensor) -> Tensor:
    return torch.where(counted, terms, 0.0).sum() / counted.sum().clamp(min=1)
