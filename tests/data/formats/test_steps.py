"""What decoding does beyond reading pixels is done at one place, kept with the pixels, and undone where a study says so."""

import sys

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from small_sets import picture, save

from foldwise.data.formats import axes, photographs, tiff
from foldwise.data.formats.formats import FORMATS, decode
from foldwise.data.formats.pixels import Pixels, Step
from foldwise.data.formats.reading import as_image, read_slice
from foldwise.data.formats.steps import LUT, STEPS, VARIES, doubts, what_was_done
from foldwise.errors import DataError
from foldwise.study.spec import Decoding

GREY, COLOUR = picture(1, size=(20, 20)), picture(2, 3, (20, 20))
RAMP = np.stack([np.arange(256), np.zeros(256), 255 - np.arange(256)], 1).astype(np.uint8)
ALPHA = picture(3, size=(20, 20))


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def paletted(path, palette, indices=GREY, **options):
    image = Image.fromarray(indices)
    image = image.convert("P") if image.mode != "P" else image
    image.putdata(indices.ravel().tolist())
    image.putpalette(np.asarray(palette, np.uint8).ravel().tolist())
    image.save(path, **options)


def many_frames(path):
    frames = [Image.fromarray(picture(k, 3)) for k in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


RANDOM = np.random.default_rng(0).integers(0, 255, (256, 3))
# How a file is written -> the steps that decoding it takes.
FILES = {
    "a.png": (lambda path: save(path, COLOUR), []),
    "grey palette.png": (lambda path: paletted(path, np.repeat(np.arange(256), 3)), []),
    "turned.jpg": (lambda path: save(path, COLOUR, exif=exif(6)), [Step("turned", "6")]),
    "turned.png": (lambda path: save(path, COLOUR, exif=exif(3)), [Step("turned", "3")]),
    "turned.tif": (
        lambda path: tifffile.imwrite(path, GREY, extratags=[(274, "H", 1, 8, True)]),
        [Step("turned", "8")],
    ),
    "inverted.tif": (
        lambda path: tifffile.imwrite(path, GREY, photometric="miniswhite"),
        [Step("inverted", "uint8")],
    ),
    "lut.png": (lambda path: paletted(path, RAMP), [Step("palette", LUT)]),
    "lut.tif": (lambda path: paletted(path, RANDOM), [Step("palette", LUT)]),
    "few colours.png": (lambda path: paletted(path, RANDOM), [Step("palette", "colours")]),
    "negative.png": (lambda path: paletted(path, np.repeat(np.arange(255, -1, -1), 3)), [Step("palette", "grey")]),
    "alpha.png": (lambda path: save(path, np.dstack([COLOUR, ALPHA])), [Step("alpha", VARIES)]),
    "alpha.tif": (lambda path: tifffile.imwrite(path, np.dstack([COLOUR, ALPHA])), [Step("alpha", VARIES)]),
    "grey alpha.png": (lambda path: save(path, np.dstack([GREY, ALPHA])), [Step("alpha", VARIES)]),
    "opaque.png": (
        lambda path: save(path, np.dstack([COLOUR, np.full_like(GREY, 255)])),
        [Step("alpha", "255 everywhere")],
    ),
    "one colour is clear.png": (
        lambda path: save(path, GREY, transparency=int(GREY[0, 0])),
        [Step("alpha", VARIES)],
    ),
    "no pixel is clear.png": (lambda path: save(path, GREY, transparency=255), []),
    "an index is clear.png": (
        lambda path: paletted(path, RANDOM, transparency=int(GREY[0, 0])),
        [Step("alpha", VARIES), Step("palette", "colours")],
    ),
    "exact doubles.tif": (lambda path: tifffile.imwrite(path, GREY.astype(np.float64)), []),
    "doubles.tif": (lambda path: tifffile.imwrite(path, GREY / 3.0), [Step("rounded")]),
    "16 bit.png": (lambda path: path.write_bytes(imagecodecs.png_encode(GREY.astype(np.uint16) * 200)), []),
    "pages.tif": (lambda path: tifffile.imwrite(path, np.stack([GREY] * 5), photometric="minisblack"),
                  [Step("pages", "5 of 5×20×20")]),
    "named.tif": (lambda path: tifffile.imwrite(path, np.stack([GREY] * 5), imagej=True, metadata={"axes": "CYX"}), []),
    "last.npy": (lambda path: np.save(path, np.stack([GREY] * 5, -1)), [Step("pages", "5 of 20×20×5")]),
    "film.png": (many_frames, [Step("first", "of 3")]),
    "stereo.jpg": (lambda path: many_frames(path.with_suffix(".mpo")) or path.with_suffix(".mpo").rename(path),
                   [Step("first", "of 3")]),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_step_is_kept_with_the_pixels(tmp_path, name):
    write, steps = FILES[name]
    write(tmp_path / name)
    assert list(decode(tmp_path / name).steps) == steps


def test_every_kind_of_step_is_among_the_files_and_all_decoders_pass_one_place(tmp_path, monkeypatch):
    assert {step.kind for _, steps in FILES.values() for step in steps} == STEPS.keys() - {"grey"}
    # What a decoder gives is as stored, whatever its format: no step is done twice or anywhere else.
    for module in (photographs, tiff, axes):
        assert not hasattr(module, "upright")
        assert not hasattr(module, "plain")
    for kind in STEPS.values():
        assert bool(kind.key) == bool(kind.choices)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_study_may_have_the_stored_pixels(tmp_path, orientation):
    save(tmp_path / "a.png", COLOUR, exif=exif(orientation))
    stored = decode(tmp_path / "a.png", Decoding(orientation="ignore"))
    np.testing.assert_array_equal(stored.values, np.moveaxis(COLOUR, -1, 0))
    assert stored.steps == ()


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_white_is_zero_is_inverted_or_taken_as_stored(tmp_path, dtype, top):
    array = GREY.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="miniswhite")
    np.testing.assert_array_equal(decode(tmp_path / "a.tif").values[0], top - array)
    stored = decode(tmp_path / "a.tif", Decoding(white_is_zero="ignore"))
    np.testing.assert_array_equal(stored.values[0], array)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int32])
