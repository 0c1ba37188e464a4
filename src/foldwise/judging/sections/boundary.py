"""Boundaries: HD95 of every class, which has no upper end and so is only described."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binom

from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.rows import Rows
from foldwise.judging.statistics.intervals import NO_INTERVAL, Interval
from foldwise.judging.verdict_sections import BoundaryDistances, BoundarySection, ClassDistance
from foldwise.metrics.outputs import Floats, Outputs, counts


def boundary_section(rows: Rows, judgement: Judgement) -> BoundarySection | None:
    """None where boundary scores are not asked for or no configuration is complete."""
    if rows.boundaries is None or not judgement.comparable:
        return None
    alpha, names = judgement.judge.alpha, {own.id: own.name for own in rows.configurations}
    return BoundarySection(
        tolerance_px=rows.boundaries.tolerance_px,
        configurations=tuple(
            BoundaryDistances(id=id, name=names[id], hd95=_distances(rows, id, alpha))
            for id in judgement.comparable
        ),
    )


def _distances(rows: Rows, configuration: str, alpha: float) -> dict[str, ClassDistance]:
    every = [outputs for _, outputs in rows.outputs_by_repeat(configuration)]
    return {name: _distance(rows, every, k, alpha) for k, name in enumerate(rows.classes) if k > 0}


def _distance(rows: Rows, repeats: Sequence[Outputs], k: int, alpha: float) -> ClassDistance:
    """Of an image the mean over the repeats that have one; of a group the median over its images."""
    n = len(rows.names)
    total, number, capped = np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool)
    for outputs in repeats:
        assert outputs.hd95 is not None
        distance, cells = outputs.hd95[:, k], counts(outputs)
        defined = ~np.isnan(distance)
        total[outputs.case[defined]] += distance[defined]
        number[outputs.case[defined]] += 1
        one_empty = (cells.tp + cells.fn > 0)[:, k] != (cells.tp + cells.fp > 0)[:, k]
        capped[outputs.case[one_empty]] = True
    scored = number > 0
    per_image, unit = total[scored] / number[scored], rows.units.of_case[scored]
    per_unit = np.array([np.median(per_image[unit == own]) for own in np.unique(unit)])
    low, high = median_interval(per_unit, alpha=alpha)
    return ClassDistance(
        median=float(np.median(per_unit)) if len(per_unit) else None,
        low=low,
        high=high,
        num_images=int(scored.sum()),
        num_capped=int(capped.sum()),
    )


def median_interval(values: Floats, *, alpha: float) -> Interval:
    """The interval of a median between two of the values themselves, whatever their distribution; nan for too few.

    The r-th smallest and largest of n hold the median between them with a probability of 1 - 2 P(B < r), B binomial
    (n, 1/2): the sign test turned round. 95 % takes 6 values.
    """
    n = len(values)
    rank = int(binom.ppf(alpha / 2, n, 0.5)) if n else 0  # the largest r with P(B < r) <= alpha / 2
    if rank < 1:
        return NO_INTERVAL
    ordered = np.sort(values)
    return float(ordered[rank - 1]), float(ordered[n - rank])
