"""What a fit will take, from one small step of it: a guess within a factor of two, for `foldwise check`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from torch import Tensor

from foldwise.learning.networks.describing import Architecture, architecture
from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import DataShape, layout_for
from foldwise.learning.objectives.losses import make_loss
from foldwise.learning.objectives.optimizers import make_optimizer
from foldwise.learning.objectives.pretraining import make_pretraining
from foldwise.runs.planning import pretraining
from foldwise.study.configurations import identity
from foldwise.study.training import NO_PRETRAINING, Augment, Choice, Training

_TIMED_PIXELS, _TIMED_IMAGES = 2**17, 2  # at most so many pixels at a time, but at least so many images
_TIMED_TIMES, _TIMED_AT_MOST_S = 3, 1.0
_BYTES_PER_MB = 1e6
ASSUMED_HW = (256, 256)  # of images of different sizes
_STATES = {"sgd": 1, "rmsprop": 1, "adam": 2, "adamw": 2}  # numbers an optimiser keeps for each parameter


@dataclass(frozen=True)
class Estimate:
    """What one fit takes on this machine's CPU, with as many threads as torch has here.

    Args:
        seconds_per_fit: training, and asking about the inner validation after each epoch and about the test fold
            once; where features are stored, training of the head alone.
        seconds_for_features: one pass of a frozen encoder over the images; 0 where features are not stored.
        seconds_for_pretraining: of the network of one fold; 0 where it is not pretrained.
        seconds_per_test: of one look at a test fold through the whole network.
        memory_mb: weights, gradients, the optimiser's numbers and what a step keeps for its gradient, in 10^6
            bytes; the program itself comes on top.
    """

    seconds_per_fit: float
    seconds_for_features: float
    memory_mb: float
    parameters: int
    seconds_for_pretraining: float = 0.0
    seconds_per_test: float = 0.0

    @property
    def seconds_before(self) -> float:
        """Of the item that a fit needs, at most one; fits share it."""
        return self.seconds_for_features + self.seconds_for_pretraining


@dataclass(frozen=True)
class EvaluatedImages:
    """The whole images that one fit is asked about.

    Args:
        validation: images of the inner validation, looked at after every epoch.
        test: images of the test fold, looked at once.
        size_hw: their height and width; that of the images trained on where None.
    """

    validation: int
    test: int
    size_hw: tuple[int, int] | None = None


def estimate(
    training: Training, shape: DataShape, *, images: int, evaluated: EvaluatedImages | None = None
) -> Estimate:
    """Build the network, time one step of a few images and one look at them, and multiply.

    A network that another configuration had is not built and timed again.

    Args:
        training: the configuration; its weights are not loaded, as they take no time.
        shape: of the data; 256 x 256 is assumed for images of different sizes.
        evaluated: the images it is asked about; left out of the estimate where None.
    """
    evaluated = evaluated or EvaluatedImages(0, 0)
    estimated = _without_pretraining(training, shape, images=images, evaluated=evaluated)
    if training.pretrain == NO_PRETRAINING:
        return estimated
    # As a fit of its own, of all of the network: a step costs as much whatever the loss is.
    alone = make_pretraining(training).applied_to(pretraining(training))
    before = _without_pretraining(alone, shape, images=images, evaluated=replace(evaluated, test=0))
    memory_mb = max(estimated.memory_mb, before.memory_mb)
    return replace(estimated, memory_mb=memory_mb, seconds_for_pretraining=before.seconds_per_fit)


def _without_pretraining(
    training: Training, shape: DataShape, *, images: int, evaluated: EvaluatedImages
) -> Estimate:
    whole_hw = evaluated.size_hw or shape.size_hw or ASSUMED_HW
    size_hw = (training.crop_px, training.crop_px) if training.crop_px else shape.size_hw or ASSUMED_HW
    trained = replace(shape, size_hw=size_hw)
    # As many as a batch has, if they are small: gradients of the weights cost the same for few images and many.
    num = max(_TIMED_IMAGES, min(training.batch_size, _TIMED_PIXELS // (size_hw[0] * size_hw[1])))
    passes = _passes(architecture(training), trained, num)
    loss_s, loss_bytes = _rule(_Named(str(identity(training)["loss"]), training.loss), trained, num)
    update = _update(_Named(training.optimizer.name, training.optimizer), passes.learning)
    # Layers work by the pixel, so a whole image takes as much longer than a crop as it is larger.
    per_look = passes.look / num * whole_hw[0] * whole_hw[1] / (size_hw[0] * size_hw[1])
    timed = _Timed((passes.learn + loss_s) / num, update, per_look)
    unchanged = training.augment == Augment() and training.crop_px is None
    # The images then look the same to a frozen encoder in every epoch, so that it need see them only once.
    stored = training.freeze == "encoder" and not shape.segmentation and unchanged
    stored &= training.pretrain == NO_PRETRAINING
    learns = sum(math.prod(shape) for shape in passes.learning)
    # Of every weight one, and of those that learn a gradient and what the optimiser keeps.
    numbers = passes.parameters + learns * (1 + _STATES.get(training.optimizer.name, 2))
    return Estimate(
        seconds_per_fit=_fit_seconds(training, timed, images=images, evaluated=evaluated, stored=stored),
        seconds_for_features=per_look * (images + evaluated.validation + evaluated.test) if stored else 0.0,
        memory_mb=(4 * numbers + (passes.kept_bytes + loss_bytes) / num * training.batch_size)
        / _BYTES_PER_MB,
        parameters=passes.parameters,
        seconds_per_test=per_look * evaluated.test,
    )


@dataclass(frozen=True)
class _Timed:
    """Seconds of one image's gradients, of one step of the optimiser, and of one look at a whole image."""

    image: float
    update: float
    look: float


