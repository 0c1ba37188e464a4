"""What the verdict says of every configuration and every trivial predictor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foldwise.judging.scores.baselines import Baseline
from foldwise.judging.scores.curve_scores import confusion_matrix
from foldwise.judging.scores.rows import Fit, Rows
from foldwise.judging.scores.scoring import Judged, Scored
from foldwise.judging.scores.split_scores import parts_of
from foldwise.judging.statistics.inference import Comparison
from foldwise.judging.statistics.selection import Selected
from foldwise.metrics.table import Metric
from foldwise.study.configurations import Configuration
from foldwise.study.spec import Study

COSTS = (
    "train_s",
    "evaluate_s",
    "shared_features_s",
    "shared_pretrain_s",
    "parameters",
    "trainable_parameters",
    "peak_memory_mb",
    "shared_peak_memory_mb",
    "reserved_memory_mb",
    "energy_j",
    "shared_energy_j",
    "latency_ms",
)
IN_WORDS = ("device", "cache", "peak_memory_is", "energy_is")  # of a cost
MAX_CONFUSED = 60  # classes with counts of every confusion


@dataclass(frozen=True)
class Judgement:
    """The numbers behind a verdict.

    Attributes:
        scored: by configuration id, of those with a done fit.
        comparable: ids of the configurations that are complete, best first.
        tables: by metric, over `comparable`.
        comparison: None unless two or more configurations can be tested.
        selected: the winner's corrected score; None where nothing was selected.
        trivial: every trivial predictor with its scores.
        trivial_p: how well it fits that the best of them is as good as any configuration; None where it is not tested.
    """

    metric: Metric
    scored: dict[str, Scored]
    comparable: tuple[str, ...]
    tables: dict[str, Judged]
    comparison: Comparison | None
    selected: Selected | None
    trivial: tuple[tuple[Baseline, Scored], ...]
    trivial_p: float | None = None

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.metric.higher_is_better else -1

    @property
    def best_trivial(self) -> tuple[Baseline, Scored] | None:
        """The trivial predictor with the best estimate; None where none could be scored."""
        name = self.metric.name
        defined = [one for one in self.trivial if not np.isnan(one[1].estimates[name])]
        return max(defined, key=lambda one: self.sign * one[1].estimates[name], default=None)


def records(study: Study, rows: Rows, known: Judgement) -> list[dict[str, Any]]:
    """One record per configuration: those that can be compared, best first, then the others."""
    by_id = {configuration.id: configuration for configuration in rows.configurations}
    ranked = [_record(rows, known, by_id[one]) for one in known.comparable]
    for place, record in enumerate(ranked):
        record |= standing(known, place, margin=study.judge.equivalent_within)
    rest = [
        _record(rows, known, one) | unranked()
        for one in rows.configurations
        if one.id not in known.comparable
    ]
    for record in rest:
        record["verdict"] = "incomplete" if record["num_done"] else _why_none(rows.of(record["id"]))
    _pool_latency(by_id, ranked + rest)
    return ranked + sorted(rest, key=lambda record: -record["num_done"])


def _pool_latency(by_id: Mapping[str, Configuration], records: Sequence[dict[str, Any]]) -> None:
    """Configurations with one network on one device get its mean latency over all of their fits.

    Loss or optimiser make no network faster: a difference between them is what else the machine did meanwhile.
    """
    alike: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in records:
        if record["cost"]["latency_ms"] is not None:
            own = by_id[record["id"]].training
            network = (own.model, own.head, own.label_groups, own.precision, own.freeze)
            alike.setdefault((*map(str, network), record["cost"]["device"]), []).append(record)
    for same in alike.values():
        counts, costs = [record["num_done"] for record in same], [record["cost"] for record in same]
        pooled = float(np.average([cost["latency_ms"] for cost in costs], weights=counts))
        for cost in costs:
            cost["latency_ms"] = pooled


def _why_none(fits: Sequence[Fit]) -> str:
    return "failed" if fits and all(fit.status == "failed" for fit in fits) else "incomplete"


def _record(rows: Rows, known: Judgement, configuration: Configuration) -> dict[str, Any]:
    """What is said of a configuration whether or not it can be compared."""
    fits, scored = rows.of(configuration.id), known.scored.get(configuration.id, Scored())
    place = known.comparable.index(configuration.id) if configuration.id in known.comparable else None
    return {
        "id": configuration.id,
        "name": configuration.name,
        "levels": dict(configuration.levels),
        "estimate": scored.estimates.get(known.metric.name),
        "folds": [{"repeat": repeat, "fold": fold, "score": value} for repeat, fold, value in scored.folds],
        "metrics": {name: with_ends(scored, known, name, place) for name in scored.estimates},
        "per_class": scored.per_class,
        "confusion": _confusion(rows, configuration.id) if scored.estimates else None,
        "split_scores": parts_of(rows, configuration.id),
        "cost": cost_of([fit for fit in fits if fit.status == "done"]),
        "num_done": sum(fit.status == "done" for fit in fits),
        "num_planned": len(fits),
        "failures": [_failure(fit) for fit in fits if fit.status == "failed"],
    }


def with_ends(scored: Scored, known: Judgement, name: str, place: int | None) -> dict[str, Any]:
    """A metric of one configuration; without an interval where its place among the comparable is None."""
    low, high = known.tables[name].intervals[place] if place is not None else (None, None)
    return {
        "estimate": scored.estimates[name],
        "low": low,
        "high": high,
        "num_undefined": scored.num_undefined[name],
    }


def _confusion(rows: Rows, configuration: str) -> list[Any] | None:
    """Counts by [true][predicted] over all folds and repeats; of several labels [[TN, FP], [FN, TP]] of each."""
    return confusion_matrix(rows, configuration).tolist() if len(rows.classes) <= MAX_CONFUSED else None


def _failure(fit: Fit) -> dict[str, Any]:
    error = fit.result.get("error") or {}
    known = {"type": error.get("type", "unknown"), "message": error.get("message", "no cause was recorded")}
    return {"item": fit.item, "repeat": fit.repeat, "fold": fit.fold} | known


def cost_of(done: Sequence[Fit]) -> dict[str, Any]:
    """The mean over fits of what was measured; None for what was not. Words are all that were said, most often one."""
    costs = [fit.result.get("cost") or {} for fit in done]
    known = {key: [cost[key] for cost in costs if cost.get(key) is not None] for key in COSTS}
    words = {
        key: ", ".join(sorted({str(cost[key]) for cost in costs if cost.get(key) is not None})) or None
        for key in IN_WORDS
    }
    means: dict[str, Any] = {key: float(np.mean(values)) if values else None for key, values in known.items()}
    return means | words


def standing(known: Judgement, place: int, *, margin: float) -> dict[str, Any]:
    """What the comparison says about the configuration at `place` of the comparable ones.

    Args:
        known: the numbers.
        place: best first.
        margin: a difference within it is of no consequence.
    """
    table, sign = known.tables[known.metric.name], known.sign
    low, high = table.intervals[place]
    found: dict[str, Any] = {"low": low, "high": high, "se": None, "run_sd": None}
    if table.known is not None:
        found |= {"se": table.known.standard_error[place], "run_sd": float(np.sqrt(table.known.run[place]))}
    if known.comparison is None:
        return (
            unranked()
            | found
            | {"verdict": "winner" if place == 0 else "could be best", "could_be_best": True}
        )
    one = known.comparison
    ends = sorted((sign * one.low[place], sign * one.high[place]))
    could = bool(one.could_be_best[place])
    verdict = "winner" if place == one.winner else "could be best" if could else "worse"
    return found | {
        "verdict": verdict,
        "difference": sign * one.difference[place],
        "difference_low": ends[0],
        "difference_high": ends[1],
        "p": one.p[place],
        "could_be_best": could,
        "p_wins": one.p_wins[place],
        "rank_low": one.rank_low[place],
        "rank_high": one.rank_high[place],
        "ruled_out_by": None if could else known.comparable[one.ruled_out_by[place]],
        "equivalent": max(abs(ends[0]), abs(ends[1])) <= margin,
    }


def unranked() -> dict[str, Any]:
    """What the comparison says about a configuration that is not in it: nothing."""
    unknown = (
        "low",
        "high",
        "se",
        "run_sd",
        "difference",
        "difference_low",
        "difference_high",
        "p",
        "p_wins",
    )
    more = ("rank_low", "rank_high", "ruled_out_by", "equivalent")
    return dict.fromkeys((*unknown, *more)) | {"could_be_best": False}


def baseline_record(known: Judgement, baseline: Baseline, scored: Scored) -> dict[str, Any]:
    """The record of a trivial predictor; it has no interval, for nothing in it was learnt."""
    return {
        "id": baseline.id,
        "kind": "trivial",
        "name": baseline.name,
        "sentence": f"A predictor that {baseline.sentence}.",
        "estimate": scored.estimates[known.metric.name],
        "metrics": {
            name: {"estimate": value, "low": None, "high": None} for name, value in scored.estimates.items()
        },
        "per_class": scored.per_class,
    }
