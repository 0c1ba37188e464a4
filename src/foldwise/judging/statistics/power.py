"""What a study will be able to see, estimated before anything is trained.

The variance of a score is not known before training, so a plausible one is assumed: that of many small networks really
trained on phantoms of known truth, by the variance model of `variance` (statistics.md 1.8). It is rough: where every image is
easy, far smaller differences are seen (a tenth, on the demo). After the run, the verdict says what the study could see
from its own scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, inf

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from foldwise.judging.statistics.inference import POWER
from foldwise.metrics.outputs import FAMILIES
from foldwise.metrics.table import Metric, choose_metric
from foldwise.study.spec import Study
from foldwise.study.training import Task
from foldwise.text import count

MAX_REPEATS = 10


@dataclass(frozen=True)
class Scatter:
    """Variance of a paired difference, for one unit: `lasting` whatever the repeats, `by_run` divided by them.

    The square of the standard error is (lasting + by_run / repeats) / units.
    """

    lasting: float
    by_run: float

    def error(self, units: float, repeats: int) -> float:
        """The standard error of the difference of two configurations."""
        return float(np.sqrt((self.lasting + self.by_run / repeats) / units))


# Solved from the detectable differences of statistics.md 1.8: 0.18, 0.12, 0.10 for 1, 3, 5 repeats of 92 images.
COUNTED = Scatter(lasting=0.062, by_run=0.318)  # each image is right or wrong
GRADED = Scatter(lasting=0.018, by_run=0.056)  # each image has a score between 0 and 1


@dataclass(frozen=True)
class Foresight:
    """Differences that 80 % of such studies would see at 95 % confidence.

    Attributes:
        units: images, or groups, that count; of unbalanced classes fewer than there are.
        pair: between two configurations chosen beforehand.
        best: between the best of all and another; the same as `pair` for two.
        scatter: what is assumed.
        num_configurations: how many are compared.
    """

    units: float
    repeats: int
    pair: float
    best: float
    scatter: Scatter
    num_configurations: int

    def repeats_for(self, target: float) -> int | None:
        """The fewest repeats that see `target` with the images there are; None where ten do not."""
        for repeats in range(1, MAX_REPEATS + 1):
            other = foresee(self.scatter, self.units, repeats, self.num_configurations)
            if other.best <= target:
                return repeats
        return None


def before_training(
    study: Study,
    *,
    task: Task,
    labels: Sequence[Sequence[int]],
    groups: Sequence[str],
    num_configurations: int,
) -> str | None:
    """What the study will be able to see, in words; None where it compares nothing or nothing plausible is known.

    Args:
        study: its folds, repeats, metric and margin.
        task: as recognised in the data.
        labels: of every image; empty ones for a segmentation.
        groups: the final group of every image.
        num_configurations: how many it compares.

    Raises:
        SpecError: the task has no such metric.
    """
    metric = choose_metric(study.judge.metric, FAMILIES[task])
    scatter = scatter_of(metric)
    if num_configurations < 2 or scatter is None:
        return None
    num_units, num_images = len(set(groups)), len(groups)
    class_counts = np.bincount([label for row in labels for label in row], minlength=1)
    counted = class_counts if task.endswith("classification") else np.array([])
    units = effective_units(counted, num_units=num_units, num_images=num_images, metric=metric)
    kind = ("group", "groups") if num_units < num_images else ("image", "images")
    foresight = foresee(scatter, units, study.validate_.repeats, num_configurations)
    return in_words(
        foresight,
        target=study.judge.equivalent_within,
        kind=kind,
        folds=study.validate_.folds,
        all_units=num_units,
    )


def foresee(scatter: Scatter, units: float, repeats: int, num_configurations: int) -> Foresight:
    """What a study of this size will be able to see."""
    error = scatter.error(units, repeats)
    # A pair that was chosen beforehand has a two-sided test; the best of many has looked for its rivals.
    planned, chosen = norm.ppf(0.975), one_sided_limit(num_configurations - 1)
    return Foresight(
        units,
        repeats,
        pair=float((planned + POWER) * error),
        best=float((max(planned, chosen) + POWER) * error),
        scatter=scatter,
        num_configurations=num_configurations,
    )


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


@cache  # asked again for every number of repeats
def one_sided_limit(rivals: int, *, alpha: float = 0.05) -> float:
    """How many standard errors the best of `rivals` equally good ones leads another by, at most, with 1 - alpha.

    Dunnett's one-sided value for known, equal variances: the quantile of max_j (Z_j - Z_0) / sqrt(2).
    """
    if rivals < 1:
        return 0.0

    def missed(limit: float) -> float:
        inside, _ = quad(
            lambda z: norm.pdf(z) * norm.cdf(limit * np.sqrt(2) + z) ** rivals, -8, 8, epsabs=1e-9
        )
        return float(inside - (1 - alpha))

    return float(brentq(missed, 0.0, 8.0))


def in_words(
    foresight: Foresight, *, target: float, kind: tuple[str, str], folds: int, all_units: int
) -> str:
    """One or two sentences for people.

    Args:
        found: from `foresee`.
        target: the difference that is of consequence; 0 asks nothing.
        kind: ``("image", "images")``, or groups.
        folds: of the study.
        all_units: how many there are; of unbalanced classes fewer count.
    """
    noun, counts = kind[1], round(foresight.units)
    size = f"{all_units:,} {noun} in {folds} folds and {count(foresight.repeats, 'repeat')}"
    if counts < 0.9 * all_units:
        size += f" (unbalanced classes: worth {counts:,})"
    sentence = (
        f"With {size}, two configurations can be told apart if they differ by about {foresight.pair:.2g}"
    )
    if foresight.num_configurations > 2:
        sentence += f", the best of {foresight.num_configurations} and another by about {foresight.best:.2g}"
    sentence += " (for images of middling difficulty; where nearly all are easy, down to a tenth of it; the verdict says what was really seen)."
    if not 0 < target < foresight.best:
        return sentence
    need, repeats = all_units * (foresight.best / target) ** 2, foresight.repeats_for(target)
    more = f" To see {target:g} takes about {_rough(need)} {noun}"
    return sentence + more + (f", or {repeats} repeats." if repeats else "; repeats alone will not do.")


def _rough(number: float) -> str:
    if number == inf:
        return "infinitely many"
    step = 10 ** max(len(str(ceil(number))) - 2, 0)
    return f"{ceil(number / step) * step:,}"
