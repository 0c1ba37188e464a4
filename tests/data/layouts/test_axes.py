"""One judgement of axes: what lies beside files of many pages tells whether these are channels or slices, or it is asked."""

import re

import numpy as np
import pytest
import tifffile
from small_sets import picture, save

from foldwise.data.audit.audit import audit
from foldwise.data.cache.packing import pack
from foldwise.data.formats.axes import as_picture, as_stack
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec, Validation

NUM, SIZE = 4, (24, 30)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))


def read(root, **data):
    spec = DataSpec(path=str(root), **data)
    dataset = read_dataset(spec, base=root)
    return dataset, pack(dataset, spec)


def refused(root, **data):
    with pytest.raises(DataError) as caught:
        read(root, **data)
    return str(caught.value)


def image_of(k, *shape):
    return np.random.default_rng(k).integers(0, 255, (*shape, *SIZE), dtype=np.uint8)


def mask_of(k, *shape):
    return (image_of(100 + k, *shape) > 200).astype(np.uint8)


def write(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".png":
        save(path, array)
    else:
        tifffile.imwrite(path, array, **options)


def named(axes, **kind):
    return lambda path, array: write(
        path.with_suffix(".tif"), array, **kind, metadata={"axes": axes} if axes else {}
    )


def pages(path, array):
    write(path.with_suffix(".tif"), array, photometric="minisblack")


def nameless(path, array):
    write(path.with_suffix(".tif"), array, photometric="minisblack", metadata=None)


def array(path, values):
    write(path.with_suffix(".npy"), values)


def last(writer):
    return lambda path, values: writer(path, np.moveaxis(values, -3, -1))


PICTURES = {
    "pages": pages,
    "pages of nobody": nameless,
    "pages, channels last": last(pages),
    "samples": last(
        lambda path, v: write(path.with_suffix(".tif"), v, photometric="minisblack", planarconfig="contig")
    ),
    "ImageJ": named("CYX", imagej=True),
    "ImageJ without axes": named("", imagej=True),
    "OME": named("CYX", ome=True),
    "OME without axes": named("", ome=True),
    "shaped": named("CYX", photometric="minisblack"),
    "array": array,
    "array, channels last": last(array),
}
MASKS = {"png": lambda path, mask: write(path.with_suffix(".png"), mask), "tif": pages, "npy": array}
SLICES = {
    "pages": pages,
    "pages of nobody": nameless,
    "compressed": lambda path, v: write(
        path.with_suffix(".tif"), v, photometric="minisblack", compression="zlib"
    ),
    "ImageJ": named("ZYX", imagej=True),
    "ImageJ, a film": named("TYX", imagej=True),
    "ImageJ without axes": named("", imagej=True),  # which calls them channels
    "OME": named("ZYX", ome=True),
    "array": array,
}
VOLUMES_IN_TIME = {"ImageJ": named("TZYX", imagej=True), "OME": named("TZYX", ome=True)}
COLOURED_SLICES = {
    "pages": pages,
    "pages, channels last": last(pages),
    "ImageJ": named("ZCYX", imagej=True),
    "OME": named("TCYX", ome=True),
    "OME, channels first": lambda path, v: named("CZYX", ome=True)(path, np.moveaxis(v, -3, 0)),
    "array": array,
    "array, channels last": last(array),
}


@pytest.mark.parametrize(
    ("image", "num_channels", "mask"),
    [
        (image, num_channels, mask)
        for image in PICTURES
        for num_channels, mask in ((2, "png"), (3, "tif"), (5, "npy"), (16, "png"))
        if (image, num_channels)
        != ("samples", 2)  # TIFF calls the second of two transparency, which is asked about
    ],
)
def test_pages_with_one_mask_are_channels(tmp_path, image, mask, num_channels):
    for k in range(NUM):
        PICTURES[image](tmp_path / "images" / f"c{k}", image_of(k, num_channels))
        MASKS[mask](tmp_path / "masks" / f"c{k}", mask_of(k))
    dataset, packed = read(tmp_path)
    assert (dataset.layout, len(dataset.cases)) == ("image_mask", NUM)
    for k in range(NUM):
        np.testing.assert_array_equal(packed.image(k), image_of(k, num_channels))
        np.testing.assert_array_equal(packed.target(k), mask_of(k))


@pytest.mark.parametrize("image", PICTURES)
def test_pages_of_files_that_a_table_or_a_folder_labels_are_channels(tmp_path, image):
    rows = ""
    for k in range(NUM):
        PICTURES[image](tmp_path / "table" / "images" / f"c{k}", image_of(k, 5))
        PICTURES[image](tmp_path / "folders" / "ab"[k % 2] / f"{'ab'[k % 2]}{k}", image_of(k, 5))
        rows += f"c{k},{'ab'[k % 2]}\n"
    (tmp_path / "table" / "labels.csv").write_text(f"image,label\n{rows}")
    for kind in ("table", "folders"):
        dataset, packed = read(tmp_path / kind)
        assert dataset.task == "binary_classification"
        for k, case in enumerate(dataset.cases):
            number = int(re.search(r"\d", case.name)[0])
            np.testing.assert_array_equal(packed.image(k), image_of(number, 5))
            assert dataset.classes[case.labels[0]] == "ab"[number % 2]


@pytest.mark.parametrize(("num_slices", "mask"), [(2, "npy"), (3, "tif"), (5, "npy"), (20, "tif")])
@pytest.mark.parametrize("image", SLICES)
def test_pages_with_a_mask_each_are_slices(tmp_path, image, mask, num_slices):
    for k in range(NUM):
        SLICES[image](tmp_path / "images" / f"c{k}", image_of(k, num_slices))
        MASKS[mask](tmp_path / "masks" / f"c{k}", mask_of(k, num_slices))
    dataset, packed = read(tmp_path)
    assert (dataset.layout, len(dataset.cases)) == ("arrays", NUM * num_slices)
    np.testing.assert_array_equal(packed.image(num_slices + 1)[0], image_of(1, num_slices)[1])
    np.testing.assert_array_equal(packed.target(num_slices + 1), mask_of(1, num_slices)[1])


@pytest.mark.parametrize("image", COLOURED_SLICES)
def test_slices_may_have_channels(tmp_path, image):
    for k in range(NUM):
        COLOURED_SLICES[image](tmp_path / "images" / f"c{k}", image_of(k, 7, 5))
        array(tmp_path / "masks" / f"c{k}", mask_of(k, 7))
    dataset, packed = read(tmp_path)
    assert (dataset.layout, len(dataset.cases)) == ("arrays", NUM * 7)
    np.testing.assert_array_equal(packed.image(10), image_of(1, 7, 5)[3])


@pytest.mark.parametrize("image", VOLUMES_IN_TIME)
@pytest.mark.parametrize("mask", ["the same", "in a row"])
def test_slices_of_a_film_of_volumes_are_one_row(tmp_path, image, mask):
    for k in range(NUM):
        VOLUMES_IN_TIME[image](tmp_path / "images" / f"c{k}", image_of(k, 3, 4))
        if mask == "the same":
            VOLUMES_IN_TIME[image](tmp_path / "masks" / f"c{k}", mask_of(k, 3, 4))
        else:
            array(tmp_path / "masks" / f"c{k}", mask_of(k, 3, 4).reshape(12, *SIZE))
    dataset, packed = read(tmp_path)
    assert len(dataset.cases) == 12 * NUM
    np.testing.assert_array_equal(packed.image(12 + 7)[0], image_of(1, 3, 4)[1, 3])
    np.testing.assert_array_equal(packed.target(12 + 7), mask_of(1, 3, 4)[1, 3])


def test_it_is_told_where_lengths_alone_tell_the_channels(tmp_path):
    for k in range(NUM):
        pages(tmp_path / "images" / f"c{k}", image_of(k, 5))
        array(tmp_path / "masks" / f"c{k}", mask_of(k))
    dataset, packed = read(tmp_path)
    notes = [
        found
        for found in audit(dataset, packed, Validation(folds=2)).findings
        if found.code == "decoding_pages"
    ]
    assert notes[0].severity == "note"
    assert notes[0].message.startswith(
        "4 of 4 images were read as pictures of several channels by the lengths of their axes, as no names tell"
        " (5 of 5×24×30): images/c0.tif"
    )


@pytest.mark.parametrize("writer", [last(array), last(pages), last(named("", photometric="rgb"))])
def test_colours_of_images_and_masks_are_no_slices(tmp_path, writer):
    colours = np.array([[0, 0, 0], [200, 0, 0]], np.uint8)
    for k in range(NUM):
        writer(tmp_path / "images" / f"c{k}", image_of(k, 3))
        writer(tmp_path / "masks" / f"c{k}", np.moveaxis(colours[mask_of(k)], -1, 0))
    dataset, packed = read(tmp_path)
    assert dataset.classes == ("background", "#c80000")
    np.testing.assert_array_equal(packed.image(2), image_of(2, 3))
    np.testing.assert_array_equal(packed.target(2), mask_of(2))


def test_channels_that_are_named_may_be_many(tmp_path):
    tall = np.random.default_rng(0).integers(0, 255, (3, 40, 24, 20), dtype=np.uint8)
    write(tmp_path / "images.tif", tall, imagej=True, metadata={"axes": "ZCYX"})
    np.save(tmp_path / "masks.npy", (tall[:, 0] > 99).astype(np.uint8))
    np.testing.assert_array_equal(read(tmp_path)[1].image(2), tall[2])


@pytest.mark.parametrize(
    ("num_pages", "writer"),
    [(12, named("ZYX", imagej=True)), (20, pages), (20, array), (5, named("TYX", ome=True))],
)
def test_a_row_of_slices_with_one_mask_is_asked_about_and_each_answer_works(tmp_path, num_pages, writer):
    def make(root, image=lambda k: image_of(k, num_pages), image_writer=writer, mask=mask_of):
        for k in range(NUM):
            image_writer(root / "images" / f"c{k}", image(k))
            array(root / "masks" / f"c{k}", mask(k))
        return root

    said = refused(make(tmp_path / "asked"))
    assert "4 files hold images in a row with one mask: images/c0" in said
    assert f"shape {num_pages}×24×30" in said
    dataset, packed = read(make(tmp_path / "named", image_writer=named("CYX", imagej=True)))
    assert (len(dataset.cases), packed.num_channels) == (NUM, num_pages)
    dataset, packed = read(make(tmp_path / "masks for each", mask=lambda k: mask_of(k, num_pages)))
    assert (len(dataset.cases), packed.num_channels) == (NUM * num_pages, 1)
    dataset, packed = read(make(tmp_path / "slice", lambda k: image_of(k, num_pages)[3], image_writer=pages))
    assert (len(dataset.cases), packed.num_channels) == (NUM, 1)


def test_slices_with_one_mask_among_pictures_are_told_what_fits_the_others(tmp_path):
    def make(root):
        for k in range(NUM):
            named("ZYX" if k == 2 else "CYX", imagej=True)(root / "images" / f"c{k}", image_of(k, 5))
            array(root / "masks" / f"c{k}", mask_of(k))
        return root

    said = refused(make(tmp_path / "a"))
    assert "1 file holds images in a row with one mask: images/c2.tif" in said
    assert (
        "The others are one picture each, so take these out (axes ZYX, shape 5×24×30). If they are channels"
        in said
    )
    named("CYX", imagej=True)(tmp_path / "a" / "images" / "c2", image_of(2, 5))
    assert len(read(tmp_path / "a")[0].cases) == NUM
    (make(tmp_path / "b") / "images" / "c2.tif").unlink()
    (tmp_path / "b" / "masks" / "c2.npy").unlink()
    assert len(read(tmp_path / "b")[0].cases) == NUM - 1


def test_channels_in_one_file_and_slices_in_another_are_named(tmp_path):
    for k in range(NUM):
        pages(tmp_path / "images" / f"c{k}", image_of(k, 5))
        pages(tmp_path / "masks" / f"c{k}", mask_of(k, 5) if k == 2 else mask_of(k))
    said = refused(tmp_path)
    assert "1 file holds images in a row: images/c2.tif; 3 files are one picture each: images/c0.tif" in said
    for folder in ("images", "masks"):
        (tmp_path / folder / "c2.tif").unlink()
    assert read(tmp_path)[1].num_channels == 5


@pytest.mark.parametrize("first", [0, 1, 3])
def test_no_single_file_decides(tmp_path, first):
    """A volume of one slice, wherever it comes, is one among those of many; a picture beside stacks is not lost."""
    for k in range(NUM):
        shape = () if k == first else (20,)
        array(tmp_path / "images" / f"c{k}", image_of(k, *shape)) if k < 2 else pages(
            tmp_path / "images" / f"c{k}", image_of(k, *shape)
        )
        array(tmp_path / "masks" / f"c{k}", mask_of(k, *shape))
    dataset, packed = read(tmp_path)
    assert (dataset.layout, len(dataset.cases)) == ("arrays", 61)
    np.testing.assert_array_equal(packed.image(20 * first)[0], image_of(first))
    save(tmp_path / "images" / "c9.png", picture(size=SIZE))
    save(tmp_path / "masks" / "c9.png", mask_of(9))
    assert "1 file is one picture each: images/c9.png" in refused(tmp_path)
    assert "1 image is no stack: images/c9.png" in refused(tmp_path, layout="arrays")


def test_labels_tell_by_their_number(tmp_path):
    for k in range(NUM):
        pages(tmp_path / "images" / f"c{k}", image_of(k, 5))
    np.save(tmp_path / "labels.npy", np.arange(5 * NUM) % 2)
    dataset, _ = read(tmp_path)
    assert [case.group for case in dataset.cases] == [f"c{k}" for k in range(NUM) for _ in range(5)]
    np.save(tmp_path / "labels.npy", np.arange(NUM) % 2)
    assert "there is images/, but neither masks/ nor labels.csv" in refused(tmp_path)
    (tmp_path / "labels.csv").write_text(
        "image,label\n" + "".join(f"c{k},{'ab'[k % 2]}\n" for k in range(NUM))
    )
    assert read(tmp_path)[1].num_channels == 5


@pytest.mark.parametrize("several", [True, False])
def test_what_is_missing_beside_stacks_can_be_added(tmp_path, several):
    names = [f"images/c{k}" for k in range(NUM)] if several else ["images"]
    for k, name in enumerate(names):
        named("ZYX", imagej=True)(tmp_path / name, image_of(k, 6))
    number = 6 * len(names)
    said = refused(tmp_path)
    assert f"or labels.npy with {number} labels" in said
    np.save(tmp_path / "labels.npy", np.arange(number) % 2)
    assert len(read(tmp_path)[0].cases) == number
    (tmp_path / "labels.npy").unlink()
    assert ("masks/ with a stack of the name of each" if several else "masks.npy of as many slices") in said
    for k, name in enumerate(names):
        array(tmp_path / name.replace("images", "masks"), mask_of(k, 6))
    assert len(read(tmp_path)[0].cases) == number


@pytest.mark.parametrize("writer", [array, pages])
@pytest.mark.parametrize("name", ["images", "images/c"])
@pytest.mark.parametrize("shape", [(24, 24, 20), (24, 30, 12)])
def test_slices_that_may_be_last_are_asked_about_and_both_answers_work(tmp_path, name, writer, shape):
    volume = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)

    def make(root, axis):
        writer(root / name, np.moveaxis(volume, axis, 0))
        writer(root / name.replace("images", "masks"), np.moveaxis(volume > 200, axis, 0).astype(np.uint8))
        return root

    said = refused(make(tmp_path / "asked", 0))
    first, side, last_side = shape
    assert f"may be {first} images of {side}×{last_side}, or {last_side} of {first}×{side}" in said
    dataset, packed = read(tmp_path / "asked", layout="arrays")
    assert len(dataset.cases) == 24
    np.testing.assert_array_equal(packed.image(5)[0], volume[5])
    dataset, packed = read(make(tmp_path / "moved", -1))
    assert len(dataset.cases) == last_side
    np.testing.assert_array_equal(packed.image(5)[0], volume[..., 5])


