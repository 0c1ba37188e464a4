"""The judge: from the scores of a run, or of anybody, to the verdict.

`judge` reads the rows of a run, scores every configuration and trivial predictor with every metric, compares those
that are complete, and writes verdict.json, curves.npz, results.csv and scores.csv. `assemble` is what it shares with
scores from elsewhere (`judging/external`). docs/verdict.md describes the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from foldwise.judging.answer import answer_of, run_sentence, state_of
from foldwise.judging.curves import write_curves
from foldwise.judging.judgement import Judgement, judge_rows, with_trivial
from foldwise.judging.race import Looks, race_section, spent_by
from foldwise.judging.scores.baselines import baselines_of
from foldwise.judging.scores.curve_scores import curves_of
from foldwise.judging.scores.rows import Rows, read_rows
from foldwise.judging.scores.scoring import score
from foldwise.judging.sections import auxiliary
from foldwise.judging.sections.boundary import boundary_section, with_boundaries
from foldwise.judging.sections.calibration import calibration_section
from foldwise.judging.sections.configurations import configuration_results, trivial_baseline
from foldwise.judging.sections.cost_fronts import batched_times, cost_fronts, cost_sentences
from foldwise.judging.sections.external_set import external_section
from foldwise.judging.sections.factor_effects import factors_section
from foldwise.judging.sections.robustness import robustness_section
from foldwise.judging.sections.search import search_edge, search_section, search_short
from foldwise.judging.sections.textbook import textbook_section
from foldwise.judging.sections.threshold_report import thresholds_section
from foldwise.judging.sections.warnings import run_warnings
from foldwise.judging.statistics.design import factors_of
from foldwise.judging.tables import write_results, write_scores
from foldwise.judging.verdict import (
    Answer,
    DecidingMetric,
    Division,
    MetricFacts,
    Pair,
    SelectionSection,
    State,
    Verdict,
)
from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.judging.verdict_sections import ExternalSection
from foldwise.metrics.table import Metric
from foldwise.processes import collecting_later
from foldwise.resources import on_one_blas_thread
from foldwise.runs.folder import RunFolder, write_json
from foldwise.sealed import seal
from foldwise.study.spec import LEAVE_ONE_OUT, Study, Validation

MAX_IN_PAIRS = 60  # configurations of which every pair is in the verdict


def judge(folder: RunFolder) -> Verdict:
    """Judge what is done, and write verdict.json, curves.npz, results.csv and scores.csv, sealed, into the run folder.

    Raises:
        RunError: the folder is not a run, or scores in it are damaged.
        SpecError: the study asks for a metric its task does not have.
    """
    verdict, rows = verdict_now(folder)
    # Curves first, so that no verdict stands without them.
    write_curves(folder.curves, curves_of(rows, verdict))
    write_json(folder.verdict, verdict.dump())
    write_results(folder.results, verdict)
    write_scores(folder.scores, rows)
    seal(folder.judged, {}, [folder.verdict, folder.curves, folder.results, folder.scores])
    return verdict


def verdict_now(folder: RunFolder) -> tuple[Verdict, Rows]:
    """The verdict on what is done, and the scores it rests on; neither is written.

    Raises:
        RunError: the folder is not a run, or scores in it are damaged.
        SpecError: the study asks for a metric its task does not have.
    """
    study = folder.load_study()
    rows = with_boundaries(study, read_rows(folder), folder)
    return verdict_of(study, rows, folder), rows


@on_one_blas_thread
@collecting_later()
def verdict_of(study: Study, rows: Rows, folder: RunFolder | None = None) -> Verdict:
    """The verdict of a study on its rows, and on the external set of its run folder; nothing is written."""
    judgement = _judgement(study, rows)
    winner = judgement.comparable[0] if judgement.comparable else None
    looks = Looks(study, rows, winner)
    configurations = configuration_results(rows, judgement, looks.early)
    shallow = auxiliary.shallow_baselines(study.baselines, rows, judgement)
    state = state_of(rows, judgement, configurations)
    unbeaten = auxiliary.not_beaten(shallow, configurations, rows, judgement)
    equals = auxiliary.aa_test_section(rows, judgement, num_planned=study.validate_.num_copies)
    # Of fewer configurations than the study has, levels would be compared by the best settings of each alone.
    common = judgement if looks.common is None or winner is None else looks.common
    compared = [rows.by_id[id] for id in common.comparable]
    varied = factors_of(study, compared) if len(compared) > 1 else ()
    factors = factors_section(varied, common, configurations, by=looks.common_words)
    answer = None
    if winner is not None:
        sentence = run_sentence(rows, judgement, state, configurations, unbeaten)
        answer = answer_of(judgement, configurations, sentence)
    searched = search_section(study, rows)
    throughput = auxiliary.throughput_section(rows.auxiliary)
    warnings = (
        unbeaten,
        search_edge(searched, winner),
        search_short(rows),
        auxiliary.aa_test_warning(equals),
        *run_warnings(rows, judgement, state, configurations, factors),
    )
    return assemble(
        judgement,
        _facts_of(study, rows),
        averaging=partial(_averaging, rows),
        state=state,
        answer=answer,
        configurations=configurations,
        warnings=tuple(warning for warning in warnings if warning),
        factors=factors,
        baselines=(*shallow, *(trivial_baseline(judgement, *each) for each in judgement.trivial)),
        thresholds=thresholds_section(rows, winner),
        boundary=boundary_section(rows, judgement),
        calibration=calibration_section(rows, judgement),
        aa_test=equals,
        external=external_section(folder.external, rows, judgement) if folder else None,
        search=searched,
        race=race_section(looks),
        robustness=robustness_section(study.robustness, rows, judgement, configurations),
        failed_items=auxiliary.failed_items(rows.auxiliary),
        throughput=throughput,
        batched_ms=batched_times(rows.configurations, configurations, throughput),
    )


def assemble(
    judgement: Judgement,
    facts: Mapping[str, Any],
    *,
    averaging: Callable[[Metric], str],
    state: State,
    answer: Answer | None,
    configurations: Sequence[ConfigurationResult],
    batched_ms: Mapping[str, float] = MappingProxyType({}),
    **sections: Any,
) -> Verdict:
    """The verdict on scores, wherever they come from.

    Args:
        judgement: the numbers.
        facts: the fields from `study` to `finished`: what was studied, and how far it is.
        averaging: how a metric averages, in words.
        state, answer: what can be said; the answer is None while no configuration is complete.
        configurations: best first, then those that cannot be compared.
        batched_ms: of one image in the fastest batches, by id, where it was measured.
        sections: `warnings`, `factors`, and what only a run has; those that are left out are None or empty.
    """
    metrics = {name: _metric_facts(metric, averaging(metric)) for name, metric in judgement.metrics.items()}
    decides = metrics[judgement.metric.name]
    run_only: dict[str, Any] = dict.fromkeys(
        ("thresholds", "boundary", "calibration", "aa_test", "robustness", "search", "race", "external")
    )
    run_only |= dict.fromkeys(("baselines", "failed_items", "throughput"), ())
    pairs = pair_results(judgement)
    fronts = cost_fronts(configurations, pairs, batched_ms=batched_ms)
    return Verdict(
        alpha=judgement.judge.alpha,
        **facts,
        num_images=judgement.num_cases,
        num_groups=judgement.units.count if judgement.units.grouped else None,
        metric=DecidingMetric(**dict(decides), equivalent_within=judgement.judge.equivalent_within),
        metrics=metrics,
        state=state,
        answer=answer,
        configurations=tuple(configurations),
        selection=selection_section(judgement),
        pairs=pairs,
        cost_fronts=fronts,
        cost_sentences=cost_sentences(fronts, configurations, decides, state),
        textbook=textbook_section(judgement),
        **run_only | sections,
    )


def _facts_of(study: Study, rows: Rows) -> dict[str, Any]:
    finished = (str(fit.result["finished"]) for fit in rows.fits if "finished" in fit.result)
    return {
        "study": study.study,
        "title": study.title or study.study,
        "task": rows.task,
        "classes": rows.classes,
        "files": (),
        "recognised": (),
        "split": _division(study.validate_, rows.num_folds),
        "folds": rows.num_folds,
        "repeats": len(rows.repeats),
        "num_done": sum(fit.status == "done" for fit in rows.fits),
        "num_planned": sum(fit.status != "spared" for fit in rows.fits),
        "finished": max(finished, default=None),
    }


def _division(validation: Validation, num_folds: int) -> Division:
    if not validation.is_given:
        return "dealt_folds"
    if validation.split == LEAVE_ONE_OUT:
        return "leave_one_group_out"
    return "given_folds" if num_folds > 1 else "given_split"


@on_one_blas_thread
def judged_elsewhere(folder: RunFolder, laid_out: Path, configuration: str) -> ExternalSection | None:
    """What a configuration scores on labelled images elsewhere, laid out as the external set of a study is."""
    study, rows = folder.load_study(), read_rows(folder)
    return external_section(laid_out, rows, _judgement(study, rows), configuration)


def _judgement(study: Study, rows: Rows) -> Judgement:
    judgement = judge_rows(study, rows, spent=spent_by(rows.race))
    # Of the configuration that has most images done.
    most = max(judgement.scored, key=rows.num_tested, default="")
    like = [outputs for _, outputs in rows.outputs_by_repeat(most)]
    trivial = tuple(
        (
            baseline,
            score(list(enumerate(outputs)), rows.units, decides=judgement.metric, classes=rows.classes),
        )
        for baseline, outputs in (baselines_of(rows, like) if like else [])
    )
    return with_trivial(judgement, trivial)


def selection_section(judgement: Judgement) -> SelectionSection | None:
    """The winner's score before and after the correction, in the sign of the metric; None where nothing was chosen."""
    if judgement.selected is None:
        return None
    selected, sign = judgement.selected, judgement.sign
    low, high = sorted((sign * selected.low, sign * selected.high))
    return SelectionSection(
        naive=sign * selected.naive,
        corrected=sign * selected.corrected,
        low=low,
        high=high,
        optimism=selected.optimism,
    )


