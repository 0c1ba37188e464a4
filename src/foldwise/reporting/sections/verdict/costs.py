"""What the configurations cost: score drawn against time, memory and energy, and a table of all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from foldwise.judging.verdict import CostFront, CostName
from foldwise.judging.verdict_configurations import ConfigurationResult, Cost
from foldwise.reporting import wording
from foldwise.reporting.drawing import svg
from foldwise.reporting.drawing.rows import SHAPE_OF, standing
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.verdict.leaderboard import shared_pass
from foldwise.text import count

MEASURED = (
    "train_s", "evaluate_s", "shared_features_s", "shared_pretrain_s", "parameters", "trainable_parameters",
    "peak_memory_mb", "shared_peak_memory_mb", "reserved_memory_mb", "energy_j", "shared_energy_j", "latency_ms",
)  # fmt: skip
JOULES = 3600.0  # in a watt-hour
MAX_MARKED = 12  # configurations with letters
WIDTH, HEIGHT = 330, 270
LOG_FROM = 8  # times as much at the most as at the least: a logarithmic axis
HOPELESS = 4  # times the range of those that could be best: who is further off stands at the edge
LETTER_PX, TALL_PX = 8.0, 11.0
MAX_WHISKERS = 40  # more configurations have intervals on the front only
# Where a letter may stand beside its mark.
AROUND = ((8, 4), (-16, 4), (6, -8), (6, 15), (-14, -8), (-14, 15), (-4, -12), (-4, 20))


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
    return {
        "cost": {
            **_front(data),
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
    shared = f"+ {wording.energy(cost.shared_energy_j)} shared" if cost.shared_energy_j else ""
    cells = [
        wording.cell(wording.estimate(result), result.estimate, ends=(result.low, result.high)),
        wording.cell(wording.milliseconds(cost.latency_ms), cost.latency_ms),
        wording.cell(wording.duration(cost.train_s), cost.train_s, shared_pass(cost)),
        wording.cell(wording.duration(cost.evaluate_s), cost.evaluate_s),
        peak_memory(cost),
        *([wording.cell(wording.energy(cost.energy_j), cost.energy_j, shared)] if with_energy else []),
        wording.cell(wording.amount(cost.parameters), cost.parameters),
        wording.cell(wording.amount(cost.trainable_parameters), cost.trainable_parameters),
    ]
    return {"name": result.name, "standing": standing(result), "cells": cells}


def peak_memory(cost: Cost) -> wording.Cell:
    """The most memory at a time: of the fit, or of the shared pass of a frozen encoder where that needs more."""
    most, note = cost.most_memory_mb, ""
    if cost.shared_peak_memory_mb is not None and most == cost.shared_peak_memory_mb:
        note = "shared encoder"
    elif cost.reserved_memory_mb is not None:
        note = f"{wording.memory(cost.reserved_memory_mb)} reserved"
    return wording.cell(wording.memory(most), most, note)


@dataclass(frozen=True)
class CostColumn:
    """A cost of a front: the title of its axis, what its axis counts in, its heading, and a cost in words."""

    axis: str
    per_unit: float
    heading: str
    words: Callable[[float], str]


COLUMNS: dict[CostName, CostColumn] = {
    "latency_ms": CostColumn("milliseconds per image", 1.0, "ms/image", wording.milliseconds),
    "batched_ms": CostColumn(
        "milliseconds per image in batches", 1.0, "in batches, ms/image", wording.milliseconds
    ),
    "train_s": CostColumn("seconds of training per fold", 1.0, "training", wording.brief_duration),
    "memory_mb": CostColumn("megabytes at the most", 1.0, "peak memory", wording.memory),
    "parameters": CostColumn("million parameters", 1e6, "parameters", wording.amount),
    "energy_j": CostColumn("watt-hours per fold", JOULES, "energy", wording.energy),
}


def _front(data: ReportData) -> dict[str, Any]:
    """The panels of all fronts, the sentences on them, and a table of the configurations that they mark with letters."""
    fronts, results = data.verdict.cost_fronts, {result.id: result for result in data.configurations}
    marked = _marked(data)
    letters = {id: _letter(rank) for rank, id in enumerate(marked)}
    arrow = "↑" if data.verdict.metric.higher_is_better else "↓"
    panels, heights = [], heights_of(fronts, results)
    for front in fronts:
        column = COLUMNS[front.cost]
        words = {
            id: f"{results[id].name}: {wording.estimate(results[id])}, {column.words(value)}"
            for id, value in front.values.items()
        }
        values = {id: value / column.per_unit for id, value in front.values.items()}
        in_units = front.model_copy(update={"values": values})
        score = f"{arrow} {data.verdict.metric.title}"
        panels.append(
            front_panel(
                in_units, results, letters, axis=column.axis, score=score, words=words, heights=heights
            )
        )
    return {
        "panels": panels,
        "sentences": data.verdict.cost_sentences,
        "headings": [COLUMNS[front.cost].heading for front in fronts],
        "marked": [_marked_row(results[id], letters, fronts) for id in marked],
    }


def _marked(data: ReportData) -> list[str]:
    """The winner and those on a front, best first; of very many the first."""
    members = {member.id for front in data.verdict.cost_fronts for member in front.members}
    rows = [result.id for result in data.configurations if result.id in members or result.verdict == "winner"]
    return rows[:MAX_MARKED]


def _letter(rank: int) -> str:
    """A, B, ... Z, AA, AB ..."""
    more, own = divmod(rank, 26)
    return (_letter(more - 1) if more else "") + chr(ord("A") + own)


def _marked_row(
    result: ConfigurationResult, letters: Mapping[str, str], fronts: Sequence[CostFront]
) -> dict[str, Any]:
    cells = [wording.score_cell(result)]
    for front in fronts:
        value, note = front.values.get(result.id), ""
        member = next((member for member in front.members if member.id == result.id), None)
        if member is not None:
            note = "on the line"
            if member.not_better_than is not None:
                note += f", not told apart from {letters.get(member.not_better_than, 'a cheaper one')}"
        words = wording.NOTHING if value is None else COLUMNS[front.cost].words(value)
        cells.append(wording.cell(words, value, note))
    return {"letter": letters[result.id], "name": result.name, "standing": standing(result), "cells": cells}


@dataclass(frozen=True)
class Spot:
    """A configuration in the drawing: where its mark is, whether nothing beats it, and whether a cheaper one may be as good."""

    result: ConfigurationResult
    x: float
    y: float
    on_front: bool
    not_better: bool


def front_panel(
    front: CostFront,
    results: Mapping[str, ConfigurationResult],
    letters: Mapping[str, str],
    *,
    axis: str,
    score: str,
    words: Mapping[str, str],
    heights: Sequence[float],
) -> Markup:
    """One panel.

    Args:
        letters: by id; those on the front and the winner show theirs.
        axis, score: titles of the axes.
        words: by id, what is said of a point.
        heights: scores over which the upright axis reaches, the same of all panels; see `heights_of`.
    """
    costs, members = front.values, {member.id: member for member in front.members}
    log = max(costs.values()) > LOG_FROM * min(costs.values())
    x = svg.scale_over(costs.values(), 40, WIDTH - 14, margin=0.08, log=log)
    named = {id for id in costs if id in members or results[id].verdict == "winner"}
    y = svg.scale_over(heights, HEIGHT - 38, 26, margin=0.08)
    spots = [  # the best last, on top of all others
        Spot(
            result,
            x(costs[id]),
            y.clamped(result.estimate or 0.0),
            id in members,
            id in members and members[id].not_better_than is not None,
        )
        for id, result in reversed([*results.items()])
        if id in costs
    ]
    spots.sort(key=lambda spot: spot.on_front)
    parts = [svg.axes(x, y, x_title=f"{axis} →", y_title=score, count=4)]
    parts.append(svg.line(_steps([spot for spot in spots if spot.on_front], y), "frontline"))
    for spot in spots:
        parts += _point(spot, y, few=len(spots) <= MAX_WHISKERS, title=words[spot.result.id])
    lettered = [(letters[spot.result.id], spot) for spot in spots if spot.result.id in named & letters.keys()]
    parts += _letters(lettered, spots)
    rows = [
        (r.name, letters.get(id), costs[id], r.estimate, r.low, r.high, "yes" if id in members else "no")
        for id, r in results.items()
        if id in costs
    ]
    columns = ("configuration", "letter", axis, score.strip("↑↓ "), "low", "high", "on the front")
    numbers = svg.Numbers(columns, rows)
    return svg.drawing(*parts, width=WIDTH, height=HEIGHT, title=f"Score against {axis}", numbers=numbers)


def heights_of(fronts: Sequence[CostFront], results: Mapping[str, ConfigurationResult]) -> list[float]:
    """Ends of the intervals of those that could be best and of those on a front, but of hopeless ones: these stand at the edge."""
    drawn = {id for front in fronts for id in front.values}
    best = _ends(
        [r for id, r in results.items() if id in drawn and (r.could_be_best or r.verdict == "winner")]
    )
    members = [results[member.id] for front in fronts for member in front.members]
    far = HOPELESS * (max(best) - min(best)) if best else 0.0
    near = [r for r in members if not best or min(best) - far <= (r.estimate or 0.0) <= max(best) + far]
    return best + _ends(near)


def _ends(results: Sequence[ConfigurationResult]) -> list[float]:
    ends = (value for result in results for value in (result.estimate, result.low, result.high))
    return [value for value in ends if value is not None]


def _steps(front: Sequence[Spot], y: svg.Scale) -> list[tuple[float, float]]:
    """What can be had for at most so much: up at every configuration of the front, and level to the next."""
    points: list[tuple[float, float]] = []
    for spot in sorted(front, key=lambda spot: spot.x):
        if points:
            points.append((spot.x, points[-1][1]))
        points.append((spot.x, spot.y))
    return [*points, (WIDTH - 14, points[-1][1])] if points else []


def _point(spot: Spot, y: svg.Scale, *, few: bool, title: str) -> list[Markup]:
    result, kind = spot.result, standing(spot.result)
    faint = "" if spot.on_front or result.could_be_best else " faint"
    parts = []
    if (few or not faint) and result.interval and y.inside(result.estimate or 0.0):
        low, high = map(y.clamped, result.interval)
        class_ = f"whisk {kind}" + ("" if spot.on_front else " faint")
        parts.append(svg.upright(spot.x, low, high, class_))
    shape = SHAPE_OF[kind] if y.inside(result.estimate or 0.0) else "triangle"
    hollow = " hollow" if spot.not_better else ""
    class_ = f"mark {kind}{faint}{hollow}"
    mark = svg.marker(
        spot.x, spot.y, shape=shape, class_=class_, size=5.2, title=title, configuration=result.id
    )
    return [*parts, mark]


def _letters(lettered: Sequence[tuple[str, Spot]], spots: Sequence[Spot]) -> list[Markup]:
    """Each letter at the first place around its mark where it covers neither a mark nor a letter; else where it covers least."""
    taken = [(spot.x - 6, spot.y - 6, spot.x + 6, spot.y + 6) for spot in spots]
    parts = []
    for letter, spot in reversed(lettered):  # the best first
        boxes = []
        for right, down in AROUND:
            left, base = spot.x + right, spot.y + down
            boxes.append((left, base - TALL_PX + 2, left + LETTER_PX * len(letter), base + 1))
        inside = [
            box for box in boxes if box[0] > 40 and box[2] < WIDTH and box[1] > 12 and box[3] < HEIGHT - 38
        ]
        box = min(inside or boxes, key=lambda box: sum(_overlap(box, other) for other in taken))
        taken.append(box)
        parts.append(svg.text(letter, box[0], box[3] - 1, class_="name strong letter"))
    return parts


def _overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """The area that two boxes share."""
    wide = min(first[2], second[2]) - max(first[0], second[0])
    tall = min(first[3], second[3]) - max(first[1], second[1])
    return max(wide, 0.0) * max(tall, 0.0)
