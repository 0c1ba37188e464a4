"""Several models side by side, each for some of the labels, joined into one answer in the order of the classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from foldwise.learning.networks.network import Network
from foldwise.study.label_groups import Places


class Joined(nn.Module):
    """What several modules say of their own labels, put back in the order of the classes: (N, ...) to (N, K).

    Args:
        members: one for each group; each gives (N, its number of labels).
        places: the class indices of every group.
    """

    order: Tensor

    def __init__(self, members: Sequence[nn.Module], places: Places) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        listed = torch.tensor([place for group in places for place in group], device="cpu")
        # Made from the study, so it is no state that could be lost or exchanged.
        self.register_buffer("order", listed.argsort(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of all labels."""
        logits_NK = torch.cat([member(x) for member in self.members], dim=1)
        return logits_NK[:, self.order]


class LabelGroups(Network):
    """Networks that share nothing but the images, one for each group of labels."""

    def __init__(self, members: Sequence[Network], places: Places) -> None:
        super().__init__(multiple=1)  # every member pads for itself
        self.joined = Joined(members, places)
        self.weights_report = members[0].weights_report

    def part(self, name: str) -> nn.Module | None:
        """None: there are as many encoders and heads as members."""
        return None

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Logits, (N, K)."""
        return self.joined(x_NCHW)
