"""The formats of image files: one table that says which suffixes are images, how a file is recognised and decoded.

A new format is a module with its decoder and a row here; the contract in `tests/data/formats/test_formats.py` says what a row must do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import UnidentifiedImageError

from foldwise.data.formats import photographs
from foldwise.data.formats.arrays import decode_npy, npy_axes, open_npy
from foldwise.data.formats.axes import Axes, Stack, as_picture, as_stack
from foldwise.data.formats.microscopes import ZARR_MARKERS, czi, lif, nd2, ome_zarr
from foldwise.data.formats.pixels import COPY_AGAIN, Pixels, PixelUm, first_line, undecoded
from foldwise.data.formats.scans import NIFTI_2, dicom, nifti, packed_head, read_by
from foldwise.data.formats.steps import carried_out
from foldwise.data.formats.tiff import decode_tiff, open_tiff_stack, tiff_axes, tiff_pixel_um
from foldwise.errors import DataError, FoldwiseError, MissingExtra
from foldwise.study.spec import AS_SHOWN, Decoding

# Of a file, read once to recognise it: all first bytes below, and NIfTI's at 344, lie in them.
HEAD_BYTES = 352
# fmt: off
# Images by their suffix that no row reads, some of them TIFFs with more in them than TIFF says, and archives of them: they are named, where
# files that are no images are passed over.
UNREADABLE_SUFFIXES = (
    ".oib", ".oif", ".lsm", ".svs", ".ndpi", ".scn", ".mrxs", ".vsi", ".ims", ".stk", ".qptiff", ".mha", ".mhd",
    ".nrrd", ".mgz", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jpx", ".jxl", ".psd", ".eps", ".pdf", ".svg", ".pgm", ".ppm", ".pbm", ".pnm", ".tga",
    ".exr", ".fits", ".dng", ".cr2", ".nef", ".arw", ".h5", ".hdf5", ".npz",
    ".zip", ".rar", ".7z", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz",
)
# How files of such kinds begin, whatever they are called: where (byte), and with what.
UNREADABLE_BYTES = (
    (4, b"ftyp"), (4, b"jP  "), (4, b"JXL "), (0, b"\xff\x4f\xff\x51"),
    (0, b"\x89HDF"), (0, b"8BPS"), (0, b"SIMPLE  ="), (0, b"NRRD"), (0, b"v/1\x01"),
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
        other_heads: what files of other versions of it have in place of that, from their first byte on.
        decode: the one picture in a file, as it is stored, with the steps that the file asks for; None where a file is
            always a stack. Whatever it raises in broken bytes becomes a DataError, so it need not catch what its
            library raises.
        open_stack: the images in a row in a file, and what the file asks for; None where a file is always one picture.
        axes: lengths and names of the axes of a file, by which it is told whether it is one picture or images in a row;
            it may raise whatever it meets. A format that has both needs it.
        is_folder: whether an image is a folder, as those of OME-Zarr are; then the first bytes are those of one of `markers`.
        markers: files of which every such folder has one.
        packed: whether gzip may have packed the file; then its first bytes are those inside.
        pixel_um: height and width of a pixel in µm, as a file states them; None where it does not. It may raise, too.
    """

    suffixes: tuple[str, ...]
    first_bytes: tuple[bytes, ...]
    decode: Callable[[Path], Pixels] | None = None
    open_stack: Callable[[Path], Stack] | None = None
    axes: Callable[[Path], tuple[tuple[int, ...], str]] | None = None
    offset: int = 0
    is_folder: bool = False
    markers: tuple[str, ...] = ()
    packed: bool = False
    other_heads: tuple[bytes, ...] = ()
    pixel_um: Callable[[Path], PixelUm | None] | None = None

    def fits(self, path: Path) -> bool:
        """Whether something on the disk is, by its name, an image or a stack of this format."""
        return path.name.lower().endswith(self.suffixes) and (
            path.is_dir() if self.is_folder else path.is_file()
        )

    def begins(self, head: bytes) -> bool:
        """Whether the first bytes of a file are those of this format."""
        return head[self.offset :].startswith(self.first_bytes) or head.startswith(self.other_heads)