def test_values_without_a_largest_one_are_not_inverted_but_asked_about(tmp_path, dtype):
    array = GREY.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="miniswhite")
    with pytest.raises(DataError, match="have no largest one") as caught:
        decode(tmp_path / "a.tif")
    assert "damaged" not in str(caught.value)
    assert "white_is_zero: ignore" in str(caught.value)
    stored = decode(tmp_path / "a.tif", Decoding(white_is_zero="ignore"))
    np.testing.assert_array_equal(stored.values[0], array)


@pytest.mark.parametrize("name", ["alpha.png", "alpha.tif", "grey alpha.png"])
def test_a_fourth_plane_may_be_kept(tmp_path, name):
    FILES[name][0](tmp_path / name)
    pixels, image = as_image(decode(tmp_path / name, Decoding(alpha="keep")), "native", where=name)
    assert len(image) == (2 if "grey" in name else 4)
    np.testing.assert_array_equal(image[-1], ALPHA)
    assert pixels.steps == ()


def test_a_lookup_table_may_be_ignored(tmp_path):
    paletted(tmp_path / "a.png", RAMP)
    assert doubts(decode(tmp_path / "a.png").steps[0]) is not None
    pixels, image = as_image(decode(tmp_path / "a.png", Decoding(palette="ignore")), "native", where="a.png")
    np.testing.assert_array_equal(image[0], GREY)
    assert (pixels.mode, pixels.steps) == ("L", ())


def test_colour_made_grey_is_a_step_and_equal_channels_are_none(tmp_path):
    save(tmp_path / "a.png", COLOUR)
    save(tmp_path / "b.png", np.dstack([GREY] * 3))
    assert as_image(decode(tmp_path / "a.png"), "gray", where="")[0].steps == (Step("grey"),)
    assert as_image(decode(tmp_path / "b.png"), "gray", where="")[0].steps == ()
    assert as_image(decode(tmp_path / "a.png"), "native", where="")[0].steps == ()


def test_slices_of_doubles_are_rounded(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((20, 4, 4)))
    assert read_slice(tmp_path / "a.npy", 1).steps == (Step("rounded"),)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f2", "f4", "f8"])
def test_the_order_of_bytes_says_nothing(tmp_path, dtype):
    planes = (np.stack([GREY, GREY[::-1]] * 10) / (3 if dtype == "f8" else 1)).astype(dtype)
    expected = planes[1].astype({"i4": "u2", "f2": "f4", "f8": "f4"}.get(dtype, dtype))
    for order in "<>":
        tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack", byteorder=order)
        np.save(tmp_path / "a.npy", planes.astype(order + dtype))
        np.save(tmp_path / "one.npy", planes[1].astype(order + dtype))
        for pixels in (
            read_slice(tmp_path / "a.tif", 1),
            read_slice(tmp_path / "a.npy", 1),
            decode(tmp_path / "one.npy"),
        ):
            np.testing.assert_array_equal(pixels.values[0], expected)
            assert pixels.values.dtype == expected.dtype
            assert [step.kind for step in pixels.steps] == ["rounded"] * (dtype == "f8")


