"""The residual network: every block learns only what to change.

A block adds its convolutions to what came in, so the gradient has a straight way back to the first layer, and
depth stops being a hindrance.

    a block        x --+--> 3 x 3, norm, ReLU, 3 x 3, norm --> + --> ReLU -->
                       |                                       ^
                       +------ as it is (1 x 1 if resized) ----+

    segmentation   image  C x H x W
                     |  stem, 3 x 3
                   width x H x W            blocks   --> 1 x 1 ------------> +
                     |  halve                                                ^
                   2 width x H/2 x W/2      blocks   --> 1 x 1, enlarged --> +
                     |  halve                                                ^
                   4 width x H/4 x W/4      blocks   --> 1 x 1, enlarged ----+
                                                         the sum  2 width x H x W
                                                         3 x 3, 1 x 1: logits  K x H x W

For classification the stem halves the image too, and the features are the means of the last stage's maps.

Source: He, Zhang, Ren & Sun 2016, arXiv:1512.03385. For segmentation the stages are summed from the coarsest to
the finest, as in a feature pyramid (Lin et al. 2017, arXiv:1612.03144).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from foldwise.learning.networks.zoo.conv import Norm, conv_norm_relu, normalization
from foldwise.study.ranges import Depth, PatchPx, Width


class ResidualBlock(nn.Module):
    """(N, in, H, W) to (N, out, H / stride, W / stride): what came in, plus a correction.

    Args:
        stride: 2 halves height and width.
        bottleneck: narrow to a quarter of the maps for the 3 x 3 convolution, as deep residual nets do.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, bottleneck: bool, norm: Norm
    ) -> None:
        super().__init__()
        inner = max(1, out_channels // 4) if bottleneck else out_channels
        bias = norm == "none"
        narrow = [nn.Conv2d(in_channels, inner, 1, bias=bias), normalization(norm, inner), nn.ReLU()]
        last = nn.Conv2d(
            inner, out_channels, 1 if bottleneck else 3, padding=0 if bottleneck else 1, bias=bias
        )
        self.correction = nn.Sequential(
            *(narrow if bottleneck else []),
            conv_norm_relu(inner if bottleneck else in_channels, inner, norm, stride=stride),
            last,
            normalization(norm, out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=bias)
            self.shortcut = nn.Sequential(shortcut, normalization(norm, out_channels))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """The changed feature maps."""
        return F.relu(self.shortcut(x_NCHW) + self.correction(x_NCHW))


class ResNetStages(nn.Module):
    """Images to the feature maps of every stage, finest first; each stage is half the size of the one before.

    Args:
        width: feature maps of the first stage; every stage doubles them.
        stem_stride: 2 halves the image before the first stage.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        stages: int,
        blocks: int,
        bottleneck: bool,
        stem_stride: int,
        norm: Norm,
    ) -> None:
        super().__init__()
        self.widths = [width * 2**stage for stage in range(stages)]
        self.multiple = stem_stride * 2 ** (stages - 1)
        self.stem = conv_norm_relu(in_channels, width, norm, stride=stem_stride)
        self.stages = nn.ModuleList()
        for stage, after in enumerate(self.widths):
            before = self.widths[max(stage - 1, 0)]
            first = {"stride": 2 if stage else 1, "bottleneck": bottleneck, "norm": norm}
            own = [ResidualBlock(before, after, **first)]
            own += [ResidualBlock(after, after, **first | {"stride": 1}) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(*own))

    def forward(self, x_NCHW: Tensor) -> list[Tensor]:
        """The feature maps of every stage."""
        maps = [self.stem(x_NCHW)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]


class ResNetEncoder(nn.Module):
    """Images (N, C, H, W) to features (N, F), F = width 2^(stages - 1).

    Args:
        width, stages, blocks, bottleneck, stem_stride, norm: see `ResNetStages`.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        width: Width = 32,
        stages: Depth = 4,
        blocks: Depth = 2,
        bottleneck: bool = False,
        stem_stride: PatchPx = 2,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        self.stages = ResNetStages(in_channels, width, stages, blocks, bottleneck, stem_stride, norm)
        self.num_features, self.multiple = self.stages.widths[-1], self.stages.multiple

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """The mean of every feature map of the last stage, (N, F)."""
        return self.stages(x_NCHW)[-1].mean((2, 3))


class ResNetSegmenter(nn.Module):
    """Images (N, C, H, W) to logits (N, K, H, W).

    Args:
        width, stages, blocks, bottleneck, norm: see `ResNetStages`; the stem keeps the full resolution.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: Width = 16,
        stages: Depth = 4,
        blocks: Depth = 2,
        bottleneck: bool = False,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        self.encoder = ResNetStages(in_channels, width, stages, blocks, bottleneck, 1, norm)
        self.laterals = nn.ModuleList(nn.Conv2d(maps, 2 * width, 1) for maps in self.encoder.widths)
        self.smooth = conv_norm_relu(2 * width, 2 * width, norm)
        self.head = nn.Conv2d(2 * width, num_classes, 1)
        self.multiple = self.encoder.multiple

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Logits of every pixel."""
        fine, *coarser = [
            lateral(maps) for lateral, maps in zip(self.laterals, self.encoder(x_NCHW), strict=True)
        ]
        for maps in coarser:
            fine = fine + F.interpolate(maps, size=fine.shape[-2:], mode="bilinear")
        return self.head(self.smooth(fine))
