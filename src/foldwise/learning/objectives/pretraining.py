"""What a network is taught before it is shown a label: to undo a damage to the images of its training part.

Each row of `PRETRAINING` damages normalised images; the network learns to give them back as they were, by the mean
squared error over the whole image, also where nothing was damaged.

Sources: Vincent et al. 2008, doi:10.1145/1390156.1390294 (denoising autoencoders); He et al. 2022, arXiv:2111.06377
(masked autoencoders, which unlike here count the error of the hidden patches only).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from foldwise.data.batches.augment import normal_like
from foldwise.errors import SpecError, unknown
from foldwise.learning.objectives.optimizers import make_optimizer
from foldwise.learning.options import bound
from foldwise.study.ranges import BatchSize, Epochs, LearningRate, Part, PatchPx, Steps, StrengthAbove0
from foldwise.study.training import Choice, Task, Training, stated_pretraining

Damage = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Pretraining:
    """A damage to normalised images (N, C, H, W), and how long and by which steps it is learned to be undone.

    Attributes:
        damage: of images, with a generator that is on the CPU; gives new ones.
        batch_size, steps_per_epoch: None for those of the training.
    """

    damage: Damage
    epochs: int
    optimizer: Choice
    batch_size: int | None
    steps_per_epoch: int | None

    def applied_to(self, training: Training) -> Training:
        """`training` with the epochs, the optimiser and the batches of its pretraining."""
        own = {"batch_size": self.batch_size, "steps_per_epoch": self.steps_per_epoch}
        stated = {key: size for key, size in own.items() if size is not None}
        return training.model_copy(update={"epochs": self.epochs, "optimizer": self.optimizer, **stated})


def denoise(
    *,
    sigma: StrengthAbove0 = 0.1,
    epochs: Epochs = 50,
    optimizer: str = "adam",
    lr: LearningRate = 1e-3,
    batch_size: BatchSize | None = None,
    steps_per_epoch: Steps | None = None,
) -> Pretraining:
    """Gaussian noise is added to every value, of standard deviation `sigma` in units of the normalised values."""
    steps = Choice(name=optimizer, options={"lr": lr})
    return Pretraining(partial(noisy, sigma=sigma), epochs, steps, batch_size, steps_per_epoch)


def mask(
    *,
    share: Part = 0.5,
    patch_px: PatchPx = 8,
    epochs: Epochs = 50,
    optimizer: str = "adam",
    lr: LearningRate = 1e-3,
    batch_size: BatchSize | None = None,
    steps_per_epoch: Steps | None = None,
) -> Pretraining:
    """A `share` of the square patches of every image is set to 0, the mean of normalised values, in all channels."""
    steps = Choice(name=optimizer, options={"lr": lr})
    hide = partial(hidden, share=share, patch_px=patch_px)
    return Pretraining(hide, epochs, steps, batch_size, steps_per_epoch)


PRETRAINING: dict[str, Callable[..., Pretraining]] = {"denoise": denoise, "mask": mask}


def noisy(images_NCHW: Tensor, generator: torch.Generator, *, sigma: float) -> Tensor:
    """The images with noise, drawn on their device."""
    return images_NCHW + sigma * normal_like(images_NCHW, generator)


def hidden(images_NCHW: Tensor, generator: torch.Generator, *, share: float, patch_px: int) -> Tensor:
    """The images without some of their patches, equally many in each, at least one; the last ones may be cut off."""
    num, _, height, width = images_NCHW.shape
    rows, columns = -(-height // patch_px), -(-width // patch_px)
    # Ranks of random numbers, and not the numbers themselves: exactly as many patches are hidden in every image.
    place_NT = torch.rand(num, rows * columns, generator=generator).argsort(1).argsort(1)
    kept_NT = place_NT >= max(1, round(share * rows * columns))
    kept_N1hw = kept_NT.reshape(num, 1, rows, columns).to(images_NCHW.device, images_NCHW.dtype)
    kept_N1HW = kept_N1hw.repeat_interleave(patch_px, 2).repeat_interleave(patch_px, 3)
    return images_NCHW * kept_N1HW[:, :, :height, :width]


def make_pretraining(training: Training) -> Pretraining:
    """The pretraining that `training` asks for.

    Raises:
        SpecError: an unknown name or option.
    """
    choice = stated_pretraining(training)
    if choice.name not in PRETRAINING:
        raise unknown(choice.name, ("none", "auto", *PRETRAINING), "pretraining")
    function = PRETRAINING[choice.name]
    return function(**bound(function, choice, "pretraining"))


def check_pretraining(training: Training, *, task: Task, size_hw: tuple[int, int] | None) -> None:
    """Raise SpecError for a pretraining that does not exist, or that cannot be done on this task or images."""
    pretraining = make_pretraining(training)
    make_optimizer(pretraining.optimizer, [nn.Parameter(torch.zeros(1))], "cpu")
    if not task.endswith("segmentation"):
        raise SpecError(
            f"the pretraining {training.pretrain.name!r} gives images back, and a network of this task gives none: "
            f"it is {task.replace('_', ' ')}",
            cure="Set 'pretrain: none'; 'weights' can name an encoder that was trained elsewhere.",
        )
    if size_hw is not None and not pretraining.damage(torch.ones(1, 1, *size_hw), torch.Generator()).any():
        raise SpecError(
            f"the pretraining {training.pretrain} hides images of {size_hw[0]} x {size_hw[1]} pixels completely",
            cure="Choose a smaller 'patch_px' or 'share'.",
        )
