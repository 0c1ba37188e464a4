"""The Haltuf network: many labels from little, by looking at every scale at once.

It was made to find 28 kinds of structure in images of proteins, and learns sixty times fewer numbers than a
ResNet18. Its one idea stands in the middle: windows of 3, 5, 7 and 1 pixels look at the same feature maps side by
side, as a structure may be a web or a dot. Around it the image is halved five times, and dropout after every
halving keeps the network from learning its few rare images by heart.

    image     C x H x W
      |       3 x 3 three times
    maps      2 width x H x W
      |       halve
      +----------+----------+----------+
    3 x 3      5 x 5      7 x 7      1 x 1        each 2 width maps
      +----------+----------+----------+
    maps      8 width x H/2 x W/2
      |       halve, then three times 3 x 3 and halve
    maps      16 width x H/32 x W/32
      |       averaged to 4 x 4 places, laid out as a list
    numbers   256 width
      |       one dense layer
    features  hidden

Source: Michal Haltuf, https://www.kaggle.com/rejpalcz/cnn-128x128x4-keras-from-scratch-lb-0-328, as
https://github.com/stephenfrench9/eye has it (``model15``) for 192 pixels, 3 channels and 28 classes. That has
193,948 parameters in the count of Keras, 702 of which are running means and variances of batch normalisations and
not learned. `HaltufEncoder` with a linear head has the very same. What differs changes no count: convolutions are
padded, as images below 94 pixels would otherwise shrink to nothing; what is left is averaged to 4 x 4 places, for
images of every size; there is no sigmoid at the end, as losses here take logits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from foldwise.study.ranges import Share, Width

_GRID = 4  # places across: what the original has left of 192 pixels
_WINDOWS = (3, 5, 7, 1)


def conv_relu_norm(in_channels: int, out_channels: int) -> nn.Sequential:
    """3 x 3 convolution, ReLU, batch normalisation: (N, in, H, W) to (N, out, H, W).

    Normalised last, so that the next layer is given mean 0 and variance 1. The ReLU in between is why the bias
    is not idle here.
    """
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    return nn.Sequential(conv, nn.ReLU(), nn.BatchNorm2d(out_channels))


def halve(dropout: float) -> nn.Sequential:
    """The largest of every 2 x 2 values; a last odd row or column is kept, so that no image is too small."""
    return nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), nn.Dropout(dropout))


class EveryScale(nn.Module):
    """Windows of 3, 5, 7 and 1 pixels side by side: (N, in, H, W) to (N, 4 each, H, W)."""

    def __init__(self, in_channels: int, each: int) -> None:
        super().__init__()
        self.windows = nn.ModuleList(
            nn.Conv2d(in_channels, each, size, padding=size // 2) for size in _WINDOWS
        )
        self.norm = nn.BatchNorm2d(len(_WINDOWS) * each)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """What every window saw, one after another along the feature maps."""
        return self.norm(torch.cat([window(x_NCHW).relu() for window in self.windows], dim=1))


class HaltufEncoder(nn.Module):
    """Images (N, C, H, W) to features (N, F), F = hidden; in training, N is 2 or more.

    Args:
        width: feature maps of the first layer; all others are multiples of it.
        hidden: units of the dense layer before the head; the original has one for each class.
        dropout: share of the activations set to zero in training after every halving; before the dense layer
            it is 0.5, and after it 0.1.
    """

    multiple = 1

    def __init__(
        self, in_channels: int, *, width: Width = 8, hidden: Width = 28, dropout: Share = 0.25
    ) -> None:
        super().__init__()
        few, some, many = 4 * width, 8 * width, 16 * width
        self.norm = nn.BatchNorm2d(in_channels)  # brings channels of any brightness to one range
        self.look = nn.Sequential(
            conv_relu_norm(in_channels, width),
            conv_relu_norm(width, width),
            conv_relu_norm(width, 2 * width),
            halve(dropout),
        )
        self.scales = nn.Sequential(EveryScale(2 * width, 2 * width), halve(dropout))
        self.gather = nn.Sequential(
            conv_relu_norm(len(_WINDOWS) * 2 * width, few),
            halve(dropout),
            conv_relu_norm(few, some),
            halve(dropout),
            conv_relu_norm(some, many),
            halve(dropout),
        )
        self.dense = nn.Sequential(
            nn.AdaptiveAvgPool2d(_GRID),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(many * _GRID**2, hidden),
            nn.ReLU(),
            nn.BatchNorm1d(hidden),
            nn.Dropout(0.1),
        )
        self.num_features = hidden

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """The dense layer's activations, (N, F)."""
        return self.dense(self.gather(self.scales(self.look(self.norm(x_NCHW)))))
