"""The formats of image files: one table that says which suffixes are images, how a file is recognised and decoded.

A new format is a module with its decoder and a row here; the contract in `tests/data/formats/test_formats.py` says what a row must do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, UnidentifiedImageError

from foldwise.data.formats.pixels import (
    COPY_AGAIN,
    MAX_CHANNELS,
    MODES,
    Pixels,
    channel_axis,
    full_palette,
    plain,
    upright,
)
from foldwise.data.formats.tiff import decode_tiff, is_tiff_stack, open_tiff_stack
from foldwise.errors import DataError

ORIENTATION = 0x0112  # the EXIF tag


def _decode(path: Path, *, kind: str) -> Pixels:
    with Image.open(path, formats=[kind]) as image:
        orientation = int(image.getexif().get(ORIENTATION, 1))
        if kind == "PNG" and _png_bit_depth(path) == 16:
            # Pillow reads 16-bit colour as 8 bit without a word.
            return _of_array(imagecodecs.png_decode(path.read_bytes()), kind, 16, orientation, path)
        if image.mode == "P":
            # The indices are kept: in a mask they may be class numbers, whatever colours they stand for.
            colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
            indices = upright(np.asarray(image)[None], orientation)
            return Pixels(indices, "P", kind, 8, full_palette(colours))
        if image.mode == "1":
            return Pixels(upright(np.asarray(image.convert("L"))[None], orientation), "1", kind, 1)
        if image.mode not in MODES.values():
            problem = f"the colour mode {image.mode} is not supported"
            raise DataError(problem, where=str(path), cure="Save it as grey or RGB.")
        return _of_array(np.asarray(image), kind, 8, orientation, path)


decode_png = partial(_decode, kind="PNG")
decode_jpeg = partial(_decode, kind="JPEG")
decode_bmp = partial(_decode, kind="BMP")


def _png_bit_depth(path: Path) -> int:
    """Bits per sample: byte 24, in the header chunk that every PNG begins with."""
    with path.open("rb") as file:
        return file.read(25)[24]


def _of_array(array: np.ndarray, kind: str, bit_depth: int, orientation: int, path: Path) -> Pixels:
    """Pixels of an (H, W) or (H, W, C) array whose channels mean L, LA, RGB or RGBA."""
    values = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    return Pixels(upright(plain(values, path), orientation), MODES[len(values)], kind, bit_depth)


HEAD_BYTES = (
    256  # of a file, read once to recognise it: all first bytes below, and DICOM's at 128, lie in them
)
# fmt: off
# Images by their suffix that no row reads, some of them TIFFs with more in them than TIFF says: they are named, where
# files that are no images are passed over.
UNREADABLE_SUFFIXES = (
    ".czi", ".lif", ".nd2", ".oib", ".oif", ".lsm", ".svs", ".ndpi", ".scn", ".mrxs", ".vsi", ".ims", ".stk", ".qptiff",
    ".dcm", ".dicom", ".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".mgz", ".gif", ".webp", ".heic", ".heif", ".avif",
    ".jp2", ".j2k", ".jpx", ".jxl", ".psd", ".eps", ".pdf", ".svg", ".pgm", ".ppm", ".pbm", ".pnm", ".tga", ".exr",
    ".fits", ".dng", ".cr2", ".nef", ".arw", ".zarr", ".h5", ".hdf5", ".npz",
)
# How files of such kinds begin, whatever they are called: where (byte), and with what.
UNREADABLE_BYTES = (
    (0, b"GIF8"), (8, b"WEBP"), (4, b"ftyp"), (4, b"jP  "), (4, b"JXL "), (0, b"\xff\x4f\xff\x51"), (128, b"DICM"),
    (0, b"\x89HDF"), (0, b"8BPS"), (0, b"ZISRAWFILE"), (0, b"SIMPLE  ="), (0, b"NRRD"), (0, b"v/1\x01"),
    (0, b"\xda\xce\xbe\x0a"),
)
# Files that stand beside images in great numbers: they are no images, and are not opened to learn that.
TEXT_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".md", ".html", ".py", ".log", ".ini")
# fmt: on


@dataclass(frozen=True)
class Format:
    """One kind of image file.

    Attributes:
        suffixes: in lower case, with their dot; which files of a folder are taken for this format.
        first_bytes: what every such file has at byte `offset`, one of these; a name can lie, so these decide.
        decode: the one picture in a file; None where a file is always a stack. Whatever it raises in broken bytes
            becomes a DataError, so it need not catch what its library raises.
        open_stack: the slices (N, H, W), (N, H, W, C) or (N, C, H, W) in a file, read-only, and mapped where the file
            allows it; None where a file is always one picture.
        is_stack: whether a file holds slices; asked where the format has both.
        is_folder: whether an image is a folder, as those of OME-Zarr are; then the first bytes are those of `marker`.
        marker: a file that every such folder has.
    """

    suffixes: tuple[str, ...]
    first_bytes: tuple[bytes, ...]
    decode: Callable[[Path], Pixels] | None = None
    open_stack: Callable[[Path], np.ndarray] | None = None
    is_stack: Callable[[Path], bool] = lambda _: True
    offset: int = 0
    is_folder: bool = False
    marker: str = ""

    def fits(self, path: Path) -> bool:
        """Whether something on the disk is, by its name, an image or a stack of this format."""
        return path.name.lower().endswith(self.suffixes) and (
            path.is_dir() if self.is_folder else path.is_file()
        )

    def begins(self, head: bytes) -> bool:
        """Whether the first bytes of a file are those of this format."""
        return head[self.offset :].startswith(self.first_bytes)


def _open_npy(path: Path) -> np.ndarray:
    return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))


FORMATS: dict[str, Format] = {
    "PNG": Format((".png", ".apng"), (b"\x89PNG\r\n\x1a\n",), decode_png),
    "JPEG": Format((".jpg", ".jpeg", ".jfif", ".jpe", ".jif"), (b"\xff\xd8\xff",), decode_jpeg),
    "TIFF": Format(
        (".tif", ".tiff"),
        (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),  # little and big endian, and both with 64-bit offsets
        decode_tiff,
        open_tiff_stack,
        is_tiff_stack,
    ),
    "BMP": Format((".bmp", ".dib"), (b"BM",), decode_bmp),
    "NPY": Format((".npy",), (b"\x93NUMPY",), open_stack=_open_npy),
}


def readable() -> str:
    """The formats of single pictures: ``PNG, JPEG, TIFF and BMP``."""
    *names, last = [name for name, row in FORMATS.items() if row.decode is not None]
    return f"{', '.join(names)} and {last}"


def is_image(path: Path) -> bool:
    """Whether something on the disk is an image that is read as one picture: by its name, or else by its first bytes."""
    if any(row.decode is not None and row.fits(path) for row in FORMATS.values()):
        return True
    if has_image_name(path) or not _may_be_image(path):
        return False
    head = _head(path)
    name = _recognised(path, head)
    # Two letters begin many texts; the header of an image has a zero byte in it, a text has none.
    return name is not None and FORMATS[name].decode is not None and b"\0" in head


def has_image_name(path: Path) -> bool:
    """Whether a name ends as those of images and stacks do, of any kind; nothing need be there."""
    suffixes = (*(suffix for row in FORMATS.values() for suffix in row.suffixes), *UNREADABLE_SUFFIXES)
    return path.name.lower().endswith(suffixes)


def _may_be_image(path: Path) -> bool:
    return not path.name.lower().endswith(TEXT_SUFFIXES) and path.is_file()


def is_stack_file(path: Path) -> bool:
    """Whether something on the disk is, by its name, a file that can hold many images."""
    return any(row.open_stack is not None and row.fits(path) for row in FORMATS.values())


def stack_suffixes() -> tuple[str, ...]:
    """The suffixes of files that can hold many images; plain arrays first, since they are nothing else."""
    rows = sorted(FORMATS.values(), key=lambda row: row.decode is not None)
    return tuple(suffix for row in rows if row.open_stack is not None for suffix in row.suffixes)


def is_unreadable_image(path: Path) -> bool:
    """Whether something on the disk is, by its name or else by its first bytes, an image that no row reads."""
    if path.name.lower().endswith(UNREADABLE_SUFFIXES):
        return path.exists()
    if has_image_name(path) or not _may_be_image(path):
        return False
    head = _head(path)
    return any(head[at:].startswith(begin) for at, begin in UNREADABLE_BYTES)


def holds_slices(path: Path) -> bool:
    """Whether a file holds slices and not one picture; False for what cannot be read."""
    name = _stack_row(path)
    return name is not None and FORMATS[name].is_stack(path)


def _recognised(path: Path, head: bytes | None = None) -> str | None:
    """The format of a file by its first bytes (`head`), whatever its name says; None where no row has them."""
    if path.is_dir():
        folders = (
            name for name, row in FORMATS.items() if row.is_folder and row.begins(_head(path / row.marker))
        )
        return next(folders, None)
    head = _head(path) if head is None else head
    return next((name for name, row in FORMATS.items() if not row.is_folder and row.begins(head)), None)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def decode(path: Path) -> Pixels:
    """The pixels of an image file; DataError with the file and a cure where they cannot be had."""
    try:
        size = path.stat().st_size
    except OSError as error:
        problem = f"the file cannot be read ({error.strerror})"
        raise DataError(problem, where=str(path), cure="Check that it is there and may be read.") from None
    # An interrupted copy often leaves such files, so this has words of its own.
    if size == 0 and not path.is_dir():
        raise DataError("the file is empty (0 bytes)", where=str(path), cure=COPY_AGAIN)
    name = _recognised(path)
    decoder = FORMATS[name].decode if name is not None else None
    try:
        if decoder is None:
            raise UnidentifiedImageError
        return decoder(path)
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(
            "the image has more than 178 million pixels", where=str(path), cure="Cut it into tiles first."
        ) from None
    except UnidentifiedImageError:
        raise _no_image(path) from None
    # Decoders raise whatever they meet in broken bytes: OSError, struct.error, ValueError, zlib.error, their own.
    except Exception as error:
        problem = f"the file is damaged or cut short ({type(error).__name__}: {_first_line(error)})"
        raise DataError(problem, where=str(path), cure=COPY_AGAIN) from None


# What Git LFS and git-annex leave in place of a file whose content was not fetched.
_POINTERS = {b"version https://git-lfs": "git lfs pull", b"/annex/objects/": "git annex get"}


def _no_image(path: Path) -> DataError:
    head = _head(path)
    fetch = next((command for begin, command in _POINTERS.items() if head.startswith(begin)), None)
    if fetch is not None:
        problem = "the file is a pointer to an image that was not fetched"
        return DataError(problem, where=str(path), cure=f"Fetch it: {fetch}.")
    problem = f"the file is no image that can be read ({readable()} can)"
    cure = "Open it in an image viewer; save it again as PNG or TIFF, or take it out."
    return DataError(problem, where=str(path), cure=cure)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no more is known"])[0]


def open_stack(path: Path) -> np.ndarray:
    """A file of many images as a read-only array, mapped where that is possible; DataError where it is no stack."""
    row = FORMATS[stack_format(path)]
    assert row.open_stack is not None
    try:
        return row.open_stack(path)
    except FileNotFoundError:
        raise DataError("the file is not there", where=str(path)) from None
    except (ValueError, OSError, EOFError) as error:
        problem = f"the {path.suffix} file cannot be read ({_first_line(error)})"
        cure = "Save it with numpy.save as a plain array of numbers or text, not of objects."
        raise DataError(problem, where=str(path), cure=cure) from None


def stack_format(path: Path) -> str:
    """The format in which a file is opened as a stack; what no row fits is tried as an array, whose reader says why."""
    return _stack_row(path) or "NPY"


def _stack_row(path: Path) -> str | None:
    """By the first bytes; by the suffix where no row has them, as of a file that is damaged at its beginning."""
    name = _recognised(path)
    if name is not None and FORMATS[name].open_stack is not None:
        return name
    by_suffix = (name for name, row in FORMATS.items() if row.open_stack is not None and row.fits(path))
    return next(by_suffix, None)


def stack_channel_axis(shape: tuple[int, ...], path: Path) -> int:
    """Which axis (1 or 3) of a 4-D stack holds the channels; DataError where both or neither could."""
    axis = channel_axis(shape[1], shape[3])
    if axis is not None:
        return 1 if axis == 0 else 3
    problem = f"it is not clear which axis of shape {'×'.join(map(str, shape))} holds the channels"
    cure = f"Save it as images × height × width × channels with at most {MAX_CHANNELS} channels."
    raise DataError(problem, where=str(path), cure=cure)