FORMATS: dict[str, Format] = {
    "PNG": Format(
        (".png", ".apng"), (b"\x89PNG\r\n\x1a\n",), photographs.decode_png, pixel_um=photographs.png_pixel_um
    ),
    "JPEG": Format((".jpg", ".jpeg", ".jfif", ".jpe", ".jif"), (b"\xff\xd8\xff",), photographs.decode_jpeg),
    "TIFF": Format(
        (".tif", ".tiff"),
        (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),  # little and big endian, and both with 64-bit offsets
        decode_tiff,
        open_tiff_stack,
        tiff_axes,
        pixel_um=tiff_pixel_um,
    ),
    "BMP": Format((".bmp", ".dib"), (b"BM",), photographs.decode_bmp),
    "GIF": Format((".gif",), (b"GIF87a", b"GIF89a"), photographs.decode_gif),
    "WEBP": Format((".webp",), (b"WEBP",), photographs.decode_webp, offset=8),
    "NPY": Format((".npy",), (b"\x93NUMPY",), decode_npy, open_npy, npy_axes),
    "NIFTI": Format(
        (".nii", ".nii.gz"),
        (b"n+1\0",),
        **read_by("NIFTI", nifti),
        offset=344,
        packed=True,
        other_heads=NIFTI_2,
    ),
    "DICOM": Format((".dcm", ".dicom"), (b"DICM",), **read_by("DICOM", dicom), offset=128),
    "OME-ZARR": Format(
        (".zarr",), (b"{",), **read_by("OME-ZARR", ome_zarr), is_folder=True, markers=tuple(ZARR_MARKERS)
    ),
    "LIF": Format((".lif",), (b"p\0\0\0",), **read_by("LIF", lif)),
    "ND2": Format((".nd2",), (b"\xda\xce\xbe\x0a",), **read_by("ND2", nd2)),
    "CZI": Format((".czi",), (b"ZISRAWFILE",), **read_by("CZI", czi)),
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
    rows = sorted(FORMATS.items(), key=lambda row: row[0] != "NPY")
    return tuple(suffix for _, row in rows if row.open_stack is not None for suffix in row.suffixes)


def is_unreadable_image(path: Path) -> bool:
    """Whether something on the disk is, by its name or else by its first bytes, an image that no row reads."""
    if path.name.lower().endswith(UNREADABLE_SUFFIXES):
        return path.exists()
    if has_image_name(path) or not _may_be_image(path):
        return False
    head = _head(path)
    return any(head[at:].startswith(begin) for at, begin in UNREADABLE_BYTES)


@dataclass(frozen=True)
class Readings:
    """The ways in which a file can be read by its axes alone; both where their lengths and names leave it open."""

    picture: Axes | None
    stack: Axes | None
    axes: str = ""  # names and lengths, for the user


def readings(path: Path) -> Readings:
    """How a file that can hold many images can be read; neither way where it cannot."""
    name = _stack_row(path)
    row = FORMATS[name].axes if name is not None else None
    if row is None:
        return Readings(None, None)
    try:
        shape, axes = row(path)
    except MissingExtra:
        raise
    except Exception:  # whatever is met in broken bytes; who reads the file says so
        return Readings(None, None)
    described = f"axes {axes}, shape {'×'.join(map(str, shape))}"
    return Readings(as_picture(shape, axes), as_stack(shape, axes), described)


def holds_slices(path: Path) -> bool:
    """Whether a file holds images in a row and cannot be one picture; False for what cannot be read."""
    ways = readings(path)
    return ways.picture is None and ways.stack is not None


def _recognised(path: Path, head: bytes | None = None) -> str | None:
    """The format of a file by its first bytes (`head`), whatever its name says; None where no row has them."""
    if path.is_dir():
        folders = (
            name
            for name, row in FORMATS.items()
            if row.is_folder and any(row.begins(_head(path / marker)) for marker in row.markers)
        )
        return next(folders, None)
    head = _head(path) if head is None else head
    inside = packed_head(path, head, HEAD_BYTES)
    files = ((name, row) for name, row in FORMATS.items() if not row.is_folder)
    return next(
        (name for name, row in files if row.begins(head) or (row.packed and row.begins(inside))), None
    )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def decode(path: Path, decoding: Decoding = AS_SHOWN) -> Pixels:
    """The pixels of an image file, upright and as viewers show them but for what `decoding` says to ignore.

    Raises:
        DataError: they cannot be had; with the file and a cure.
    """
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
    if decoder is None:
        raise _no_image(path)
    try:
        stored = decoder(path)
    except FoldwiseError:
        raise
    except UnidentifiedImageError:
        raise _no_image(path) from None
    # Decoders raise whatever they meet in broken bytes: OSError, struct.error, ValueError, zlib.error, their own.
    except Exception as error:
        raise undecoded(path, error) from None
    return carried_out(stored, decoding, where=str(path))


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


def open_stack(path: Path) -> Stack:
    """A file of many images, mapped where that is possible; DataError where it is none."""
    # What no row fits is tried as an array, whose reader says why.
    row = FORMATS[_stack_row(path) or "NPY"]
    assert row.open_stack is not None
    try:
        return row.open_stack(path)
    except FileNotFoundError:
        raise DataError(
            "the file is not there", where=str(path), cure="Put it there, or correct its name."
        ) from None
    except (ValueError, OSError, EOFError) as error:
        problem = f"the {path.suffix} file cannot be read ({first_line(error)})"
        cure = "Save it with numpy.save as a plain array of numbers or text, not of objects."
        raise DataError(problem, where=str(path), cure=cure) from None


def _stack_row(path: Path) -> str | None:
    """By the first bytes; by the suffix where no row has them, as of a file that is damaged at its beginning."""
    name = _recognised(path)
    if name is not None and FORMATS[name].open_stack is not None:
        return name
    by_suffix = (name for name, row in FORMATS.items() if row.open_stack is not None and row.fits(path))
    return next(by_suffix, None)


def pixel_um(path: Path) -> PixelUm | None:
    """Height and width of a pixel in µm, as a file states them; None where it states none, or cannot be read."""
    name = _recognised(path)
    stated = FORMATS[name].pixel_um if name is not None else None
    try:
        size = stated(path) if stated is not None else None
    except Exception:  # it is no part of the pixels, so that a damaged one spoils none
        return None
    return size if size is not None and all(0 < side < 1e9 for side in size) else None
