"""The judge: the verdict of a run, from its folder alone.

`judge` reads the rows, scores every configuration and trivial predictor with every metric, compares those that are
complete, and writes verdict.json, results.csv and scores.csv. docs/verdict.md describes the fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from foldwise.judging.answer import answer, state
from foldwise.judging.curves import write_curves
from foldwise.judging.scores.baselines import baselines_of
from foldwise.judging.scores.boundaries import boundary_record, with_outlines
from foldwise.judging.scores.curve_scores import curves_of
from foldwise.judging.scores.rows import Rows, read_rows
from foldwise.judging.scores.scoring import Judged, Scored, best_first, judged, score
from foldwise.judging.sections.aa_test import again_caution, again_record
from foldwise.judging.sections.auxiliary import failed_items
from foldwise.judging.sections.calibration import calibration_record
from foldwise.judging.sections.configurations import Judgement, baseline_record, records
from foldwise.judging.sections.factor_effects import mattered
from foldwise.judging.sections.robustness import robustness
from foldwise.judging.sections.shallow import not_beaten, shallow_records
from foldwise.judging.sections.textbook import textbook_record
from foldwise.judging.sections.threshold_report import thresholds_record
from foldwise.judging.sections.throughput import throughput
from foldwise.judging.statistics.inference import Comparison, compare
from foldwise.judging.statistics.intervals import Interval, interval, moved
from foldwise.judging.statistics.pairs import Pair, all_pairs
from foldwise.judging.statistics.selection import Selected, selected_score
from foldwise.judging.statistics.variance import beside
from foldwise.judging.tables import write_results, write_scores
from foldwise.judging.verdict import Verdict
from foldwise.judging.warnings import cautions
from foldwise.judging.warnings.facts import Facts
from foldwise.metrics.outputs import Outputs
from foldwise.metrics.table import Metric, choose_metric, reported
from foldwise.run.folder import RunFolder, write_json
from foldwise.study.spec import Judging, Study

MAX_IN_PAIRS = 60  # configurations of which every pair is told


def judge(folder: RunFolder) -> Verdict:
    """Judge what is done, and write verdict.json, curves.npz, results.csv and scores.csv into the run folder.

    Returns:
        The verdict as it is written; every number that is not known is None.

    Raises:
        RunError: the folder is not a run, or scores in it are damaged.
        SpecError: the study asks for a metric its task does not have.
    """
    verdict, rows = verdict_now(folder)
    write_curves(
        folder.curves, curves_of(rows, verdict)
    )  # first, so that no verdict stands without its curves
    write_json(folder.verdict, verdict.dump())
    write_results(folder.results, verdict)
    write_scores(folder.scores, rows)
    return verdict


def verdict_now(folder: RunFolder) -> tuple[Verdict, Rows]:
    """The verdict on what is done, and the scores it rests on; neither is written.

    Raises:
        RunError: the folder is not a run, or scores in it are damaged.
        SpecError: the study asks for a metric its task does not have.
    """
    study = folder.load_study()
    rows = with_outlines(study, read_rows(folder), folder)
    return verdict_of(study, rows, throughput(folder)), rows


def verdict_of(study: Study, rows: Rows, speeds: Sequence[dict[str, Any]] = ()) -> Verdict:
    """The verdict of a study on its rows; nothing is written."""
    metric = choose_metric(study.judge.metric, rows.family)
    known = _judgement(study, rows, metric)
    listed = records(study, rows, known)
    trivial = [baseline_record(known, baseline, scored) for baseline, scored in known.trivial]
    shallow = shallow_records(study, rows, known)
    facts = Facts.of(study, rows, known)
    told = state(facts, listed)
    equals = again_record(study, rows, known)
    factors = mattered(study, rows, known, listed)
    unbeaten = not_beaten(shallow, listed, alpha=study.judge.alpha)
    return Verdict.model_validate({
        "alpha": study.judge.alpha,
        "study": study.study,
        "title": study.title or study.study,
        "task": rows.task,
        "classes": list(rows.classes),
        "files": (),
        "recognised": (),
        "num_images": len(rows.names),
        "num_groups": rows.units.count if rows.units.grouped else None,
        "folds": len({split.fold for split in rows.splits}),
        "repeats": len(rows.repeats),
        "num_done": sum(fit.status == "done" for fit in rows.fits),
        "num_planned": len(rows.fits),
        "finished": max((str(fit.result["finished"]) for fit in rows.fits if "finished" in fit.result), default=None),
        "metric": _about(metric, rows) | {"equivalent_within": study.judge.equivalent_within},
        "metrics": {name: _about(row, rows) for name, row in _reported(metric, rows).items()},
        "state": told,
        "answer": answer(told, listed, facts, unbeaten) if known.comparable else None,
        "configurations": listed,
        "baselines": [*shallow, *trivial],
        "thresholds": thresholds_record(rows, known.comparable[0] if known.comparable else None),
        "boundary": boundary_record(study, rows, known.comparable),
        "calibration": calibration_record(study, rows, known.comparable),
        "selection": selection_record(known),
        "warnings": tuple(one for one in (unbeaten, again_caution(equals), *cautions(facts, told, listed, factors)) if one),
        "pairs": pair_records(study.judge, known),
        "factors": factors,
        "aa_test": equals,
        "textbook": textbook_record(study.judge, known),
        "robustness": robustness(study, rows, metric, listed),
        "failed_items": failed_items(rows.beside),
        "throughput": speeds,
    })  # fmt: skip


def _judgement(study: Study, rows: Rows, metric: Metric) -> Judgement:
    scored: dict[str, Scored] = {}
    likes: list[Outputs] = []
    for configuration in rows.configurations:
        done = rows.said(configuration.id)
        if not done:
            continue
        scored[configuration.id] = score(done, rows.units, decides=metric, classes=rows.classes)
        if sum(len(outputs.case) for _, outputs in done) > sum(len(like.case) for like in likes):
            likes = [outputs for _, outputs in done]
    complete = [
        one for one in scored if rows.complete(one) and np.isfinite(scored[one].values[metric.name]).all()
    ]
    comparable = best_first(complete, scored, metric)
    chosen = [scored[one] for one in comparable]
    tables = {
        name: judged(row, chosen, rows.units, num_cases=len(rows.names), alpha=study.judge.alpha)
        for name, row in (_reported(metric, rows).items() if chosen else ())
    }
    comparison, selected = compared(tables.get(metric.name), seed=study.seed, alpha=study.judge.alpha)
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


def compared(
    decisive: Judged | None, *, seed: int, alpha: float
) -> tuple[Comparison | None, Selected | None]:
    """Who could be the best by the metric that decides, and the winner's corrected score; None where none is tested."""
    if decisive is None or decisive.known is None or len(decisive.values) < 2:
        return None, None
    comparison = compare(decisive.known, seed=seed, alpha=alpha)
    spread, metric = decisive.spreads[comparison.winner], decisive.metric
    assert spread is not None
    sign = 1 if metric.higher_is_better else -1

    def around(corrected: float) -> Interval:
        low, high = interval(metric.interval, moved(spread, sign * corrected), alpha=alpha)
        return (low, high) if sign > 0 else (-high, -low)

    return comparison, selected_score(decisive.values.mean(axis=1), decisive.known, around, seed=seed)


