"""Boundary scores of a whole run: computed once from predicted and true masks, then kept beside the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from foldwise.data.cache.packed import Packed, open_packed
from foldwise.errors import RunError, SpecError
from foldwise.judging.scores.rows import BoundaryScores, Rows, read_arrays
from foldwise.metrics.boundary import VERSION, of_image
from foldwise.metrics.outputs import Floats
from foldwise.metrics.table import choose_metric
from foldwise.runs.folder import RunFolder, written_whole
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
        item: _scores_of(packed, folder.boundaries / f"{item}-{tolerance:g}px-{VERSION}.npz", path, tolerance)
        for item, path in done.items()
    }
    return replace(rows, boundaries=BoundaryScores(tolerance, scores))


def _scores_of(
    packed: Callable[[], Packed], path: Path, done: Path, tolerance: float
) -> Mapping[str, Floats]:
    """The scores of one fit, from the file where they are kept; else computed and kept."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in SCORES}
    except (OSError, ValueError, KeyError, EOFError):
        pass  # not there yet, or damaged: it is made from what is
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
