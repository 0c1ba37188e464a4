"""Everything the report shows, gathered from a run folder into plain values before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from foldwise.data.cache.packed import Packed, open_packed
from foldwise.errors import RunError
from foldwise.judging.curves import NO_CURVES, Curves, read_curves
from foldwise.judging.verdict import Verdict, read_verdict
from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.processes import collecting_later
from foldwise.runs.auxiliary import AuxiliaryItem, read_auxiliary
from foldwise.runs.folder import RunFolder, read_json
from foldwise.runs.items import Item
from foldwise.sealed import read_table, read_text
from foldwise.sealed_arrays import Arrays, read_arrays
from foldwise.study.own_code import CODE, content_of
from foldwise.study.spec import Validation
from foldwise.study.training import Task, Training
from foldwise.text import in_shell

Result = Mapping[str, Any]
Shares = Mapping[int, NDArray[Any]]  # by case


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
class OwnFile:
    """A file of own code that lies with the winner: where in the run folder, its digest, and what is in it."""

    path: str
    digest: str
    text: str


@dataclass(frozen=True)
class ReportData:
    """A finished, or unfinished, run as the report sees it.

    Attributes:
        verdict: verdict.json.
        curves: curves.npz: curves, confusion matrices and scores of single images.
        cases: one per image.
        audit: audit.json: findings, statements and layout.
        environment: versions, machine, digests and seeds.
        study_text: the study file as it was written.
        results: result.json of every fit that is done or failed.
        auxiliary: all other items that are done, in plan order.
        probabilities: of a configuration: case index -> (K,), in the first repeat; classification only, else none.
        predictions: by configuration: case index -> file with the predicted mask; segmentation only.
        trainings: by configuration, how it was trained.
        folders: by configuration, those of its fits that are done, the first fold of the first repeat first.
        snapshots: by configuration, the file with the images of its first fold as training went on; segmentation.
        images: pixels, or None where the cache was cleared.
        run_path: the run folder as a reader types it.
        validation: what the study asked for.
        statistics: statistics.csv: numbers of all images, and of every part of every fold.
        own_code: the files that travel with the winner.
    """

    verdict: Verdict
    curves: Curves
    cases: Sequence[CaseRow]
    audit: Mapping[str, Any]
    environment: Mapping[str, Any]
    study_text: str
    results: Sequence[Result] = ()
    auxiliary: Sequence[AuxiliaryItem] = ()
    probabilities: Callable[[str], Shares] = field(default=lambda _: {})
    predictions: Mapping[str, Mapping[int, Path]] = field(default_factory=dict)
    trainings: Mapping[str, Training] = field(default_factory=dict)
    snapshots: Mapping[str, Path] = field(default_factory=dict)
    folders: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    images: Packed | None = None
    run_path: str = "run"
    validation: Validation = field(default_factory=Validation)
    statistics: Sequence[Mapping[str, str]] = ()
    own_code: Sequence[OwnFile] = ()

    @property
    def confidence(self) -> str:
        """Of every interval, as a page has it: 95 %, and no line ends within."""
        return self.verdict.confidence.replace(" ", "\u00a0")

    @property
    def task(self) -> Task | None:
        """Such as ``binary_segmentation``; None of scores from elsewhere, of which there is no more than the verdict."""
        return cast(Task | None, self.verdict.task)

    @property
    def segmentation(self) -> bool:
        """Whether every pixel has a class."""
        return str(self.task).endswith("segmentation")

    @property
    def multilabel(self) -> bool:
        """Whether an image can have several labels."""
        return str(self.task).startswith("multilabel")

    @property
    def classes(self) -> list[str]:
        """Names in the order of the outputs."""
        return list(self.verdict.classes)

    @property
    def configurations(self) -> tuple[ConfigurationResult, ...]:
        """Best first."""
        return self.verdict.configurations

    @property
    def names(self) -> dict[str, str]:
        """Of the configurations, by id."""
        return {result.id: result.name for result in self.configurations}

    @cached_property
    def results_of(self) -> dict[str, list[Result]]:
        """Of `results`, those of each configuration, by id; of what has none, by an empty one."""
        by_id: dict[str, list[Result]] = {}
        for result in self.results:
            by_id.setdefault(str(result.get("configuration", "")), []).append(result)
        return by_id

    @property
    def devices(self) -> list[str]:
        """What the fits ran on."""
        costs = [result.get("cost", {}) for result in self.results]
        return sorted({str(cost.get("device_name") or cost.get("device") or "") for cost in costs} - {""})

    @property
    def winner(self) -> ConfigurationResult | None:
        """The configuration the answer names, or else the best of those with the most fits."""
        answer, sign = self.verdict.answer, self.verdict.metric.sign
        scored = [result for result in self.configurations if result.estimate is not None]
        return max(
            scored,
            key=lambda result: (
                answer is not None and result.id == answer.configuration,
                result.num_done,
                sign * (result.estimate or 0.0),
            ),
            default=None,
        )


@collecting_later()
def gather(folder: RunFolder, verdict: Verdict | None = None, curves: Curves | None = None) -> ReportData:
    """Read a run folder that was judged; nothing is computed.

    Args:
        verdict, curves: on what is done; by default those that were written.

    Raises:
        RunError: there is no verdict yet, or a file of the run is damaged.
    """
    if verdict is None and not folder.verdict.exists():
        cure = f"foldwise report {in_shell(folder.root)}"
        raise RunError("there is no verdict yet", where=str(folder.root), cure=cure)
    verdict = verdict or read_verdict(folder.verdict)
    plan, study = folder.load_plan(), folder.load_study()
    fits = [item for item in plan.items if item.kind == "fit"]
    by_item = {item.id: result for item in fits if (result := folder.result(item.id))}
    auxiliary = [item for item in read_auxiliary(folder, plan) if item.done]
    # Configurations without a score have no place in pictures that compare.
    scored = {result.id for result in verdict.configurations if result.estimate is not None}
    by_fold = sorted(fits, key=lambda item: (item.settings["repeat"], item.settings["fold"]))
    done = [item for item in by_fold if by_item.get(item.id, {}).get("status") == "done"]
    # Every image is tested once a repeat, so the first repeat has all of them, and pictures show one prediction each.
    tested = [
        item for item in done if item.settings["repeat"] == 0 and item.settings["configuration"] in scored
    ]
    segmentation = str(verdict.task).endswith("segmentation")
    return ReportData(
        verdict=verdict,
        curves=curves or read_curves(folder.curves),
        cases=[_case(row) for row in read_table(folder.cases)],
        audit=read_json(folder.audit),
        environment=read_json(folder.environment) if folder.environment.exists() else {},
        study_text=read_text(folder.study_file),
        results=list(by_item.values()),
        auxiliary=auxiliary,
        probabilities=_probabilities({} if segmentation else _folders(folder, tested, tested)),
        predictions=_predictions(folder, tested, auxiliary) if segmentation else {},
        trainings={configuration.id: configuration.training for configuration in plan.configurations},
        snapshots=_snapshots(folder, fits),
        folders=_folders(folder, fits, done),
        images=_images(folder),
        run_path=_run_path(folder.root),
        validation=study.validate_,
        statistics=read_table(folder.statistics) if folder.statistics.exists() else (),
        own_code=_own_code(folder, verdict),
    )


def _own_code(folder: RunFolder, verdict: Verdict) -> list[OwnFile]:
    """The own code that lies with the winner of this verdict, as it was copied; nothing of it is run."""
    model, code = folder.winner / "model.json", folder.winner / CODE
    if verdict.answer is None or not code.is_dir():
        return []
    record = read_json(model)
    stated = record.get("code") or {}
    if (record.get("answer") or {}).get("configuration") != verdict.answer.configuration:
        return []  # the winner of before
    # Names come from the folder, and not from the record, which somebody may have written.
    files = {path.relative_to(code).as_posix(): path for path in sorted(code.rglob("*")) if path.is_file()}
    return [
        OwnFile(f"{code.relative_to(folder.root).as_posix()}/{name}", stated[name], text)
        for name, path in files.items()
        if stated.get(name) == content_of(path)
        for text in [path.read_text(encoding="utf-8", errors="replace")]
    ]


def of_scores(verdict: Verdict) -> ReportData:
    """A verdict on scores from elsewhere, as the report sees it: nothing was trained, and there are no images."""
    return ReportData(verdict, NO_CURVES, (), {}, {"foldwise": version("foldwise")}, "")


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


def _images(folder: RunFolder) -> Packed | None:
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


def _folders(folder: RunFolder, fits: Sequence[Item], done: Sequence[Item]) -> dict[str, list[Path]]:
    folders: dict[str, list[Path]] = {str(item.settings["configuration"]): [] for item in fits}
    for item in done:
        folders[item.settings["configuration"]].append(folder.done(item.id))
    return folders


def _snapshots(folder: RunFolder, fits: Sequence[Item]) -> dict[str, Path]:
    first = [item for item in fits if item.settings["repeat"] == item.settings["fold"] == 0]
    files = {str(item.settings["configuration"]): folder.done(item.id) / "watched.npz" for item in first}
    return {configuration: path for configuration, path in files.items() if path.exists()}


def _probabilities(folders: Mapping[str, Sequence[Path]]) -> Callable[[str], Shares]:
    """What reads those of one configuration; hundreds have files that no picture is made from."""

    @lru_cache
    def of(configuration: str) -> Shares:
        shares: dict[int, NDArray[Any]] = {}
        for folder in folders.get(configuration, ()):
            arrays = read_arrays(folder / "scores.npz", ("case", "probabilities"))
            own = arrays["probabilities"].astype(np.float64)
            shares.update(zip(arrays["case"].tolist(), own, strict=True))
        return shares

    return of


def _predictions(
    folder: RunFolder, tested: Sequence[Item], auxiliary: Sequence[AuxiliaryItem]
) -> dict[str, dict[int, Path]]:
    """Files of masks, each an array by the index of its case; of shallow baselines by the id that the verdict gives."""
    files = [
        (str(item.settings["configuration"]), folder.done(item.id) / "predictions.npz") for item in tested
    ]
    files += [
        (str(item.result["baseline"]), item.path / "predictions.npz")
        for item in auxiliary
        if item.kind == "shallow" and item.settings["repeat"] == 0
    ]
    # Only the names of the arrays are read: a page draws few masks of the many that a study predicts.
    predictions: dict[str, dict[int, Path]] = {}
    for predictor, path in files:
        if path.exists():
            with Arrays(path) as arrays:
                predictions.setdefault(predictor, {}).update(dict.fromkeys(map(int, arrays), path))
    return predictions
