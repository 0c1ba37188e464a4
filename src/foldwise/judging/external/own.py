"""scores.csv of a run of ours: the outputs of every configuration for every image and class, and so any of our metrics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from foldwise.data.folds.splits import Split, unscored_classes
from foldwise.errors import DataError, unknown
from foldwise.judging.external.grid import Grid
from foldwise.judging.external.options import NONE, ScoreOptions
from foldwise.judging.external.pieces import Coded, Piece, Places, with_all_roles
from foldwise.judging.external.text import Text, coded, load
from foldwise.judging.tables import CLASSIFIED, NAMES, SEGMENTED
from foldwise.metrics.outputs import Bools, Floats, Ints, Outputs
from foldwise.metrics.ranking import MIN_POSITIVES
from foldwise.metrics.ratios import divided

OVERLAPS = {"dice_img_macro": "dice", "iou_img_macro": "iou"}  # what a table of a segmentation has per image


def is_own(text: Text) -> bool:
    """Whether a table is a scores.csv of ours."""
    return text.columns in ((*NAMES, *CLASSIFIED), (*NAMES, *SEGMENTED))


def is_segmentation(text: Text) -> bool:
    """Whether it is one of masks."""
    return "dice" in text.columns


def read_own(text: Text, options: ScoreOptions) -> tuple[Piece, tuple[str, ...]]:
    """One row per configuration, repeat and image, and the names of the K classes, of masks first the background.

    The scores of masks are means over the foreground classes that are there or predicted; nan where none is. Of
    labels `truth`, `predicted` and `probability` (N, K) go with the rows, and the scores are 0.

    Raises:
        DataError: the rows are not as they were written.
        SpecError: the table has no such metric.
    """
    masks = is_segmentation(text)
    columns_of_values = SEGMENTED if masks else CLASSIFIED
    frame, lines = load(text, NAMES, columns_of_values)
    classes = _classes(frame["class"].astype(str), where=text.name)
    K = len(classes)
    names = {name: coded(frame[name].iloc[::K]) for name in NAMES if name != "class"}
    values_NK = {name: frame[name].to_numpy(np.float64).reshape(-1, K) for name in columns_of_values}
    columns = {"configuration": _named(names), "case": names["image"]}
    used = [role for role in ("repeat", "fold", "group") if getattr(options, role) != NONE]
    columns = with_all_roles(columns | {role: names[role] for role in used})
    piece = Piece(text.name, columns, np.zeros(len(lines[::K])), lines[::K], undefined=True)
    if masks:
        return replace(piece, score=_overlap(values_NK[OVERLAPS[overlap_of(options)]])), classes
    arrays = {"truth": values_NK["true"] > 0, "predicted": values_NK["predicted"] > 0}
    return replace(piece, arrays=arrays | {"probability": values_NK["probability"]}), classes


def overlap_of(options: ScoreOptions) -> str:
    """Which metric of masks is asked for.

    Raises:
        SpecError: it is none that the scores of single images tell.
    """
    name = options.metric or next(iter(OVERLAPS))
    name = next((row for row, column in OVERLAPS.items() if name in (row, column)), name)
    if name not in OVERLAPS:
        raise unknown(name, OVERLAPS, "metric of the masks in scores.csv")
    return name


def _classes(of_rows: pd.Series[str], *, where: str) -> tuple[str, ...]:
    """The K classes in their order: that of every K rows, which are of one image."""
    codes, classes = pd.factorize(of_rows)
    K = len(classes)
    if len(codes) % K or (codes.reshape(-1, K) != np.arange(K)).any():
        cure = "Judge scores.csv as foldwise wrote it: the first class of an image means something."
        raise DataError("rows of classes are lacking, or their order was changed", where=where, cure=cure)
    return tuple(classes.tolist())


def _named(names: dict[str, Coded]) -> Coded:
    """Configurations by their names, with their ids where two are called the same."""
    ids, called = names["configuration"], names["configuration_name"]
    pairs = np.unique(np.stack([ids.codes, called.codes]), axis=1).T.tolist()
    titles = [called.names[name] for _, name in pairs]
    of = {
        id: called.names[name]
        if titles.count(called.names[name]) == 1
        else f"{called.names[name]} ({ids.names[id]})"
        for id, name in pairs
    }
    return Coded.of(ids.codes, [of[id] for id in range(len(ids.names))])


def _overlap(shares_NK: Floats) -> Floats:
    """(N,) means over the foreground classes that are defined; nan where none is."""
    shares = shares_NK[:, 1:]
    defined = np.isfinite(shares)
    return divided(np.where(defined, shares, 0.0).sum(axis=1), defined.sum(axis=1).astype(np.float64))


def family_of(piece: Piece) -> str:
    """``binary``, ``multiclass`` or ``multilabel``: one label per image, in truth and in every decision, or several."""
    truth, predicted = piece.arrays["truth"], piece.arrays["predicted"]
    if (truth.sum(axis=1) != 1).any() or (predicted.sum(axis=1) != 1).any():
        return "multilabel"
    return "binary" if truth.shape[1] == 2 else "multiclass"


def outputs_of(grid: Grid, family: str) -> dict[str, list[tuple[int, Outputs]]]:
    """The outputs of every configuration by repeat, with the number of the repeat in the file."""
    truth_nK = _truth(grid)
    first, every = grid.folds_Rn, np.arange(len(grid.cases))
    splits = [
        Split(r, int(fold), every[first[r] != fold], every[:0], every[first[r] == fold])
        for r in range(len(first))
        for fold in np.unique(first[r])
    ]
    # Without folds nothing tells which classes could be learned.
    groups = [str(unit) for unit in grid.units.of_case]
    unscored = unscored_classes(splits, truth_nK, groups) if len(np.unique(first)) > 1 else ()
    rarer = [grid.units.rarer(column, every) for column in truth_nK.T]
    unranked = tuple(k for k, number in enumerate(rarer) if number < MIN_POSITIVES)
    numbers = [int(repeat) if repeat.isdecimal() else r for r, repeat in enumerate(grid.repeats)]
    return {
        name: [
            (
                numbers[r],
                replace(_outputs(grid, family, rows, first[r]), unscored=unscored, unranked=unranked),
            )
            for r, rows in enumerate(rows_Rn)
            if (rows >= 0).any()
        ]
        for name, rows_Rn in zip(grid.configurations, grid.rows_CRn, strict=True)
    }


def _truth(grid: Grid) -> Bools:
    """(n, K) what is true of every case: the same for every configuration.

    Raises:
        DataError: it is not.
    """
    rows = grid.rows_CRn.reshape(-1, len(grid.cases))
    truth = grid.piece.arrays["truth"]
    true = np.asarray(truth[rows.max(axis=0)] > 0)
    for own in rows:
        have = own >= 0
        wrong = (truth[own[have]] != true[have]).any(axis=1)
        if wrong.any():
            named = grid.cases[int(np.flatnonzero(have)[wrong.argmax()])]
            cure = "Judge scores of the same images with the same labels."
            raise DataError(
                f"the truth of {named} differs between configurations", where=grid.piece.file, cure=cure
            )
    return true


def _outputs(grid: Grid, family: str, rows: Places, folds: Ints) -> Outputs:
    case = np.flatnonzero(rows >= 0)
    arrays = {name: values[rows[case]] for name, values in grid.piece.arrays.items()}
    predicted, probability = arrays["predicted"] > 0, arrays["probability"].astype(np.float64)
    limits = None
    if family == "multilabel":
        limits = np.where(predicted, probability, np.inf)  # as it was decided, whatever the thresholds were
    else:  # of two that are the same to the digits that are written, the one that was decided for
        tied = probability.argmax(axis=1) != predicted.argmax(axis=1)
        # scores.csv has six digits, in which two classes can be equally likely.
        probability[tied] += 1e-9 * predicted[tied]
    truth = arrays["truth"] > 0
    return Outputs(family, case, folds[case], truth=truth, probabilities=probability, thresholds=limits)
