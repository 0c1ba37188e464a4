"""The winner as one graph: images with the values of their files go in, the mean probabilities of its networks come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldwise.data.batches.normalize import SMALLEST_STD, WHITE, Normalization, normalized
from foldwise.learning.networks.network import Classifier
from foldwise.learning.training.scoring import probabilities
from foldwise.study.own_code import is_own

if TYPE_CHECKING:
    from foldwise.learning.checkpoints.saved import Member, Winner

IMAGE, PROBABILITIES = "image", "probabilities"  # the names of what goes in and what comes out


class Normalized(nn.Module):
    """Images (N, C, H, W), 0..255 for 8 bit, to what a network learned from."""

    mean_1C: Tensor
    std_1C: Tensor

    def __init__(self, normalization: Normalization) -> None:
        super().__init__()
        self.by_image = normalization.kind == "image"
        self.least_std = SMALLEST_STD * WHITE[normalization.dtype]
        if not self.by_image:
            self.register_buffer("mean_1C", torch.tensor([normalization.mean], dtype=torch.float32))
            self.register_buffer("std_1C", torch.tensor([normalization.std], dtype=torch.float32))

    def forward(self, raw_NCHW: Tensor) -> Tensor:
        """(value - mean) / std."""
        if not self.by_image:
            return normalized(raw_NCHW, self.mean_1C, self.std_1C)
        # Around the mean: of 16-bit values, the mean of the squares has too few digits in single precision.
        centred = raw_NCHW - raw_NCHW.mean((2, 3), keepdim=True)
        std_NC11 = centred.square().mean((2, 3), keepdim=True).sqrt().clamp(min=self.least_std)
        return centred / std_NC11


class Ensemble(nn.Module):
    """Images (N, C, H, W), float32 in the values of their files, to probabilities (N, K) or (N, K, H, W), float32.

    What members share is done once: the normalisation, and the encoder that was frozen for all folds.

    Attributes:
        is_own: whether the networks are a user's own code, which may decide by values, as those of libraries do not.
    """

    def __init__(self, winner: Winner) -> None:
        super().__init__()
        self.task = winner.model.task
        self.by_pixel, self.several = self.task.endswith("segmentation"), self.task.startswith("multilabel")
        self.is_own = is_own(winner.model.training.model.name)
        self.normalizations, self.bodies, self.heads = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.of_normalization: list[int] = []  # which one each body takes
        self.of_body: list[int] = []  # and which body each head
        keys: list[Normalization] = []
        shared: dict[tuple[str, int], int] = {}
        for member in winner.members:
            normalization, network = member.model.normalization, member.network
            if normalization not in keys:
                keys.append(normalization)
                self.normalizations.append(Normalized(normalization))
            key = (member.model.encoder_from or "", keys.index(normalization))
            halves = is_of_shared_encoder(member)
            if not halves or key not in shared:
                shared[key] = len(self.bodies)
                self.bodies.append(Features(cast("Classifier", network)) if halves else network)
                self.of_normalization.append(key[1])
            self.of_body.append(shared[key])
            self.heads.append(cast("Classifier", network).head if halves else nn.Identity())
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """The mean over the members."""
        inputs = [normalization(image) for normalization in self.normalizations]
        outputs = [
            body(inputs[index]) for body, index in zip(self.bodies, self.of_normalization, strict=True)
        ]
        each = [
            probabilities(head(outputs[index]), self.task)
            for head, index in zip(self.heads, self.of_body, strict=True)
        ]
        return sum(each[1:], each[0]) / len(each)


class Features(nn.Module):
    """The encoder of a network as a module of its own: images to features (N, F)."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """What the head is given."""
        return self.network.features(x_NCHW)


def is_of_shared_encoder(member: Member) -> bool:
    """Whether a member is a head on an encoder that all members of that `encoder_from` have, number by number."""
    return member.model.encoder_from is not None and isinstance(member.network, Classifier)


@contextmanager
def in_plain_operations() -> Iterator[None]:
    """Within it, networks do what graphs have no word for by plain operations.

    These are fused transformers, and pooling to a number of pixels of images whose size is not fixed.
    """
    pool, fused = F.adaptive_avg_pool2d, torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    F.adaptive_avg_pool2d = _pooled  # what modules call as well
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        F.adaptive_avg_pool2d = pool


def _pooled(x_NCHW: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """What `adaptive_avg_pool2d` gives: every row and column of the output is the mean of a window of the input."""
    size_hw = (output_size, output_size) if isinstance(output_size, int) else output_size
    height, width = (
        length if size is None else size for size, length in zip(size_hw, x_NCHW.shape[-2:], strict=True)
    )
    if (height, width) == (1, 1):
        return x_NCHW.mean((-2, -1), keepdim=True)
    rows = _windows(x_NCHW, x_NCHW.shape[-2], height)
    columns = _windows(x_NCHW, x_NCHW.shape[-1], width)
    return rows @ x_NCHW @ columns.transpose(0, 1)


def _windows(like: Tensor, length: int, num: int) -> Tensor:
    """(num, length): the share of every pixel in each window, from ``floor(k length / num)`` to ``ceil((k + 1) length / num)``."""
    index, window = (
        torch.arange(length, device=like.device)[None],
        torch.arange(num, device=like.device)[:, None],
    )
    start, stop = window * length // num, ((window + 1) * length + num - 1) // num
    return ((index >= start) & (index < stop)).to(like.dtype) / (stop - start).to(like.dtype)
