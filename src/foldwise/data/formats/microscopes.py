"""Files of microscopes: OME-Zarr folders, Leica's LIF, Nikon's ND2 and Zeiss's CZI; one image each, of LIF also several in a row."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from foldwise.data.formats.pixels import UNITS_UM, PixelUm, is_same_size
from foldwise.data.formats.scans import AS_TIFF, EXTRA, ROWS, Scan
from foldwise.errors import DataError, need

MAX_HEADER_BYTES = 2**24  # of a text that describes an image; more is none
# What unpacks bytes to numbers and nothing else. Others can run code that the file brings (pickle), or are unknown.
CODECS = frozenset(
    [
        "blosc",
        "zlib",
        "gzip",
        "zstd",
        "lz4",
        "bz2",
        "lzma",
        "shuffle",
        "delta",
        "bytes",
        "transpose",
        "crc32",
        "crc32c",
        "sharding_indexed",
    ]
)
# The markers of versions 3 and 2 of Zarr, and what describes an array in each.
ZARR_MARKERS = {"zarr.json": (3, "zarr.json"), ".zattrs": (2, ".zarray")}


@contextmanager
def ome_zarr(path: Path) -> Iterator[Scan]:
    """The image of an OME-Zarr folder at its full size; chunks that are not stored hold the fill value, as Zarr has it."""
    zarr = need("zarr", EXTRA)
    marker = next(name for name in ZARR_MARKERS if (path / name).is_file())
    version, array_file = ZARR_MARKERS[marker]
    attributes = _described(path / marker)
    if version == 3:
        attributes = attributes.get("attributes", {})
    attributes = attributes.get("ome", attributes)
    if not (images := attributes.get("multiscales")):
        kind = (
            "a plate of many images" if "plate" in attributes else "no OME-Zarr image (it has no multiscales)"
        )
        raise DataError(f"the folder is {kind}", cure="Lay each image out as a .zarr folder of its own.")
    if len(images) > 1:
        raise DataError(f"the folder holds {len(images)} images", cure=AS_TIFF)
    level = path / PurePosixPath(str(images[0]["datasets"][0]["path"]))
    if not level.resolve().is_relative_to(path.resolve()):
        raise DataError(
            "the image takes its pixels from outside its folder", cure="Copy it again as one folder."
        )
    _refuse_codecs(_described(level / array_file))
    array = zarr.open_array(str(level), mode="r", zarr_format=version)
    names = images[0].get("axes") or "tczyx"[-array.ndim :]
    letters = "".join(str(axis["name"] if isinstance(axis, dict) else axis)[:1].upper() for axis in names)
    dtype = np.dtype(array.dtype)
    size = int(np.prod(array.chunks)) * dtype.itemsize

    def part(index: tuple[Any, ...]) -> np.ndarray:
        return np.asarray(array[index])

    how: dict[str, Any] = {"part": part, "part_bytes": size}
    how["pixel_um"] = lambda: _zarr_spacing_um(images[0], letters)
    yield Scan(array.shape, letters, dtype, lambda: part((...,)), **how)


def _zarr_spacing_um(image: dict[str, Any], letters: str) -> PixelUm | None:
    """The scale of the full size along Y and X, where these axes have units."""
    factors = [1.0] * len(letters)
    for parts in (image["datasets"][0], image):  # what counts for all sizes comes on top
        for transform in parts.get("coordinateTransformations") or ():
            if transform.get("type") == "scale":
                factors = [a * float(b) for a, b in zip(factors, transform["scale"], strict=True)]
    units = [axis.get("unit", "") if isinstance(axis, dict) else "" for axis in image.get("axes") or ()]
    if "Y" not in letters or "X" not in letters or len(units) != len(letters):
        return None
    sides = [factors[k] * UNITS_UM.get(units[k], 0.0) for k in (letters.index("Y"), letters.index("X"))]
    return (sides[0], sides[1]) if all(sides) else None


def _described(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_HEADER_BYTES:
        raise DataError(
            f"{path.name} is larger than any description of an image", cure="Write the image again."
        )
    described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return described


def _refuse_codecs(array: dict[str, Any]) -> None:
    """Raise where the values of an array are objects, or are unpacked by anything that may do more than unpack."""
    names: list[str] = []

    def collect(node: Any) -> None:
        if isinstance(node, dict):
            names.extend(str(node[key]) for key in ("id", "name") if key in node)
            for below in node.values():
                collect(below)
        elif isinstance(node, list):
            for below in node:
                collect(below)

    for key in ("compressor", "filters", "codecs"):
        collect(array.get(key))
    if strange := sorted({name for name in names if name.removeprefix("numcodecs.") not in CODECS}):
        cure = "Write the image again with zstd, blosc or gzip."
        raise DataError(f"the image is packed by {', '.join(strange)}, which is not read", cure=cure)
    if array.get("dtype") == "|O":
        raise DataError(
            "the array holds Python objects, which are not read", cure="Write it again as numbers."
        )


@contextmanager
def lif(path: Path) -> Iterator[Scan]:
    """The one image of a LIF file, or pictures of one size in a row; a plane of depth and width (xz) is a picture, too."""
    with path.open("rb") as file, need("liffile", EXTRA).LifFile(file) as opened:
        images = list(opened.images)
        kinds = {(image.shape, _plane("".join(image.dims)), np.dtype(image.dtype)) for image in images}
        shape, axes, dtype = next(iter(kinds), ((), "", np.dtype(np.uint8)))
        if len(kinds) != 1 or (len(images) > 1 and set(axes) & set(ROWS)):  # several volumes or films
            _only([(str(image.name), image) for image in images])
        sizes = partial(_lif_pixel_um, images)
        if len(images) > 1:
            shape, axes = (len(images), *shape), f"P{axes}"
        yield Scan(shape, axes, dtype, lambda: _lif_values(images), pixel_um=sizes)


def _lif_values(images: Sequence[Any]) -> np.ndarray:
    return (
        np.stack([image.asarray() for image in images])
        if len(images) > 1
        else np.asarray(images[0].asarray())
    )


def _lif_pixel_um(images: Sequence[Any]) -> PixelUm | None:
    """How far apart the last two axes of space are sampled; LIF counts in metres. None where images differ in it."""
    spatial = [name for name in images[0].dims if name in "ZYX"][-2:]
    each = [
        tuple(abs(float(np.diff(image.coords[name][:2])[0])) * 1e6 for name in spatial) for image in images
    ]
    same = all(is_same_size((size[0], size[1]), (each[0][0], each[0][1])) for size in each)
    return (each[0][0], each[0][1]) if same else None


def _plane(axes: str) -> str:
    """Names of axes with the last two that are of space as Y and X: a scan across the depth has no Y, or has it first."""
    spatial = [k for k, name in enumerate(axes) if name in "ZYX"]
    if ("Y" in axes and axes.index("Y") in spatial[-2:]) or len(spatial) < 2:
        return axes
    names = [("Z" if name == "Y" else name) for name in axes]
    names[spatial[-2]], names[spatial[-1]] = "Y", "X"
    return "".join(names)


def _only(images: Sequence[tuple[str, Any]]) -> Any:
    if len(images) != 1:
        listed = ", ".join(name for name, _ in images[:12]) or "none"
        raise DataError(f"the file holds {len(images)} images ({listed}), not one", cure=AS_TIFF)
    return images[0][1]


@contextmanager
def nd2(path: Path) -> Iterator[Scan]:
    """The image of an ND2 file; times, positions and depths are images in a row."""
    with need("nd2", EXTRA).ND2File(path) as file:
        axes, dtype = "".join(file.sizes), np.dtype(file.dtype)
        size = partial(_nd2_pixel_um, file)
        yield Scan(tuple(file.sizes.values()), axes, dtype, file.asarray, pixel_um=size)


def _nd2_pixel_um(file: Any) -> PixelUm | None:
    """The size of a pixel where the objective was calibrated; 1 µm stands for none."""
    if not all(file.metadata.channels[0].volume.axesCalibrated[:2]):
        return None
    size = file.voxel_size()
    return float(size.y), float(size.x)


@contextmanager
def czi(path: Path) -> Iterator[Scan]:
    """The image of a CZI file with its tiles put together."""
    with need("czifile", EXTRA).CziFile(str(path), multifile=False) as file:
        # czifile calls scenes S, and the samples of a colour 0.
        axes = "".join({"S": "s", "0": "S"}.get(name, name) for name in file.axes)

        def values() -> np.ndarray:
            # One thread: with several it drops what went wrong, and leaves zeros. Tiles that do not fit are a warning to it.
            with warnings.catch_warnings(action="error"):
                return np.asarray(file.asarray(max_workers=1))

        size = partial(_czi_pixel_um, file)
        yield Scan(tuple(file.shape), axes, np.dtype(file.dtype), values, pixel_um=size)


def _czi_pixel_um(file: Any) -> PixelUm | None:
    """The scaling of the description, which is in metres."""
    text = file.metadata() or ""
    stated = (re.search(rf'<Distance Id="{axis}">\s*<Value>([^<]+)</Value>', text) for axis in "YX")
    sides = [float(size[1]) * 1e6 for size in stated if size]
    return (sides[0], sides[1]) if len(sides) == 2 else None
