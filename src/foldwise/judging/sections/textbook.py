"""The tests that reviewers ask for, of the winner against every other configuration, and of all together.

Nothing is decided by them. Each looks at one kind of luck only, at images or at folds, and none knows that the winner
was chosen by the same scores. docs/statistics.md has how often they call equals different.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import (
    binomtest,
    f,
    false_discovery_control,
    friedmanchisquare,
    rankdata,
    studentized_range,
    t,
    wilcoxon,
)

from foldwise.judging.scores.scoring import Scored
from foldwise.judging.sections.configurations import Judgement
from foldwise.metrics.outputs import Floats
from foldwise.study.spec import Judging

DIGITS = 9  # differences are rounded to these: equal ones may differ in their last digits
Record = dict[str, Any]


@dataclass(frozen=True)
class About:
    """What is said of a test: its name in a report, its formula in words, its source, and when it misleads."""

    title: str
    formula: str
    source: str
    misleads: str


TESTS = {
    "corrected_t": About(
        "Corrected t test",
        "on the differences of the J scores of all folds and repeats: t = mean / √(variance · (1/J + 1/(K − 1))), J − 1 "
        "degrees of freedom, K folds",
        "Nadeau and Bengio 2003",
        "It corrects the luck with images as if training sets shared that too, and so overlooks most differences; folds "
        "of a few images make it coarse.",
    ),
    "paired_t": About(
        "Paired t test",
        "on the differences of every image (or group), each the mean over repeats: t = mean / √(variance / n), n − 1 "
        "degrees of freedom",
        "Student 1908",
        "It knows nothing of the luck with runs: of many images, it calls two trainings of one and the same "
        "configuration different most of the time.",
    ),
    "wilcoxon": About(
        "Wilcoxon signed-rank test",
        "on the same differences: the ranks of their sizes, summed by sign; differences of 0 are left out",
        "Wilcoxon 1945",
        "As the paired t test it knows nothing of the luck with runs; and it asks whether most images gain, which can be "
        "so where the mean falls.",
    ),
    "mcnemar": About(
        "McNemar's exact test",
        "on the images that only one of the two has right, in the first repeat: binomial with 1/2",
        "McNemar 1947",
        "It holds for the weights that were trained, not for the configurations; and 5 such images or fewer can never "
        "reach 0.05.",
    ),
    "correlated_t": About(
        "Bayesian correlated t test",
        "the corrected t test turned round: with a flat prior the true difference has its t distribution; the shares of "
        "it below, within and above the margin",
        "Corani and Benavoli 2015",
        "It has the faults of the corrected t test, and its probabilities do not know that the winner is the luckiest of "
        "many.",
    ),
    "friedman": About(
        "Friedman test",
        "on the ranks of all configurations on every image (or group), as χ² with ties counted, and as F of Iman and "
        "Davenport; Nemenyi's critical difference of mean ranks is q √(C (C + 1) / (6 n)) of C configurations",
        "Friedman 1937; Iman and Davenport 1980; Demšar 2006",
        "It was made for many data sets: on the images of one, it knows nothing of the luck with runs, and a rank does "
        "not say by how much.",
    ),
}


def textbook_record(judge: Judging, known: Judgement) -> Record | None:
    """``textbook`` of the verdict: None unless it is asked for and two or more configurations can be compared.

    A test that is not possible with these scores is None too. Differences and statistics are positive where they speak
    for the winner, whichever way the metric is better.
    """
    table, comparison = known.tables.get(known.metric.name), known.comparison
    if not judge.textbook or comparison is None or table is None:
        return None
    ids, winner = known.comparable, comparison.winner
    own = _Scores(known, margin=judge.equivalent_within)
    rivals = [place for place in range(len(ids)) if place != winner]
    pairs: list[Record] = [{"id": ids[place]} | own.tests(winner, place) for place in rivals]
    for name in ("corrected_t", "paired_t", "wilcoxon", "mcnemar"):
        _adjust([pair[name] for pair in pairs if pair[name] is not None])
    units = table.values.mean(axis=1).round(DIGITS)
    ranked = None
    if known.metric.groups_equal and len(ids) > 2:
        ranked = friedman(units, alpha=judge.alpha)
        ranked["mean_ranks"] = dict(zip(ids, ranked["mean_ranks"], strict=True))
    return {
        "against": ids[winner],
        "num_units": units.shape[1],
        "num_folds": own.num_folds,
        "num_fold_scores": own.folds_CJ.shape[1],
        "tests": {name: vars(test) for name, test in TESTS.items()},
        "pairs": pairs,
        "friedman": ranked,
    }


class _Scores:
    """The scores that the tests of pairs look at, higher is better, and the tests of one pair."""

    def __init__(self, known: Judgement, *, margin: float) -> None:
        scored = [known.scored[one] for one in known.comparable]
        self._margin = margin
        self._mean = known.metric.groups_equal
        self._units_CG = known.tables[known.metric.name].values.mean(axis=1)
        self._right_CG = _right(known, scored)
        self.folds_CJ = known.sign * np.array([[value for _, _, value in one.folds] for one in scored])
        self.num_folds = len({fold for _, fold, _ in scored[0].folds})

    def tests(self, winner: int, rival: int) -> Record:
        """Every test of a pair; None for what these scores do not allow."""
        units = (self._units_CG[winner] - self._units_CG[rival]).round(DIGITS)
        found: Record = {"difference": float(self._units_CG[winner].mean() - self._units_CG[rival].mean())}
        found |= dict.fromkeys(("corrected_t", "correlated_t", "wilcoxon", "mcnemar"))
        found["paired_t"] = paired_t(units)
        folds = (self.folds_CJ[winner] - self.folds_CJ[rival]).round(DIGITS)
        if self.num_folds > 1 and np.isfinite(folds).all():
            found["corrected_t"] = corrected_t(folds, num_folds=self.num_folds)
            found["correlated_t"] = correlated_t(folds, num_folds=self.num_folds, margin=self._margin)
        if self._mean:
            found["wilcoxon"] = signed_rank(units)
        if self._right_CG is not None:
            found["mcnemar"] = mcnemar(self._right_CG[winner], self._right_CG[rival])
        return found


def _right(known: Judgement, scored: list[Scored]) -> Floats | None:
    """(C, G) whether an image was right in the first repeat; None where that is not what is scored, or images have groups."""
    name = {"balanced_accuracy": "accuracy"}.get(known.metric.name, known.metric.name)
    if not known.metric.counted or any(name not in one.values for one in scored):
        return None
    values = np.stack([one.values[name][0] for one in scored]).round(DIGITS)
    return values if np.isin(values, (0, 1)).all() else None


def _t(differences: Floats, share: float) -> tuple[float, float, float]:
    """Mean, standard error and t of differences whose mean has `share` of their variance."""
    mean, error = float(differences.mean()), float(np.sqrt(share * differences.var(ddof=1)))
    if error > 0:
        return mean, error, mean / error
    return mean, error, 0.0 if mean == 0 else float(np.copysign(np.inf, mean))


def corrected_t(differences: Floats, *, num_folds: int) -> Record:
    """``statistic`` and two-sided ``p`` of the t test corrected for training sets that overlap.

    Without scatter t is 0 where all differences are 0, else infinite, with a p of 0.

    Args:
        differences: (J,) of the scores of every fold of every repeat, J >= 2.
        num_folds: K; a test fold is 1 / (K - 1) of what the learner gets, inner validation included.

    Source: Nadeau & Bengio 2003, Machine Learning 52:239.
    """
    J = len(differences)
    statistic = _t(differences, 1 / J + 1 / (num_folds - 1))[2]
    return {"statistic": statistic, "p": float(2 * t.sf(abs(statistic), J - 1))}


def correlated_t(differences: Floats, *, num_folds: int, margin: float) -> Record:
    """``worse``, ``equivalent``, ``better``: the posterior probability below, within and above the margin; sum 1.

    Without scatter all of it lies at the mean.

    Args:
        differences: (J,) as for `corrected_t`.
        num_folds: K.
        margin: a difference of at most this is of no consequence.

    Source: Corani & Benavoli 2015, Machine Learning 100:285, with the correlation 1 / K of equal folds.
    """
    J = len(differences)
    mean, error, _ = _t(differences, 1 / J + 1 / (num_folds - 1))
    if error == 0:
        worse, better = float(mean < -margin), float(mean > margin)
    else:
        worse, better = (float(t.sf((margin + side * mean) / error, J - 1)) for side in (1, -1))
    return {"worse": worse, "equivalent": 1 - worse - better, "better": better}


def paired_t(differences: Floats) -> Record:
    """``statistic`` and two-sided ``p`` of Student's t test; without scatter as `corrected_t`."""
    n = len(differences)
    statistic = _t(differences, 1 / n)[2]
    return {"statistic": statistic, "p": float(2 * t.sf(abs(statistic), n - 1))}