def _fit_seconds(
    training: Training, timed: _Timed, *, images: int, evaluated: EvaluatedImages, stored: bool
) -> float:
    """All epochs of a fit and its looks; with stored features, the encoder's part is not done again."""
    steps = training.steps_per_epoch or math.ceil(images / training.batch_size)
    images_trained = images if training.steps_per_epoch is None else steps * training.batch_size
    # Stored features spare the pass of the encoder. Timings are noisy, so their difference may fall below 0.
    per_image = max(timed.image - timed.look, 0.0) if stored else timed.image
    seen_at_last = images + evaluated.test if evaluated.test else 0  # the training part too is scored, once
    num_evaluated = 0 if stored else evaluated.validation * training.epochs + seen_at_last
    return (per_image * images_trained + timed.update * steps) * training.epochs + timed.look * num_evaluated


@dataclass(frozen=True)
class _Passes:
    """One network on a few images, whatever its loss and optimiser are.

    Args:
        learn: seconds of a pass forth and back.
        look: seconds of what evaluation does with them.
        kept_bytes: what is kept between the two passes.
        learning: shapes of those that learn.
    """

    learn: float
    look: float
    kept_bytes: int
    parameters: int
    learning: tuple[tuple[int, ...], ...]


# What follows is timed once and remembered: configurations share networks, losses and optimisers.
@lru_cache(maxsize=256)
def _passes(design: Architecture, shape: DataShape, num: int) -> _Passes:
    assert shape.size_hw is not None
    network = build(design.training, shape, seed=0)
    network = network.to(memory_format=layout_for(network))
    x_NCHW = torch.zeros(num, shape.in_channels, *shape.size_hw)

    def learn() -> None:
        network.train()
        network.zero_grad()
        network(x_NCHW).sum().backward()

    def look() -> None:
        network.eval()
        with torch.inference_mode():
            network(x_NCHW)

    parameters = list(network.parameters())
    kept_bytes = _kept_bytes(learn, but=parameters)
    learning = tuple(tuple(parameter.shape) for parameter in parameters if parameter.requires_grad)
    num_parameters = sum(parameter.numel() for parameter in parameters)
    return _Passes(_seconds(learn), _seconds(look), kept_bytes, num_parameters, learning)


@dataclass(frozen=True)
class _Named:
    """A choice, known again by what its cost depends on."""

    key: str
    choice: Choice = field(compare=False)


@lru_cache(maxsize=256)
def _rule(loss: _Named, shape: DataShape, num: int) -> tuple[float, int]:
    """Seconds of a loss forth and back, and the bytes that it keeps between."""
    K, pixels = shape.num_classes, shape.size_hw if shape.segmentation and shape.size_hw else ()
    labels = (K,) if shape.task == "multilabel_classification" else ()
    target = torch.zeros(num, *labels, *pixels, dtype=torch.uint8)
    logits = torch.randn(num, K, *pixels, generator=torch.Generator().manual_seed(0)).requires_grad_()
    counts = torch.ones(K).numpy()
    loss_of = make_loss(loss.choice, task=shape.task, num_classes=K, class_counts=counts, num_cases=2)

    def learn() -> None:
        loss_of(logits, target).backward()

    kept_bytes = _kept_bytes(learn, but=[])
    return _seconds(learn), kept_bytes


@lru_cache(maxsize=256)
def _update(optimizer_choice: _Named, shapes: tuple[tuple[int, ...], ...]) -> float:
    """Seconds of one step of an optimiser."""
    parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer = make_optimizer(optimizer_choice.choice, parameters, "cpu")
    optimizer.step()  # the first one makes its running means
    return _seconds(optimizer.step)


def _kept_bytes(work: Callable[[], None], *, but: Iterable[Tensor]) -> int:
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


def _seconds(work: Callable[[], object]) -> float:
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
