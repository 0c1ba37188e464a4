"""Weights and gradients of every layer through training: histograms, norms, and what stands out in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from foldwise.insight.landscape.directions import trainable
from foldwise.learning.training.scoring import ForwardPass
from foldwise.text import count, some

BINS = 48
STILL = 0.5  # share of gradients that are exactly 0, from which a layer is named
FAR_APART = 1e-3  # of the gradient in the first layer against the last
BLOWN_UP = 100.0  # times the gradient before training
MAX_NAMED = 3
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
    pass_with_hooks(network, inputs[:1], forward, hooks)
    order = {weight: number for number, weight in reversed(list(enumerate(met)))}
    # A sort keeps the order of equals, and so of weights that no image meets.
    return sorted(named, key=lambda name: order.get(id(named[name]), len(met)))


def pass_with_hooks(
    network: nn.Module, inputs: Tensor, forward: ForwardPass, hooks: Sequence[RemovableHandle]
) -> None:
    """One forward pass in evaluation mode, after which the hooks are gone, whatever happened."""
    network.eval()
    try:
        with torch.inference_mode():
            forward.logits(network, inputs)
    finally:
        for hook in hooks:
            hook.remove()


class Layers:
    """Told of one epoch after another; afterwards the content of ``layers.npz``."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._rows: dict[int, dict[str, np.ndarray]] = {}  # by epoch, what each layer is then

    def add(self, epoch: int, network: nn.Module, slopes: dict[str, Tensor]) -> None:
        """Count the weights that the network has now, and their gradients."""
        now = trainable(network)
        each = [_flat(slopes[name]) for name in self.names]
        self._rows[epoch] = {
            "log_gradient_counts": np.array([_log_counts(values) for values in each], np.int32),
            "gradient_zero": np.array([(values == 0).mean() for values in each], np.float32),
            "weight_norm": np.array([_norm(_flat(now[name])) for name in self.names], np.float32),
            "gradient_norm": np.array([_norm(values) for values in each], np.float32),
        }

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
        about = {
            "epochs": np.array(epochs, np.int32),
            "names": np.array(self.names, dtype=np.str_),
            "sizes": np.array([states[0][name].numel() for name in self.names], np.int64),
            "weight_edges": np.array(edges, np.float32),
            "weight_counts": np.array(counts, np.int32),
            "log_gradient_edges": LOG_GRADIENT.astype(np.float32),
        }
        return about | {name: np.stack([row[name] for row in rows]) for name in rows[0]}


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


def noticed(arrays: Mapping[str, np.ndarray], chosen_epoch: int) -> list[str]:
    """Sentences on what stands out by rules of thumb: gradients of 0, far apart, grown, or no numbers.

    They look at every epoch but that before training; only the growth is measured against it.

    Args:
        arrays: of ``layers.npz``, with one layer or more.
        chosen_epoch: whose weights were kept.
    """
    epochs = arrays["epochs"].tolist()
    trained = [index for index, epoch in enumerate(epochs) if epoch > 0]
    gradient_EN = arrays["gradient_norm"].astype(np.float64)
    if not np.isfinite(gradient_EN).all():
        return [
            "Some gradients are no finite numbers: training has blown up. A lower learning rate may help."
        ]
    whole_E = np.sqrt((gradient_EN**2).sum(axis=1))
    sentences = [*_standing_still(arrays, trained), *_far_apart(arrays, trained)]
    high = max(trained, key=lambda index: whole_E[index], default=0)
    if whole_E[0] > 0 and whole_E[high] > BLOWN_UP * whole_E[0]:
        sentences.append(
            f"The gradient of the whole network is {_times(whole_E[high] / whole_E[0])} times that before training at "
            f"epoch {epochs[high]} (exploding gradients). A lower learning rate or clipping may help."
        )
    ends = (whole_E[0], whole_E[epochs.index(chosen_epoch)])
    before, after = (f"{float(f'{size:.2g}'):g}" for size in ends)
    return [
        *(sentences or ["Nothing stands out by these rules of thumb."]),
        f"The gradient of the whole network goes from {before} before training to {after} at the chosen epoch.",
    ]


def _standing_still(arrays: Mapping[str, np.ndarray], trained: list[int]) -> list[str]:
    zero_N = arrays["gradient_zero"].astype(np.float64)[trained].min(axis=0, initial=1.0)
    still = [name for name, share in zip(_short(arrays), zero_N, strict=True) if trained and share >= STILL]
    if not still:
        return []
    return [
        f"In {count(len(still), 'layer')} half of the gradients or more are exactly 0 at every epoch looked at: "
        f"{some(still, MAX_NAMED)}. Those weights stand still: units that never fire, or a part that is frozen."
    ]


def _far_apart(arrays: Mapping[str, np.ndarray], trained: list[int]) -> list[str]:
    """The typical gradient, which does not grow with the size of a layer, of the first layer against the last."""
    names = _short(arrays)
    typical_EN = (arrays["gradient_norm"].astype(np.float64) / np.sqrt(arrays["sizes"]))[trained]
    if not trained or len(names) < 2 or (typical_EN[:, [0, -1]] <= 0).any():
        return []
    ratio = float(np.median(typical_EN[:, 0] / typical_EN[:, -1]))
    if FAR_APART < ratio < 1 / FAR_APART:
        return []
    small, large = (names[0], names[-1]) if ratio < 1 else (names[-1], names[0])
    return [
        f"A gradient of {small} is typically {_times(max(ratio, 1 / ratio))} times smaller than one of {large} "
        "(vanishing gradients): that layer learns slowly, if at all."
    ]


def _short(arrays: Mapping[str, np.ndarray]) -> list[str]:
    return [str(name).removesuffix(".weight") for name in arrays["names"]]


def _times(ratio: float) -> str:
    """Two digits that count: 6 800."""
    return f"{float(f'{ratio:.2g}'):,.0f}".replace(",", "\u202f")
