"""Scores as rows: every row one score, with the names of its configuration, case, repeat, fold and group as codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from foldwise.metrics.outputs import Bools, Floats
from foldwise.text import natural

Places = NDArray[np.integer[Any]]  # of 4 bytes where there are many
ROLES = ("configuration", "case", "repeat", "fold", "group")
Levels = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Coded:
    """A column of names: (N,) places in `names`, which are distinct and in natural order."""

    codes: Places
    names: tuple[str, ...]

    @classmethod
    def of(cls, codes: Places, names: Sequence[str]) -> Coded:
        """From codes of names that may be unordered, unused, or the same but for spaces around them or Unicode form."""
        stripped = [normalize("NFC", name.strip()) for name in names]
        used = np.zeros(len(names), dtype=bool)
        used[codes] = True
        ordered = sorted({name for name, seen in zip(stripped, used, strict=True) if seen}, key=natural)
        position = {name: index for index, name in enumerate(ordered)}
        moved = np.array([position.get(name, -1) for name in stripped], dtype=np.int32)
        return cls(moved[codes], tuple(ordered))

    @classmethod
    def constant(cls, name: str, size: int) -> Coded:
        """The same name in every row."""
        return cls(np.zeros(size, dtype=np.int32), (name,))


@dataclass(frozen=True)
class Piece:
    """The scores of a file; N rows.

    Attributes:
        file: what it is called.
        columns: by role, of `ROLES`; a role that the file does not have is one name, the empty one.
        score: (N,) nan where there is none.
        lines: (N,) of the file, from 1; 0 where it has none.
        levels: configuration -> factor -> level.
        undefined: a score that is nan is there, and undefined; else it is missing.
        arrays: (N, ...) whatever else belongs to the rows.
        files: (N,) which of several files a row is from; None: of one.
        names: of the files.
    """

    file: str
    columns: dict[str, Coded]
    score: Floats
    lines: Places
    levels: Levels = field(default_factory=dict)
    undefined: bool = False
    arrays: dict[str, Floats | Bools] = field(default_factory=dict)
    files: Places | None = None
    names: tuple[str, ...] = ()

    def at(self, row: int) -> str:
        """Where a row is written: ``scores.csv, line 12``."""
        file = self.names[self.files[row]] if self.files is not None else self.file
        return f"{file}, line {self.lines[row]}" if self.lines[row] else str(file)

    def cell(self, role: str, row: int) -> str:
        """What a row has in a column."""
        return str(self.columns[role].names[int(self.columns[role].codes[row])])

    def keep(self, wanted: Bools) -> Piece:
        """Only some of the rows; a configuration that has none left is still there."""
        columns = {
            role: Coded.of(column.codes[wanted], column.names) for role, column in self.columns.items()
        }
        every = self.columns["configuration"]
        return replace(
            self,
            columns=columns | {"configuration": Coded(every.codes[wanted], every.names)},
            score=self.score[wanted],
            lines=self.lines[wanted],
            arrays={name: values[wanted] for name, values in self.arrays.items()},
            files=None if self.files is None else self.files[wanted],
        )


def with_all_roles(columns: dict[str, Coded]) -> dict[str, Coded]:
    """The columns, with the empty name in every row for the roles that a file does not have."""
    size = len(next(iter(columns.values())).codes)
    return {role: columns.get(role) or Coded.constant("", size) for role in ROLES}


def joined(pieces: Sequence[Piece]) -> Piece:
    """The rows of several files together; levels that only some of them have are left out."""
    if len(pieces) == 1:
        return pieces[0]
    return Piece(
        file=f"{len(pieces)} files",
        columns={role: _joined([piece.columns[role] for piece in pieces]) for role in ROLES},
        score=np.concatenate([piece.score for piece in pieces]),
        lines=np.concatenate([piece.lines for piece in pieces]),
        levels=dict(_common([piece.levels for piece in pieces])),
        undefined=any(piece.undefined for piece in pieces),
        arrays={name: np.concatenate([piece.arrays[name] for piece in pieces]) for name in pieces[0].arrays},
        files=np.repeat(np.arange(len(pieces)), [len(piece.score) for piece in pieces]),
        names=tuple(piece.file for piece in pieces),
    )


def _joined(columns: Sequence[Coded]) -> Coded:
    starts = np.cumsum([0, *(len(column.names) for column in columns[:-1])])
    codes = np.concatenate([column.codes + start for column, start in zip(columns, starts, strict=True)])
    return Coded.of(codes, [name for column in columns for name in column.names])


def _common(levels: Sequence[Levels]) -> Iterator[tuple[str, dict[str, str]]]:
    """The factors that every configuration of every file has."""
    every = [own for of_file in levels for own in of_file.values()]
    shared = set.intersection(*(set(own) for own in every)) if every else set()
    for of_file in levels:
        for name, own in of_file.items():
            yield name, {factor: level for factor, level in own.items() if factor in shared}
