"""What training asks of networks and losses, tried before it: on the smallest batch that a study makes of its images.

Of every network, that it can be trained on that batch at all; of a user's own network or loss everything that
docs/own-code.md promises and asks, since nobody else has tried it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from foldwise.data.batches.sampling import smallest_batch
from foldwise.errors import SpecError
from foldwise.learning.networks.describing import Architecture, architecture, network_without_numbers
from foldwise.learning.networks.models import MODELS, build
from foldwise.learning.networks.network import DataShape
from foldwise.learning.objectives.losses import make_loss
from foldwise.learning.objectives.pretraining import make_pretraining
from foldwise.learning.options import options_of
from foldwise.learning.training.trial_steps import NamedChoice, smaller
from foldwise.runs.encoder_passes import why_not_stored
from foldwise.runs.planning import pretraining
from foldwise.study.configurations import places_of
from foldwise.study.own_code import identity, is_own
from foldwise.study.ranges import IGNORE
from foldwise.study.training import NO_PRETRAINING, Choice, Training
from foldwise.text import count, some

if TYPE_CHECKING:
    import numpy as np

    from foldwise.data.cache.packed import Packed
    from foldwise.data.folds.splits import Split

MAX_PIXELS, MAX_IMAGES = 2**15, 4  # of a batch by which own code is tried
CONTRACT = "docs/own-code.md says what is asked of own code."


@dataclass(frozen=True)
class SmallestBatch:
    """The smallest batch that the fits of a configuration are trained on, in any fold.

    Attributes:
        num: images of it.
        size_hw: height and width that its images are padded or cropped to.
        ignored: whether a mask may have pixels that do not count.
    """

    num: int
    size_hw: tuple[int, int]
    ignored: bool = False

    @classmethod
    def of(cls, training: Training, packed: Packed, splits: Iterable[Split]) -> Self:
        """By the training parts as they are, and the settings that make batches of them."""
        trains = [split.train for split in splits]
        nums = [smallest_batch(len(train), training) for train in trains]
        sizes = [_size(training, packed.shapes[train], num) for train, num in zip(trains, nums, strict=True)]
        size_hw = min(sizes, key=lambda size: (min(size), max(size)))
        augment = training.augment
        moved = bool(augment.rotate_deg or augment.scale or augment.shift)
        least_px, most_px = int(packed.shapes.min()), training.crop_px or 0
        padded = len({tuple(shape) for shape in packed.shapes.tolist()}) > 1 or most_px > least_px
        return cls(
            min(nums), size_hw, packed.task.endswith("segmentation") and (moved or padded or _ignores(packed))
        )

    def __str__(self) -> str:
        return f"{count(self.num, 'image')} of {self.size_hw[0]} x {self.size_hw[1]} pixels"


def _size(training: Training, shapes: np.ndarray, num: int) -> tuple[int, int]:
    if training.crop_px:
        return (training.crop_px, training.crop_px)
    # Chance may put the smallest images together, and a batch is padded to the largest of its own.
    together = shapes[shapes.prod(axis=1).argsort(kind="stable")[:num]]
    height, width = together.max(axis=0).tolist()
    return height, width


def _ignores(packed: Packed) -> bool:
    return any(
        sum(measures.class_pixels or ()) < measures.height * measures.width for measures in packed.measures
    )


def check_training(training: Training, shape: DataShape, batch: SmallestBatch) -> None:
    """Refuse what cannot be trained on the smallest batch, and own code that does not give what is asked.

    Raises:
        SpecError: says what was tried, what came of it, and the cure.
    """
    _check_views(training, shape)
    design = architecture(training)
    _check_step(training, design, shape, batch)
    if training.pretrain != NO_PRETRAINING:
        _check_pretraining(training, shape, batch)
    num = min(batch.num, MAX_IMAGES)
    size_hw = smaller(batch.size_hw, MAX_PIXELS // num) if shape.segmentation else batch.size_hw
    tried = replace(batch, num=num, size_hw=size_hw)
    if is_own(training.model.name):
        _check_network(design, shape, tried)
    if is_own(training.loss.name):
        loss = NamedChoice(str(identity(training)["loss"]), training.loss)
        for places in places_of(training, shape.num_classes):
            _check_loss(loss, replace(shape, num_classes=len(places)), tried)


def _check_views(training: Training, shape: DataShape) -> None:
    if training.cache_views and (reason := why_not_stored(training, shape.task)):
        what = f"cache_views: {training.cache_views} stores what a frozen encoder makes of whole images, and {reason}"
        cure = "Leave cache_views out, or state freeze: encoder for a classification without crop_px and pretrain."
        if training.freeze != "encoder":
            beside = f"training: [{{freeze: encoder, cache_views: {training.cache_views}}}, {{freeze: none}}]"
            cure += f" To compare both, move it from train into compare, beside the freeze that it is for: {beside}."
        raise SpecError(what, cure=cure)


def _check_pretraining(training: Training, shape: DataShape, batch: SmallestBatch) -> None:
    alone = make_pretraining(training).applied_to(pretraining(training))
    # Where neither size is its own, its batches are those of the fit.
    same = (alone.batch_size, alone.steps_per_epoch) == (training.batch_size, training.steps_per_epoch)
    own = batch if same else replace(batch, num=min(batch.num, alone.batch_size))
    _check_step(alone, architecture(alone), replace(shape, num_classes=shape.in_channels), own)


def _check_step(training: Training, design: Architecture, shape: DataShape, batch: SmallestBatch) -> None:
    # Statistics of two images are as good as those of more.
    reason = _why_not(design, shape, min(batch.num, 2), batch.size_hw)
    if reason is None:
        return
    cures = "; ".join(_cures(training, shape, batch)) or "another model"
    raise SpecError(
        f"the model {training.model.name!r} cannot be trained on the smallest batch that is made of these images, "
        f"{batch}: {reason}",
        cure=f"Use one of these: {cures}.",
    )


def _cures(training: Training, shape: DataShape, batch: SmallestBatch) -> Iterator[str]:
    """Changes of a study with which the network can be trained: each was tried."""
    design, (height, width) = architecture(training), batch.size_hw
    if batch.num == 1 and _why_not(design, shape, 2, batch.size_hw) is None:
        yield "a 'batch_size' of 2 or more" if training.batch_size == 1 else "more images to train on"
    for times in (2, 4):
        larger = (times * height, times * width)
        if _why_not(design, replace(shape, size_hw=larger), min(batch.num, 2), larger) is None:
            yield f"images of {larger[0]} x {larger[1]} pixels"
            break
    row = MODELS.get(training.model.name)
    make = row and (row.segmenter if shape.segmentation else row.encoder)
    if make is not None and "norm" in options_of(make):
        grouped = Choice(name=training.model.name, options=training.model.options | {"norm": "group"})
        if (
            _why_not(
                architecture(training.model_copy(update={"model": grouped})), shape, batch.num, batch.size_hw
            )
            is None
        ):
            yield "the option 'norm: group' of the model"


@lru_cache(maxsize=256)
def _why_not(design: Architecture, shape: DataShape, num: int, size_hw: tuple[int, int]) -> str | None:
    """Why a network gives nothing for a batch in training; None where it does.

    In evaluation it may well do: batch norm then has its statistics, and of one value there are none.
    """
    inputs = (num, shape.in_channels, *size_hw)
    try:
        _forward(network_without_numbers(design, shape), torch.zeros(inputs, device="meta"))
    except Exception:  # some networks need numbers; then what the CPU says counts
        size_hw = smaller(size_hw, MAX_PIXELS // num) if shape.segmentation else size_hw
        try:
            _forward(build(design.training, shape, seed=0), torch.rand(num, shape.in_channels, *size_hw))
        except Exception as error:
            return (
                f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
            )
    return None


@torch.no_grad()
def _forward(network: nn.Module, x_NCHW: Tensor) -> None:
    network.train()
    try:
        network(x_NCHW)
    finally:
        network.eval()


@lru_cache(maxsize=64)
def _check_network(design: Architecture, shape: DataShape, batch: SmallestBatch) -> None:
    """A user's own network on one batch: what it gives, in training and for one image, and which parameters learn."""
    name = design.training.model.name
    network = build(design.training, shape, seed=0)
    x_NCHW = torch.rand(
        batch.num, shape.in_channels, *batch.size_hw, generator=torch.Generator().manual_seed(0)
    )
    network.train()
    logits = network(x_NCHW)
    _check_logits(logits, shape, batch, f"{name} in training mode")
    network.zero_grad()
    logits.sum().backward()
    learning = {key: values for key, values in network.named_parameters() if values.requires_grad}
    if not learning:
        raise SpecError(f"{name} has no parameter that learns", cure=CONTRACT)
    idle = [key for key, values in learning.items() if values.grad is None]
    if idle:
        cure = "Use them, remove them, or set requires_grad to False. "
        raise SpecError(f"no logit of {name} depends on its parameters {some(idle, 6)}", cure=cure + CONTRACT)
    broken = [
        key
        for key, values in learning.items()
        if values.grad is not None and not values.grad.isfinite().all()
    ]
    if broken:
        raise SpecError(f"gradients of {name} are not finite: {some(broken, 6)}", cure=CONTRACT)
    with torch.inference_mode():
        alone = network.eval()(x_NCHW[:1])
    _check_logits(alone, shape, replace(batch, num=1), f"{name} in evaluation mode, asked about one image,")


