"""What configurations took when they were tried here before: kept beside the decoded images, so that a second check is quick.

To try them takes torch and their libraries, seconds of which are spent on imports alone.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, astuple, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from foldwise.data.cache.unused import used
from foldwise.data.folds.splits import split_digest
from foldwise.errors import RunError
from foldwise.learning.training.costs import Estimate
from foldwise.pipeline.record import machine_record
from foldwise.resources import usable
from foldwise.storage import cache_root, write_json
from foldwise.study.own_code import identity

if TYPE_CHECKING:
    from foldwise.pipeline.preparing import Prepared
    from foldwise.study.training import Training

SOURCE = Path(__file__).parents[1]
DEVICES = (Path("/dev/nvidia0"), Path("/dev/nvidiactl"))


@dataclass(frozen=True)
class Trial:
    """What came of trying one configuration.

    Attributes:
        estimate: what a fit of it takes on this machine.
        notes: sentences that `check` prints.
    """

    estimate: Estimate
    notes: tuple[str, ...]


@dataclass(frozen=True)
class EarlierTrials:
    """The trials of earlier checks of the same images and folds, on this machine, by this program.

    Attributes:
        folder: of a file for each configuration; it may be deleted at any time.
        same: a digest of all that a trial follows from but the configuration.
    """

    folder: Path
    same: str

    @classmethod
    def of(cls, prepared: Prepared) -> Self:
        """Those that a study may use."""
        folds = [split_digest(split, prepared.packed.digest) for split in prepared.splits]
        data = (prepared.dataset.task, prepared.dataset.classes, folds, prepared.study.threads)
        return cls(cache_root() / "trials", _digest([data, _program(), _machine()]))

    def read(self, training: Training) -> Trial | None:
        """The trial of a configuration; None where it was not tried, or has to be tried again."""
        try:
            stored = json.loads(used(self._file(training)).read_bytes())
            estimate = Estimate(**stored["estimate"])
            if all(isinstance(number, int | float) for number in astuple(estimate)):
                return Trial(estimate, tuple(map(str, stored["notes"])))
        except (OSError, ValueError, TypeError, KeyError):
            pass
        return None  # not there, or damaged

    def keep(self, training: Training, trial: Trial) -> None:
        """Keep a trial for later checks, unless it has to be made again every time."""
        # Whether weights that are downloaded are still here is asked of the library each time.
        if training.weights == "imagenet":
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self._file(training), asdict(trial))
        except (OSError, RunError):
            return  # a cache that cannot be written costs time, and no result

    def _file(self, training: Training) -> Path:
        return self.folder / f"{_digest([self.same, identity(training)])}.json"


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]


@cache
def _program() -> list[tuple[str, int, int]]:
    """Name, size and time of every source file of foldwise: an edit of any may change what a trial finds."""
    about = [(path, path.stat()) for path in sorted(SOURCE.rglob("*.py"))]
    return [(str(path.relative_to(SOURCE)), stat.st_size, stat.st_mtime_ns) for path, stat in about]


def _machine() -> list[Any]:
    """What decides how long a step takes here, and what fits into memory."""
    accelerators = [os.environ.get("CUDA_VISIBLE_DEVICES"), *(path.exists() for path in DEVICES)]
    return [machine_record(), usable().memory, usable().cores, *accelerators]