def test_a_stack_in_a_class_folder_is_refused_and_each_answer_works(tmp_path):
    def make(root, writer, planes=lambda k: {"": image_of(k, 6)}):
        for k in range(NUM):
            for plane, values in planes(k).items():
                writer(root / "ab"[k % 2] / f"{'ab'[k % 2]}{k}{plane}", values)
        return root

    said = refused(make(tmp_path / "asked", named("ZYX", imagej=True)))
    assert "the TIFF is a stack (axes ZYX, shape 6×24×30), not one picture" in said
    assert read(make(tmp_path / "named", named("CYX", imagej=True)))[1].num_channels == 6
    planes = make(
        tmp_path / "planes", pages, lambda k: {f"-z{z}": plane for z, plane in enumerate(image_of(k, 6))}
    )
    assert len(read(planes)[0].cases) == 6 * NUM


@pytest.mark.parametrize("names", [("x.npy", "y.npy"), ("d/x.tif", "d/y.tif"), ("d/x.npy", "e/y.tif")])
def test_single_files_may_be_stated(tmp_path, names):
    for name, values in zip(names, (image_of(0, 6), mask_of(0, 6)), strict=True):
        write(tmp_path / name, values, **({} if name.endswith("npy") else {"photometric": "minisblack"}))
    dataset, packed = read(tmp_path, images=names[0], masks=names[1])
    assert (dataset.layout, len(dataset.cases)) == ("arrays", 6)
    np.testing.assert_array_equal(packed.target(3), mask_of(0, 6)[3])


