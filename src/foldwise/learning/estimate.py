"""What a fit will take, from one small step of it: a guess within a factor of two, for `foldwise check`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from foldwise.learning.losses import make_loss
from foldwise.learning.models import Network, build, layout_for
from foldwise.learning.optimizers import make_optimizer
from foldwise.study.spec import Augment, Task, Training

_TIMED_IMAGES = 2
_TIMED_TIMES, _TIMED_AT_MOST_S = 3, 2.0
_BYTES_PER_MB = 1e6
_STATES = {"sgd": 1, "rmsprop": 1, "adam": 2, "adamw": 2}  # numbers an optimiser keeps for each parameter


@dataclass(frozen=True)
class Estimate:
    """What one fit takes on this machine's CPU, with as many threads as torch has here.

    Args:
        seconds_per_fit: training alone; where features are stored, that of the head.
        seconds_for_features: one pass of a frozen encoder over the images; 0 where features are not stored.
        memory_mb: weights, gradients, the optimiser's numbers and what a step keeps for its gradient, in 10^6
            bytes; the program itself comes on top.
        parameters: of the network.
    """

    seconds_per_fit: float
    seconds_for_features: float
    memory_mb: float
    parameters: int


def estimate(
    training: Training,
    *,
    task: Task,
    in_channels: int,
    num_classes: int,
    size_hw: tuple[int, int] | None,
    images: int,
) -> Estimate:
    """Build the network, time one step of two images, and multiply.

    Args:
        training: the configuration; its weights are not loaded, as they take no time.
        task: what is predicted.
        in_channels: channels of the images.
        num_classes: K.
        size_hw: height and width of the images; 256 x 256 is assumed for images of different sizes.
        images: how many of them one fit is trained on.
    """
    if training.crop_px is not None:
        size_hw = (training.crop_px, training.crop_px)
    size_hw = size_hw or (256, 256)
    blank = training.model_copy(update={"weights": "none"})
    network = build(
        blank, task=task, in_channels=in_channels, num_classes=num_classes, size_hw=size_hw, seed=0
    )
    network = network.to(memory_format=layout_for(network))
    x_NCHW = torch.zeros(_TIMED_IMAGES, in_channels, *size_hw)
    step, kept_bytes = _step(network, training, task=task, num_classes=num_classes, x_NCHW=x_NCHW)
    seconds_per_image = _seconds(step) / _TIMED_IMAGES
    seconds_forward = 0.0
    if training.freeze == "encoder" and not task.endswith("segmentation") and stores_features(training):
        seconds_forward = min(_seconds(lambda: network.features(x_NCHW)) / _TIMED_IMAGES, seconds_per_image)
        seconds_per_image -= seconds_forward
    seen = images if training.steps_per_epoch is None else training.steps_per_epoch * training.batch_size
    return Estimate(
        seconds_per_fit=seconds_per_image * seen * training.epochs,
        seconds_for_features=seconds_forward * images,
        memory_mb=_memory_mb(network, training, kept_bytes / _TIMED_IMAGES),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )


def stores_features(training: Training) -> bool:
    """Whether the images look the same to a frozen encoder in every epoch, so that it need see them only once."""
    return training.augment == Augment() and training.crop_px is None


def _memory_mb(network: Network, training: Training, kept_bytes_per_image: float) -> float:
    learns = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    all_parameters = sum(parameter.numel() for parameter in network.parameters())
    numbers = all_parameters + learns * (1 + _STATES.get(training.optimizer.name, 2))
    return (4 * numbers + kept_bytes_per_image * training.batch_size) / _BYTES_PER_MB


def _step(
    network: Network, training: Training, *, task: Task, num_classes: int, x_NCHW: Tensor
) -> tuple[Callable[[], None], int]:
    """A whole training step, and the bytes it keeps between forward and backward pass."""
    segmentation = task.endswith("segmentation")
    shape = (len(x_NCHW), num_classes) if task == "multilabel_classification" else (len(x_NCHW),)
    target = torch.zeros(*shape, *(x_NCHW.shape[-2:] if segmentation else ()), dtype=torch.uint8)
    loss_of = make_loss(
        training.loss,
        task=task,
        num_classes=num_classes,
        class_counts=torch.ones(num_classes).numpy(),
        num_cases=2,
    )
    optimizer = make_optimizer(training.optimizer, network.parameters(), "cpu")
    network.train()
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    def step() -> None:
        loss = loss_of(network(x_NCHW), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step()
    return step, sum(size for pointer, size in kept.items() if pointer not in own)


def _seconds(work: Callable[[], object]) -> float:
    """The best of a few: whatever else the machine does can only make a step slower."""
    best, began = float("inf"), time.perf_counter()
    for _ in range(_TIMED_TIMES):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
        if time.perf_counter() - began > _TIMED_AT_MOST_S:
            break
    return best
