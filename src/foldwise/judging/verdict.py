"""The verdict: everything that a report, a command or a person may read of a judged run, typed and frozen.

verdict.json is its dump; docs/verdict.md describes every field. `foldwise.judging.judge` makes it of a run,
`foldwise.judging.external` of scores from elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from foldwise.errors import RunError
from foldwise.judging.verdict_sections import (
    AATestSection,
    BoundarySection,
    CalibrationSection,
    FactorsSection,
    FoldScore,
    ModelThroughput,
    RobustnessSection,
    ScoreEstimate,
    TextbookSection,
    ThresholdsSection,
    VerdictPart,
)
from foldwise.storage import read_json

SCHEMA = 2  # raised when a key of verdict.json changes its name or its meaning

State = Literal[
    "nothing_done",
    "incomplete",
    "not_better_than_trivial",
    "single_configuration",
    "several_tied",
    "clear_winner",
]
Conclusion = Literal["better", "equivalent", "not distinguishable"]
Rank = Literal["winner", "could be best", "worse", "incomplete", "failed"]


class MetricFacts(VerdictPart):
    """A metric: its name, which way is better, and over what it averages."""

    name: str
    title: str
    higher_is_better: bool
    averaging: str
    bounded: bool

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.higher_is_better else -1


class DecidingMetric(MetricFacts):
    """The metric that decides, and the difference in it that is of no consequence."""

    equivalent_within: float


class Answer(VerdictPart):
    """The winner, its numbers, and the sentence that says how sure it is."""

    configuration: str
    name: str
    estimate: float
    low: float | None
    high: float | None
    sentence: str
    num_ruled_out: int
    num_tied: int
    minimal_detectable_difference: float | None


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


class Cost(VerdictPart):
    """Means over fits of what was measured; of scores from elsewhere nothing is."""

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


class Failure(VerdictPart):
    """A fit that ended with an error."""

    item: str
    repeat: int
    fold: int
    type: str
    message: str


class FailedItem(VerdictPart):
    """An item that is no fit and ended with an error."""

    item: str
    kind: str
    title: str
    type: str
    message: str


Measures = dict[str, bool | float | None]
Confusion = tuple[tuple[int, ...], ...] | tuple[tuple[tuple[int, ...], ...], ...]


class Standing(VerdictPart):
    """What the comparison says of one configuration; of one that is not compared nothing but that it is not."""

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
    failures: tuple[Failure, ...]
    lacks: str | None = None

    @property
    def compared(self) -> bool:
        """Whether it is complete, and so takes part in the comparison."""
        return self.verdict in ("winner", "could be best", "worse")

    @property
    def has_interval(self) -> bool:
        """Whether both ends of the interval are known."""
        return self.low is not None and self.high is not None


class TrivialBaseline(VerdictPart):
    """A predictor that never looks at the image; nothing in it was learnt, so it has no interval."""

    id: str
    kind: Literal["trivial"] = "trivial"
    name: str
    sentence: str
    estimate: float | None
    metrics: dict[str, ScoreEstimate]
    per_class: dict[str, Measures]


class ShallowBaseline(VerdictPart):
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


class SelectionSection(VerdictPart):
    """The winner's score before and after it is corrected for having been chosen."""

    naive: float
    corrected: float
    low: float | None
    high: float | None
    optimism: float


class VerdictWarning(VerdictPart):
    """What a reader must know before believing the answer: a code for machines, a sentence, and a cure."""

    code: str
    message: str
    cure: str


class PairResult(VerdictPart):
    """Two configurations by id: `a` has the better estimate."""

    a: str
    b: str
    conclusion: Conclusion
    difference: float
    low: float
    high: float
    low_all: float
    high_all: float
    p: float
    p_all: float
    minimal_detectable_difference: float


class Verdict(VerdictPart):
    """The verdict of a run or of scores from elsewhere; what one of them does not have is None or empty."""

    alpha: float
    study: str | None
    title: str | None
    task: str | None
    classes: tuple[str, ...]
    files: tuple[str, ...]
    recognised: tuple[str, ...]
    num_images: int
    num_groups: int | None
    folds: int
    repeats: int
    num_done: int
    num_planned: int
    finished: str | None
    metric: DecidingMetric
    metrics: dict[str, MetricFacts]
    state: State
    answer: Answer | None
    configurations: tuple[ConfigurationResult, ...]
    baselines: tuple[BaselineResult, ...]
    thresholds: ThresholdsSection | None
    boundary: BoundarySection | None
    calibration: CalibrationSection | None
    selection: SelectionSection | None
    warnings: tuple[VerdictWarning, ...]
    pairs: tuple[PairResult, ...]
    factors: FactorsSection | None
    aa_test: AATestSection | None
    textbook: TextbookSection | None
    robustness: RobustnessSection | None
    failed_items: tuple[FailedItem, ...]
    throughput: tuple[ModelThroughput, ...]

    @property
    def confidence(self) -> str:
        """Of every interval: ``95 %``."""
        return f"{100 * (1 - self.alpha):g} %"

    @property
    def reach(self) -> str:
        """What it holds for: ``training as in this study, on images like these 80 in 50 groups``."""
        weights_only = any(warning.code == "NO_RUN_VARIANCE" for warning in self.warnings)
        what = "these trained weights only" if weights_only else "training as in this study"
        groups = f" in {self.num_groups} groups" if self.num_groups else ""
        return f"{what}, on images like these {self.num_images}{groups}"

    def configuration(self, id: str) -> ConfigurationResult:
        """The configuration of this id; KeyError where there is none."""
        return next_with(self.configurations, id)

    def dump(self) -> dict[str, Any]:
        """The verdict as verdict.json has it."""
        return {"schema": SCHEMA} | self.model_dump(mode="json")

    @classmethod
    def load(cls, record: dict[str, Any], *, where: str = "verdict.json") -> Verdict:
        """The verdict that `dump` has made a record of.

        Raises:
            RunError: it is of another version of foldwise, or damaged.
        """
        if not isinstance(record, dict) or record.get("schema") != SCHEMA:
            schema = record.get("schema") if isinstance(record, dict) else None
            raise RunError(
                f"this verdict has schema {schema}, and this version of foldwise reads schema {SCHEMA}",
                where=where,
                cure="Judge again: `foldwise report` of the run folder, or `foldwise judge` of the scores; nothing is trained.",
            )
        try:
            return cls.model_validate({key: value for key, value in record.items() if key != "schema"})
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise RunError(
                f"the verdict is damaged at {field}: {first['msg']}",
                where=where,
                cure="Judge again: `foldwise report` of the run folder, or `foldwise judge` of the scores; nothing is trained.",
            ) from None


def next_with(configurations: tuple[ConfigurationResult, ...], id: str) -> ConfigurationResult:
    """The configuration of this id; KeyError where there is none."""
    for configuration in configurations:
        if configuration.id == id:
            return configuration
    raise KeyError(id)


def read_verdict(path: Path) -> Verdict:
    """The verdict that was written to `path`.

    Raises:
        RunError: there is none, it is of another version of foldwise, or damaged.
    """
    return Verdict.load(read_json(path), where=str(path))
