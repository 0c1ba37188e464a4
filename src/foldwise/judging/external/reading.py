"""Files of scores, whatever kind they are of, as one table; and the metric that they are judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foldwise.errors import DataError, SpecError
from foldwise.judging.external.asked import Asked
from foldwise.judging.external.layouts import read_table
from foldwise.judging.external.nnunet import SUMMARY, read_summaries
from foldwise.judging.external.own import is_own, is_segmentation, overlap_of, read_own
from foldwise.judging.external.pieces import Piece, joined
from foldwise.judging.external.text import Text, open_text
from foldwise.metrics.names import is_loss, plain
from foldwise.metrics.outputs import Floats
from foldwise.metrics.table import METRICS, Metric

TABLE = "scores.csv"
KINDS = "a CSV or TSV file, a summary.json of nnU-Net, or a run folder"


@dataclass(frozen=True)
class Read:
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


def read_files(paths: Sequence[Path], asked: Asked) -> Read:
    """All files as one table; they must be of one kind.

    Raises:
        DataError: a file cannot be read, or says something that is not usable.
        SpecError: something that is stated is not there, or a file is not.
    """
    found = [_file(path) for path in paths]
    twice = {path for path in found if found.count(path) > 1}
    if twice:
        raise SpecError(f"{min(twice)} is named twice", cure="Name every file once.")
    summaries = [path for path in found if path.suffix.lower() == ".json"]
    if summaries and len(summaries) < len(found):
        cure = "Judge the summaries of nnU-Net by themselves, or write all scores into one table."
        raise DataError("tables and summaries of nnU-Net cannot be judged together", cure=cure)
    if summaries:
        pieces, said, metric = read_summaries(found, asked)
        return Read(joined(pieces), tuple(said), (), metric)
    texts = [open_text(path, _short(path, found)) for path in found]
    if any(is_own(text) for text in texts) and not (asked.configuration or asked.case or asked.score):
        return _own(texts, asked)
    read = [read_table(text, asked, alone=len(texts) == 1) for text in texts]
    names = {plain(name): name for _, _, name in read if name and plain(name) not in ("score", "value")}
    metric = asked.metric or (next(iter(names.values())) if len(names) == 1 else "score")
    return Read(joined([piece for piece, _, _ in read]), tuple(said for _, said, _ in read), (), metric)


def _file(path: Path) -> Path:
    """The file of scores that a path means: itself, or that of a run folder or of a folder of nnU-Net."""
    if path.is_file():
        return path
    if not path.exists():
        raise SpecError(f"there is no file {path}", cure=f"Name {KINDS}.")
    held = [path / name for name in (TABLE, SUMMARY) if (path / name).is_file()]
    if not held:
        cure = f"Name {KINDS}; of a run that has no verdict yet, first: foldwise report {path}"
        raise DataError(f"there is neither {TABLE} nor {SUMMARY} in this folder", where=str(path), cure=cure)
    return held[0]


def _short(path: Path, all_paths: Sequence[Path]) -> str:
    """The name of a file, with its folders where another is called the same."""
    return path.name if sum(path.name == other.name for other in all_paths) == 1 else str(path)


def _own(texts: Sequence[Text], asked: Asked) -> Read:
    if len({is_own(text) and text.columns for text in texts}) > 1:
        cure = "Judge runs of the same task together, and other tables by themselves."
        raise DataError("these tables are of different kinds", cure=cure)
    read = [read_own(text, asked) for text in texts]
    classes = read[0][1]
    if any(other != classes for _, other in read):
        cure = "Judge runs together only if their classes are the same, in the same order."
        raise DataError("the classes of the runs differ", cure=cure)
    said = tuple(f"{text.name}: scores of a run of foldwise, with {len(classes)} classes" for text in texts)
    masks = is_segmentation(texts[0])
    piece = joined([piece for piece, _ in read])
    return Read(piece, said, () if masks else classes, overlap_of(asked) if masks else asked.metric or "auto")


def metric_of(name: str, scores: Floats, asked: Asked) -> Metric:
    """How scores are judged that are means over cases: their direction and their interval.

    Args:
        name: what they are called; what a metric of ours is called, is known.
        scores: those that are there, finite.
        asked: what is stated of them.

    Raises:
        SpecError: the scores are said to lie between 0 and 1, and do not.
    """
    known = METRICS.get(name)
    low, high = float(scores.min()), float(scores.max())
    inside = low >= 0 and high <= 1
    if asked.bounded and not inside:
        cure = "Leave --bounded out; of per cent, divide by 100."
        raise SpecError(f"the scores go from {low:g} to {high:g}, and not from 0 to 1", cure=cure)
    higher = asked.higher_is_better
    if higher is None:
        higher = known.higher_is_better if known else not is_loss(name)
    open_ended = not known.bounded if known else is_loss(name)
    bounded = inside and not open_ended if asked.bounded is None else asked.bounded
    counted = bounded and bool(np.isin(scores, (0.0, 1.0)).all())
    rule = "wilson" if counted else "logit" if bounded else "plain" if low >= 0 else "free"
    return Metric(
        name,
        known.title if known else name,
        (),
        "mean over cases",
        interval=rule,  # type: ignore[arg-type]
        higher_is_better=higher,
        groups_equal=True,
        counted=counted,
    )
