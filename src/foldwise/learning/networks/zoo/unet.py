"""The U-Net: down to see what is there, up to say where it is.

The way down halves the image and doubles the feature maps; the way up does the reverse, and at every size it
is handed the feature maps of the way down, which still know where the edges are.

    image  C x H x W                                               logits  K x H x W
             |  convs                                                ^  1 x 1
    width x H x W      -----------  handed over  ----------->  width x H x W
             |  halve, convs                                         ^  double, convs
    2 width x H/2 x W/2  ---------  handed over  --------->  2 width x H/2 x W/2
             |  halve, convs                                         ^  double, convs
             +------->      4 width x H/4 x W/4      ----------------+
                               (the bottom, at depth 2)

Source: Ronneberger, Fischer & Brox 2015, arXiv:1505.04597; here with padded convolutions and normalisation, so
that the logits have the size of the image.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from foldwise.learning.networks.zoo.conv import Norm, conv_norm_relu
from foldwise.study.ranges import Depth, Width


def convolutions(in_channels: int, out_channels: int, count: int, norm: Norm) -> nn.Sequential:
    """`count` convolutions, the first of which changes the number of feature maps."""
    channels = [in_channels, *[out_channels] * (count - 1)]
    return nn.Sequential(*(conv_norm_relu(before, out_channels, norm) for before in channels))


class UNetEncoder(nn.Module):
    """The way down: images (N, C, H, W) to feature maps at H, H/2, ... H / 2^depth, finest first."""

    def __init__(self, in_channels: int, widths: list[int], *, convs: int, norm: Norm) -> None:
        super().__init__()
        sizes = pairwise([in_channels, *widths])
        self.levels = nn.ModuleList(convolutions(before, after, convs, norm) for before, after in sizes)
        self.halve = nn.MaxPool2d(2)

    def forward(self, x_NCHW: Tensor) -> list[Tensor]:
        """The feature maps of every level."""
        maps: list[Tensor] = []
        for level in self.levels:
            x_NCHW = level(self.halve(x_NCHW) if maps else x_NCHW)
            maps.append(x_NCHW)
        return maps


class UNetDecoder(nn.Module):
    """The way up: feature maps of every level to the finest, (N, widths[0], H, W)."""

    def __init__(self, widths: list[int], *, convs: int, norm: Norm) -> None:
        super().__init__()
        steps = list(zip(widths[:0:-1], widths[-2::-1], strict=True))  # (coarse, fine), the coarsest first
        self.doubles = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, 2) for coarse, fine in steps)
        self.levels = nn.ModuleList(convolutions(2 * fine, fine, convs, norm) for _, fine in steps)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """The finest feature map, informed by all others."""
        *skips, x_NCHW = maps
        for double, level, skip in zip(self.doubles, self.levels, reversed(skips), strict=True):
            x_NCHW = level(torch.cat([double(x_NCHW), skip], dim=1))
        return x_NCHW


class UNet(nn.Module):
    """Images (N, C, H, W) to logits (N, K, H, W).

    Args:
        width: feature maps of the finest level; every level down doubles them.
        depth: how often the image is halved.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: Width = 32,
        depth: Depth = 4,
        convs: Depth = 2,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.encoder = UNetEncoder(in_channels, widths, convs=convs, norm=norm)
        self.decoder = UNetDecoder(widths, convs=convs, norm=norm)
        self.head = nn.Conv2d(width, num_classes, 1)
        self.multiple = 2**depth

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Logits of every pixel."""
        return self.head(self.decoder(self.encoder(x_NCHW)))
