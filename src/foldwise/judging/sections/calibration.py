"""What the verdict says of calibration: how honest the probabilities of every configuration are, and after temperature.

The temperature of each fit is set on its inner validation and applied to its test fold. Decisions and AUROC of two
classes or several labels stay the same; Brier score and log-loss may not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from foldwise.judging.scores.rows import Fit, Rows
from foldwise.judging.statistics.intervals import NO_INTERVAL, Interval, Spread, interval
from foldwise.judging.statistics.reliability import curve, ece, num_bins, perfect_ece, pixel_curve
from foldwise.judging.statistics.temperature import fit_temperature, tempered
from foldwise.judging.statistics.variance import variance
from foldwise.metrics.influence import unit_scores
from foldwise.metrics.outputs import Bools, Floats, Ints, Outputs
from foldwise.metrics.table import METRICS
from foldwise.study.spec import Study

MAX_CURVES = (
    24  # configurations with their bins in the verdict, the best first; of the others only the numbers
)
LOSSES = ("brier", "log_loss")
PIXELS_SAID = "the probability of each foreground class, pixels of all images pooled"
SAID = {
    "binary": "the probability of the positive class",
    "multiclass": "the probability of the class decided for",
    "multilabel": "the probability of each label, all labels pooled",
}


@dataclass(frozen=True)
class Told:
    """What one configuration shows before or after temperature, without its outputs, which take memory.

    Attributes:
        record: the part of the verdict that needs no other configuration.
        values: (R, G) probability of the decisions minus whether they are right, by unit.
        least: the variance that the mean of `values` has in a perfect model.
    """

    record: dict[str, Any]
    values: Floats
    least: float


def calibration_record(study: Study, rows: Rows, comparable: Sequence[str]) -> dict[str, Any] | None:
    """``calibration`` of the verdict; None where no configuration is complete.

    Args:
        study: its seed and error rate.
        rows: of the run.
        comparable: ids of the configurations that are complete, best first.
    """
    if not comparable:
        return None
    names = {one.id: one.name for one in rows.configurations}
    if rows.family == "segmentation":
        return _of_pixels(rows, comparable, names)
    temperatures = {one: [temperature_of(rows, fit) for fit in rows.done(one)] for one in comparable}
    told = {
        step: [
            _told(study, rows, _said(rows, one, held), drawn=place < MAX_CURVES)
            for place, (one, held) in enumerate(temperatures.items())
        ]
        for step, temperatures in (("before", dict.fromkeys(comparable)), ("after", temperatures))
    }
    folds = np.stack([rows.units.folds(outputs) for outputs in _said(rows, comparable[0], None)])
    ends = {
        step: overconfidence(many, folds, num_cases=len(rows.names), alpha=study.judge.alpha)
        for step, many in told.items()
    }
    return {
        "of": SAID[rows.family].replace("the positive class", f"the class {rows.classes[1]!r}"),
        "descriptive": False,
        "num_bins": num_bins(len(rows.names)),
        "configurations": [
            {"id": one, "name": names[one], "temperature": _temperatures(rows.done(one), temperatures[one])}
            | {step: told[step][place].record | {"overconfidence": ends[step][place]} for step in told}
            for place, one in enumerate(comparable)
        ],
    }


def temperature_of(rows: Rows, fit: Fit) -> float:
    """The temperature of one fit, from its inner validation and nothing else."""
    seen = rows.seen(fit)
    return fit_temperature(seen.probabilities, seen.truth, rows.family)


def _temperatures(fits: Sequence[Fit], values: Sequence[float]) -> dict[str, Any]:
    by_fold = [
        {"repeat": fit.repeat, "fold": fit.fold, "temperature": value}
        for fit, value in zip(fits, values, strict=True)
    ]
    return {
        "median": float(np.median(values)),
        "low": min(values),
        "high": max(values),
        "folds": by_fold,
    }


def _said(rows: Rows, configuration: str, temperatures: Sequence[float] | None) -> list[Outputs]:
    """The outputs of a complete configuration, repeat by repeat; with each fold at its temperature where there is one."""
    made = []
    for repeat in rows.repeats:
        outputs = rows.outputs(configuration, repeat)
        assert outputs is not None  # it is complete
        assert outputs.probabilities is not None
        probabilities = outputs.probabilities.copy()
        for fit, temperature in zip(rows.done(configuration), temperatures or (), strict=bool(temperatures)):
            if fit.repeat == repeat:
                members = outputs.fold == fit.fold
                probabilities[members] = tempered(probabilities[members], temperature, rows.family)
        made.append(replace(outputs, probabilities=probabilities))
    return made


def _told(study: Study, rows: Rows, said: Sequence[Outputs], *, drawn: bool) -> Told:
    units, asked = rows.units, [decisions_of(outputs) for outputs in said]
    pairs = list(zip(said, asked, strict=True))
    size = np.bincount(units.of_case, minlength=units.count)
    values = [units.sums((p - right).mean(axis=1), outputs.case) / size for outputs, (p, right) in pairs]
    # Of a perfect model, each decision of probability p is right or wrong with variance p (1 - p).
    least = [
        units.sums((p * (1 - p)).mean(axis=1) / p.shape[1], outputs.case) / size**2
        for outputs, (p, _) in pairs
    ]
    losses = {
        name: float(np.mean([unit_scores(METRICS[name], outputs, units).estimate for outputs in said]))
        for name in LOSSES
    }
    record = losses | _curve(study, rows, said, drawn=drawn)
    return Told(record, np.array(values), float(np.mean(least) / units.count))


def _curve(study: Study, rows: Rows, said: Sequence[Outputs], *, drawn: bool) -> dict[str, Any]:
    """The ECE, the one of a perfect model, each the mean over repeats, and the bins, which pool the repeats."""
    bins, seed = num_bins(len(rows.names)), study.seed
    events = [events_of(outputs) for outputs in said]
    share = 1 / np.bincount(rows.units.of_case)[rows.units.of_case] / len(said)
    worth = [
        np.repeat(share[outputs.case], len(p) // len(outputs.case))
        for outputs, (p, _) in zip(said, events, strict=True)
    ]
    whole = curve(
        np.concatenate([p for p, _ in events]),
        np.concatenate([hit for _, hit in events]),
        bins=bins,
        worth=np.concatenate(worth),
        alpha=study.judge.alpha,
    )
    return {
        "ece": float(np.mean([ece(p, hit, bins=bins) for p, hit in events])),
        "ece_perfect": float(np.mean([perfect_ece(p, bins=bins, seed=seed) for p, _ in events])),
        "bins": [asdict(one) for one in whole] if drawn else None,
    }


def events_of(outputs: Outputs) -> tuple[Floats, Bools]:
    """(m,) the probabilities that the curve is of, image by image, and whether each came true."""
    assert outputs.probabilities is not None
    assert outputs.truth is not None
    if outputs.family == "multilabel":
        return outputs.probabilities.ravel(), outputs.truth.ravel()
    if outputs.family == "binary":
        return outputs.probabilities[:, 1], outputs.truth[:, 1]
    every, chosen = np.arange(len(outputs.case)), outputs.probabilities.argmax(axis=1)
    return outputs.probabilities[every, chosen], outputs.truth[every, chosen]


def decisions_of(outputs: Outputs) -> tuple[Floats, Bools]:
    """(n, 1) or, of several labels, (n, K): the probability of each decision, and whether it is right.

    A label is decided for at one half, whatever its threshold: it is the probabilities that are asked about.
    """
    assert outputs.probabilities is not None
    assert outputs.truth is not None
    p = outputs.probabilities
    if outputs.family == "multilabel":
        return np.maximum(p, 1 - p), (p >= 0.5) == outputs.truth
    every, chosen = np.arange(len(p)), p.argmax(axis=1)
    return p[every, chosen][:, None], outputs.truth[every, chosen][:, None]


def overconfidence(
    told: Sequence[Told], folds: Ints, *, num_cases: int, alpha: float
) -> list[dict[str, float | str]]:
    """By configuration: the mean probability of its decisions minus the share of them that are right, with interval.

    Its variance over images is never held to be less than that of a perfect model with these probabilities: where all
    of a few decisions are right, their scatter says nothing.

    Args:
        told: of all configurations, as the variance between runs is estimated from them together.
        folds: (R, G) the test fold of every unit.
        num_cases: images.
        alpha: 1 - confidence.
    """
    values_CRG = np.stack([one.values for one in told])
    num_units = values_CRG.shape[2]
    means = values_CRG.mean(axis=(1, 2)).tolist()
    if num_units < 2:
        return [_stated(mean, NO_INTERVAL) for mean in means]
    known, made = variance(values_CRG, folds), []
    for c, mean in enumerate(means):
        spread = Spread(
            estimate=mean,
            image_variance=max(float(known.image[c, c]), told[c].least),
            run_variance=float(known.run_of_mean[c]),
            num_units=num_units,
            num_cases=num_cases,
            support=float(num_units),
            df=float(known.df[c]),
            grouped=num_units < num_cases,
        )
        made.append(_stated(mean, interval("free", spread, alpha=alpha)))
    return made


def _stated(estimate: float, ends: Interval) -> dict[str, float | str]:
    low, high = ends
    conclusion = "over-confident" if low > 0 else "under-confident" if high < 0 else "undecided"
    return {"estimate": estimate, "low": low, "high": high, "conclusion": conclusion}


def _of_pixels(rows: Rows, comparable: Sequence[str], names: dict[str, str]) -> dict[str, Any]:
    """A segmentation: the pooled curve of its pixels, which describes and proves nothing; no temperature."""
    first = dict.fromkeys((*LOSSES, "ece", "ece_perfect", "overconfidence"))
    return {
        "of": PIXELS_SAID,
        "descriptive": True,
        "num_bins": 15,
        "configurations": [
            {"id": one, "name": names[one], "temperature": None, "after": None}
            | {"before": first | {"bins": [asdict(part) for part in _pixels(rows, one)]}}
            for one in comparable[:MAX_CURVES]
        ],
    }


def _pixels(rows: Rows, configuration: str) -> Any:
    every = [rows.outputs(configuration, repeat) for repeat in rows.repeats]
    return pixel_curve(
        [one.histogram[:, 1:] for one in every if one is not None and one.histogram is not None]
    )
