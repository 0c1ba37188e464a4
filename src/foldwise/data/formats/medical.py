"""NIfTI and DICOM files: volumes, slices and films of scanners, by nibabel and pydicom."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from foldwise.data.formats.pixels import PixelUm, Step
from foldwise.data.formats.scans import AS_TIFF, EXTRA, Scan
from foldwise.errors import DataError, need

GZIP = b"\x1f\x8b"
NIFTI_2 = (b"\x1c\x02\0\0n+2\0", b"\0\0\x02\x1cn+2\0")  # the length of its header, in either order of bytes
SEGMENTATION = (
    "1.2.840.10008.5.1.4.1.1.66.4"  # DICOM's class of segmentations, whose frames are one for each object
)


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
