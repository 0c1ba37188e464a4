"""Arrays instead of files: images.npy with masks.npy or labels.npy, one entry per image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foldwise.data.cases import Case, Dataset
from foldwise.data.decoding.pixels import open_stack, stack_channel_axis
from foldwise.data.reading.labels import Labels, indicator_labels, label_list
from foldwise.data.reading.masks import read_meaning
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec


def read_stacks(root: Path, data: DataSpec) -> Dataset:
    """The data set of `images.npy` (N, H, W), (N, H, W, C) or (N, C, H, W) with `masks.npy` or `labels.npy`.

    Raises:
        SpecError: the stated task or classes do not fit.
        DataError: arrays are missing, hold objects, or differ in length or size; masks and labels are both there.
    """
    images_name, masks_name, labels_name = (
        data.images or "images.npy",
        data.masks or "masks.npy",
        "labels.npy",
    )
    images, said = _open_images(root, images_name)
    has_masks, has_labels = ((root / name).is_file() for name in (masks_name, labels_name))
    if has_masks and has_labels and data.masks is None and data.task == "auto":
        raise DataError(
            f"there are {masks_name} and {labels_name}: masks or labels?",
            where=str(root),
            cure="State data.task, for example binary_segmentation or multiclass_classification.",
        )
    if not has_masks and not has_labels:
        raise DataError(
            f"there is neither {masks_name} nor {labels_name} beside {images_name}",
            where=str(root),
            cure="Save one of them.",
        )
    names = [f"{images_name}[{i}]" for i in range(len(images))]
    if has_masks and (not has_labels or data.masks is not None or data.task.endswith("segmentation")):
        _check_masks(images, open_stack(root / masks_name), root, images_name, masks_name)
        places = [f"{masks_name}[{i}]" for i in range(len(images))]
        meaning = read_meaning(root, places, data)
        cases = tuple(
            Case(i, name, name, place, ()) for i, (name, place) in enumerate(zip(names, places, strict=True))
        )
        said += [f"Masks come from {masks_name}.", *meaning.statements]
        return Dataset(root, meaning.task, meaning.classes, cases, "arrays", tuple(said), meaning.values)
    labels = _read_labels(root / labels_name, len(images), data)
    cases = tuple(Case(i, name, name, None, labels.rows[i]) for i, name in enumerate(names))
    said += [f"Labels come from {labels_name}.", *labels.statements]
    return Dataset(root, labels.task, labels.classes, cases, "arrays", tuple(said), None)


def _open_images(root: Path, name: str) -> tuple[np.ndarray, list[str]]:
    images = open_stack(root / name)
    shape = "×".join(map(str, images.shape))
    if images.ndim not in (3, 4) or images.dtype.kind not in "buif" or images.size == 0:
        raise DataError(
            f"an array of shape {shape or '()'} and type {images.dtype} holds no images",
            where=str(root / name),
            cure="Save numbers as images × height × width, with channels last if there are several.",
        )
    if images.ndim == 3:
        return images, [f"{name} holds {len(images)} grey images of {images.shape[1]}×{images.shape[2]}."]
    axis = stack_channel_axis(images.shape, root / name)
    order = "last" if axis == 3 else "first"
    return images, [
        f"{name} holds {len(images)} images of {images.shape[axis]} channels (shape {shape}, channels {order})."
    ]


def _check_masks(
    images: np.ndarray, masks: np.ndarray, root: Path, images_name: str, masks_name: str
) -> None:
    size = list(images.shape[1:])
    if images.ndim == 4:
        size.pop(stack_channel_axis(images.shape, root / images_name) - 1)
    if masks.ndim != 3 or list(masks.shape) != [len(images), *size]:
        got, wanted = "×".join(map(str, masks.shape)), "×".join(map(str, [len(images), *size]))
        raise DataError(
            f"the masks have shape {got}, the images ask for {wanted}",
            where=str(root / masks_name),
            cure="Save one mask per image, of its size.",
        )


def _read_labels(path: Path, num_images: int, data: DataSpec) -> Labels:
    array = np.asarray(open_stack(path))
    if array.ndim not in (1, 2) or len(array) != num_images:
        raise DataError(
            f"labels of shape {'×'.join(map(str, array.shape))} do not fit {num_images} images",
            where=str(path),
            cure="Save one label per image, or one row of 0/1 per image.",
        )
    if array.ndim == 2:
        if not np.isin(array, (0, 1)).all():
            raise DataError(
                "rows of labels must hold 0 and 1 only", where=str(path), cure="Save one column per class."
            )
        rows = [tuple(np.flatnonzero(row).tolist()) for row in array]
        return indicator_labels(rows, data.classes or tuple(map(str, range(array.shape[1]))), data, path.name)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or (array != np.rint(array)).any():
            raise DataError(
                "labels must be whole numbers or names", where=str(path), cure="Save class numbers from 0."
            )
        array = array.astype(np.int64)
    return label_list(
        [str(label) for label in array.tolist()], data, [f"{path.name}[{i}]" for i in range(num_images)]
    )
