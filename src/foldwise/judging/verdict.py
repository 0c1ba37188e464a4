"""The verdict: everything the report says, as data, from a run folder alone.

`judge` reads the rows, scores every configuration and trivial predictor with every metric, compares those that are
complete, and writes verdict.json, results.csv and scores.csv. docs/verdict.md describes the fields.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from foldwise.judging.answer import answer, state
from foldwise.judging.baselines import baselines_of
from foldwise.judging.cautions import Facts, cautions
from foldwise.judging.inference import Comparison, beside, compare
from foldwise.judging.metrics import Metric, choose_metric, metrics_of
from foldwise.judging.outputs import Outputs
from foldwise.judging.records import Judgement, baseline_record, records
from foldwise.judging.rows import Rows, read_rows
from foldwise.judging.scoring import Judged, Scored, judged, score
from foldwise.judging.selection import Selected, selected_score
from foldwise.judging.tables import write_results, write_scores
from foldwise.study.folder import RunFolder, write_json
from foldwise.study.spec import Study

SCHEMA = 1


def judge(folder: RunFolder) -> dict[str, Any]:
    """Judge what is done, and write verdict.json, results.csv and scores.csv into the run folder.

    Returns:
        The verdict as it is written; every number that is not known is None.

    Raises:
        RunError: the folder is not a run, or scores in it are damaged.
        SpecError: the study asks for a metric its task does not have.
    """
    study, rows = folder.load_study(), read_rows(folder)
    verdict = verdict_of(study, rows)
    write_json(folder.verdict, verdict)
    write_results(folder.results, verdict)
    write_scores(folder.scores, rows)
    return verdict


def verdict_of(study: Study, rows: Rows) -> dict[str, Any]:
    """The verdict of a study on its rows; nothing is written."""
    metric = choose_metric(study.judge.metric, rows.family)
    known = _judgement(study, rows, metric)
    listed = records(study, rows, known)
    baselines = [baseline_record(known, baseline, scored) for baseline, scored in known.trivial]
    facts = Facts(study, rows, known)
    told = state(facts, listed)
    verdict: dict[str, Any] = _plain({
        "schema": SCHEMA,
        "study": study.study,
        "title": study.title or study.study,
        "task": rows.task,
        "classes": list(rows.classes),
        "num_images": len(rows.names),
        "num_groups": rows.units.count if rows.units.grouped else None,
        "folds": len({split.fold for split in rows.splits}),
        "repeats": len(rows.repeats),
        "num_done": sum(fit.status == "done" for fit in rows.fits),
        "num_planned": len(rows.fits),
        "finished": max((str(fit.result["finished"]) for fit in rows.fits if "finished" in fit.result), default=None),
        "metric": _about(metric, rows),
        "metrics": {name: _about(row, rows) for name, row in metrics_of(rows.family).items()},
        "state": told,
        "answer": answer(told, listed, facts) if known.comparable else None,
        "configurations": listed,
        "baselines": baselines,
        "selection": _selection(known),
        "warnings": cautions(facts, told, listed),
        "pairs": _pairs(known, study.judge.alpha),
    })  # fmt: skip
    return verdict


def _judgement(study: Study, rows: Rows, metric: Metric) -> Judgement:
    scored: dict[str, Scored] = {}
    likes: list[Outputs] = []
    for configuration in rows.configurations:
        said = [(repeat, rows.outputs(configuration.id, repeat)) for repeat in rows.repeats]
        done = [(repeat, outputs) for repeat, outputs in said if outputs is not None]
        if not done:
            continue
        scored[configuration.id] = score(done, rows.units, decides=metric, classes=rows.classes)
        if sum(len(outputs.case) for _, outputs in done) > sum(len(like.case) for like in likes):
            likes = [outputs for _, outputs in done]
    sign = 1 if metric.higher_is_better else -1
    complete = [
        one for one in scored if rows.complete(one) and np.isfinite(scored[one].values[metric.name]).all()
    ]
    comparable = tuple(sorted(complete, key=lambda one: -sign * scored[one].estimates[metric.name]))
    chosen = [scored[one] for one in comparable]
    tables = {
        name: judged(row, chosen, rows.units, num_cases=len(rows.names), alpha=study.judge.alpha)
        for name, row in (metrics_of(rows.family).items() if chosen else ())
    }
    comparison, selected = _compared(study, tables.get(metric.name))
    trivial = tuple(
        (baseline, score(list(enumerate(outputs)), rows.units, decides=metric, classes=rows.classes))
        for baseline, outputs in (baselines_of(rows, likes) if likes else [])
    )
    known = Judgement(metric, scored, comparable, tables, comparison, selected, trivial)
    return replace(known, trivial_p=_trivial_p(study, known))


def _trivial_p(study: Study, known: Judgement) -> float | None:
    """Whether the best trivial predictor could be the best of all, by the test that the configurations pass.

    As one more row of it: the best of many that only guess looks better than a guess, and a test of the winner alone
    would believe it.
    """
    decisive, trivial = known.tables.get(known.metric.name), known.best_trivial
    if decisive is None or decisive.known is None or trivial is None:
        return None
    values = known.sign * trivial[1].values[known.metric.name]
    if not np.isfinite(values).all():
        return None
    together = beside(decisive.known, decisive.values, values)
    return float(compare(together, seed=study.seed, alpha=study.judge.alpha).p[-1])


def _compared(study: Study, decisive: Judged | None) -> tuple[Comparison | None, Selected | None]:
    if decisive is None or decisive.known is None or len(decisive.values) < 2:
        return None, None
    comparison = compare(decisive.known, seed=study.seed, alpha=study.judge.alpha)
    selected = selected_score(decisive.values.mean(axis=1), seed=study.seed, alpha=study.judge.alpha)
    if decisive.metric.bounded:  # a score and the influence of a unit on it can add up to more than 1
        ends = (0.0, 1.0) if decisive.metric.higher_is_better else (-1.0, 0.0)
        low, high = np.clip([selected.low, selected.high], *ends).tolist()
        selected = replace(selected, low=low, high=high)
    return comparison, selected


def _selection(known: Judgement) -> dict[str, Any] | None:
    if known.selected is None:
        return None
    one, sign = known.selected, known.sign
    low, high = sorted((sign * one.low, sign * one.high))
    return {
        "naive": sign * one.naive,
        "corrected": sign * one.corrected,
        "low": low,
        "high": high,
        "optimism": one.optimism,
    }


def _pairs(known: Judgement, alpha: float) -> list[dict[str, Any]]:
    """All pairs of configurations that differ beyond chance, with p values adjusted for all pairs."""
    if known.comparison is None:
        return []
    p, ids = known.comparison.p_pairs, known.comparable
    return [
        {"better": ids[a], "worse": ids[b], "p": p[a, b]}
        for a in range(len(ids))
        for b in range(a + 1, len(ids))
        if p[a, b] <= alpha
    ]


def _about(metric: Metric, rows: Rows) -> dict[str, Any]:
    averaging = metric.averaging
    if rows.family == "binary":
        averaging = averaging.replace("the positive class", f"the class {rows.classes[1]!r}")
    if rows.units.grouped and metric.groups_equal:
        averaging += "; each group counts once"
    return {
        "name": metric.name,
        "title": metric.title,
        "higher_is_better": metric.higher_is_better,
        "averaging": averaging,
        "bounded": metric.bounded,
    }


def _plain(value: Any) -> Any:
    """The value as JSON has it: numbers of numpy become plain, nan and infinity become None."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
