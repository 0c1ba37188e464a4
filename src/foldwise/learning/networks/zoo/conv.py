"""The plain convolutional network: look at 3 x 3 pixels, again and again.

For classification the image is halved after every layer, so that the last one sees the whole picture; for
segmentation it keeps its size, so every pixel is judged by the (2 depth + 1) x (2 depth + 1) pixels around it
and by nothing else. What a U-Net gains over this net is what context is worth.

    segmentation                                   classification

    image   C x H x W                              image   C x H x W
      |     depth times: 3 x 3, norm, ReLU           |     depth times: 3 x 3, norm, ReLU, halve
    maps    width x H x W                          maps    F x H/2^depth x W/2^depth
      |     1 x 1                                    |     mean of every map
    logits  K x H x W                              features  F = width 2^(depth - 1)
"""

from __future__ import annotations

from torch import Tensor, nn

from foldwise.learning.networks.zoo.layers import Norm, conv_norm_relu
from foldwise.learning.options import Count


class ConvEncoder(nn.Module):
    """Images (N, C, H, W) to features (N, F), F = width 2^(depth - 1).

    Args:
        in_channels: C.
        width: feature maps of the first layer; every layer doubles them.
        depth: number of layers; each halves height and width.
        norm: how feature maps are normalised.
    """

    def __init__(
        self, in_channels: int, *, width: Count = 32, depth: Count = 4, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        widths = [width * 2**layer for layer in range(depth)]
        layers: list[nn.Module] = []
        for before, after in zip([in_channels, *widths], widths, strict=False):
            layers += [conv_norm_relu(before, after, norm), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers)
        self.num_features = widths[-1]
        self.multiple = 2**depth

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """The mean of every last feature map, (N, F)."""
        return self.layers(x_NCHW).mean((2, 3))


class ConvSegmenter(nn.Module):
    """Images (N, C, H, W) to logits (N, K, H, W), at full resolution all the way.

    Args:
        in_channels: C.
        num_classes: K.
        width: feature maps of every layer.
        depth: number of layers.
        norm: how feature maps are normalised.
    """

    multiple = 1

    def __init__(
        self, in_channels: int, num_classes: int, *, width: Count = 32, depth: Count = 8, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        layers = [conv_norm_relu(width if layer else in_channels, width, norm) for layer in range(depth)]
        self.encoder = nn.Sequential(*layers)
        self.head = nn.Conv2d(width, num_classes, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Logits of every pixel."""
        return self.head(self.encoder(x_NCHW))
