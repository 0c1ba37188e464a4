"""The textbook tests of a verdict: typed, frozen, as verdict.json has them."""

from __future__ import annotations

from foldwise.judging.verdict_configurations import VerdictPart


class TestDescription(VerdictPart):
    """A test's name in a report, its formula in words, its source, and when it misleads."""

    __test__ = False  # its name must not make pytest collect it

    title: str
    formula: str
    source: str
    misleads: str


class AdjustedP(VerdictPart):
    """A p value as it is, and adjusted over the rivals of the winner."""

    p: float
    p_holm: float
    p_bh: float


class StatisticTest(AdjustedP):
    """A test with a statistic, which is None where it is infinite."""

    statistic: float | None


class McNemarTest(AdjustedP):
    """Images that only one of two configurations has right."""

    only_winner: int
    only_other: int


class PosteriorShares(VerdictPart):
    """The posterior probability that the winner is worse, equivalent, or better."""

    worse: float
    equivalent: float
    better: float


class TextbookPair(VerdictPart):
    """The winner against one other configuration; a test is None where these scores do not allow it."""

    id: str
    difference: float
    corrected_t: StatisticTest | None
    correlated_t: PosteriorShares | None
    wilcoxon: StatisticTest | None
    mcnemar: McNemarTest | None
    paired_t: StatisticTest | None


class FriedmanTest(VerdictPart):
    """The Friedman test of all configurations, by their ranks on every unit."""

    mean_ranks: dict[str, float]
    chi2: float
    p: float
    F: float | None
    p_F: float
    critical_difference: float


class TextbookSection(VerdictPart):
    """The tests that reviewers ask for; nothing is decided by them."""

    against: str
    num_units: int
    num_folds: int
    num_fold_scores: int
    tests: dict[str, TestDescription]
    pairs: tuple[TextbookPair, ...]
    friedman: FriedmanTest | None