def _check_logits(logits: object, shape: DataShape, batch: SmallestBatch, who: str) -> None:
    wanted = (batch.num, shape.num_classes, *(batch.size_hw if shape.segmentation else ()))
    if not isinstance(logits, Tensor):
        raise SpecError(f"{who} gives a {type(logits).__name__} and no tensor", cure=CONTRACT)
    if tuple(logits.shape) != wanted:
        what = f"{who} gives logits of shape {tuple(logits.shape)}, not {wanted}"
        raise SpecError(what, cure=f"End in one logit for each class. {CONTRACT}")
    if not logits.is_floating_point():
        raise SpecError(f"{who} gives {logits.dtype}, and no floating-point numbers", cure=CONTRACT)
    if not logits.isfinite().all():
        raise SpecError(f"{who} gives logits that are not finite, of images between 0 and 1", cure=CONTRACT)


def targets_like(shape: DataShape, num: int, size_hw: tuple[int, int]) -> Tensor:
    """Targets as batches have them, drawn by chance: (N,) or (N, H, W) int64 classes, or (N, K) float32 zeros and ones."""
    K, chance = shape.num_classes, torch.Generator().manual_seed(0)
    if shape.task == "multilabel_classification":
        return torch.randint(0, 2, (num, K), generator=chance).float()
    return torch.randint(0, K, (num, *(size_hw if shape.segmentation else ())), generator=chance)


