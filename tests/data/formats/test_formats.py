"""The contract of the formats: what every row of the table does, whoever adds it."""

import io
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from scan_files import write_dicom, write_lif, write_nifti
from small_sets import picture

from foldwise.data.cache.packing import pack
from foldwise.data.formats.arrays import mapped
from foldwise.data.formats.formats import (
    FORMATS,
    Format,
    decode,
    holds_slices,
    is_image,
    is_stack_file,
    open_stack,
)
from foldwise.data.formats.pixels import Pixels
from foldwise.data.formats.reading import read_slice
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec

GREY, COLOUR = picture(1, size=(20, 30))[None], np.moveaxis(picture(2, 3, (20, 30)), -1, 0)
DEEP = np.random.default_rng(0).integers(0, 65535, (1, 20, 30), dtype=np.uint16)

_OPENED: list[Path] | None = None  # an audit hook cannot be taken off, so it is told when to listen


def _hook(event: str, args: tuple) -> None:
    if event == "open" and _OPENED is not None and isinstance(args[0], str | bytes | Path):
        _OPENED.append(Path(args[0] if not isinstance(args[0], bytes) else args[0].decode()))


sys.addaudithook(_hook)


@contextmanager
def opened_files() -> Iterator[list[Path]]:
    global _OPENED
    _OPENED = []
    try:
        yield _OPENED
    finally:
        _OPENED = None


class FormatContract:
    """What a row does that decodes one picture. A subclass says how a file of its format is written."""

    name: str
    lossless = True
    images = (GREY, COLOUR, DEEP)

    def write(self, path: Path, image_CHW: np.ndarray) -> None:
        raise NotImplementedError

    @property
    def row(self) -> Format:
        return FORMATS[self.name]

    def written(self, folder: Path, image_CHW: np.ndarray, suffix: str | None = None) -> Path:
        path = folder / f"a{self.row.suffixes[0] if suffix is None else suffix}"
        self.write(path, image_CHW)
        return path

    def test_pixels_come_back_in_their_shape_type_and_depth(self, tmp_path):
        for k, image in enumerate(self.images):
            (tmp_path / str(k)).mkdir()
            pixels = decode(self.written(tmp_path / str(k), image))
            assert pixels.format == self.name
            assert (pixels.values.shape, pixels.values.dtype) == (image.shape, image.dtype)
            assert pixels.bit_depth == 8 * image.dtype.itemsize
            if self.lossless:
                np.testing.assert_array_equal(pixels.values, image)
            else:
                assert np.corrcoef(pixels.values.ravel(), image.ravel())[0, 1] > 0.5

    @pytest.mark.parametrize("suffix", ["", ".dat", ".png", ".tif"])
    def test_first_bytes_decide_whatever_the_suffix(self, tmp_path, suffix):
        assert decode(self.written(tmp_path, GREY, suffix)).format == self.name

    def test_files_are_images_by_their_suffix(self, tmp_path):
        for suffix in self.row.suffixes:
            for spelled in (suffix, suffix.upper()):
                path = self.written(tmp_path, GREY, spelled)
                assert is_image(path)
                assert is_stack_file(path) is (self.row.open_stack is not None)
        # Other names do not hide an image; a text that begins with the same letters is none.
        assert is_image(self.written(tmp_path, GREY, ".dat"))
        (tmp_path / "notes").write_bytes(b"BM" + b"P" * 300)
        assert not is_image(tmp_path / "notes")
        (tmp_path / f"folder{self.row.suffixes[0]}").mkdir()
        assert not is_image(tmp_path / f"folder{self.row.suffixes[0]}")

    @pytest.mark.parametrize("share", [0, 0.002, 0.1, 0.5, 0.9])
    def test_a_file_cut_short_is_refused_with_its_name_and_a_cure(self, tmp_path, share):
        path = self.written(tmp_path, self.images[-1])
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DataError) as caught:
            decode(path)
        assert caught.value.where == str(path)
        assert caught.value.cure

    def test_no_other_file_is_opened_and_none_is_changed(self, tmp_path):
        path = self.written(tmp_path, self.images[-1])
        before = path.read_bytes()
        decode(path)  # what the decoder imports is loaded by now
        with opened_files() as opened:
            first, again = decode(path).values, decode(path).values
        assert set(opened) == {path}
        assert path.read_bytes() == before
        np.testing.assert_array_equal(first, again)
        assert list(tmp_path.iterdir()) == [path]


class TestPng(FormatContract):
    name = "PNG"

    def write(self, path, image_CHW):
        path.write_bytes(
            imagecodecs.png_encode(np.ascontiguousarray(np.moveaxis(image_CHW, 0, -1)).squeeze())
        )


