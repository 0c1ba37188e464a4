"""One network, loss or optimiser tried on a few pixels: how long its passes take, and what they keep.

Each is tried once and remembered: configurations share networks, losses and optimisers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from torch import Tensor

from foldwise.learning.networks.describing import Architecture, architecture, network_without_numbers
from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import DataShape, Network, layout_for
from foldwise.learning.networks.tiles import BUDGET_BYTES, LARGEST_PX, MARGIN_PX, Need, need_of, step_of
from foldwise.learning.objectives.losses import make_loss
from foldwise.learning.objectives.optimizers import make_optimizer
from foldwise.learning.training.devices import autocast
from foldwise.study.training import Choice

# A step is tried with so many pixels, first with few, and with more where these took so little time that layers were
# hardly busy: 220 images at native sizes, tried whole, had not been timed after 16 minutes.
_TIMED_PIXELS, _TIMED_IMAGES = (2**13, 2**15, 2**17), 2
_BUSY_S = 0.4
_TIMED_TIMES, _TIMED_AT_MOST_S = 3, 1.0
# Of a side, where a large image is tried as a smaller one; all strides divide it.
_LEAST_PX, _MULTIPLE_PX = 64, 32


@dataclass(frozen=True)
class Passes:
    """One network on `num` images of a size, whatever its loss and optimiser are.

    Args:
        learn: seconds of a pass forth and back.
        look: seconds of what evaluation does with them.
        kept_bytes: what is kept between the two passes.
        learning: shapes of those that learn.
        need: the memory of one image on its way through the network.
        step: what tiles start at multiples of.
    """

    num: int
    size_hw: tuple[int, int]
    learn: float
    look: float
    kept_bytes: int
    parameters: int
    learning: tuple[tuple[int, ...], ...]
    need: Need
    step: int

    def skips(self, pixels: int) -> bool:
        """Whether so many pixels need not be tried, since the most take little time as well."""
        most = _TIMED_PIXELS[-1]
        return pixels < most and self.learn * most < 4 * _BUSY_S * self.num * math.prod(self.size_hw)

    def _side_px(self, size_hw: tuple[int, int]) -> int | None:
        if max(size_hw) <= LARGEST_PX or self.need.bytes(*size_hw) <= BUDGET_BYTES:
            return None
        return self.need.side_px(self.step)

    def seen_again(self, size_hw: tuple[int, int]) -> float:
        """How many times an image of this size is seen: more than once where its tiles have margins."""
        side = self._side_px(size_hw)
        if side is None:
            return 1.0
        useful = max(side - 2 * MARGIN_PX, MARGIN_PX)
        return math.prod(
            math.ceil(max(length - side, 0) / useful) * side + side for length in size_hw
        ) / math.prod(size_hw)

    def look_bytes(self, size_hw: tuple[int, int]) -> float:
        """What one image of this size takes on its way, or one of its tiles."""
        side = self._side_px(size_hw)
        return self.need.bytes(*size_hw) if side is None else self.need.bytes(side, side)


@lru_cache(maxsize=256)
def passes_of(design: Architecture, shape: DataShape, batch_size: int, precision: str = "fp32") -> Passes:
    """The passes of as many pixels as take a while, at most of a batch, but of two images at least.

    Of networks that differ in their heads one is timed, with a linear head: beside the encoder, a head takes no time.
    """
    headless = architecture(design.training.model_copy(update={"head": Choice(name="linear")}))
    passes = _encoder_passes(headless, shape, batch_size, precision)
    if headless == design:
        return passes
    parameters = list(network_without_numbers(design, shape).parameters())
    num, learning = sum(values.numel() for values in parameters), _learning(parameters)
    return replace(passes, parameters=num, learning=learning)


@lru_cache(maxsize=256)
def _encoder_passes(design: Architecture, shape: DataShape, batch_size: int, precision: str) -> Passes:
    assert shape.size_hw is not None
    network = build(design.training, shape, seed=0)
    network = network.to(memory_format=layout_for(network))
    passes: Passes | None = None
    for pixels in _TIMED_PIXELS:
        size_hw = smaller(shape.size_hw, pixels // _TIMED_IMAGES) if shape.segmentation else shape.size_hw
        num = max(_TIMED_IMAGES, min(batch_size, pixels // math.prod(size_hw)))
        if passes is not None and ((passes.num, passes.size_hw) == (num, size_hw) or passes.skips(pixels)):
            continue
        passes = _tried(network, replace(shape, size_hw=size_hw), num, precision)
        if passes.learn > _BUSY_S:
            break
    assert passes is not None
    return passes


def smaller(size_hw: tuple[int, int], pixels: int) -> tuple[int, int]:
    """A size of about so many pixels in the same proportions; the size itself where it is no larger."""
    shrunk = math.sqrt(pixels / math.prod(size_hw))
    if shrunk >= 1:
        return size_hw
    short = max(round(min(size_hw) * shrunk / _MULTIPLE_PX) * _MULTIPLE_PX, min(_LEAST_PX, min(size_hw)))
    long = max(round(pixels / short / _MULTIPLE_PX) * _MULTIPLE_PX, _LEAST_PX)
    return (short, long) if size_hw[0] <= size_hw[1] else (long, short)


def _tried(network: Network, shape: DataShape, num: int, precision: str) -> Passes:
    assert shape.size_hw is not None
    x_NCHW = torch.zeros(num, shape.in_channels, *shape.size_hw)

    def learn() -> None:
        network.train()
        network.zero_grad()
        with autocast(torch.device("cpu"), precision):
            logits = network(x_NCHW)
        logits.sum().backward()

    def look() -> None:
        network.eval()
        with torch.inference_mode(), autocast(torch.device("cpu"), precision):
            network(x_NCHW)

    parameters = list(network.parameters())
    kept_bytes = kept_by(learn, but=parameters)
    num_parameters = sum(parameter.numel() for parameter in parameters)
    # Through the frozen encoder of a classifier nothing goes back; the decoder of masks learns, and takes its time.
    encoder = None if shape.segmentation else network.part("encoder")
    frozen = encoder is not None and not any(values.requires_grad for values in encoder.parameters())
    look_s = seconds_of(look)
    learn_s = look_s if frozen else seconds_of(learn)
    need, step = need_of(network, shape.in_channels), step_of(network)
    return Passes(
        num, shape.size_hw, learn_s, look_s, kept_bytes, num_parameters, _learning(parameters), need, step
    )


def _learning(parameters: Iterable[Tensor]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(parameter.shape) for parameter in parameters if parameter.requires_grad)


@dataclass(frozen=True)
class NamedChoice:
    """A choice, known again by what its cost depends on."""

    key: str
    choice: Choice = field(compare=False)


@lru_cache(maxsize=256)
def rule_of(loss: NamedChoice, shape: DataShape, num: int) -> tuple[float, int]:
    """Seconds of a loss forth and back, and the bytes that it keeps between."""
    K, pixels = shape.num_classes, shape.size_hw if shape.segmentation and shape.size_hw else ()
    several = shape.task == "multilabel_classification"
    target = torch.zeros(
        num, *((K,) if several else ()), *pixels, dtype=torch.float32 if several else torch.int64
    )
    logits = torch.randn(num, K, *pixels, generator=torch.Generator().manual_seed(0)).requires_grad_()
    counts = torch.ones(K).numpy()
    loss_of = make_loss(loss.choice, task=shape.task, num_classes=K, class_counts=counts, num_cases=2)

    def learn() -> None:
        loss_of(logits, target).backward()

    kept_bytes = kept_by(learn, but=[])
    return seconds_of(learn), kept_bytes


@lru_cache(maxsize=256)
def update_of(optimizer_choice: NamedChoice, shapes: tuple[tuple[int, ...], ...]) -> float:
    """Seconds of one step of an optimiser."""
    parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer = make_optimizer(optimizer_choice.choice, parameters, "cpu")
    optimizer.step()  # the first one makes its running means
    return seconds_of(optimizer.step)


def kept_by(work: Callable[[], None], *, but: Iterable[Tensor]) -> int:
    """Of what is kept for the gradient while `work` is done for the first time, but for some tensors."""
    # By storage: several of the tensors that are kept may be views of one.
    kept_bytes_by_storage: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept_bytes_by_storage[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    own = {parameter.untyped_storage().data_ptr() for parameter in but}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        work()
    return sum(size for pointer, size in kept_bytes_by_storage.items() if pointer not in own)


def seconds_of(work: Callable[[], object]) -> float:
    """Of one piece of work: the best of a few, as whatever else the machine does can only make it slower.

    The time of the processor is counted where it is the shorter one: other programs take none of that.
    """
    best, began = float("inf"), time.perf_counter()
    for _ in range(_TIMED_TIMES):
        start, start_busy = time.perf_counter(), time.process_time()
        work()
        busy = (time.process_time() - start_busy) / torch.get_num_threads()
        best = min(best, time.perf_counter() - start, busy or float("inf"))
        if time.perf_counter() - began > _TIMED_AT_MOST_S:
            break
    return best
