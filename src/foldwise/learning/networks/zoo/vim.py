"""The state-space model: read the patches one after another, and remember.

In a transformer every patch asks every other one, so the work grows with the square of their number. Here a
memory walks along the patches, row by row: at each it forgets a little, takes something in, and what it then
holds is the answer for that patch. How much is forgotten and taken in, every patch decides itself; this is what
makes the memory selective. The work grows with the number of patches alone. As a memory knows only what came
before, a second one walks from the end to the beginning.

    image     C x H x W
      |       patches to tokens, with where they lie, as in `vit`
    tokens    T x D
      |       blocks times:  x + what two walks tell, each token with a gate of its own
      |
      |         memory  2 D x S:   h[t] = decay[t] h[t - 1] + gain[t]  --->  ahead
      |                            h[t] = decay[t] h[t + 1] + gain[t]  <---  back
    tokens    T x D
      |
      +---->  classification: features  D, the mean token
      |
    map       D x H/p x W/p
      |       each token unfolded to its p x p pixels
    maps      D/4 x H x W
      |       3 x 3, then 1 x 1
    logits    K x H x W

Source: Gu & Dao 2023, arXiv:2312.00752 (Mamba); Zhu et al. 2024, arXiv:2401.09417 (Vision Mamba, which walks
both ways). Here with the fixed positions of `vit` and the mean of all tokens in place of a class token, so that
an image may have any size.
"""

from __future__ import annotations

from itertools import pairwise
from math import log
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldwise.errors import SpecError
from foldwise.learning.networks.network import is_traced
from foldwise.learning.networks.zoo.vit import tokens_of
from foldwise.study.ranges import Depth, PatchPx, Width


class Recurrence(torch.autograd.Function):
    """The memory at each of T tokens: ``h[t] = decay[t] h[t - 1] + gain[t]``, from an empty one.

    ``Recurrence.apply(decay_NTES, gain_NTES, back)`` gives h, (N, T, E, S). With `back` the walk is from the last
    token to the first, ``h[t] = decay[t] h[t + 1] + gain[t]``. The gradient of a walk is a walk the other way, so
    it is written that way; autograd by itself would keep a copy of every step.
    """

    @staticmethod
    def forward(ctx: Any, decay_NTES: Tensor, gain_NTES: Tensor, back: bool) -> Tensor:
        """The memory at each token."""
        states_NTES = walk(decay_NTES, gain_NTES, back)
        ctx.save_for_backward(decay_NTES, states_NTES)
        ctx.back = back
        return states_NTES

    @staticmethod
    def backward(ctx: Any, slope_NTES: Tensor) -> tuple[Tensor, Tensor, None]:
        """The slopes of decay and gain: what a token took in is worth what it does there and from there on."""
        decay_NTES, states_NTES = ctx.saved_tensors
        ahead = -1 if ctx.back else 1
        worth_NTES = Recurrence.apply(moved(decay_NTES, -ahead), slope_NTES, not ctx.back)
        return worth_NTES * moved(states_NTES, ahead), worth_NTES, None


def walk(decay_NTES: Tensor, gain_NTES: Tensor, back: bool) -> Tensor:
    """What `Recurrence` gives, one token after another, in place.

    This is the plainest way, and on a CPU the fastest: the work is all in reading and writing, and a walk in
    parallel stretches goes over everything several times (measured, 5 times slower at 256 tokens). Decays between
    0 and 1 are only ever multiplied, never divided by, so nothing can overflow and a 0 does no harm.
    """
    states_NTES = gain_NTES.clone(memory_format=torch.contiguous_format)
    decays, states = decay_NTES.unbind(1), states_NTES.unbind(1)
    order = range(len(states))
    for before, now in pairwise(reversed(order) if back else order):
        states[now].addcmul_(decays[now], states[before])
    return states_NTES


def walk_in_strides(decay_NTES: Tensor, gain_NTES: Tensor, back: bool) -> Tensor:
    """What `walk` gives, in 16 strides of doubled length: a graph of them holds for any number of tokens up to 65,536."""
    place_T = torch.arange(gain_NTES.shape[1], device=gain_NTES.device)
    last = gain_NTES.shape[1] - 1
    for power in range(16):
        from_T = place_T + 2**power if back else place_T - 2**power
        there = ((from_T >= 0) & (from_T <= last)).to(gain_NTES.dtype)[None, :, None, None]
        from_T = from_T.clamp(0, last)
        gain_NTES = gain_NTES + decay_NTES * gain_NTES.index_select(1, from_T) * there
        decay_NTES = decay_NTES * decay_NTES.index_select(1, from_T) * there
    return gain_NTES