def signed_rank(differences: Floats) -> Record:
    """``statistic`` (the smaller sum of ranks) and two-sided ``p``; exact for few differences without ties, else normal.

    1 where all differences are 0.

    Source: Wilcoxon 1945, Biometrics Bulletin 1:80.
    """
    if not differences.any():
        return {"statistic": 0.0, "p": 1.0}
    found = wilcoxon(differences)
    return {"statistic": float(found.statistic), "p": float(found.pvalue)}


def mcnemar(right: Floats, other: Floats) -> Record:
    """How many images are right in the one or the other only (``only_winner``, ``only_other``), and the exact ``p``.

    1 where there is none.

    Args:
        right, other: (n,) 1 where an image is right, else 0.

    Source: McNemar 1947, Psychometrika 12:153; exact by the binomial distribution.
    """
    one, two = int((right > other).sum()), int((right < other).sum())
    p = binomtest(one, one + two).pvalue if one + two else 1.0
    return {"only_winner": one, "only_other": two, "p": float(p)}


def friedman(scores_CG: Floats, *, alpha: float) -> Record:
    """``mean_ranks`` (1 is best), ``chi2`` and its ``p``, ``F`` and ``p_F``, and ``critical_difference`` of two mean ranks.

    Chi-square is corrected for ties. F is infinite where every unit ranks alike. Where all scores of every unit are
    equal both are 0.

    Args:
        scores_CG: higher is better; three or more configurations, two or more units.
        alpha: of the critical difference, which holds for all pairs together.

    Source: Demsar 2006, Journal of Machine Learning Research 7:1.
    """
    C, n = scores_CG.shape
    ranks = rankdata(-scores_CG, axis=0).mean(axis=1)
    told = (scores_CG != scores_CG[0]).any()
    chi2, p = friedmanchisquare(*scores_CG) if told else (0.0, 1.0)
    ratio = iman_davenport(float(chi2), C, n)
    quantile = studentized_range.ppf(1 - alpha, C, np.inf) / np.sqrt(2)
    return {
        "mean_ranks": ranks.tolist(),
        "chi2": float(chi2),
        "p": float(p),
        "F": ratio,
        "p_F": float(f.sf(ratio, C - 1, (C - 1) * (n - 1))),
        "critical_difference": float(quantile * np.sqrt(C * (C + 1) / (6 * n))),
    }


def iman_davenport(chi2: float, C: int, n: int) -> float:
    """Friedman's chi-square of C configurations and n units as F with C - 1 and (C - 1)(n - 1) degrees of freedom."""
    left = n * (C - 1) - chi2
    return (n - 1) * chi2 / left if left > 1e-9 else float("inf")


def _adjust(tests: list[Record]) -> None:
    """To every test of one kind add ``p_holm`` and ``p_bh``, adjusted over the rivals of the winner."""
    if not tests:
        return
    p = np.array([test["p"] for test in tests])
    for test, strict, kind in zip(tests, holm(p), false_discovery_control(p), strict=True):
        test |= {"p_holm": float(strict), "p_bh": float(kind)}


def holm(p: Floats) -> Floats:
    """(m,) p values that hold for all m tests together, by Holm's steps, each at most 1.

    Source: Holm 1979, Scandinavian Journal of Statistics 6:65.
    """
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
