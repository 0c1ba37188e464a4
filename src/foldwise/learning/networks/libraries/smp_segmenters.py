"""Segmentation networks of segmentation-models-pytorch by name."""

from __future__ import annotations

import segmentation_models_pytorch as smp
import timm
from torch import nn

from foldwise.errors import SpecError, unknown
from foldwise.learning.networks.libraries.request import ModelRequest, Part, built, free_options


def segmenter(request: ModelRequest) -> Part:
    """The segmentation network ``smp:<decoder>/<encoder>``."""
    decoder, _, encoder = request.name.partition("/")
    if not request.shape.segmentation:
        what = f"'smp:{request.name}' segments images"
        raise SpecError(what, cure="For classification, use 'timm:<name>'.")
    if not encoder:
        what = f"'smp:{request.name}' names no encoder"
        raise SpecError(what, cure="Write smp:<decoder>/<encoder>, for example smp:unet/resnet18.")
    if decoder not in smp.MODEL_ARCHITECTURES_MAPPING:
        raise unknown(decoder, smp.MODEL_ARCHITECTURES_MAPPING, "smp decoder")
    names = smp.encoders.get_encoder_names()
    if encoder not in names and not timm.is_model(encoder.removeprefix("tu-").partition(".")[0]):
        raise unknown(encoder, names, "smp encoder")
    options = free_options(request)
    if decoder == "dpt":  # its transformer would otherwise take the size of its pretraining only
        options = {"dynamic_img_size": True, **options}

    def make(weights: str | None, in_channels: int) -> nn.Module:
        sizes = {"in_channels": in_channels, "classes": request.shape.num_classes}
        return smp.create_model(decoder, encoder, encoder_weights=weights, **sizes, **options)

    module = built(f"smp:{request.name}", lambda: make(None, request.shape.in_channels))
    depth = int(options.get("encoder_depth", 5))
    return Part(module, multiple=max(32, 2**depth), donor=lambda: make("imagenet", 3).encoder.state_dict())
