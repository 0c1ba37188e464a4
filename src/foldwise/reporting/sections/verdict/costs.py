"""What the configurations cost: score drawn against time, memory and energy, and a table of all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foldwise.judging.verdict import CostFront, CostName
from foldwise.judging.verdict_configurations import ConfigurationResult, Cost
from foldwise.reporting import wording
from foldwise.reporting.drawing.fronts import front_panel, heights_of
from foldwise.reporting.drawing.rows import standing
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.verdict.leaderboard import shared_pass
from foldwise.text import count

MEASURED = (
    "train_s", "evaluate_s", "shared_features_s", "shared_pretrain_s", "parameters", "trainable_parameters",
    "peak_memory_mb", "shared_peak_memory_mb", "reserved_memory_mb", "energy_j", "shared_energy_j", "latency_ms",
)  # fmt: skip
JOULES = 3600.0  # in a watt-hour
MAX_MARKED = 12  # configurations with letters


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
    cells = [
        wording.cell(wording.estimate(result), result.estimate, ends=(result.low, result.high)),
        wording.cell(wording.milliseconds(cost.latency_ms), cost.latency_ms),
        wording.cell(wording.duration(cost.train_s), cost.train_s, shared_pass(cost)),
        wording.cell(wording.duration(cost.evaluate_s), cost.evaluate_s),
        peak_memory(cost),
        *([_energy(cost)] if with_energy else []),
        wording.cell(wording.amount(cost.parameters), cost.parameters),
        wording.cell(wording.amount(cost.trainable_parameters), cost.trainable_parameters),
    ]
    return {"name": result.name, "standing": standing(result), "cells": cells}


def _energy(cost: Cost) -> wording.Cell:
    note = f"+ {wording.energy(cost.shared_energy_j)} shared" if cost.shared_energy_j else ""
    return wording.cell(wording.energy(cost.energy_j), cost.energy_j, note)


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
        words = {id: _point_words(results[id], column.words(value)) for id, value in front.values.items()}
        about: dict[str, Any] = {"axis": column.axis, "words": words, "heights": heights}
        score = f"{arrow} {data.verdict.metric.title}"
        values = {id: value / column.per_unit for id, value in front.values.items()}
        in_units = front.model_copy(update={"values": values})
        panels.append(front_panel(in_units, results, letters, score=score, **about))
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


def _point_words(result: ConfigurationResult, cost: str) -> str:
    return f"{result.name}: {wording.estimate(result)}, {cost}"


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
