"""The steps: what each kind of item does, and the version that is raised when its results change.

A step gets a `Job` and gives the content of its ``result.json``; what it makes it writes into the job's scratch folder.
The only module that knows every step; torch is imported when a step that needs it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldwise.run.folder import RunFolder
from foldwise.run.leases import Beat
from foldwise.run.plan import Item

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed
    from foldwise.data.cases import Dataset
    from foldwise.data.folds.splits import Split
    from foldwise.study.spec import DataSpec


@dataclass(frozen=True)
class Job:
    """What a step gets: its item, the run it belongs to, where to write, and whom to tell how far it is."""

    item: Item
    folder: RunFolder
    scratch: Path
    device: str
    beat: Beat

    @property
    def inputs(self) -> dict[str, Path]:
        """The done folders this item needs, by item id."""
        return {need: self.folder.done(need) for need in self.item.needs}

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides what the item gives, as the plan wrote it."""
        return self.item.settings

    @property
    def packed(self) -> Packed:
        """The images as they lie in the cache."""
        from foldwise.data.cache.packed import open_packed

        return open_packed(self.settings["packed"])

    @property
    def split(self) -> Split:
        """Who trains and who tests in the item's repeat and fold."""
        from foldwise.data.folds.splits import read_splits

        wanted = (self.settings["repeat"], self.settings["fold"])
        return next(one for one in read_splits(self.folder.splits) if (one.repeat, one.fold) == wanted)


def _pictures(job: Job) -> Packed:
    """The images, their pixels from where the training says."""
    from foldwise.data.cache.caches import open_cached
    from foldwise.data.layouts.layouts import read_dataset
    from foldwise.study.spec import DataSpec

    def files() -> tuple[Dataset, DataSpec]:
        study = job.folder.load_study()  # its data folder is written whole, so nothing starts at `base`
        # What the file left out is again as if it were not stated: a phantom fills it in.
        data = DataSpec.model_validate(study.data.model_dump(exclude_defaults=True))
        return read_dataset(data, base=job.folder.root, group=study.validate_.group), data

    return open_cached(job.settings["packed"], job.settings["training"]["cache"], files)


def _features(job: Job) -> dict[str, Any]:
    from foldwise.learning.training.features import features_item

    return features_item(
        job.settings, packed=job.packed, scratch=job.scratch, beat=job.beat, device=job.device
    )


def _pretrain(job: Job) -> dict[str, Any]:
    from foldwise.learning.training.pretrain import pretrain_item

    return pretrain_item(
        job.settings,
        packed=job.packed,
        split=job.split,
        scratch=job.scratch,
        beat=job.beat,
        device=job.device,
    )


def _fit(job: Job) -> dict[str, Any]:
    from foldwise.learning.training.fit import fit_item

    return fit_item(
        job.settings,
        packed=_pictures(job),
        split=job.split,
        inputs=job.inputs,
        scratch=job.scratch,
        beat=job.beat,
        device=job.device,
    )


def _measure(job: Job) -> dict[str, Any]:
    from foldwise.insight.throughput import measure_item

    return measure_item(
        job.settings, packed=_pictures(job), split=job.split, beat=job.beat, device=job.device
    )


def _preview(job: Job) -> dict[str, Any]:
    from foldwise.insight.preview import preview_item

    return preview_item(job.settings, packed=job.packed, split=job.split, scratch=job.scratch)


def _shallow(job: Job) -> dict[str, Any]:
    from foldwise.insight.shallow import shallow_item

    return shallow_item(job.settings, packed=job.packed, split=job.split, scratch=job.scratch, beat=job.beat)


def _robustness(job: Job) -> dict[str, Any]:
    from foldwise.insight.robustness import robustness_item

    return robustness_item(
        job.settings,
        packed=job.packed,
        split=job.split,
        inputs=job.inputs,
        scratch=job.scratch,
        beat=job.beat,
        device=job.device,
    )


def _landscape(job: Job) -> dict[str, Any]:
    from foldwise.insight.landscape.look import look_item

    return look_item(
        job.settings,
        packed=_pictures(job),
        split=job.split,
        inputs=job.inputs,
        scratch=job.scratch,
        beat=job.beat,
        device=job.device,
    )


@dataclass(frozen=True)
class Step:
    """A kind of item: the function that does it, and a version that is raised when its results change."""

    do: Callable[[Job], dict[str, Any]]
    version: int


FIT = Step(_fit, version=3)
STEPS = {
    "features": Step(_features, version=1),
    "pretrain": Step(_pretrain, version=1),
    "fit": FIT,
    "aa_test": FIT,
    "measure": Step(_measure, version=1),
    "preview": Step(_preview, version=1),
    "shallow": Step(_shallow, version=1),
    "robustness": Step(_robustness, version=1),
    "landscape": Step(_landscape, version=1),
}
STEP_VERSIONS = {kind: step.version for kind, step in STEPS.items()}
