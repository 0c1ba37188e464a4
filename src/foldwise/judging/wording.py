"""Numbers in sentences: the same quantity is rounded the same way wherever it is said."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor, isfinite, log10
from typing import Any


def counted(number: int, one: str, many: str) -> str:
    """``1 image``, ``3 images``."""
    return f"{number:,} {one if number == 1 else many}"


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
    stays = first in ("Dice", "Brier", "Hausdorff") or not first[1:].replace("-", "").islower()
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


def digits_of(record: Mapping[str, Any]) -> int:
    """Digits after the point of a configuration's estimate, wherever it is said: what its interval is worth.

    More where a score that is nearly perfect would read as 1.00; at most four.
    """
    low, high = record["low"], record["high"]
    digits = decimals((high - low) / 2) if has_interval(record) else 2
    estimate = record.get("estimate")
    while estimate is not None and estimate < 1 == round(estimate, digits) and digits < 4:
        digits += 1
    return digits


def has_interval(record: Mapping[str, Any]) -> bool:
    """Whether both ends of the interval are known."""
    return all(end is not None and isfinite(end) for end in (record["low"], record["high"]))


def with_interval(record: Mapping[str, Any], sure: str) -> str:
    """``0.91 (95 % interval 0.87 to 0.94)``."""
    if not has_interval(record):
        return f"{show(record['estimate'])} (no interval: too few images)"
    digits = digits_of(record)
    return f"{record['estimate']:.{digits}f} ({sure} interval {record['low']:.{digits}f} to {record['high']:.{digits}f})"


def rounded(number: float) -> str:
    """A count that is only roughly known, to two digits that count: ``1,700``."""
    if number < 100:
        return f"{number:.0f}"
    step = 10 ** (floor(log10(number)) - 1)
    return f"{round(number / step) * step:,}"
