"""The pieces that every network of the zoo shares: a normalised convolution, and sizes that divide."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["batch", "group", "none"]


def normalization(kind: Norm, channels: int) -> nn.Module:
    """The layer that keeps `channels` feature maps near mean 0 and variance 1.

    ``batch`` takes the statistics over the batch and is the strongest where batches hold 8 images or more;
    ``group`` takes them within one image, so a batch of 1 or 2 is no worse; ``none`` does nothing.
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return nn.GroupNorm(next(groups for groups in (8, 4, 2, 1) if channels % groups == 0), channels)
    return nn.Identity()


def conv_norm_relu(in_channels: int, out_channels: int, norm: Norm, *, stride: int = 1) -> nn.Sequential:
    """3 x 3 convolution, normalisation, ReLU: (N, in, H, W) to (N, out, H / stride, W / stride)."""
    # A bias before a normalisation would be subtracted again, and could never learn.
    conv = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=norm == "none")
    return nn.Sequential(conv, normalization(norm, out_channels), nn.ReLU())


def pad_to_multiple(x_NCHW: Tensor, multiple: int) -> Tensor:
    """The images, grown at the bottom and the right until height and width divide by `multiple`.

    The new pixels mirror the image, as black ones would be an edge that is not there; an image too small
    to be mirrored that far has its last row and column repeated.
    """
    height, width = x_NCHW.shape[-2:]
    down, right = -height % multiple, -width % multiple
    if not (down or right):
        return x_NCHW
    mode = "reflect" if down < height and right < width else "replicate"
    return F.pad(x_NCHW, (0, right, 0, down), mode=mode)
