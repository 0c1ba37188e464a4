"""The loop, and what is said of each of its epochs: metrics of whole images, one of which chooses among them.

The loop is a generator: choosing, saving and stopping belong to who asks for the next epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from foldwise.data.batches.batches import Batch
from foldwise.data.batches.sampling import NETWORK, step_seeds
from foldwise.errors import FoldwiseError
from foldwise.learning.training.devices import Stopwatch, seed_streams
from foldwise.learning.training.scoring import ForwardPass, Loss, Scores
from foldwise.metrics.boundary import of_image
from foldwise.metrics.influence import value_of
from foldwise.metrics.outputs import FAMILIES, Outputs
from foldwise.metrics.table import METRICS, Metric, choose_metric
from foldwise.study.training import Task
from foldwise.text import some

BatchesOf = Callable[[int, int], Iterable[Batch]]  # by the number of an epoch, and from a step of it on
STEADY_EPOCHS = 3  # whose median chooses, of masks

# What the record of an epoch says by family; all by the table, so that a curve and a column never disagree.
RECORDED = {
    "binary": {"accuracy": METRICS["accuracy"]},
    "multiclass": {"accuracy": METRICS["accuracy"]},
    "multilabel": {"accuracy": METRICS["label_accuracy"]},
    "segmentation": {"accuracy": METRICS["pixel_accuracy_img"], "iou": METRICS["iou_img_macro"]},
}


@dataclass(frozen=True)
class Learner:
    """What is trained, and how.

    Attributes:
        loss: of logits and targets; see `losses.make_loss`.
        schedule: is stepped after every step of the optimiser.
        seed: the dropout of every step follows from it, and from the numbers of the epoch and the step.
        passes: into how many parts a batch is cut whose gradients are summed, so that less memory is needed.
    """

    network: nn.Module
    loss: Loss
    optimizer: Optimizer
    schedule: LRScheduler
    forward: ForwardPass
    seed: int
    passes: int = 1


@dataclass(frozen=True)
class Epoch:
    """One pass of training: its mean loss, the learning rate it began with, its seconds, and how far training then is."""

    number: int
    loss: float
    lr: float
    seconds: float
    end: Position


@dataclass(frozen=True)
class Position:
    """How far a training is: between two steps of an epoch, or behind its last one and not asked about yet.

    Attributes:
        step: how many steps of the epoch are done.
        loss_sum: over its `images` so far.
        lr: that the epoch began with; None before its first step.
        seconds: that the epoch took so far.
    """

    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    images: int = 0
    lr: float | None = None
    seconds: float = 0.0


class Pause(Protocol):
    """Who may want to write down, between two steps, how far a training is."""

    def due(self) -> bool:
        """Whether to do it now; asked after every step."""
        ...

    def at(self, position: Position) -> None:
        """Do it; raises where the training is to end here."""
        ...


def train(
    learner: Learner,
    batches_of: BatchesOf,
    epochs: int,
    *,
    start: Position = Position(),
    pause: Pause | None = None,
) -> Iterator[Epoch]:
    """Train, and yield after each epoch; stop by not asking for more.

    Args:
        learner: is changed in place; where training begins behind the first step, as it was there.
        batches_of: the batches of an epoch by its number, from 1, and from a step of it on, from 0.

    Raises:
        FoldwiseError: the loss is no longer a number.
    """
    device = learner.forward.device
    for number in range(start.epoch, epochs + 1):
        here = start if number == start.epoch else Position(number)
        learner.network.train()
        lr = float(learner.optimizer.param_groups[0]["lr"]) if here.lr is None else here.lr
        watch = Stopwatch(device, here.seconds)
        total, images = torch.tensor(here.loss_sum, device=device), here.images
        with watch.lap():
            done = here.step
            # A stream for each step: whoever trains again, from wherever, draws the same dropout.
            seeds = step_seeds(learner.seed, number, first=done + 1, use=NETWORK)
            for batch, seed in zip(
                batches_of(number, done), seeds, strict=False
            ):  # of the latter there is no end
                done += 1
                seed_streams(seed, device)
                total += step(learner, batch) * len(batch.cases)  # stays on the device: reading it would wait
                images += len(batch.cases)
                if pause is not None and pause.due():
                    with watch.stopped():
                        pause.at(Position(number, done, float(total), images, lr, watch.seconds))
            loss_sum = float(total)
            mean = loss_sum / images
        if not math.isfinite(mean):
            raise FoldwiseError(
                f"the training loss became {mean} in epoch {number}, at a learning rate of {lr:g}",
                cure="Lower the learning rate, add a warm-up to the schedule, or use precision: fp32.",
            )
        end = Position(number, done, loss_sum, images, lr, watch.seconds)
        yield Epoch(number, mean, lr, watch.seconds, end)


def step(learner: Learner, batch: Batch) -> Tensor:
    """One step of the optimiser; the loss of the batch, on the device."""
    learner.optimizer.zero_grad(set_to_none=True)
    loss = _learned(learner, batch) if learner.passes == 1 else _learned_in_parts(learner, batch)
    learner.optimizer.step()
    learner.schedule.step()
    return loss


def _learned(learner: Learner, batch: Batch) -> Tensor:
    loss = learner.loss(learner.forward.logits(learner.network, batch.inputs), batch.targets)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def _learned_in_parts(learner: Learner, batch: Batch) -> Tensor:
    loss = torch.zeros((), device=learner.forward.device)
    parts = zip(batch.inputs.chunk(learner.passes), batch.targets.chunk(learner.passes), strict=True)
    for inputs, targets in parts:
        # Weighted by their images, the parts of a mean loss have the gradient of the whole batch.
        share = len(inputs) / len(batch.inputs)
        part = learner.loss(learner.forward.logits(learner.network, inputs), targets) * share
        part.backward()  # type: ignore[no-untyped-call]
        loss += part.detach()
    return loss


def state_of(network: nn.Module, device: torch.device | None = None) -> dict[str, Tensor]:
    """Copies of the parameters that learn and of all buffers, on `device` or where they are; what is frozen is left out."""
    # Copies, since the next step changes the tensors of the network in place.
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    return {
        name: values.detach().to(device, copy=True)
        for name, values in network.state_dict().items()
        if name not in frozen
    }


def restore(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put a network back to what `state_of` gave."""
    # Not strict: what is frozen is in no state, and is what it was.
    left = network.load_state_dict(state, strict=False)
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    lost = [*(key for key in left.missing_keys if key not in frozen), *left.unexpected_keys]
    if lost:
        what = f"a state of the network was not put back whole: {some(lost, 6)}"
        raise FoldwiseError(what, cure="Please report it with this message.")


