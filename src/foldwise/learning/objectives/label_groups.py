"""The loss of several models that are trained side by side, each for some of the labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foldwise.learning.objectives.losses import make_loss
from foldwise.study.label_groups import Places
from foldwise.study.spec import Choice

PER_LABEL = ("pos_weight",)  # options that may be a list with a number for every label


class GroupedLoss(nn.Module):
    """Every group's own loss: each model gets the gradient it would get alone.

    A mean over all K labels would give a group of k labels k / K of its gradient, and so another learning rate. What
    is returned is that mean nevertheless, the losses weighted by their numbers of labels: it is one number with the
    loss of a single model for all labels, and curves can be compared.
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


def make_grouped_loss(
    choice: Choice, places: Places, *, class_counts: np.ndarray, **asked: Any
) -> GroupedLoss:
    """The loss asked for, made anew for every group.

    Args:
        choice: as for `make_loss`; a list with a number for every label is dealt to the groups.
        places: the class indices of every group.
        class_counts: (K,) of all labels.
        asked: ``task`` and ``num_cases``.
    """
    losses = []
    for group in places:
        options = {
            name: [value[place] for place in group]
            if name in PER_LABEL and isinstance(value, list)
            else value
            for name, value in choice.options.items()
        }
        own = Choice(name=choice.name, options=options)
        counts = class_counts[list(group)]
        losses.append(make_loss(own, num_classes=len(group), class_counts=counts, **asked))
    return GroupedLoss(losses, places)
