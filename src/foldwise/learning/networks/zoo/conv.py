"""The plain convolutional network: look at 3 x 3 pixels, again and again.

For classification the image is halved after every layer, so that the last one sees the whole picture; for
segmentation it keeps its size, so every pixel is judged by the (2 depth + 1) x (2 depth + 1) pixels around it
and by nothing else. What a U-Net gains over this net is what context is worth. Its one piece, a normalised convolution,
is that of the other networks too.

    segmentation                                   classification

    image   C x H x W                              image   C x H x W
      |     depth times: 3 x 3, norm, ReLU           |     depth times: 3 x 3, norm, ReLU, halve
    maps    width x H x W                          maps    F x H/2^depth x W/2^depth
      |     1 x 1                                    |     mean of every map
    logits  K x H x W                              features  F = width 2^(depth - 1)
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from foldwise.study.ranges import Depth, Width

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


class ConvEncoder(nn.Module):
    """Images (N, C, H, W) to features (N, F), F = width 2^(depth - 1).

    Args:
        width: feature maps of the first layer; every layer doubles them.
        depth: number of layers; each halves height and width.
    """

    def __init__(
        self, in_channels: int, *, width: Width = 32, depth: Depth = 4, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        widths = [width * 2**layer for layer in range(depth)]
        layers: list[nn.Module] = []
        for before, after in pairwise([in_channels, *widths]):
            layers += [conv_norm_relu(before, after, norm), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers)
        self.num_features = widths[-1]
        self.multiple = 2**depth

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """The mean of every last feature map, (N, F)."""
        return self.layers(x_NCHW).mean((2, 3))


class ConvSegmenter(nn.Module):
    """Images (N, C, H, W) to logits (N, K, H, W), at full resolution all the way."""

    multiple = 1

    def __init__(
        self, in_channels: int, num_classes: int, *, width: Width = 32, depth: Depth = 8, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        layers = [conv_norm_relu(width if layer else in_channels, width, norm) for layer in range(depth)]
        self.encoder = nn.Sequential(*layers)
        self.head = nn.Conv2d(width, num_classes, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Logits of every pixel."""
        return self.head(self.encoder(x_NCHW))
