"""The verdict on scores from elsewhere: as that of a run (docs/verdict.md), as far as scores alone can tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np

from foldwise.errors import SpecError
from foldwise.judging.answer import answer_of, comparison_sentence, tied_or_clear
from foldwise.judging.external.grid import Grid, paired, short_of
from foldwise.judging.external.meaning import metric_of, refuse_scales
from foldwise.judging.external.options import ScoreOptions
from foldwise.judging.external.own import family_of, outputs_of
from foldwise.judging.external.reading import ScoreFiles, read_files
from foldwise.judging.judge import assemble
from foldwise.judging.judgement import Judgement, Terms, judge_scores
from foldwise.judging.scores.scoring import Scored, over_repeats, score
from foldwise.judging.sections.factor_effects import factors_section
from foldwise.judging.sections.fit_warnings import unstable
from foldwise.judging.sections.standings import result_of
from foldwise.judging.sections.warnings import not_distinguishable, optimism, small
from foldwise.judging.statistics.design import Factor
from foldwise.judging.tables import CLASSIFIED, write_outputs, write_table
from foldwise.judging.verdict import Verdict, VerdictWarning
from foldwise.judging.verdict_configurations import ConfigurationResult, Cost
from foldwise.judging.wording import with_interval
from foldwise.metrics.influence import Units, mean_score
from foldwise.metrics.outputs import Floats, Ints
from foldwise.metrics.table import METRICS, Metric, choose_metric, reported
from foldwise.resources import on_one_blas_thread
from foldwise.study.ranges import MAX_MARGIN, MIN_ALPHA
from foldwise.study.spec import Judging
from foldwise.text import count, in_text, natural

MAX_FOLDS = 100  # whose scores are in the verdict one by one
MARGIN = 0.01  # of scores between 0 and 1, as in a study


@on_one_blas_thread
def judged_files(
    paths: Sequence[Path], options: ScoreOptions | None = None
) -> tuple[Verdict, ExternalScores]:
    """The verdict on the scores in tables, summaries of nnU-Net, or run folders, and what was read; nothing is written.

    The same files give the same numbers.

    Raises:
        DataError: the scores are not usable, or not of a paired design.
        SpecError: something that is asked for is not there.
    """
    options = options or ScoreOptions()
    read = read_files(paths, options)
    # Labels go with the outputs of a run: of these every metric of the task can be computed.
    external = (_labelled if read.classes else _scored)(read, paired(read.piece), options)
    return _verdict(external, _judging(options, external.metric)), external


def _judging(options: ScoreOptions, metric: Metric) -> Judging:
    """What of a study the judge needs, stated of scores.

    Raises:
        SpecError: a margin or alpha that is none.
    """
    margin, most = options.equivalent_within, MAX_MARGIN if metric.bounded else inf
    if margin is None:
        margin = MARGIN if metric.bounded else 0.0
    if not 0 <= margin <= most or margin == inf:
        allowed = f"0 to {most}, as the scores lie between 0 and 1" if metric.bounded else "0 or more"
        what = f"{margin:g} is no difference of no consequence"
        raise SpecError(what, where="--equivalent-within", cure=f"Write a number of {allowed}.")
    if not MIN_ALPHA <= options.alpha < 0.5:
        cure = f"Write a number from {MIN_ALPHA:g} to less than 0.5; the usual is 0.05."
        raise SpecError(f"{options.alpha:g} is no alpha", where="--alpha", cure=cure)
    judge = Judging(metric=metric.name, alpha=options.alpha, textbook=options.textbook)
    # The unit is that of the scores, so that the range of a study, whose scores are fractions, does not hold.
    return judge.model_copy(update={"equivalent_within": margin})


def _verdict(external: ExternalScores, judge: Judging) -> Verdict:
    grid = external.grid
    terms = Terms(
        judge=judge,
        metric=external.metric,
        metrics=external.metrics,
        units=grid.units,
        num_cases=len(grid.cases),
        noun=("group", "groups") if grid.units.grouped else ("case", "cases"),
    )
    complete = [name for name in grid.configurations if name not in grid.lacking]
    judgement = judge_scores(terms, external.scored, complete)
    configurations = _configurations(external, judgement)
    ranked = configurations[: len(judgement.comparable)]
    state = tied_or_clear(ranked)
    # A table cannot be unfinished, and has no trivial predictors: only two states are left.
    sentence = comparison_sentence(judgement, state, ranked, _reached(judgement, ranked[0]))
    facts = {
        **dict.fromkeys(("study", "title", "task", "split", "finished")),
        "classes": (),
        "files": tuple(map(str, grid.piece.names or (grid.piece.file,))),
        "recognised": tuple(external.read.statements),
        "folds": len(np.unique(grid.folds_Rn)),
        "repeats": len(grid.repeats),
        "num_done": int(grid.there_CRn.sum()),
        "num_planned": grid.there_CRn.size,
    }
    return assemble(
        judgement,
        facts,
        averaging=lambda metric: metric.averaging,
        state=state,
        answer=answer_of(judgement, configurations, sentence),
        configurations=configurations,
        warnings=tuple(warning for warning in _warnings(judgement, grid, configurations) if warning),
        factors=factors_section(_factors(external, judgement), judgement, configurations),
    )


def _configurations(external: ExternalScores, judgement: Judgement) -> list[ConfigurationResult]:
    """Those that are compared, best first, then the others with what they lack."""
    grid, levels = external.grid, external.read.piece.levels
    there = dict(zip(grid.configurations, grid.there_CRn.sum(axis=(1, 2)).tolist(), strict=True))
    rest = [name for name in grid.configurations if name not in judgement.comparable]
    return [
        result_of(
            judgement,
            name,
            name=name,
            levels=levels.get(name, {}),
            confusion=None,
            split_scores=None,
            cost=Cost(),
            num_done=there[name],
            num_planned=len(grid.repeats) * len(grid.cases),
            failures=(),
            lacks=grid.lacking.get(name),
        )
        for name in (*judgement.comparable, *rest)
    ]


def _reached(judgement: Judgement, winner: ConfigurationResult) -> str:
    metric = judgement.metric
    title = in_text(metric.title) if metric.name in METRICS else metric.title
    size = count(judgement.num_cases, "case", "cases")
    if judgement.units.grouped:
        size += f" in {count(judgement.units.count, *judgement.noun)}"
    return f"{title} {with_interval(winner, judgement.confidence)} on {size}"


def _warnings(
    judgement: Judgement, grid: Grid, configurations: Sequence[ConfigurationResult]
) -> Iterator[VerdictWarning | None]:
    yield _lacking(configurations)
    yield not_distinguishable(judgement, configurations)
    yield small(judgement)
    yield _runs(grid)
    yield unstable(judgement, configurations)
    yield optimism(judgement, configurations)


def _lacking(configurations: Sequence[ConfigurationResult]) -> VerdictWarning | None:
    short = [configuration for configuration in configurations if configuration.verdict == "incomplete"]
    if not short:
        return None
    named = short_of(
        {configuration.name: configuration.lacks or "a defined score" for configuration in short}
    )
    left = f"{count(len(short), 'configuration is', 'configurations are')} left out of the comparison"
    cure = "Add the scores: of a case on which a model failed, the worst value. Nothing is made up for what is lacking."
    return VerdictWarning(code="MISSING_RUNS", message=f"{left}: {named}.", cure=cure)


def _runs(grid: Grid) -> VerdictWarning | None:
    """What the scores cannot tell about training again."""
    if len(grid.repeats) > 1:
        return None
    if len(np.unique(grid.folds_Rn)) > 1:
        message = "Every fold has one score per case: how much seeds and splits matter is estimated from the folds alone."
        cure = "Train again with other seeds and splits, and tell them apart in a column repeat."
        return VerdictWarning(code="ONE_SEED", message=message, cure=cure)
    message = (
        "One score per case and no folds: what is said holds for these trained weights only. Trained again with another "
        "seed, the same method may come out elsewhere, and on many cases even equal methods look different."
    )
    cure = "Train with several seeds (a column repeat), or by cross-validation (a column fold), to compare methods."
    return VerdictWarning(code="NO_RUN_VARIANCE", message=message, cure=cure)


def _factors(external: ExternalScores, judgement: Judgement) -> tuple[Factor, ...]:
    """Columns that are constant within a configuration and shared by some of them."""
    levels, factors = external.read.piece.levels, []
    for name in sorted({factor for own in levels.values() for factor in own}, key=natural):
        of = [levels[id].get(name) for id in judgement.comparable]
        distinct = tuple(sorted({level for level in of if level is not None}, key=natural))
        # A level of its own for every configuration is its name, and no factor.
        if None not in of and 1 < len(distinct) < len(of):
            places = np.array([distinct.index(level) for level in of if level is not None])
            factors.append(Factor(name, distinct, distinct, places))
    return tuple(factors)


@dataclass(frozen=True)
class ExternalScores:
    """What was read, its design, the metric that decides and all others, and the scores of every configuration."""

    read: ScoreFiles
    grid: Grid
    metric: Metric
    metrics: dict[str, Metric]
    scored: dict[str, Scored]


def _scored(read: ScoreFiles, grid: Grid, options: ScoreOptions) -> ExternalScores:
    """Every configuration by the mean of its scores."""
    if not options.one_scale:
        refuse_scales(grid, read.metric)
    finite = grid.piece.score[np.isfinite(grid.piece.score)]
    metric, granted = metric_of(read.metric, finite, options, where=grid.piece.file)
    read = replace(read, statements=(*read.statements, granted)) if granted else read
    unit_folds = np.zeros((len(grid.repeats), grid.units.count), dtype=np.int64)
    for folds, own in zip(unit_folds, grid.folds_Rn, strict=True):
        folds[grid.units.of_case] = own
    scored = {name: _of_scores(grid, c, metric, unit_folds) for c, name in enumerate(grid.configurations)}
    return ExternalScores(read, grid, metric, {metric.name: metric}, scored)


def _of_scores(grid: Grid, c: int, metric: Metric, unit_folds: Ints) -> Scored:
    there = [(r, row) for r, row in enumerate(grid.scores(c)) if np.isfinite(row).any()]
    return over_repeats(
        {metric.name: [mean_score(row, grid.units) for _, row in there]},
        folds=tuple(_by_fold(grid.units, there, unit_folds)),
        unit_folds=unit_folds,
    )


def _by_fold(
    units: Units, there: Sequence[tuple[int, Floats]], unit_folds: Ints
) -> Iterator[tuple[int, int, float]]:
    """(repeat, fold, score), both counted from 0 in natural order of their names; every unit counts once."""
    # Every case may be a fold of its own (leave one out): its scores are no dots to look at.
    if unit_folds.max() >= MAX_FOLDS:
        return
    for r, row in there:
        defined = np.flatnonzero(np.isfinite(row))
        total, number = (units.sums(values, defined) for values in (row[defined], np.ones(len(defined))))
        own = number > 0
        size = np.bincount(unit_folds[r][own])
        sums = np.bincount(unit_folds[r][own], weights=total[own] / number[own])
        yield from ((r, int(fold), float(sums[fold] / size[fold])) for fold in np.flatnonzero(size))


def _labelled(read: ScoreFiles, grid: Grid, options: ScoreOptions) -> ExternalScores:
    """Every configuration by every metric of its task, from its outputs for every image."""
    if options.higher_is_better is not None or options.bounded is not None:
        cure = "Leave --lower-is-better, --higher-is-better, --bounded and --unbounded out."
        raise SpecError("which way is better is known of the metrics of a run", cure=cure)
    family = family_of(grid.piece)
    metric = choose_metric(read.metric, family)
    scored = {
        name: score(by_repeat, grid.units, decides=metric, classes=read.classes)
        for name, by_repeat in outputs_of(grid, family).items()
    }
    return ExternalScores(read, grid, metric, reported(metric, family, boundary=False), scored)


def write_case_scores(path: Path, scores: ExternalScores) -> None:
    """Scores from elsewhere as they were read, of which `foldwise judge` says the same; undefined ones are empty cells."""
    piece = scores.grid.piece
    if scores.read.classes:
        return _write_outputs(path, scores)
    roles = [
        role
        for role in ("configuration", "repeat", "fold", "case", "group")
        if any(piece.columns[role].names)
    ]
    factors = sorted(
        {factor for levels in piece.levels.values() for factor in levels} - {*roles, scores.metric.name}
    )
    rows = (
        [
            *(piece.cell(role, row) for role in roles),
            *(piece.levels.get(piece.cell("configuration", row), {}).get(factor) for factor in factors),
            None if np.isnan(score) else score,
        ]
        for row, score in enumerate(piece.score.tolist())
    )
    return write_table(path, [*roles, *factors, scores.metric.name], rows)


def _write_outputs(path: Path, scores: ExternalScores) -> None:
    """Outputs of a run, with those of all runs in one table."""
    grid, classes = scores.grid, scores.read.classes
    of_case = grid.rows_CRn.reshape(-1, len(grid.cases)).max(axis=0).tolist()
    groups = [grid.piece.cell("group", row) or name for row, name in zip(of_case, grid.cases, strict=True)]
    every = (
        ((name, name, repeat), outputs)
        for name, by_repeat in outputs_of(grid, family_of(grid.piece)).items()
        for repeat, outputs in by_repeat
    )
    write_outputs(path, CLASSIFIED, every, (classes, grid.cases, groups))
