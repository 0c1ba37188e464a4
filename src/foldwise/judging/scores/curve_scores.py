"""What a report draws beside the numbers of the verdict, computed from the rows of a run once and then written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from foldwise.judging.curves import (
    MAX_CLASSES,
    MAX_COMPARED,
    MAX_DRAWN,
    Curves,
    Line,
    RankingCurve,
    ThresholdCurve,
)
from foldwise.judging.scores.image_comparison import compare_images, disagreement
from foldwise.judging.scores.rows import Rows
from foldwise.judging.scores.thresholds import LabelThresholds, ValidationOutputs, f1_at
from foldwise.judging.verdict import Verdict
from foldwise.metrics.confusion import pooled_confusion
from foldwise.metrics.outputs import Bools, Floats, Ints, Outputs, predicted
from foldwise.metrics.ranking import histogram_ap, histogram_auroc
from foldwise.metrics.ratios import foreground_mean, image_dice

Points = tuple[Floats, Floats]
GRID = np.linspace(0, 1, 201)
F1_GRID = np.geomspace(0.001, 1, 121)  # rare labels have their thresholds far below one half
MAX_POINTS = 80  # of a line: as many as a drawing of this size shows


def curves_of(rows: Rows, verdict: Verdict) -> Curves:
    """The curves of a run: lines and confusions of the best configurations, scores by image of more of them."""
    scored = [
        configuration.id for configuration in verdict.configurations if configuration.estimate is not None
    ]
    few, classes = scored[:MAX_DRAWN], shown_classes(rows)
    # Of one label an image is right or wrong, and probabilities say how nearly: only the winner's pictures need a score.
    compared = MAX_COMPARED if rows.family in ("segmentation", "multilabel") else 1
    scores = {id: image_scores(rows, id) for id in scored[:compared]}
    segmented, multilabel = rows.family == "segmentation", rows.family == "multilabel"
    deciding = [] if segmented else scored if multilabel else scored[:MAX_COMPARED]
    decided = {id: decisions(rows, id) for id in deciding}
    return Curves(
        classes=classes,
        roc={id: {k: _each_line(roc(rows, id, k), _thinned) for k in classes} for id in few},
        pr={id: {k: _each_line(pr(rows, id, k), _from_recall_zero) for k in classes} for id in few},
        f1={id: f1_curves(rows, id) for id in few[:1] if rows.thresholds is not None},
        confusion={id: confusion_matrix(rows, id) for id in few},
        image_scores=scores,
        decisions=decided if multilabel else {},
        images=compare_images(rows, verdict, scores, decided),
        disagreement=disagreement(rows, verdict) if segmented else {},
    )


def shown_classes(rows: Rows) -> tuple[int, ...]:
    """Indices of the classes with panels: all, or the most frequent ones; of a segmentation not the background."""
    if rows.family == "binary":
        return (1,)  # the panels of the two classes mirror each other
    chosen = range(1 if rows.family == "segmentation" else 0, len(rows.classes))
    if len(chosen) <= MAX_CLASSES:
        return tuple(chosen)
    support = np.zeros(len(rows.classes)) if rows.truth is None else rows.truth[rows.tested].sum(axis=0)
    return tuple(sorted(sorted(chosen, key=lambda k: -support[k])[:MAX_CLASSES]))


def roc(rows: Rows, configuration: str, class_index: int) -> RankingCurve:
    """True over false positive rate of one class against the rest; its mean is vertical.

    A fold without the class, or without others, has no curve. Segmentation: pixels of the fold pooled, by bins.
    """
    ladders = [
        ladder for ladder in _ladders(rows, configuration, class_index) if ladder[1][-1] and ladder[2][-1]
    ]
    curves = [(_from_zero(false / false[-1]), _from_zero(true / true[-1])) for _, true, false in ladders]
    areas = [
        _of_bins(histogram_auroc, *ladder[1:])
        if rows.family == "segmentation"
        else float(np.trapezoid(tpr, fpr))
        for ladder, (fpr, tpr) in zip(ladders, curves, strict=True)
    ]
    pairs = [(repeat, true[-1] * false[-1]) for repeat, true, false in ladders]
    return _ranking_curve(curves, _interpolated, _over_folds(areas, pairs))


def pr(rows: Rows, configuration: str, class_index: int) -> RankingCurve:
    """Precision over recall of one class against the rest."""
    ladders = [ladder for ladder in _ladders(rows, configuration, class_index) if ladder[1][-1]]
    curves = [
        (_from_zero(true / true[-1]), _led(true / np.maximum(true + false, 1))) for _, true, false in ladders
    ]
    scores = [
        _of_bins(histogram_ap, *ladder[1:])
        if rows.family == "segmentation"
        else float((np.diff(recall) * precision[1:]).sum())
        for ladder, (recall, precision) in zip(ladders, curves, strict=True)
    ]
    weights = [(repeat, true[-1]) for repeat, true, _ in ladders]
    return _ranking_curve(curves, _stepped, _over_folds(scores, weights))


def _of_bins(score: Callable[[Ints], Floats], true: Floats, false: Floats) -> float:
    """A score of pixels, which is more exact than the area below the line through the ends of their bins."""
    rising = np.stack([false, true])[:, ::-1]
    return float(score(-np.diff(rising, append=0.0).astype(np.int64)))


def _ranking_curve(
    curves: Sequence[Points], at_grid: Callable[[Floats, Floats], Floats], area: float | None
) -> RankingCurve:
    mean = _line(GRID, np.mean([at_grid(x, y) for x, y in curves], axis=0)) if curves else None
    return RankingCurve(tuple(_line(x, y) for x, y in curves), mean, area)


def _line(x: Floats, y: Floats) -> Line:
    return Line(x.tolist(), y.tolist())


def _thinned(line: Line) -> Line:
    """At most `MAX_POINTS` of its points, evenly along its length, with four digits."""
    x, y = np.asarray(line.x), np.asarray(line.y)
    if len(x) > MAX_POINTS:
        travelled = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        wanted = np.searchsorted(travelled, np.linspace(0, travelled[-1], MAX_POINTS))
        places = np.unique(wanted.clip(0, len(x) - 1))
        x, y = x[places], y[places]
    return Line(*([round(float(value), 4) for value in values] for values in (x, y)))


def _from_recall_zero(line: Line) -> Line:
    """A precision-recall line, thinned, from its first point with a recall above 0, and level from there to recall 0.

    Thresholds so high that nothing true is found have a precision of 0, which would draw a stroke along the axis.
    """
    first = next((position for position, recall in enumerate(line.x) if recall > 0), None)
    if first is not None:
        line = Line([0.0, *line.x[first:]], [line.y[first], *line.y[first:]])
    return _thinned(line)


def _each_line(curve: RankingCurve, change: Callable[[Line], Line]) -> RankingCurve:
    mean = change(curve.mean) if curve.mean is not None else None
    return RankingCurve(tuple(change(line) for line in curve.folds), mean, curve.area)


def _over_folds(scores: list[float], weights: list[tuple[int, float]]) -> float | None:
    """The mean over repeats of the weighted mean over folds, which is the number that the tables have."""
    repeats = sorted({repeat for repeat, _ in weights})
    means = []
    for chosen in repeats:
        own = [
            (score, weight)
            for score, (repeat, weight) in zip(scores, weights, strict=True)
            if repeat == chosen
        ]
        means.append(np.average([score for score, _ in own], weights=[weight for _, weight in own]))
    return float(np.mean(means)) if means else None


def _ladders(rows: Rows, configuration: str, k: int) -> list[tuple[int, Floats, Floats]]:
    """Per fold its repeat, and the true and false positives at every threshold, from the highest down."""
    return [(fit.repeat, *_ladder(rows.fold_outputs(fit), k)) for fit in rows.done(configuration)]


def _ladder(outputs: Outputs, k: int) -> Points:
    if outputs.histogram is not None:
        # Pixels are kept as counts by bins of probability: a run of masks would not fit on disk otherwise.
        falling = outputs.histogram[:, k].sum(axis=0)[:, ::-1].astype(float)
        return np.cumsum(falling[1]), np.cumsum(falling[0])
    assert outputs.truth is not None
    assert outputs.probabilities is not None
    scores, positive = outputs.probabilities[:, k], outputs.truth[:, k]
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    return np.cumsum(positive[order])[last].astype(float), np.cumsum(~positive[order])[last].astype(float)


def _from_zero(values: Floats) -> Floats:
    return np.concatenate([[0.0], values])


def _led(precision: Floats) -> Floats:
    """A curve starts at the precision of its first step; many programs invent a 1 there, which flatters."""
    return np.concatenate([precision[:1], precision])


def _interpolated(x: Floats, y: Floats) -> Floats:
    heights = np.asarray(np.interp(GRID, x, y))
    heights[0] = 0.0  # several points may lie at 0; the mean starts where every curve does
    return heights


def _stepped(x: Floats, y: Floats) -> Floats:
    """Precision at the smallest recall that reaches each grid point; a straight line between would flatter."""
    return np.asarray(y[np.minimum(np.searchsorted(x, GRID - 1e-12), len(y) - 1)])


def f1_curves(rows: Rows, configuration: str) -> dict[int, ThresholdCurve]:
    """By class index, F1 on the validation part against the threshold; empty where the task has no thresholds."""
    if rows.thresholds is None:
        return {}
    fits = rows.done(configuration)
    thresholds = [rows.thresholds_of(fit, rows.thresholds) for fit in fits]
    validation = [rows.validation_outputs(fit) for fit in fits]
    return {k: _f1_curve(validation, thresholds, k) for k in range(len(rows.classes))}


def _f1_curve(
    validation: Sequence[ValidationOutputs], thresholds: Sequence[LabelThresholds], k: int
) -> ThresholdCurve:
    having = [fit for fit in validation if fit.positives[k]]
    lines = [f1_at(fit.probabilities[:, k], fit.truth[:, k], F1_GRID) for fit in having]
    limits = [float(own.thresholds[k]) for own in thresholds]
    return ThresholdCurve(
        tuple(_line(F1_GRID, line) for line in lines),
        _line(F1_GRID, np.mean(lines, axis=0)) if lines else None,
        tuple(limit for limit in limits if np.isfinite(limit)),
    )


def decisions(rows: Rows, configuration: str) -> dict[int, Bools]:
    """Case index -> (K,) whether each label is predicted, in the first repeat."""
    outputs = rows.outputs(configuration, rows.repeats[0])
    return {} if outputs is None else dict(zip(outputs.case.tolist(), predicted(outputs), strict=True))


def confusion_matrix(rows: Rows, configuration: str) -> Ints:
    """(K, K) counts by [true, predicted], images or pixels, summed over folds and repeats.

    Multilabel: (K, 2, 2) by [label, true, predicted], for every label is a question of its own.
    """
    K = len(rows.classes)
    shape = (K, 2, 2) if rows.family == "multilabel" else (K, K)
    every = (pooled_confusion(outputs) for _, outputs in rows.outputs_by_repeat(configuration))
    return sum(every, np.zeros(shape, dtype=np.int64))


def image_scores(rows: Rows, configuration: str) -> dict[int, float]:
    """Case index -> how well it went, mean over repeats; the pictures of the report are chosen by it.

    Segmentation: Dice, mean over foreground classes; images without any are left out. Single label: probability of
    the true class. Multilabel: mean over labels of the probability given to the truth.
    """
    by_case: dict[int, list[float]] = {}
    for _, outputs in rows.outputs_by_repeat(configuration):
        for case, value in zip(outputs.case.tolist(), _goodness(outputs).tolist(), strict=True):
            if not np.isnan(value):
                by_case.setdefault(case, []).append(value)
    return {case: float(np.mean(values)) for case, values in sorted(by_case.items())}


def _goodness(outputs: Outputs) -> Floats:
    if outputs.family == "segmentation":
        return foreground_mean(outputs, image_dice(outputs))
    assert outputs.truth is not None
    assert outputs.probabilities is not None
    if outputs.family == "multilabel":
        return np.asarray(
            np.where(outputs.truth, outputs.probabilities, 1 - outputs.probabilities).mean(axis=1)
        )
    return np.asarray(outputs.probabilities[outputs.truth])
