"""What is known about a public data set: where it is, what may be done with it, and how it is laid out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from foldwise.study.spec import Task

# What is being done ("Downloading fives.rar"), how much of it is done, and of how much (None: not known).
Progress = Callable[[str, int, int | None], None]


def silent(_what: str, _done: int, _total: int | None) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Web:
    """One file at an address. A `sha256` of None is not known here: the first download's is kept and checked."""

    url: str
    file_name: str
    sha256: str | None = None


@dataclass(frozen=True)
class Kaggle:
    """A data set, or a competition, of Kaggle: ``owner/name``, or the name of the competition."""

    slug: str
    competition: bool = False

    @property
    def url(self) -> str:
        """The page with the terms, where an account accepts them."""
        return f"https://www.kaggle.com/{'competitions' if self.competition else 'datasets'}/{self.slug}"


@dataclass(frozen=True)
class Cutouts:
    """Parts cut out of volumes in an image database by `fetch(folder, progress)`, which writes whole files.

    Sources with the same `shelf` share what was fetched.
    """

    url: str
    shelf: str
    fetch: Callable[[Path, Progress], None]


@dataclass(frozen=True)
class ByHand:
    """Nothing to download is known: `how` says where a copy may come from."""

    how: str


Origin = Web | Kaggle | Cutouts | ByHand


@dataclass(frozen=True)
class Source:
    """One public data set.

    Attributes:
        size_mb: of the images and their masks as they are published (10^6 bytes); None where it is not known.
        original: the files and folders that a local copy must hold.
        convert: from the folder of the original to the (empty) folder of the result; returns what was done in
            sentences. It reads the original and changes nothing in it.
        notes: what one should know before judging models on it: splits, groups, traps.
        study: the lines of a study file that this set needs beside its path; may be empty.
        as_it_is: whether foldwise reads the original as it is published, so that a copy need not be laid out.
    """

    name: str
    title: str
    task: Task
    licence: str
    citation: str
    origin: Origin
    original: tuple[str, ...]
    convert: Callable[[Path, Path, Progress], tuple[str, ...]]
    size_mb: float | None = None
    notes: tuple[str, ...] = ()
    study: str = ""
    as_it_is: bool = False

    @property
    def shelf(self) -> str:
        """The name of the folder that keeps its downloads."""
        return self.origin.shelf if isinstance(self.origin, Cutouts) else self.name

    @property
    def where(self) -> str:
        """Where it comes from, in one line."""
        return self.origin.how if isinstance(self.origin, ByHand) else self.origin.url
