"""The verdict on scores from elsewhere: as that of a run (docs/verdict.md), as far as scores alone can tell."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from foldwise.judging.answer import answer_record, compared_in_words, sure
from foldwise.judging.external.asked import Asked
from foldwise.judging.external.given import Given, given_by
from foldwise.judging.external.grid import Grid, paired
from foldwise.judging.external.reading import read_files
from foldwise.judging.judge import compared, pair_records, selection_record
from foldwise.judging.scores.scoring import Scored, best_first, judged
from foldwise.judging.sections.configurations import Judgement, standing, unranked, with_ends
from foldwise.judging.sections.factor_effects import what_mattered
from foldwise.judging.sections.textbook import textbook_record
from foldwise.judging.statistics.design import Factor
from foldwise.judging.statistics.effects import Asked as Intervals
from foldwise.judging.verdict import Verdict, VerdictWarning
from foldwise.judging.warnings.choice import not_distinguishable, optimism
from foldwise.judging.warnings.facts import Compared
from foldwise.judging.warnings.runs import unstable
from foldwise.judging.warnings.sample import small
from foldwise.judging.wording import in_text, with_interval
from foldwise.metrics.table import METRICS, Metric
from foldwise.storage import written_whole
from foldwise.study.spec import Judging
from foldwise.text import count, natural

SEED = 0  # of the draws: the same files give the same verdict
MARGIN = 0.01  # of scores between 0 and 1, as in a study
Record = dict[str, Any]
TOLD = (
    "estimate", "low", "high", "se", "run_sd", "difference", "difference_low", "difference_high", "p",
    "could_be_best", "equivalent", "p_wins", "rank_low", "rank_high", "ruled_out_by", "num_done", "num_planned",
)  # fmt: skip


def judge_files(paths: Sequence[Path], asked: Asked | None = None) -> Verdict:
    """The verdict on scores from elsewhere; nothing is written, and the same files give the same numbers.

    Args:
        paths: tables, summaries of nnU-Net, or run folders.
        asked: what is not to be recognised by itself.

    Raises:
        DataError: the scores are not usable, or not of a paired design.
        SpecError: something that is asked for is not there.
    """
    asked = asked or Asked()
    read = read_files(paths, asked)
    grid = paired(read.piece)
    given = given_by(read, grid, asked)
    margin = asked.equivalent_within
    if margin is None:
        margin = MARGIN if given.metric.bounded else 0.0
    judge = Judging(
        metric=given.metric.name, equivalent_within=margin, alpha=asked.alpha, textbook=asked.textbook
    )
    return _verdict(given, judge)


def _verdict(given: Given, judge: Judging) -> Verdict:
    grid, metric, known = given.grid, given.metric, _judgement(given, judge)
    noun = ("group", "groups") if grid.units.grouped else ("case", "cases")
    facts = Compared(known, grid.units, judge, noun)
    listed = _records(given, known, judge)
    ranked = listed[: len(known.comparable)]
    told = "several_tied" if sum(record["could_be_best"] for record in ranked) > 1 else "clear_winner"
    sizes = np.unique(grid.folds_Rn), grid.repeats, grid.there_CRn
    return Verdict.model_validate({
        "alpha": judge.alpha,
        **dict.fromkeys(("study", "title", "task", "finished", "thresholds", "boundary", "calibration", "aa_test", "robustness")),
        **dict.fromkeys(("classes", "failed_items", "throughput"), ()),
        "files": [str(name) for name in (grid.piece.names or (grid.piece.file,))],
        "recognised": list(given.read.statements),
        "num_images": len(grid.cases),
        "num_groups": grid.units.count if grid.units.grouped else None,
        "folds": len(sizes[0]),
        "repeats": len(sizes[1]),
        "num_done": int(sizes[2].sum()),
        "num_planned": sizes[2].size,
        "metric": _about(metric) | {"equivalent_within": judge.equivalent_within},
        "metrics": {name: _about(one) for name, one in given.metrics.items()},
        "state": told,
        "answer": answer_record(ranked, known, compared_in_words(told, ranked, _reached(facts, ranked[0], len(grid.cases)), facts)),
        "configurations": listed,
        "baselines": [],
        "selection": selection_record(known),
        "warnings": tuple(one for one in _warnings(facts, grid, listed) if one),
        "pairs": pair_records(judge, known),
        "factors": _factors(given, known, listed, judge),
        "textbook": textbook_record(judge, known),
    })  # fmt: skip


def _judgement(given: Given, judge: Judging) -> Judgement:
    grid, metric = given.grid, given.metric
    whole = [
        name
        for name in grid.configurations
        if name not in grid.lacking and np.isfinite(given.scored[name].values[metric.name]).all()
    ]
    comparable = best_first(whole, given.scored, metric)
    chosen = [given.scored[name] for name in comparable]
    tables = {
        name: judged(one, chosen, grid.units, num_cases=len(grid.cases), alpha=judge.alpha)
        for name, one in given.metrics.items()
    }
    comparison, selected = compared(tables[metric.name], seed=SEED, alpha=judge.alpha)
    return Judgement(metric, given.scored, comparable, tables, comparison, selected, ())


def _about(metric: Metric) -> Record:
    return {
        "name": metric.name,
        "title": metric.title,
        "higher_is_better": metric.higher_is_better,
        "averaging": metric.averaging,
        "bounded": metric.bounded,
    }


def _records(given: Given, known: Judgement, judge: Judging) -> list[Record]:
    """Those that are compared, best first, then the others with what they lack."""
    there = given.grid.there_CRn.sum(axis=(1, 2))
    found = {
        name: _record(given, known, name, int(there[place]))
        for place, name in enumerate(given.grid.configurations)
    }
    ranked = [
        found[name] | standing(known, place, margin=judge.equivalent_within)
        for place, name in enumerate(known.comparable)
    ]
    rest = [
        record | unranked() | {"verdict": "incomplete"}
        for name, record in found.items()
        if name not in known.comparable
    ]
    return ranked + rest


def _record(given: Given, known: Judgement, name: str, there: int) -> Record:
    scored = given.scored.get(name, Scored())
    place = known.comparable.index(name) if name in known.comparable else None
    return {
        "id": name,
        "name": name,
        "levels": given.read.piece.levels.get(name, {}),
        "estimate": scored.estimates.get(given.metric.name),
        "folds": [{"repeat": repeat, "fold": fold, "score": value} for repeat, fold, value in scored.folds],
        "metrics": {metric: with_ends(scored, known, metric, place) for metric in scored.estimates},
        "per_class": scored.per_class,
        "confusion": None,
        "split_scores": None,
        "cost": {},
        "num_done": there,
        "num_planned": len(given.grid.repeats) * len(given.grid.cases),
        "failures": [],
        "lacks": given.grid.lacking.get(name),
    }


def _reached(facts: Compared, winner: Record, num_cases: int) -> str:
    metric = facts.known.metric
    title = in_text(metric.title) if metric.name in METRICS else metric.title
    size = count(num_cases, "case")
    if facts.units.grouped:
        size += f" in {count(facts.units.count, *facts.noun)}"
    return f"{title} {with_interval(winner, sure(facts.judge))} on {size}"


def _warnings(facts: Compared, grid: Grid, listed: Sequence[Record]) -> Iterator[VerdictWarning | None]:
    yield from (
        _lacking(listed),
        not_distinguishable(facts, listed),
        small(facts),
        _runs(grid),
        unstable(facts, listed),
        optimism(facts, listed),
    )


def _lacking(listed: Sequence[Record]) -> VerdictWarning | None:
    short = [record for record in listed if record["verdict"] == "incomplete"]
    if not short:
        return None
    told = "; ".join(f"{one['name']} lacks {one['lacks'] or 'a defined score'}" for one in short[:3])
    more = f"; and {len(short) - 3} more" if len(short) > 3 else ""
    left = f"{count(len(short), 'configuration is', 'configurations are')} left out of the comparison"
    cure = "Add the scores: of a case on which a model failed, the worst value. Nothing is made up for what is lacking."
    return VerdictWarning(code="MISSING_RUNS", message=f"{left}: {told}{more}.", cure=cure)


def _runs(grid: Grid) -> VerdictWarning | None:
    """What the scores cannot tell about training again."""
    if len(grid.repeats) > 1:
        return None
    if len(np.unique(grid.folds_Rn)) > 1:
        message = "Every fold has one score per case: how much seeds and splits matter is estimated from the folds alone."
        return VerdictWarning(
            code="ONE_SEED",
            message=message,
            cure="Train again with other seeds and splits, and tell them apart in a column repeat.",
        )
    message = (
        "One score per case and no folds: what is said holds for these trained weights only. Trained again with another "
        "seed, the same method may come out elsewhere, and on many cases even equal methods look different."
    )
    cure = "Train with several seeds (a column repeat), or by cross-validation (a column fold), to compare methods."
    return VerdictWarning(code="NO_RUN_VARIANCE", message=message, cure=cure)


def _factors(given: Given, known: Judgement, listed: Sequence[Record], judge: Judging) -> Record | None:
    """What mattered, of columns that are constant within a configuration and shared by some of them."""
    levels, factors = given.read.piece.levels, []
    for name in sorted({factor for told in levels.values() for factor in told}, key=natural):
        of = [levels[one].get(name) for one in known.comparable]
        distinct = tuple(sorted({level for level in of if level is not None}, key=natural))
        if None not in of and 1 < len(distinct) < len(of):
            places = np.array([distinct.index(level) for level in of if level is not None])
            factors.append(Factor(name, distinct, distinct, places))
    if not factors:
        return None
    asked = Intervals(SEED, judge.alpha, judge.equivalent_within)
    return what_mattered(factors, known, listed, asked=asked, num_planned=len(listed))


def write_leaderboard(path: Path, verdict: Verdict) -> None:
    """One row per configuration, best first; what is not known is an empty cell."""
    factors = list(dict.fromkeys(factor for row in verdict.configurations for factor in row.levels))
    with written_whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["configuration", *factors, "verdict", "metric", *TOLD])
        for row in verdict.configurations:
            levels = [row.levels.get(factor) for factor in factors]
            cells = [
                row.name,
                *levels,
                row.verdict,
                verdict.metric.name,
                *(getattr(row, key) for key in TOLD),
            ]
            rows.writerow(["" if cell is None else cell for cell in cells])
