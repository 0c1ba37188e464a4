"""The sections of a verdict, from thresholds to searches: typed, frozen, as verdict.json has them."""

from __future__ import annotations

from typing import Literal

from foldwise.judging.verdict_configurations import Endpoints, MetricEstimate, ScoreEstimate, VerdictPart


class ClassThreshold(VerdictPart, Endpoints):
    """The thresholds of one label over the fits."""

    mean: float | None
    median: float | None
    low: float | None
    high: float | None
    num_fits: int
    num_never: int
    num_matched: int
    validation_positives: float


class ThresholdMethodScores(VerdictPart):
    """What the test folds of the winner say of one way to set thresholds."""

    method: str
    sentence: str
    f1_macro: float | None
    f1_micro: float | None


class ThresholdsSection(VerdictPart):
    """The thresholds of the winner, and every method side by side."""

    method: str
    sentence: str
    configuration: str
    classes: dict[str, ClassThreshold]
    compared: tuple[ThresholdMethodScores, ...]


class ClassDistance(VerdictPart, Endpoints):
    """HD95 of one class: the median over units in pixels, and the images it rests on."""

    median: float | None
    low: float | None
    high: float | None
    num_images: int
    num_capped: int


class BoundaryDistances(VerdictPart):
    """The distances of boundaries of one configuration, by class."""

    id: str
    name: str
    hd95: dict[str, ClassDistance]


class BoundarySection(VerdictPart):
    """Distances between predicted and true boundaries, of every complete configuration."""

    tolerance_px: float
    configurations: tuple[BoundaryDistances, ...]


class FoldTemperature(VerdictPart):
    """The temperature of one fit."""

    repeat: int
    fold: int
    temperature: float


class TemperatureRange(VerdictPart):
    """The temperatures of the fits of one configuration."""

    median: float
    low: float
    high: float
    folds: tuple[FoldTemperature, ...]


class ReliabilityBin(VerdictPart, Endpoints):
    """One interval of probabilities: their mean, and the share of them that came true."""

    mean: float
    share: float
    low: float | None
    high: float | None
    count: int


class Overconfidence(ScoreEstimate):
    """The mean probability of the decisions minus the share of them that are right."""

    conclusion: Literal["over-confident", "under-confident", "undecided"]


class Reliability(VerdictPart):
    """How far probabilities mean what they say; of a segmentation only the bins."""

    brier: float | None
    log_loss: float | None
    ece: float | None
    ece_perfect: float | None
    bins: tuple[ReliabilityBin, ...] | None
    overconfidence: Overconfidence | None


class ConfigurationCalibration(VerdictPart):
    """One configuration before and after temperature; a segmentation has no temperature."""

    id: str
    name: str
    temperature: TemperatureRange | None
    before: Reliability
    after: Reliability | None


class CalibrationSection(VerdictPart):
    """Whether probabilities mean what they say, of every complete configuration."""

    of: str
    descriptive: bool
    num_bins: int
    configurations: tuple[ConfigurationCalibration, ...]


class VarianceShare(VerdictPart):
    """How much of the differences between configurations comes from a factor, or from two together."""

    factors: tuple[str, ...]
    share: float | None


class LevelMean(VerdictPart):
    """The marginal mean of one level, and its costs."""

    level: str
    settings: tuple[str, ...]
    mean: float | None
    cost: dict[str, float | None]


LevelConclusion = Literal["better", "equivalent", "not distinguishable", "not tested", "not estimable"]


class LevelPair(VerdictPart, Endpoints):
    """The difference of two levels; `a` has the better mean."""

    a: str
    b: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    conclusion: LevelConclusion
    agree: int
    matched: int


class MatchedSet(VerdictPart):
    """Configurations that differ in one factor only: the levels of the others, and the score of each level."""

    levels: tuple[str, ...]
    scores: tuple[float | None, ...]


class FactorEffect(VerdictPart):
    """What one factor does, in one view."""

    factor: str
    view: Literal["as configured", "as tuned"] | None
    covariate: bool
    sentence: str
    levels: tuple[LevelMean, ...]
    pairs: tuple[LevelPair, ...]
    others: tuple[str, ...]
    sets: tuple[MatchedSet, ...]

    def level_of(self, settings: set[str]) -> str | None:
        """The level that these are, or that they are settings of; None where they are several."""
        for level in self.levels:
            if settings <= {level.level, *level.settings} or set(level.settings) <= settings:
                return level.level
        return None


class FactorsSection(VerdictPart):
    """What every factor does, over the complete configurations."""

    full: bool
    num_compared: int
    num_planned: int
    noise: float | None
    shares: tuple[VarianceShare, ...] | None
    sentence: str
    factors: tuple[FactorEffect, ...]

    def effect(self, factor: str) -> FactorEffect | None:
        """What a factor does, of a nested one over all its settings; None where it was not compared."""
        views = (effect for effect in self.factors if effect.factor == factor and effect.view != "as tuned")
        return next(views, None)


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


class ExternalSection(VerdictPart):
    """What the winner's models score on a fixed external set, which nothing was trained or chosen on."""

    path: str
    configuration: str
    name: str
    num_models: int
    num_images: int
    num_groups: int | None
    metric: str
    metrics: dict[str, MetricEstimate]
    by_model: tuple[float | None, ...]
    sentence: str


class SearchChoice(VerdictPart):
    """What a search chose in one fold, and by which validation score."""

    repeat: int
    fold: int
    trial: int
    validation: float
    values: dict[str, str]
    at_edge: tuple[str, ...]


class SearchArm(VerdictPart):
    """The searches of one configuration in all folds."""

    configuration: str
    name: str
    num_tried: int
    num_failed: int
    num_stopped: int
    num_to_come: int
    seconds: float
    chosen: tuple[SearchChoice, ...]


class SearchSection(VerdictPart):
    """How configurations were tuned, what each fold chose, and what may be said of it."""

    sampler: str
    space: dict[str, str]
    trials_per_fold: int
    hours: float | None
    in_flight: int
    halving: bool
    chosen_by: str | None
    reproducible: bool
    sentence: str
    arms: tuple[SearchArm, ...]


class RaceLook(VerdictPart):
    """A look into a race: after which fold of which repeat, of how many images or groups, and whom it ruled out."""

    repeat: int
    fold: int
    after: str
    num_units: int
    num_compared: int
    ruled_out: tuple[str, ...]


class RaceSection(VerdictPart):
    """What was trained no further, as it was shown not to be best, and what that spared."""

    alpha: float
    spent: float
    num_looks: int
    looks: tuple[RaceLook, ...]
    num_ruled_out: int
    num_spared: int
    seconds_spared: float | None
    sentence: str
