"""What is asked of a library, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from foldwise.errors import FoldwiseError, SpecError
from foldwise.learning.networks.network import DataShape
from foldwise.learning.networks.weights import Donor

# What a study states elsewhere, and an option must not contradict.
_STATED = {
    "pretrained", "num_classes", "in_chans", "in_channels", "classes", "encoder_weights", "encoder_name", "arch",
    "weights", "global_pool", "features_only", "checkpoint_path", "pretrained_cfg", "activation", "aux_params",
}  # fmt: skip


@dataclass(frozen=True)
class ModelRequest:
    """What is asked of a library: the model `name`, without its prefix, for data of a `shape`."""

    name: str
    shape: DataShape
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """What a library gave.

    Args:
        module: an encoder (N, C, H, W) to (N, F), or a segmentation network that has an ``encoder``.
        num_features: F; None if `module` ends in logits itself.
        multiple: what height and width must divide by.
        donor: downloads the ImageNet weights of the encoder.
    """

    module: nn.Module
    num_features: int | None = None
    multiple: int = 1
    donor: Donor | None = None


def free_options(request: ModelRequest) -> dict[str, Any]:
    """The options, none of which says again what the study states elsewhere."""
    for name in request.options:
        if name in _STATED:
            what = f"the option {name!r} of {request.name!r} is not free"
            raise SpecError(what, cure="It follows from the data, 'weights' and 'head'.")
    return request.options


def built(name: str, make: Callable[[], nn.Module]) -> nn.Module:
    """What `make` makes; whatever a library says against its options becomes a SpecError."""
    try:
        return make()
    except FoldwiseError:
        raise
    except (TypeError, ValueError, RuntimeError, KeyError, AssertionError, AttributeError) as error:
        what = f"{name} cannot be built: {type(error).__name__}: {error}"
        raise SpecError(what, cure="Check the options of the model.") from error
