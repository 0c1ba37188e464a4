"""Images and masks of every kind of file come out with the values that were put in."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from small_sets import blob, picture, save

from foldwise.data.formats.formats import decode
from foldwise.data.formats.pixels import resize_image, resize_mask
from foldwise.data.formats.reading import read_image, read_mask
from foldwise.errors import DataError

GREY = picture(1, size=(20, 30))
COLOUR = picture(2, 3, (20, 30))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize("array", [GREY, COLOUR], ids=["grey", "colour"])
def test_lossless_files_come_back_exactly(tmp_path, suffix, array):
    save(tmp_path / f"a{suffix}", array)
    image = read_image(tmp_path / f"a{suffix}", channels="native")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0))


def test_jpeg_comes_back_as_pillow_decodes_it(tmp_path):
    save(tmp_path / "a.jpg", COLOUR, quality=90)
    np.testing.assert_array_equal(
        np.moveaxis(read_image(tmp_path / "a.jpg", channels="native"), 0, -1),
        np.asarray(Image.open(tmp_path / "a.jpg")),
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_tiff_of_every_depth_and_compression(tmp_path, dtype, compression):
    array = (
        GREY.astype(np.float64) * (200 if dtype == np.uint16 else 0.5 if dtype == np.float32 else 1)
    ).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", array, compression=compression, byteorder=">")
    image = read_image(tmp_path / "a.tif", channels="native")
    assert image.dtype == dtype
    assert image.dtype.isnative
    np.testing.assert_array_equal(image[0], array)


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("num_channels", [2, 4, 5])
def test_tiff_of_many_channels_in_either_order(tmp_path, order, num_channels):
    planes = np.stack(
        [picture(seed, size=(20, 30)) for seed in range(num_channels)], 0 if order == "first" else -1
    )
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack")
    image = read_image(tmp_path / "a.tif", channels="native")
    np.testing.assert_array_equal(image, planes if order == "first" else np.moveaxis(planes, -1, 0))
    assert decode(tmp_path / "a.tif").mode == f"C{num_channels}"


@pytest.mark.parametrize("how", [{"imagej": True}, {"ome": True, "metadata": {"axes": "CYX"}}])
def test_named_channel_axes_of_imagej_and_ome(tmp_path, how):
    planes = np.stack([picture(seed, size=(20, 30)) for seed in range(3)])
    array = planes[:, None] if "imagej" not in how else planes[None, :]
    if "imagej" in how:
        tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, metadata={"axes": "ZCYX"})
    else:
        tifffile.imwrite(tmp_path / "a.ome.tif", planes, photometric="minisblack", **how)
    path = next(tmp_path.iterdir())
    np.testing.assert_array_equal(read_image(path, channels="native"), planes)


@pytest.mark.parametrize("num_channels", [1, 3, 4])
def test_16_bit_png_keeps_its_bits(tmp_path, num_channels):
    import imagecodecs

    shape = (20, 30) if num_channels == 1 else (20, 30, num_channels)
    array = np.random.default_rng(0).integers(0, 65535, shape, dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(array))
    image = read_image(tmp_path / "a.png", channels="native")
    assert image.dtype == np.uint16
    expected = array[None] if num_channels == 1 else np.moveaxis(array, -1, 0)[:3]
    np.testing.assert_array_equal(image, expected)
    assert decode(tmp_path / "a.png").bit_depth == 16


def test_one_bit_images_hold_0_and_255(tmp_path):
    Image.fromarray(GREY > 100).save(tmp_path / "a.png")
    Image.fromarray(GREY > 100).save(tmp_path / "a.tif")
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(
            read_image(tmp_path / name, channels="native")[0], (GREY > 100) * np.uint8(255)
        )
        np.testing.assert_array_equal(read_mask(tmp_path / name), (GREY > 100) * np.uint8(255))
        assert (decode(tmp_path / name).mode, decode(tmp_path / name).bit_depth) == ("1", 1)


def test_white_is_zero_tiffs_are_turned_round(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", channels="native")[0], 255 - GREY)


def test_alpha_is_dropped_and_not_blended(tmp_path):
    save(tmp_path / "a.png", np.dstack([COLOUR, GREY]))
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.png", channels="native"), np.moveaxis(COLOUR, -1, 0)
    )
    save(tmp_path / "b.png", np.dstack([GREY, GREY]))
    np.testing.assert_array_equal(read_image(tmp_path / "b.png", channels="native"), GREY[None])


def test_palettes_become_the_colours_they_stand_for(tmp_path):
    image = Image.fromarray((GREY % 3).astype(np.uint8), mode=None).convert("P")
    image.putpalette([10, 10, 10, 200, 0, 0, 0, 99, 0])
    image.save(tmp_path / "a.png", transparency=b"\x00\xff\xff")
    expected = np.array([[10, 10, 10], [200, 0, 0], [0, 99, 0]], np.uint8)[GREY % 3]
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.png", channels="native"), np.moveaxis(expected, -1, 0)
    )
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), GREY % 3)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", palette="colour"), expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("channels", ["gray", "rgb"])
def test_the_colour_mode_of_a_grey_picture_leaves_no_trace(tmp_path, mode, channels):
    Image.fromarray(GREY).convert(mode).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", channels=channels)
    np.testing.assert_array_equal(image, np.stack([GREY] * (1 if channels == "gray" else 3)))


def test_grey_is_the_luma_of_pillow(tmp_path):
    save(tmp_path / "a.png", COLOUR)
    ours = read_image(tmp_path / "a.png", channels="gray")[0].astype(int)
    assert (
        np.abs(ours - np.asarray(Image.fromarray(COLOUR).convert("L"), int)).max() <= 1
    )  # it rounds in integers


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_upright(tmp_path, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.jpg", "a.png"):
        save(tmp_path / name, COLOUR, exif=exif)
        expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / name)))
        np.testing.assert_array_equal(
            np.moveaxis(read_image(tmp_path / name, channels="native"), 0, -1), expected
        )
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(274, "H", 1, orientation, True)])
    assert read_image(tmp_path / "a.tif", channels="native").shape[1:] == (
        (20, 30) if orientation < 5 else (30, 20)
    )


def test_the_content_counts_and_not_the_suffix(tmp_path):
    save(tmp_path / "a.png", GREY)
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    tifffile.imwrite(tmp_path / "b.png", GREY)
    assert decode(tmp_path / "a.jpg").format == "PNG"
    assert decode(tmp_path / "b.png").format == "TIFF"


def test_masks_of_grey_colours_are_grey(tmp_path):
    save(tmp_path / "a.png", np.dstack([blob()] * 3))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), blob())
    tifffile.imwrite(tmp_path / "b.tif", blob(0, 1).astype(np.float32))
    np.testing.assert_array_equal(read_mask(tmp_path / "b.tif"), blob(0, 1))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path / "no.png", channels="native")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_resizing_keeps_the_type_and_the_mean(dtype):
    image = np.stack([picture(1, size=(40, 60))] * 2).astype(dtype)
    small = resize_image(image, (10, 15))
    assert (small.dtype, small.shape) == (dtype, (2, 10, 15))
    assert abs(float(small.mean()) - float(image.mean())) < 2
    assert small.std() < image.std() / 2, "noise must be averaged, not picked"
    assert resize_image(image, (40, 60)) is image


def test_resizing_a_mask_invents_no_class():
    mask = np.random.default_rng(0).choice(np.array([0, 2, 255], np.uint8), (40, 60))
    assert set(np.unique(resize_mask(mask, (13, 70)))) <= {0, 2, 255}


TIFFS = {
    "plain": ((64, 64), {}),
    "colour": ((64, 64, 3), {"photometric": "rgb"}),
    "strips": ((64, 64), {"rowsperstrip": 8, "compression": "lzw"}),
    "tiles": ((64, 64), {"tile": (16, 16), "compression": "zlib"}),
    "imagej": ((3, 64, 64), {"imagej": True}),
    "ome": ((3, 64, 64), {"photometric": "minisblack", "ome": True, "metadata": {"axes": "CYX"}}),
    "big": ((64, 64), {"bigtiff": True}),
}


@pytest.mark.parametrize("kind", TIFFS)
def test_a_tiff_that_is_cut_short_is_never_read_as_something_else(tmp_path, kind):
    shape, options = TIFFS[kind]
    tifffile.imwrite(
        tmp_path / "a.tif", np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8), **options
    )
    whole, content = read_image(tmp_path / "a.tif", channels="native"), (tmp_path / "a.tif").read_bytes()
    for length in range(0, len(content) - 1, len(content) // 40):
        (tmp_path / "a.tif").write_bytes(content[:length])
        try:
            image = read_image(tmp_path / "a.tif", channels="native")
        except DataError:
            continue
        np.testing.assert_array_equal(image, whole)
