"""Every image of a data set decoded once and written as one long file, with what was measured on the way."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

import numpy as np

from foldwise.data.cache.decoding import read_image, read_mask, sized_image, sized_target
from foldwise.data.cache.measures import Measure, measure_image
from foldwise.data.cache.packed import (
    IMAGES,
    INDEX,
    PACK_VERSION,
    SUMS,
    TARGETS,
    Packed,
    open_packed,
    packed_folder,
)
from foldwise.data.cache.unused import used
from foldwise.data.cases import Case, Dataset
from foldwise.data.formats.formats import open_stack
from foldwise.data.formats.reading import channel_files, num_decoders, split_slice
from foldwise.errors import DataError, RunError, SpecError
from foldwise.sealed import Damaged, seal, verified
from foldwise.storage import cache_root, folder_cached, refuse_no_room, remove_damaged, write_array
from foldwise.study.ranges import IGNORE
from foldwise.study.spec import DataSpec
from foldwise.text import some

# Images, and pixels, decoded before they are written: bounds the memory, keeps the decoders busy.
AT_ONCE, PX_AT_ONCE = 32, 2**28


@dataclass(frozen=True)
class Loaded:
    """One case ready to be written."""

    image_CHW: np.ndarray
    target_HW: np.ndarray | None
    measure: Measure


def pack(dataset: Dataset, data: DataSpec, *, progress: Callable[[int, int], None] | None = None) -> Packed:
    """The packed form of a data set: opened where it is in the cache, else decoded and written there.

    While decoding, `progress` is called with the images done and the images in all.

    Raises:
        DataError: images or masks cannot be used; all problems at once.
        SpecError: images of different sizes are to be classified, and no size is stated.
        RunError: the cache cannot be written, or has no room.
    """
    drawn = {(dataset.root / case.mask).parent.resolve().parent for case in dataset.cases if case.mask}
    for entry in {dataset.root.resolve(), *drawn}:  # phantoms, and masks of labels that are no pictures
        if entry.parent.parent == cache_root().resolve():
            used(entry)
    files = file_digests(dataset)
    digest = pack_digest(dataset, data, files)
    if not _is_whole(packed_folder(digest)):
        if packed_folder(digest).exists():  # damaged, and of no use to anybody
            remove_damaged(packed_folder(digest), whole=_is_whole)
        with folder_cached(packed_folder(digest)) as scratch:
            _write_pack(scratch, dataset, data, files=files, progress=progress)
    if dataset.decoded_masks is not None:
        dataset.decoded_masks.clear()  # from here on masks come from the packed form
    return open_packed(digest)


def _is_whole(folder: Path) -> bool:
    try:
        Packed(folder)
    except RunError:
        return False
    return True


def remove_pack(damage: Damaged) -> bool:
    """Remove the packed data set of which a file is damaged, so that it is decoded anew; False where the file is of none."""
    folder = Path(str(damage.where)).parent
    if folder.parent != cache_root() / "packed":
        return False
    remove_damaged(folder, whole=_is_intact)
    return True


def _is_intact(folder: Path) -> bool:
    """Whether every image, every mask and what was measured on them are what was decoded."""
    try:
        packed = Packed(folder)
        verified(folder / "measures.json")
        for index in range(len(packed)):
            packed.image(index)
            if packed.task.endswith("segmentation"):
                packed.target(index)
    except RunError:
        return False
    return True


def _write_pack(
    folder: Path,
    dataset: Dataset,
    data: DataSpec,
    *,
    files: dict[str, str],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write images.bin, targets.bin, sums.npy, shapes.npy, labels.npy, measures.json and index.json to a folder."""
    measures: list[Measure] = []
    sums: list[tuple[int, int]] = []
    kinds: dict[tuple[int, str], list[str]] = {}
    errors: list[DataError] = []
    with (folder / IMAGES).open("wb") as images, (folder / TARGETS).open("wb") as targets:
        for done, (case, loaded) in enumerate(_load_all(dataset, data, files), 1):
            if progress is not None:
                progress(done, len(dataset.cases))
            if isinstance(loaded, DataError):
                errors.append(loaded)
                continue
            kinds.setdefault((len(loaded.image_CHW), str(loaded.image_CHW.dtype)), []).append(case.name)
            measures.append(loaded.measure)
            # After a first problem decoding goes on, to name all problems at once, but nothing more is worth writing.
            if not errors and len(kinds) == 1:
                target = b"" if loaded.target_HW is None else loaded.target_HW.tobytes()
                image = loaded.image_CHW.tobytes()
                if data.size != "native" and not sums:  # then all are as large as the first
                    refuse_no_room(folder, (len(image) + len(target)) * len(dataset.cases))
                images.write(image)
                targets.write(target)
                sums.append((zlib.crc32(image), zlib.crc32(target)))
    errors += _mixed_kinds(kinds, data)
    if errors:
        raise DataError.together(errors)
    _check_sizes(dataset, data, measures)
    write_array(folder / SUMS, np.array(sums, np.uint32).T)
    (num_channels, dtype) = next(iter(kinds))
    _write_index(folder, dataset, measures, num_channels=num_channels, dtype=dtype)


