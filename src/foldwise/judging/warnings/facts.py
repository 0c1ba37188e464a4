"""What cautions are made from, and what one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foldwise.judging.scores.rows import Rows
from foldwise.judging.sections.configurations import Judgement
from foldwise.metrics.influence import Units
from foldwise.study.spec import Judging, Study

Record = dict[str, Any]


@dataclass(frozen=True)
class Compared:
    """What every comparison has, wherever its scores come from; cautions that ask no more serve all of them.

    Attributes:
        known: the numbers.
        units: what was sampled.
        judge: what was asked.
        noun: what a unit is called, one and many: ``("image", "images")``.
    """

    known: Judgement
    units: Units
    judge: Judging
    noun: tuple[str, str]


@dataclass(frozen=True)
class Facts(Compared):
    """What the answer and the cautions of a run are made from."""

    study: Study
    rows: Rows

    @classmethod
    def of(cls, study: Study, rows: Rows, known: Judgement) -> Facts:
        """Of a study, what its run has left, and the numbers of it."""
        noun = ("group", "groups") if rows.units.grouped else ("image", "images")
        return cls(known, rows.units, study.judge, noun, study, rows)


def listed(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