@lru_cache(maxsize=64)
def _check_loss(loss: NamedChoice, shape: DataShape, batch: SmallestBatch) -> None:
    """A user's own loss on one batch, and where masks may have pixels that do not count, on such masks, too."""
    counts = torch.ones(shape.num_classes).numpy()
    rule = make_loss(
        loss.choice, task=shape.task, num_classes=shape.num_classes, class_counts=counts, num_cases=2
    )
    target = targets_like(shape, batch.num, batch.size_hw)
    _gradient(rule, loss, shape, target, "a batch")
    if not batch.ignored:
        return
    target[:, : max(1, batch.size_hw[0] // 2)] = IGNORE
    gradient = _gradient(
        rule, loss, shape, target, f"masks in which some pixels are {IGNORE} and do not count"
    )
    if gradient.movedim(1, -1)[target == IGNORE].any():
        what = f"the loss {loss.choice.name} learns from pixels whose target is {IGNORE}, which do not count"
        raise SpecError(what, cure=f"Leave them out, as with ignore_index={IGNORE}. {CONTRACT}")
    nothing = torch.full_like(target, IGNORE)
    _gradient(rule, loss, shape, nothing, f"masks of nothing but {IGNORE}, as a crop may be")


def _gradient(rule: object, loss: NamedChoice, shape: DataShape, target: Tensor, what: str) -> Tensor:
    """Of the logits; SpecError where there is none, or the loss is no finite number."""
    name, sizes = f"the loss {loss.choice.name}", target.shape[1:] if shape.segmentation else ()
    wanted = (len(target), shape.num_classes, *sizes)
    logits = torch.randn(wanted, generator=torch.Generator().manual_seed(0)).requires_grad_()
    arguments = (
        f"logits {wanted} and targets {tuple(target.shape)} {str(target.dtype).removeprefix('torch.')}"
    )
    try:
        value = rule(logits, target)  # type: ignore[operator]
    except Exception as error:  # of a user's own code
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
        raise SpecError(f"{name} fails on {what}, {arguments}: {reason}", cure=CONTRACT) from error
    if not isinstance(value, Tensor) or value.ndim:
        got = (
            f"a tensor of shape {tuple(value.shape)}"
            if isinstance(value, Tensor)
            else f"a {type(value).__name__}"
        )
        raise SpecError(f"{name} gives {got} for {what}, not a tensor of one number", cure=CONTRACT)
    if not value.isfinite():
        raise SpecError(
            f"{name} is {float(value.detach())} for {what}, {arguments}",
            cure=f"Give a finite number. {CONTRACT}",
        )
    if not value.requires_grad:
        cure = f"Compute it of the logits by torch, without detach(), item() or argmax(). {CONTRACT}"
        raise SpecError(f"{name} has no gradient: nothing would be learned", cure=cure)
    value.backward()  # type: ignore[no-untyped-call]
    if logits.grad is None or not logits.grad.isfinite().all():
        raise SpecError(
            f"{name} has no finite gradient of the logits, for {what}, {arguments}", cure=CONTRACT
        )
    return logits.grad