class TestJpeg(FormatContract):
    name, lossless, images = "JPEG", False, (GREY, COLOUR)

    def write(self, path, image_CHW):
        Image.fromarray(np.moveaxis(image_CHW, 0, -1).squeeze()).save(path, "JPEG", quality=95)


class TestTiff(FormatContract):
    name = "TIFF"

    def write(self, path, image_CHW):
        kind = "rgb" if len(image_CHW) == 3 else "minisblack"
        with path.open("wb") as file:
            tifffile.imwrite(file, np.moveaxis(image_CHW, 0, -1).squeeze(), photometric=kind)


class TestBigEndianCompressedBigTiff(TestTiff):
    def write(self, path, image_CHW):
        with path.open("wb") as file:
            tifffile.imwrite(
                file,
                image_CHW.squeeze(),
                photometric="minisblack",
                byteorder=">",
                bigtiff=True,
                compression="zlib",
            )


class TestBmp(FormatContract):
    name, images = "BMP", (GREY, COLOUR)

    def write(self, path, image_CHW):
        Image.fromarray(np.moveaxis(image_CHW, 0, -1).squeeze()).save(path, "BMP")


class TestGif(FormatContract):
    name, images = "GIF", (GREY,)

    def write(self, path, image_CHW):
        image = Image.fromarray(image_CHW[0]).convert("P")  # of all greys, in their order
        image.putpalette(np.repeat(np.arange(256, dtype=np.uint8), 3).tobytes())
        image.save(path, "GIF", optimize=False)


class TestWebp(FormatContract):
    name, images = "WEBP", (COLOUR,)

    def write(self, path, image_CHW):
        Image.fromarray(np.moveaxis(image_CHW, 0, -1).squeeze()).save(path, "WEBP", lossless=True)


class TestNpy(FormatContract):
    name = "NPY"

    def write(self, path, image_CHW):
        with path.open("wb") as file:
            np.save(file, image_CHW)


class TestNifti(FormatContract):
    name, images = "NIFTI", (GREY, DEEP, DEEP.astype(np.float32))

    def write(self, path, image_CHW):
        write_nifti(path, image_CHW)


class TestDicom(FormatContract):
    name = "DICOM"

    def write(self, path, image_CHW):
        write_dicom(path, image_CHW if len(image_CHW) == 1 else np.moveaxis(image_CHW, 0, -1)[None])


class TestLif(FormatContract):
    name, images = "LIF", (GREY, COLOUR, DEEP)

    def write(self, path, image_CHW):
        write_lif(path, {"image": (np.ascontiguousarray(image_CHW), "CYX")})


class StackContract:
    """What a row does that holds many images. A subclass says how a file of its format is written."""

    name: str
    dtypes = (np.uint8, np.uint16, np.float32)

    def write(self, path: Path, slices_NHW: np.ndarray) -> None:
        raise NotImplementedError

    def written(self, folder: Path, slices_NHW: np.ndarray, suffix: str | None = None) -> Path:
        path = folder / f"a{FORMATS[self.name].suffixes[0] if suffix is None else suffix}"
        self.write(path, slices_NHW)
        return path

    def test_slices_come_back_one_by_one(self, tmp_path):
        for dtype in self.dtypes:
            slices = np.random.default_rng(0).integers(0, 255, (20, 30, 32)).astype(dtype) * dtype(3)
            path = self.written(tmp_path, slices)
            stack = open_stack(path).values
            assert (stack.shape, stack.dtype) == (slices.shape, dtype)
            for index in (0, 7, 19):
                pixels = read_slice(path, index)
                np.testing.assert_array_equal(pixels.values[0], slices[index])
                assert (pixels.format, pixels.bit_depth) == (self.name, 8 * slices.dtype.itemsize)

    def test_first_bytes_decide_whatever_the_suffix(self, tmp_path):
        for suffix in ("", ".npy", ".tif", ".png"):
            path = self.written(tmp_path, np.zeros((20, 30, 32), np.uint8), suffix)
            assert holds_slices(path)
            assert read_slice(path, 1).format == self.name

    @pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.9])
    def test_a_file_cut_short_is_refused_with_its_name_and_a_cure(self, tmp_path, share):
        path = self.written(tmp_path, np.ones((20, 30, 30), np.uint8))
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DataError) as caught:
            open_stack(path)
        assert caught.value.where == str(path)
        assert caught.value.cure

    def test_no_other_file_is_opened(self, tmp_path):
        path = self.written(tmp_path, np.ones((20, 30, 32), np.uint8))
        read_slice(path, 0)
        with opened_files() as opened:
            read_slice(path, 1)
        assert set(opened) == {path}


class TestNpyStack(StackContract):
    name = "NPY"

    def write(self, path, slices_NHW):
        buffer = io.BytesIO()
        np.save(buffer, slices_NHW)
        path.write_bytes(buffer.getvalue())


