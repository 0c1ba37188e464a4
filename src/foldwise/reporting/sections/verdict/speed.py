"""How fast each model trains: images a second against the batch size, by where the images come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foldwise.judging.verdict_configurations import ModelThroughput, Speed, SpeedPoint
from foldwise.reporting.drawing.curves import Measured, speed_panel
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import NOTHING, Cell, amount, cell, count, memory, percent

BUSY = 0.3  # cores; other programs that take less are not mentioned
CACHES = ("memory", "disk", "none")  # the place is the number of the hue
IN_WORDS = {
    "memory": "in memory",
    "device": "on the GPU",
    "disk": "memory map on disk",
    "none": "decoded each time",
}


def section(data: ReportData) -> dict[str, Any] | None:
    """A panel for every model and device, and the table of all numbers; None where nothing was measured."""
    measured = [row for row in data.verdict.throughput if row.points]
    if not data.verdict.throughput:
        return None
    models = list(dict.fromkeys((row.model, row.device) for row in measured))
    # A device is named only where there is another one.
    several = len({device for _, device in models}) > 1
    # Reversed, so that the first row of each kind of cache is the one that stays.
    caches = {row.cache: row for row in reversed(measured)}
    return {
        "speed": {
            "panels": [
                _panel([row for row in measured if (row.model, row.device) == model], several=several)
                for model in models
            ],
            "keys": [
                {"hue": CACHES.index(cache), "name": _source(caches[cache])}
                for cache in dict.fromkeys(row.cache for row in measured)
            ],
            "rows": [_line(row, point) for row in measured for point in row.points or ()],
            "busy": _busy(measured),
            "devices": ", ".join(dict.fromkeys(str(row.device_name) for row in measured)),
            "threads": max((row.threads or 1 for row in measured), default=1),
            "memory_is": ", ".join(dict.fromkeys(str(row.peak_memory_is) for row in measured)),
            "failed": [row for row in data.verdict.throughput if row.error],
        }
    }


def _source(row: ModelThroughput) -> str:
    return IN_WORDS[str(row.cache_used)]


def _panel(rows: Sequence[ModelThroughput], *, several: bool) -> dict[str, Any]:
    lines = {
        CACHES.index(row.cache): [_measured(point, point.train) for point in row.points or ()] for row in rows
    }
    first = rows[0]
    return {
        "name": first.model + (f" on {first.device}" if several else ""),
        "parameters": amount(first.parameters),
        "drawing": speed_panel(f"Training speed of {first.model}", lines, _limits(rows)),
        "best": _best(rows),
        "problems": [
            f"batches of {point.batch_size}: {point.problem}" for point in first.points or () if point.problem
        ],
    }


def _measured(point: SpeedPoint, speed: Speed | None) -> Measured | None:
    return None if speed is None else (point.batch_size, speed.median, speed.low, speed.high)


def _limits(rows: Sequence[ModelThroughput]) -> dict[int, float]:
    """The bare step by batch size: measured beside every cache, and noise can only make it slower."""
    limits: dict[int, float] = {}
    points = (point for row in rows for point in row.points or ())
    for point in sorted(points, key=lambda point: point.batch_size):
        if point.limit is not None:
            limits[point.batch_size] = max(point.limit.median, limits.get(point.batch_size, 0.0))
    return limits


def _best(rows: Sequence[ModelThroughput]) -> str:
    speeds = [
        (point.train.median, point.batch_size, row)
        for row in rows
        for point in row.points or ()
        if point.train is not None
    ]
    if not speeds:
        return ""
    median, size, row = max(speeds, key=lambda speed: speed[0])
    share = median / _limits(rows)[size]
    # Noise can put training above the bare step, of which a share over 100 % would say that it is no limit.
    of_limit = f"{percent(share)} of the limit" if share < 1 else "at the limit"
    return f"fastest: {_speed(median)} images/s in batches of {size}, {_source(row)}; {of_limit}"


def _line(row: ModelThroughput, point: SpeedPoint) -> dict[str, Any]:
    share = point.train.median / point.limit.median if point.train and point.limit else None
    return {
        "model": row.model,
        "device": row.device,
        "source": _source(row),
        "problem": point.problem or "",
        "cells": [
            cell(str(point.batch_size), point.batch_size),
            _range(point.train),
            cell(percent(share), share),
            _range(point.limit),
            _range(point.inference),
            cell(memory(point.peak_memory_mb), point.peak_memory_mb),
        ],
    }


def _range(speed: Speed | None) -> Cell:
    if speed is None:
        return cell(NOTHING)
    return cell(_speed(speed.median), speed.median, f"{_speed(speed.low)} to {_speed(speed.high)}")


def _speed(value: float) -> str:
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
