"""The vision transformer: cut the image into patches, and let every patch ask every other one.

Nothing tells the network that neighbours belong together; it learns that from the positions that are added
to the patches. That makes it free, and hungry for images.

    image     C x H x W
      |       one strided convolution: each patch of p x p pixels becomes D numbers
    map       D x H/p x W/p
      |       laid out as a list; to each is added where it lies
    tokens    T x D,  T = H/p W/p  (one more with a class token)
      |       depth times:  x + what it asks of all others,  then  x + what it thinks alone
    tokens    T x D
      |
      +---->  classification: features  D, the mean token or the class token
      |
    map       D x H/p x W/p
      |       each token unfolded to its p x p pixels
    maps      D/4 x H x W
      |       3 x 3, then 1 x 1
    logits    K x H x W

Source: Dosovitskiy et al. 2021, arXiv:2010.11929; with the fixed sine and cosine positions of Vaswani et al.
2017, arXiv:1706.03762, in two dimensions, so that an image of any size has its positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldwise.errors import SpecError
from foldwise.learning.networks.zoo.conv import conv_norm_relu
from foldwise.study.ranges import Depth, PatchPx, Share, Width


def positions(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Where each patch is, as waves: (height width, channels), the first half for rows, the rest for columns."""
    wavelengths = 10_000 ** torch.linspace(0, 1, channels // 4, device=like.device)

    def waves(count: int) -> Tensor:
        angles = torch.arange(count, device=like.device)[:, None] / wavelengths
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    rows = waves(height)[:, None].expand(height, width, -1)
    columns = waves(width)[None].expand(height, width, -1)
    return torch.cat([rows, columns], dim=-1).reshape(height * width, -1).to(like.dtype)


def tokens_of(map_NDhw: Tensor) -> Tensor:
    """The patches of a map as a list, row by row, each with its position added, (N, h w, D)."""
    channels, height, width = map_NDhw.shape[1:]
    x_NTD = map_NDhw.flatten(2).transpose(1, 2)
    return x_NTD + positions(height, width, channels, x_NTD)


class Attention(nn.Module):
    """Every token gathers from all others: (N, T, D) to (N, T, D), in `heads` independent ways."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.project = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)

    def forward(self, x_NTD: Tensor) -> Tensor:
        """Each token's mean of the values of all tokens, weighted by how well their keys fit its query."""
        batch, tokens, width = x_NTD.shape
        projected = self.project(x_NTD).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        gathered = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return self.join(gathered.transpose(1, 2).reshape(batch, tokens, width))


class TransformerBlock(nn.Module):
    """Gather from the others, then think alone; both are corrections to what came in, (N, T, D)."""

    def __init__(self, width: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        hidden = 4 * width
        self.norm_gather, self.norm_think = nn.LayerNorm(width), nn.LayerNorm(width)
        self.gather = Attention(width, heads, dropout)
        self.think = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, width),
            nn.Dropout(dropout),
        )

    def forward(self, x_NTD: Tensor) -> Tensor:
        """The changed tokens."""
        x_NTD = x_NTD + self.gather(self.norm_gather(x_NTD))
        return x_NTD + self.think(self.norm_think(x_NTD))


class PatchTransformer(nn.Module):
    """Images (N, C, H, W) to one token for every patch, laid out as a map (N, D, H / patch, W / patch).

    Args:
        patch: side of a patch, in pixels.
        width: D, numbers that stand for a patch; must divide by 4 and by `heads`.
        heads: ways to ask at once.
        dropout: share of activations set to zero in training.
        cls_token: one token more, which is no patch: it can gather what is of the whole image, for all others to ask.

    Raises:
        SpecError: `width` does not divide.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        patch: PatchPx = 8,
        width: Width = 128,
        depth: Depth = 6,
        heads: Width = 4,
        dropout: Share = 0.0,
        cls_token: bool = False,
    ) -> None:
        super().__init__()
        if width % 4 or width % heads:
            raise SpecError(
                f"a vit of width {width} cannot be divided among {heads} heads and 4 waves",
                cure="Choose a width that is a multiple of 4 and of heads, for example 128 with 4 heads.",
            )
        self.cut = nn.Conv2d(in_channels, width, patch, stride=patch)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads=heads, dropout=dropout) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.cls_1D = nn.Parameter(0.02 * torch.randn(1, width)) if cls_token else None

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """The map of the tokens of patches."""
        return self._maps(x_NCHW)[0]

    def features(self, x_NCHW: Tensor) -> Tensor:
        """The token of the whole image, or else the mean of those of the patches, (N, D)."""
        map_NDhw, whole_ND = self._maps(x_NCHW)
        return map_NDhw.mean((2, 3)) if whole_ND is None else whole_ND

    def _maps(self, x_NCHW: Tensor) -> tuple[Tensor, Tensor | None]:
        map_NDhw = self.cut(x_NCHW)
        size_hw = map_NDhw.shape[2:]
        x_NTD = tokens_of(map_NDhw)
        if self.cls_1D is not None:
            x_NTD = torch.cat([x_NTD, self.cls_1D.to(x_NTD.dtype).expand(len(x_NTD), 1, -1)], dim=1)
        for block in self.blocks:
            x_NTD = block(x_NTD)
        x_NTD = self.norm(x_NTD)
        whole_ND = None if self.cls_1D is None else x_NTD[:, -1]
        return x_NTD[:, : size_hw[0] * size_hw[1]].transpose(1, 2).unflatten(2, size_hw), whole_ND


class PatchEncoder(nn.Module):
    """Images (N, C, H, W) to features (N, D) of what sees them as patches."""

    def __init__(self, tokens: nn.Module) -> None:
        super().__init__()
        self.tokens = tokens
        self.num_features, self.multiple = patches_of(tokens)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """What the tokens say together."""
        return self.tokens.features(x_NCHW)


class PatchSegmenter(nn.Module):
    """Images (N, C, H, W) to logits (N, K, H, W): every token is unfolded to the pixels of its patch."""

    def __init__(self, tokens: nn.Module, num_classes: int) -> None:
        super().__init__()
        width, patch = patches_of(tokens)
        self.encoder = tokens
        self.unfold = nn.ConvTranspose2d(width, width // 4, patch, stride=patch)
        # Patches are unfolded one by one; this lets pixels across a seam agree.
        self.blend = conv_norm_relu(width // 4, width // 4, "none")
        self.head = nn.Conv2d(width // 4, num_classes, 1)
        self.multiple = patch

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Logits of every pixel."""
        return self.head(self.blend(self.unfold(self.encoder(x_NCHW))))


def patches_of(tokens: nn.Module) -> tuple[int, int]:
    """D, the numbers that stand for a patch, and its side in pixels."""
    return tokens.cut.out_channels, tokens.cut.stride[0]
