"""Numbers and names as a reader wants them: rounded, with a unit, and a dash where nothing was measured."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import wraps
from typing import Any

from markupsafe import Markup, escape

from foldwise import text
from foldwise.judging.wording import WithInterval, decimals, digits_of, digits_of_tiny, ends_of, fixed, show
from foldwise.metrics.table import METRICS
from foldwise.text import in_text

NOTHING = "–"
MINUS = "−"
Cell = dict[str, Any]  # of a table: shown, value, note, low and high


def cell(shown: str, value: Any = None, note: str = "", ends: tuple[Any, Any] = (None, None)) -> Cell:
    """What a cell shows, what it is sorted by, the small print below, and the interval; a dash is no small print."""
    note, (low, high) = "" if note == NOTHING else note, ends
    return {"shown": shown, "value": number(value), "note": note, "low": number(low), "high": number(high)}


def score_cell(scored: WithInterval) -> Cell:
    """An estimate above its interval."""
    return cell(estimate(scored), scored.estimate, ends_of(scored), (scored.low, scored.high))


def number(value: Any) -> float | None:
    """The value as a finite float; None for what is absent, not a number or infinite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def score(value: Any, digits: int = 3) -> str:
    """0.858."""
    finite = number(value)
    return NOTHING if finite is None else fixed(finite, digits)


def shown(value: Any) -> str:
    """A score that has no interval, rounded as the sentences of the verdict round it: 0.86, 0.021."""
    finite = number(value)
    return NOTHING if finite is None else show(finite)


def estimate(scored: WithInterval) -> str:
    """The estimate of a configuration or metric, with the digits its interval is worth, as in the sentences."""
    return score(scored.estimate, digits_of(scored))


def difference(value: Any) -> str:
    """+0.0041 or −0.021; a difference that rounds to nothing has no sign."""
    written = shown(value)
    # −0.0000 would claim a direction that the digits do not hold.
    if written == NOTHING or float(written.replace(MINUS, "-")) == 0:
        return written.removeprefix(MINUS)
    return written if written.startswith(MINUS) else f"+{written}"


def interval(low: Any, high: Any) -> str:
    """0.836 to 0.880, with the digits its width is worth; a dash where there is none, or of no width."""
    first, last = number(low), number(high)
    if first is None or last is None or first == last:
        return NOTHING
    # An error of 1e-5 is none of 0.0000.
    digits = max(decimals((last - first) / 2), digits_of_tiny(max(abs(first), abs(last))))
    return f"{score(first, digits)} to {score(last, digits)}"


def difference_interval(low: Any, high: Any) -> str:
    """−0.26 to +0.12."""
    return NOTHING if number(low) is None else f"{difference(low)} to {difference(high)}"


def _or_dash(words: Callable[[float], str]) -> Callable[[Any], str]:
    """The same of what may be no finite number: a dash then."""

    @wraps(words)
    def written(value: Any) -> str:
        finite = number(value)
        return NOTHING if finite is None else words(finite)

    return written


@_or_dash
def percent(share: float) -> str:
    """A share as 71 %, with <1 % and >99 % at the ends."""
    # 0 % and 100 % would say never and always, which no finite number of images shows.
    if 0 < share < 0.01:
        return "<1\u00a0%"
    return ">99\u00a0%" if 0.99 < share < 1 else f"{share * 100:.0f}\u00a0%"


def p_value(value: Any) -> str:
    """P = 0.039; small ones as p < 0.001."""
    finite = number(value)
    if finite is None:
        return ""
    return "p < 0.001" if finite < 0.001 else f"p = {finite:.2g}" if finite < 0.1 else f"p = {finite:.2f}"


