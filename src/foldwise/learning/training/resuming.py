"""A training that ends when its worker is stopped or killed, and goes on where it was, bit for bit.

Nothing random is saved: data order, crops, augmentation and dropout of every step follow from the seed and the numbers of
its epoch and step. What is saved is what the steps have made, and what has come out of the epochs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from foldwise.learning.checkpoints.saved import versions
from foldwise.learning.checkpoints.unfinished import read_unfinished, write_unfinished
from foldwise.learning.job import Job
from foldwise.learning.training.devices import device_name
from foldwise.learning.training.setup import FitRequest
from foldwise.learning.training.train import BatchesOf, Epoch, Learner, Position, train

FORM = 1  # raised when checkpoints of before cannot be gone on with
Part = TypeVar("Part")


class Restorable(Protocol):
    """What has come out of the epochs so far."""

    def state(self) -> dict[str, Any]:
        """All of it, as `write_unfinished` takes it."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Put it back to what `state` gave."""
        ...


@contextmanager
def resumable(job: Job, request: FitRequest) -> Iterator[tuple[FitRequest, ResumedTraining]]:
    """The training of a job, from where an earlier attempt left it, and what it asks for.

    Within it, who asks this process to stop waits until the training has written down how far it is.
    """
    resuming = ResumedTraining(job, request)
    with job.checkpoints.interrupts.deferred():
        yield resuming.with_halvings(request), resuming


