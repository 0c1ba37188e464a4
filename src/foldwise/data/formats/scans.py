"""Arrays with named axes, as libraries of scanners and microscopes hand them over; NIfTI and DICOM files among them.

Volumes, slices and films of scanners are read by nibabel and pydicom; each is one picture, or images in a row.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from foldwise.data.formats.axes import Stack, as_picture, as_stack
from foldwise.data.formats.pixels import COPY_AGAIN, Pixels, PixelUm, Step
from foldwise.errors import DataError, FoldwiseError, need
from foldwise.resources import usable

EXTRA = "formats"  # of pyproject.toml: what brings the libraries
MAX_OPEN = 4  # stacks stay decoded, since every slice is asked for by itself
SMALL = 2**26  # bytes
ROWS = "TPZ"  # times, positions and depths: images in a row
AS_TIFF = "Export the image that is meant as a TIFF with named axes (CYX), for example by Fiji."
GZIP = b"\x1f\x8b"
NIFTI_2 = (b"\x1c\x02\0\0n+2\0", b"\0\0\x02\x1cn+2\0")  # the length of its header, in either order of bytes
# DICOM's class of segmentations, whose frames are one for each object.
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


@dataclass(frozen=True)
class Scan:
    """An array in a file, before its values are read.

    Attributes:
        shape, axes: lengths, and a letter for each: X, Y, Z, T, C, P for stage positions, S for the samples of a colour;
            any other is one that no study has a use for.
        dtype: of the values.
        values: reads them, in that shape.
        steps: what the file asks for.
        bit_depth: of a sample in the file; 0 for that of `dtype`.
        part: reads some of the values, by an index for every axis; None where all are read at once.
        part_bytes: of what is read at least.
        pixel_um: gives the size of a pixel along Y and X, as the file states it; None where it does not.
    """

    shape: tuple[int, ...]
    axes: str
    dtype: np.dtype
    values: Callable[[], np.ndarray]
    steps: tuple[Step, ...] = ()
    bit_depth: int = 0
    part: Callable[[tuple[int | slice, ...]], np.ndarray] | None = None
    part_bytes: int = 0
    pixel_um: Callable[[], PixelUm | None] = lambda: None

    def in_row(self) -> tuple[tuple[int, ...], str]:
        """Lengths and names after `arranged`: ``Z`` counts all images in a row, then come C, Y, X and S.

        Raises:
            DataError: an axis of several values is neither channels nor images in a row, or there are too many values
                and they cannot be read in parts.
        """
        length = dict(zip(self.axes, self.shape, strict=True))
        strange = [f"{name} ({n} long)" for name, n in length.items() if name not in ROWS + "CYXS" and n > 1]
        if strange or not {"Y", "X"} <= length.keys():
            problem = f"axes {self.axes}, shape {'×'.join(map(str, self.shape))}: "
            problem += (
                f"{', '.join(strange)} is neither channels nor images in a row" if strange else "no picture"
            )
            raise DataError(problem, cure=AS_TIFF)
        if self.part is None:
            self.refuse_too_large()
        rows = math.prod(length.get(name, 1) for name in ROWS)
        rest = [name for name in "CYXS" if name in length]
        return (rows, *(length[name] for name in rest)), "Z" + "".join(rest)

    def refuse_too_large(self) -> None:
        """Raise DataError where the values do not fit into memory."""
        needed = math.prod(self.shape) * self.dtype.itemsize
        # What is small is not worth a look at the limits of this process.
        if needed > SMALL and needed > (free := usable().free):
            problem = (
                f"the image takes {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB of memory are free"
            )
            raise DataError(problem, cure="Cut it into smaller files first.")

    def arranged(self) -> np.ndarray:
        """The values with their axes as `in_row` says; DataError where they do not fit into memory."""
        shape, axes = self.in_row()
        self.refuse_too_large()
        keep = [name for name in self.axes if name in ROWS + "CYXS"]
        values = self.values().reshape(
            [n for name, n in zip(self.axes, self.shape, strict=True) if name in keep]
        )
        order = sorted(keep, key=(ROWS + axes[1:]).index)
        values = values.transpose([keep.index(name) for name in order]).reshape(shape)
        if values.dtype.kind not in "buif":
            raise DataError(f"values of type {values.dtype} are no picture", cure=AS_TIFF)
        # Signed numbers may be below 0 in one image and not in the next; floats have all of them, in one type for a set.
        if values.dtype.kind == "i":
            values = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
        return values

    def like(self, name: str) -> Pixels:
        """What every image of it is, without values; `name` is that of its format."""
        return Pixels(np.empty(0), "L", name, self.bit_depth or self.dtype.itemsize * 8, steps=self.steps)


Reader = Callable[[Path], AbstractContextManager[Scan]]


class Columns(TypedDict):
    """What a row of the table of formats needs beside its suffixes and first bytes."""

    decode: Callable[[Path], Pixels]
    open_stack: Callable[[Path], Stack]
    axes: Callable[[Path], tuple[tuple[int, ...], str]]
    pixel_um: Callable[[Path], PixelUm | None]


def read_by(name: str, reader: Reader) -> Columns:
    """The row of a format whose files `reader` opens as a scan."""
    return {
        "decode": partial(_decode, name, reader),
        "open_stack": partial(_open_stack, name, reader),
        "axes": partial(_axes, reader),
        "pixel_um": partial(_pixel_um, reader),
    }


def _decode(name: str, reader: Reader, path: Path) -> Pixels:
    try:
        with reader(path) as scan:
            shape, names = scan.in_row()
            axes = as_picture(shape, names)
            if axes is None:
                problem = f"the file holds {shape[0]} images in a row (axes {names}, shape {'×'.join(map(str, shape))}), not one"
                cure = "Images in a row with a mask each are read with data.layout: arrays; else save one of them as a TIFF."
                raise DataError(problem, cure=cure)
            values, like = scan.arranged().reshape(axes.shape), scan.like(name)
    except DataError as error:
        raise DataError(error.what, where=str(path), cure=error.cure) from None
    image_CHW = values[None] if axes.channel is None else np.moveaxis(values, axes.channel, 0)
    mode = {1: "L", 3: "RGB"}.get(len(image_CHW), f"C{len(image_CHW)}")
    return replace(like, values=np.ascontiguousarray(image_CHW), mode=mode)


def _axes(reader: Reader, path: Path) -> tuple[tuple[int, ...], str]:
    with reader(path) as scan:
        return scan.in_row()


def _pixel_um(reader: Reader, path: Path) -> PixelUm | None:
    with reader(path) as scan:
        return scan.pixel_um()


def _open_stack(name: str, reader: Reader, path: Path) -> Stack:
    try:
        # Times and sizes are part of the key, so that a file that is written anew is read anew.
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        written = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in files)
        return _stack(name, reader, path, hash(written))
    except DataError as error:
        raise DataError(error.what, where=str(path), cure=error.cure) from None
    except (FoldwiseError, FileNotFoundError):
        raise
    except Exception as error:  # libraries raise whatever they meet in broken bytes
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        problem = f"the file is damaged or cut short ({reason})"
        raise DataError(problem, where=str(path), cure=COPY_AGAIN) from None


@lru_cache(maxsize=MAX_OPEN)
def _stack(name: str, reader: Reader, path: Path, _written: int) -> Stack:
    with reader(path) as scan:
        shape, names = scan.in_row()
        axes = as_stack(shape, names)
        if axes is None:
            problem = f"no images in a row (axes {names}, shape {'×'.join(map(str, shape))})"
            raise DataError(problem, cure=AS_TIFF)
        values = scan.arranged().reshape(axes.shape)
        values.flags.writeable = False
        return Stack(values, axes.channel, scan.like(name))


def packed_head(path: Path, head: bytes, number: int) -> bytes:
    """The first bytes of what gzip has packed into a file that begins with `head`; fewer where it is damaged, else none."""
    if not head.startswith(GZIP):
        return b""
    try:
        with gzip.open(path) as file:
            return file.read(number)
    except (OSError, EOFError, zlib.error):
        return b""


@contextmanager
def nifti(path: Path) -> Iterator[Scan]:
    """A NIfTI volume as axial slices from the feet up, each as radiologists see it: the patient's left at the right.

    The stored axes follow the affine of the header, so that an image and a mask that are stored in other orders agree.
    A volume that is one voxel thick is one picture, whichever way it lies.
    """
    nibabel = need("nibabel", EXTRA)
    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP
    with gzip.open(path) if packed else path.open("rb") as file:
        versions = {True: nibabel.Nifti2Image, False: nibabel.Nifti1Image}
        image = versions[file.peek(8).startswith(NIFTI_2)].from_stream(file)
        shape = (*image.shape, 1, 1)[: max(3, image.ndim)]
        if any(n > 1 for n in shape[3:]):
            problem = (
                f"the volume has {len(image.shape)} axes ({'×'.join(map(str, shape))}): times, or channels?"
            )
            cure = 'Save each volume as a file of its own; channels are then joined by data.channels: ["0000", "0001"].'
            raise DataError(problem, cure=cure)
        start = nibabel.orientations.io_orientation(image.affine)
        if not np.isfinite(start).all():
            raise DataError(
                "the affine of the header has no three axes", cure="Save it again with its affine."
            )
        turn = nibabel.orientations.ornt_transform(start, nibabel.orientations.axcodes2ornt("LPS"))
        order = np.argsort(turn[:, 0])
        lying = [shape[k] for k in order]
        thin = [k for k in (2, 1, 0) if lying[k] == 1]
        first = thin[0] if thin else 2
        stored = [k for k in (2, 1, 0) if k != first]

        def values() -> np.ndarray:
            array = np.asanyarray(image.dataobj).reshape(shape[:3])
            turned: np.ndarray = nibabel.orientations.apply_orientation(array, turn)
            return turned.transpose(first, *stored)

        slope, inter = image.dataobj.slope, image.dataobj.inter
        dtype = image.get_data_dtype() if (slope, inter) == (1, 0) else np.dtype(np.float64)
        shown = (lying[first], *(lying[k] for k in stored))
        sides = [int(order[k]) for k in stored]
        yield Scan(shown, "ZYX", dtype, values, pixel_um=lambda: _voxel_um(image, sides))


def _voxel_um(image: Any, axes: list[int]) -> PixelUm | None:
    """The size of a voxel along two stored axes, where the header has a unit."""
    micron = {"mm": 1e3, "meter": 1e6, "micron": 1.0}.get(image.header.get_xyzt_units()[0])
    zooms = (*(float(side) for side in image.header.get_zooms()), 0.0, 0.0)
    return None if micron is None else (zooms[axes[0]] * micron, zooms[axes[1]] * micron)


@contextmanager
def dicom(path: Path) -> Iterator[Scan]:
    """A DICOM slice, or the frames of a film, in the units of the scanner (Hounsfield's for CT) where the file has them."""
    pydicom = need("pydicom", EXTRA)
    header = pydicom.dcmread(path, stop_before_pixels=True)
    if header.get("SOPClassUID") == SEGMENTATION:
        cure = "Save it as NIfTI or as PNG, one mask an image with a value for each class."
        raise DataError("the file is a DICOM segmentation, whose frames are one for each object", cure=cure)
    if not header.get("Rows") or not header.get("Columns"):
        raise DataError("the DICOM file holds no picture", cure="Take it out of the folder.")
    colour = str(header.get("PhotometricInterpretation", ""))
    if colour.startswith(("PALETTE", "HSV", "ARGB", "CMYK")):
        raise DataError(f"the colour mode {colour} is not supported", cure="Save it as grey or RGB.")
    slope, intercept = (
        float(header.get(f"Rescale{key}") or default) for key, default in (("Slope", 1), ("Intercept", 0))
    )
    is_rescaled = (slope, intercept) != (1, 0) or "ModalityLUTSequence" in header
    bits, is_signed = int(header.get("BitsAllocated", 8)), bool(header.get("PixelRepresentation", 0))
    dtype = np.dtype(np.float64 if is_rescaled else f"{'i' if is_signed else 'u'}{max(bits, 8) // 8}")

    def values() -> np.ndarray:
        return _pixels(path, pydicom, is_rescaled=is_rescaled)

    samples = int(header.get("SamplesPerPixel", 1))
    shape = (int(header.get("NumberOfFrames") or 1), int(header.Rows), int(header.Columns), samples)
    steps = (Step("inverted", str(dtype)),) if colour == "MONOCHROME1" else ()
    depth = 32 if is_rescaled else int(header.get("BitsStored", bits))
    yield Scan(shape, "ZYXS", dtype, values, steps, depth, pixel_um=lambda: _spacing_um(header))


def _spacing_um(header: Any) -> PixelUm | None:
    """The distance of rows and of columns in the patient, or on the slide; not that on a detector, which is another."""
    spacing = header.get("PixelSpacing")
    if not spacing and (shared := header.get("SharedFunctionalGroupsSequence")):
        measures = shared[0].get("PixelMeasuresSequence")
        spacing = measures[0].get("PixelSpacing") if measures else None
    return (float(spacing[0]) * 1e3, float(spacing[1]) * 1e3) if spacing else None


def _pixels(path: Path, pydicom: Any, *, is_rescaled: bool) -> np.ndarray:
    dataset = pydicom.dcmread(path)
    try:
        array = dataset.pixel_array
    except RuntimeError as error:  # no decoder for how it is compressed
        reason = str(error).partition("\n")[0]
        cure = f"Decompress it (gdcmconv --raw, dcmdjpeg). {AS_TIFF}"
        raise DataError(f"the file is compressed in a way that is not read ({reason})", cure=cure) from None
    if is_rescaled:
        array = pydicom.pixels.apply_modality_lut(array, dataset).astype(np.float64)
    return np.asarray(array)
