"""Stacks in place of files: images.npy or a TIFF of many pages, with masks or labels, one slice per image."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from foldwise.data.cases import Case, Dataset
from foldwise.data.formats.formats import (
    holds_slices,
    is_stack_file,
    open_stack,
    stack_channel_axis,
    stack_suffixes,
)
from foldwise.data.formats.reading import split_slice
from foldwise.data.layouts.labels import Labels, indicator_labels, label_list
from foldwise.data.layouts.listing import IMAGE_FOLDERS, MASK_FOLDERS, Listing
from foldwise.data.layouts.masks import read_meaning
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec
from foldwise.text import listed, natural, some

MAX_DESCRIBED = 3  # stacks that have a sentence of their own


def stack_files(root: Path, stated: str | None, usual: tuple[str, ...]) -> list[str]:
    """The stacks of a folder, from it: one file, or those of a folder of stacks; none where there are none.

    They are what the study file has `stated`, a file or a folder, or else have a `usual` name such as ``images``.
    """
    # labels.npy holds the labels of images.npy; a folder of that name may hold masks.
    stems = [name for name in usual if not name.startswith("label")]
    file_names = [f"{name}{suffix}" for name in stems for suffix in stack_suffixes()]
    for name in [stated] if stated is not None else file_names:
        if (root / name).is_file():
            return [PurePosixPath(name).as_posix()]
    for name in [stated] if stated is not None else usual:
        if (root / name).is_dir():
            paths = (root / name).iterdir()
            files = [path.name for path in paths if is_stack_file(path) and not path.name.startswith(".")]
            return [(PurePosixPath(name) / file).as_posix() for file in sorted(files, key=natural)]
    return []


def fits(listing: Listing) -> str | None:
    """The first stack of images, if the folder is one of stacks; None where its images are pictures."""
    stacks = stack_files(listing.root, listing.data.images, IMAGE_FOLDERS)
    if not stacks:
        return None
    # A file called images.tif beside nothing else is a stack, even of one slice.
    alone = "/" not in stacks[0] and listing.data.images is None
    return stacks[0] if alone or holds_slices(listing.root / stacks[0]) else None


def read(listing: Listing) -> Dataset:
    """The data set of stacks (N, H, W), (N, H, W, C) or (N, C, H, W), in one file or in several of one folder.

    Slices of one file are one group where there are several files.

    Raises:
        SpecError: the stated task or classes do not fit.
        DataError: stacks are missing, hold objects, or differ in length or size; masks and labels are both there.
    """
    root, data = listing.root, listing.data
    images = stack_files(root, data.images, IMAGE_FOLDERS)
    if not images:
        problem = f"there is no stack of images{f' {data.images}' if data.images else ''}"
        cure = (
            "Save images.npy or images.tif, or state data.images: a file or a folder of .npy or .tif files."
        )
        raise DataError(problem, where=str(root), cure=cure)
    masks = stack_files(root, data.masks, MASK_FOLDERS)
    has_labels = (root / "labels.npy").is_file()
    # Both would be a data set, of different tasks.
    if masks and has_labels and data.masks is None and data.task == "auto":
        cure = "State data.task, for example binary_segmentation or multiclass_classification."
        raise DataError(f"there are {masks[0]} and labels.npy: masks or labels?", where=str(root), cure=cure)
    if not masks and not has_labels:
        problem = f"there is neither masks.npy nor labels.npy beside {images[0]}"
        raise DataError(problem, where=str(root), cure="Save one of them.")
    opened = {name: _open_images(root, name) for name in images}
    locations = [f"{name}[{i}]" for name, (stack, _) in opened.items() for i in range(len(stack))]
    statements = [sentence for _, sentence in opened.values()]
    if len(opened) > MAX_DESCRIBED:
        statements = [statements[0], f"In all, {len(opened)} stacks hold {len(locations)} images."]
    if masks and (not has_labels or data.masks is not None or data.task.endswith("segmentation")):
        return _with_masks(listing, images, masks, locations, statements)
    labels = _read_labels(root / "labels.npy", len(locations), data)
    cases = tuple(Case(i, name, name, None, labels.rows[i]) for i, name in enumerate(locations))
    statements += ["Labels come from labels.npy.", *labels.statements]
    return Dataset(root, labels.task, labels.classes, cases, "arrays", tuple(statements), None)


def _with_masks(
    listing: Listing, images: list[str], masks: list[str], locations: list[str], statements: list[str]
) -> Dataset:
    root = listing.root
    paired = _paired(root, images, masks)
    for image, mask in paired.items():
        _check_masks(root / image, root / mask)
    slices = [split_slice(location) for location in locations]
    mask_locations = [f"{paired[file]}[{index}]" for file, index in slices]
    meaning = read_meaning(root, mask_locations, listing.data)
    several = len(images) > 1
    groups = [PurePosixPath(file).stem if several else None for file, _ in slices]
    cases = tuple(
        Case(i, location, location, mask, (), group)
        for i, (location, mask, group) in enumerate(zip(locations, mask_locations, groups, strict=True))
    )
    statements = [*statements, f"Masks come from {some(masks)}.", *meaning.statements]
    if several:
        statements.append(f"The slices of one file are one group: {len(images)} groups.")
    return Dataset(root, meaning.task, meaning.classes, cases, "arrays", tuple(statements), meaning.values)


def _paired(root: Path, images: list[str], masks: list[str]) -> dict[str, str]:
    """Image stack -> mask stack: the only two, or those of one name."""
    if len(images) == len(masks) == 1:
        return {images[0]: masks[0]}
    by_stem = {PurePosixPath(mask).stem: mask for mask in masks}
    alone = sorted({PurePosixPath(image).stem for image in images} ^ by_stem.keys(), key=natural)
    if alone:
        problem = listed(alone, "stack has", "stacks have", "no partner of the same name")
        cure = "Give every stack of images a stack of masks of the same name."
        raise DataError(problem, where=str(root), cure=cure)
    return {image: by_stem[PurePosixPath(image).stem] for image in images}


def _open_images(root: Path, name: str) -> tuple[np.ndarray, str]:
    images = open_stack(root / name)
    shape = "×".join(map(str, images.shape))
    if images.ndim not in (3, 4) or images.dtype.kind not in "buif" or images.size == 0:
        problem = f"an array of shape {shape or '()'} and type {images.dtype} holds no images"
        cure = "Save numbers as images × height × width, with channels last if there are several."
        raise DataError(problem, where=str(root / name), cure=cure)
    if images.ndim == 3:
        return images, f"{name} holds {len(images)} grey images of {images.shape[1]}×{images.shape[2]}."
    axis = stack_channel_axis(images.shape, root / name)
    order = "last" if axis == 3 else "first"
    number = f"{len(images)} images of {images.shape[axis]} channels"
    return images, f"{name} holds {number} (shape {shape}, channels {order})."


def _check_masks(images_path: Path, masks_path: Path) -> None:
    expected, shape = list(open_stack(images_path).shape), open_stack(masks_path).shape
    if len(expected) == 4:
        expected.pop(stack_channel_axis(tuple(expected), images_path))
    if list(shape) != expected:
        shapes = ["×".join(map(str, sizes)) for sizes in (shape, expected)]
        problem = f"the masks have shape {shapes[0]}, the images ask for {shapes[1]}"
        raise DataError(problem, where=str(masks_path), cure="Save one mask per image, of its size.")


def _read_labels(path: Path, num_images: int, data: DataSpec) -> Labels:
    array = np.asarray(open_stack(path))
    if array.ndim not in (1, 2) or len(array) != num_images:
        problem = f"labels of shape {'×'.join(map(str, array.shape))} do not fit {num_images} images"
        cure = "Save one label per image, or one row of 0/1 per image."
        raise DataError(problem, where=str(path), cure=cure)
    if array.ndim == 2:
        if not np.isin(array, (0, 1)).all():
            problem = "rows of labels must hold 0 and 1 only"
            raise DataError(problem, where=str(path), cure="Save one column per class.")
        rows = [tuple(np.flatnonzero(row).tolist()) for row in array]
        return indicator_labels(rows, data.classes or tuple(map(str, range(array.shape[1]))), data, path.name)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or (array != np.rint(array)).any():
            problem = "labels must be whole numbers or names"
            raise DataError(problem, where=str(path), cure="Save class numbers from 0.")
        array = array.astype(np.int64)
    locations = [f"{path.name}[{i}]" for i in range(num_images)]
    return label_list([str(label) for label in array.tolist()], data, locations)
