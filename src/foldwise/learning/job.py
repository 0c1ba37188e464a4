"""A job: an item as it is being done, with the images and the split it works on, and where it writes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldwise.runs.checkpoints import Checkpoints
from foldwise.runs.folder import RunFolder
from foldwise.runs.items import Item
from foldwise.runs.leases import Beat

if TYPE_CHECKING:  # opened when a task first asks, as not every task does
    from foldwise.data.cache.packed import Packed
    from foldwise.data.cases import Dataset
    from foldwise.data.folds.splits import Split
    from foldwise.study.spec import DataSpec


@dataclass(frozen=True)
class Job:
    """What a task gets.

    Attributes:
        scratch: gets the files that the item makes.
        device: for settings that say `auto`.
        beat: called with how far the task is.
        checkpoints: what an earlier attempt left, and where this one writes how far it is.
    """

    item: Item
    folder: RunFolder
    scratch: Path
    device: str
    beat: Beat
    checkpoints: Checkpoints

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
        return open_cached(self.settings["packed"], cache, self._files)

    @cached_property
    def split(self) -> Split:
        """The cases of the item's repeat and fold that train, validate and test."""
        from foldwise.data.folds.splits import read_splits

        wanted = (self.settings["repeat"], self.settings["fold"])
        splits = read_splits(self.folder.splits)
        return next(split for split in splits if (split.repeat, split.fold) == wanted)

    def _files(self) -> tuple[Dataset, DataSpec]:
        """The data set as its files are, and how they are read."""
        from foldwise.data.layouts.layouts import read_dataset
        from foldwise.study.spec import DataSpec

        study = self.folder.load_study()  # its data folder is a whole path, so nothing starts at `base`
        # What the file left out is again as if it were not stated: a phantom fills it in.
        data = DataSpec.model_validate(study.data.model_dump(exclude_defaults=True))
        division = study.validate_
        return read_dataset(data, base=self.folder.root, group=division.group, split=division.split), data
