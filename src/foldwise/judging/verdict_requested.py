"""The sections of a verdict that only a study has that asks for them: A/A test, textbook tests, robustness, speed."""

from __future__ import annotations

from foldwise.judging.verdict_configurations import ScoreEstimate, VerdictPart


class AATestPairs(VerdictPart):
    """How often the tests call two of the equal configurations different."""

    num: int
    num_alarms: int
    num_alarms_all: int
    smallest_p: float
    smallest_p_all: float


class AATestSection(VerdictPart):
    """One configuration against copies of itself that were trained under other seeds."""

    configuration: str
    estimates: tuple[float, ...]
    num_planned: int
    largest_difference: float
    sd: float
    pairs: AATestPairs | None
    sentence: str


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


class Condition(VerdictPart):
    """The scores on test images that were blurred and made noisy by so much."""

    blur_px: float
    noise: float
    metrics: dict[str, ScoreEstimate]


class ConfigurationRobustness(VerdictPart):
    """One configuration in every condition."""

    id: str
    name: str
    conditions: tuple[Condition, ...]


class RobustnessSection(VerdictPart):
    """How much of its score every configuration keeps on blurred and noisy images."""

    blur_px: tuple[float, ...]
    noise: tuple[float, ...]
    metrics: tuple[str, ...]
    configurations: tuple[ConfigurationRobustness, ...]


class Speed(VerdictPart):
    """Images per second: the median of some repeats with the slowest and the fastest."""

    median: float
    low: float
    high: float
    repeats: int


class SpeedPoint(VerdictPart):
    """How fast a model is at one batch size, or why that is not known."""

    batch_size: int
    train: Speed | None
    limit: Speed | None
    inference: Speed | None
    peak_memory_mb: float | None
    problem: str | None


class ModelThroughput(VerdictPart):
    """The speed of one model on one device with one cache; only the first four are known of one that failed."""

    title: str
    model: str
    cache: str
    error: str | None
    cache_used: str | None
    device: str | None
    device_name: str | None
    precision: str | None
    threads: int | None
    parameters: int | None
    fill_s: float | None
    peak_memory_is: str | None
    cores: int | None
    others_busy: float | None
    points: tuple[SpeedPoint, ...] | None