class TestTiffStack(StackContract):
    name = "TIFF"

    def write(self, path, slices_NHW):
        with path.open("wb") as file:
            tifffile.imwrite(file, slices_NHW, photometric="minisblack")


class TestNiftiStack(StackContract):
    name = "NIFTI"

    def write(self, path, slices_NHW):
        write_nifti(path, slices_NHW)


class TestDicomStack(StackContract):
    name, dtypes = "DICOM", (np.uint8, np.uint16)

    def write(self, path, slices_NHW):
        write_dicom(path, slices_NHW)


class TestLifStack(StackContract):
    name, dtypes = "LIF", (np.uint8, np.uint16)

    def write(self, path, slices_NHW):
        write_lif(path, {"image": (slices_NHW, "ZYX")})


# What cannot be written here: ND2 and CZI are tried with stand-ins, folders by a contract of their own, in test_scans.py.
ELSEWHERE = {"ND2", "CZI", "OME-ZARR"}


def test_every_row_is_under_contract():
    pictures = {case.name for case in FormatContract.__subclasses__()}
    stacks = {case.name for case in StackContract.__subclasses__()}
    assert pictures | ELSEWHERE == {name for name, row in FORMATS.items() if row.decode is not None}
    assert stacks | ELSEWHERE == {name for name, row in FORMATS.items() if row.open_stack is not None}


def test_no_first_bytes_and_no_suffix_are_of_two_formats():
    firsts = [(row.offset, first) for row in FORMATS.values() for first in row.first_bytes]
    for offset, first in firsts:
        assert sum(o == offset and (f.startswith(first) or first.startswith(f)) for o, f in firsts) == 1
    suffixes = [suffix for row in FORMATS.values() for suffix in row.suffixes]
    assert len(suffixes) == len(set(suffixes))


def test_a_tiff_that_is_one_of_several_files_of_an_image_is_refused(tmp_path):
    name = "<UUID FileName='{}'>urn:uuid:{}</UUID>"
    planes = "".join(
        f'<TiffData IFD="0" FirstC="{k}" PlaneCount="1">{name.format(f"{k}.tif", k)}</TiffData>'
        for k in range(2)
    )
    header = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0"><Image '
        'ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="30" SizeY="20" SizeC="2" '
        f'SizeZ="1" SizeT="1">{planes}</Pixels></Image></OME>'
    )
    tifffile.imwrite(tmp_path / "0.tif", GREY[0], description=header, metadata=None)
    tifffile.imwrite(tmp_path / "1.tif", GREY[0], metadata=None)
    with opened_files() as opened, pytest.raises(DataError, match="one of several files of one OME image"):
        decode(tmp_path / "0.tif")
    assert tmp_path / "1.tif" not in opened


# ---- a format of tomorrow is a row: here one whose images are folders, as those of OME-Zarr are


def decode_store(path: Path) -> Pixels:
    return Pixels(np.load(path / "values")[None], "L", "STORE", 8)


@pytest.fixture
def store_format(monkeypatch):
    row = Format((".store",), (b'{"store"',), decode_store, is_folder=True, markers=("store.json",))
    monkeypatch.setitem(FORMATS, "STORE", row)


@pytest.fixture
def stores(tmp_path, store_format, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    for k in range(4):
        folder = tmp_path / "data" / ("gel", "other")[k % 2] / f"{k}.store"
        folder.mkdir(parents=True)
        (folder / "store.json").write_text(json.dumps({"store": 1}))
        with (folder / "values").open("wb") as file:
            np.save(file, picture(k))
    return tmp_path / "data"


def test_images_that_are_folders_are_read_by_a_row_of_their_own(stores):
    spec = DataSpec(path=str(stores))
    dataset = read_dataset(spec, base=stores)
    assert [case.name for case in dataset.cases] == [
        "gel/0.store",
        "gel/2.store",
        "other/1.store",
        "other/3.store",
    ]
    packed = pack(dataset, spec)
    np.testing.assert_array_equal(packed.image(1)[0], picture(2))
    with (stores / "gel" / "2.store" / "values").open("wb") as file:
        np.save(file, picture(9))
    assert pack(dataset, spec).digest != packed.digest


def test_headers_of_arrays_are_read_by_one_thread_at_a_time(tmp_path, monkeypatch):
    paths = [tmp_path / f"{number}.npy" for number in range(8)]
    for number, path in enumerate(paths):
        np.save(path, np.full((number + 1, 2), number))
    load, reading, most = np.load, [], []

    def slow(path, **how):
        reading.append(path)
        most.append(len(reading))
        time.sleep(0.01)
        reading.remove(path)
        return load(path, **how)

    monkeypatch.setattr(np, "load", slow)
    with ThreadPoolExecutor(4) as pool:
        assert [array.shape[0] for array in pool.map(mapped, paths)] == list(range(1, 9))
    assert max(most) == 1
