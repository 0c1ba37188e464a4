"""Boundary scores of a whole run: computed once from predicted and true masks, then kept beside the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

from foldwise.data.cache.packed import Packed, open_packed
from foldwise.errors import RunError, SpecError
from foldwise.judging.scores.rows import Outlines, Rows, read_arrays
from foldwise.judging.statistics.intervals import NO_INTERVAL, Interval
from foldwise.metrics.boundary import VERSION, of_image
from foldwise.metrics.outputs import Floats, Outputs, counts
from foldwise.metrics.table import choose_metric
from foldwise.run.folder import RunFolder, written_whole
from foldwise.study.spec import Judging, Study


def check_boundary(asked: Judging, family: str) -> None:
    """Raise SpecError where boundary scores are asked for and there are no masks."""
    if asked.boundary and family != "segmentation":
        raise SpecError(
            "boundary scores are of masks, and this task has none", cure="Leave judge.boundary out."
        )


def choose_tolerance(asked: Judging, family: str) -> float | None:
    """The tolerance in pixels where a study asks for boundary scores, or decides by them; else None."""
    check_boundary(asked, family)
    wanted = asked.boundary or choose_metric(asked.metric, family).needs == "boundary"
    return asked.tolerance_px if wanted else None


def with_outlines(study: Study, rows: Rows, folder: RunFolder) -> Rows:
    """The rows with the boundary scores of every mask that was predicted, where the study asks for them.

    Each fit is scored once; a file in the run folder keeps it, under the tolerance.

    Raises:
        RunError: masks must be scored, and the packed images are not in the cache any more, or a prediction is damaged.
    """
    tolerance = choose_tolerance(study.judge, rows.family)
    if tolerance is None:
        return rows
    known: dict[str, Packed] = {}

    def packed() -> Packed:
        if not known:
            plan = folder.load_plan()
            known["of"] = open_packed(
                next(str(item.settings["packed"]) for item in plan.items if "packed" in item.settings)
            )
        return known["of"]

    done = {fit.item: fit.path for fit in rows.fits if fit.status == "done"}
    done |= {one.item: one.path for one in rows.beside if one.kind in ("shallow", "aa_test") and one.done}
    kept = {
        item: _kept(folder.boundaries / f"{item}-{tolerance:g}px-{VERSION}.npz", path, packed, tolerance)
        for item, path in done.items()
    }
    return replace(rows, outlines=Outlines(tolerance, kept))


def _kept(path: Path, done: Path, packed: Callable[[], Packed], tolerance: float) -> Mapping[str, Floats]:
    """The scores of one fit, from the file where they are kept; else computed and kept."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in ("nsd", "hd95")}
    except (OSError, ValueError, KeyError, EOFError):
        pass  # not there yet, or damaged: it is made from what is
    made = score_masks(packed(), done, tolerance_px=tolerance)
    path.parent.mkdir(exist_ok=True)
    with written_whole(path) as scratch, scratch.open("wb") as file:
        np.savez(file, **made)  # type: ignore[arg-type]
    return made


def score_masks(packed: Packed, done: Path, *, tolerance_px: float) -> dict[str, Floats]:
    """``nsd`` and ``hd95`` (n, K) of the test images of one fit, in the order of its scores.

    Raises:
        RunError: its predictions are damaged, or not of these images.
    """
    cases = read_arrays(done / "scores.npz", ("case",))["case"].tolist()
    said = read_arrays(done / "predictions.npz", [str(case) for case in cases])
    K, found = len(packed.classes), []
    for case in cases:
        target, labels = packed.target(case), said[str(case)]
        if labels.shape != target.shape:
            sizes = f"{labels.shape[1]}×{labels.shape[0]} pixels, the true one {target.shape[1]}×{target.shape[0]}"
            raise RunError(
                f"the predicted mask {case} has {sizes}", where=str(done), cure="Run the study again."
            )
        found.append(of_image(target, labels, K, tolerance_px=tolerance_px))
    return {name: np.array([one[place] for one in found]) for place, name in enumerate(("nsd", "hd95"))}


@dataclass(frozen=True)
class Distance:
    """HD95 of one class: its median over units, in pixels, with an interval, and the images it rests on.

    Attributes:
        median, low, high: nan where it is not known.
        num_images: that have the class, or are said to.
        num_capped: of them, where it is there and nowhere predicted, or the other way round.
    """

    median: float
    low: float
    high: float
    num_images: int
    num_capped: int


def boundary_record(study: Study, rows: Rows, comparable: Sequence[str]) -> dict[str, Any] | None:
    """``boundary`` of the verdict; None where it is not asked for or no configuration is complete.

    Args:
        study: its error rate.
        rows: of the run, from `with_outlines`.
        comparable: ids of the configurations that are complete, best first.
    """
    if rows.outlines is None or not comparable:
        return None
    names = {one.id: one.name for one in rows.configurations}
    return {
        "tolerance_px": rows.outlines.tolerance_px,
        "configurations": [
            {"id": one, "name": names[one], "hd95": _distances(rows, one, study.judge.alpha)}
            for one in comparable
        ],
    }


def _distances(rows: Rows, configuration: str, alpha: float) -> dict[str, dict[str, Any]]:
    every = [rows.outputs(configuration, repeat) for repeat in rows.repeats]
    outputs = [one for one in every if one is not None]
    return {name: vars(_distance(rows, outputs, k, alpha)) for k, name in enumerate(rows.classes) if k > 0}


def _distance(rows: Rows, repeats: Sequence[Outputs], k: int, alpha: float) -> Distance:
    """Of an image the mean over the repeats that tell it; of a group the median over its images."""
    n = len(rows.names)
    total, told, capped = np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool)
    for outputs in repeats:
        assert outputs.hd95 is not None
        far, found = outputs.hd95[:, k], counts(outputs)
        known = ~np.isnan(far)
        total[outputs.case[known]] += far[known]
        told[outputs.case[known]] += 1
        one_empty = (found.tp + found.fn > 0)[:, k] != (found.tp + found.fp > 0)[:, k]
        capped[outputs.case[one_empty]] = True
    seen = told > 0
    per_image, unit = total[seen] / told[seen], rows.units.of_case[seen]
    per_unit = np.array([np.median(per_image[unit == one]) for one in np.unique(unit)])
    low, high = median_interval(per_unit, alpha=alpha)
    median = float(np.median(per_unit)) if len(per_unit) else float("nan")
    return Distance(median, low, high, int(seen.sum()), int(capped.sum()))


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
