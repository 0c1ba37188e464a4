"""Everything the report shows, gathered from a run folder into plain values before anything is drawn."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from foldwise.data.store.packed import open_packed
from foldwise.errors import RunError
from foldwise.judging import curves
from foldwise.judging.rows import Rows, read_rows
from foldwise.study.folder import RunFolder, read_json
from foldwise.study.reading import read_study
from foldwise.study.spec import Validation

MOST_CURVES = 6  # configurations drawn in one ROC panel; more are a tangle
MOST_CLASSES = 12  # classes with panels of their own; the tables always have all
CURVE_POINTS = 80
Result = Mapping[str, Any]
Curve = Mapping[str, Any]


class Images(Protocol):
    """What the report needs of `foldwise.data.store.packed.Packed`."""

    shapes: NDArray[Any]

    def image(self, index: int) -> NDArray[Any]:
        """(C, H, W) in its own type."""

    def target(self, index: int) -> NDArray[np.uint8]:
        """(H, W) class indices, 255 where nothing counts."""


@dataclass(frozen=True)
class CaseRow:
    """One row of cases.csv."""

    index: int
    name: str
    labels: tuple[int, ...]
    group: str
    width: int
    height: int
    mode: str
    format: str


@dataclass(frozen=True)
class Evidence:
    """A finished, or unfinished, run as the report sees it.

    Attributes:
        verdict: verdict.json.
        cases: one per image.
        audit: audit.json: findings, statements and layout.
        environment: versions, machine, digests and seeds.
        study_text: the study file as it was written.
        results: result.json of every fit that is done or failed.
        roc, pr: by configuration, then class index: ``{"folds": [(x, y)], "mean": (x, y), "auroc" or "ap"}``.
        confusion: by configuration (K, K), or (K, 2, 2) for several labels: truth by prediction.
        image_scores: by configuration: case index -> score, higher is better; for the choice of pictures.
        probabilities: by configuration: case index -> (K,); classification only.
        predictions: by configuration: case index -> file with the predicted mask; segmentation only.
        images: pixels, or None where the cache was cleared.
        place: the run folder as a reader types it.
        validation, alpha: what the study asked for.
    """

    verdict: Mapping[str, Any]
    cases: Sequence[CaseRow]
    audit: Mapping[str, Any]
    environment: Mapping[str, Any]
    study_text: str
    results: Sequence[Result] = ()
    roc: Mapping[str, Mapping[int, Curve]] = field(default_factory=dict)
    pr: Mapping[str, Mapping[int, Curve]] = field(default_factory=dict)
    confusion: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    image_scores: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    probabilities: Mapping[str, Mapping[int, NDArray[Any]]] = field(default_factory=dict)
    predictions: Mapping[str, Mapping[int, Path]] = field(default_factory=dict)
    images: Images | None = None
    place: str = "run"
    validation: Validation = field(default_factory=Validation)
    alpha: float = 0.05

    @property
    def confidence(self) -> str:
        """Of every interval, as it is written: 95 %."""
        return f"{100 * (1 - self.alpha):g}\u00a0%"

    @property
    def segmentation(self) -> bool:
        """Whether every pixel has a class."""
        return str(self.verdict["task"]).endswith("segmentation")

    @property
    def multilabel(self) -> bool:
        """Whether an image can have several labels."""
        return str(self.verdict["task"]).startswith("multilabel")

    @property
    def classes(self) -> list[str]:
        """Names in the order of the outputs."""
        return list(self.verdict["classes"])

    @property
    def configurations(self) -> list[dict[str, Any]]:
        """Best first."""
        return list(self.verdict["configurations"])

    @property
    def winner(self) -> dict[str, Any] | None:
        """The configuration the answer names, or else the best one with a score."""
        answer = self.verdict.get("answer")
        chosen = answer["configuration"] if answer else None
        scored = [one for one in self.configurations if one.get("estimate") is not None]
        return next((one for one in scored if one["id"] == chosen), scored[0] if scored else None)

    def shown_classes(self) -> list[int]:
        """Indices of the classes with panels: all, or the most frequent ones; of a segmentation not the background."""
        first = 1 if self.segmentation else 0
        chosen = list(range(first, len(self.classes)))
        if str(self.verdict["task"]) == "binary_classification":
            chosen = [1]  # the panels of the two classes mirror each other
        if len(chosen) <= MOST_CLASSES:
            return chosen
        support = np.bincount(
            [label for case in self.cases for label in case.labels], minlength=len(self.classes)
        )
        return sorted(sorted(chosen, key=lambda k: -support[k])[:MOST_CLASSES])


def gather(folder: RunFolder) -> Evidence:
    """Read a run folder that was judged.

    Raises:
        RunError: there is no verdict yet, or a file of the run is damaged.
    """
    if not folder.verdict.exists():
        raise RunError(
            "there is no verdict yet", where=str(folder.root), cure=f"foldwise report {folder.root}"
        )
    rows, verdict, asked = read_rows(folder), read_json(folder.verdict), read_study(folder.study)
    scored = [one["id"] for one in verdict["configurations"] if one.get("estimate") is not None]
    known = Evidence(
        verdict=verdict,
        cases=_cases(folder.cases),
        audit=read_json(folder.audit),
        environment=read_json(folder.environment) if folder.environment.exists() else {},
        study_text=folder.study.read_text(encoding="utf-8"),
        results=[fit.result for fit in rows.fits if fit.result],
        images=_images(folder),
        place=_place(folder.root),
        validation=asked.validate_,
        alpha=asked.judge.alpha,
    )
    return _with_scores(known, rows, scored)


def _with_scores(known: Evidence, rows: Rows, scored: list[str]) -> Evidence:
    few, classes = scored[:MOST_CURVES], known.shown_classes()
    parts: dict[str, Any] = dict(vars(known))
    parts["roc"] = {one: {k: _thinned(curves.roc(rows, one, k)) for k in classes} for one in few}
    parts["pr"] = {one: {k: _thinned(_held(curves.pr(rows, one, k))) for k in classes} for one in few}
    parts["confusion"] = {one: np.asarray(curves.confusion_matrix(rows, one)) for one in few}
    parts["image_scores"] = {one: dict(curves.image_scores(rows, one)) for one in scored[:1]}
    if known.segmentation:
        parts["predictions"] = {one: _masks(rows, one) for one in scored}
    else:
        parts["probabilities"] = {one: _probabilities(rows, one) for one in scored}
    return Evidence(**parts)


def _thinned(curve: Curve) -> dict[str, Any]:
    """The curve with at most `CURVE_POINTS` points a line, evenly along its length."""
    return {
        **curve,
        "folds": [_thin(points) for points in curve["folds"]],
        "mean": _thin(curve["mean"]) if curve.get("mean") is not None else None,
    }


def _held(curve: Curve) -> Curve:
    """Precision-recall lines from their first point with a recall above 0, and level from there to recall 0.

    Thresholds so high that nothing true is found have a precision of 0, which drew a stroke along the axis.
    """
    mean = curve.get("mean")
    return {
        **curve,
        "folds": [_level(points) for points in curve["folds"]],
        "mean": _level(mean) if mean is not None else None,
    }


def _level(points: Sequence[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    recall, precision = np.asarray(points[0], dtype=float), np.asarray(points[1], dtype=float)
    found = recall > 0
    if not found.any():
        return recall, precision
    recall, precision = recall[found], precision[found]
    return np.concatenate([[0.0], recall]), np.concatenate([precision[:1], precision])


def _thin(points: Sequence[Any]) -> tuple[list[float], list[float]]:
    x, y = np.asarray(points[0], dtype=float), np.asarray(points[1], dtype=float)
    if len(x) > CURVE_POINTS:
        travelled = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        places = np.unique(
            np.searchsorted(travelled, np.linspace(0, travelled[-1], CURVE_POINTS)).clip(0, len(x) - 1)
        )
        x, y = x[places], y[places]
    return [round(float(value), 4) for value in x], [round(float(value), 4) for value in y]


def _cases(path: Path) -> list[CaseRow]:
    with path.open(newline="", encoding="utf-8") as file:
        return [_case(row) for row in csv.DictReader(file)]


def _case(row: Mapping[str, str]) -> CaseRow:
    labels = tuple(int(label) for label in row["labels"].split())
    size = int(row.get("width") or 0), int(row.get("height") or 0)
    return CaseRow(
        int(row["index"]),
        row["name"],
        labels,
        row.get("group", ""),
        *size,
        row.get("mode", ""),
        row.get("format", ""),
    )


def _images(folder: RunFolder) -> Images | None:
    """The decoded images; a report without pictures is better than none when the cache was cleared."""
    plan = folder.load_plan()
    digest = next((str(item.settings["packed"]) for item in plan.items if "packed" in item.settings), None)
    try:
        return open_packed(digest) if digest else None
    except RunError:
        return None


def _place(root: Path) -> str:
    absolute, here = root.resolve(), Path.cwd().resolve()
    return (
        absolute.relative_to(here).as_posix()
        if absolute.is_relative_to(here) and absolute != here
        else root.name
    )


def _first_repeat(rows: Rows) -> int:
    return rows.repeats[0]


def _masks(rows: Rows, configuration: str) -> dict[int, Path]:
    files = [(fit, fit.path / "predictions.npz") for fit in rows.done(configuration, _first_repeat(rows))]
    tested = {(split.repeat, split.fold): split.test for split in rows.splits}
    return {int(case): path for fit, path in files if path.exists() for case in tested[fit.repeat, fit.fold]}


def _probabilities(rows: Rows, configuration: str) -> dict[int, NDArray[Any]]:
    outputs = rows.outputs(configuration, _first_repeat(rows))
    if outputs is None or outputs.probabilities is None:
        return {}
    return {int(case): one for case, one in zip(outputs.case, outputs.probabilities, strict=True)}