def pair_results(judgement: Judgement) -> tuple[Pair[str], ...]:
    """Every pair of configurations, in the sign of the metric; of very many only those with the winner."""
    # 60 configurations have 1770 pairs; 500 have 124,750.
    many = len(judgement.comparable) > MAX_IN_PAIRS
    pairs = judgement.pairs_with_winner if many else judgement.pairs
    return tuple(_pair(pair, judgement) for pair in pairs)


def _pair(pair: Pair[int], judgement: Judgement) -> Pair[str]:
    ids, sign = judgement.comparable, judgement.sign
    low, high = sorted((sign * pair.low, sign * pair.high))
    low_all, high_all = sorted((sign * pair.low_all, sign * pair.high_all))
    turned = {"difference": sign * pair.difference, "low": low, "high": high}
    turned |= {"low_all": low_all, "high_all": high_all}
    return Pair[str](**dict(pair) | {"a": ids[pair.a], "b": ids[pair.b]} | turned)


def _metric_facts(metric: Metric, averaging: str) -> MetricFacts:
    return MetricFacts(
        name=metric.name,
        title=metric.title,
        higher_is_better=metric.higher_is_better,
        averaging=averaging,
        bounded=metric.bounded,
    )


def _averaging(rows: Rows, metric: Metric) -> str:
    """How images and classes of this run are averaged, in words."""
    averaging = metric.averaging
    if rows.family == "binary":
        averaging = averaging.replace("the positive class", f"the class {rows.classes[1]!r}")
    if metric.needs == "boundary" and rows.boundaries is not None:
        averaging = averaging.replace("the tolerance", f"{rows.boundaries.tolerance_px:g} pixels")
    if rows.units.grouped and metric.groups_equal:
        averaging += "; each group counts once"
    return averaging
