"""The verdict: everything that a report, a command or a person may read of a judged run, typed and frozen.

verdict.json is its dump; docs/verdict.md describes every field. `foldwise.judging.judge` makes it of a run,
`foldwise.judging.external` of scores from elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import ValidationError

from foldwise.errors import RunError
from foldwise.judging.verdict_configurations import (
    WRITTEN,
    BaselineResult,
    ConfigurationResult,
    Endpoints,
    ModelThroughput,
    RobustnessSection,
    VerdictPart,
)
from foldwise.judging.verdict_sections import (
    AATestSection,
    BoundarySection,
    CalibrationSection,
    ExternalSection,
    FactorsSection,
    RaceSection,
    SearchSection,
    ThresholdsSection,
)
from foldwise.judging.verdict_textbook import TextbookSection
from foldwise.sealed import read_json

CURE = (
    "Judge again: `foldwise report` of the run folder, or `foldwise judge` of the scores; nothing is trained."
)
SCHEMA = 2  # raised when a key of verdict.json changes its name or its meaning

State = Literal[
    "nothing_done",
    "incomplete",
    "no_better_than_trivial",
    "too_few_runs",
    "too_few_images",
    "single_configuration",
    "several_tied",
    "clear_winner",
]

# The best configuration is not shown to be better than a trivial predictor: it is shown to be no better, or what hides
# the difference is the luck of runs, or that of images. A reader must not take one for another.
TRIVIAL_UNBEATEN: tuple[State, ...] = ("no_better_than_trivial", "too_few_runs", "too_few_images")

# Who divided the images: foldwise into folds, the groups, somebody else into folds, or somebody else into one split.
Division = Literal["dealt_folds", "leave_one_group_out", "given_folds", "given_split"]

Conclusion = Literal["better", "equivalent", "not distinguishable"]

Family = Literal["best", "all pairs"]  # over which an interval holds together with others

Key = TypeVar("Key", int, str)  # of a configuration: its place, or its id


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


class Answer(VerdictPart, Endpoints):
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


class FailedItem(VerdictPart):
    """An item that is no fit and ended with an error."""

    item: str
    kind: str
    title: str
    type: str
    message: str


class SelectionSection(VerdictPart, Endpoints):
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


class Pair(VerdictPart, Generic[Key]):
    """The configuration with the better estimate, `a`, against another, `b`: by their places while they are compared.

    In a verdict by their ids, and in the sign of the metric; before, higher is better.

    Attributes:
        conclusion: ``better``: a, beyond chance. ``equivalent``: the whole interval lies within the margin, whether or
            not the two differ beyond chance. Else ``not distinguishable``.
        difference: estimate of a minus that of b.
        low, high: of this pair alone.
        family: over what `low_all` and `high_all` are simultaneous; `conclusion` rests on them.
        p, p_all: of this pair alone, and adjusted for the family.
        minimal_detectable_difference: what a test of that family would have seen with 80 % power.
    """

    a: Key
    b: Key
    conclusion: Conclusion
    family: Family
    difference: float
    low: float
    high: float
    low_all: float
    high_all: float
    p: float
    p_all: float
    minimal_detectable_difference: float


CostName = Literal["latency_ms", "batched_ms", "train_s", "memory_mb", "parameters", "energy_j"]


class FrontMember(VerdictPart):
    """A configuration that no other beats in both score and cost, by the estimates."""

    id: str
    cost: float
    not_better_than: str | None


class CostFront(VerdictPart):
    """Score against one cost: what it is of every configuration, those that nothing beats in both, and a cheaper winner."""

    cost: CostName
    values: dict[str, float]
    members: tuple[FrontMember, ...]
    cheapest_rival: str | None


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
    split: Division | None
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
    pairs: tuple[Pair[str], ...]
    factors: FactorsSection | None
    aa_test: AATestSection | None
    textbook: TextbookSection | None
    robustness: RobustnessSection | None
    search: SearchSection | None
    race: RaceSection | None = None
    external: ExternalSection | None
    failed_items: tuple[FailedItem, ...]
    throughput: tuple[ModelThroughput, ...]
    cost_fronts: tuple[CostFront, ...] = ()
    cost_sentences: tuple[str, ...] = ()

    @property
    def confidence(self) -> str:
        """Of every interval: ``95 %``."""
        return f"{100 * (1 - self.alpha):g} %"

    @property
    def beats_trivial(self) -> bool:
        """Whether the winner is shown to be better than every trivial predictor; False while there is no winner."""
        return self.answer is not None and self.state not in TRIVIAL_UNBEATEN

    @property
    def reach(self) -> str:
        """What it holds for: ``training as in this study, on images like these 80 in 50 groups``."""
        weights_only = any(warning.code == "NO_RUN_VARIANCE" for warning in self.warnings)
        what = "these trained weights only" if weights_only else "training as in this study"
        groups = f" in {self.num_groups} groups" if self.num_groups else ""
        return f"{what}, on images like these {self.num_images}{groups}"

    @property
    def left_out(self) -> tuple[VerdictWarning, ...]:
        """Of what the answer knows nothing: to be said before it."""
        return tuple(warning for warning in self.warnings if warning.code == "MISSING_RUNS")

    @property
    def cautions(self) -> tuple[VerdictWarning, ...]:
        """All other warnings, to be said after it."""
        return tuple(warning for warning in self.warnings if warning.code != "MISSING_RUNS")

    def configuration(self, id: str) -> ConfigurationResult:
        """The configuration of this id; KeyError where there is none."""
        return {configuration.id: configuration for configuration in self.configurations}[id]

    def __repr__(self) -> str:
        """Its answer; all of it is a page of numbers, which `dump` has."""
        answer = self.answer.sentence if self.answer else "no answer yet"
        return f"Verdict({self.study or 'scores'!r}: {answer})"

    def dump(self) -> dict[str, Any]:
        """The verdict as verdict.json has it."""
        return {"schema": SCHEMA} | self.model_dump(mode="json")

    @classmethod
    def load(cls, record: Any, *, where: str = "verdict.json") -> Verdict:
        """The verdict that `dump` has made a record of.

        Raises:
            RunError: it is of another version of foldwise, or damaged.
        """
        if not isinstance(record, dict) or "schema" not in record:
            raise RunError("this is no verdict of foldwise", where=where, cure=CURE)
        # Never read with a guess at what a key meant in another version: judging again costs seconds.
        if record["schema"] != SCHEMA:
            what = f"this verdict has schema {record['schema']}, and this version of foldwise reads schema {SCHEMA}"
            raise RunError(what, where=where, cure=CURE)
        try:
            fields = {key: value for key, value in record.items() if key != "schema"}
            return cls.model_validate(fields, context=WRITTEN)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            what = f"the verdict is damaged at {field}: {first['msg']}"
            raise RunError(what, where=where, cure=CURE) from None


def read_verdict(path: Path) -> Verdict:
    """The verdict that was written to `path`.

    Raises:
        RunError: there is none, it is of another version of foldwise, or damaged.
    """
    return Verdict.load(read_json(path), where=str(path))