def test_a_stack_beside_pictures_is_told_both_ways_to_save_them(tmp_path):
    for k in range(6):
        array(tmp_path / "images first" / "masks" / f"{k}", mask_of(k))
        array(tmp_path / "masks first" / "images" / f"{k}", image_of(k))
    array(tmp_path / "images first" / "images", image_of(0, 6))
    array(tmp_path / "masks first" / "masks", mask_of(0, 6))
    said = refused(tmp_path / "images first")
    assert "Save the masks in a row as well, in files of the same names (masks.npy for images.npy)" in said
    array(tmp_path / "images first" / "masks", mask_of(0, 6))
    assert len(read(tmp_path / "images first")[0].cases) == 6
    said = refused(tmp_path / "masks first")
    assert (
        "masks.npy holds masks in a row: save each as a file in masks/, or the images as images.npy" in said
    )
    array(tmp_path / "masks first" / "images", image_of(0, 6))
    assert len(read(tmp_path / "masks first")[0].cases) == 6


@pytest.mark.parametrize("ones", [(0,), (-1,), ()])
def test_axes_of_length_one_say_nothing(tmp_path, ones):
    for k in range(NUM):
        array(tmp_path / "images" / f"c{k}", np.expand_dims(image_of(k), ones))
        array(tmp_path / "masks" / f"c{k}", np.expand_dims(mask_of(k), ones))
    dataset, packed = read(tmp_path)
    assert (dataset.layout, len(dataset.cases)) == ("image_mask", NUM)
    np.testing.assert_array_equal(packed.image(1), image_of(1)[None])