def selection_record(known: Judgement) -> dict[str, Any] | None:
    """The winner's score before and after the correction, in the sign of the metric; None where nothing was chosen."""
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


def pair_records(judge: Judging, known: Judgement) -> list[dict[str, Any]]:
    """Every pair of configurations, in the sign of the metric; of very many only those with the winner."""
    decisive = known.tables.get(known.metric.name)
    if known.comparison is None or decisive is None or decisive.known is None:
        return []
    found = all_pairs(
        decisive.known,
        known.comparison,
        alpha=judge.alpha,
        margin=judge.equivalent_within,
    )
    ids, sign = known.comparable, known.sign
    many = len(ids) > MAX_IN_PAIRS
    return [
        _pair(pair, ids, sign) for pair in found if not many or known.comparison.winner in (pair.a, pair.b)
    ]


def _pair(pair: Pair, ids: Sequence[str], sign: int) -> dict[str, Any]:
    record = vars(pair) | {"a": ids[pair.a], "b": ids[pair.b], "difference": sign * pair.difference}
    for ends in (("low", "high"), ("low_all", "high_all")):
        record |= dict(zip(ends, sorted(sign * record[end] for end in ends), strict=True))
    return record


def _reported(metric: Metric, rows: Rows) -> dict[str, Metric]:
    return reported(metric, rows.family, boundary=rows.outlines is not None)


def _about(metric: Metric, rows: Rows) -> dict[str, Any]:
    averaging = metric.averaging
    if rows.family == "binary":
        averaging = averaging.replace("the positive class", f"the class {rows.classes[1]!r}")
    if metric.needs == "boundary" and rows.outlines is not None:
        averaging = averaging.replace("the tolerance", f"{rows.outlines.tolerance_px:g} pixels")
    if rows.units.grouped and metric.groups_equal:
        averaging += "; each group counts once"
    return {
        "name": metric.name,
        "title": metric.title,
        "higher_is_better": metric.higher_is_better,
        "averaging": averaging,
        "bounded": metric.bounded,
    }
