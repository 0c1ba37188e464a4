"""What a row of the bench is: something that is measured, against what, how good it is to be, and what shows that both are right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measuring import Figure


@dataclass(frozen=True)
class Goal:
    """What a figure is to be: at least so much, or at most.

    Attributes:
        unit: ``x`` for times as fast, else s, ms, MB; "" for a number by itself.
    """

    value: float
    unit: str = "x"
    at_least: bool = True

    def is_reached(self, figure: Figure) -> bool:
        """Whether the median is as good."""
        return figure.middle >= self.value if self.at_least else figure.middle <= self.value

    def __str__(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {in_unit(self.value, self.unit)}"


def at_most(value: float, unit: str = "x") -> Goal:
    """The goal of what is to be small."""
    return Goal(value, unit, at_least=False)


@dataclass(frozen=True)
class Equality:
    """What shows that both ways give the same: in words with numbers, and whether it is so."""

    words: str
    is_equal: bool

    @classmethod
    def within(cls, difference: float, most: float, of: str) -> Equality:
        """The greatest difference of something, which may be so large at most."""
        allowed = "" if most == 0 else f", at most {most:.0e} allowed"
        shown = "0" if difference == 0 else f"{difference:.1e}"
        return cls(f"{of}: difference {shown}{allowed}", bool(difference <= most))


@dataclass(frozen=True)
class Measured:
    """What came out of a row.

    Attributes:
        figures: for each of its goals.
        limit: what it could be at best, in words with numbers; where a goal is not reached.
        remarks: what one has to know to read the figures, such as what was extrapolated.
        growth: points of a plot with logarithmic axes, by the name of their line: a size, and what it took.
    """

    figures: dict[str, Figure]
    equality: Equality
    limit: str = ""
    remarks: tuple[str, ...] = ()
    growth: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """Where a row may write, and how thorough it is to be.

    Attributes:
        quick: with sizes that take seconds; it shows that all is well, and no goal is meant for it.
        rounds: how often both ways take turns.
    """

    folder: Path
    quick: bool = False
    rounds: int = 3


@dataclass(frozen=True)
class Row:
    """One line of the table of speeds, or several where it has several goals.

    Attributes:
        name: by which it is asked for.
        goals: what each figure is to be, by what it is.
        minutes, quick_minutes: about what it takes on two cores.
        lacks: what is not here that it needs, in words; "" where all is here.
    """

    name: str
    work: str
    against: str
    goals: dict[str, Goal]
    measure: Callable[[Bench], Measured]
    minutes: float
    quick_minutes: float
    lacks: Callable[[], str] = field(default=lambda: "")


def in_unit(value: float, unit: str) -> str:
    """A number as the table shows it."""
    digits = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{digits}{unit}" if unit in ("x", "") else f"{digits} {unit}"
