"""Labels that are no pictures, COCO's or QuPath's for example: found in a folder, and drawn as masks once for all."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from foldwise.data.class_names import classes_of_objects
from foldwise.data.formats.label_files import LABEL_FORMATS, kind_of, objects_in, with_content
from foldwise.data.formats.reading import masks_in_cache, read_pixels
from foldwise.data.formats.shapes import NOT_COUNTED, Shape, order_of_runs
from foldwise.data.layouts.channel_files import images_at
from foldwise.data.layouts.files import (
    Finder,
    errors_about,
    image_files,
    part_in,
    refuse_pickles,
    stem,
)
from foldwise.data.layouts.listing import Listing, label_files_in
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec
from foldwise.text import count, natural, some

NUM_TRIED = 20  # images, by whose objects the order of runs of pixels is told


@dataclass(frozen=True)
class Outlines:
    """Label files of a folder, by paths from it.

    Attributes:
        kind: a row of `LABEL_FORMATS`.
        files: one of all images, or one for each.
        images: the folder of the images; ``.`` is the data folder itself.
    """

    kind: str
    files: tuple[str, ...]
    images: str


@dataclass(frozen=True)
class DrawnMasks:
    """A folder with its labels as masks, by what they are known, what is said of them, and which files they were in."""

    listing: Listing
    why: str = "as stated"
    statements: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Labelled:
    """The folder of a set, or of a part of one, with its labels.

    Attributes:
        start: of its paths from the set: ``train/``, or nothing.
        names: of its images, by where they are.
        objects: of each image, by where it is.
        left_out: how many labels have no area.
    """

    listing: Listing
    start: str
    outlines: Outlines
    names: Mapping[str, str]
    objects: dict[str, list[Shape]]
    left_out: int

    @property
    def source(self) -> str:
        """The file, or the folder of the files, from where the set is."""
        files = self.outlines.files
        path = files[0] if len(files) == 1 else _folder(self.outlines)
        path = posixpath.normpath(posixpath.join(self.start, path))
        return path if len(files) == 1 else f"{len(files)} files in {path}/"


def drawn(listing: Listing) -> DrawnMasks:
    """A folder with its labels as masks in the cache; as it is where it has none but pictures and tables.

    Raises:
        DataError: files of several kinds could be the labels, do not fit the images, or cannot be read; the order of
            runs of pixels is not clear.
        SpecError: they have classes that the study does not name.
    """
    data, parts = listing.data, listing.parts
    if data.layout not in ("auto", "image_mask") or data.task.endswith("classification"):
        return DrawnMasks(listing)
    is_whole = listing.divided and "" in parts and not listing.sides
    if is_whole or (data.table is not None and data.masks is None and data.task == "auto"):
        return DrawnMasks(listing)
    outlines = {start: _recognised(part, start, listing) for start, part in parts.items()}
    if not any(outlines.values()):
        return DrawnMasks(listing)
    if lacking := [start for start, own in outlines.items() if own is None]:
        problem = f"no labels are in {' and '.join(lacking)}, and the other parts have some"
        cure = "Let every part have labels of its own; or put all images into images/, and state validate.split: a column or file."
        raise DataError(problem, where=str(listing.root), cure=cure)
    labelled = [_labelled(parts[start], start, own) for start, own in outlines.items() if own is not None]
    about_order = _order_runs(labelled, data)
    names = {shape.name for own in labelled for shapes in own.objects.values() for shape in shapes}
    left_out = sum(own.left_out for own in labelled)
    classes = classes_of_objects(sorted(names - {NOT_COUNTED}, key=natural), data.classes, left_out)
    values = {str(k): name for k, name in enumerate(classes)} | {"255": NOT_COUNTED}
    settings: dict[str, object] = {"layout": "image_mask", "table": None, "classes": classes}
    settings |= {"mask_values": values, "ignore_value": None}
    read, notes = dict[str, Listing](), []
    for own in labelled:
        masks = _drawing(own, classes, data)
        notes.append(json.loads((masks / "notes.json").read_text(encoding="utf-8")))
        places = {"images": own.outlines.images, "masks": str(masks / "masks")}
        changed = own.listing.data.model_copy(update=settings | places)
        read[own.start] = Listing(
            own.listing.root, changed, split=own.listing.split, labels=own.outlines.files
        )
    divided = Listing(listing.root, data.model_copy(update=settings), split=listing.split, parts=read)
    statements = (*_statements(labelled, notes, left_out), *about_order)
    files = tuple(file for own in labelled for file in own.outlines.files)
    kinds = some(dict.fromkeys(own.outlines.kind for own in labelled))
    return DrawnMasks(read.get("", divided), f"labels of {kinds}", statements, files)


def _labelled(listing: Listing, start: str, outlines: Outlines) -> Labelled:
    folder = listing.root / outlines.images
    paths = [(PurePosixPath(outlines.images) / name).as_posix() for name in image_files(folder)]
    names = images_at(paths, listing.data, where=str(listing.root)).names
    objects, left_out = _by_image(listing.root, outlines, {name: image for image, name in names.items()})
    return Labelled(listing, start, outlines, names, objects, left_out)


def _recognised(listing: Listing, start: str, whole: Listing) -> Outlines | None:
    """The label files of a folder: those that the study states, or the only ones that there are.

    Those of a part of a set may lie beside the parts, with the name of the part: ``annotations/instances_train.json``.
    """
    root, stated = listing.root, listing.data.masks
    refuse_pickles(root)
    folders = listing.label_files
    if stated is not None and (kind_of(root / stated) or (root / stated).is_dir()):
        folders = {stated: label_files_in(root, stated)} if (root / stated).is_dir() else {"": [stated]}
    elif start and not folders:
        folders = {".": _beside_parts(whole, start)}
    images = _folder_of_images(listing)
    if not folders or images is None:
        return None
    # Beside the images of other folders they are of these.
    is_file = stated is not None and (root / stated).is_file()
    own = {
        name: paths
        for name, paths in folders.items()
        if is_file or name in (".", images) or not image_files(root / name)
    }
    choices = _choices(root, own, images)
    if choices and stated is None:
        _refuse_several(listing, choices)
    return choices[0] if choices else None


def _beside_parts(whole: Listing, start: str) -> list[str]:
    """Paths, from the folder of a part, of label files beside the parts that have its name among the words of theirs."""
    return [
        f"{'../' * start.count('/')}{path}"
        for folder, paths in whole.label_files.items()
        if part_in(folder) is None
        for path in paths
        if part_in(stem(path).casefold()) == part_in(start)
    ]


def _order_runs(labelled: list[Labelled], data: DataSpec) -> list[str]:
    """Note with runs of pixels in which order they count, and say it; DataError where it is not clear."""
    runs = [
        (own, k)
        for own in labelled
        for k, objects in own.objects.items()
        if any(s.runs is not None for s in objects)
    ]
    if not runs:
        return []
    by_rows, why = data.run_order == "rows", "as stated"
    if data.run_order == "auto":
        tried = [runs[k] for k in np.unique(np.linspace(0, len(runs) - 1, NUM_TRIED).astype(int))]
        pictures = (read_pixels(own.listing.root, k, data.decoding).values.mean(0) for own, k in tried)
        examples = (
            (own.start + k, own.objects[k], image) for (own, k), image in zip(tried, pictures, strict=True)
        )
        by_rows, why = order_of_runs(examples, in_table=labelled[0].outlines.kind == "run-length")
    for own, k in runs if by_rows else ():
        own.objects[k] = [replace(shape, by_rows=True) for shape in own.objects[k]]
    return [f"Runs of pixels count {'along the rows' if by_rows else 'down the columns'} ({why})."]


def _refuse_several(listing: Listing, choices: list[Outlines]) -> None:
    """Raise where pictures, a table or other files could be the labels as well."""
    root, masks = listing.root, listing.masks
    files = {file for choice in choices for file in choice.files}
    meant = [
        f"data.masks={choice.files[0] if len(choice.files) == 1 else _folder(choice)}" for choice in choices
    ]
    if masks is not None and image_files(root / masks):
        meant.insert(0, f"data.masks={masks}")
    # A task that is stated tells them from a table of labels.
    if listing.data.task == "auto" and "labels.csv" not in files and (root / "labels.csv").is_file():
        meant.append("data.table=labels.csv")
    if len(meant) > 1:
        problem = f"the labels could be those of {' or '.join(choice.partition('=')[2] for choice in meant)}"
        cure = f"State one of {', '.join(meant).replace('=', ': ')}."
        raise DataError(problem, where=str(root), cure=cure, choices=meant)


def _folder(outlines: Outlines) -> str:
    return PurePosixPath(outlines.files[0]).parent.as_posix()


def _folder_of_images(listing: Listing) -> str | None:
    """The folder of images, or the only one that holds any; ``.`` where they lie in the data folder itself."""
    images = listing.images
    if images is None and len(listing.class_folders) == 1 and not listing.loose_images:
        return listing.class_folders[0]
    return images or ("." if listing.loose_images else None)


def _choices(root: Path, folders: Mapping[str, list[str]], images: str) -> list[Outlines]:
    """What of some folders are labels: each file of all images, and each folder with a file an image."""
    stems = {stem(name) for name in image_files(root / images)}
    choices = []
    for paths in folders.values():
        of_one: dict[str, list[str]] = {}
        # Of thousands of files, one an image, a few tell what they are.
        by_name = [path for path in paths if stem(path) in stems]
        others = [path for path in paths if stem(path) not in stems]
        for path in others:
            kind = kind_of(root / path)
            if kind is not None and LABEL_FORMATS[kind].is_of_set:
                choices.append(Outlines(kind, (path,), images))
        kinds = [
            kind for path in islice(with_content(root, by_name), 9) if (kind := kind_of(path)) is not None
        ]
        for kind in dict.fromkeys(kinds):
            if not LABEL_FORMATS[kind].is_of_set:
                of_one[kind] = [
                    path for path in by_name if path.lower().endswith(LABEL_FORMATS[kind].suffixes)
                ]
        choices += [Outlines(kind, tuple(files), images) for kind, files in of_one.items()]
    return choices


def _by_image(
    root: Path, outlines: Outlines, images: Mapping[str, str]
) -> tuple[dict[str, list[Shape]], int]:
    """Of every image, by where it is, its objects; and how many points and lines have no area."""
    left_out, objects = 0, dict[str, list[Shape]]()
    finder, strangers = Finder(list(images), outlines.images), []
    for path in outlines.files:
        of_file, without_area = objects_in(root / path, outlines.kind)
        left_out += without_area
        for written, shapes in of_file.items():
            name = finder.find(written or stem(path))
            if name is None and shapes:
                strangers.append(written or path)
            elif name is not None:
                objects.setdefault(images[name], []).extend(shapes)
    absent = [name for name, image in images.items() if image not in objects]
    where = outlines.files[0] if len(outlines.files) == 1 else _folder(outlines)
    cure = "Label them, with an empty entry where an image shows nothing; or take them out."
    errors = errors_about(absent, "image has", "images have", f"no labels in {where}", cure=cure)
    cure = "Add the images, or take the labels out."
    errors += errors_about(strangers, "label is", "labels are", "of an image that is not there", cure=cure)
    if errors:
        raise DataError.together(errors)
    return objects, left_out


def _drawing(labelled: Labelled, classes: tuple[str, ...], data: DataSpec) -> Path:
    """The folder in the cache with a mask for each image, and notes.json with what there is to say."""
    root, outlines = labelled.listing.root, labelled.outlines
    files = [hashlib.sha256((root / path).read_bytes()).hexdigest() for path in outlines.files]
    names = {image: f"{stem(labelled.names[image])}.png" for image in labelled.objects}
    content = [outlines.kind, outlines.files, files]
    return masks_in_cache(root, labelled.objects, names, classes, data.decoding, content)


def _statements(labelled: list[Labelled], notes: list[dict[str, Any]], left_out: int) -> list[str]:
    """What is said of labels that were drawn, of all parts together."""
    objects = [shapes for own in labelled for shapes in own.objects.values()]
    number, sources = sum(map(len, objects)), ", ".join(own.source for own in labelled)
    kind = labelled[0].outlines.kind
    sentences = [
        f"{count(number, 'object')} of {count(len(objects), 'image')} were drawn as masks from {sources} ({kind})."
    ]
    if empty := sum(not shapes for shapes in objects):
        sentences.append(f"{count(empty, 'image')} without objects: all of it is background.")
    over = sum((Counter(own["over"]) for own in notes), Counter[str]())
    if over:
        pixels, images = (
            ", ".join(f"{name} {many:,}" for name, many in over.items()),
            sum(own["images"] for own in notes),
        )
        sentences.append(
            f"Objects of different classes overlap in {count(images, 'image')}; the later one has the pixels ({pixels})."
        )
    if outside := sum(own["outside"] for own in notes):
        sentences.append(
            f"{count(outside, 'object')} cover no pixel centre of their image, and leave no trace."
        )
    if left_out:
        sentences.append(f"{count(left_out, 'label')} without an area (points, lines, boxes) left out.")
    return sentences
