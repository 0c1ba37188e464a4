"""Everything the report shows, gathered from a run folder into plain values before anything is drawn."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from foldwise.data.cache.packed import open_packed
from foldwise.errors import RunError
from foldwise.judging.curves import MAX_CLASSES, Curves, RankingCurve, read_curves
from foldwise.judging.scores.rows import Rows, read_rows
from foldwise.judging.verdict import read_verdict
from foldwise.run.auxiliary_results import AuxiliaryItem
from foldwise.run.folder import RunFolder, read_json
from foldwise.study.spec import Training, Validation

Result = Mapping[str, Any]
Curve = Mapping[str, Any]


class Images(Protocol):
    """What the report needs of `foldwise.data.cache.packed.Packed`."""

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
class ReportData:
    """A finished, or unfinished, run as the report sees it.

    Attributes:
        verdict: verdict.json.
        cases: one per image.
        audit: audit.json: findings, statements and layout.
        environment: versions, machine, digests and seeds.
        study_text: the study file as it was written.
        results: result.json of every fit that is done or failed.
        auxiliary: all other items that are done, in plan order.
        roc, pr: by configuration, then class index: ``{"folds": [(x, y)], "mean": (x, y), "auroc" or "ap"}``.
        confusion: by configuration (K, K), or (K, 2, 2) for several labels: truth by prediction.
        image_scores: by configuration: case index -> score, higher is better; for the choice of pictures.
        probabilities: by configuration: case index -> (K,); classification only.
        decided: by configuration: case index -> (K,) whether each label is said; several labels only.
        f1_curves: by configuration (the winner), then class index: F1 on the inner validation against the threshold.
        predictions: by configuration: case index -> file with the predicted mask; segmentation only.
        trainings: by configuration, how it was trained.
        folders: by configuration, those of its fits that are done, the first fold of the first repeat first.
        snapshots: by configuration, the file with the images of its first fold watched through training; segmentation.
        images: pixels, or None where the cache was cleared.
        run_path: the run folder as a reader types it.
        validation, alpha: what the study asked for.
        statistics: statistics.csv: numbers of all images, and of every part of every fold.
    """

    verdict: Mapping[str, Any]
    cases: Sequence[CaseRow]
    audit: Mapping[str, Any]
    environment: Mapping[str, Any]
    study_text: str
    results: Sequence[Result] = ()
    auxiliary: Sequence[AuxiliaryItem] = ()
    roc: Mapping[str, Mapping[int, Curve]] = field(default_factory=dict)
    pr: Mapping[str, Mapping[int, Curve]] = field(default_factory=dict)
    confusion: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    image_scores: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    probabilities: Mapping[str, Mapping[int, NDArray[Any]]] = field(default_factory=dict)
    decided: Mapping[str, Mapping[int, NDArray[Any]]] = field(default_factory=dict)
    f1_curves: Mapping[str, Mapping[int, Curve]] = field(default_factory=dict)
    predictions: Mapping[str, Mapping[int, Path]] = field(default_factory=dict)
    trainings: Mapping[str, Training] = field(default_factory=dict)
    snapshots: Mapping[str, Path] = field(default_factory=dict)
    folders: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    images: Images | None = None
    run_path: str = "run"
    validation: Validation = field(default_factory=Validation)
    alpha: float = 0.05
    statistics: Sequence[Mapping[str, str]] = ()

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
        """The configuration the answer names, or else the best of those with the most fits."""
        answer = self.verdict.get("answer")
        chosen = answer["configuration"] if answer else None
        scored = [one for one in self.configurations if one.get("estimate") is not None]
        sign = 1 if self.verdict["metric"].get("higher_is_better", True) else -1
        return max(
            scored,
            key=lambda one: (one["id"] == chosen, one["num_done"], sign * one["estimate"]),
            default=None,
        )

    def shown_classes(self) -> list[int]:
        """Indices of the classes with panels: all, or the most frequent ones; of a segmentation not the background."""
        first = 1 if self.segmentation else 0
        chosen = list(range(first, len(self.classes)))
        if str(self.verdict["task"]) == "binary_classification":
            chosen = [1]  # the panels of the two classes mirror each other
        if len(chosen) <= MAX_CLASSES:
            return chosen
        support = np.bincount(
            [label for case in self.cases for label in case.labels], minlength=len(self.classes)
        )
        return sorted(sorted(chosen, key=lambda k: -support[k])[:MAX_CLASSES])


def gather(
    folder: RunFolder, verdict: Mapping[str, Any] | None = None, curves: Curves | None = None
) -> ReportData:
    """Read a run folder that was judged.

    Args:
        folder: of the run.
        verdict, curves: on what is done; by default those that were written.

    Raises:
        RunError: there is no verdict yet, or a file of the run is damaged.
    """
    if verdict is None and not folder.verdict.exists():
        raise RunError(
            "there is no verdict yet", where=str(folder.root), cure=f"foldwise report {folder.root}"
        )
    verdict = read_verdict(folder.verdict).dump() if verdict is None else verdict
    rows, asked = read_rows(folder), folder.load_study()
    scored = [one["id"] for one in verdict["configurations"] if one.get("estimate") is not None]
    known = ReportData(
        verdict=verdict,
        cases=_cases(folder.cases),
        audit=read_json(folder.audit),
        environment=read_json(folder.environment) if folder.environment.exists() else {},
        study_text=folder.study_file.read_text(encoding="utf-8"),
        results=[fit.result for fit in rows.fits if fit.result],
        auxiliary=[one for one in rows.auxiliary if one.done],
        trainings={one.id: one.training for one in rows.configurations},
        snapshots=_snapshots(rows),
        folders={one.id: [fit.path for fit in rows.done(one.id)] for one in rows.configurations},
        images=_images(folder),
        run_path=_run_path(folder.root),
        validation=asked.validate_,
        alpha=asked.judge.alpha,
        statistics=_table(folder.statistics),
    )
    return _with_scores(known, rows, curves or read_curves(folder.curves), scored)


def _with_scores(known: ReportData, rows: Rows, curves: Curves, scored: list[str]) -> ReportData:
    parts: dict[str, Any] = dict(vars(known))
    parts["roc"] = _drawn(curves.roc, "auroc")
    parts["pr"] = _drawn(curves.pr, "ap")
    parts["f1_curves"] = {
        one: {k: vars(curve) for k, curve in by_class.items()} for one, by_class in curves.f1.items()
    }
    parts["confusion"] = curves.confusion
    parts["decided"] = curves.decisions
    parts["image_scores"] = curves.image_scores
    if known.segmentation:
        parts["predictions"] = {one: _masks(rows, one) for one in scored} | _shallow_masks(known)
    else:
        parts["probabilities"] = {one: rows.probabilities(one) for one in scored}
    return ReportData(**parts)


def _drawn(
    curves: Mapping[str, Mapping[int, RankingCurve]], area: str
) -> dict[str, dict[int, dict[str, Any]]]:
    return {
        one: {
            k: {"folds": curve.folds, "mean": curve.mean, area: curve.area} for k, curve in by_class.items()
        }
        for one, by_class in curves.items()
    }


def _cases(path: Path) -> list[CaseRow]:
    with path.open(newline="", encoding="utf-8") as file:
        return [_case(row) for row in csv.DictReader(file)]


def _table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; none where an older run has not written it."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


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


def _run_path(root: Path) -> str:
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


def _shallow_masks(known: ReportData) -> dict[str, dict[int, Path]]:
    """Of every shallow baseline, under the id that the verdict gives it."""
    masks: dict[str, dict[int, Path]] = {}
    for one in known.auxiliary:
        if one.kind == "shallow" and one.settings["repeat"] == 0:
            path, name = one.path / "predictions.npz", str(one.result["baseline"])
            with np.load(path, allow_pickle=False) as arrays:
                masks.setdefault(name, {}).update(dict.fromkeys(map(int, arrays.files), path))
    return masks


def _snapshots(rows: Rows) -> dict[str, Path]:
    files = {fit.configuration: fit.path / "watched.npz" for fit in rows.fits if fit.repeat == fit.fold == 0}
    return {one: path for one, path in files.items() if path.exists()}
