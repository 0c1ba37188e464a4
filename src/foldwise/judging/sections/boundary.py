"""Boundary scores of a run: computed once from predicted and true masks, kept beside the run, and HD95 by class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from scipy.stats import binom

from foldwise.data.cache.packed import Packed, open_packed
from foldwise.errors import RunError, SpecError
from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.rows import BoundaryScores, Rows
from foldwise.judging.statistics.intervals import NO_INTERVAL, Interval
from foldwise.judging.verdict_sections import BoundaryDistances, BoundarySection, ClassDistance
from foldwise.metrics.boundary import VERSION, of_image
from foldwise.metrics.outputs import Floats, Outputs
from foldwise.metrics.table import choose_metric
from foldwise.runs.folder import RunFolder, written_whole
from foldwise.sealed_arrays import read_arrays
from foldwise.study.spec import Judging, Study

SCORES = ("nsd", "hd95")


def check_boundary(judge: Judging, family: str) -> None:
    """Raise SpecError where boundary scores are asked for and there are no masks."""
    if judge.boundary and family != "segmentation":
        raise SpecError(
            "boundary scores are of masks, and this task has none", cure="Leave judge.boundary out."
        )


def choose_tolerance(judge: Judging, family: str) -> float | None:
    """The tolerance in pixels where a study asks for boundary scores, or decides by them; else None."""
    check_boundary(judge, family)
    wanted = judge.boundary or choose_metric(judge.metric, family).needs == "boundary"
    return judge.tolerance_px if wanted else None


def with_boundaries(study: Study, rows: Rows, folder: RunFolder) -> Rows:
    """The rows with the boundary scores of every mask that was predicted, where the study asks for them.

    Each fit is scored once; a file in the run folder keeps it, under the tolerance.

    Raises:
        RunError: masks must be scored, and the packed images are not in the cache any more, or a prediction is damaged.
    """
    tolerance = choose_tolerance(study.judge, rows.family)
    if tolerance is None:
        return rows
    done = {fit.item: fit.path for fit in rows.fits if fit.status == "done"}
    also = ("shallow", "aa_test")  # they are judged by the same metrics
    done |= {item.item: item.path for item in rows.auxiliary if item.kind in also and item.done}
    packed = cache(lambda: _packed(folder))  # opened only where some fit is not scored yet, and then once
    scores = {
        # By tolerance and version of the conventions: scores of others are not taken for these.
        item: _scores_of(packed, folder.boundaries / f"{item}-{tolerance:g}px-{VERSION}.npz", path, tolerance)
        for item, path in done.items()
    }
    return replace(rows, boundaries=BoundaryScores(tolerance, scores))


def _scores_of(
    packed: Callable[[], Packed], path: Path, done: Path, tolerance: float
) -> Mapping[str, Floats]:
    """The scores of one fit, from the file where they are kept; else computed and kept."""
    with suppress(RunError):  # not there yet, or damaged: it is made from what is
        return read_arrays(path, SCORES)
    scores = score_masks(packed(), done, tolerance_px=tolerance)
    path.parent.mkdir(exist_ok=True)
    with written_whole(path) as scratch, scratch.open("wb") as file:
        np.savez(file, **scores)  # type: ignore[arg-type]
    return scores


def _packed(folder: RunFolder) -> Packed:
    items = folder.load_plan().items
    return open_packed(next(str(item.settings["packed"]) for item in items if "packed" in item.settings))


def score_masks(packed: Packed, done: Path, *, tolerance_px: float) -> dict[str, Floats]:
    """``nsd`` and ``hd95`` (n, K) of the test images of one fit, in the order of its scores.

    Raises:
        RunError: its predictions are damaged, or not of these images.
    """
    cases = read_arrays(done / "scores.npz", ("case",))["case"].tolist()
    predictions = read_arrays(done / "predictions.npz", [str(case) for case in cases])
    K, scores = len(packed.classes), []
    for case in cases:
        target, labels = packed.target(case), predictions[str(case)]
        if labels.shape != target.shape:
            sizes = f"{labels.shape[1]}×{labels.shape[0]} pixels, the true one {target.shape[1]}×{target.shape[0]}"
            raise RunError(
                f"the predicted mask {case} has {sizes}", where=str(done), cure="Run the study again."
            )
        scores.append(of_image(target, labels, K, tolerance_px=tolerance_px))
    return {name: np.array([pair[position] for pair in scores]) for position, name in enumerate(SCORES)}


def boundary_section(rows: Rows, judgement: Judgement) -> BoundarySection | None:
    """HD95 of every class, which has no upper end and so is only described; None where there is nothing to describe."""
    if rows.boundaries is None or not judgement.comparable:
        return None
    made = []
    for id in judgement.comparable:
        repeats = [outputs for _, outputs in rows.outputs_by_repeat(id)]
        foreground = list(enumerate(rows.classes))[1:]
        hd95 = {name: _distance(rows, repeats, k, judgement.judge.alpha) for k, name in foreground}
        made.append(BoundaryDistances(id=id, name=rows.by_id[id].name, hd95=hd95))
    return BoundarySection(tolerance_px=rows.boundaries.tolerance_px, configurations=tuple(made))


def _distance(rows: Rows, repeats: Sequence[Outputs], k: int, alpha: float) -> ClassDistance:
    """Of an image the mean over the repeats that have one; of a group the median over its images."""
    n = len(rows.names)
    total, number, capped = np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool)
    for outputs in repeats:
        assert outputs.hd95 is not None
        distance, cells = outputs.hd95[:, k], outputs.counts
        defined = ~np.isnan(distance)
        total[outputs.case[defined]] += distance[defined]
        number[outputs.case[defined]] += 1
        # Where either is empty, the distance is the diagonal of the image, and so no measurement.
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
