"""Where a network looks: class activation maps of a few images of the inner validation, epoch by epoch.

A map says which places of the last feature map raised the answer. It does not say why, nor that the answer is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from foldwise.data.batches.batches import Batch
from foldwise.insight.layers import pass_with_hooks
from foldwise.learning.training.scoring import ForwardPass, probabilities

if TYPE_CHECKING:  # only a type here
    from foldwise.insight.replay import Replay

MAX_IMAGES = 6
MAX_WRONG = 3
NO_MAP = "no layer of the network gives a map of places, so that there is nothing to show"
TOKENS = "the last map of places comes before most of the network, which goes on with tokens or numbers"
HEAD_ONLY = "the encoder is frozen and its outputs are shared, so that only the head was trained, which sees no places"
PIXELS = "a segmentation says of every pixel what it sees there"
SEVERAL = "the labels are divided among several networks, and one map would show one of them"


def why_absent(network: nn.Module, image: Tensor, forward: ForwardPass, *, grouped: bool) -> str | None:
    """Why there are no maps of a network; None where there are.

    Args:
        network: in any mode; is left in evaluation mode.
        image: an image (1, C, H, W), or its features (1, F).
        grouped: whether the labels are divided among several networks.
    """
    if forward.task.endswith("segmentation"):
        return PIXELS
    if image.ndim != 4:
        return HEAD_ONLY
    if grouped:
        return SEVERAL
    met = _met(network, image, forward)
    last_map = _last_convolution(met)
    if last_map is None:
        return NO_MAP
    before, after = (
        sum(layer.has_weights for layer in part) for part in (met[: last_map + 1], met[last_map + 1 :])
    )
    return TOKENS if after > before else None


@dataclass(frozen=True)
class _Met:
    """A layer that an image went through: the height and width of what it left, if those are several places."""

    module: nn.Module
    places_hw: tuple[int, int] | None
    has_weights: bool


def _met(network: nn.Module, image: Tensor, forward: ForwardPass) -> list[_Met]:
    """The layers without parts of their own, in the order in which an image meets them."""
    met: list[_Met] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        is_map = isinstance(output, Tensor) and output.ndim == 4 and output[0, 0].numel() > 1
        weights = any(weight.ndim >= 2 for weight in module.parameters(recurse=False))
        met.append(_Met(module, tuple(output.shape[-2:]) if is_map else None, weights))

    leaves = [module for module in network.modules() if not any(module.children())]
    hooks = [module.register_forward_hook(note) for module in leaves]
    pass_with_hooks(network, image, forward, hooks)
    return met


def _last_convolution(met: Sequence[_Met]) -> int | None:
    """Where in the order the last convolution is that leaves a map; None without one."""
    maps = (n for n, layer in enumerate(met) if isinstance(layer.module, nn.Conv2d) and layer.places_hw)
    return max(maps, default=None)


def _last_map(met: Sequence[_Met]) -> nn.Module:
    """The last layer that leaves the places of the last convolution, or pools them; activations come after those.

    Tensors of four axes are not all maps: attention has heads, and some layers have the channels last.
    """
    number = _last_convolution(met)
    assert number is not None, "why_absent was not asked"
    here, last = met[number].places_hw, met[number].module
    for layer in met[number + 1 :]:
        pools = isinstance(layer.module, nn.MaxPool2d | nn.AvgPool2d)
        if layer.places_hw is not None and (pools or layer.places_hw == here):
            here, last = layer.places_hw, layer.module
    return last


def images_to_show(p_NK: np.ndarray, truth: np.ndarray) -> list[int]:
    """Rows of up to six images: the most surely wrong ones, then one of every class, then more wrong ones.

    Args:
        p_NK: probabilities of the chosen epoch.
        truth: labels (N,), or (N, K) of several labels.
    """
    if truth.ndim == 2:
        wrong_by = np.abs(p_NK - truth).max(1)
        wrong = wrong_by > 0.5
    else:
        own = p_NK[np.arange(len(truth)), truth]
        wrong_by, wrong = 1 - own, p_NK.argmax(1) != truth
    by_error = np.argsort(-wrong_by, kind="stable")
    worst = [int(row) for row in by_error if wrong[row]]
    chosen = worst[:MAX_WRONG]
    for label in range(p_NK.shape[1]):
        of_class = truth[:, label] > 0 if truth.ndim == 2 else truth == label
        if not any(of_class[row] for row in chosen):
            chosen += [int(row) for row in by_error[::-1] if of_class[row] and not wrong[row]][:1]
    return list(dict.fromkeys([*chosen, *worst, *map(int, by_error)]))[:MAX_IMAGES]


def attention_maps(
    replay: Replay,
    epochs: Sequence[int],
    batch: Batch,
    *,
    forward: ForwardPass,
    tell: Callable[[int, int], None],
) -> dict[str, np.ndarray]:
    """The content of ``attention.npz``: maps of the true class through training; see docs/look.md.

    Args:
        replay: whose network is asked as it was at each epoch, batch-norm statistics of training and all.
        epochs: rising.

    Source: Selvaraju et al. 2017, arXiv:1610.02391; at the last layer that leaves a map of more than one place.
    """
    from captum.attr import LayerGradCam  # slow to import

    network = replay.network
    layer = _last_map(_met(network, batch.inputs[:1], forward))
    # The true class; of several labels the first true one, or the first where none is.
    target = batch.targets if batch.targets.ndim == 1 else (batch.targets > 0.5).int().argmax(1)
    maps, p = [], []
    for number, epoch in enumerate(epochs):
        replay.go_to(epoch)
        network.eval()
        cam = LayerGradCam(lambda inputs: forward.logits(network, inputs), layer)
        inputs = batch.inputs.detach().clone().requires_grad_()  # so that a frozen encoder has gradients too
        attributed = cam.attribute(inputs, target=target.tolist(), relu_attributions=True)
        maps.append(attributed[:, 0].detach().float().cpu().numpy())
        with torch.inference_mode():
            p.append(probabilities(forward.logits(network, batch.inputs), forward.task).cpu().numpy())
        tell(number + 1, len(epochs))
    return _arrays(np.stack(maps), np.stack(p), epochs, batch, target)


def _arrays(
    maps_EIhw: np.ndarray, p_EIK: np.ndarray, epochs: Sequence[int], batch: Batch, target: Tensor
) -> dict[str, np.ndarray]:
    # One scale for all epochs of an image, so that its maps can be compared through training.
    largest_I = maps_EIhw.max((0, 2, 3))
    scaled = maps_EIhw / np.where(largest_I > 0, largest_I, 1)[None, :, None, None]
    by_case = {str(case): scaled[:, number].astype(np.float32) for number, case in enumerate(batch.cases)}
    about = {
        "cases": np.asarray(batch.cases, np.int32),
        "epochs": np.array(epochs, np.int32),
        "target": target.cpu().numpy().astype(np.int32),
        "shape": np.array([batch.inputs.shape[-2:]] * len(batch.cases), np.int32),
        "p": p_EIK.astype(np.float32),
    }
    return about | by_case
