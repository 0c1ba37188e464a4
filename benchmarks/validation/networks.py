"""Many small networks trained at once, each on a training set of its own, with a seed of its own.

A network is one hidden layer over the inputs of a place: all of a small picture, or the 5 x 5 neighbours of a pixel
(a convolution followed by a 1 x 1 convolution). All networks of one width are a batch of matrices; they share nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.validation.phantoms import Pool

BATCH = 64
SECOND_MOMENT, FIRST_MOMENT, TINY = 0.99, 0.9, 1e-8


@dataclass(frozen=True)
class Setting:
    """What a configuration is: hidden units, learning rate of Adam, and steps."""

    width: int
    rate: float
    steps: int = 60


# Two widths x three rates; then the same as the second one twice more, under other seeds.
GRID = tuple(Setting(width, rate) for width in (6, 20) for rate in (0.005, 0.01, 0.03))
SETTINGS = (*GRID, GRID[1], GRID[1])
LEVELS = (2, 3)
ALIKE = ((1, 6), (1, 7), (6, 7))


class Crowd:
    """E networks of one width, trained and asked together.

    Args:
        settings: (E,) of one width and one number of steps.
        num_inputs: F.
        seed: of initial weights and batches.
    """

    def __init__(self, settings: Sequence[Setting], num_inputs: int, *, seed: int) -> None:
        self.draw = torch.Generator().manual_seed(seed)
        E, H = len(settings), settings[0].width
        self.rate = torch.tensor([one.rate for one in settings]).view(E, 1, 1)
        self.steps = settings[0].steps
        self.weights = [
            self._normal(E, num_inputs, H) * (2 / num_inputs) ** 0.5,
            torch.zeros(E, 1, H),
            self._normal(E, H, 1) * H**-0.5,
            torch.zeros(E, 1, 1),
        ]

    def _normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self.draw)

    def logits(self, inputs_EBF: torch.Tensor) -> torch.Tensor:
        """(E, B)."""
        into, first, out, last = self.weights
        hidden = torch.baddbmm(first, inputs_EBF, into).relu()
        return torch.baddbmm(last, hidden, out).squeeze(2)

    def train(self, pool: Pool, members: Sequence[np.ndarray]) -> None:
        """Fit network e to the pictures `members[e]` by Adam on batches of random places, in place."""
        values, truth = torch.from_numpy(pool.values), torch.from_numpy(pool.truth)
        places, reach = torch.from_numpy(pool.places), torch.from_numpy(pool.reach)
        size = torch.tensor([len(own) for own in members]).view(-1, 1)
        known = torch.zeros(len(members), int(size.max()), dtype=torch.long)
        for row, own in zip(known, members, strict=True):
            row[: len(own)] = torch.from_numpy(own)
        moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in self.weights]
        for step in range(1, self.steps + 1):
            chosen = (torch.rand(len(members), BATCH, generator=self.draw) * size).long()
            picture = known.gather(1, chosen)
            place = torch.randint(len(places), picture.shape, generator=self.draw)
            inputs = values[picture.unsqueeze(2), places[place].unsqueeze(2) + reach]
            self._step(inputs, truth[picture, place], moments, step)

    def _step(self, inputs: torch.Tensor, wanted: torch.Tensor, moments: list, step: int) -> None:
        """One step of Adam (Kingma & Ba 2015), every network at its own rate."""
        for weight in self.weights:
            weight.requires_grad_(True)
        loss = (
            binary_cross_entropy_with_logits(self.logits(inputs), wanted, reduction="none").mean(dim=1).sum()
        )
        gradients = torch.autograd.grad(loss, self.weights)
        bias = (1 - SECOND_MOMENT**step) ** 0.5 / (1 - FIRST_MOMENT**step)
        for weight, gradient, (first, second) in zip(self.weights, gradients, moments, strict=True):
            weight.requires_grad_(False)
            first.lerp_(gradient, 1 - FIRST_MOMENT)
            second.mul_(SECOND_MOMENT).addcmul_(gradient, gradient, value=1 - SECOND_MOMENT)
            weight -= self.rate * bias * first / (second.sqrt() + TINY)

    def scores(self, pool: Pool, pictures_ET: np.ndarray) -> np.ndarray:
        """(E, T) of network e on each of the T pictures of its row: right or wrong, or Dice of a mask."""
        values, places = torch.from_numpy(pool.values), torch.from_numpy(pool.places)
        at = places.unsqueeze(1) + torch.from_numpy(pool.reach)
        asked = torch.from_numpy(pictures_ET)
        inputs = values[asked][:, :, at].flatten(1, 2)
        said = (self.logits(inputs) > 0).view(*pictures_ET.shape, len(places)).numpy()
        true = pool.truth[pictures_ET] > 0
        if len(pool.places) == 1:
            return (said == true)[:, :, 0].astype(float)
        return 2.0 * (said & true).sum(axis=2) / (said.sum(axis=2) + true.sum(axis=2))