def _load_all(
    dataset: Dataset, data: DataSpec, files: dict[str, str]
) -> Iterator[tuple[Case, Loaded | DataError]]:
    """Every case in order, decoded by a few threads; what is wrong with it in place of it."""

    def load(case: Case) -> Loaded | DataError:
        try:
            return load_case(dataset, case, data, file_digest=files[case.image])
        except DataError as error:
            return error

    size = (data.size, data.size) if isinstance(data.size, int) else data.size
    at_once = AT_ONCE if size == "native" else max(1, min(AT_ONCE, PX_AT_ONCE // prod(size)))
    with ThreadPoolExecutor(num_decoders()) as pool:
        for start in range(0, len(dataset.cases), at_once):
            chunk = dataset.cases[start : start + at_once]
            yield from zip(chunk, pool.map(load, chunk), strict=True)


def load_case(dataset: Dataset, case: Case, data: DataSpec, *, file_digest: str = "") -> Loaded:
    """One case decoded, brought to the channels and the size that were asked for, and measured.

    Raises:
        DataError: the image or its mask cannot be used.
    """
    pixels, image = read_image(dataset, case, data)
    # Type and shape belong to it, or a column and a row of the same values would be one picture.
    pixel_digest = hashlib.sha256(f"{image.dtype}{image.shape}".encode() + image.tobytes()).hexdigest()[:32]
    original = (image.shape[1], image.shape[2])
    target, mask = None, None
    if case.mask is not None:
        mask = read_mask(dataset, case, data)
        target = sized_target(dataset, case, data, original, mask)
    image = sized_image(image, data)
    counts = None
    if target is not None:
        counts = tuple(np.bincount(target[target != IGNORE], minlength=len(dataset.classes)).tolist())
    measure = measure_image(
        image,
        pixels,
        index=case.index,
        digests=(file_digest, pixel_digest),
        original_hw=original,
        class_pixels=counts,
        mask_steps=mask.steps if mask is not None else (),
    )
    return Loaded(image, target, measure)


def _mixed_kinds(kinds: dict[tuple[int, str], list[str]], data: DataSpec) -> list[DataError]:
    """Errors where images differ in channels or in value type: a network takes one kind."""
    by_channels: dict[int, list[str]] = {}
    by_dtype: dict[str, list[str]] = {}
    for (num_channels, dtype), names in kinds.items():
        by_channels.setdefault(num_channels, []).extend(names)
        by_dtype.setdefault(dtype, []).extend(names)
    errors = []
    if len(by_channels) > 1:
        grey_or_colour = set(by_channels) <= {1, 3}
        cure = "State data.channels: gray or rgb."
        cure = cure if grey_or_colour else "Save all images with the same channels."
        counts = _counted({f"{count} channel(s)": by_channels[count] for count in sorted(by_channels)})
        choices = ("data.channels=gray", "data.channels=rgb") if grey_or_colour else ()
        what = f"the images differ in channels: {counts}"
        errors.append(DataError(what, where="data.channels", cure=cure, choices=choices))
    if len(by_dtype) > 1:
        problem = f"the images differ in the type of their values: {_counted(dict(sorted(by_dtype.items())))}"
        errors.append(DataError(problem, where="images", cure="Save all images with the same bit depth."))
    return errors


def _counted(names_by_kind: dict[str, list[str]]) -> str:
    return "; ".join(f"{len(names)} of {kind} ({some(names, 2)})" for kind, names in names_by_kind.items())


def _check_sizes(dataset: Dataset, data: DataSpec, measures: Iterable[Measure]) -> None:
    sizes = {(m.height, m.width) for m in measures}
    if data.size == "native" and len(sizes) > 1 and dataset.task.endswith("classification"):
        small, large = min(sizes, key=lambda s: s[0] * s[1]), max(sizes, key=lambda s: s[0] * s[1])
        raise SpecError(
            f"the images have {len(sizes)} different sizes, from {small[1]}×{small[0]} to {large[1]}×{large[0]} pixels",
            where="data.size",
            cure="State data.size, for example 224: all images are brought to that height and width.",
            choices=[f"data.size={side}" for side in (64, 128, 224)],
        )


def _write_index(
    folder: Path, dataset: Dataset, measures: list[Measure], *, num_channels: int, dtype: str
) -> None:
    write_array(folder / "shapes.npy", np.array([(m.height, m.width) for m in measures], np.int64))
    write_array(folder / "labels.npy", label_array(dataset))
    (folder / "measures.json").write_text(json.dumps([asdict(m) for m in measures]), encoding="utf-8")
    index = {
        "version": PACK_VERSION,
        "task": dataset.task,
        "classes": dataset.classes,
        "channels": num_channels,
        "dtype": dtype,
    }
    seal(
        folder / INDEX, index, (folder / name for name in (SUMS, "shapes.npy", "labels.npy", "measures.json"))
    )


def label_array(dataset: Dataset) -> np.ndarray:
    """Labels of all cases: (n,) int64; multilabel (n, K) uint8; segmentation none."""
    if dataset.task == "multilabel_classification":
        labels = np.zeros((len(dataset.cases), len(dataset.classes)), np.uint8)
        for row, case in enumerate(dataset.cases):
            labels[row, list(case.labels)] = 1
        return labels
    return np.array([case.labels[0] for case in dataset.cases if case.labels], np.int64)


def file_digests(dataset: Dataset) -> dict[str, str]:
    """SHA-256 of every image and mask file, or slice of a stack, by its location.

    Raises:
        DataError: files cannot be read; all at once.
    """
    digests: dict[str, str] = {}
    errors = []
    for location in (name for case in dataset.cases for name in (case.image, case.mask) if name is not None):
        try:
            digests[location] = _digest_of(dataset.root, location)
        except OSError as error:
            problem = f"the file cannot be read ({error.strerror})"
            errors.append(DataError(problem, where=location, cure="Check that it is there and may be read."))
    if errors:
        raise DataError.together(errors)
    return digests


def _digest_of(root: Path, location: str) -> str:
    parts = channel_files(location)
    if len(parts) > 1:
        digests = "".join(_digest_of(root, part) for part in parts)
        return hashlib.sha256(f"channels {digests}".encode()).hexdigest()
    name, index = split_slice(location)
    path = root / name
    # Of the values and not of the file: slices of a stack that is saved anew, or grows, keep their digests.
    if index is not None:
        stack = open_stack(path)
        array = np.ascontiguousarray(stack.row(index))
        about = f"{array.dtype.str}{array.shape}{stack.marks()}"
        return hashlib.sha256(about.encode() + array.tobytes()).hexdigest()
    if path.is_dir():  # an image that is a folder: all its files, by their names
        files = sorted(file for file in path.rglob("*") if file.is_file())
        listed = [(file.relative_to(path).as_posix(), digest_of_file(file)) for file in files]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
    return digest_of_file(path)


def digest_of_file(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pack_digest(dataset: Dataset, data: DataSpec, files: dict[str, str]) -> str:
    """Thirty-two digits that change when, and only when, the packed folder would."""
    # The words do not count: which file is which channel stands in the digests of the files.
    channels = data.channels if isinstance(data.channels, str) else len(data.channels)
    values = sorted((str(key), k) for key, k in (dataset.mask_values or {}).items())
    cases = [(files[c.image], files[c.mask] if c.mask else None, c.labels) for c in dataset.cases]
    settings = [channels, data.size, data.decoding.model_dump()]
    content = [PACK_VERSION, dataset.task, dataset.classes, *settings, values, cases]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
