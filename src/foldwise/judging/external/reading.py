"""Files of scores, whatever kind they are of, as one table; and the metric that they are judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foldwise.errors import DataError, SpecError
from foldwise.judging.external.layouts import read_table
from foldwise.judging.external.nnunet import SUMMARY, read_summaries
from foldwise.judging.external.options import ScoreOptions
from foldwise.judging.external.own import is_own, is_segmentation, overlap_of, read_own
from foldwise.judging.external.pieces import Piece, joined
from foldwise.judging.external.text import Text, open_text
from foldwise.metrics.names import is_loss, plain
from foldwise.metrics.outputs import Floats
from foldwise.metrics.table import METRICS, Metric

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
    twice = {path for path in files if files.count(path) > 1}
    if twice:
        raise SpecError(f"{min(twice)} is named twice", cure="Name every file once.")
    summaries = [path for path in files if path.suffix.lower() == ".json"]
    if summaries and len(summaries) < len(files):
        cure = "Judge the summaries of nnU-Net by themselves, or write all scores into one table."
        raise DataError("tables and summaries of nnU-Net cannot be judged together", cure=cure)
    if summaries:
        pieces, statements, metric = read_summaries(files, options)
        return ScoreFiles(joined(pieces), tuple(statements), (), metric)
    texts = [open_text(path, _short(path, files)) for path in files]
    if any(is_own(text) for text in texts) and not (options.configuration or options.case or options.score):
        return _own(texts, options)
    read = [read_table(text, options, alone=len(texts) == 1) for text in texts]
    names = {plain(name): name for _, _, name in read if name and plain(name) not in ("score", "value")}
    metric = options.metric or (next(iter(names.values())) if len(names) == 1 else "score")
    return ScoreFiles(
        joined([piece for piece, _, _ in read]), tuple(statements for _, statements, _ in read), (), metric
    )


def _file(path: Path) -> Path:
    """The file of scores that a path means: itself, or that of a run folder or of a folder of nnU-Net."""
    if path.is_file():
        return path
    if not path.exists():
        raise SpecError(f"there is no file {path}", cure=f"Name {KINDS}.")
    files = [path / name for name in (TABLE, SUMMARY) if (path / name).is_file()]
    if not files:
        cure = f"Name {KINDS}; of a run that has no verdict yet, first: foldwise report {path}"
        raise DataError(f"there is neither {TABLE} nor {SUMMARY} in this folder", where=str(path), cure=cure)
    return files[0]


def _short(path: Path, all_paths: Sequence[Path]) -> str:
    """The name of a file, with its folders where another is called the same."""
    return path.name if sum(path.name == other.name for other in all_paths) == 1 else str(path)


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
    masks = is_segmentation(texts[0])
    piece = joined([piece for piece, _ in read])
    return ScoreFiles(
        piece,
        statements,
        () if masks else classes,
        overlap_of(options) if masks else options.metric or "auto",
    )


def metric_of(name: str, scores: Floats, options: ScoreOptions) -> Metric:
    """How scores are judged that are means over cases: their direction and their interval.

    Args:
        name: what they are called; what a metric of ours is called, is known.
        scores: those that are there, finite.
        asked: what is stated of them.

    Raises:
        SpecError: the scores are said to lie between 0 and 1, and do not.
    """
    metric = METRICS.get(name)
    low, high = float(scores.min()), float(scores.max())
    inside = low >= 0 and high <= 1
    if options.bounded and not inside:
        cure = "Leave --bounded out; of per cent, divide by 100."
        raise SpecError(f"the scores go from {low:g} to {high:g}, and not from 0 to 1", cure=cure)
    higher = options.higher_is_better
    if higher is None:
        higher = metric.higher_is_better if metric else not is_loss(name)
    open_ended = not metric.bounded if metric else is_loss(name)
    bounded = inside and not open_ended if options.bounded is None else options.bounded
    # Scores that are all 0 or 1 are right or wrong, whatever they are called.
    counted = bounded and bool(np.isin(scores, (0.0, 1.0)).all())
    rule = "wilson" if counted else "logit" if bounded else "plain" if low >= 0 else "free"
    return Metric(
        name,
        metric.title if metric else name,
        (),
        "mean over cases",
        interval=rule,  # type: ignore[arg-type]
        higher_is_better=higher,
        groups_equal=True,
        counted=counted,
    )
