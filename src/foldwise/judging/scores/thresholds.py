"""The probability from which on a label is predicted: thresholds of several labels, set on the validation part of each fit.

Every method sees the probabilities and the truth of images that were neither trained on nor are tested, and gives one
threshold for each label. `docs/verdict.md` says what they are good for; the simulation behind the default is repeated
in `tests/judging/scores/test_thresholds.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from foldwise.errors import SpecError, choose
from foldwise.metrics.outputs import CLIP, THRESHOLD, Bools, Floats, Ints
from foldwise.metrics.ratios import divided

NEVER = float("inf")  # the threshold of a label that is never predicted
FEW = 10  # positives; with fewer, a label is predicted as often as it is there
MANY = 100  # positives from which on the best threshold of a sample is near that of new images
SHRINK = 10  # positives at which a label's own threshold and the common one count alike
DEFAULT = "calibrated"
# Holds the offset of a rare label near the common one: a normal prior of variance 1 on the log-odds.
RIDGE = 1.0
HOLD = 1e-3  # holds the slope at 1 where nothing tells it, as where all probabilities are the same
FLATTEST, STEEPEST = 0.02, 50.0  # slopes; a negative one would turn the ranking round


@dataclass(frozen=True)
class ValidationOutputs:
    """What a fit may know when its thresholds are set; nothing of its test fold.

    Attributes:
        probabilities: (n, K) that it gave its validation part.
        truth: (n, K) of those images.
        share: (K,) of the images trained on or in the validation part that have each label.
    """

    probabilities: Floats
    truth: Bools
    share: Floats

    @property
    def positives(self) -> Ints:
        """(K,) images of the validation part that have each label."""
        return np.asarray(self.truth.sum(axis=0))


@dataclass(frozen=True)
class LabelThresholds:
    """Thresholds of all labels of one fit.

    Attributes:
        thresholds: (K,) a label is predicted at this probability or above; `NEVER` for one that is never predicted.
        matched: (K,) whether the label has too few images for the method, and is predicted as often as it is there.
    """

    thresholds: Floats
    matched: Bools


@dataclass(frozen=True)
class Method:
    """A row of the table: what it does, in words, and how."""

    sentence: str
    decide: Callable[[ValidationOutputs], LabelThresholds]


def half(validation: ValidationOutputs) -> LabelThresholds:
    """One half for every label, whatever the images say."""
    return _everywhere(THRESHOLD, validation)


def common(validation: ValidationOutputs) -> LabelThresholds:
    """One threshold for all labels: that of the highest macro F1 over the labels that some image has."""
    return _everywhere(_best_common(validation), validation)


def per_class(validation: ValidationOutputs) -> LabelThresholds:
    """The threshold of the highest F1 of each label; a label that no image has is predicted as often as it is there."""
    return _matching(_best_of_each(validation), validation, least=1)


def shrunk(validation: ValidationOutputs) -> LabelThresholds:
    """Between the label's best threshold and the common one, by its number n of positives: n / (n + 10) of its own."""
    share = validation.positives / (validation.positives + SHRINK)
    mixed = share * _best_of_each(validation) + (1 - share) * _best_common(validation)
    return LabelThresholds(mixed, np.zeros(len(mixed), dtype=bool))


def prevalence(validation: ValidationOutputs) -> LabelThresholds:
    """Each label is predicted as often, in the validation part, as it is there in all images that the fit has learned from."""
    wanted = np.rint(validation.share * len(validation.truth)).astype(int)
    pairs = zip(validation.probabilities.T, wanted.tolist(), strict=True)
    return LabelThresholds(
        np.array([_as_often(column, num) for column, num in pairs]), np.zeros(len(wanted), dtype=bool)
    )


def calibrated(validation: ValidationOutputs) -> LabelThresholds:
    """Calibrated probabilities, and the threshold of the highest F1 that they lead to expect.

    At the best threshold, that of the expected F1 over the images, the calibrated probability is half of that F1
    (Lipton, Elkan & Narayanaswamy 2014, arXiv:1402.1892). Labels with fewer than 10 positives are predicted as often as
    they are there.
    """
    calibration = calibrate(validation.probabilities, validation.truth)
    # Thresholds that are best on the sample itself are mostly luck where a label has few images; of calibrated
    # probabilities the best threshold follows from the whole ranking, and calibration has one slope for all labels.
    best = np.array([expected_f1(column) for column in calibration.applied(validation.probabilities).T])
    return _matching(calibration.undone(best / 2), validation, least=FEW)


THRESHOLDS = {
    "half": Method("one half for every label", half),
    "global": Method("one for all labels, that of the highest macro F1", common),
    "per_class": Method("for each label that of its highest F1", per_class),
    "shrunk": Method("for each label between its own best and the common one", shrunk),
    "prevalence": Method("each label is said as often as it is there", prevalence),
    "calibrated": Method("probabilities are calibrated, and each label has the threshold of the highest F1 to expect", calibrated),
}  # fmt: skip


def choose_thresholds(name: str, family: str) -> str | None:
    """The row of `THRESHOLDS` that a study asks for; None where the task has no thresholds to choose.

    Raises:
        SpecError: there is no such row, or thresholds are asked for where the likeliest class is taken.
    """
    if family != "multilabel":
        if name == "auto":
            return None
        taken = "pixel" if family == "segmentation" else "image"
        raise SpecError(
            f"thresholds are for several labels; here every {taken} gets its likeliest class",
            cure="Leave judge.thresholds out.",
        )
    if name == "auto":
        return DEFAULT
    choose(THRESHOLDS, name, "method for thresholds")
    return name


