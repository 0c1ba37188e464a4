"""Calibration: how honest the probabilities of every configuration are, before and after temperature.

The temperature of each fit is set on its validation part and applied to its test fold. Decisions and AUROC of two
classes or several labels stay the same; Brier score and log-loss may not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np

from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.fits import PlannedFit
from foldwise.judging.scores.rows import Rows
from foldwise.judging.scores.scoring import MAX_TOGETHER
from foldwise.judging.statistics import calibration
from foldwise.judging.statistics.draws import SEED
from foldwise.judging.statistics.intervals import NO_INTERVAL, Interval, Spread, interval
from foldwise.judging.statistics.variance import estimate_variance
from foldwise.judging.verdict_sections import (
    CalibrationSection,
    ConfigurationCalibration,
    FoldTemperature,
    Overconfidence,
    Reliability,
    TemperatureRange,
)
from foldwise.metrics.influence import unit_scores_of_each
from foldwise.metrics.outputs import Bools, Floats, Ints, Outputs, stacked
from foldwise.metrics.table import METRICS

MAX_CURVES = 24  # configurations with their bins, the best first; of the others only the numbers
OF_PIXELS = "the probability of each foreground class, pixels of all images pooled"
OF = {
    "binary": "the probability of the positive class",
    "multiclass": "the probability of the class decided for",
    "multilabel": "the probability of each label, all labels pooled",
}


@dataclass(frozen=True)
class Confidence:
    """How confident one configuration is of its decisions, without its outputs, which take memory.

    Attributes:
        values: (R, G) probability of the decisions minus whether they are right, by unit.
        min_variance: the variance that the mean of `values` has in a perfect model.
    """

    values: Floats
    min_variance: float


def calibration_section(rows: Rows, judgement: Judgement) -> CalibrationSection | None:
    """None where no configuration is complete."""
    if not judgement.comparable:
        return None
    if rows.family == "segmentation":
        return _of_pixels(rows, judgement.comparable)
    temperatures = temperatures_of(rows, judgement.comparable)
    before = _reliabilities(rows, judgement, dict.fromkeys(judgement.comparable))
    after = _reliabilities(rows, judgement, temperatures)
    return CalibrationSection(
        of=OF[rows.family].replace("the positive class", f"the class {rows.classes[1]!r}"),
        descriptive=False,
        num_bins=calibration.num_bins(len(rows.tested)),
        configurations=tuple(
            ConfigurationCalibration(
                id=id,
                name=rows.by_id[id].name,
                temperature=_range(rows.done(id), temperatures[id]),
                before=before[c],
                after=after[c],
            )
            for c, id in enumerate(judgement.comparable)
        ),
    )


def temperatures_of(rows: Rows, ids: Sequence[str]) -> dict[str, list[float]]:
    """By configuration the temperature of each fit that is done, from its validation part and nothing else."""
    made = dict[str, list[float]]()
    for some in _few_enough(rows, ids):
        fits = [(id, rows.validation_outputs(fit)) for id in some for fit in rows.done(id)]
        heats = calibration.fit_temperatures([(own.probabilities, own.truth) for _, own in fits], rows.family)
        for (id, _), heat in zip(fits, heats.tolist(), strict=True):
            made.setdefault(id, []).append(heat)
    return made


def _few_enough(rows: Rows, ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The configurations, as many at a time as `MAX_TOGETHER` allows."""
    step = max(1, MAX_TOGETHER // (len(rows.tested) * len(rows.classes) * len(rows.repeats)))
    return (ids[start : start + step] for start in range(0, len(ids), step))


def _range(fits: Sequence[PlannedFit], temperatures: Sequence[float]) -> TemperatureRange:
    return TemperatureRange(
        median=float(np.median(temperatures)),
        low=min(temperatures),
        high=max(temperatures),
        folds=tuple(
            FoldTemperature(repeat=fit.repeat, fold=fit.fold, temperature=temperature)
            for fit, temperature in zip(fits, temperatures, strict=True)
        ),
    )


def _reliabilities(
    rows: Rows, judgement: Judgement, temperatures: Mapping[str, Sequence[float] | None]
) -> list[Reliability]:
    """Of every configuration, each fit at its temperature; None: as they are."""
    made, confidences, folds_RG = list[Reliability](), list[Confidence](), np.empty((0, 0), dtype=np.int64)
    for ids in _few_enough(rows, list(temperatures)):
        repeats = _at_temperatures(rows, ids, [temperatures[id] for id in ids])
        made += _reliability(rows, judgement, repeats, num_curves=MAX_CURVES - len(made))
        confidences += _confidence(rows, repeats)
        # Folds are those of every configuration: all are tested on the same splits.
        folds_RG = np.stack([rows.units.folds(outputs) for outputs in repeats])
    alpha = judgement.judge.alpha
    over = overconfidence(confidences, folds_RG, num_cases=len(rows.tested), alpha=alpha)
    return [part.model_copy(update={"overconfidence": each}) for part, each in zip(made, over, strict=True)]


def _at_temperatures(
    rows: Rows, ids: Sequence[str], temperatures: Sequence[Sequence[float] | None]
) -> list[Outputs]:
    """Outputs of complete configurations by repeat, `stacked`, with each fold at its temperature where there is one."""
    made, start = [], 0
    for repeat in rows.repeats:
        outputs = stacked([cast("Outputs", rows.outputs(id, repeat)) for id in ids])
        folds = [fit.fold for fit in rows.done(ids[0], repeat)]
        stop = start + len(folds)
        heats_BF = [own[start:stop] for own in temperatures if own is not None]
        start = stop
        if heats_BF:
            assert outputs.probabilities is not None
            heat_Bn = np.array(heats_BF)[:, np.searchsorted(folds, outputs.fold)]
            heated = calibration.tempered(outputs.probabilities, heat_Bn[..., None], rows.family)
            outputs = replace(outputs, probabilities=heated)
        made.append(outputs)
    return made


def _confidence(rows: Rows, repeats: Sequence[Outputs]) -> list[Confidence]:
    size = rows.units.sizes
    values, variances = [], []
    for outputs in repeats:
        p, right = decisions_of(outputs)
        values.append(rows.units.sums((p - right).mean(axis=-1), outputs.case) / size)
        # Of a perfect model, each decision of probability p is right or wrong with variance p (1 - p).
        by_case = (p * (1 - p)).mean(axis=-1) / p.shape[-1]
        variances.append(rows.units.sums(by_case, outputs.case) / size**2)
    least = np.mean(np.stack(variances, axis=1).reshape(len(values[0]), -1), axis=1) / rows.units.count
    return [Confidence(*own) for own in zip(np.stack(values, axis=1), least.tolist(), strict=True)]


def _reliability(
    rows: Rows, judgement: Judgement, repeats: Sequence[Outputs], *, num_curves: int
) -> list[Reliability]:
    """Of `stacked` configurations the losses, the ECE, and that of a perfect model, each the mean over repeats.

    The first `num_curves` have bins, which pool the repeats.
    """
    bins, events = calibration.num_bins(len(rows.tested)), [events_of(repeat) for repeat in repeats]
    brier, log_loss = (
        [
            [own.estimate for own in unit_scores_of_each(METRICS[name], repeat, rows.units)]
            for repeat in repeats
        ]
        for name in ("brier", "log_loss")
    )
    share = 1 / rows.units.sizes[rows.units.of_case] / len(repeats)
    worth = np.concatenate(
        [
            np.repeat(share[repeat.case], p.shape[-1] // len(repeat.case))
            for repeat, (p, _) in zip(repeats, events, strict=True)
        ]
    )
    # Pooled over repeats the curve has more in every bin; its intervals must not believe them independent (`worth`).
    pooled, hit = (np.concatenate(column, axis=-1) for column in zip(*events, strict=True))
    alpha = judgement.judge.alpha
    off = [calibration.ece(p, came_true, bins=bins) for p, came_true in events]
    perfect = [[calibration.perfect_ece(own, bins=bins, seed=SEED) for own in p] for p, _ in events]
    return [
        Reliability(
            brier=_mean(brier, row),
            log_loss=_mean(log_loss, row),
            ece=_mean(off, row),
            ece_perfect=_mean(perfect, row),
            bins=calibration.reliability_curve(pooled[row], hit[row], bins=bins, worth=worth, alpha=alpha)
            if row < num_curves
            else None,
            overconfidence=None,
        )
        for row in range(len(pooled))
    ]


def _mean(values_RB: Sequence[Any], row: int) -> float:
    return float(np.mean([values[row] for values in values_RB]))


def events_of(outputs: Outputs) -> tuple[Floats, Bools]:
    """(..., m) the probabilities that the curve is of, image by image, and whether each came true."""
    assert outputs.probabilities is not None
    assert outputs.truth is not None
    p, true = outputs.probabilities, np.broadcast_to(outputs.truth, outputs.probabilities.shape)
    if outputs.family == "multilabel":
        return p.reshape(*p.shape[:-2], -1), true.reshape(*p.shape[:-2], -1)
    if outputs.family == "binary":
        return p[..., 1], true[..., 1]
    p, right = decisions_of(outputs)
    return p[..., 0], right[..., 0]


def decisions_of(outputs: Outputs) -> tuple[Floats, Bools]:
    """(..., n, 1) or, of several labels, (..., n, K): the probability of each decision, and whether it is right.

    A label is decided for at one half, whatever its threshold: it is the probabilities that are asked about.
    """
    assert outputs.probabilities is not None
    assert outputs.truth is not None
    p = outputs.probabilities
    if outputs.family == "multilabel":
        return np.maximum(p, 1 - p), (p >= 0.5) == outputs.truth
    chosen, truth = p.argmax(axis=-1)[..., None], np.broadcast_to(outputs.truth, p.shape)
    return np.take_along_axis(p, chosen, axis=-1), np.take_along_axis(truth, chosen, axis=-1)


def overconfidence(
    confidences: Sequence[Confidence], folds_RG: Ints, *, num_cases: int, alpha: float
) -> list[Overconfidence]:
    """By configuration: the mean probability of its decisions minus the share of them that are right, with interval.

    Its variance over images is never taken to be less than that of a perfect model with these probabilities: where all
    of a few decisions are right, their scatter says nothing.

    Of all configurations at once, as the variance between runs is estimated from them together.
    """
    values_CRG = np.stack([confidence.values for confidence in confidences])
    num_units = values_CRG.shape[2]
    means = values_CRG.mean(axis=(1, 2)).tolist()
    if num_units < 2:
        return [_concluded(mean, NO_INTERVAL) for mean in means]
    variance, made = estimate_variance(values_CRG, folds_RG), []
    for c, mean in enumerate(means):
        spread = Spread(
            estimate=mean,
            image_variance=max(float(variance.image[c, c]), confidences[c].min_variance),
            run_variance=float(variance.score_run_of_mean[c]),
            num_units=num_units,
            num_cases=num_cases,
            support=float(num_units),
            df=float(variance.df[c]),
            grouped=num_units < num_cases,
        )
        made.append(_concluded(mean, interval("free", spread, alpha=alpha)))
    return made


def _concluded(estimate: float, ends: Interval) -> Overconfidence:
    low, high = ends
    conclusion: Literal["over-confident", "under-confident", "undecided"] = "undecided"
    if low > 0 or high < 0:
        conclusion = "over-confident" if low > 0 else "under-confident"
    return Overconfidence(estimate=estimate, low=low, high=high, conclusion=conclusion)


def _of_pixels(rows: Rows, comparable: Sequence[str]) -> CalibrationSection:
    """A segmentation: the pooled curve of its pixels, which describes and proves nothing; no temperature."""
    nothing = dict.fromkeys(("brier", "log_loss", "ece", "ece_perfect", "overconfidence"))
    configurations = []
    for id in comparable[:MAX_CURVES]:
        every = [outputs for _, outputs in rows.outputs_by_repeat(id)]
        bins = calibration.pixel_curve(
            [outputs.histogram[:, 1:] for outputs in every if outputs.histogram is not None]
        )
        before, name = Reliability(**nothing, bins=bins), rows.by_id[id].name
        configurations.append(
            ConfigurationCalibration(id=id, name=name, temperature=None, before=before, after=None)
        )
    return CalibrationSection(
        of=OF_PIXELS, descriptive=True, num_bins=calibration.MAX_BINS, configurations=tuple(configurations)
    )