@_or_dash
def duration(seconds: float) -> str:
    """0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    # A number is never parted from its unit by the end of a line.
    return re.sub(r"(?<=\d) ", "\u00a0", text.duration(seconds))


@_or_dash
def brief_duration(seconds: float) -> str:
    """One number and one unit, for a narrow column: 0.4 s, 92 s, 2.6 min, 1.2 h."""
    value, unit = _in_unit(seconds, ((1.0, "s", 99.5), (60.0, "min", 99.5), (3600.0, "h", math.inf)))
    return f"{value:.{1 if value < 9.95 else 0}f}\u00a0{unit}"


def _in_unit(value: float, units: Sequence[tuple[float, str, float]]) -> tuple[float, str]:
    """In the first unit, of (size, name, end), in which it stays below the end."""
    return next((value / size, unit) for size, unit, end in units if value / size < end)


@_or_dash
def milliseconds(value: float) -> str:
    """Two significant digits are all a latency is worth: 0.42, 4.2, 42, 420."""
    return f"{value:.{0 if value >= 9.95 else 1 if value >= 0.995 else 2}f}"


@_or_dash
def memory(megabytes: float) -> str:
    """420 MB or 1.7 GB."""
    return f"{megabytes / 1000:.1f}\u00a0GB" if megabytes >= 999.5 else f"{megabytes:.0f}\u00a0MB"


@_or_dash
def energy(joules: float) -> str:
    """Two significant digits in watt-hours: 3.2 mWh, 0.85 Wh, 12 Wh, 1.4 kWh."""
    value, unit = _in_unit(joules / 3600, ((1e-3, "mWh", 99.5), (1.0, "Wh", 999.5), (1e3, "kWh", math.inf)))
    return f"{milliseconds(value)}\u00a0{unit}"


@_or_dash
def amount(value: float) -> str:
    """A large count in short: 850, 12 k, 5.1 M."""
    for size, unit in ((1e9, "\u00a0G"), (1e6, "\u00a0M"), (1e3, "\u00a0k")):
        if value >= size:
            return f"{value / size:.{0 if value / size >= 99.5 else 1}f}{unit}"
    return f"{value:.0f}"


def count(value: int, noun: str, plural: str | None = None) -> str:
    """1 image, 2 images, 12 000 images."""
    return text.count(value, noun, plural, separator="\u202f" if abs(value) >= 10_000 else "")


def clipped(words: str, length: int = 110) -> str:
    """The first sentence; where it is too long its first clauses, or as many words as fit."""
    first = words.split("\n", 1)[0].split(". ", 1)[0].rstrip(".")
    if len(first) <= length:
        return first
    clause = max(first.rfind(mark, 0, length) for mark in ("; ", ": ", ", "))
    return first[:clause] if clause > 20 else first[: length - 1].rsplit(" ", 1)[0] + "…"


def breakable(name: str) -> Markup:
    """A name that may be broken after ``/ _ : .`` on a narrow page; it is escaped."""
    return Markup(re.sub(r"([/_:]|\.(?!\d))(?=[^\s<&])", r"\1<wbr>", str(escape(name))))


def day(iso: Any) -> str:
    """20 Nov 2026, from an ISO time; what is none is said as it stands."""
    try:
        return datetime.fromisoformat(str(iso)).strftime("%-d %b %Y")
    except ValueError:
        return str(iso or "")


TASKS = {
    "binary_classification": "binary classification",
    "multiclass_classification": "multiclass classification",
    "multilabel_classification": "multilabel classification",
    "binary_segmentation": "binary segmentation",
    "multiclass_segmentation": "multiclass segmentation",
}


CAPITALS = {
    "auroc": "AUROC",
    "ap": "average precision",
    "f1": "F1",
    "dice": "Dice",
    "iou": "IoU",
    "img": "per image",
    "brier": "Brier",
}


def plain(name: str) -> str:
    """A machine name as words: ``balanced_accuracy`` -> balanced accuracy, ``dice_img`` -> Dice per image."""
    return " ".join(
        CAPITALS.get(part, part) for part in name.removeprefix("num_").replace("/", "_").split("_")
    )


def selecting_title(select: str) -> str:
    """The validation score as the rest of the page calls it, within a sentence."""
    return in_text(METRICS[select].title) if select in METRICS else plain(select)


def fit_name(record: Mapping[str, Any]) -> str:
    """Repeat and fold as they are counted everywhere: from 1."""
    return f"repeat {int(record['repeat']) + 1}, fold {int(record['fold']) + 1}"
