"""Every error foldwise raises on purpose, and the exit code each one ends the command with.

FoldwiseError       something foldwise was asked is not possible         exit 1
  SpecError         the study file, or an option, asks for what is not   exit 2
  DataError         an image, a mask, a label or a group is not usable   exit 3
  MissingExtra      an optional package, or the device, is not there     exit 4
  RunError          a run folder is not one, is incomplete or is in use;
                    or a disk, a file or the output says no              exit 5
  ItemsFailed       the study ran to its end, but some items failed      exit 6
  ClaimsFalse       the text was checked, and says what is not so        exit 7
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Self, TypeVar

Row = TypeVar("Row")
MAX_LISTED = 20  # problems that one message lists; nobody reads more, and what is mended often mends the rest
MAX_NAMES, MAX_LETTERS = 100, 200  # that are listed as those there are; of a name that is none of them
GO_ON = "What is done stays done: mend this, and the same command goes on."
MAX_PLACES = 5  # of one and the same problem


class FoldwiseError(Exception):
    """What went wrong, where, what is allowed and how to cure it, in words a newcomer can act on.

    Args:
        what: one sentence: what is wrong, with the offending value.
        where: the file, row or key, for example ``study.yaml:12, compare.loss``.
        cure: one sentence: what to do about it.
        choices: of a question, what a study may state to answer it, such as ``data.task=binary_segmentation``.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, where: str | None = None, cure: str | None = None, choices: Iterable[str] = ()
    ) -> None:
        self.what, self.where, self.cure, self.choices = what, where, cure, tuple(choices)
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  → {self.cure}" if self.cure else text

    @classmethod
    def together(cls, errors: Iterable[FoldwiseError]) -> Self:
        """One error that says all of `errors`, so that a user mends them in one go; the same one of many files once."""
        errors = list(errors)
        places: dict[tuple[str, str | None], list[str]] = {}
        for error in errors:
            places.setdefault((error.what, error.cure), []).append(error.where or "")
        kinds = [cls(what, where=_some(where) or None, cure=cure) for (what, cure), where in places.items()]
        if len(kinds) == 1:
            kinds[0].choices = tuple(dict.fromkeys(choice for error in errors for choice in error.choices))
            return kinds[0]
        texts = [str(error) for error in kinds]
        listed = [f"{number}. {text}" for number, text in enumerate(texts[:MAX_LISTED], 1)]
        if len(texts) > MAX_LISTED:
            listed.append(f"... and {len(texts) - MAX_LISTED} more")
        return cls("\n".join([f"{len(texts)} problems:", *listed]))


class SpecError(FoldwiseError):
    """The study file, or an option on the command line, asks for something that does not exist."""

    exit_code = 2


class DataError(FoldwiseError):
    """An image, a mask, a label or a group is not usable."""

    exit_code = 3


class MissingExtra(FoldwiseError):
    """An optional package, a weights file or a device that was asked for is not there."""

    exit_code = 4


class RunError(FoldwiseError):
    """A run folder is not one, is incomplete, or does not hold what was asked of it."""

    exit_code = 5


class ItemsFailed(FoldwiseError):
    """The study ran to its end, but some of its items failed; the rest is done and reported."""

    exit_code = 6


class ClaimsFalse(FoldwiseError):
    """A text was checked to its end, and some of its sentences say what the numbers do not."""

    exit_code = 7


def _some(places: Sequence[str]) -> str:
    listed = [where for where in dict.fromkeys(places) if where]
    file = listed[0].partition(", ")[0] if listed else ""
    if len(listed) > 1 and all(where.startswith(f"{file}, ") for where in listed):
        listed[1:] = [
            where.removeprefix(f"{file}, ") for where in listed[1:]
        ]  # the file once: a.csv, row 2, row 5
    more = len(listed) - MAX_PLACES
    return ", ".join(listed[:MAX_PLACES]) + (f" and {more} more" if more > 0 else "")


def kind_of(exit_code: int) -> type[FoldwiseError]:
    """The error that ended another process of foldwise with this code; RunError for a code that is none of theirs."""
    kinds = (SpecError, DataError, MissingExtra, RunError)
    return next((kind for kind in kinds if kind.exit_code == exit_code), RunError)


def choose(table: Mapping[str, Row], name: str, what: str, *, where: str | None = None) -> Row:
    """The row of `table` called `name`; a SpecError that suggests the nearest name otherwise."""
    if name in table:
        return table[name]
    raise unknown(name, table, what, where=where)


def unknown(name: str, names: Iterable[str], what: str, *, where: str | None = None) -> SpecError:
    """The error for a `name` that is none of the `names` there are."""
    allowed = sorted(names)
    near = get_close_matches(name, allowed, n=1) or get_close_matches(name.casefold(), allowed, n=1)
    cure = f"Did you mean {near[0]!r}? " if near else ""
    more = f" and {len(allowed) - MAX_NAMES} more" if len(allowed) > MAX_NAMES else ""
    listed = ", ".join(allowed[:MAX_NAMES]) + more
    shown = name if len(name) <= MAX_LETTERS else f"{name[:MAX_LETTERS]} ..."
    return SpecError(
        f"no {what} is called {shown!r}",
        where=where,
        cure=cure + (f"Known: {listed}." if allowed else "There is none."),
    )


# How Python, of a new thread, and torch say that memory is full, with an error that is no MemoryError.
FULL_MEMORY = ("can't start new thread", "DefaultCPUAllocator")
# How libraries that are written in Rust, such as safetensors, say which error of the operating system they met: in words.
NUMBER_STATED = re.compile(r"\(os error (\d+)\)")


def machine_number(error: Exception) -> int | None:
    """The number of an error of the operating system, also where only its text states it; None where there is none."""
    if isinstance(error, OSError):
        return error.errno
    stated = NUMBER_STATED.search(str(error))
    return int(stated[1]) if stated else None


def of_machine(error: Exception) -> FoldwiseError | None:
    """The error for a full disk or memory, a folder that may not be written, a file that is gone: no bug of anybody.

    None for an error that says nothing of the machine.
    """
    text = str(error)
    is_full = isinstance(error, RuntimeError) and any(words in text for words in FULL_MEMORY)
    if is_full or isinstance(error, MemoryError):
        cure = "Use fewer --workers, or smaller images or batches."
        return FoldwiseError("the memory of this machine is full", cure=cure)
    if isinstance(error, OSError):
        reason, name = error.strerror or text, str(error.filename or "")
        shown = name if len(name) <= MAX_LETTERS else f"{name[:MAX_LETTERS]} ..."
        return RunError(f"{reason}: {shown}" if name else reason, cure=GO_ON)
    return None if machine_number(error) is None else RunError(text, cure=GO_ON)


def need(module: str, extra: str) -> ModuleType:
    """Import an optional module, or say which extra brings it."""
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise _missing(module, extra) from None


def refuse_without(module: str, extra: str) -> None:
    """Say which extra brings an optional module where it is not installed; it is not imported, which may take seconds."""
    if find_spec(module) is None:
        raise _missing(module, extra)


def _missing(module: str, extra: str) -> MissingExtra:
    return MissingExtra(f"{module} is not installed", cure=f"pip install 'foldwise[{extra}]'")
