"""Weights and gradients of every layer through training, as histograms and norms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from foldwise.data.batches.batches import Batch
from foldwise.insight.landscape.directions import trainable
from foldwise.learning.training.scoring import ForwardPass

BINS = 48
LOG_GRADIENT = np.linspace(-10, 2, BINS + 1)  # common: what is outside is counted in the first or last bin


def layers_in_order(network: nn.Module, inputs: Tensor, forward: ForwardPass) -> list[str]:
    """Names of the trainable weights of two axes or more, in the order in which an image meets them."""
    named = {name: weight for name, weight in trainable(network).items() if weight.ndim >= 2}
    met: list[int] = []
    hooks = [
        module.register_forward_pre_hook(
            lambda module, _: met.extend(id(weight) for weight in module.parameters(recurse=False))
        )
        for module in network.modules()
    ]
    network.eval()
    try:
        with torch.inference_mode():
            forward.logits(network, inputs[:1])
    finally:
        for hook in hooks:
            hook.remove()
    order = {weight: number for number, weight in reversed(list(enumerate(met)))}
    return sorted(
        named, key=lambda name: order.get(id(named[name]), len(met))
    )  # a sort keeps the order of equals


def gradients(
    network: nn.Module, batches: Sequence[Batch], loss: nn.Module, forward: ForwardPass
) -> dict[str, Tensor]:
    """The gradient of the mean loss over the batches, weighted by their images, by name; in evaluation mode."""
    # In evaluation mode, since dropout would add noise of its own to what is compared between epochs.
    network.eval()
    network.zero_grad(set_to_none=True)
    images = sum(len(batch.cases) for batch in batches)
    for batch in batches:
        value = loss(forward.logits(network, batch.inputs), batch.targets) * (len(batch.cases) / images)
        value.backward()
    slopes = {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad.detach()
        for name, weight in trainable(network).items()
    }
    network.zero_grad(set_to_none=True)
    return slopes


@dataclass(frozen=True)
class _Row:
    """One epoch."""

    gradient_counts: np.ndarray
    gradient_zero: np.ndarray
    weight_norm: np.ndarray
    gradient_norm: np.ndarray


class Layers:
    """Told of one epoch after another; afterwards the content of ``layers.npz``."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._rows: dict[int, _Row] = {}

    def add(self, epoch: int, network: nn.Module, slopes: dict[str, Tensor]) -> None:
        """Count the weights that the network has now, and their gradients."""
        now = trainable(network)
        each = [_flat(slopes[name]) for name in self.names]
        self._rows[epoch] = _Row(
            np.stack([_log_counts(values) for values in each]),
            np.array([float((values == 0).mean()) for values in each]),
            np.array([_norm(_flat(now[name])) for name in self.names]),
            np.array([_norm(values) for values in each]),
        )

    def arrays(self, weights_at: Callable[[int], Mapping[str, Tensor]]) -> dict[str, np.ndarray]:
        """E epochs, N layers, B bins: see docs/look.md.

        Args:
            weights_at: the weights of an epoch, by name; histograms of all epochs have the same bins, so that these
                are known only now.
        """
        epochs = sorted(self._rows)
        rows = [self._rows[epoch] for epoch in epochs]
        states = [weights_at(epoch) for epoch in epochs]
        edges = [_edges([state[name] for state in states]) for name in self.names]
        counts = [
            [np.histogram(_flat(state[name]), bins)[0] for name, bins in zip(self.names, edges, strict=True)]
            for state in states
        ]
        return {
            "epochs": np.array(epochs, np.int32),
            "names": np.array(self.names, dtype=np.str_),
            "sizes": np.array([states[0][name].numel() for name in self.names], np.int64),
            "weight_edges": np.array(edges, np.float32),
            "weight_counts": np.array(counts, np.int32),
            "log_gradient_edges": LOG_GRADIENT.astype(np.float32),
            "log_gradient_counts": np.stack([row.gradient_counts for row in rows]).astype(np.int32),
            "gradient_zero": np.stack([row.gradient_zero for row in rows]).astype(np.float32),
            "weight_norm": np.stack([row.weight_norm for row in rows]).astype(np.float32),
            "gradient_norm": np.stack([row.gradient_norm for row in rows]).astype(np.float32),
        }


def _flat(values: Tensor) -> np.ndarray:
    return values.detach().float().cpu().reshape(-1).numpy().copy()


def _norm(values: np.ndarray) -> float:
    return float(np.linalg.norm(values.astype(np.float64)))


def _edges(over_epochs: list[Tensor]) -> np.ndarray:
    """From the smallest to the largest weight that the layer ever had."""
    low = min(float(values.min()) for values in over_epochs)
    high = max(float(values.max()) for values in over_epochs)
    if not low < high:  # all of them alike: around that one value
        low, high = low - 0.5, low + 0.5
    return np.linspace(low, high, BINS + 1)


def _log_counts(values: np.ndarray) -> np.ndarray:
    """Gradients by the logarithm of their size; zeros, and what is no number, are in no bin."""
    size = np.abs(values[np.isfinite(values) & (values != 0)]).astype(np.float64)
    inside = np.log10(size).clip(LOG_GRADIENT[0], LOG_GRADIENT[-1])
    return np.histogram(inside, LOG_GRADIENT)[0]