def _everywhere(threshold: float, validation: ValidationOutputs) -> LabelThresholds:
    K = validation.truth.shape[1]
    return LabelThresholds(np.full(K, threshold), np.zeros(K, dtype=bool))


def _matching(thresholds: Floats, validation: ValidationOutputs, *, least: int) -> LabelThresholds:
    """The thresholds, but for labels of fewer than `least` positives: those are predicted as often as they are there.

    Of a label that no image has, every threshold has the F1 of 0, and the first of them predicts it for every image.
    """
    few = validation.positives < least
    return LabelThresholds(np.where(few, prevalence(validation).thresholds, thresholds), np.asarray(few))


def candidates(probabilities: Floats) -> Floats:
    """Descending thresholds that tell all distinct probabilities apart: between neighbours, and one below all."""
    distinct = np.unique(probabilities)[::-1].astype(float)
    return np.asarray((distinct + np.append(distinct[1:], 0.0)) / 2)


def f1_at(probabilities: Floats, true: Bools, thresholds: Floats) -> Floats:
    """The F1 of one label at every threshold; nan where nothing is there and nothing predicted."""
    num_predicted = len(probabilities) - np.searchsorted(np.sort(probabilities), thresholds, side="left")
    num_right = int(true.sum()) - np.searchsorted(np.sort(probabilities[true]), thresholds, side="left")
    total = (num_predicted + true.sum()).astype(np.float64)
    return divided((2 * num_right).astype(np.float64), total)


def _best_of_each(validation: ValidationOutputs) -> Floats:
    """Of equally good thresholds the highest, which predicts the least; 1 for a label that no image has."""
    best = np.ones(validation.truth.shape[1])
    for k in np.flatnonzero(validation.positives):
        tried = candidates(validation.probabilities[:, k])
        best[k] = tried[f1_at(validation.probabilities[:, k], validation.truth[:, k], tried).argmax()]
    return best


def _best_common(validation: ValidationOutputs) -> float:
    there = np.flatnonzero(validation.positives)
    if not len(there):
        return THRESHOLD
    tried = candidates(validation.probabilities[:, there])
    scores = [f1_at(validation.probabilities[:, k], validation.truth[:, k], tried) for k in there]
    return float(tried[np.sum(scores, axis=0).argmax()])


def _as_often(probabilities: Floats, wanted: int) -> float:
    """The threshold at which the number of images that get the label is nearest to `wanted`; it may be none."""
    # A label that hardly any image has may best be predicted for none.
    tried = np.append(NEVER, candidates(probabilities))
    reached = len(probabilities) - np.searchsorted(np.sort(probabilities), tried, side="left")
    return float(tried[np.abs(reached - wanted).argmin()])


def expected_f1(calibrated_n: Floats) -> float:
    """The highest expected F1 of saying a label of the images where it is likeliest, over how many they are."""
    falling = np.sort(calibrated_n)[::-1]
    num = np.arange(1, len(falling) + 1)
    return float((2 * np.cumsum(falling) / (num + falling.sum())).max())


@dataclass(frozen=True)
class LogOddsLine:
    """log-odds of a label = slope * (log-odds the network gave) + its offset.

    Attributes:
        slope: positive, the same for all labels.
        offsets: (K,) the common offset plus the label's own.
    """

    slope: float
    offsets: Floats

    def applied(self, probabilities: Floats) -> Floats:
        """(n, K) calibrated probabilities."""
        return np.asarray(expit(self.slope * log_odds(probabilities) + self.offsets))

    def undone(self, calibrated: Floats) -> Floats:
        """(K,) what the network gave where the calibrated probability of each label is `calibrated`."""
        return np.asarray(expit((log_odds(calibrated) - self.offsets) / self.slope))


def log_odds(probabilities: Floats) -> Floats:
    """log(p / (1 - p)), of probabilities clipped at `CLIP` from both ends."""
    return np.asarray(logit(np.clip(probabilities, CLIP, 1 - CLIP)))


def calibrate(probabilities: Floats, truth: Bools) -> LogOddsLine:
    """The logistic regression of all labels at once, with a ridge on what sets a label apart from the others.

    That of (n, K) `probabilities` and `truth` with the least log-loss plus ridge / 2 * (sum of squares of the labels'
    own offsets), and a slope between `FLATTEST` and `STEEPEST`.
    """
    log_odds_nK, true = log_odds(probabilities), truth.astype(float)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slope, common, own = parameters[0], parameters[1], parameters[2:]
        fitted = slope * log_odds_nK + common + own
        wrong = expit(fitted) - true
        value = np.logaddexp(0, fitted).sum() - (fitted * true).sum()
        value += (RIDGE * (own**2).sum() + HOLD * ((slope - 1) ** 2 + common**2)) / 2
        uphill = (wrong * log_odds_nK).sum() + HOLD * (slope - 1), wrong.sum() + HOLD * common
        return float(value), np.concatenate([uphill, wrong.sum(axis=0) + RIDGE * own])

    K = truth.shape[1]
    bounds = [(FLATTEST, STEEPEST), *[(None, None)] * (K + 1)]
    start = np.concatenate([[1.0, 0.0], np.zeros(K)])
    options = {"maxiter": 500, "ftol": 1e-12, "gtol": 1e-8}
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return LogOddsLine(float(best[0]), np.asarray(best[1] + best[2:]))
