"""Stacks in place of files: images.npy or a TIFF of many pages, with masks or labels, one slice per image."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from foldwise.data.cases import Case, Dataset
from foldwise.data.formats.axes import MAX_CHANNELS, Stack
from foldwise.data.formats.formats import is_stack_file, open_stack
from foldwise.data.formats.reading import split_slice
from foldwise.data.layouts.files import stem
from foldwise.data.layouts.labels import Labels, indicator_labels, label_list
from foldwise.data.layouts.listing import Listing
from foldwise.data.layouts.pages import image_stacks, mask_files, other_images, stacks_recognised
from foldwise.data.layouts.pairing import channel_words, match
from foldwise.data.masks.meaning import read_meaning
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec
from foldwise.text import count, listed, natural, some

MAX_DESCRIBED = 3  # stacks that have a sentence of their own


def fits(listing: Listing) -> str | None:
    """The first stack of images, if the folder is one of stacks; None where its images are pictures."""
    return next(iter(stacks_recognised(listing)), None)


def read(listing: Listing) -> Dataset:
    """The data set of stacks (N, H, W), (N, H, W, C) or (N, C, H, W), in one file or in several of one folder.

    Slices of one file are one group where there are several files.

    Raises:
        SpecError: the stated task or classes do not fit.
        DataError: stacks are missing, hold objects, or differ in length or size; masks and labels are both there.
    """
    root, data = listing.root, listing.data
    images = image_stacks(listing)
    if not images:
        problem = f"there is no stack of images{f' {data.images}' if data.images else ''}"
        cure = (
            "Save images.npy or images.tif, or state data.images: a file or a folder of .npy or .tif files."
        )
        raise DataError(problem, where=str(root), cure=cure)
    if others := other_images(listing, images):
        cure = "Save them as stacks (.npy or .tif), or take them out."
        raise DataError(listed(others, "image is", "images are", "no stack"), where=str(root), cure=cure)
    masks = mask_files(listing)
    has_labels = (root / "labels.npy").is_file()
    # Both would be a data set, of different tasks.
    if masks and has_labels and data.masks is None and data.task == "auto":
        cure = "State data.task, for example binary_segmentation or multiclass_classification."
        raise DataError(f"there are {masks[0]} and labels.npy: masks or labels?", where=str(root), cure=cure)
    opened = {name: _open_images(root, name) for name in images}
    locations = [f"{name}[{i}]" for name, (stack, _) in opened.items() for i in range(len(stack))]
    if not masks and not has_labels:
        beside = (
            "masks.npy of as many slices" if len(images) == 1 else "masks/ with a stack of the name of each"
        )
        cure = f"Save {beside}, or labels.npy with {len(locations)} labels."
        problem = f"there are neither masks nor labels beside {images[0]}"
        raise DataError(problem, where=str(root), cure=cure)
    statements = [sentence for _, sentence in opened.values()]
    if len(opened) > MAX_DESCRIBED:
        statements = [statements[0], f"In all, {len(opened)} stacks hold {len(locations)} images."]
    if masks and (not has_labels or data.masks is not None or data.task.endswith("segmentation")):
        return _with_masks(listing, images, masks, locations, statements)
    labels = _read_labels(root / "labels.npy", len(locations), data)
    groups, about_groups = _groups(locations)
    cases = tuple(
        Case(i, locations[i], locations[i], None, labels.rows[i], groups[i]) for i in range(len(locations))
    )
    statements += ["Labels come from labels.npy.", *labels.statements, *about_groups]
    return Dataset(root, labels.task, labels.classes, cases, "arrays", tuple(statements), None)


def _with_masks(
    listing: Listing, images: list[str], masks: list[str], locations: list[str], statements: list[str]
) -> Dataset:
    root = listing.root
    paired, words = _paired(root, images, masks)
    for image, mask in paired.items():
        _check_masks(root / image, root / mask, listing.data)
    slices = [split_slice(location) for location in locations]
    mask_locations = [f"{paired[file]}[{index}]" for file, index in slices]
    meaning = read_meaning(root, mask_locations, listing.data)
    groups, about_groups = _groups(locations)
    cases = tuple(
        Case(i, location, location, mask, (), group)
        for i, (location, mask, group) in enumerate(zip(locations, mask_locations, groups, strict=True))
    )
    statements = [*statements, f"Masks come from {some(masks)}{words}.", *meaning.statements, *about_groups]
    return Dataset(root, meaning.task, meaning.classes, cases, "arrays", tuple(statements), meaning.values)


def _groups(locations: list[str]) -> tuple[list[str | None], list[str]]:
    """Of each slice its file, where there are several, and a sentence about it: neighbours are much alike."""
    stems = [PurePosixPath(split_slice(location)[0]).stem for location in locations]
    if (number := len(set(stems))) == 1:
        return [None] * len(stems), []
    return list(stems), [f"The slices of one file are one group: {number} groups."]


def _paired(root: Path, images: list[str], masks: list[str]) -> tuple[dict[str, str], str]:
    """Image stack -> mask stack: the only two, or those of one name; and how the names differ, in brackets."""
    if len(images) == len(masks) == 1:
        return {images[0]: masks[0]}, ""
    matched = match(images, masks)
    if matched is not None:
        words = f" ({matched.words})" if matched.words else ""
        return {image: matched.masks[stem(image)] for image in images}, words
    if len(images) == 1 or any(not is_stack_file(root / mask) for mask in masks):
        problem = f"{some(images, 1)} {'holds' if len(images) == 1 else 'hold'} images in a row, and {masks[0]} is one mask"
        cure = "Save the masks in a row as well, in files of the same names (masks.npy for images.npy), or each image as a file."
        raise DataError(problem, where=str(root), cure=cure)
    if endings := channel_words(images, masks):
        problem = f"there are stacks called as masks and {', '.join(endings)}, as channels of one image are"
        cure = "Save the channels of each in one stack (ZCYX), called as its masks; stacks are not joined."
        raise DataError(problem, where=str(root), cure=cure)
    alone = sorted({stem(image) for image in images} ^ {stem(mask) for mask in masks}, key=natural)
    problem = listed(alone, "stack has", "stacks have", "no partner of the same name")
    cure = "Give every stack of images a stack of masks of the same name."
    raise DataError(problem, where=str(root), cure=cure)


def _open_images(root: Path, name: str) -> tuple[Stack, str]:
    stack = open_stack(root / name)
    images, shape = stack.values, "×".join(map(str, stack.values.shape))
    if images.ndim not in (2, 3, 4) or images.dtype.kind not in "buif" or images.size == 0:
        problem = f"an array of shape {shape or '()'} and type {images.dtype} holds no images"
        cure = "Save numbers as images × height × width, with channels last if there are several."
        raise DataError(problem, where=str(root / name), cure=cure)
    if images.ndim < 4:
        return (
            stack,
            f"{name} holds {count(len(stack), 'grey image')} of {images.shape[-2]}×{images.shape[-1]}.",
        )
    if stack.channel is None:
        problem = f"it is not clear which axis of shape {shape} holds the channels"
        cure = f"Save it as images × height × width × channels with at most {MAX_CHANNELS} channels."
        raise DataError(problem, where=str(root / name), cure=cure)
    order = "last" if stack.channel == 3 else "first"
    number = f"{count(len(stack), 'image')} of {images.shape[stack.channel]} channels"
    return stack, f"{name} holds {number} (shape {shape}, channels {order})."


def _check_masks(images_path: Path, masks_path: Path, data: DataSpec) -> None:
    if not is_stack_file(masks_path):
        cure = "Save the masks of its slices as one stack (.npy or .tif)."
        raise DataError(f"{masks_path.name} is one picture", where=str(images_path), cure=cure)
    images, masks = open_stack(images_path), open_stack(masks_path)
    # A file that is turned has other sides than it stores; each mask is compared with its image when both are decoded.
    is_turned = any(step.kind == "turned" for stack in (images, masks) for step in stack.like.steps)
    sizes = [_grey_shape(stack)[: 1 if is_turned else None] for stack in (masks, images)]
    if sizes[0] != sizes[1]:
        shapes = ["×".join(map(str, size)) for size in sizes]
        problem = f"the masks have shape {shapes[0]}, the images ask for {shapes[1]}"
        pictures = (
            "; or leave data.layout out, if each file is one picture" if data.layout == "arrays" else ""
        )
        cure = f"Save one mask per image, of its size{pictures}."
        raise DataError(problem, where=str(masks_path), cure=cure)


def _grey_shape(stack: Stack) -> tuple[int, ...]:
    shape = stack.values.shape if stack.values.ndim > 2 else (1, *stack.values.shape)
    return shape if stack.channel is None else shape[: stack.channel] + shape[stack.channel + 1 :]


def _read_labels(path: Path, num_images: int, data: DataSpec) -> Labels:
    array = np.asarray(open_stack(path).values)
    if array.ndim not in (1, 2) or len(array) != num_images:
        problem = f"labels of shape {'×'.join(map(str, array.shape))} do not fit {num_images} images"
        cure = (
            "Save one label per image, or one row of 0/1 per image; the first axis of the images counts them."
        )
        raise DataError(problem, where=str(path), cure=cure)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]  # a column of class numbers, as of MedMNIST
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
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
