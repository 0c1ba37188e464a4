"""From rows of scores to a paired design: every configuration, repeat and case, and what is lacking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from foldwise.errors import DataError
from foldwise.judging.external.pieces import Piece, Places
from foldwise.metrics.influence import Units
from foldwise.metrics.outputs import Bools, Floats, Ints
from foldwise.text import count, some

MAX_EMPTY = 20  # cells of the design to a score: beyond it, cases are not shared
LARGEST = 1e30  # a score; variances, and float32 in simulations, reach further
AT_LEAST = 10_000_000  # cells, below which it is no matter


@dataclass(frozen=True)
class Grid:
    """Scores of C configurations, R repeats and n cases.

    Attributes:
        piece: the rows.
        configurations, repeats, cases: names, in natural order.
        rows_CRn: the row of every score; -1 where there is none.
        folds_Rn: the fold of every case in every repeat.
        units: cases, or groups of them.
        lacking: configuration -> what it lacks, in words; these cannot be compared.
    """

    piece: Piece
    configurations: tuple[str, ...]
    repeats: tuple[str, ...]
    cases: tuple[str, ...]
    rows_CRn: Places
    folds_Rn: Ints
    units: Units
    lacking: dict[str, str]

    @property
    def there_CRn(self) -> Bools:
        """Whether there is a score."""
        return np.asarray(self.rows_CRn >= 0)

    def scores(self, c: int) -> Floats:
        """(R, n) of a configuration; nan where there is none, or it is undefined."""
        rows = self.rows_CRn[c]
        return np.where(rows >= 0, self.piece.score[rows], np.nan)


def paired(piece: Piece) -> Grid:
    """The design of the rows.

    Raises:
        DataError: it is not one: a case without a name, two scores of the same, scores that are not finite, folds or
            groups that contradict each other, fewer than two configurations or cases, or none that share their cases.
    """
    _refuse(piece)
    # An empty cell of a table is a score that is lacking; in a summary of nnU-Net it is one that is undefined.
    if not piece.undefined and np.isnan(piece.score).any():
        piece = piece.keep(~np.isnan(piece.score))
    configuration, repeat, case = (piece.columns[role] for role in ("configuration", "repeat", "case"))
    shape = len(configuration.names), len(repeat.names), len(case.names)
    _refuse_shape(piece, shape)
    cell = np.ravel_multi_index((configuration.codes, repeat.codes, case.codes), shape)
    rows = np.full(prod(shape), -1, dtype=np.int32)  # half the memory of int64; no table has two billion rows
    rows[cell] = np.arange(len(cell), dtype=np.int32)
    _refuse_twice(piece, rows[cell])
    rows_CRn = rows.reshape(shape)
    folds_Rn = _shared(piece, "fold", "repeat", shape[1:]).reshape(shape[1:])
    group_n = _shared(piece, "group", None, shape[2:])
    units = Units.from_groups([piece.columns["group"].names[code] for code in group_n])
    _refuse_divided(piece, folds_Rn, group_n)
    grid = Grid(piece, configuration.names, repeat.names, case.names, rows_CRn, folds_Rn, units, {})
    lacking = {
        name: _lacks(grid, ~there_Rn)
        for name, there_Rn in zip(grid.configurations, grid.there_CRn, strict=True)
        if not there_Rn.all()
    }
    _refuse_unpaired(grid, lacking)
    return replace(grid, lacking=lacking)


def _refuse(piece: Piece) -> None:
    """What is wrong with single rows, all at once."""
    errors = []
    for role in ("configuration", "case", "repeat", "fold"):
        column, needed = piece.columns[role], role in ("configuration", "case")
        if "" in column.names and (needed or len(column.names) > 1):
            rows = np.flatnonzero(column.codes == column.names.index(""))
            listed = some(dict.fromkeys(piece.at(row) for row in rows[:9].tolist()))
            cure = f"Fill in the column of the {role}" + (
                "." if needed else f", or leave it out: --{role} none."
            )
            what = f"{count(len(rows), 'score has', 'scores have')} no {role}: {listed}"
            errors.append(DataError(what, cure=cure))
    endless = np.flatnonzero(np.isinf(piece.score))
    if len(endless):
        listed = some([piece.at(row) for row in endless[:9].tolist()])
        cure = "Write the worst value that there can be, or leave the cell empty."
        errors.append(
            DataError(f"{count(len(endless), 'score is', 'scores are')} infinite: {listed}", cure=cure)
        )
    beyond = np.flatnonzero(np.isfinite(piece.score) & (np.abs(piece.score) > LARGEST))
    if len(beyond):
        listed = some([f"{piece.score[row]:g} ({piece.at(row)})" for row in beyond[:9].tolist()])
        what = f"{count(len(beyond), 'score is', 'scores are')} beyond {LARGEST:g}: {listed}"
        errors.append(DataError(what, cure="Write scores in a larger unit, or mend these cells."))
    sizes = np.abs(piece.score[np.isfinite(piece.score)])
    if len(sizes) and 0 < sizes.max() < 1 / LARGEST:
        what = f"no score is larger than {sizes.max():g}, of either sign"
        errors.append(DataError(what, where=piece.file, cure="Write scores in a smaller unit."))
    if errors:
        raise DataError.together(errors)


def _refuse_shape(piece: Piece, shape: tuple[int, ...]) -> None:
    C, _, n = shape
    if not len(piece.score):
        raise DataError("there is no score at all", where=piece.file, cure="Fill in the column of scores.")
    if C < 2:
        only = piece.columns["configuration"].names[0]
        cure = "Add the scores of another one on the same cases."
        raise DataError(
            f"there is only one configuration ({only}), and nothing to compare it with",
            where=piece.file,
            cure=cure,
        )
    if n < 2:
        only = piece.columns["case"].names[0]
        cure = "Add scores of more cases: how sure a difference is, is told by how it varies over cases."
        raise DataError(f"there is only one case ({only})", where=piece.file, cure=cure)
    # A place is made for every score that there could be: of so sparse a table they may not fit into memory.
    if prod(shape) > max(MAX_EMPTY * len(piece.score), AT_LEAST):
        what = f"{len(piece.score):,} scores are of {C:,} configurations and {n:,} cases: hardly any case is shared"
        cure = "Every configuration must have every case. Name the right columns with --configuration and --case."
        raise DataError(what, where=piece.file, cure=cure)


def _refuse_twice(piece: Piece, last_rows: Places) -> None:
    """Where a row is not the one that was kept for its place, there are two."""
    # The last row of a cell stays in the table, so that any before it reads another number than its own.
    again = np.flatnonzero(last_rows != np.arange(len(last_rows)))
    if not len(again):
        return
    listed = [
        f"{piece.cell('case', row)} by {piece.cell('configuration', row)} ({piece.at(row)} and {piece.at(int(last_rows[row]))})"
        for row in again[:9].tolist()
    ]
    raise DataError(
        f"{count(len(again), 'score is', 'scores are')} there twice: {some(listed, 3)}",
        where=piece.file,
        cure="Keep one. If a column tells runs or seeds apart, name it with --repeat; of a row per class, keep one class, "
        "or write their mean.",
    )


def _shared(piece: Piece, role: str, by: str | None, shape: tuple[int, ...]) -> Ints:
    """The code of every case (and repeat) in a column that must not depend on the configuration."""
    column, case = piece.columns[role], piece.columns["case"].codes
    # The usual case: there is no such column, and nothing that could contradict itself.
    if len(column.names) == 1:
        return np.zeros(prod(shape), dtype=np.int64)
    cell = case if by is None else np.ravel_multi_index((piece.columns[by].codes, case), shape)
    codes = np.zeros(prod(shape), dtype=np.int64)
    codes[cell] = column.codes
    other = np.flatnonzero(codes[cell] != column.codes)
    if len(other):
        row = int(other[0])
        twin = int(np.flatnonzero((cell == cell[row]) & (column.codes == codes[cell[row]]))[0])
        ways = [
            f"{piece.cell(role, own) or 'none'} for {piece.cell('configuration', own)} ({piece.at(own)})"
            for own in (row, twin)
        ]
        raise DataError(
            f"case {piece.cell('case', row)} has two different {role}s: {' and '.join(sorted(ways))}",
            where=piece.file,
            cure=f"All configurations need the same {role}s. To judge the scores without them: --{role} none.",
        )
    return codes


def _refuse_divided(piece: Piece, folds_Rn: Ints, group_n: Ints) -> None:
    """A group in two folds was trained on and tested."""
    names = piece.columns["group"].names
    # A case without a group is a group of its own, and so in one fold.
    named = np.array([bool(name) for name in names])[group_n]
    for folds in folds_Rn:
        first = np.zeros(len(names), dtype=np.int64)
        first[group_n] = folds
        divided = np.flatnonzero((first[group_n] != folds) & named)
        if len(divided):
            listed = some(sorted({names[group_n[group]] for group in divided.tolist()}))
            raise DataError(
                f"groups are divided between folds: {listed}",
                where=piece.file,
                cure="Such scores are too good: part of the group was trained on. Train again with whole groups in a "
                "fold; or, if the column means something else, --group none.",
            )


def _lacks(grid: Grid, absent_Rn: Bools) -> str:
    """Which repeats and cases are not there, in words."""
    R, n = absent_Rn.shape
    whole: Bools = np.asarray(absent_Rn.all(axis=1))
    if whole.all():
        return "every score"
    parts = []
    if whole.any():
        listed = some([grid.repeats[r] for r in np.flatnonzero(whole).tolist()])
        parts.append(f"repeat {listed}" if whole.sum() == 1 else f"repeats {listed}")
    rest: Bools = absent_Rn & ~whole[:, None]
    if rest.any():
        named = [
            grid.cases[i] + (f" in repeat {grid.repeats[r]}" if R > 1 else "")
            for r, i in np.argwhere(rest)[:9].tolist()
        ]
        of = f"{int(rest.sum()):,} of {count(int((~whole).sum()) * n, 'score', 'scores')}"
        parts.append(f"{of} ({_listed(named, int(rest.sum()))})")
    return " and ".join(parts)


def _listed(names: list[str], total: int) -> str:
    shown = names[:3]
    return ", ".join(shown) + (f" and {total - len(shown):,} more" if total > len(shown) else "")


def short_of(lacking: Mapping[str, str]) -> str:
    """What the first of some configurations lack, and how many more there are."""
    listed = "; ".join(f"{name} lacks {what}" for name, what in list(lacking.items())[:3])
    return listed + (f"; and {len(lacking) - 3} more" if len(lacking) > 3 else "")


def _refuse_unpaired(grid: Grid, lacking: dict[str, str]) -> None:
    """Fewer than two configurations that have every case cannot be compared."""
    if len(grid.configurations) - len(lacking) >= 2:
        return
    whole = (
        "no configuration has" if len(lacking) == len(grid.configurations) else "only one configuration has"
    )
    raise DataError(
        f"{whole} a score of every case, so nothing can be compared on the same cases: {short_of(lacking)}",
        where=grid.piece.file,
        cure="Add what is lacking (of a case on which a model failed, the worst value), or leave those cases out for all.",
    )
