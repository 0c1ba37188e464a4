"""What a data set is once it is recognised: a list of cases, each one image with its labels or its mask; and what the audit says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from foldwise.study.spec import AS_SHOWN, Decoding
from foldwise.study.training import Task

if TYPE_CHECKING:
    from foldwise.data.formats.pixels import MaskKey
    from foldwise.data.formats.reading import DecodedMasks
NO_CLASS = 254  # marks, while a mask is translated, values that mean nothing
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Case:
    """One image with its labels, its mask and its group, by the files that hold them.

    Attributes:
        index: into `Dataset.cases`, from 0.
        name: unique and readable: the POSIX path relative to the root, or ``images.npy[3]``.
        image: where the pixels are, relative to the root; ``images.npy[3]`` is slice 3 of a stack, and
            ``train/a_{red,green}.png`` one image whose channels are in two files, in this order.
        mask: the same for the mask; None for classification.
        labels: class indices: one for single-label tasks, sorted and possibly none for multilabel, none for
            segmentation.
        group: images of one group never sit in two folds; None where no group was stated.
        part: of a split that is given: ``train``, ``validation`` or ``test``, or the number of its fold from 0; None
            where none is.
    """

    index: int
    name: str
    image: str
    mask: str | None
    labels: tuple[int, ...]
    group: str | None = None
    part: str | int | None = None


ColumnKind = Literal["split", "bearer", "site", "date"]


@dataclass(frozen=True)
class Column:
    """A column of a table that says where images come from, and that the study does not use.

    Attributes:
        name: as a key of the study takes it: the column, or the file of a split.
        table: the file it is in.
        kind: a split; who or what images are of (bearer); the site that they are from; or a date.
        values: of every case, in the order of the cases; empty where there is none.
    """

    name: str
    table: str
    kind: ColumnKind
    values: tuple[str, ...]


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
        decoding: what the study states of what files say of their own pixels.
        columns: what tables say of where the images come from, and the study does not use.
        flagged: names of the images whose label a person has flagged, each with a note; no cases where the study
            leaves them out.
        decoded_masks: what the census of mask values decoded, for packing; None where there was no census.
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
    decoding: Decoding = AS_SHOWN
    columns: tuple[Column, ...] = ()
    flagged: Mapping[str, str] = field(default_factory=dict)
    decoded_masks: DecodedMasks | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Finding:
    """One thing that the audit found, said to a newcomer.

    Attributes:
        code: names the kind of finding, e.g. ``near_duplicates``.
        severity: an error stops the study, a warning may make its answer wrong, a note is good to know.
        message: what was found, in which files.
        cases: names of all cases concerned; the message names the first few.
        cure: what to do about it.
        alike: of copies, the names of those that show one picture, a set each.
        choices: what a study may state to settle it, as `FoldwiseError` has them; the safest first.
    """

    code: str
    severity: Severity
    message: str
    cases: tuple[str, ...]
    cure: str
    alike: tuple[tuple[str, ...], ...] = ()
    choices: tuple[str, ...] = ()
