"""The size of a pixel: what the files of the images state, whether they agree, and whether the study says the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from foldwise.data.audit.leaks import ANOTHER_SOURCE, told_apart
from foldwise.data.cases import Case, Dataset, Finding
from foldwise.data.folds.strata import is_single_label
from foldwise.data.formats.formats import pixel_um
from foldwise.data.formats.pixels import PixelUm, in_um, is_same_size
from foldwise.data.formats.reading import channel_files, num_decoders, split_slice
from foldwise.study.spec import DataSpec
from foldwise.text import some

MAX_FILES = 500  # whose headers are read, evenly from the first to the last


def pixel_sizes(dataset: Dataset, most: int = MAX_FILES) -> dict[str, PixelUm]:
    """File -> height and width of a pixel in µm, of the files of images, at most so many, that state them."""
    files = list(dict.fromkeys(map(file_of, dataset.cases)))
    chosen = np.unique(np.linspace(0, len(files) - 1, min(most, len(files))).round().astype(int))
    names = [files[index] for index in chosen]
    with ThreadPoolExecutor(num_decoders()) as pool:
        sizes = list(pool.map(lambda name: pixel_um(dataset.root / name), names))
    return {name: size for name, size in zip(names, sizes, strict=True) if size is not None}


def file_of(case: Case) -> str:
    """The file of an image, a slice, or of its first channel."""
    return split_slice(channel_files(case.image)[0])[0]


def common_size(sizes: Sequence[PixelUm]) -> PixelUm | None:
    """The size that all of them are; None where they differ, or there is none."""
    return sizes[0] if sizes and all(is_same_size(size, sizes[0]) for size in sizes) else None


def pixel_size_of(data: DataSpec, sizes: dict[str, PixelUm]) -> PixelUm | None:
    """The pixel size of all images: as the study states it, else as all files agree on it."""
    return data.pixel_size or common_size(list(sizes.values()))


def pixel_size_findings(dataset: Dataset, data: DataSpec, sizes: dict[str, PixelUm]) -> list[Finding]:
    """What the files state and the study does not; or that they, or both, say different things."""
    return [*_stated(data, sizes), *_giving_away(dataset, sizes)]


def _stated(data: DataSpec, sizes: dict[str, PixelUm]) -> list[Finding]:
    if not sizes:
        return []
    if (stated := data.pixel_size) is not None:
        others = {file: size for file, size in sizes.items() if not is_same_size(size, stated)}
        if not others:
            return []
        message = f"data.pixel_um states {in_um(stated)}, and {_spread(others)}."
        cure = "State what is right; bring images of another scale to this one, or leave them out; where the files are wrong, leave it: the study counts."
        return [Finding("pixel_size_contradicted", "warning", message, tuple(others), cure)]
    common = common_size(list(sizes.values()))
    if common is None:
        message = (
            f"Pixels are of different sizes: {_spread(sizes)}. The same thing is shown at different scales."
        )
        cure = "Bring the images to one pixel size; or leave it if the network is to know all of them. Where the files are wrong, state data.pixel_um."
        return [Finding("pixel_sizes_differ", "warning", message, tuple(sizes), cure)]
    message = f"{_spread(sizes)}, and the study states no pixel size."
    height, width = (float(f"{side:.6g}") for side in common)
    value = f"{width:g}" if math.isclose(height, width) else f"[{height:g}, {width:g}]"
    cure = f"State data.pixel_um: {value}, and files that say otherwise are named; without it, exports take the files' word."
    return [Finding("pixel_size", "note", message, (), cure)]


def _giving_away(dataset: Dataset, sizes: dict[str, PixelUm]) -> list[Finding]:
    """Whether the scale of an image tells its class, of images with one label."""
    kinds = [names for _, names in _kinds(sizes)]
    if len(kinds) < 2 or not is_single_label(dataset):
        return []
    number = {name: k for k, names in enumerate(kinds) for name in names}
    files = [(file_of(case), case.labels[0]) for case in dataset.cases]
    bins_N, class_N = np.array([(number[file], label) for file, label in files if file in number]).T
    if len(np.unique(class_N)) < 2 or not told_apart(bins_N, class_N):
        return []
    by_class = [
        f"{dataset.classes[k]}: {_spread({file: sizes[file] for file, label in files if label == k and file in sizes})}"
        for k in np.unique(class_N)[:4].tolist()
    ]
    message = f"The pixel size of a file alone tells the classes apart: {'; '.join(by_class)}."
    cure = f"Bring the images to one pixel size: networks see the scale of what is shown. Otherwise {ANOTHER_SOURCE}."
    return [Finding("pixel_size_gives_class_away", "warning", message, (), cure)]


def _spread(sizes: dict[str, PixelUm]) -> str:
    """``12 files state 0.65 µm (a.tif, b.tif), 3 files state 0.32 µm (c.tif)``, the most frequent first."""
    return some(
        [
            f"{len(names)} file{'s state' if len(names) > 1 else ' states'} {in_um(size)} ({some(names, 2)})"
            for size, names in _kinds(sizes)
        ],
        4,
    )


def _kinds(sizes: dict[str, PixelUm]) -> list[tuple[PixelUm, list[str]]]:
    """Each size and its files, the most frequent first."""
    kinds: list[tuple[PixelUm, list[str]]] = []
    for name, size in sizes.items():
        same = next((names for kind, names in kinds if is_same_size(kind, size)), None)
        if same is None:
            kinds.append((size, [name]))
        else:
            same.append(name)
    return sorted(kinds, key=lambda kind: -len(kind[1]))
