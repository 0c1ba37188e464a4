"""How much each class counts in a loss, from how many cases of it the training part of a fold holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from foldwise.errors import SpecError
from foldwise.study.spec import IGNORE, Task

Weight = Annotated[float, Field(ge=0)]
Weights = Literal["none", "balanced", "class_balanced"] | list[Weight]


@dataclass(frozen=True)
class Problem:
    """What a loss is for.

    Args:
        task: what is predicted.
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
    inverse = np.where(
        counts > 0, (1 - beta) / -np.expm1(counts.clip(min=1) * np.log(max(beta, 1e-300))), 0.0
    )
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
