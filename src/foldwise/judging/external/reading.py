"""Files of scores, whatever kind they are of, as one table; and the metric that they are judged by."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from foldwise.errors import DataError, SpecError, unknown
from foldwise.foreign import refuse_strange
from foldwise.judging.external.columns import without_summaries
from foldwise.judging.external.layouts import read_table
from foldwise.judging.external.options import NONE, ScoreOptions
from foldwise.judging.external.own import is_own, is_segmentation, overlap_of, read_own
from foldwise.judging.external.pieces import Coded, Piece, joined, with_all_roles
from foldwise.judging.external.text import Text, open_text
from foldwise.metrics.names import named_score, plain
from foldwise.sealed import verified
from foldwise.text import in_shell, listed, some

SUMMARY = "summary.json"
# nnU-Net writes MODEL/fold_0/validation/summary.json, and MODEL/crossval_results_folds_0_1_2/summary.json of all.
FOLD = re.compile(r"fold_(\w+)")
NO_SUMMARY = (
    "Give the summary.json that nnU-Net (version 2) writes beside its predictions: it has metric_per_case."
)
SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".tif", ".tiff", ".png", ".bmp", ".npz", ".npy")

TABLE = "scores.csv"
KINDS = "a CSV or TSV file, a summary.json of nnU-Net, or a run folder"


@dataclass(frozen=True)
class ScoreFiles:
    """What the files say.

    Attributes:
        piece: all rows.
        statements: what was recognised, for people.
        classes: of labels that go with the rows; empty where the scores are what there is.
        metric: what the scores are called.
    """

    piece: Piece
    statements: tuple[str, ...]
    classes: tuple[str, ...]
    metric: str


def read_files(paths: Sequence[Path], options: ScoreOptions) -> ScoreFiles:
    """All files as one table; they must be of one kind.

    Raises:
        DataError: a file cannot be read, or says something that is not usable.
        SpecError: something that is stated is not there, or a file is not.
    """
    files = [_file(path) for path in paths]
    resolved = [path.resolve() for path in files]
    twice = [path for path, whole in zip(files, resolved, strict=True) if resolved.count(whole) > 1]
    if twice:
        raise SpecError(f"{min(twice)} is named twice", cure="Name every file once.")
    summaries = [path for path in files if path.suffix.lower() == ".json"]
    if summaries and len(summaries) < len(files):
        cure = "Judge the summaries of nnU-Net by themselves, or write all scores into one table."
        raise DataError("tables and summaries of nnU-Net cannot be judged together", cure=cure)
    if summaries:
        pieces, statements, metric = read_summaries(files, options)
        return ScoreFiles(joined(pieces), tuple(statements), (), metric)
    for path in files:
        # Before anything is recognised: in a damaged table of a run a column may be called otherwise.
        if path.with_name("judged.json").is_file():
            verified(path)
    # By their names, and with the folders where several are called the same.
    names = [path.name for path in files]
    texts = [open_text(path, path.name if names.count(path.name) == 1 else str(path)) for path in files]
    if any(is_own(text) for text in texts) and not (options.configuration or options.case or options.score):
        return _own(texts, options)
    called = _called(files) if len(files) > 1 else [None]
    read = [read_table(text, options, called=name) for text, name in zip(texts, called, strict=True)]
    metric = options.metric or _metric_of_files(texts, [name for _, _, name in read], options)
    cases = [without_summaries(piece) for piece, _, _ in read]
    piece = joined([piece for piece, _ in cases])
    remarks = [
        *(statement for _, statement, _ in read),
        *(left_out for _, left_out in cases),
        _alone(piece),
        _unscored(piece),
    ]
    return ScoreFiles(piece, tuple(remark for remark in remarks if remark), (), metric)


def _called(files: Sequence[Path]) -> list[str]:
    """What a configuration of each file is called: like the file, or like its folder where files are called the same."""
    stems = [file.stem for file in files]
    if len(set(stems)) == len(stems):
        return stems
    parts = [(*file.resolve().parent.parts, file.stem) for file in files]
    if len(set(parts)) < len(parts):  # a.csv and a.tsv of one folder
        parts = [(*file.resolve().parent.parts, file.name) for file in files]
    # runs/unet/test/scores.csv and runs/vit/test/scores.csv: what is called the same tells nothing.
    while len({own[-1] for own in parts}) == 1:
        parts = [own[:-1] for own in parts]
    return _names([Path(*own) for own in parts])


def _metric_of_files(texts: Sequence[Text], names: Sequence[str | None], options: ScoreOptions) -> str:
    """What the scores of all files are called; a plain score where none says so.

    Raises:
        DataError: they are called differently, or only a file's name says that less is better.
    """
    called = {plain(name): name for name in names if name and plain(name) not in ("score", "value")}
    if len(called) > 1:
        each = some([f"{name} in {text.name}" for text, name in zip(texts, names, strict=True) if name])
        cure = "Name the column with --score; or, where all are the same metric, what it is with --metric."
        raise DataError(f"the files hold scores of different names: {each}", cure=cure)
    if called:
        return next(iter(called.values()))
    hinting = [text for text in texts if named_score(text.path.stem).higher_is_better is False]
    if hinting and options.higher_is_better is None:
        cure = f"Say what they are: --metric {named_score(hinting[0].path.stem).measure.replace(' ', '_')}, or --higher-is-better."
        what = "no column says what the scores are, and the name of the file that less may be better"
        raise DataError(what, where=hinting[0].name, cure=cure)
    return "score"


def _alone(piece: Piece) -> str | None:
    """Which cases have no group where others have one, in words."""
    group, case = piece.columns["group"], piece.columns["case"]
    if "" not in group.names or len(group.names) == 1:
        return None
    codes = np.unique(case.codes[group.codes == group.names.index("")]).tolist()
    names = [case.names[code] for code in codes]
    return listed(names, "case has no group", "cases have no group", "and each is taken for one of its own")


def _unscored(piece: Piece) -> str | None:
    """Which cases have a row, and no score of any configuration, in words; None where all have one."""
    case = piece.columns["case"]
    scored = set(case.codes[~np.isnan(piece.score)].tolist())
    names = [case.names[code] for code in np.unique(case.codes).tolist() if code not in scored]
    if not names or not scored:
        return None
    return listed(names, "case has no score", "cases have no score", "of any configuration")


def _file(path: Path) -> Path:
    """The file of scores that a path means: itself, or that of a run folder or of a folder of nnU-Net."""
    if path.is_file():
        return path
    if not path.exists():
        raise SpecError(f"there is no file {path}", cure=f"Name {KINDS}.")
    refuse_strange(path)
    files = [path / name for name in (TABLE, SUMMARY) if (path / name).is_file()]
    if not files:
        cure = f"Name {KINDS}; of a run that has no verdict yet, first: foldwise report {in_shell(path)}"
        raise DataError(f"there is neither {TABLE} nor {SUMMARY} in this folder", where=str(path), cure=cure)
    return files[0]


def _own(texts: Sequence[Text], options: ScoreOptions) -> ScoreFiles:
    if len({is_own(text) and text.columns for text in texts}) > 1:
        cure = "Judge runs of the same task together, and other tables by themselves."
        raise DataError("these tables are of different kinds", cure=cure)
    read = [read_own(text, options) for text in texts]
    classes = read[0][1]
    if any(other != classes for _, other in read):
        cure = "Judge runs together only if their classes are the same, in the same order."
        raise DataError("the classes of the runs differ", cure=cure)
    statements = tuple(
        f"{text.name}: scores of a run of foldwise, with {len(classes)} classes" for text in texts
    )
    piece = joined([piece for piece, _ in read])
    if is_segmentation(texts[0]):
        return ScoreFiles(piece, statements, (), overlap_of(options))
    return ScoreFiles(piece, statements, classes, options.metric or "auto")


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
        # Label 0 is the background.
        labels = [label for label in cases[0]["metrics"] if label != "0"]
        n = len(cases)
        columns = {
            "configuration": Coded.constant(name, n),
            "fold": Coded.constant("" if options.fold == NONE else fold, n),
            "case": Coded.of(np.arange(n), [_case(case, str(path)) for case in cases]),
        }
        score = np.array([_mean(case, metric, str(path)) for case in cases])
        pieces.append(
            Piece(str(path), with_all_roles(columns), score, np.zeros(n, dtype=np.int32), undefined=True)
        )
    over = f"label{'s' * (len(labels) > 1)} {', '.join(labels)}"
    statement = (
        f"{len(paths)} summaries of nnU-Net: {metric}, mean over {over}; configurations named by folder"
    )
    return pieces, [statement + (", folds too" if any(fold for _, fold in models) else "")], metric


def _model(path: Path) -> tuple[Path, str]:
    """The folder of the model that a summary is of, and the fold where it is of one."""
    folder = path.parent
    if folder.name == "validation" and FOLD.fullmatch(folder.parent.name):
        folder = folder.parent
    if folder.name.startswith("crossval_results"):
        return folder.parent, ""
    fold = FOLD.fullmatch(folder.name)
    return (folder.parent, fold[1]) if fold else (folder, "")


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
    except (ValueError, RecursionError) as error:
        raise DataError(f"the file is no JSON ({error})", where=str(path), cure=NO_SUMMARY) from None
    cases = summary.get("metric_per_case") if isinstance(summary, dict) else None
    if not isinstance(cases, list) or not cases or not all(map(_is_case, cases)):
        raise DataError("it has no metrics of single cases", where=str(path), cure=NO_SUMMARY)
    return cases


def _is_case(case: Any) -> bool:
    """Whether it has metrics by label."""
    labels = case.get("metrics") if isinstance(case, dict) else None
    return isinstance(labels, dict) and all(isinstance(metrics, dict) for metrics in labels.values())


def _metric(case: dict[str, Any], options: ScoreOptions, where: str) -> str:
    """As the file spells it."""
    wanted = options.score[0] if options.score else options.metric or "Dice"
    names = {plain(name): name for metrics in case["metrics"].values() for name in metrics}
    if plain(wanted) not in names:
        raise unknown(wanted, names.values(), "metric", where=where)
    return str(names[plain(wanted)])


def _case(case: dict[str, Any], where: str) -> str:
    """The file name without its folder and suffix: the same for every model."""
    written = case.get("reference_file") or case.get("prediction_file")
    if not isinstance(written, str):
        raise DataError("a case has neither reference_file nor prediction_file", where=where, cure=NO_SUMMARY)
    # The summary may come from another machine, with the paths of that one.
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
