"""How fast each model trains: images a second against the batch size, by where the images come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foldwise.judging.verdict_configurations import ModelThroughput, Speed, SpeedPoint
from foldwise.reporting.drawing.curves import Measured, speed_panel
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import NOTHING, Cell, amount, cell, count, memory, milliseconds, percent

BUSY = 0.3  # cores; other programs that take less are not mentioned
IN_WORDS = {
    "memory": "in memory",
    "device": "on the GPU",
    "disk": "memory map on disk",
    "none": "decoded each time",
    "features": "cached features",
}
# What training is held up by, for people.
HELD_UP_BY = {
    "loading": "loading of images",
    "steps": "steps: too few images in each",
    "device": "the device",
}
# Lines of a panel: where images come from, in which precision; the place is the number of the hue.
HUES = tuple((cache, precision) for precision in ("fp32", "bf16") for cache in ("memory", "disk", "none"))
COLUMNS = (
    "model", "device", "precision", "images_from", "batch_size", "train_images_per_s", "train_low", "train_high", "limit_images_per_s",
    "inference_images_per_s", "peak_memory_mb", "train_joules_per_image", "inference_joules_per_image", "held_up_by", "problem",
)  # fmt: skip
Rows = Sequence[ModelThroughput]


def section(data: ReportData) -> dict[str, Any] | None:
    """A panel for every model and device, and the table of all numbers; None where nothing was measured."""
    return speed_content(data.verdict.throughput)


def speed_content(rows: Rows) -> dict[str, Any] | None:
    """As `section`, of what was measured."""
    measured = [row for row in rows if row.points]
    if not rows:
        return None
    # Of cached features only a head learns, a hundred times as fast: on one axis nothing else would be seen.
    panels = list(dict.fromkeys((row.model, row.device, row.cache == "features") for row in measured))
    hues = dict.fromkeys(map(_hue, measured))
    return {
        "speed": {
            "panels": [
                _panel(
                    [row for row in measured if (row.model, row.device, row.cache == "features") == panel],
                    measured,
                )
                for panel in panels
            ],
            "keys": [
                {"hue": _hue(row), "name": source(row, measured)}
                for hue in hues
                for row in [next(row for row in measured if _hue(row) == hue)]
            ],
            "rows": [_line(row, point, measured) for row in measured for point in row.points or ()],
            "busy": _busy(measured),
            "devices": ", ".join(dict.fromkeys(str(row.device_name) for row in measured)),
            "threads": max((row.threads or 1 for row in measured), default=1),
            "memory_is": ", ".join(dict.fromkeys(str(row.peak_memory_is) for row in measured)),
            "with_energy": any(_joules(point.train) for row in measured for point in row.points or ()),
            "failed": [row for row in rows if row.error],
        }
    }


def _hue(row: ModelThroughput) -> int:
    cache = "disk" if row.cache == "features" else row.cache
    return HUES.index((cache, row.precision or "fp32"))


def source(row: ModelThroughput, rows: Rows) -> str:
    """Where the images come from; with the precision and the device where there are others among the rows."""
    precision = f", {row.precision}" if len({other.precision for other in rows}) > 1 else ""
    return f"{IN_WORDS[str(row.cache_used)]}{precision}"


def name_of(row: ModelThroughput, rows: Rows) -> str:
    """The model, with its device where there are others among the rows."""
    return row.model + (f" on {row.device}" if len({other.device for other in rows}) > 1 else "")


def _panel(rows: Rows, every: Rows) -> dict[str, Any]:
    lines = {_hue(row): [_measured(point, point.train) for point in row.points or ()] for row in rows}
    first, of_features = rows[0], rows[0].cache == "features"
    return {
        "name": name_of(first, every) + (": head on cached features" if of_features else ""),
        "parameters": amount(first.parameters),
        "drawing": speed_panel(f"Training speed of {first.model}", lines, _limits(rows)),
        "best": _best(rows, every),
        "problems": _problems(rows, every),
    }


def _problems(rows: Rows, every: Rows) -> list[str]:
    """Batch sizes that could not be measured, and why; which images, where others could."""
    met: dict[str, list[ModelThroughput]] = {}
    for row in rows:
        for point in row.points or ():
            if point.problem:
                met.setdefault(f"batches of {point.batch_size}: {point.problem}", []).append(row)
    return [
        words + ("" if len(having) == len(rows) else f" ({'; '.join(source(row, every) for row in having)})")
        for words, having in met.items()
    ]


def _measured(point: SpeedPoint, speed: Speed | None) -> Measured | None:
    return None if speed is None else (point.batch_size, speed.median, speed.low, speed.high)


def _limits(rows: Rows) -> dict[int, float]:
    """The bare step by batch size: measured beside every cache, and noise can only make it slower."""
    limits: dict[int, float] = {}
    points = (point for row in rows for point in row.points or ())
    for point in sorted(points, key=lambda point: point.batch_size):
        if point.limit is not None:
            limits[point.batch_size] = max(point.limit.median, limits.get(point.batch_size, 0.0))
    return limits


def _best(rows: Rows, every: Rows) -> str:
    speeds = [
        (point.train.median, point.batch_size, row, point.bottleneck)
        for row in rows
        for point in row.points or ()
        if point.train is not None
    ]
    if not speeds:
        return ""
    median, size, row, bottleneck = max(speeds, key=lambda speed: speed[0])
    share = median / _limits([other for other in rows if other.precision == row.precision])[size]
    # Noise can put training above the bare step, of which a share over 100 % would say that it is no limit.
    of_limit = f"{percent(share)} of the limit" if share < 1 else "at the limit"
    bottlenecked = f", held up by {HELD_UP_BY[bottleneck]}" if bottleneck else ""
    return f"fastest: {speed_words(median)} images/s in batches of {size}, {source(row, every)}; {of_limit}{bottlenecked}"


def _line(row: ModelThroughput, point: SpeedPoint, every: Rows) -> dict[str, Any]:
    share = point.train.median / point.limit.median if point.train and point.limit else None
    return {
        "model": name_of(row, every),
        "source": source(row, every),
        "problem": point.problem or "",
        "held_up": HELD_UP_BY.get(str(point.bottleneck), NOTHING),
        "energy": cell(joules(_joules(point.train)), _joules(point.train)),
        "cells": [
            cell(str(point.batch_size), point.batch_size),
            _range(point.train),
            cell(percent(share), share),
            _range(point.limit),
            _range(point.inference),
            cell(memory(point.peak_memory_mb), point.peak_memory_mb),
        ],
    }


def speed_table(rows: Rows) -> list[dict[str, Any]]:
    """Every number in full, a row for every model, device, precision, source of images and batch size."""
    return [
        dict(zip(COLUMNS, _numbers(row, point), strict=True)) for row in rows for point in row.points or ()
    ]


def _numbers(row: ModelThroughput, point: SpeedPoint) -> tuple[Any, ...]:
    train, limit, inference = point.train, point.limit, point.inference
    speeds = (train and train.median, train and train.low, train and train.high, limit and limit.median)
    about = (row.model, row.device, row.precision, row.cache_used, point.batch_size)
    ends = (point.peak_memory_mb, _joules(train), _joules(inference), point.bottleneck, point.problem)
    return (*about, *speeds, inference and inference.median, *ends)


def _joules(speed: Speed | None) -> float | None:
    return speed.joules_per_image if speed else None


def joules(value: float | None) -> str:
    """Joules of one image: 0.42 J, 4.2 J, 42 J."""
    return NOTHING if value is None else f"{milliseconds(value)}\u00a0J"


def _range(speed: Speed | None) -> Cell:
    if speed is None:
        return cell(NOTHING)
    return cell(
        speed_words(speed.median), speed.median, f"{speed_words(speed.low)} to {speed_words(speed.high)}"
    )


def speed_words(value: float) -> str:
    """As many digits as a speed is worth: 0.57, 5.7, 57, 574, 5 740."""
    if value < 9.95:
        return f"{value:.1f}" if value >= 0.995 else f"{value:.2g}"
    return f"{float(f'{value:.3g}'):,.0f}".replace(",", "\u202f")


def _busy(rows: Sequence[ModelThroughput]) -> str:
    """How many cores other programs took meanwhile; empty where it was little."""
    busiest = max(rows, key=lambda row: row.others_busy or 0.0, default=None)
    if busiest is None or not busiest.cores or (busiest.others_busy or 0.0) <= BUSY:
        return ""
    return f"{busiest.others_busy:.1f} of {count(busiest.cores, 'core')}"
