"""What a data set is once it is recognised: a list of cases, each one image with its labels or its mask."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from foldwise.study.spec import Task

MaskKey = int | tuple[int, int, int]


@dataclass(frozen=True)
class Case:
    """One image with what is known about it; nothing is decoded yet.

    Attributes:
        index: place in `Dataset.cases`, from 0.
        name: unique and readable: the POSIX path relative to the root, or ``images.npy[3]``.
        image: where the pixels are, relative to the root; ``images.npy[3]`` is slice 3 of a stack, and
            ``train/a_{red,green}.png`` one image whose channels are in two files, in this order.
        mask: the same for the mask; None for classification.
        labels: class indices: one for single-label tasks, sorted and possibly none for multilabel, none for
            segmentation.
        group: images of one group never sit in two folds; None where no group was stated.
    """

    index: int
    name: str
    image: str
    mask: str | None
    labels: tuple[int, ...]
    group: str | None = None


@dataclass(frozen=True)
class Dataset:
    """Every case of a study, and what was recognised to find them.

    Attributes:
        classes: class names in the order of the logits; of a segmentation the first is the background.
        layout: ``class_folders``, ``image_mask``, ``table``, ``arrays`` or ``phantom``.
        statements: what was recognised, used and ignored, in sentences for the user.
        mask_values: raw mask value, or RGB colour, -> class index (`IGNORE` for pixels that do not count);
            None for classification.
        channels: what names the files of the channels, in order; empty where an image is one file.
        channels_left_out: words that stand where a channel does, and that the study did not ask for.
    """

    root: Path
    task: Task
    classes: tuple[str, ...]
    cases: tuple[Case, ...]
    layout: str
    statements: tuple[str, ...]
    mask_values: dict[MaskKey, int] | None
    channels: tuple[str, ...] = ()
    channels_left_out: tuple[str, ...] = ()


STACKS = (".npy", ".tif", ".tiff")
_CHANNELS = re.compile(r"\{([^{}]*,[^{}]*)\}")


def channel_files(place: str) -> list[str]:
    """The files of a place, in the order of their channels: one, but for places such as ``a_{red,green}.png``."""
    match = _CHANNELS.search(place)
    if match is None:
        return [place]
    return [place[: match.start()] + name + place[match.end() :] for name in match[1].split(",")]


def split_slice(place: str) -> tuple[str, int | None]:
    """The file of a place such as ``images.npy[3]`` and its slice; the slice is None for a file of its own."""
    stem, bracket, rest = place.rpartition("[")
    if bracket and stem.lower().endswith(STACKS) and rest.endswith("]") and rest[:-1].isdigit():
        return stem, int(rest[:-1])
    return place, None
