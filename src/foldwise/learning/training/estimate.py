"""What a fit will take, from one small step of it: a guess within a factor of two, for `foldwise check`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from foldwise.data.batches.batches import BATCH_PIXELS
from foldwise.learning.networks.describing import architecture
from foldwise.learning.networks.network import DataShape
from foldwise.learning.objectives.pretraining import make_pretraining
from foldwise.learning.training.costs import Estimate, EvaluatedImages
from foldwise.learning.training.devices import BYTES_PER_MB, pick_device, precision_for
from foldwise.learning.training.trial_steps import NamedChoice, Passes, passes_of, rule_of, smaller, update_of
from foldwise.runs.planning import pretraining
from foldwise.study.own_code import identity
from foldwise.study.training import NO_PRETRAINING, Augment, Training

# Beside the passes, measured on one core: setting up, writing and reading what a fit leaves; fetching and stepping;
# a pixel of a channel that is turned, zoomed or shifted.
_FIT_S, _STEP_S, _MOVED_PX_S = 0.3, 1e-3, 3e-8
# The best weights so far, and three copies where they are written; and by how much the process grows in a fit of next to
# nothing, which is not always the same: one study of small fits took 18 MB in one run of the bench and 36 in another.
_COPIES, _GROWTH_BYTES, _READ = 4.5, 12e6, 1 / 3
# Times what a step keeps for its gradient: gradients on their way, and what the heap holds between steps and looks. It
# was 1.2 to 2.4 in nine studies (`benchmarks/foretold.py`).
_HELD = 1.7
# Of every further size of image: the kernels that a CPU makes and keeps for it (28 sizes through a U-Net of resnet18: 37 MB).
_SIZE_BYTES = 1.3e6
# Counting the decisions about a pixel: truth, probabilities and bins of every class.
_COUNTED_BYTES = 40
_COMPARED_PX, _SLOWER_BY = 2**14, 1.2  # by which bf16 is compared with fp32, and where it is worth a warning
ASSUMED_HW = (256, 256)  # of images of different sizes
_STATES = {"sgd": 1, "rmsprop": 1, "adam": 2, "adamw": 2}  # numbers an optimiser keeps for each parameter


def estimate(
    training: Training,
    shape: DataShape,
    *,
    images: int,
    evaluated: EvaluatedImages | None = None,
    stored: bool = False,
) -> Estimate:
    """Build the network, time one step of a few images and one look at them, and multiply.

    A network that another configuration had is not built and timed again. Timing one takes a few seconds at most, however
    large the images are: they are tried smaller, and time is in proportion to pixels.

    Args:
        training: the configuration; its weights are not loaded, as they take no time.
        shape: of the data; 256 x 256 is assumed for images of different sizes.
        evaluated: the images it is asked about; left out of the estimate where None.
        stored: whether its frozen encoder sees every image once, for all fits that share it.
    """
    evaluated = evaluated or EvaluatedImages(0, 0)
    estimated = _without_pretraining(training, shape, images=images, evaluated=evaluated, stored=stored)
    if training.pretrain == NO_PRETRAINING:
        return estimated
    # As a fit of its own, of all of the network: a step costs as much whatever the loss is.
    alone = make_pretraining(training).applied_to(pretraining(training))
    before = _without_pretraining(alone, shape, images=images, evaluated=replace(evaluated, test=0))
    memory_mb = max(estimated.memory_mb, before.memory_mb)
    return replace(estimated, memory_mb=memory_mb, seconds_for_pretraining=before.seconds_per_fit)


def slower_in_bf16(training: Training, shape: DataShape) -> str | None:
    """A warning where bf16 is asked for and this processor, which then does the work, is slower with it than without.

    Of processors without such arithmetic of their own, steps took 5 to 50 times as long.
    """
    if training.precision != "bf16" or training.device not in ("auto", "cpu"):
        return None
    if training.device == "auto" and pick_device("auto").type != "cpu":
        return None
    small = replace(shape, size_hw=smaller(shape.size_hw or ASSUMED_HW, _COMPARED_PX))
    seconds = {name: passes_of(architecture(training), small, 2, name).learn for name in ("bf16", "fp32")}
    times = seconds["bf16"] / seconds["fp32"]
    if times < _SLOWER_BY:
        return None
    return (
        f"precision: bf16 takes {times:.1f} times as long as fp32 for {training.model.name} on this processor; leave "
        "precision out"
    )


def _without_pretraining(
    training: Training, shape: DataShape, *, images: int, evaluated: EvaluatedImages, stored: bool = False
) -> Estimate:
    size_hw = (training.crop_px, training.crop_px) if training.crop_px else shape.size_hw or ASSUMED_HW
    largest_hw = evaluated.size_hw or shape.size_hw or ASSUMED_HW
    step_px = (None if training.crop_px else evaluated.step_px) or float(math.prod(size_hw))
    design = architecture(training)
    precision = precision_for(training.precision, torch.device("cpu"))
    passes = passes_of(design, replace(shape, size_hw=size_hw), training.batch_size, precision)
    tried, px = replace(shape, size_hw=passes.size_hw), passes.num * math.prod(passes.size_hw)
    loss_s, loss_bytes = rule_of(
        NamedChoice(str(identity(training)["loss"]), training.loss), tried, passes.num
    )
    update = update_of(NamedChoice(training.optimizer.name, training.optimizer), passes.learning)
    # Layers work by the pixel, so an image takes as much longer as it is larger; in tiles some of it is seen twice.
    whole_px = (evaluated.mean_px or float(math.prod(largest_hw))) * passes.seen_again(largest_hw)
    per_look = passes.look / px * whole_px
    moved = shape.in_channels * step_px * _MOVED_PX_S if _moves(training.augment) else 0.0
    timed = _Timed((passes.learn + loss_s) / px * step_px + moved, update + _STEP_S, per_look)
    fit_s = _fit_seconds(training, timed, images=images, evaluated=evaluated, stored=stored)
    step_bytes = _HELD * (passes.kept_bytes + loss_bytes) / px * step_px * training.batch_size
    largest = _look_bytes(training, shape, passes, largest_hw) if evaluated.test or stored else 0.0
    # A frozen encoder that fits share is only looked through.
    most = largest if stored else max(step_bytes, largest)
    if evaluated.sizes > 1 and largest:
        # Of other sizes, what a step or a look gave back is of little use to the next, and the heap keeps it: 31 sizes of
        # cells after crops of 96 pixels took 308 MB, and 133 were foretold by the larger of both.
        most = (0.0 if stored else step_bytes) + _HELD * largest + _SIZE_BYTES * (evaluated.sizes - 1)
    return Estimate(
        seconds_per_fit=fit_s + _FIT_S,
        seconds_for_features=per_look * (images + evaluated.validation + evaluated.test) if stored else 0.0,
        memory_mb=(_GROWTH_BYTES + 4 * _numbers(training, passes, stored=stored) + most) / BYTES_PER_MB,
        parameters=passes.parameters,
        seconds_per_test=per_look * evaluated.test,
    )


def _look_bytes(training: Training, shape: DataShape, passes: Passes, size_hw: tuple[int, int]) -> float:
    """What evaluation takes for as many images of this size as it looks at together."""
    counted = _COUNTED_BYTES * shape.num_classes if shape.segmentation else 0
    together = max(1, min(training.batch_size, BATCH_PIXELS["cpu"] // math.prod(size_hw)))
    return together * (passes.look_bytes(size_hw) + counted * math.prod(size_hw))


def _numbers(training: Training, passes: Passes, *, stored: bool) -> float:
    """Of every weight one and its copies, and of those that learn a gradient and what the optimiser keeps.

    A frozen encoder that fits share is read by each of them once, when all is written.
    """
    learns = sum(math.prod(shape) for shape in passes.learning)
    copied = learns + (passes.parameters - learns) * _READ if stored else passes.parameters
    return passes.parameters + copied * _COPIES + learns * (1 + _STATES.get(training.optimizer.name, 2))


def _moves(augment: Augment) -> bool:
    """Whether pixels are drawn anew between others, which takes far longer than to flip them."""
    return bool(augment.rotate_deg or augment.scale or augment.shift)


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
    # Of stored features only the head learns: gradients of its weights take about as long as a step with them.
    per_image, per_step = (0.0, 2 * timed.update) if stored else (timed.image, timed.update)
    # Of the training part too some are scored, once.
    seen_at_last = min(images, evaluated.validation) + evaluated.test if evaluated.test else 0
    num_evaluated = 0 if stored else evaluated.validation * training.epochs + seen_at_last
    return (per_image * images_trained + per_step * steps) * training.epochs + timed.look * num_evaluated
