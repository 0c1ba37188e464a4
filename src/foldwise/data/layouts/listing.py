"""What a folder holds: images, tables, folders of a usual name."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from foldwise.data.class_names import read_legend
from foldwise.data.formats.formats import is_stack_file
from foldwise.data.formats.label_files import LABEL_SUFFIXES, kind_of, with_content
from foldwise.data.layouts.files import (
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    PARTS,
    image_files,
    image_files_below,
    on_disk,
    part_named,
    subfolders,
    unreadable_files,
)
from foldwise.data.layouts.pairing import images_and_masks, refuse_masks_among, sides_of_parts
from foldwise.data.layouts.tables import is_review
from foldwise.errors import DataError, SpecError
from foldwise.study.spec import DataSpec
from foldwise.text import composed, listed, natural, some

JUDGE = "Tables of scores of other programs are judged without images: foldwise judge TABLE. For labels, put the images beside them."
# Tables that describe a set but do not label its images, unless they are stated.
SIDE_TABLES = frozenset({"metadata.csv", "class_names.csv", "classes.csv"})


class Listing:
    """What a data folder holds, as far as its layout is recognised by it; each part is looked up when first needed.

    `split` and `group` are those of `validate`; with `divided`, folders called train, test and the like are parts of a split, each with a
    whole layout in it. `labels` are the files from which its masks were drawn.
    """

    def __init__(
        self,
        root: Path,
        data: DataSpec,
        *,
        split: str = "auto",
        group: str = "auto",
        parts: Mapping[str, Listing] = MappingProxyType({}),
        labels: Collection[str] = (),
    ) -> None:
        self.root, self.data, self.split, self._parts, self.labels = root, data, split, parts, labels
        self.group = group
        self.divided = split in ("folders", "pooled_folders")

    @cached_property
    def parts(self) -> dict[str, Listing]:
        """What is in each folder of a split, by the start of its paths: ``train/``; else this itself, by an empty one."""
        if self._parts:
            return dict(self._parts)
        if not self.divided or self.table is not None:
            return {"": self}
        if len(self.sides) > 1:
            return {f"{images}/": self._side(images, masks) for images, masks in self.sides.items()}
        return {f"{name}/": self.part(name) for name in self.part_folders} or {"": self}

    @cached_property
    def sides(self) -> dict[str, str]:
        """Of parts that lie within images and masks: the folder of images of each that has labels, and of these; see there."""
        beside = self._all_sides if any(self.root.glob("*/*.json")) else {}
        return {images: masks for images, masks in self._all_sides.items() if masks} or beside

    @property
    def unlabelled(self) -> list[str]:
        """Folders of images of such parts as have no labels."""
        several = len(self.sides) > 1  # else they are said to be unused as other folders are
        return [images for images in self._all_sides if several and images not in self.sides]

    @cached_property
    def _all_sides(self) -> dict[str, str]:
        is_stated = self.data.images is not None or self.data.masks is not None
        return {} if is_stated or self.part_folders else sides_of_parts(self.root)

    def _side(self, images: str, masks: str) -> Listing:
        """What is in the images of a part, with its masks, which lie elsewhere."""
        folder = self.root / images  # where it really is: it may be a link, from which up leads elsewhere
        labels = os.path.relpath((self.root / masks).resolve(), folder.resolve()) if masks else None
        return Listing(folder, self.data.model_copy(update={"images": ".", "masks": labels}))

    def part(self, name: str) -> Listing:
        """What is in a folder of a split."""
        return Listing(self.root / name, self.data)

    @cached_property
    def label_files(self) -> dict[str, list[str]]:
        """By its name each folder, ``.`` is this one, with files whose suffixes are those of labels; empty if none is one."""
        names = (".", *subfolders(self.root), *filter(None, self.sides.values()))
        folders = {name: label_files_in(self.root, name) for name in dict.fromkeys(names)}
        # Most folders have no such file, and of thousands a few tell what they are.
        telling = (path for paths in folders.values() for path in islice(with_content(self.root, paths), 99))
        return folders if any(map(kind_of, telling)) else {}

    @cached_property
    def part_folders(self) -> list[str]:
        """Names of the folders that are called like parts of a split and hold images, however deep."""
        names = [name for name in subfolders(self.root) if part_named(name)]
        in_order = sorted(names, key=lambda name: list(PARTS.values()).index(part_named(name) or ""))
        return [name for name in in_order if image_files_below(self.root / name)]

    @cached_property
    def images(self) -> str | None:
        """The folder of images, if there is one below the root; the root itself if it has a folder per channel."""
        channels = self.data.channels
        by_channel = isinstance(channels, tuple) and set(channels) <= set(subfolders(self.root))
        if self.data.images is None and by_channel:
            return "."
        return self._named[0] or self._pair[0]

    @cached_property
    def masks(self) -> str | None:
        """The folder of masks, if there is one."""
        return self._named[1] or self._pair[1]

    @property
    def masks_by_content(self) -> bool:
        """Whether the folder of masks was recognised by what is in it."""
        return self._named[1] is None and self._pair[1] is not None

    @cached_property
    def _named(self) -> tuple[str | None, str | None]:
        """The folders of images and of masks by what is stated, or by their names."""
        if len(self.sides) == 1:
            return next(iter(self.sides.items()))
        return (
            _named_folder(self.root, self.data.images, IMAGE_FOLDERS, "data.images"),
            _named_folder(self.root, self.data.masks, MASK_FOLDERS, "data.masks"),
        )

    @cached_property
    def _pair(self) -> tuple[str | None, str | None]:
        """The folders of images and of masks by what is in them, where no name tells and no study says otherwise."""
        data, folders = self.data, self.class_folders
        channels = data.channels if isinstance(data.channels, tuple) else ()
        are_classes = set(map(composed, folders)) <= set(map(composed, data.classes or ()))
        are_parts = all(map(part_named, folders))
        # Where a table labels the images, these are in one of the two folders.
        are_labels = data.layout == "table" or data.task.endswith("classification")
        is_stated = data.layout in {"class_folders", "masks_beside"}
        is_other = are_classes or are_parts or is_stated or set(folders) <= set(channels)
        if len(folders) < 2 or any(self._named) or is_other or (are_labels and self.table is None):
            return None, None
        refuse_masks_among(self.root, folders)
        pair = images_and_masks(self.root, folders, channels=channels, may_ask=self.table is None)
        return pair or (None, None)

    @cached_property
    def table(self) -> Path | None:
        """The CSV file of labels: the stated one, labels.csv, or the only one there is.

        Raises:
            SpecError: the stated table is not there.
            DataError: several tables could hold the labels.
        """
        stated = self.data.table
        # Hidden files are editors' locks and copies, as of LibreOffice and macOS.
        tables = sorted(path for path in self.root.glob("*.csv") if not path.name.startswith("."))
        if stated is not None and not on_disk(self.root, stated).is_file():
            cure = f"Name one of the CSV files there: {', '.join(path.name for path in tables) or 'none'}."
            raise SpecError(f"there is no table {stated!r} in {self.root}", where="data.table", cure=cure)
        if stated is not None or (self.root / "labels.csv").is_file():
            return on_disk(self.root, stated or "labels.csv")
        # A file of the split says nothing of labels.
        aside = SIDE_TABLES | {Path(self.split).name}
        candidates = [
            path
            for path in tables
            if path.name not in aside and not is_review(path) and not read_legend(path)
        ]
        if len(candidates) > 1:
            names = some(path.name for path in candidates)
            problem = f"{len(candidates)} tables could hold the labels: {names}"
            cure = f"State data.table: {candidates[0].name}, or name the right one labels.csv."
            if any(path.stem.casefold() in PARTS for path in candidates):
                cure += " Tables of the parts of a split go into one, with a column split, and validate.split: split."
            choices = [f"data.table={path.name}" for path in candidates]
            if not self.loose_images and not self.has_nested_images:
                problem, cure, choices = f"the folder holds no images, but {names}", JUDGE, []
            raise DataError(problem, where=str(self.root), cure=cure, choices=choices)
        return candidates[0] if candidates else None

    @cached_property
    def class_folders(self) -> list[str]:
        """Names of the folders that hold images directly."""
        return class_folders(self.root)

    @cached_property
    def loose_images(self) -> list[str]:
        """Names of the images that lie directly in the root."""
        return image_files(self.root)

    @property
    def is_grouped(self) -> bool:
        """Whether the study says which images belong together, or that none do."""
        data = self.data
        return self.group != "auto" or data.group_column is not None or data.slices_per_group is not None

    @cached_property
    def folders_of_images(self) -> dict[str, tuple[str, ...]]:
        """By its path every image of all parts, and the folders that it lies in; see `folders_of`."""
        inside = {start: image_files_below(part.root) for start, part in self.parts.items()}
        every = (f"{start}{path}" for start, paths in inside.items() for path in paths)
        return {path: self.folders_of(path) for path in every}

    def folders_of(self, path: str) -> tuple[str, ...]:
        """The names of the folders in which an image lies, the outermost first, but for those of a channel or a part."""
        channels = self.data.channels if isinstance(self.data.channels, tuple) else ()
        folders = [name for name in path.split("/")[:-1] if name not in channels]
        part = next((name for name in folders if part_named(name)), None) if self.divided else None
        if part is not None:
            folders.remove(part)
        return tuple(folders)

    @cached_property
    def has_nested_images(self) -> bool:
        """Whether any image lies in a folder, however deep."""
        return any("/" in path for path in image_files_below(self.root))


def label_files_in(root: Path, folder: str) -> list[str]:
    """Paths of the files directly in a folder whose suffixes are those of labels that are no pictures."""
    names = [path.name for path in (root / folder).iterdir() if path.name.lower().endswith(LABEL_SUFFIXES)]
    visible = sorted((name for name in names if not name.startswith(".")), key=natural)
    return [(PurePosixPath(folder) / name).as_posix() for name in visible]


def class_folders(root: Path) -> list[str]:
    """Names of the folders in `root` that hold images directly."""
    return [name for name in subfolders(root) if image_files(root / name)]


def about_unreadable(listing: Listing, layout: str, labels: Sequence[str]) -> list[str]:
    """What is said of images of kinds that are not read, where they lie beside the images of the set; `labels` are none.

    Raises:
        DataError: they lie among the images; these were meant.
    """
    meant: list[str] = []
    for start, part in listing.parts.items():
        files = [file for file in unreadable_files(part.root) if file not in labels]
        folders = [part.images or "."] + ([part.masks] if part.masks else [])
        if layout == "class_folders":
            folders = subfolders(part.root)
        among = tuple("" if folder == "." else f"{folder}/" for folder in folders)
        meant += [f"{start}{file}" for file in files if file.startswith(among)]
    if meant:
        raise of_other_kinds(meant, listing.root)
    if layout == "arrays":
        return []
    beside = [file for file in unreadable_files(listing.root) if file not in labels]
    words = "file", "files", "of kinds that cannot be read, beside the images of the set, passed over"
    return [f"{listed(beside, *words)}."] if beside else []


def of_other_kinds(files: Sequence[str], root: Path) -> DataError:
    """The error about images of kinds that are not read, where they were meant."""
    problem = listed(files, "file is", "files are", "of kinds that cannot be read")
    cure = "Unpack archives, save images as PNG or TIFF, or move the files elsewhere."
    return DataError(problem, where=str(root), cure=cure)


def _named_folder(root: Path, stated: str | None, usual: tuple[str, ...], key: str) -> str | None:
    """The stated folder, or the one with a usual name; None where there is none.

    Raises:
        SpecError: the stated folder does not exist.
        DataError: more than one folder has a usual name.
    """
    if stated is not None:
        folder = on_disk(root, stated)
        if folder.is_file() and is_stack_file(folder):
            return None  # a stack in place of a folder
        if folder.is_file() and kind_of(folder) is not None:
            return None  # labels that are drawn as masks
        if not folder.is_dir():
            problem = f"there is no folder {stated!r} in {root}"
            raise SpecError(
                problem, where=key, cure=f"Name one of its folders: {', '.join(subfolders(root)) or 'none'}."
            )
        # A folder above the root has no path below it; from a root that is a link, up means from where it leads.
        path = os.path.relpath(folder, root)
        path = os.path.relpath(folder.resolve(), root.resolve()) if path.startswith("..") else path
        return PurePosixPath(path).as_posix()
    folders = [
        name for name in subfolders(root) if name.casefold() in usual and image_files_below(root / name)
    ]
    if len(folders) > 1:
        problem = f"the folders {' and '.join(folders)} could both be meant"
        raise DataError(problem, where=str(root), cure=f"State {key}: {folders[0]}.")
    return folders[0] if folders else None
