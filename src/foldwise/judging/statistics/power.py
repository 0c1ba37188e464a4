"""What a study will be able to see, before anything is trained, by the calculation that judges it afterwards.

The variance of a score is not known before training, so that of runs is what the prior of `run_variance` expects, and that
of images a plausible one; degrees of freedom, draws and limits are those that the verdict will have. How hard the images
are is not known either, so two numbers are said: for images of middling difficulty, and where nearly all are easy. After the
run, the verdict says what the study could see from its own scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf
from typing import Self

import numpy as np

from foldwise.data.cases import Dataset
from foldwise.data.folds.splits import Split, cases_tested
from foldwise.judging.statistics.inference import POWER, Comparison, compare
from foldwise.judging.statistics.run_moments import PRIOR_SD
from foldwise.judging.statistics.run_variance import ScoreRuns, expected_runs
from foldwise.judging.statistics.variance import Variance
from foldwise.metrics.outputs import FAMILIES
from foldwise.metrics.table import Metric, choose_metric
from foldwise.study.spec import Study
from foldwise.study.training import Task
from foldwise.text import count

MAX_REPEATS = 10
MAX_DRAWN = 60  # configurations: the limits of more are those of so many within a twentieth, and take long
DRAWS = 4000
EASY = 0.98  # a mean score: nearly all images are easy; gels, photographs of cells and the demo are so
# Degrees of freedom of one configuration: with fewer, little but the prior is known of runs; and what the cure asks for.
MIN_RUNS, ENOUGH_RUNS = 3, 4


@dataclass(frozen=True)
class Scatter:
    """Variance over images of a paired difference, for one unit: `lasting` whatever the repeats, `by_run` divided by them.

    `share` is the score in the middle of which it is so: luck of runs has less room near the ends.
    """

    lasting: float
    by_run: float
    share: float = 0.8

    def of_unit(self, repeats: int) -> float:
        """The variance over images of the difference of two configurations on one unit."""
        return self.lasting + self.by_run / repeats

    def at(self, share: float) -> Scatter:
        """The same where the mean score is `share`; variance shrinks as that of right and wrong answers does."""
        left = share * (1 - share) / (self.share * (1 - self.share))
        return Scatter(self.lasting * left, self.by_run * left, share)


# What is left of the detectable differences of the simulation of the design (0.18, 0.12, 0.10 for 1, 3, 5 repeats of 92
# images that are right or wrong; 0.056 for 3 repeats of graded ones) when the expected part of runs is taken off.
COUNTED = Scatter(lasting=0.05, by_run=0.27)  # each image is right or wrong
GRADED = Scatter(lasting=0.01, by_run=0.03)  # each image has a score between 0 and 1


@dataclass(frozen=True)
class Design:
    """What a study is made of, as far as it decides what can be seen.

    Attributes:
        units: images, or groups, that count; of unbalanced classes fewer than there are.
        num_configurations: two or more.
    """

    units: float
    folds: int
    repeats: int
    num_configurations: int


def foretold(scatter: Scatter, design: Design, *, num_folds: int | None = None) -> Variance:
    """The variance that a study of this design is expected to have; all estimates are the same.

    `num_folds` are those of the study, where the design is that of some of its folds.
    """
    C, units = min(design.num_configurations, MAX_DRAWN), max(design.units, design.folds + 1)
    image = np.eye(C) * scatter.of_unit(design.repeats) / 2 / units
    scale = 2 * float(np.sqrt(scatter.share * (1 - scatter.share)))
    # Runs are looked for in deviations from the mean over configurations, and over repeats where there are several.
    varying = scatter.of_unit(1) if design.repeats == 1 else scatter.by_run * (1 - 1 / design.repeats)
    noise = varying / 2 * (1 - 1 / C) * design.folds / units
    runs, in_mean = expected_runs(
        C,
        folds=design.folds,
        repeats=design.repeats,
        units=units,
        noise=noise,
        scale=scale,
        num_folds=num_folds,
    )
    return Variance(
        estimate=np.zeros(C),
        image=image,
        root=np.sqrt(image),
        run=runs.used,
        run_of_mean=runs.used * in_mean,
        pair_floor=0.0,
        df_image=units - 1,
        df_run=runs.df,
        score_runs=ScoreRuns(np.full(C, (scale * PRIOR_SD) ** 2), 0.0, runs.df, conflict=False),
        in_mean=in_mean,
        shared=runs.shared,
        reach=1.0,
    )


def foresee(scatter: Scatter, design: Design) -> Comparison:
    """What comparisons under this variance will be able to tell."""
    return compare(foretold(scatter, design), draws=DRAWS, most=DRAWS)


def detectable_pair(scatter: Scatter, design: Design) -> float:
    """The difference of two configurations, chosen beforehand, that 80 % of such studies see."""
    variance = foretold(scatter, design)
    limit = compare(variance, draws=DRAWS, most=DRAWS).alone[0, 1]
    return float((limit + POWER) * variance.of_differences()[0, 1])


@dataclass(frozen=True)
class Data:
    """Of the images that a study tests, what decides what it can see.

    Attributes:
        task: as recognised in the data.
        labels: of every image; empty ones for a segmentation.
        groups: the final group of every image.
    """

    task: Task
    labels: Sequence[Sequence[int]]
    groups: Sequence[str]

    @classmethod
    def tested(cls, dataset: Dataset, groups: Sequence[str], splits: Sequence[Split]) -> Self:
        """Of the images that are tested: where a single split is given, only of its test part."""
        cases = cases_tested(splits).tolist()
        labels = [dataset.cases[case].labels for case in cases]
        return cls(dataset.task, labels, [groups[case] for case in cases])


def planned(
    study: Study, data: Data, *, num_configurations: int, folds: int | None = None
) -> tuple[Scatter, Design] | None:
    """What is plausible for the metric of a study, and what the study is made of; arguments as of `before_training`."""
    metric = choose_metric(study.judge.metric, FAMILIES[data.task])
    scatter = scatter_of(metric)
    if num_configurations < 2 or scatter is None:
        return None
    class_counts = np.bincount([label for row in data.labels for label in row], minlength=1)
    counted = class_counts if data.task.endswith("classification") else np.array([])
    num_units, num_images = len(set(data.groups)), len(data.groups)
    units = effective_units(counted, num_units=num_units, num_images=num_images, metric=metric)
    design = Design(units, folds or study.validate_.folds, study.validate_.repeats, num_configurations)
    return scatter, design


def before_training(
    study: Study, data: Data, *, num_configurations: int, folds: int | None = None
) -> str | None:
    """What the study will be able to see, in words; None where it compares nothing or nothing plausible is known.

    Args:
        study: its folds, repeats, metric and margin.
        data: the images that are tested.
        num_configurations: how many it compares.
        folds: that there really are, where they are given or are one per group.

    Raises:
        SpecError: the task has no such metric.
    """
    assumed = planned(study, data, num_configurations=num_configurations, folds=folds)
    if assumed is None:
        return None
    num_units = len(set(data.groups))
    kind = ("group", "groups") if num_units < len(data.groups) else ("image", "images")
    target, is_given = study.judge.equivalent_within, study.validate_.is_given
    return in_words(*assumed, target=target, kind=kind, all_units=num_units, is_given=is_given)


def scatter_of(metric: Metric) -> Scatter | None:
    """What is plausible for a metric; None for losses, whose scale nobody knows beforehand."""
    if not metric.bounded:
        return None
    # Right or wrong scatters far more than a score between 0 and 1, so it takes more images to see as much.
    return COUNTED if metric.counted else GRADED


def effective_units(class_counts: np.ndarray, *, num_units: int, num_images: int, metric: Metric) -> float:
    """How many units count: of a mean over classes, K^2 / sum(1 / n_k), which is n for equal classes.

    Args:
        class_counts: (K,) images of every class that is scored; empty for a segmentation.
        num_units, num_images: groups count, where images have them.
        metric: whose average it is.
    """
    scored = class_counts[class_counts > 0].astype(float)
    if metric.groups_equal or not len(scored):
        return float(num_units)
    return min(float(len(scored) ** 2 / (1 / scored).sum()), float(num_images)) * num_units / num_images


def in_words(
    scatter: Scatter,
    design: Design,
    *,
    target: float,
    kind: tuple[str, str],
    all_units: int,
    is_given: bool = False,
) -> str:
    """A few sentences for people.

    Args:
        scatter: what is assumed.
        design: of the study.
        target: the difference that is of consequence; 0 asks nothing.
        kind: ``("image", "images")``, or groups.
        all_units: how many are tested; of unbalanced classes fewer count.
        is_given: whether the folds are, so that more of them are no cure.
    """
    noun, counts = kind[1], round(design.units)
    size = f"{all_units:,} {noun} in {_shape(design)}"
    if counts < 0.9 * all_units:
        size += f" (unbalanced classes: worth {counts:,})"
    comparison = foresee(scatter, design)
    sentence = f"With {size}, two configurations can be told apart if they differ by about {detectable_pair(scatter, design):.2g}"
    if design.num_configurations > 2:
        best = comparison.minimal_detectable_difference
        sentence += f", the best of {design.num_configurations} and another by about {best:.2g}"
    easy = foresee(scatter.at(EASY), design).minimal_detectable_difference
    sentence += (
        f", where images are of middling difficulty (scores of about {scatter.share:g}); by about {easy:.2g} where nearly all "
        f"are easy ({EASY:g}). The verdict says what was really seen."
    )
    return (
        sentence
        + _too_few_runs(design, is_given=is_given)
        + _cure(scatter, design, comparison, target, noun, all_units)
    )


def _shape(design: Design) -> str:
    """``5 folds and 3 repeats``; of one fold nobody would say that, as it is a split."""
    if design.folds > 1:
        return f"{count(design.folds, 'fold')} and {count(design.repeats, 'repeat')}"
    times = "once" if design.repeats == 1 else count(design.repeats, "time")
    return f"the test part of a single split, trained {times}"


def _too_few_runs(design: Design, *, is_given: bool) -> str:
    """That a design cannot answer, whatever comes out: its folds tell next to nothing of the luck of runs."""
    df = design.folds - 1 if design.repeats == 1 else (design.repeats - 1) * design.folds
    if df >= MIN_RUNS:
        return ""
    cure = f" Set validate.repeats to {1 + ceil(ENOUGH_RUNS / design.folds)} or more"
    cure += "." if is_given or design.folds == 1 else ", or validate.folds to 5 or more."
    if not df:
        return (
            " Trained once, this tells nothing of the luck of a run: it holds for these trained weights only."
            + cure
        )
    shape = _shape(design)
    return (
        f" {shape[0].upper()}{shape[1:]}: too few runs to know their luck, so intervals will be wide." + cure
    )


def _cure(
    scatter: Scatter, design: Design, comparison: Comparison, target: float, noun: str, all_units: int
) -> str:
    """What it takes to see the difference that is of consequence."""
    if not 0 < target < comparison.minimal_detectable_difference:
        return ""
    need = all_units * comparison.times_as_many(target)
    more = (
        f" To see {target:g} takes about {_rough(need)} {noun}"
        if need < inf
        else f" No number of {noun} shows {target:g}, as equal runs differ by about as much"
    )
    for repeats in range(design.repeats + 1, MAX_REPEATS + 1):
        other = Design(design.units, design.folds, repeats, design.num_configurations)
        if foresee(scatter, other).minimal_detectable_difference <= target:
            return f"{more}, or {repeats} repeats."
    return f"{more}; repeats alone will not do."


def _rough(number: float) -> str:
    step = 10 ** max(len(str(ceil(number))) - 2, 0)
    return f"{ceil(number / step) * step:,}"
