"""Shallow baselines: judged like every configuration, on the same folds, but never the winner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from foldwise.judging.scores.rows import Fit, Rows, fit_of
from foldwise.judging.scores.scoring import Scored, judged, score
from foldwise.judging.sections.configurations import Judgement, cost_of
from foldwise.judging.statistics.inference import compare
from foldwise.judging.statistics.variance import Variance
from foldwise.judging.verdict import VerdictWarning
from foldwise.judging.wording import show
from foldwise.metrics.table import reported
from foldwise.study.spec import Choice, Study

Record = dict[str, Any]


def shallow_records(study: Study, rows: Rows, known: Judgement) -> list[Record]:
    """One record for every baseline that has all its folds, the best first; its numbers are judged by itself.

    `p` and `difference` are against the configurations: in the test of all of them with the baselines as more rows.
    """
    if not study.baselines:
        return []
    own = {str(one): _fits(rows, one) for one in study.baselines}
    theirs = replace(rows, fits=tuple(fit for fits in own.values() for fit in fits))
    scored = {
        one: score(theirs.said(one), rows.units, decides=known.metric, classes=rows.classes)
        for one in own
        if theirs.complete(one)
    }
    against = _against(study, rows, known, list(scored.values()))
    made = [
        _record(study, rows, known, one, held) | {"cost": cost_of(own[one])} | against[place]
        for place, (one, held) in enumerate(scored.items())
    ]
    return sorted(made, key=lambda record: -known.sign * record["estimate"])


def _fits(rows: Rows, baseline: Choice) -> list[Fit]:
    """Its items as if they were fits: they leave the same scores."""
    asked = baseline.model_dump(mode="json")
    return [
        fit_of(one, str(baseline))
        for one in rows.beside
        if one.kind == "shallow" and one.settings["baseline"] == asked
    ]


def _record(study: Study, rows: Rows, known: Judgement, name: str, scored: Scored) -> Record:
    tables = {
        metric: judged(row, [scored], rows.units, num_cases=len(rows.names), alpha=study.judge.alpha)
        for metric, row in reported(known.metric, rows.family, boundary=rows.outlines is not None).items()
    }
    metrics = {
        metric: dict(zip(("low", "high"), table.intervals[0], strict=True))
        | {"estimate": scored.estimates[metric]}
        for metric, table in tables.items()
    }
    return {
        "id": name,
        "kind": "shallow",
        "name": name.replace("_", " "),
        "sentence": "A shallow baseline that classifies each pixel by filters at four scales.",
        **metrics[known.metric.name],
        "folds": [{"repeat": repeat, "fold": fold, "score": value} for repeat, fold, value in scored.folds],
        "metrics": metrics,
        "per_class": scored.per_class,
    }


def _against(study: Study, rows: Rows, known: Judgement, scored: Sequence[Scored]) -> list[Record]:
    """By baseline: `p`, how well it fits that it is the best of all, `difference` to the winner, and `beaten`.

    Where nothing can be tested, a baseline that is at least as good as the winner is not beaten.
    """
    nothing: Record = {"p": None, "p_winner": None, "difference": None, "beaten": None}
    if not known.comparable:
        return [nothing] * len(scored)
    name, chosen = known.metric.name, [known.scored[one] for one in known.comparable]
    apart = [one.estimates[name] - chosen[0].estimates[name] for one in scored]
    together = judged(
        known.metric, [*chosen, *scored], rows.units, num_cases=len(rows.names), alpha=study.judge.alpha
    )
    alone = known.tables[name].known
    if together.known is None or alone is None or not scored:
        return [nothing | {"difference": away, "beaten": known.sign * away < 0} for away in apart]
    both = _as_unsteady_as_alone(together.known, alone)
    p = compare(both, seed=study.seed, alpha=study.judge.alpha).p.tolist()
    return [
        {"p": own, "p_winner": p[0], "difference": away, "beaten": own <= study.judge.alpha}
        for own, away in zip(p[len(chosen) :], apart, strict=True)
    ]


def _as_unsteady_as_alone(together: Variance, alone: Variance) -> Variance:
    """The variance of all, where the networks vary between runs no less than among themselves.

    Baselines hardly vary, and must not make networks look steady.
    """
    C = len(alone.run)
    run, of_mean = together.run.copy(), together.run_of_mean.copy()
    run[:C], of_mean[:C] = np.maximum(run[:C], alone.run), np.maximum(of_mean[:C], alone.run_of_mean)
    df = min(together.df_run, alone.df_run)
    return replace(together, run=run, run_of_mean=of_mean, df_run=df, shared=None)


def not_beaten(
    shallow: Sequence[Record], records: Sequence[Mapping[str, Any]], *, alpha: float
) -> VerdictWarning | None:
    """The caution that the networks are not shown to be better than the best of the baselines; none where they are."""
    best = next((one for one in shallow if one["beaten"] is False), None)  # the best comes first
    if best is None:
        return None
    winner = records[0]
    lost = best["p_winner"] is not None and best["p_winner"] <= alpha
    relation = "is worse beyond chance than" if lost else "is not shown to be better than"
    message = (
        f"The best configuration, {winner['name']} ({show(winner['estimate'])}), {relation} "
        f"the shallow baseline {best['name']} ({show(best['estimate'])})."
    )
    cure = "Train longer, or on more images; if that does not help, a network is not worth its cost here."
    return VerdictWarning(code="BASELINE_NOT_BEATEN", message=message, cure=cure)