class ResumedTraining:
    """The training of one item: from where an earlier attempt left it, and written down as it goes on.

    Attributes:
        from_epoch: where it went on; None where it began at the beginning.
    """

    def __init__(self, job: Job, request: FitRequest) -> None:
        self.checkpoints = job.checkpoints
        self.from_epoch: int | None = None
        # On another kind of device, in another precision, or by another version, the rest would be another training.
        self._made_by = {
            "form": FORM,
            "item": self.checkpoints.item_id,
            "device": request.device.type,
            "precision": request.precision,
            "versions": versions(),
        }
        self._devices = [device_name(request.device)]
        self._earlier = self.checkpoints.earlier()  # without those that are named and left
        self._saved = self._furthest()
        self._learner: Learner | None = None
        self._course: Restorable | None = None
        self._end: Position | None = None
        self._halvings = self._epochs = 0

    def _furthest(self) -> tuple[dict[str, Any], Any] | None:
        """The record and the state of the furthest checkpoint that can be gone on with; others are named and left."""
        for path in list(self._earlier):
            try:
                record, state = read_unfinished(path)
                made_by = record["made_by"]
                changed = [key for key, value in self._made_by.items() if made_by.get(key) != value]
                if not changed:
                    return record, state
                problem = f"it was made with another {' and '.join(changed)}"
            except OSError as error:
                problem = f"it cannot be read ({error.strerror})"
            except (ValueError, KeyError, TypeError, RuntimeError) as error:
                problem = f"it is damaged ({error})"
            self._earlier.remove(path)
            self.checkpoints.log(f"the checkpoint {path} is not used: {problem}")
        return None

    def with_halvings(self, request: FitRequest) -> FitRequest:
        """The request with the parts of a batch that the checkpoint was trained with."""
        return request if self._saved is None else replace(request, halvings=self._saved[0]["halvings"])

    def epochs(
        self, request: FitRequest, learner: Learner, batches_of: BatchesOf, course: Restorable
    ) -> Iterator[Epoch]:
        """Train as `train` does to the last epoch, from the checkpoint on if there is one; `course` is put back to it."""
        self._learner, self._course = learner, course
        self._halvings, self._epochs = request.halvings, request.training.epochs
        start = self._restored()
        # The learner, the best weights, and up to two numbers that an optimiser keeps of each weight.
        self.checkpoints.begin(4 * sum(values.nbytes for values in _values_of(learner.network).values()))
        try:
            for epoch in train(learner, batches_of, self._epochs, start=start, pause=self):
                self._end = epoch.end
                yield epoch
                self._end = None
                if self.checkpoints.due(between_epochs=True):
                    self.at(Position(epoch.number + 1))
        finally:
            self._end = None

    def _restored(self) -> Position:
        """Where training begins, and everything as it was there."""
        saved, self._saved = self._saved, None
        # Where memory ran out since, it begins anew, so that all epochs are alike.
        if saved is None or saved[0]["halvings"] != self._halvings:
            self.from_epoch, self._devices = None, self._devices[-1:]
            return Position()
        assert self._learner is not None
        assert self._course is not None
        record, state = saved
        _restore_learner(self._learner, state["learner"])
        self._course.restore(state["course"])
        position = Position(**record["position"])
        self.from_epoch = position.epoch
        if record["devices"][-1:] == self._devices:
            self._devices = record["devices"]
        else:
            self._devices = [*record["devices"], *self._devices]
        self.checkpoints.log(
            f"  goes on in epoch {position.epoch} of {self._epochs}, step {position.step + 1}"
        )
        return position

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the result."""
        if len(self._devices) == 1:
            return ()
        models = ", then on ".join(self._devices)
        return (f"it was trained on {models}: its numbers are those of one of them up to rounding",)

    @property
    def progress(self) -> dict[str, int]:
        """What whoever watches is told beside the number of the epoch."""
        return {} if self.from_epoch is None else {"from_epoch": self.from_epoch}

    def due(self) -> bool:
        """Whether to write a checkpoint between two steps."""
        return self.checkpoints.due(between_epochs=False)

    def at(self, position: Position) -> None:
        """Write a checkpoint; raises where this process is asked to stop."""
        assert self._learner is not None
        assert self._course is not None
        since = time.monotonic()
        record = {"position": asdict(position), "epochs": self._epochs, "halvings": self._halvings}
        record |= {"made_by": self._made_by, "devices": self._devices}
        try:
            if (path := self.checkpoints.own) is not None:
                state = {"learner": _state_of(self._learner), "course": self._course.state()}
                write_unfinished(path, record, state)
                self.checkpoints.supersede(self._earlier)
                self._earlier = []
        except OSError as error:  # a full disk or a lost mount must not end hours of training
            self.checkpoints.log(f"the checkpoint could not be written ({error})")
        self.checkpoints.wrote(time.monotonic() - since)
        self.checkpoints.interrupts.raise_pending()

    def each(self, parts: Iterable[Part]) -> Iterator[Part]:
        """The same parts of work that changes no weight; between two of them this process may be asked to stop."""
        for part in parts:
            if self.checkpoints.interrupts.is_pending:
                if self._end is not None:  # the epoch is trained, and will be asked about from the beginning
                    self.at(self._end)
                self.checkpoints.interrupts.raise_pending()
            yield part


def _values_of(module: nn.Module) -> dict[str, Tensor]:
    """The parameters that learn, and all buffers, also those that no state of the module has; what is frozen is left out."""
    learning = {name: values for name, values in module.named_parameters() if values.requires_grad}
    return learning | dict(module.named_buffers())


def _modules(learner: Learner) -> dict[str, nn.Module]:
    """Whatever of a learner has tensors of its own; a loss may, too."""
    named = {"network": learner.network, "loss": learner.loss}
    return {name: module for name, module in named.items() if isinstance(module, nn.Module)}


def _state_of(learner: Learner) -> dict[str, Any]:
    return {
        "modules": {name: _values_of(module) for name, module in _modules(learner).items()},
        "optimizer": learner.optimizer.state_dict(),
        "schedule": learner.schedule.state_dict(),
    }


def _restore_learner(learner: Learner, state: dict[str, Any]) -> None:
    with torch.no_grad():
        for name, module in _modules(learner).items():
            for key, values in _values_of(module).items():
                values.copy_(state["modules"][name][key])
    learner.optimizer.load_state_dict(state["optimizer"])
    learner.schedule.load_state_dict(state["schedule"])
