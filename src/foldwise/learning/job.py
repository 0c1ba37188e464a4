"""A job: an item as it is being done, with the images and the split it works on, and where it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from foldwise.errors import RunError
from foldwise.runs.checkpoints import Checkpoints
from foldwise.runs.folder import RunFolder
from foldwise.runs.items import Item, is_itself
from foldwise.runs.leases import Beat
from foldwise.study.own_code import own_code, own_names

if TYPE_CHECKING:  # opened when a task first asks, as not every task does
    from foldwise.data.cache.packed import Packed
    from foldwise.data.cases import Dataset
    from foldwise.data.folds.splits import Split
    from foldwise.study.spec import DataSpec


# By the name of a user's own function the digest of its code when this process first worked with it: a module is imported
# once in a process, whatever becomes of its file.
IMPORTED: dict[str, str] = {}
PLAN_AGAIN = "Run the study again: foldwise run plans it anew, and what is done stays done."


class Superseded(RunError):
    """What an item stands for is not what lies here now: its study, its weights file or its own code was edited."""


@dataclass(frozen=True)
class Job:
    """What a task gets.

    Attributes:
        scratch: gets the files that the item makes.
        device: for settings that say `auto`.
        beat: called with how far the task is.
        checkpoints: what an earlier attempt left, and where this one writes how far it is.
        files: the data set as its files are, and how they are read; for a training that decodes them anew each time.
    """

    item: Item
    folder: RunFolder
    scratch: Path
    device: str
    beat: Beat
    checkpoints: Checkpoints
    files: Callable[[], tuple[Dataset, DataSpec]]

    def check(self) -> None:
        """Refuse to work on anything but what the id of the item was made of.

        Its images are opened by their digest, its split is compared when it is read, as is what it needs.

        Raises:
            Superseded: its settings, or the weights file or the own code that they name, are others now.
            RunError: own code was edited after this process had imported it.
        """
        if not is_itself(self.item):
            what = f"{self.item.id} is not what was planned: its settings, or the weights or the code they name, have changed"
            raise Superseded(what, where=str(self.folder.plan), cure=PLAN_AGAIN)
        for name in sorted(own_names(self.settings)):
            code = own_code(name).digest
            if IMPORTED.setdefault(name, code) != code:
                what = f"the code of {name} was edited after this process had imported it"
                raise RunError(what, cure="Run the study again, in a new process: what is done stays done.")

    def checked_again(self) -> Self:
        """This job, which is checked once more before its task says its first word.

        By then the task has read the weights and imported the code, and what is edited later changes nothing.
        """
        words = iter([self.check])

        def beat(progress: dict[str, Any]) -> None:
            for check in words:
                check()
            self.beat(progress)

        return replace(self, beat=beat)

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides what the item gives, as the plan wrote it."""
        return self.item.settings

    @property
    def inputs(self) -> dict[str, Path]:
        """The done folders this item needs, by item id."""
        return {need: self.folder.done(need) for need in self.item.needs}

    @cached_property
    def packed(self) -> Packed:
        """The images, their pixels from where the cache of the training says."""
        from foldwise.data.cache.decoding import open_cached

        cache = self.settings.get("training", {}).get("cache", "disk")
        return open_cached(self.settings["packed"], cache, self.files)

    @cached_property
    def split(self) -> Split:
        """The cases of the item's repeat and fold that train, validate and test.

        Raises:
            Superseded: the folds of the run folder are those of another study.
        """
        from foldwise.data.folds.splits import read_splits, split_digest

        packed, *wanted = (self.settings[key] for key in ("packed", "split", "repeat", "fold"))
        for split in read_splits(self.folder.splits):
            # By its digest, too: a study that was laid over this folder may have a fold of the same number.
            if [split_digest(split, packed), split.repeat, split.fold] == wanted:
                return split
        what = f"the folds are not those that {self.item.id} was planned with"
        raise Superseded(what, where=str(self.folder.splits), cure=PLAN_AGAIN)
