"""How a run is asked for, and who watches it; none of it changes a result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from foldwise.judging.verdict import Verdict
    from foldwise.pipeline.preflight import Costs
    from foldwise.pipeline.preparing import Prepared
    from foldwise.runs.folder import RunFolder


class Observer(Protocol):
    """Who watches a run, and is called as it goes on; nothing that it does changes the run."""

    def fetching(self, what: str, done: int, total: int | None) -> None:
        """How much of a public data set is here: bytes of a download or an archive, else files."""

    def fetched(self, data: Path) -> None:
        """A public data set was got into this folder."""

    def decoding(self, done: int, total: int) -> None:
        """How many images are decoded."""

    def trying(self, done: int, total: int) -> None:
        """How many configurations are tried."""

    def checked(self, prepared: Prepared, costs: Costs, workers: int) -> None:
        """Everything a study asks for was tried once; training is about to begin."""

    def done_already(self, prepared: Prepared, folder: RunFolder) -> None:
        """A run has nothing left to do here."""

    def mending(self, what: str) -> None:
        """Something that foldwise wrote was damaged, and is made again."""

    def working(self, folder: RunFolder) -> None:
        """Called again and again while workers work."""

    def stopping(self, folder: RunFolder) -> None:
        """The run was asked to stop, and its workers are."""

    def judged(self, folder: RunFolder, verdict: Verdict) -> None:
        """The verdict and the report are written."""


class Watch(Protocol):
    """Who watches what takes a few steps, one after the other."""

    def say(self, what: str) -> None:
        """What is being done from now on."""

    def show(self, done: float, total: int) -> None:
        """How much of it is done."""


def _nothing(*_: Any, **__: Any) -> None:
    """Nothing."""


class Silent:
    """An observer that says nothing."""

    fetching = fetched = decoding = trying = checked = done_already = mending = working = stopping = (
        judged
    ) = _nothing


class Unwatched:
    """A watch that says nothing."""

    say = show = _nothing


UNWATCHED: Watch = Unwatched()


@dataclass(frozen=True)
class RunOptions:
    """How and where a study is run; none of it changes a result.

    Attributes:
        out: the run folder; runs/<study> where None.
        workers: processes at a time; as many as the machine bears where None.
        device: for settings that say `auto`.
        launcher: a row of `LAUNCHERS`.
        retry: whether failed items are done again.
        fetch: whether a public data set that is not here is downloaded.
    """

    out: Path | None = None
    workers: int | None = None
    device: str = "auto"
    launcher: str = "local"
    retry: bool = False
    fetch: bool = True