def test_masks_of_several_pages_lead_to_stacks(tmp_path):
    for k in range(NUM):
        pages(tmp_path / "images" / f"c{k}", image_of(k, 12))
        pages(tmp_path / "masks" / f"c{k}", mask_of(k, 12))
    said = refused(tmp_path, layout="image_mask")
    assert "the mask has 12 channels" in said
    assert "data.layout: arrays" in said
    assert len(read(tmp_path, layout="arrays")[0].cases) == 12 * NUM
    for k in range(NUM):
        pages(tmp_path / "masks" / f"c{k}", mask_of(k))
    said = refused(tmp_path, layout="arrays")
    assert "leave data.layout out, if each file is one picture" in said
    assert read(tmp_path)[1].num_channels == 12


def test_every_array_has_a_reading_of_its_own_size_or_none():
    random = np.random.default_rng(0)
    for _ in range(2000):
        axes = "".join(random.choice(list("QICSZTYX?"), random.integers(0, 6)))
        shape = tuple(int(n) for n in random.choice([1, 2, 3, 16, 17, 40], len(axes)))
        for way in (as_picture(shape, axes), as_stack(shape, axes)):
            assert way is None or np.prod(way.shape) == np.prod(shape)
            assert way is None or (way.channel is None) == (
                len(way.shape) == (2 if way == as_picture(shape, axes) else 3)
            )


