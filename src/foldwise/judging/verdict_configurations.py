"""Results of configurations and baselines, on altered images and in speed too: typed, frozen, as verdict.json has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from foldwise.storage import as_json

WRITTEN = "written"  # the context in which values are validated that are as JSON has them already


class VerdictPart(BaseModel):
    """Anything in a verdict: immutable, without unknown fields, every missing number None."""

    # A field that is not described is a mistake, in a file as in the code that makes it.
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _as_json_has_it(cls, values: Any, info: ValidationInfo) -> Any:
        """Numbers of numpy become plain ones; nan and infinity, which JSON cannot say, become None."""
        if info.context == WRITTEN:  # every part would go through all that is in it once more
            return values
        return as_json(values, other=lambda part: part)  # parts of a verdict are plain already


class Endpoints:
    """What has the ends of an interval, both None where there is none."""

    if TYPE_CHECKING:
        low: Any
        high: Any

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its ends, the lower one first; None where there is no interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class ScoreEstimate(VerdictPart, Endpoints):
    """A score with its interval."""

    estimate: float | None
    low: float | None
    high: float | None


class FoldScore(VerdictPart):
    """The score of one fit on its test fold, by the metric that decides."""

    repeat: int
    fold: int
    score: float | None


Rank = Literal["winner", "could be best", "worse", "ruled out early", "incomplete", "failed"]


class MetricEstimate(ScoreEstimate):
    """A metric of one configuration, and how many classes or images could not be scored."""

    num_undefined: int


class PrecisionRecall(VerdictPart):
    """Precision, recall and F1; None for 0 / 0."""

    precision: float | None
    recall: float | None
    f1: float | None


class ClassPrecisionRecall(PrecisionRecall):
    """The same of one class, and how many images or pixels have it."""

    support: int


class SplitScores(VerdictPart):
    """Precision, recall and F1 on one part of the images: of every class, and their means."""

    classes: dict[str, ClassPrecisionRecall]
    macro: PrecisionRecall
    weighted: PrecisionRecall


class ScoresBySplit(VerdictPart):
    """The scores on the images that were trained on, chosen on, and tested on."""

    train: SplitScores
    validation: SplitScores
    test: SplitScores


TIMED = ("train_s", "evaluate_s", "latency_ms", "energy_j")  # costs that others on the same device lengthen


class Cost(VerdictPart):
    """Means over fits of what was measured; of scores from elsewhere nothing is.

    Times and energy are of the fits that had their device for themselves; `sharers` is how many programs shared it, at
    most, where none had.
    """

    train_s: float | None = None
    evaluate_s: float | None = None
    shared_features_s: float | None = None
    shared_pretrain_s: float | None = None
    parameters: float | None = None
    trainable_parameters: float | None = None
    peak_memory_mb: float | None = None
    shared_peak_memory_mb: float | None = None
    reserved_memory_mb: float | None = None
    energy_j: float | None = None
    shared_energy_j: float | None = None
    latency_ms: float | None = None
    device: str | None = None
    cache: str | None = None
    peak_memory_is: str | None = None
    energy_is: str | None = None
    sharers: float | None = None

    @property
    def most_memory_mb(self) -> float | None:
        """Megabytes at a time: of the fit, or of the shared pass of a frozen encoder where that needs more."""
        measured = (self.peak_memory_mb, self.shared_peak_memory_mb)
        return max((value for value in measured if value is not None), default=None)


class Failure(VerdictPart):
    """A fit that ended with an error."""

    item: str
    repeat: int
    fold: int
    type: str
    message: str


Measures = dict[str, bool | float | None]

Confusion = tuple[tuple[int, ...], ...] | tuple[tuple[tuple[int, ...], ...], ...]


class Standing(VerdictPart, Endpoints):
    """What the comparison says of one configuration; all None for one that is not compared."""

    verdict: Rank
    low: float | None = None
    high: float | None = None
    se: float | None = None
    run_sd: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    could_be_best: bool = False
    p_wins: float | None = None
    rank_low: int | None = None
    rank_high: int | None = None
    ruled_out_by: str | None = None
    equivalent: bool | None = None


class ConfigurationResult(Standing):
    """Everything that is known of one configuration."""

    id: str
    name: str
    levels: dict[str, str]
    estimate: float | None
    folds: tuple[FoldScore, ...]
    metrics: dict[str, MetricEstimate]
    per_class: dict[str, Measures]
    confusion: Confusion | None
    split_scores: ScoresBySplit | None
    cost: Cost
    num_done: int
    num_planned: int
    num_spared: int = 0
    failures: tuple[Failure, ...]
    lacks: str | None = None

    @property
    def compared(self) -> bool:
        """Whether it is complete, and so takes part in the comparison."""
        return self.verdict in ("winner", "could be best", "worse")


class TrivialBaseline(VerdictPart):
    """A predictor that never looks at the image; nothing in it was learnt, so it has no interval."""

    id: str
    kind: Literal["trivial"] = "trivial"
    name: str
    sentence: str
    estimate: float | None
    metrics: dict[str, ScoreEstimate]
    per_class: dict[str, Measures]


class ShallowBaseline(VerdictPart, Endpoints):
    """A simple classifier of pixels, judged like every configuration but never the winner."""

    id: str
    kind: Literal["shallow"] = "shallow"
    name: str
    sentence: str
    estimate: float | None
    low: float | None
    high: float | None
    folds: tuple[FoldScore, ...]
    metrics: dict[str, ScoreEstimate]
    per_class: dict[str, Measures]
    cost: Cost
    p: float | None
    p_winner: float | None
    difference: float | None
    beaten: bool | None


BaselineResult = Annotated[ShallowBaseline | TrivialBaseline, Field(discriminator="kind")]


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
    joules_per_image: float | None = None


# What keeps training from being faster: loading images, what every step takes however few they are, or the device.
Bottleneck = Literal["loading", "steps", "device"]


class SpeedPoint(VerdictPart):
    """How fast a model is at one batch size and what it is held up by, or why that is not known."""

    batch_size: int
    train: Speed | None
    limit: Speed | None
    inference: Speed | None
    peak_memory_mb: float | None
    problem: str | None
    bottleneck: Bottleneck | None = None


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
