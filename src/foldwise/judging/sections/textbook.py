"""The tests that reviewers ask for, of the winner against every other configuration, and of all together.

Nothing is decided by them. Each looks at one kind of luck only, at images or at folds, and none knows that the winner
was chosen by the same scores. docs/statistics.md has how often they call equals different.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import false_discovery_control

from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.scoring import MetricTable, Scored
from foldwise.judging.statistics import textbook
from foldwise.judging.verdict_textbook import FriedmanTest, TestDescription, TextbookPair, TextbookSection
from foldwise.metrics.outputs import Floats
from foldwise.metrics.table import Metric

DIGITS = 9  # differences are rounded to these: equal ones may differ in their last digits
ADJUSTED = ("corrected_t", "paired_t", "wilcoxon", "mcnemar")

TESTS = {
    "corrected_t": TestDescription(
        title="Corrected t test",
        formula="on the differences of the J scores of all folds and repeats: t = mean / √(variance · (1/J + 1/(K − 1))), J − 1 "
        "degrees of freedom, K folds",
        source="Nadeau and Bengio 2003",
        misleads="It corrects the luck with images as if training sets shared that too, and so overlooks most differences; folds "
        "of a few images make it coarse.",
    ),
    "paired_t": TestDescription(
        title="Paired t test",
        formula="on the differences of every image (or group), each the mean over repeats: t = mean / √(variance / n), n − 1 "
        "degrees of freedom",
        source="Student 1908",
        misleads="It knows nothing of the luck with runs: of many images, it calls two trainings of one and the same "
        "configuration different most of the time.",
    ),
    "wilcoxon": TestDescription(
        title="Wilcoxon signed-rank test",
        formula="on the same differences: the ranks of their sizes, summed by sign; differences of 0 are left out",
        source="Wilcoxon 1945",
        misleads="As the paired t test it knows nothing of the luck with runs; and it asks whether most images gain, which can be "
        "so where the mean falls.",
    ),
    "mcnemar": TestDescription(
        title="McNemar's exact test",
        formula="on the images that only one of the two has right, in the first repeat: binomial with 1/2",
        source="McNemar 1947",
        misleads="It holds for the weights that were trained, not for the configurations; and 5 such images or fewer can never "
        "reach 0.05.",
    ),
    "correlated_t": TestDescription(
        title="Bayesian correlated t test",
        formula="the corrected t test turned round: with a flat prior the true difference has its t distribution; the shares of "
        "it below, within and above the margin",
        source="Corani and Benavoli 2015",
        misleads="It has the faults of the corrected t test, and its probabilities do not know that the winner is the luckiest of "
        "many.",
    ),
    "friedman": TestDescription(
        title="Friedman test",
        formula="on the ranks of all configurations on every image (or group), as χ² with ties counted, and as F of Iman and "
        "Davenport; Nemenyi's critical difference of mean ranks is q √(C (C + 1) / (6 n)) of C configurations",
        source="Friedman 1937; Iman and Davenport 1980; Demšar 2006",
        misleads="It was made for many data sets: on the images of one, it knows nothing of the luck with runs, and a rank does "
        "not say by how much.",
    ),
}  # fmt: skip


def textbook_section(judgement: Judgement) -> TextbookSection | None:
    """None unless it is asked for and two or more configurations can be compared.

    A test that is not possible with these scores is None too. Differences and statistics are positive where they speak
    for the winner, whichever way the metric is better.
    """
    table, comparison = judgement.decisive, judgement.comparison
    if not judgement.judge.textbook or comparison is None or table is None:
        return None
    ids, winner = judgement.comparable, comparison.winner
    scores = _scores(judgement, table)
    # Only against the winner, as papers do: all pairs would be adjusted for many more tests.
    rivals = [c for c in range(len(ids)) if c != winner]
    margin = judgement.judge.equivalent_within
    tests = {ids[rival]: _tests(scores, winner, rival, margin=margin) for rival in rivals}
    adjusted = {name: _adjusted(name, list(tests.values())) for name in ADJUSTED}
    units_CG = scores.units_CG.round(DIGITS)
    ranked = None
    if judgement.metric.groups_equal and len(ids) > 2:
        ranks = textbook.friedman(units_CG, alpha=judgement.judge.alpha)
        ranked = FriedmanTest(**ranks | {"mean_ranks": dict(zip(ids, ranks["mean_ranks"], strict=True))})
    return TextbookSection(
        against=ids[winner],
        num_units=units_CG.shape[1],
        num_folds=scores.num_folds,
        num_fold_scores=scores.folds_CJ.shape[1],
        tests=TESTS,
        pairs=tuple(
            TextbookPair(id=id, **pair | {name: adjusted[name][c] for name in ADJUSTED})
            for c, (id, pair) in enumerate(tests.items())
        ),
        friedman=ranked,
    )


@dataclass(frozen=True)
class _Scores:
    """The scores that the tests of pairs look at, higher is better.

    Attributes:
        units_CG: of every unit, the mean over repeats.
        folds_CJ: of every fold of every repeat.
        num_folds: of a repeat.
        are_means: whether the metric is a mean of scores of units.
        right_CG: whether an image was right in the first repeat; None where that is not what is scored, or images
            have groups.
    """

    units_CG: Floats
    folds_CJ: Floats
    num_folds: int
    are_means: bool
    right_CG: Floats | None


def _scores(judgement: Judgement, table: MetricTable) -> _Scores:
    scored, metric = [judgement.scored[id] for id in judgement.comparable], judgement.metric
    folds = np.array([[score for _, _, score in own.folds] for own in scored])
    return _Scores(
        units_CG=table.values.mean(axis=1),
        folds_CJ=judgement.sign * folds,
        num_folds=len({fold for _, fold, _ in scored[0].folds}),
        are_means=metric.groups_equal,
        right_CG=_right(metric, scored),
    )


def _right(metric: Metric, scored: Sequence[Scored]) -> Floats | None:
    # Image by image, balanced accuracy counts what accuracy counts.
    name = {"balanced_accuracy": "accuracy"}.get(metric.name, metric.name)
    if not metric.counted or any(name not in own.values for own in scored):
        return None
    values = np.stack([own.values[name][0] for own in scored]).round(DIGITS)
    return values if np.isin(values, (0, 1)).all() else None


def _tests(scores: _Scores, winner: int, rival: int, *, margin: float) -> textbook.Numbers:
    """Every test of a pair, not adjusted yet; None for what these scores do not allow."""
    units = (scores.units_CG[winner] - scores.units_CG[rival]).round(DIGITS)
    folds = (scores.folds_CJ[winner] - scores.folds_CJ[rival]).round(DIGITS)
    # The correction of these tests is by the number of folds.
    by_fold = scores.num_folds > 1 and np.isfinite(folds).all()
    K, right_CG = scores.num_folds, scores.right_CG
    return {
        "difference": float(scores.units_CG[winner].mean() - scores.units_CG[rival].mean()),
        "corrected_t": textbook.corrected_t(folds, num_folds=K) if by_fold else None,
        "correlated_t": textbook.correlated_t(folds, num_folds=K, margin=margin) if by_fold else None,
        "wilcoxon": textbook.signed_rank(units) if scores.are_means else None,
        "mcnemar": textbook.mcnemar(right_CG[winner], right_CG[rival]) if right_CG is not None else None,
        "paired_t": textbook.paired_t(units),
    }


def _adjusted(name: str, pairs: Sequence[textbook.Numbers]) -> list[textbook.Numbers | None]:
    """One test of every pair with ``p_holm`` and ``p_bh``, adjusted over the rivals of the winner."""
    possible = [pair[name] for pair in pairs if pair[name] is not None]
    if not possible:
        return [None] * len(pairs)
    p = np.array([test["p"] for test in possible])
    more = iter(zip(textbook.holm(p), false_discovery_control(p), strict=True))
    return [
        pair[name] and pair[name] | dict(zip(("p_holm", "p_bh"), next(more), strict=True)) for pair in pairs
    ]