LUT = np.stack([np.arange(256), np.arange(256) // 2, np.zeros(256, int)]).astype(np.uint16) * 257
ASKING = {
    "white_is_zero": ({"photometric": "miniswhite"}, "decoding_inverted", 255 - image_of(1, 20)[5][None]),
    "palette": (
        {"photometric": "palette", "colormap": LUT},
        "decoding_palette",
        np.stack([image_of(1, 20)[5], image_of(1, 20)[5] // 2, 0 * image_of(1, 20)[5]]),
    ),
    "orientation": (
        {"photometric": "minisblack", "extratags": [(274, "H", 1, 3, True)]},
        "decoding_turned",
        image_of(1, 20)[5][None, ::-1, ::-1],
    ),
}


@pytest.mark.parametrize("key", ASKING)
def test_a_stack_that_asks_for_a_step_is_served_as_files_are(tmp_path, key):
    options, code, shown = ASKING[key]
    for k in range(NUM):
        write(tmp_path / "images" / f"c{k}.tif", image_of(k, 20), **options, metadata=None)
        mask_options = options if key == "white_is_zero" else {"photometric": "minisblack"}
        mask = mask_of(k, 20) * np.uint8(255)
        write(tmp_path / "masks" / f"c{k}.tif", mask, **mask_options, metadata=None)
    dataset, packed = read(tmp_path)
    finding = next(
        found for found in audit(dataset, packed, Validation(folds=2)).findings if found.code == code
    )
    assert finding.severity == "error"
    assert f"data.decoding: {{{key}: " in finding.cure
    for stated, expected in (("apply", shown), ("ignore", image_of(1, 20)[5][None])):
        dataset, packed = read(tmp_path, decoding={key: stated})
        np.testing.assert_array_equal(packed.image(25), expected)
        inverted = key == "white_is_zero" and stated == "apply"
        np.testing.assert_array_equal(packed.target(25), mask_of(1, 20)[5] ^ inverted)
        found = audit(dataset, packed, Validation(folds=2)).findings
        assert all(finding.severity != "error" for finding in found)


def test_a_stack_saved_again_as_inverted_is_another_set(tmp_path):
    for options in ({"photometric": "minisblack"}, {"photometric": "miniswhite"}):
        write(tmp_path / "images.tif", image_of(1, 20), **options, metadata=None)
        np.save(tmp_path / "masks.npy", mask_of(1, 20))
        packed = read(tmp_path)[1]
        inverted = options["photometric"] == "miniswhite"
        np.testing.assert_array_equal(packed.image(5)[0], image_of(1, 20)[5] ^ (255 * inverted))


def test_channel_files_of_stacks_are_told_how_to_be_saved(tmp_path):
    for k in range(NUM):
        for channel in range(2):
            SLICES["OME"](tmp_path / "imagesTr" / f"vol{k}_000{channel}", image_of(k, 2, 20)[channel])
        SLICES["OME"](tmp_path / "labelsTr" / f"vol{k}", mask_of(k, 20))
    assert "called as masks and 0000, 0001, as channels of one image are" in refused(tmp_path)
    for path in (tmp_path / "imagesTr").iterdir():
        path.unlink()
    for k in range(NUM):
        named("ZCYX", ome=True)(tmp_path / "imagesTr" / f"vol{k}", np.moveaxis(image_of(k, 2, 20), 0, 1))
    np.testing.assert_array_equal(read(tmp_path)[1].image(25), image_of(1, 2, 20)[:, 5])


@pytest.mark.parametrize("masks", ["tif", "npy"])
def test_folders_of_stacks_need_no_usual_names(tmp_path, masks):
    for k in range(NUM):
        SLICES["ImageJ"](tmp_path / "imagesTr" / f"vol{k}_0000", image_of(k, 20))
        MASKS[masks](tmp_path / "labelsTr" / f"vol{k}", mask_of(k, 20))
    dataset, packed = read(tmp_path)
    assert (dataset.layout, len(dataset.cases)) == ("arrays", 80)
    np.testing.assert_array_equal(packed.target(25), mask_of(1, 20)[5])
