"""Labels that are no pictures, COCO's or QuPath's for example: found in a folder, and drawn as masks once for all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from foldwise.data.formats.label_files import LABEL_FORMATS, LABEL_SUFFIXES, kind_of, objects_in
from foldwise.data.formats.reading import channel_files, read_pixels
from foldwise.data.formats.shapes import NOT_COUNTED, Shape, Tally, drawn_mask
from foldwise.data.layouts.channel_files import images_at
from foldwise.data.layouts.files import (
    Finder,
    errors_about,
    image_files,
    stem,
    subfolders,
)
from foldwise.data.layouts.listing import Listing
from foldwise.errors import DataError, SpecError
from foldwise.storage import cache_root, folder_cached
from foldwise.study.spec import DataSpec
from foldwise.text import count, listed, natural, some

VERSION = 1  # of how objects are drawn
MAX_OBJECT_CLASSES = 250  # values of an 8-bit mask, without the background and 255 for what does not count
CELLPOSE = "_seg.npy"


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


def drawn(listing: Listing) -> DrawnMasks:
    """A folder with its labels as masks in the cache; as it is where it has none but pictures and tables.

    Raises:
        DataError: files of several kinds could be the labels, do not fit the images, or cannot be read.
        SpecError: they have classes that the study does not name.
    """
    data, root = listing.data, listing.root
    if data.layout not in ("auto", "image_mask") or data.task.endswith("classification") or listing.divided:
        return DrawnMasks(listing)
    if data.table is not None and data.masks is None and data.task == "auto":
        return DrawnMasks(listing)
    _refuse_pickles(root)
    outlines = _recognised(listing)
    if outlines is None:
        return DrawnMasks(listing)
    folder = root / outlines.images
    paths = [(PurePosixPath(outlines.images) / name).as_posix() for name in image_files(folder)]
    joined = images_at(paths, data, where=str(root))
    objects, left_out = _by_image(root, outlines, {name: image for image, name in joined.names.items()})
    names = sorted({shape.name for own in objects.values() for shape in own} - {NOT_COUNTED}, key=natural)
    classes = _classes(names, data)
    masks = _drawing(root, outlines, objects, classes, data, joined.names)
    notes = json.loads((masks / "notes.json").read_text(encoding="utf-8"))
    values = {str(k): name for k, name in enumerate(classes)} | {"255": NOT_COUNTED}
    settings: dict[str, object] = {
        "layout": "image_mask",
        "images": outlines.images,
        "masks": str(masks / "masks"),
        "table": None,
    }
    settings |= {"classes": classes, "mask_values": values, "ignore_value": None}
    statements = _statements(outlines, objects, notes, left_out)
    read = Listing(root, data.model_copy(update=settings), split=listing.split)
    return DrawnMasks(read, f"labels of {outlines.kind}", statements, outlines.files)


def _recognised(listing: Listing) -> Outlines | None:
    """The label files of a folder: those that the study states, or the only ones that there are."""
    root, stated = listing.root, listing.data.masks
    if stated is not None:
        folders = {stated: _labels_in(root, stated)} if (root / stated).is_dir() else {"": [stated]}
        is_stated_file = (root / stated).is_file()
    else:
        folders = {name: _labels_in(root, name) for name in (".", *subfolders(root))}
        is_stated_file = False
    # Most folders have no such file, and nothing else of them need be looked at.
    if not any(kind_of(root / path) for paths in folders.values() for path in paths[:99]):
        return None
    images = _folder_of_images(listing)
    if images is None:
        return None
    # Beside the images of other folders they are of these.
    own = {
        name: paths
        for name, paths in folders.items()
        if is_stated_file or name in (".", images) or not image_files(root / name)
    }
    choices = _choices(root, own, images)
    if choices and stated is None:
        _refuse_several(listing, choices)
    return choices[0] if choices else None


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


def _labels_in(root: Path, folder: str) -> list[str]:
    """Paths of the files directly in a folder whose suffixes are those of labels."""
    names = [path.name for path in (root / folder).iterdir() if path.name.lower().endswith(LABEL_SUFFIXES)]
    visible = sorted((name for name in names if not name.startswith(".")), key=natural)
    return [(PurePosixPath(folder) / name).as_posix() for name in visible]


def _refuse_pickles(root: Path) -> None:
    files = [
        path.relative_to(root).as_posix()
        for path in (*root.glob(f"*{CELLPOSE}"), *root.glob(f"*/*{CELLPOSE}"))
    ]
    if files:
        problem = listed(
            files, "file is", "files are", "pickles of Cellpose, which can run code and are not read"
        )
        cure = "In Cellpose save the masks as PNG or TIFF, put them into masks/, and move the _seg.npy files elsewhere."
        raise DataError(problem, where=str(root), cure=cure)


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
        kinds = [kind for path in by_name[:9] if (kind := kind_of(root / path)) is not None]
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


def _classes(names: list[str], data: DataSpec) -> tuple[str, ...]:
    """The classes by their values in the masks: what the study states, or the background and those of the objects."""
    backgrounds = [name for name in names if name.strip("_ ").casefold() == "background"]
    classes = data.classes or ("background", *(name for name in names if name not in backgrounds))
    if data.classes is not None and (
        strange := [name for name in names if name not in (*classes, *backgrounds)]
    ):
        problem = f"the labels hold {some(strange)}, which data.classes does not name"
        raise SpecError(
            problem, where="data.classes", cure="Name every class once; the first is the background."
        )
    if not names or len(classes) < 2:
        raise DataError(
            "the labels hold no object", where="masks", cure="State data.masks: the right file or folder."
        )
    if len(classes) > MAX_OBJECT_CLASSES:
        problem = f"the labels hold {len(classes)} classes, more than {MAX_OBJECT_CLASSES}"
        raise DataError(problem, where="masks", cure="Give objects of one kind one class.")
    return tuple(classes)


def _drawing(
    root: Path,
    outlines: Outlines,
    objects: Mapping[str, list[Shape]],
    classes: tuple[str, ...],
    data: DataSpec,
    names: Mapping[str, str],
) -> Path:
    """The folder in the cache with a mask for each image, and notes.json with what there is to say."""
    files = [hashlib.sha256((root / path).read_bytes()).hexdigest() for path in outlines.files]
    stats = [(image, _written(root, image)) for image in objects]
    content = [VERSION, outlines.kind, outlines.files, files, stats, classes, data.decoding.model_dump()]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
    folder = cache_root() / "outlines" / digest
    if folder.is_dir():
        return folder
    with folder_cached(folder) as scratch:
        (scratch / "masks").mkdir()
        tally = Tally()
        for image, shapes in objects.items():
            size_hw = read_pixels(root, image, data.decoding).values.shape[1:]
            mask = drawn_mask(shapes, classes, (size_hw[0], size_hw[1]), tally, where=image)
            Image.fromarray(mask).save(scratch / "masks" / f"{stem(names[image])}.png")
        notes = {"over": tally.over, "images": tally.images, "outside": tally.outside}
        (scratch / "notes.json").write_text(json.dumps(notes), encoding="utf-8")
    return folder


def _written(root: Path, image: str) -> list[tuple[int, int]]:
    status = [(root / file).stat() for file in channel_files(image)]
    return [(each.st_mtime_ns, each.st_size) for each in status]


def _statements(
    outlines: Outlines, objects: Mapping[str, list[Shape]], notes: Mapping[str, object], left_out: int
) -> tuple[str, ...]:
    number = sum(map(len, objects.values()))
    source = (
        outlines.files[0]
        if len(outlines.files) == 1
        else f"{len(outlines.files)} files in {_folder(outlines)}/"
    )
    sentences = [
        f"{count(number, 'object')} of {count(len(objects), 'image')} were drawn as masks from {source} ({outlines.kind})."
    ]
    if outlines.kind == "run-length":
        sentences.append("Runs of pixels count down the columns from 1, as Kaggle has them.")
    empty = [image for image, shapes in objects.items() if not shapes]
    if empty:
        sentences.append(f"{count(len(empty), 'image')} without objects: all of it is background.")
    over = notes["over"]
    if isinstance(over, dict) and over:
        pixels = ", ".join(f"{name} {number:,}" for name, number in over.items())
        sentences.append(
            f"Objects of different classes overlap in {notes['images']} images; the later one has the pixels ({pixels})."
        )
    if notes["outside"]:
        sentences.append(
            f"{count(int(str(notes['outside'])), 'object')} cover no pixel centre of their image, and leave no trace."
        )
    if left_out:
        sentences.append(f"{count(left_out, 'label')} without an area (points, lines, boxes) left out.")
    return tuple(sentences)
