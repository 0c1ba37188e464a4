"""Damage mended where that is possible: an item is put away to be done again, images are decoded anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from foldwise.data.cache.packed import Packed, open_packed
from foldwise.data.cache.packing import pack, remove_pack
from foldwise.errors import FoldwiseError, RunError
from foldwise.foreign import is_id
from foldwise.learning.job import PLAN_AGAIN, Superseded
from foldwise.runs.folder import RunFolder, read_json
from foldwise.sealed import Damaged, verified
from foldwise.storage import names_in

if TYPE_CHECKING:
    from foldwise.data.cases import Dataset
    from foldwise.study.spec import DataSpec

Made = TypeVar("Made")
Mend = Callable[[RunFolder, Damaged], str | None]
MAX_MENDED = 3  # times that one file is: a disk that damages it again and again is not to be waited for


def mend(folder: RunFolder, damage: Damaged) -> str | None:
    """What was done about a damaged file; None where only a new run of the study can mend it.

    Raises:
        Damaged: the images cannot be decoded anew; says why.
        Superseded: the images are others now than those that were planned.
    """
    return _put_away(folder, damage) or mend_pack(folder, damage)


def put_damaged_away(folder: RunFolder) -> list[str]:
    """Put every item away that lacks a file or has one of another size; what was damaged, a sentence each."""
    met = []
    for name in filter(is_id, names_in(folder.root / "done")):
        try:
            folder.result(name)
        except Damaged as damage:
            met.append(_put_away(folder, damage) or str(damage))
    return met


def _put_away(folder: RunFolder, damage: Damaged) -> str | None:
    """What was done about a file of an item; None where it is of none."""
    path = Path(str(damage.where))
    if path.parent.parent.resolve() != (folder.root / "done").resolve():
        return None
    try:
        folder.result(path.parent.name)
        verified(path)  # it is good again where another worker was faster
    except Damaged:
        with suppress(FileNotFoundError):
            folder.withdraw(path.parent.name)
    return f"{damage.where}: {damage.what}. Its item is done again."


def mend_pack(folder: RunFolder, damage: Damaged) -> str | None:
    """As `mend`, of nothing but decoded images."""
    if not remove_pack(damage):
        return None
    digest = Path(str(damage.where)).parent.name
    try:
        packed = pack(*files_of(folder))
    except FoldwiseError as error:
        what = f"{damage.what}, and the images cannot be decoded anew: {error.what}"
        raise Damaged(what, where=damage.where, cure=error.cure) from None
    if packed.digest != digest:
        what = "the images are others now than when this run was planned"
        raise Superseded(what, where=str(folder.root), cure=PLAN_AGAIN)
    return f"{damage.where}: {damage.what}. The images were decoded anew."


def files_of(folder: RunFolder) -> tuple[Dataset, DataSpec]:
    """The data set of a run as its files are, and how they are read."""
    from foldwise.data.layouts.layouts import read_dataset
    from foldwise.study.spec import DataSpec

    study = folder.load_study()  # its data folder is a whole path, so nothing starts at `base`
    # What the file left out is again as if it were not stated: a phantom fills it in.
    data = DataSpec.model_validate(study.data.model_dump(exclude_defaults=True))
    division = study.validate_
    return read_dataset(data, base=folder.root, group=division.group, split=division.split), data


class Mending:
    """Mends what damage is met on the way, up to `MAX_MENDED` times a file, and says so to `log`."""

    def __init__(self, folder: RunFolder, log: Callable[[str], object], *, mend: Mend = mend) -> None:
        self.folder, self.log, self._mend = folder, log, mend
        self._met: Counter[str] = Counter()

    def mended(self, damage: Damaged) -> bool:
        """Whether this damage is mended now; False where it cannot be, or comes back again and again."""
        where = str(damage.where)
        self._met[where] += 1
        done = self._mend(self.folder, damage) if self._met[where] <= MAX_MENDED else None
        if done is not None:
            self.log(done)
        return done is not None

    def until_whole(self, work: Callable[[], Made]) -> Made:
        """What `work` gives, which begins anew after every damage that was mended."""
        while True:
            try:
                return work()
            except Damaged as damage:
                if not self.mended(damage):
                    raise


def packed_of(folder: RunFolder) -> Packed:
    """The decoded images of a run, from the cache, or decoded anew from its files."""
    digest = str(read_json(folder.environment)["packed_digest"])
    with suppress(RunError, Damaged):
        return open_packed(digest)
    try:
        packed = pack(*files_of(folder))
    except FoldwiseError as error:
        what = f"the images of the run, on which formats are proven, cannot be read: {error.what}"
        raise RunError(what, where=error.where, cure="Name a folder of such images with --images.") from None
    if packed.digest != digest:
        what = "the images are others now than when this run was planned"
        raise RunError(what, cure="Name a folder of such images with --images.")
    return packed
