"""Numbers in sentences: the same quantity is rounded the same way wherever it is written."""

from __future__ import annotations

from math import ceil, floor, log10
from typing import Protocol


def capital(words: str) -> str:
    """As a sentence begins."""
    return f"{words[:1].upper()}{words[1:]}"


def all_others(number: int) -> str:
    """``the other configuration``, ``both other configurations``, ``all 8 other configurations``."""
    few = {1: "the other configuration", 2: "both other configurations"}
    return few.get(number, f"all {number} other configurations")


def in_text(title: str) -> str:
    """A title within a sentence: ``pixel accuracy``, but ``IoU per image``, ``F1`` and ``Dice per image``."""
    first = title.split(maxsplit=1)[0].rstrip(",")
    stays = (
        first in ("Dice", "Brier", "Hausdorff", "Matthews", "Cohen's")
        or not first[1:].replace("-", "").islower()
    )
    return title if stays else title[0].lower() + title[1:]


def decimals(half_width: float) -> int:
    """Digits after the point that an interval of this half width leaves worth printing: 2 to 4."""
    return min(max(ceil(-log10(half_width)), 2), 4) if half_width > 0 else 3


def unseen(detectable: float, *, bounded: bool) -> str:
    """``a difference below about 0.03 could not have been seen``; of scores from 0 to 1, perhaps no difference could."""
    if bounded and detectable >= 1:
        return "no difference could have been seen"
    return f"a difference below about {show(detectable)} could not have been seen"


def show(value: float) -> str:
    """A score or a difference of scores: two digits after the point, and below 0.1 two that count (four at most)."""
    size = abs(value)
    digits = min(1 - floor(log10(size)), 4) if 0 < size < 0.0995 else 2
    return f"{value:.{digits}f}"


class WithInterval(Protocol):
    """A score with the ends of its interval; what is not known is None."""

    @property
    def estimate(self) -> float | None:
        """The score."""

    @property
    def low(self) -> float | None:
        """The lower end."""

    @property
    def high(self) -> float | None:
        """The upper end."""


def digits_of(score: WithInterval) -> int:
    """Digits after the point of a score, wherever it is written: what its interval is worth.

    More where a score that is nearly perfect would read as 1.00; at most four.
    """
    digits = 2
    if score.low is not None and score.high is not None:
        digits = decimals((score.high - score.low) / 2)
    while score.estimate is not None and score.estimate < 1 == round(score.estimate, digits) and digits < 4:
        digits += 1
    return digits


def has_interval(score: WithInterval) -> bool:
    """Whether both ends of the interval are known."""
    return score.low is not None and score.high is not None


def with_interval(score: WithInterval, confidence: str) -> str:
    """``0.91 (95 % interval 0.87 to 0.94)``."""
    assert score.estimate is not None
    if not has_interval(score):
        return f"{show(score.estimate)} (no interval: too few images)"
    digits = digits_of(score)
    return f"{score.estimate:.{digits}f} ({confidence} interval {score.low:.{digits}f} to {score.high:.{digits}f})"


def rounded(number: float) -> str:
    """A count that is only roughly known, to two digits that count: ``1,700``."""
    if number < 100:
        return f"{number:.0f}"
    step = 10 ** (floor(log10(number)) - 1)
    return f"{round(number / step) * step:,}"
