"""Which images are trained on, watched and tested on in every fold: made once, saved, the same for every configuration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foldwise.csv_cells import TableReader, TableWriter
from foldwise.data.folds import strata
from foldwise.errors import DataError
from foldwise.sealed import damaged, decoding, verified
from foldwise.storage import written_whole
from foldwise.study.spec import Validation

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed
    from foldwise.data.cases import Dataset

ROLES = ("train", "validation", "test")
UNTOUCHED = "Leave splits.csv as foldwise wrote it: run the study again with another --out."
# The roles as digests spell them: another word would give every item another name, and cached ones would be done anew.
_IN_DIGESTS = {"train": "train", "validation": "inner", "test": "test"}
TRAIN, VALIDATION, TEST = range(3)  # places in ROLES
# Deals by chance; more than one is needed only where large groups hold several rare classes.
_TRIES = 20


@dataclass(frozen=True)
class Split:
    """One fold of one repeat: int64 case indices, sorted; together they are all cases.

    Attributes:
        train: the weights are fitted on these.
        validation: the epoch is chosen on these.
        test: these are scored, and nothing else is done with them.
    """

    repeat: int
    fold: int
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def make_splits(
    dataset: Dataset, packed: Packed, *, groups: Sequence[str], validation: Validation, seed: int
) -> tuple[Split, ...]:
    """The folds of all repeats, in order; they depend on names, labels, groups and seed, not on the order on disk.

    Args:
        groups: of every case; cases of one group are never in two parts of a split.
        validation: who divides the images, and into how many folds.
        seed: of the study; repeat and fold add their own.

    Raises:
        DataError: too few groups for the folds or for an inner validation, or a class that cannot be tested.
    """
    presence_NK = strata.class_presence(dataset, packed)
    fold_roles = strata.given_folds(dataset, groups, validation)
    errors = (
        [] if fold_roles else strata.impossible_folds(dataset, presence_NK, groups, folds=validation.folds)
    )
    if errors:
        raise DataError.together(errors)
    cut = _Cut(dataset, packed, groups, validation, fold_roles)
    splits = tuple(split for repeat in range(validation.repeats) for split in cut.folds(repeat, seed))
    unscored = unscored_classes(splits, presence_NK, groups)
    # With one label each, a class in groups enough that a fold still lacks is no small matter: the check says so.
    if strata.is_single_label(dataset) and not fold_roles:
        unscored = cut.rare
    first = 1 if strata.is_segmentation(dataset) else 0
    scored = {k: dataset.classes[k] for k in range(first, len(dataset.classes)) if k not in unscored}
    check_splits(splits, groups, {name: presence_NK[:, k] for k, name in scored.items()})
    return splits


class _Cut:
    """Groups and strata of a data set, ready to be dealt again and again."""

    def __init__(
        self,
        dataset: Dataset,
        packed: Packed,
        groups: Sequence[str],
        validation: Validation,
        fold_roles: Sequence[np.ndarray],
    ) -> None:
        """Args: fold_roles: of every fold the part of every case, see `given_folds`; empty where folds are dealt."""
        self._validation = validation
        self._group_N = strata.group_numbers(groups)
        num_groups = int(self._group_N.max()) + 1
        self._given_KG = np.zeros((len(fold_roles), num_groups), np.int64)
        self._given_KG[:, self._group_N] = fold_roles if fold_roles else 0
        presence_NK = strata.class_presence(dataset, packed)
        self.rare = strata.rare_classes(dataset, presence_NK, groups, folds=validation.folds)
        strata_NS = strata.make_strata(dataset, packed, folds=validation.folds)
        # Without strata groups are dealt by their sizes alone.
        if not validation.stratify:
            strata_NS = strata_NS[:, :0]
        self._sizes_G = np.bincount(self._group_N, minlength=num_groups)
        self._counts_GS = np.zeros((num_groups, strata_NS.shape[1]), np.int64)
        np.add.at(self._counts_GS, self._group_N, strata_NS)
        self._present_GK = np.delete(
            strata.group_presence(presence_NK, self._group_N), list(self.rare), axis=1
        )

    def folds(self, repeat: int, seed: int) -> list[Split]:
        """The splits of one repeat."""
        folds_KG = self._given_KG if len(self._given_KG) else self._dealt(repeat, seed)
        splits = []
        for fold, role_G in enumerate(folds_KG.copy()):
            if not (role_G == VALIDATION).any():
                rest = np.flatnonzero(role_G == TRAIN)
                role_G[self._validation_groups(rest, (seed, repeat, fold))] = VALIDATION
            splits.append(
                Split(repeat, fold, *(np.flatnonzero(role_G[self._group_N] == k) for k in range(3)))
            )
        return splits

    def _dealt(self, repeat: int, seed: int) -> np.ndarray:
        """(K, G) the part of every group in every fold, none of them for validation yet."""
        num_folds = self._validation.folds
        everything = np.arange(len(self._sizes_G))
        fold_G = self._leave_two(self._deal(everything, [1 / num_folds] * num_folds, (seed, repeat, "test")))
        return np.where(fold_G == np.arange(num_folds)[:, None], TEST, TRAIN)

    def _leave_two(self, fold_G: np.ndarray) -> np.ndarray:
        """The folds, none of which holds all groups but one: what it leaves must be trained on and watched as well."""
        counts = np.bincount(fold_G, minlength=self._validation.folds)
        if len(fold_G) < 4 or counts.max() <= len(fold_G) - 2:
            return fold_G
        full = np.flatnonzero(fold_G == counts.argmax())
        changed = fold_G.copy()
        changed[full[self._least_missed(full)]] = counts.argmin()
        return changed

    def _validation_groups(self, rest: np.ndarray, key: tuple[int, int, int]) -> np.ndarray:
        """Which groups of the training part are set aside to choose the epoch: cut the same way, never none or all."""
        if len(rest) < 2:
            problem = f"fold {key[2] + 1} leaves {len(rest)} group of images to train on"
            cure = "Add groups, or state a group that is finer."
            raise DataError(
                f"{problem}, and inner validation needs one of its own", where="validate", cure=cure
            )
        share = self._validation.inner
        chosen_G = self._deal(rest, [1 - share, share], key) == 1
        if not chosen_G.any() or chosen_G.all():  # few large groups: neither part may be empty
            chosen_G = np.arange(len(rest)) == self._least_missed(rest)
        chosen: np.ndarray = rest[chosen_G]
        return chosen

    def _least_missed(self, rest: np.ndarray) -> int:
        """The place of the smallest group whose classes the others hold as well, as far as there is one."""
        present_GK = self._present_GK[rest]
        lost_G = (present_GK & (present_GK.sum(axis=0) == 1)).sum(axis=1)
        return int(np.lexsort((self._sizes_G[rest], lost_G))[0])

    def _deal(self, chosen: np.ndarray, shares: list[float], key: tuple[int | str, ...]) -> np.ndarray:
        """The best of several deals: the first in which no part misses a class that could be in all of them."""
        best, least_missed = np.zeros(len(chosen), np.int64), np.inf
        rng = _generator(*key)
        present_GK = self._present_GK[chosen]
        # Equal parts all need a class or none can be sure of it; of unequal ones the largest takes the only group.
        needs_P1 = len(shares) if shares[0] == shares[-1] else np.array([[1], [2]])
        possible_PK = present_GK.sum(axis=0) >= needs_P1
        for _ in range(_TRIES):
            part_G = strata.deal(self._counts_GS[chosen], self._sizes_G[chosen], shares=shares, rng=rng)
            present_PK = np.array([present_GK[part_G == part].any(axis=0) for part in range(len(shares))])
            missed = float(np.dot(shares, (~present_PK & possible_PK).sum(axis=1)))
            if missed < least_missed:
                best, least_missed = part_G, missed
            if not missed or not self._validation.stratify:
                break
        return best


def _generator(*key: int | str) -> np.random.Generator:
    """Random numbers of its own for every purpose, the same on every machine."""
    digest = sha256("/".join(map(str, ("splits", *key))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def cases_tested(splits: Sequence[Split]) -> np.ndarray:
    """Sorted int64 indices of the cases that are in some test part."""
    return np.unique(np.concatenate([split.test for split in splits])).astype(np.int64)


def units_tested(splits: Sequence[Split], groups: Sequence[str]) -> list[int]:
    """Images, or groups of them, that the first folds of the first repeat test: of one fold, of two, and so on to all."""
    tested: set[str] = set()
    numbers = []
    for split in (split for split in splits if split.repeat == 0):
        tested |= {groups[case] or f"\0{case}" for case in split.test.tolist()}
        numbers.append(len(tested))
    return numbers


def unscored_classes(
    splits: Sequence[Split], presence_NK: np.ndarray, groups: Sequence[str]
) -> tuple[int, ...]:
    """Classes that the test part or the training part of some fold lacks: they are shown, and no score counts them.

    A test part of a single group need not have all of them, as long as those of the other folds do.
    """
    absent_K = np.zeros(presence_NK.shape[1], bool)
    tested_K, group_N = absent_K.copy(), strata.group_numbers(groups)
    for split in splits:
        present_K = presence_NK[split.test].any(axis=0)
        tested_K |= present_K
        alone = len(splits) > 1 and len(np.unique(group_N[split.test])) == 1
        absent_K |= (~present_K & (not alone)) | ~presence_NK[split.train].any(axis=0)
    return tuple(np.flatnonzero(absent_K | ~tested_K).tolist())


def check_splits(splits: Sequence[Split], groups: Sequence[str], scored: dict[str, np.ndarray]) -> None:
    """Raise what is wrong with the splits, however they were made.

    Args:
        groups: of every case.
        scored: class name -> (n,) bool, whether a case holds it; every fold must train on and test each of them, but
            that a test part of a single group need not have all.

    Raises:
        DataError: a case is in no part or in two, a group is divided, a case is not tested exactly once per repeat
            (at most once where there is one fold), or a fold lacks a class.
    """
    group_N = strata.group_numbers(groups)
    tested: dict[int, np.ndarray] = {}
    for split in splits:
        _check_parts(split, group_N)
        tested.setdefault(split.repeat, np.zeros(len(group_N), np.int64))[split.test] += 1
        alone = len(splits) > 1 and len(np.unique(group_N[split.test])) == 1
        for name, present in scored.items():
            for part in ("train",) if alone else ("train", "test"):
                if not present[getattr(split, part)].any():
                    fold = f"repeat {split.repeat}, fold {split.fold}"
                    problem = f"class {name!r} is missing from the {part} part of {fold}"
                    cure = "State fewer folds, turn validate.stratify on, or merge the class with another."
                    raise DataError(problem, where="validate", cure=cure)
    # Each image is scored once per repeat, or the paired comparison of configurations would weigh some twice.
    single = all(split.fold == 0 for split in splits)
    for repeat, count_N in tested.items():
        if (count_N > 1).any() or (not single and (count_N < 1).any()):
            raise DataError(
                f"repeat {repeat} does not test each image once", where="splits.csv", cure=UNTOUCHED
            )


def _check_parts(split: Split, group_N: np.ndarray) -> None:
    where = f"splits.csv, repeat {split.repeat}, fold {split.fold}"
    parts = [split.train, split.validation, split.test]
    if not all(len(part) for part in parts):
        raise DataError("a part has no images", where=where, cure="State fewer folds.")
    if not np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(group_N))):
        raise DataError("an image is in no part or in two", where=where, cure=UNTOUCHED)
    if sum(len(np.unique(group_N[part])) for part in parts) != len(np.unique(group_N)):
        raise DataError("a group of images is divided between the parts", where=where, cure=UNTOUCHED)


def split_digest(split: Split, packed_digest: str) -> str:
    """16 hex digits that change when the images or their division do; the numbers of repeat and fold do not count."""
    digest = sha256(packed_digest.encode())
    for role in ROLES:
        indices = np.asarray(getattr(split, role), "<i8")
        digest.update(f"/{_IN_DIGESTS[role]}/{len(indices)}/".encode() + indices.tobytes())
    return digest.hexdigest()[:16]


def write_splits(path: Path, splits: Iterable[Split], dataset: Dataset) -> None:
    """One row per case, one column per fold, each cell ``train``, ``validation`` or ``test``."""
    columns = {}
    for split in splits:
        cells = np.empty(len(dataset.cases), dtype="<U10")
        for role in ROLES:
            cells[getattr(split, role)] = role
        columns[f"repeat {split.repeat} fold {split.fold}"] = cells.tolist()
    names = [case.name for case in dataset.cases]
    with written_whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        table = TableWriter(file)
        table.row(["case", "name", *columns])
        table.rows(zip(range(len(names)), names, *columns.values(), strict=True))


def read_splits(path: Path) -> tuple[Split, ...]:
    """What `write_splits` wrote; RunError where the file is not there or is damaged."""
    with decoding(path):
        return _read(path, verified(path).read_bytes())


# A worker reads them at each of its items: 10,000 images in 15 folds take 0.11 s, and 1 ms to be recognised.
@lru_cache(maxsize=2)
def _read(path: Path, content: bytes) -> tuple[Split, ...]:
    header, *rows = TableReader(StringIO(content.decode(), newline=""))
    table = np.array(rows, dtype=str).reshape(len(rows), len(header))
    if [int(number) for number in table[:, 0]] != list(range(len(rows))):
        raise damaged(path, "the folds are damaged: its cases are not in order")
    return tuple(_column(path, name, table[:, 2 + k]) for k, name in enumerate(header[2:]))


def _column(path: Path, name: str, cells: np.ndarray) -> Split:
    # The header of a column is ``repeat 0 fold 2``.
    _, repeat, _, fold = name.split()
    wrong = sorted(set(cells.tolist()) - set(ROLES))
    if wrong:
        raise damaged(path, f"the folds are damaged: a part is called {wrong[0]!r}")
    return Split(int(repeat), int(fold), *(np.flatnonzero(cells == role) for role in ROLES))
