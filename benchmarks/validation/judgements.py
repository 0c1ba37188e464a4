"""What foldwise says of a sample, by its own functions, held against the truth."""

from __future__ import annotations

from itertools import product

import numpy as np

from benchmarks.validation.customs import ALPHA, _alarms
from benchmarks.validation.designs import Sample
from foldwise.judging.judgement import compared
from foldwise.judging.scores.scoring import MetricTable, Scored, table_of
from foldwise.judging.statistics.design import Factor
from foldwise.judging.statistics.differences import FactorialScores, IntervalOptions, all_pairs
from foldwise.judging.statistics.draws import DRAWS
from foldwise.judging.statistics.effects import effect, views
from foldwise.judging.statistics.inference import compare
from foldwise.judging.statistics.variance import estimate_variance
from foldwise.judging.verdict import Pair
from foldwise.metrics.influence import UnitScores, mean_score, unit_scores
from foldwise.metrics.outputs import Outputs

NAME = "foldwise"


def judgement(sample: Sample, *, seed: int) -> dict[str, float]:
    """By ``foldwise: measure``, what its intervals, pairs, set, corrected score and factors say, right or wrong.

    Args:
        sample: with its truth.
        seed: of foldwise's own draws.
    """
    table = table_of(
        sample.metric,
        [scored(sample, c) for c in range(len(sample.truth_C))],
        sample.units,
        num_cases=sample.scores_CRn.shape[2],
        alpha=ALPHA,
    )
    assert table.variance is not None
    comparison, selected = compared(table, alpha=ALPHA, seed=seed, most=DRAWS)
    assert comparison is not None
    assert selected is not None
    ends = np.array(table.intervals)
    covered = (ends[:, 0] <= sample.truth_C) & (sample.truth_C <= ends[:, 1])
    found = {
        "single": covered.mean(),
        "single width": (ends[:, 1] - ends[:, 0]).mean(),
        "set": comparison.could_be_best[sample.truth_C >= sample.truth_C.max() - 1e-9].mean(),
        "set size": comparison.could_be_best.sum(),
        "corrected bias": selected.corrected - sample.truth_C[comparison.winner],
        "best score bias": selected.naive - sample.truth_C[comparison.winner],
        "corrected": selected.low <= sample.truth_C[comparison.winner] <= selected.high,
    }
    if seed % 2 == 0:  # the slowest part; half of the samples will do
        found |= _factors(sample, table, seed)
    named = {f"{NAME}: {measure}": float(value) for measure, value in found.items()}
    named |= _pairs(sample, all_pairs(table.variance, comparison, alpha=ALPHA, margin=0.0))
    return named | _overlap(sample, ends)


def judged_pairs(sample: Sample, *, seed: int) -> dict[str, float]:
    """Only what is said of pairs, in a third of the time: how often a family has a false alarm takes many samples."""
    scores = [scored(sample, c) for c in range(len(sample.truth_C))]
    folds, one = sample_folds(sample), scores[0]
    values = np.stack([own.values[sample.metric.name] for own in scores])
    step = sample.units.step / one.support[sample.metric.name] if sample.metric.counted else 0.0
    known = estimate_variance(
        values, folds, floor=step**2 / values.shape[1], bounds=sample.metric.oriented_bounds
    )
    return _pairs(sample, all_pairs(known, compare(known, seed=seed, most=DRAWS), alpha=ALPHA, margin=0.0))


def scored(sample: Sample, c: int) -> Scored:
    """The record of one configuration, as a run or a table of scores would make it."""
    name = sample.metric.name
    done = [_of_repeat(sample, c, r) for r in range(sample.scores_CRn.shape[1])]
    return Scored(
        estimates={name: float(np.mean([one.estimate for one in done]))},
        values={name: np.stack([one.values for one in done])},
        support={name: min(one.support for one in done)},
        num_positives={name: None},
        num_undefined={name: 0},
        unit_folds=sample_folds(sample),
    )


def _of_repeat(sample: Sample, c: int, r: int) -> UnitScores:
    scores_n = sample.scores_CRn[c, r]
    if sample.classes_n is None:
        return mean_score(scores_n, sample.units)
    truth = np.eye(2, dtype=bool)[sample.classes_n]
    said = np.where(scores_n[:, None] > 0, truth, ~truth).astype(float)
    outputs = Outputs("binary", np.arange(len(scores_n)), sample.folds_Rn[r], truth=truth, probabilities=said)
    return unit_scores(sample.metric, outputs, sample.units)


def _pairs(sample: Sample, pairs: list[Pair[int]]) -> dict[str, float]:
    a, b = sample.pairs
    place = {pair: p for p, pair in enumerate(zip(a.tolist(), b.tolist(), strict=True))}
    told, alone, together, width = (np.zeros(len(a)) for _ in range(4))
    for pair in pairs:
        p = place[min(pair.a, pair.b), max(pair.a, pair.b)]
        true = sample.truth_C[pair.a] - sample.truth_C[pair.b]
        told[p], width[p] = pair.p < ALPHA, pair.high - pair.low
        alone[p], together[p] = pair.low <= true <= pair.high, pair.low_all <= true <= pair.high_all
    any_told = any(pair.conclusion == "better" for pair in pairs)
    return {
        f"{NAME}: pair": float(alone.mean()),
        f"{NAME}: pair width": float(width.mean()),
        f"{NAME}: all pairs": float(together.all()),
    } | _alarms(NAME, told > 0, sample, any_told)


def _overlap(sample: Sample, ends: np.ndarray) -> dict[str, float]:
    """Two scores are called different where foldwise's own intervals of them do not overlap."""
    a, b = sample.pairs
    apart = (ends[a, 0] > ends[b, 1]) | (ends[b, 0] > ends[a, 1])
    return _alarms("intervals overlap", apart, sample, bool(apart.any()))


def factors_of(levels: tuple[int, ...]) -> tuple[Factor, ...]:
    """Factors of a full grid of these sizes."""
    cells = np.array(list(product(*(range(size) for size in levels))))
    made = []
    for place, size in enumerate(levels):
        names = tuple(f"{place}-{one}" for one in range(size))
        made.append(Factor(f"factor {place}", names, names, cells[:, place]))
    return tuple(made)


def _factors(sample: Sample, table: MetricTable, seed: int) -> dict[str, float]:
    """How many factors have all of their differences covered; a grid only."""
    if not sample.levels:
        return {}
    factors = factors_of(sample.levels)
    C = int(np.prod(sample.levels))
    assert table.variance is not None
    folds = sample_folds(sample)
    known = estimate_variance(
        table.values[:C], folds, floor=table.variance.pair_floor, bounds=sample.metric.oriented_bounds
    )
    scores = FactorialScores(table.values[:C], folds, known)
    held = []
    for factor in factors:
        view = views(factors, factor, scores.estimate)[0]
        one = effect(factors, factor, view, scores, IntervalOptions(seed=seed, most=DRAWS))
        mean = np.array(
            [sample.truth_C[:C][factor.of == level].mean() for level in range(len(factor.levels))]
        )
        true = [mean[pair.a] - mean[pair.b] for pair in one.contrasts]
        held.append(
            all(
                pair.low is not None and pair.high is not None and pair.low <= value <= pair.high
                for pair, value in zip(one.contrasts, true, strict=True)
            )
        )
    return {"factors": float(np.mean(held))}


def sample_folds(sample: Sample) -> np.ndarray:
    """(R, G) folds of units."""
    folds = np.zeros((len(sample.folds_Rn), sample.units.count), dtype=np.int64)
    folds[:, sample.units.of_case] = sample.folds_Rn
    return folds
