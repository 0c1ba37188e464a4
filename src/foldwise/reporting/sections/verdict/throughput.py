"""How fast each model trains: images a second against the batch size, by where the images come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from foldwise.reporting.drawing.speeds import speed_panel
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.verdict.tables import cell
from foldwise.reporting.wording import NOTHING, amount, count, memory, number, percent

BUSY = 0.3  # cores; what other programs take beyond that is said
HELD = {
    "memory": "in memory",
    "device": "on the GPU",
    "disk": "memory map on disk",
    "none": "decoded each time",
}
Row = Mapping[str, Any]


def section(data: ReportData) -> dict[str, Any] | None:
    """A panel for every model and device, and the table of all numbers; None where nothing was measured."""
    told = data.verdict.get("throughput") or []
    rows = [row for row in told if row.get("points")]
    if not told:
        return None
    models = list(dict.fromkeys((row["model"], row["device"]) for row in rows))
    several = len({device for _, device in models}) > 1
    panels = [
        _panel([row for row in rows if (row["model"], row["device"]) == model], several=several)
        for model in models
    ]
    caches = list(dict.fromkeys(row["cache"] for row in rows))
    return {
        "speed": {
            "panels": panels,
            "keys": [{"hue": _hue(cache), "name": HELD[_held(rows, cache)]} for cache in caches],
            "rows": [_line(row, point) for row in rows for point in row["points"]],
            "busy": _busy(rows),
            "devices": ", ".join(dict.fromkeys(str(row["device_name"]) for row in rows)),
            "threads": max((int(row["threads"]) for row in rows), default=1),
            "memory_is": ", ".join(dict.fromkeys(str(row["peak_memory_is"]) for row in rows)),
            "failed": [row for row in told if row.get("error")],
        }
    }


def _held(rows: Sequence[Row], cache: str) -> str:
    return next(str(row["cache_used"]) for row in rows if row["cache"] == cache)


def _hue(cache: str) -> int:
    return ("memory", "disk", "none").index(cache)


def _panel(rows: Sequence[Row], *, several: bool) -> dict[str, Any]:
    lines = {_hue(row["cache"]): [_of(point, "train") for point in row["points"]] for row in rows}
    first = rows[0]
    return {
        "name": first["model"] + (f" on {first['device']}" if several else ""),
        "parameters": amount(first.get("parameters")),
        "drawing": speed_panel(f"Training speed of {first['model']}", lines, _limits(rows)),
        "best": _best(rows),
        "problems": _problems(first["points"]),
    }


def _of(point: Row, what: str) -> tuple[int, float, float, float] | None:
    held = point.get(what)
    if not held:
        return None
    return int(point["batch_size"]), float(held["median"]), float(held["low"]), float(held["high"])


def _limits(rows: Sequence[Row]) -> dict[int, float]:
    """The bare step by batch size: measured beside every cache, and noise can only make it slower."""
    known = [limit for row in rows for point in row["points"] if (limit := _of(point, "limit"))]
    return {size: max(median for of, median, *_ in known if of == size) for size, *_ in sorted(known)}


def _best(rows: Sequence[Row]) -> str:
    known = [(found, row) for row in rows for point in row["points"] if (found := _of(point, "train"))]
    if not known:
        return ""
    (size, median, *_), row = max(known, key=lambda one: one[0][1])
    share = median / _limits(rows)[size]
    told = f"{percent(share)} of the limit" if share < 1 else "at the limit"
    return f"fastest: {_speed(median)} images/s in batches of {size}, {HELD[row['cache_used']]}; {told}"


def _problems(points: Sequence[Row]) -> list[str]:
    return [f"batches of {point['batch_size']}: {point['problem']}" for point in points if point["problem"]]


def _line(row: Row, point: Row) -> dict[str, Any]:
    train, limit = _of(point, "train"), _of(point, "limit")
    share = train[1] / limit[1] if train and limit else None
    return {
        "model": row["model"],
        "device": row["device"],
        "held": HELD[row["cache_used"]],
        "size": cell(str(point["batch_size"]), point["batch_size"]),
        "train": _range(train),
        "share": cell(percent(share), share),
        "limit": _range(limit),
        "inference": _range(_of(point, "inference")),
        "memory": cell(memory(point["peak_memory_mb"]), point["peak_memory_mb"]),
        "problem": point["problem"] or "",
    }


def _range(found: tuple[int, float, float, float] | None) -> dict[str, Any]:
    if found is None:
        return cell(NOTHING)
    _, median, low, high = found
    return cell(_speed(median), median, f"{_speed(low)} to {_speed(high)}")


def _speed(value: float) -> str:
    """As many digits as a speed is worth: 0.57, 5.7, 57, 574, 5 740."""
    if value < 9.95:
        return f"{value:.1f}" if value >= 0.995 else f"{value:.2g}"
    return f"{float(f'{value:.3g}'):,.0f}".replace(",", "\u202f")


def _busy(rows: Sequence[Row]) -> str:
    """What other programs took meanwhile; empty where it was little."""
    known = [(busy, row) for row in rows if (busy := number(row.get("others_busy"))) is not None]
    most, row = max(known, key=lambda one: one[0], default=(0.0, {}))
    return f"{most:.1f} of {count(int(row['cores']), 'core')}" if most > BUSY and row.get("cores") else ""
