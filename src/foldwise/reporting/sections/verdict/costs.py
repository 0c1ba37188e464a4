"""What the configurations cost: score drawn against time, memory and energy, and a table of all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from foldwise.judging.verdict_configurations import ConfigurationResult, Cost
from foldwise.reporting.drawing.rows import SHAPE_OF, standing
from foldwise.reporting.drawing.svg import (
    Numbers,
    Scale,
    axes,
    drawing,
    element,
    fitted,
    marker,
    scale_over,
    text,
)
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.verdict.leaderboard import shared_pass
from foldwise.reporting.wording import (
    Cell,
    amount,
    brief_duration,
    cell,
    duration,
    energy,
    estimate,
    memory,
    milliseconds,
)
from foldwise.text import count

MEASURED = (
    "train_s", "evaluate_s", "shared_features_s", "shared_pretrain_s", "parameters", "trainable_parameters",
    "peak_memory_mb", "shared_peak_memory_mb", "reserved_memory_mb", "energy_j", "shared_energy_j", "latency_ms",
)  # fmt: skip
SPREAD = 1.1  # costs that are nearer together than this are no reason to choose
JOULES = 3600.0  # in a watt-hour
MAX_NAMED = 6  # configurations
LETTER_PX = 6.2  # of a name, on average
LOG_FROM = 8  # times as much at the most as at the least: a logarithmic axis


def section(data: ReportData) -> dict[str, Any] | None:
    """Time, memory and parameters, and score against each of them; None where nothing was measured."""
    costs = [result.cost for result in data.configurations]
    with_energy = any(cost.energy_j for cost in costs)
    # What was not measured is a dash, and a configuration without any measure has no row.
    rows = [
        _row(result, with_energy=with_energy)
        for result in data.configurations
        if any(getattr(result.cost, key) for key in MEASURED)
    ]
    if not rows:
        return None
    metric = data.verdict.metric
    title = f"{'↑' if metric.higher_is_better else '↓'} {metric.title}"
    # What takes the same of all configurations is no reason to choose, and has no chart.
    others = [cost_chart(data.configurations, title=title, price=price, width=310) for price in OTHERS]
    return {
        "cost": {
            "drawing": cost_chart(data.configurations, title=title),
            "others": [drawn for drawn in others if drawn is not None],
            "rows": rows,
            "pretrained": any(cost.shared_pretrain_s for cost in costs),
            "memory_is": _kinds([cost.peak_memory_is for cost in costs]),
            "shared": _shared(data.configurations),
            "energy_is": _kinds([cost.energy_is for cost in costs]) if with_energy else "",
        }
    }


def _kinds(counted: list[str | None]) -> str:
    """What a cost counts, in words; most often it is the same for all configurations."""
    return ", or ".join(dict.fromkeys(words for words in counted if words))


def _shared(results: Sequence[ConfigurationResult]) -> str:
    """Whose times were measured only while others used the same device; empty where none were."""
    beside = [result for result in results if result.cost.sharers]
    if not beside:
        return ""
    most = max(result.cost.sharers or 0.0 for result in beside)
    whose = count(len(beside), "configuration") if len(beside) < len(results) else "all configurations"
    return (
        f"Times and energy of {whose} were measured while up to {most:.0f} programs shared one device: they are longer "
        "than alone, and no reason to choose. `measure` in the study measures speed alone."
    )


def _row(result: ConfigurationResult, *, with_energy: bool) -> dict[str, Any]:
    cost = result.cost
    cells = [
        cell(estimate(result), result.estimate, ends=(result.low, result.high)),
        cell(milliseconds(cost.latency_ms), cost.latency_ms),
        cell(duration(cost.train_s), cost.train_s, shared_pass(cost)),
        cell(duration(cost.evaluate_s), cost.evaluate_s),
        peak_memory(cost),
        *([_energy(cost)] if with_energy else []),
        cell(amount(cost.parameters), cost.parameters),
        cell(amount(cost.trainable_parameters), cost.trainable_parameters),
    ]
    return {"name": result.name, "standing": standing(result), "cells": cells}


def _energy(cost: Cost) -> Cell:
    note = f"+ {energy(cost.shared_energy_j)} shared" if cost.shared_energy_j else ""
    return cell(energy(cost.energy_j), cost.energy_j, note)


def peak_memory(cost: Cost) -> Cell:
    """The most memory at a time: of the fit, or of the shared pass of a frozen encoder where that needs more."""
    most, note = most_memory(cost), ""
    if cost.shared_peak_memory_mb is not None and most == cost.shared_peak_memory_mb:
        note = "shared encoder"
    elif cost.reserved_memory_mb is not None:
        note = f"{memory(cost.reserved_memory_mb)} reserved"
    return cell(memory(most), most, note)


@dataclass(frozen=True)
class Price:
    """What a configuration takes.

    Attributes:
        title: of the axis.
        name: of the drawing.
        of: the cost, in the unit of the axis; None where it was not measured.
        words: a cost in words.
    """

    title: str
    name: str
    of: Callable[[Cost], float | None]
    words: Callable[[float], str]


@dataclass(frozen=True)
class Point:
    """A configuration in the chart."""

    result: ConfigurationResult
    cost: float
    score: float


def most_memory(cost: Cost) -> float | None:
    """Megabytes at a time: of the fit, or of the shared pass of a frozen encoder where that needs more."""
    measured = (cost.peak_memory_mb, cost.shared_peak_memory_mb)
    return max((value for value in measured if value is not None), default=None)


TIME = Price("milliseconds per image", "Score against time per image", lambda cost: cost.latency_ms, lambda ms: f"{milliseconds(ms)} ms")  # fmt: skip
OTHERS = (
    Price("seconds of training per fold", "Score against training time", lambda cost: cost.train_s, brief_duration),
    Price("megabytes at the most", "Score against peak memory", most_memory, memory),
    Price("watt-hours per fold", "Score against energy", lambda cost: None if cost.energy_j is None else cost.energy_j / JOULES, lambda hours: energy(hours * JOULES)),
)  # fmt: skip


def cost_chart(
    configurations: Sequence[ConfigurationResult], *, title: str, price: Price = TIME, width: int = 880
) -> Markup | None:
    """Score against a cost; None when it was not measured, or where all have nearly the same.

    Costs spread over more than a factor of 8 get a logarithmic axis. Names stand at the winner, at those
    that nothing beats in both score and cost, and nowhere a name would cover another.
    """
    points = [
        Point(result, paid, result.estimate)
        for result in configurations
        if (paid := price.of(result.cost)) is not None and paid > 0 and result.estimate is not None
    ]
    costs = [point.cost for point in points]
    if not points or (len(points) > 1 and max(costs) < SPREAD * min(costs)):
        return None
    x = scale_over(costs, 52, width - 24, margin=0.08, log=max(costs) > LOG_FROM * min(costs))
    # The winner's interval: differences far below that are not drawn as if they were large.
    winner = next((point.result for point in points if point.result.verdict == "winner"), None)
    band = [] if winner is None or winner.low is None or winner.high is None else [winner.low, winner.high]
    y = scale_over([*(point.score for point in points), *band], 250, 34, margin=0.1)
    shade = {"y": y(band[1]), "height": y(band[0]) - y(band[1])} if band else {}
    parts = [element("rect", x=52, width=width - 76, **shade, class_="shade")] if band else []
    ticks = 6 if width > 600 else 4
    parts += [axes(x, y, x_title=f"{price.title} →", y_title=title, count=ticks)]
    # The best last, on top of all others.
    parts += [_point(point, x, y, price) for point in reversed(points)]
    named = [(point.result.name, x(point.cost), y(point.score)) for point in _front(points)]
    parts += _names(named, [(x(point.cost), y(point.score)) for point in points], width)
    numbers = Numbers(
        ("configuration", "verdict", price.title, title.strip("↑↓ ")),
        [(point.result.name, point.result.verdict, point.cost, point.score) for point in points],
    )
    wide = "chart wide" if width > 600 else "chart"
    return drawing(*parts, width=width, height=286, title=price.name, class_=wide, numbers=numbers)


def _point(point: Point, x: Scale, y: Scale, price: Price) -> Markup:
    kind, result = standing(point.result), point.result
    title = f"{result.name}: {estimate(result)}, {price.words(point.cost)}"
    mark = {"shape": SHAPE_OF[kind], "class_": f"mark {kind}", "title": title, "configuration": result.id}
    return marker(x(point.cost), y(point.score), size=5.5, **mark)


def _front(points: Sequence[Point]) -> list[Point]:
    """Those that no other beats in both; the best score first, as the points come."""
    front = [
        point
        for index, point in enumerate(points)
        if all(better.cost > point.cost for better in points[:index])
    ]
    return front[:MAX_NAMED]


def _names(
    named: Sequence[tuple[str, float, float]], points: Sequence[tuple[float, float]], width: int
) -> list[Markup]:
    """Each name at the first of eight places around its point where it covers neither a point nor another name."""
    # No name may cover a point, its own included.
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    parts = []
    for name, x, y in named:
        words = fitted(name, 44)
        wide = len(words) * LETTER_PX
        starts = (
            (x + 10, y + 4),
            (x - 10 - wide, y + 4),
            *((left, base) for left in (x - wide / 2, x - 6, x + 6 - wide) for base in (y - 10, y + 19)),
        )
        for left, base in starts:
            box = (left, base - 10, left + wide, base + 3)
            # Within the axes: numbers stand beyond them.
            inside = left > 50 and box[2] < width - 2 and base < 246
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                parts.append(text(words, left, base, class_="name"))
                break
    return parts


def _overlap(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