LUT_COLOURS = np.stack([np.arange(256), np.arange(256) // 2, np.zeros(256, int)]).astype(np.uint16) * 257
ASKING = {
    "white is 0": ({"photometric": "miniswhite"}, "white_is_zero"),
    "a lookup table": ({"photometric": "palette", "colormap": LUT_COLOURS}, "palette"),
    "turned": ({"photometric": "minisblack", "extratags": [(274, "H", 1, 6, True)]}, "orientation"),
}


@pytest.mark.parametrize("stated", [None, "apply", "ignore"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("asking", "dtype"),
    [
        (asking, dtype)
        for asking in ASKING
        for dtype in (np.uint8, np.uint16, bool)[: 1 if "table" in asking else 3]
    ],
)
def test_a_slice_is_read_as_a_file_of_its_own_would_be(tmp_path, asking, compression, dtype, stated):
    options, key = ASKING[asking]
    planes = np.stack([np.roll(GREY, k) for k in range(20)]) > 99
    planes = planes if dtype is bool else planes * dtype(90) + np.arange(20, dtype=dtype)
    options = options | {"metadata": None, "compression": compression}
    tifffile.imwrite(tmp_path / "stack.tif", planes, **options)
    tifffile.imwrite(tmp_path / "file.tif", planes[7], **options)
    decoding = Decoding(**{key: stated})
    one, of_stack = decode(tmp_path / "file.tif", decoding), read_slice(tmp_path / "stack.tif", 7, decoding)
    np.testing.assert_array_equal(of_stack.values, one.values)
    assert (of_stack.steps, of_stack.bit_depth) == (one.steps, one.bit_depth)
    assert (of_stack.palette is None) == (one.palette is None) == (key != "palette" or stated == "ignore")
    assert bool(of_stack.steps) is (stated != "ignore")


def test_a_palette_that_cannot_colour_is_refused_and_the_values_may_be_taken(tmp_path):
    pages = np.stack([GREY] * 5)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="palette", colormap=LUT_COLOURS)
    with pytest.raises(
        DataError, match="the palette in the file cannot colour 5 channels of 8 bits"
    ) as caught:
        decode(tmp_path / "a.tif")
    assert "{palette: ignore}" in caught.value.cure
    np.testing.assert_array_equal(decode(tmp_path / "a.tif", Decoding(palette="ignore")).values, pages)
    deep = GREY.astype(np.uint16) * 200
    tifffile.imwrite(
        tmp_path / "b.tif", deep, photometric="palette", colormap=np.zeros((3, 65536), np.uint16)
    )
    with pytest.raises(DataError, match="cannot colour 1 channel of 16 bits"):
        decode(tmp_path / "b.tif")
    np.testing.assert_array_equal(decode(tmp_path / "b.tif", Decoding(palette="ignore")).values[0], deep)


def test_what_was_done_is_a_sentence_for_each_kind():
    steps = {f"{k}.png": (Step("turned", "6"),) if k else () for k in range(3)}
    assert what_was_done(steps) == [
        "2 of 3 images were turned or mirrored as the orientation tag of the file asks: 1.png, 2.png."
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TypeError("bad operand"), "foldwise fails on this file, which may be sound"),
        (AssertionError(), "foldwise fails on this file"),
        (MemoryError(), "does not fit into memory"),
        (ValueError("<COMPRESSION.JPEGXR> requires the 'imagecodecs' package"), "a way that is not read"),
        (ValueError("bad strip"), "damaged or cut short"),
        (OSError("truncated"), "damaged or cut short"),
    ],
)
def test_a_file_is_called_damaged_only_where_it_is(tmp_path, monkeypatch, error, words):
    save(tmp_path / "a.png", GREY)

    def failing(path):
        raise error

    # The module of the decoder says whose code it is.
    failing_here = type(failing)(failing.__code__, {**failing.__globals__, "__name__": decode.__module__},
                                 closure=failing.__closure__)  # fmt: skip
    monkeypatch.setitem(FORMATS, "PNG", type(FORMATS["PNG"])((".png",), (b"\x89PNG",), failing_here))
    with pytest.raises(DataError, match=words) as caught:
        decode(tmp_path / "a.png")
    assert caught.value.cure
    assert "foldwise" in sys.modules


def test_pixels_of_a_decoder_of_tomorrow_pass_the_same_place(tmp_path, monkeypatch):
    stored = Pixels(GREY[None].astype(np.float64) / 3, "L", "NEW", 64, steps=(Step("turned", "6"),))
    row = type(FORMATS["PNG"])((".new",), (b"NEW",), lambda path: stored)
    monkeypatch.setitem(FORMATS, "NEW", row)
    (tmp_path / "a.new").write_bytes(b"NEW")
    assert decode(tmp_path / "a.new").steps == (Step("rounded"), Step("turned", "6"))
    np.testing.assert_allclose(decode(tmp_path / "a.new").values[0], np.rot90(GREY / 3, -1), rtol=1e-6)