def outputs_of(scores: Scores, task: Task) -> Outputs:
    """The same scores as the metrics take them, all in one fold."""
    arrays, fold = scores.arrays, np.zeros(len(scores.case), dtype=np.int64)
    outputs = Outputs(FAMILIES[task], scores.case.astype(np.int64), fold)
    if "confusion" in arrays:
        names = ("confusion", "histogram", "log_loss_sum", "brier_sum")
        return replace(outputs, **{name: arrays.get(name) for name in names})
    p, labels = arrays["probabilities"].astype(np.float64), scores.truth
    assert labels is not None
    truth = labels > 0.5 if labels.ndim == 2 else labels[:, None] == np.arange(p.shape[1])
    return replace(outputs, truth=truth, probabilities=p)


@dataclass(frozen=True)
class Selector:
    """What chooses the epoch on the validation part.

    Attributes:
        over: the median of so many epochs is what chooses; one lucky epoch of few images is then not enough.
        tolerance_px: of boundary scores; None where the metric needs none.
    """

    metric: Metric
    task: Task
    over: int = 1
    tolerance_px: float | None = None

    @property
    def fully(self) -> bool:
        """Whether the metric takes more of a segmentation than its counts: histograms, or the predicted masks."""
        return self.metric.needs in ("histogram", "boundary")

    def value(self, scores: Scores, target: Callable[[int], np.ndarray]) -> float:
        """The metric of one epoch; nan where it is undefined. `target` gives the true mask (H, W) of a case."""
        outputs = outputs_of(scores, self.task)
        if self.metric.needs == "boundary":
            assert self.tolerance_px is not None
            assert outputs.confusion is not None
            masks = ((target(case), scores.maps[case]) for case in scores.case.tolist())
            K, tolerance_px = outputs.num_classes, self.tolerance_px
            nsd = [of_image(*pair, K, tolerance_px=tolerance_px)[0] for pair in masks]
            outputs = replace(outputs, nsd=np.array(nsd))
        return value_of(self.metric, outputs)

    def steadied(self, values: Sequence[float]) -> float:
        """The median of the last `over` finite values, or of those there are; nan where the last one is not finite.

        An epoch that is strictly better by it than all before is itself at least as good as that median, so the
        epoch that is saved is never a bad one among good neighbours.
        """
        finite = [value for value in values if np.isfinite(value)]
        return float(np.median(finite[-self.over :])) if finite and np.isfinite(values[-1]) else float("nan")

    def is_better(self, score: float, best: float | None) -> bool:
        """Whether `score` beats the `best` so far; equal ones do not, so that the earliest epoch stays."""
        # The first epoch is taken even without a value, so that there always is one to go back to.
        if best is None or np.isnan(best):
            return best is None or not np.isnan(score)
        return score > best if self.metric.higher_is_better else score < best


def selector(name: str, task: Task, *, tolerance_px: float | None = None) -> Selector:
    """The choice of an epoch by the metric called `name`; ``auto`` is log-loss, or Dice per image for masks.

    Raises:
        SpecError: no metric of this task is called so.
    """
    metric = choose_metric(name, FAMILIES[task], "select")
    over = STEADY_EPOCHS if task.endswith("segmentation") else 1
    return Selector(metric, task, over, tolerance_px)


def recorded(scores: Scores, task: Task) -> dict[str, Any]:
    """Measures of an epoch beside its losses; None where no case has one.

    ``accuracy``: of images (several labels: of decisions); of masks the mean over images of the share of right
    pixels. ``iou``: of masks, mean over images of that over their foreground classes. ``confidence``: K means of the
    probability given to the truth, over the images, or pixels, whose truth is each class.
    """
    outputs = outputs_of(scores, task)
    measures = {name: finite(value_of(metric, outputs)) for name, metric in RECORDED[outputs.family].items()}
    return measures | {"confidence": [finite(value) for value in _confidence(scores, outputs)]}


def _confidence(scores: Scores, outputs: Outputs) -> list[float]:
    if outputs.confusion is not None:
        total, size = scores.arrays["confidence_sum"].sum(0), outputs.confusion.sum((0, 2))
    else:
        assert outputs.truth is not None
        assert outputs.probabilities is not None
        total, size = (outputs.probabilities * outputs.truth).sum(0), outputs.truth.sum(0)
    return [float(a / b) if b else float("nan") for a, b in zip(total, size, strict=True)]


def finite(value: float) -> float | None:
    """The value; None where it is not finite, as JSON has no such number."""
    return float(value) if np.isfinite(value) else None
