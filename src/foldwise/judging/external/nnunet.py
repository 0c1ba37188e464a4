"""Summaries of nnU-Net (version 2): the metrics of every case and label, one file per model or per fold of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from foldwise.errors import DataError, unknown
from foldwise.judging.external.options import NONE, ScoreOptions
from foldwise.judging.external.pieces import Coded, Piece
from foldwise.metrics.names import plain

SUMMARY = "summary.json"
NO_SUMMARY = (
    "Give the summary.json that nnU-Net (version 2) writes beside its predictions: it has metric_per_case."
)
SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".tif", ".tiff", ".png", ".bmp", ".npz", ".npy")


def read_summaries(paths: Sequence[Path], options: ScoreOptions) -> tuple[list[Piece], list[str], str]:
    """The scores of every file, what was recognised in words, and the name of the metric.

    A case has the mean over its foreground labels. A label that is neither there nor predicted has no score, and is
    left out of that mean; a case in which no label has one is undefined.

    Raises:
        DataError: a file is no such summary, or a score in it is no number.
        SpecError: it has no such metric.
    """
    models = [_model(path.resolve()) for path in paths]
    names = _names([folder for folder, _ in models])
    pieces, metric, labels = [], "", []
    for path, name, (_, fold) in zip(paths, names, models, strict=True):
        cases = _cases(path)
        metric = _metric(cases[0], options, str(path))
        labels = [label for label in cases[0]["metrics"] if label != "0"]
        pieces.append(_piece(path, name, "" if options.fold == NONE else fold, cases, metric))
    statement = f"{len(paths)} summaries of nnU-Net: {metric}, mean over {_labels(labels)}; configurations named by folder"
    return pieces, [statement + (", folds too" if any(fold for _, fold in models) else "")], metric


def _labels(labels: Sequence[str]) -> str:
    return f"label {labels[0]}" if len(labels) == 1 else f"labels {', '.join(labels)}"


def _model(path: Path) -> tuple[Path, str]:
    """The folder of the model that a summary is of, and the fold where it is of one."""
    folder = path.parent
    fold = re.fullmatch(r"fold_(\w+)", folder.parent.name)
    if folder.name == "validation" and fold:
        return folder.parent.parent, fold[1]
    if folder.name.startswith("crossval_results"):
        return folder.parent, ""
    if fold := re.fullmatch(r"fold_(\w+)", folder.name):
        return folder.parent, fold[1]
    return folder, ""


def _names(folders: Sequence[Path]) -> list[str]:
    """The names of the folders; with those above them where different ones are called the same."""
    for depth in range(1, 20):
        named = {folder: "/".join(folder.parts[-depth:]) for folder in folders}
        if len(set(named.values())) == len(named):
            break
    return [named[folder] for folder in folders]


def _cases(path: Path) -> list[dict[str, Any]]:
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"the file is no JSON ({error})", where=str(path), cure=NO_SUMMARY) from None
    cases = summary.get("metric_per_case") if isinstance(summary, dict) else None
    whole = isinstance(cases, list) and all(
        isinstance(case, dict) and isinstance(case.get("metrics"), dict) for case in cases
    )
    if not whole or not cases:
        raise DataError("it has no metrics of single cases", where=str(path), cure=NO_SUMMARY)
    return list(cases)


def _metric(case: dict[str, Any], options: ScoreOptions, where: str) -> str:
    """As the file spells it."""
    wanted = options.score[0] if options.score else options.metric or "Dice"
    names = {plain(name): name for metrics in case["metrics"].values() for name in metrics}
    if plain(wanted) not in names:
        raise unknown(wanted, names.values(), "metric", where=where)
    return str(names[plain(wanted)])


def _piece(path: Path, name: str, fold: str, cases: Sequence[dict[str, Any]], metric: str) -> Piece:
    n = len(cases)
    columns = {role: Coded.constant("", n) for role in ("repeat", "group")}
    columns["configuration"], columns["fold"] = Coded.constant(name, n), Coded.constant(fold, n)
    columns["case"] = Coded.of(np.arange(n), [_case(case, str(path)) for case in cases])
    score = np.array([_mean(case, metric, str(path)) for case in cases])
    return Piece(str(path), columns, score, np.zeros(n, dtype=np.int32), undefined=True)


def _case(case: dict[str, Any], where: str) -> str:
    """The file name without its folder and suffix: the same for every model."""
    written = case.get("reference_file") or case.get("prediction_file")
    if not isinstance(written, str):
        raise DataError("a case has neither reference_file nor prediction_file", where=where, cure=NO_SUMMARY)
    name = (PureWindowsPath if "\\" in written else PurePosixPath)(written).name
    return next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), name)


def _mean(case: dict[str, Any], metric: str, where: str) -> float:
    """Over the foreground labels that have a score; nan where none has."""
    scores = [score.get(metric) for label, score in case["metrics"].items() if label != "0"]
    wrong = [score for score in scores if score is not None and not isinstance(score, (int, float))]
    if wrong:
        cure = "Write the summary again with nnUNetv2_evaluate_folder."
        raise DataError(
            f"{metric} of {_case(case, where)} is no number: {wrong[0]!r}", where=where, cure=cure
        )
    defined = [float(score) for score in scores if score is not None and not np.isnan(score)]
    return float(np.mean(defined)) if defined else float("nan")
