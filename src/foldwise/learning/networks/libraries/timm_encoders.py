"""Encoders of timm by name."""

from __future__ import annotations

from typing import Any

import timm
from torch import nn

from foldwise.errors import SpecError, unknown
from foldwise.learning.networks.libraries.request import ModelRequest, Part, built, free_options


def encoder(request: ModelRequest) -> Part:
    """The encoder ``timm:<name>``; transformers of a fixed size are made for the size of the images."""
    if request.shape.segmentation:
        what = f"'timm:{request.name}' classifies whole images"
        raise SpecError(what, cure=f"For segmentation, use it as an encoder: 'smp:unet/tu-{request.name}'.")
    base = request.name.partition(".")[0]
    if not timm.is_model(base):
        raise unknown(base, timm.list_models(), "timm model")

    def make(**more: Any) -> nn.Module:
        return timm.create_model(
            request.name, num_classes=0, **_sized(request), **free_options(request), **more
        )

    module = built(f"timm:{request.name}", lambda: make(in_chans=request.shape.in_channels))
    return Part(
        module,
        num_features=getattr(module, "head_hidden_size", None) or module.num_features,
        multiple=_timm_multiple(module),
        donor=lambda: make(in_chans=3, pretrained=True).state_dict(),
    )


def _sized(request: ModelRequest) -> dict[str, Any]:
    """The keywords that make a timm transformer fit the images: their size, rounded up to whole patches."""
    base, size_hw = request.name.partition(".")[0], request.shape.size_hw
    config = timm.get_pretrained_cfg(base)
    if config is None or not config.fixed_input_size or size_hw is None or "img_size" in request.options:
        return {}
    # Made once only to read the size of its patches, which the table of timm does not have.
    default = timm.create_model(base, num_classes=0)
    multiple = _timm_multiple(default)
    keywords: dict[str, Any] = {"img_size": tuple(side + -side % multiple for side in size_hw)}
    if hasattr(getattr(default, "patch_embed", None), "dynamic_img_pad") and hasattr(default, "pos_embed"):
        keywords["dynamic_img_size"] = True
    return keywords


def _timm_multiple(module: nn.Module) -> int:
    config = module.pretrained_cfg
    if not config.get("fixed_input_size"):
        return 1
    return max(int(level["reduction"]) for level in module.feature_info)
