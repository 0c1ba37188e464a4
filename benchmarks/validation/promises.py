"""What foldwise promises, and whether the simulation bears it out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import t

CHANCE = 0.00135  # of being so far on one side of a bound by chance: 3 standard errors, as hundreds of cells are looked at
Row = dict[str, Any]


@dataclass(frozen=True)
class Promise:
    """A measure, and what it may be in every cell it is promised for.

    Attributes:
        sentence: what is promised.
        measure: of `judgements`.
        low, high: ends of what is allowed.
        of: the cells it is promised for.
        wide: whether too high a measure is an interval wider than need be, which costs power and breaks no promise.
    """

    sentence: str
    measure: str
    low: float
    high: float
    of: Callable[[Row], bool] = lambda about: True
    wide: bool = False


def _identical(about: Row) -> bool:
    return bool(about["identical"])


def _many(about: Row) -> bool:
    return _identical(about) and about["configurations"] == 24


def _differ(about: Row) -> bool:
    return not about["identical"]


PROMISES = (
    Promise(
        "The interval of one score covers the truth in 93 % of studies or more",
        "foldwise: single",
        0.93,
        0.98,
        wide=True,
    ),
    Promise(
        "The interval of a difference covers the truth in 93 % or more",
        "foldwise: pair",
        0.93,
        0.98,
        wide=True,
    ),
    Promise("All pairs together are covered in 93 % or more", "foldwise: all pairs", 0.93, 1.0),
    Promise(
        "Identical configurations are called different in 5 % of pairs or less", "foldwise: alarm", 0.0, 0.05
    ),
    Promise(
        "and at least one pair of them in 5 % of families of 24 or less", "foldwise: family", 0.0, 0.05, _many
    ),
    Promise("The set of possible winners holds a true best in 95 % or more", "foldwise: set", 0.95, 1.0),
    Promise(
        "The winner's corrected score is off by 0.02 or less on average",
        "foldwise: corrected bias",
        -0.02,
        0.02,
    ),
    Promise(
        "and its interval covers the truth in 93 % or more", "foldwise: corrected", 0.93, 0.98, wide=True
    ),
    Promise(
        "The interval of a score covers the truth in 93 % or more where all configurations share the luck of a run",
        "foldwise: shared luck",
        0.93,
        1.0,
        lambda about: not about["overlap"],
    ),
    Promise("All differences of a factor are covered in 93 % or more", "foldwise: factors", 0.93, 1.0),
    Promise("After a race the set holds a true best in 95 % or more", "race: set", 0.95, 1.0),
    Promise(
        "and it rules out early what is as good as the best in 1 % of studies or less",
        "race: lost",
        0.0,
        0.01,
    ),
)


@dataclass(frozen=True)
class Verdict:
    """A promise and the cells that bear on it.

    Attributes:
        cells: number of cells.
        outside: (row, mean, standard error) of the cells whose mean is outside.
        below, above: those of `outside` that chance does not explain, too low and too high.
        mean, least, most: over cells.
    """

    promise: Promise
    cells: int
    outside: tuple[tuple[Row, float, float], ...]
    below: tuple[tuple[Row, float, float], ...]
    above: tuple[tuple[Row, float, float], ...]
    mean: float
    least: float
    most: float

    @property
    def broken(self) -> bool:
        """Whether some cell is outside beyond Monte Carlo error, on the side that was promised."""
        return bool(self.below or (self.above and not self.promise.wide))

    @property
    def wider(self) -> int:
        """Number of cells with intervals that are wider than need be, beyond Monte Carlo error."""
        return len(self.above) if self.promise.wide else 0


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """One verdict for every promise that some cell bears on."""
    made = []
    for promise in PROMISES:
        known = [
            (row["about"], *row["found"][promise.measure])
            for row in rows
            if promise.measure in row["found"] and promise.of(row["about"])
        ]
        if not known:
            continue
        means = [mean for _, mean, _, _ in known]
        made.append(
            Verdict(
                promise,
                len(known),
                tuple(one[:3] for one in known if not promise.low <= one[1] <= promise.high),
                tuple(one[:3] for one in known if one[1] + _reach(*one[2:]) < promise.low),
                tuple(one[:3] for one in known if one[1] - _reach(*one[2:]) > promise.high),
                sum(means) / len(means),
                min(means),
                max(means),
            )
        )
    return made


def _reach(error: float, samples: int) -> float:
    """How far chance reaches; from few samples the standard error itself is hardly known."""
    return float(t.isf(CHANCE, max(samples - 1, 1))) * error
