"""Curves, confusions and comparisons image by image behind a verdict, as the judge leaves them beside it for the report.

The judge computes them (`curve_scores.curves_of`), curves.npz holds them, and whoever draws reads them from there.
They are bounded: lines have few points, and only the configurations and classes that a page can show have any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import TypeAdapter

from foldwise.errors import RunError
from foldwise.metrics.outputs import Bools, Floats, Ints
from foldwise.sealed_arrays import Arrays
from foldwise.storage import written_whole

FORMAT = 2
MAX_DRAWN = 6  # configurations in one panel; more are a tangle
MAX_CLASSES = 12  # with panels of their own; the tables always have all
MAX_COMPARED = 60  # configurations, the best first, that are compared image by image


class Line(NamedTuple):
    """Points of a curve, from left to right."""

    x: list[float]
    y: list[float]


@dataclass(frozen=True)
class RankingCurve:
    """The ROC or the precision-recall curve of one class against the rest.

    Attributes:
        folds: false and true positive rate, or recall and precision, of every fold that has the class and (ROC) others.
        mean: over the folds; None where there is none.
        area: AUROC or average precision as the tables have it, the mean over folds; None likewise.
    """

    folds: tuple[Line, ...]
    mean: Line | None
    area: float | None


@dataclass(frozen=True)
class ThresholdCurve:
    """F1 of one label on the validation part against its threshold.

    Attributes:
        folds: one for each fit whose validation part has the label.
        mean: over them; None where there is none.
        chosen: the thresholds of the fits that ever predict the label.
    """

    folds: tuple[Line, ...]
    mean: Line | None
    chosen: tuple[float, ...]


@dataclass(frozen=True)
class ComparedImage:
    """How the configurations did at one image.

    Attributes:
        case: its index.
        ease: higher is easier: the share of configurations that are right, or the median of their scores.
        apart: how far they differ; 0 where all agree, or score the same.
        votes: (class index, configurations that predict it), most first; empty for masks.
        ends: the lowest and the highest score; None of single labels, which are right or wrong.
    """

    case: int
    ease: float
    apart: float
    votes: tuple[tuple[int, int], ...]
    ends: tuple[float, float] | None = None


@dataclass(frozen=True)
class ImageComparison:
    """The images that a page shows of all, and how many configurations they rest on.

    Attributes:
        num: configurations, the best of those with a score.
        num_leading: over how many of them scores of masks are `apart`: those that could be best, or all.
        hardest: the hardest first; of single labels none that all get right.
        disputed: those on which configurations differ, most first.
    """

    num: int
    num_leading: int
    hardest: tuple[ComparedImage, ...]
    disputed: tuple[ComparedImage, ...]


@dataclass(frozen=True)
class Disagreement:
    """How far `num` networks of the first fold differ at one watched image, at E epochs.

    Attributes:
        num: at least two.
        epochs: rising.
        shares_EHW: (E, h, w) share of them that does not predict the class that most of them predict.
    """

    num: int
    epochs: tuple[int, ...]
    shares_EHW: Floats


@dataclass(frozen=True)
class Curves:
    """What a report draws beside the numbers of a verdict, by id of the configuration.

    Attributes:
        classes: indices of those that have lines: all, or the most frequent; of a segmentation not the background.
        roc, pr: by configuration, the best first, then class index.
        f1: of the winner, by class index; empty where the task has no thresholds.
        confusion: (K, K) counts by [true, predicted], of several labels (K, 2, 2) by [label, true, predicted].
        image_scores: case index -> how well it went, 0 to 1.
        decisions: case index -> (K,) whether each label is predicted, in the first repeat; several labels only.
        images: the images that are hardest for all; None where fewer than two configurations can be compared.
        disagreement: case index -> where configurations disagree through training; of watched images only.
    """

    classes: tuple[int, ...]
    roc: Mapping[str, Mapping[int, RankingCurve]]
    pr: Mapping[str, Mapping[int, RankingCurve]]
    f1: Mapping[str, Mapping[int, ThresholdCurve]]
    confusion: Mapping[str, Ints]
    image_scores: Mapping[str, Mapping[int, float]]
    decisions: Mapping[str, Mapping[int, Bools]]
    images: ImageComparison | None = None
    disagreement: Mapping[int, Disagreement] = field(default_factory=dict)


NO_CURVES = Curves((), {}, {}, {}, {}, {}, {})  # beside scores from elsewhere


@dataclass(frozen=True)
class _Text:
    """The part of curves.npz that is JSON text, and the ids that its arrays are numbered by."""

    format: int
    classes: tuple[int, ...]
    roc: dict[str, dict[int, RankingCurve]]
    pr: dict[str, dict[int, RankingCurve]]
    f1: dict[str, dict[int, ThresholdCurve]]
    images: ImageComparison | None
    confusion: list[str]
    image_scores: list[str]
    decisions: list[str]
    disagreement: dict[int, tuple[int, tuple[int, ...]]]


TEXT = TypeAdapter(_Text)


def write_curves(path: Path, curves: Curves) -> None:
    """Write curves.npz, whole or not at all: the lines as JSON text, and tables by case as arrays."""
    # Numbers by case are arrays, as there are many; lines are text, so that one file needs no index of thousands of arrays.
    fields: dict[str, Any] = {
        name: getattr(curves, name) for name in ("classes", "roc", "pr", "f1", "images")
    }
    fields |= {name: list(getattr(curves, name)) for name in ("confusion", "image_scores", "decisions")}
    fields["disagreement"] = {case: (own.num, own.epochs) for case, own in curves.disagreement.items()}
    arrays: dict[str, Any] = {"lines": np.array(TEXT.dump_json(_Text(format=FORMAT, **fields)).decode())}
    arrays |= {f"confusion {number}": matrix for number, matrix in enumerate(curves.confusion.values())}
    arrays |= {f"disagreement {case}": own.shares_EHW for case, own in curves.disagreement.items()}
    for name, tables in (("image_scores", curves.image_scores), ("decisions", curves.decisions)):
        for number, by_case in enumerate(tables.values()):
            arrays[f"{name} {number} cases"] = np.array(list(by_case), dtype=np.int64)
            arrays[f"{name} {number}"] = np.array(list(by_case.values()))
    with written_whole(path) as scratch, scratch.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_curves(path: Path) -> Curves:
    """The curves that were written to `path`.

    Raises:
        RunError: there are none, they are of another version of foldwise, or damaged.
    """
    try:
        with Arrays(path) as arrays:
            text = TEXT.validate_json(str(arrays["lines"]))
            if text.format != FORMAT:
                raise ValueError(f"format {text.format}")
            return _curves(text, arrays)
    except (RunError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            "the curves of this run cannot be read: they are missing, damaged, or of another version",
            where=str(path),
            cure="Judge again: `foldwise report` of the run folder; nothing is trained.",
        ) from error


def _curves(text: _Text, arrays: Mapping[str, Any]) -> Curves:
    return Curves(
        classes=text.classes,
        roc=text.roc,
        pr=text.pr,
        f1=text.f1,
        confusion={id: arrays[f"confusion {number}"] for number, id in enumerate(text.confusion)},
        image_scores={
            id: dict(zip(cases, values.tolist(), strict=True))
            for id, cases, values in _by_case("image_scores", text.image_scores, arrays)
        },
        decisions={
            id: dict(zip(cases, values, strict=True))
            for id, cases, values in _by_case("decisions", text.decisions, arrays)
        },
        images=text.images,
        disagreement={
            case: Disagreement(num, epochs, arrays[f"disagreement {case}"])
            for case, (num, epochs) in text.disagreement.items()
        },
    )


def _by_case(name: str, ids: list[str], arrays: Mapping[str, Any]) -> Iterator[tuple[str, list[int], Any]]:
    for number, id in enumerate(ids):
        yield id, arrays[f"{name} {number} cases"].tolist(), arrays[f"{name} {number}"]