def moved(x_NTES: Tensor, by: int) -> Tensor:
    """Every token's values given to the token `by` places later; those that get none get 0."""
    return F.pad(x_NTES, (0, 0, 0, 0, by, -by))


class SelectiveScan(nn.Module):
    """Tokens (N, T, E) to what a memory of S numbers for each of the E channels answers at each of them, (N, T, E).

    Args:
        states: S; the k-th of them forgets k times as fast as the first, before anything is learned.
        back: walk from the last token to the first.
    """

    def __init__(self, channels: int, states: int, *, back: bool) -> None:
        super().__init__()
        self.rank, self.states, self.back = -(-channels // 16), states, back
        self.neighbours = nn.Conv1d(channels, channels, 4, groups=channels)
        self.choose = nn.Linear(channels, self.rank + 2 * states, bias=False)
        self.stride = nn.Linear(self.rank, channels)
        self.log_rates = nn.Parameter(torch.arange(1.0, states + 1).log().repeat(channels, 1))
        self.skip = nn.Parameter(torch.ones(channels))
        # Strides from 0.001 to 0.1: some channels remember a thousand tokens, some ten.
        strides = torch.exp(log(1e-3) + torch.rand(channels) * log(100))
        self.stride.bias = nn.Parameter(strides.expm1().log())  # which softplus takes back

    def forward(self, x_NTE: Tensor) -> Tensor:
        """The answers; the one for a token depends on it and on those walked before it."""
        # Three empty tokens come first, so that no token sees one that is yet to come.
        padded_NET = F.pad(x_NTE.transpose(1, 2), (0, 3) if self.back else (3, 0))
        x_NTE = F.silu(self.neighbours(padded_NET).transpose(1, 2))
        stride_NTR, take_NTS, tell_NTS = self.choose(x_NTE).split([self.rank, self.states, self.states], -1)
        # In full precision, as errors in a decay are multiplied from token to token.
        stride_NTE = F.softplus(self.stride(stride_NTR)).float()
        decay_NTES = torch.exp(-stride_NTE[..., None] * self.log_rates.exp())
        gain_NTES = (stride_NTE * x_NTE)[..., None] * take_NTS[:, :, None]
        remember = walk_in_strides if is_traced() else Recurrence.apply
        memory_NTES = remember(decay_NTES, gain_NTES, self.back)
        return (memory_NTES * tell_NTS[:, :, None]).sum(-1) + self.skip * x_NTE


class VimBlock(nn.Module):
    """Walk along the tokens both ways, as a correction to what came in, (N, T, D)."""

    def __init__(self, width: int, states: int) -> None:
        super().__init__()
        inner = 2 * width
        self.norm = nn.LayerNorm(width)
        self.spread = nn.Linear(width, 2 * inner)
        self.ahead = SelectiveScan(inner, states, back=False)
        self.back = SelectiveScan(inner, states, back=True)
        self.join = nn.Linear(inner, width)

    def forward(self, x_NTD: Tensor) -> Tensor:
        """The changed tokens."""
        x_NTE, gate_NTE = self.spread(self.norm(x_NTD)).chunk(2, dim=-1)
        heard_NTE = self.ahead(x_NTE) + self.back(x_NTE)
        return x_NTD + self.join(heard_NTE * F.silu(gate_NTE))


class PatchMamba(nn.Module):
    """Images (N, C, H, W) to one token for every patch, laid out as a map (N, D, H / patch, W / patch).

    Args:
        patch: side of a patch, in pixels.
        width: D, numbers that stand for a patch; must divide by 4.
        blocks: how often the tokens are walked along, each time both ways.
        states: numbers that a memory holds for each of its 2 D channels.

    Raises:
        SpecError: `width` does not divide.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        patch: PatchPx = 8,
        width: Width = 64,
        blocks: Depth = 6,
        states: Width = 16,
    ) -> None:
        super().__init__()
        if width % 4:
            what = f"a vim of width {width} cannot be divided among 4 waves"
            raise SpecError(what, cure="Choose a width that is a multiple of 4, for example 64.")
        self.cut = nn.Conv2d(in_channels, width, patch, stride=patch)
        self.blocks = nn.ModuleList(VimBlock(width, states) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """The map of tokens."""
        map_NDhw = self.cut(x_NCHW)
        x_NTD = tokens_of(map_NDhw)
        for block in self.blocks:
            x_NTD = block(x_NTD)
        return self.norm(x_NTD).transpose(1, 2).unflatten(2, map_NDhw.shape[2:])

    def features(self, x_NCHW: Tensor) -> Tensor:
        """The mean token, (N, D)."""
        return self(x_NCHW).mean((2, 3))
