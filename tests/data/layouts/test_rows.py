"""The contract of the layouts: what every row of the table does, whoever adds it; and what is done where two fit."""

from typing import get_args

import numpy as np
import pytest
from small_sets import blob, labelled, masks_beside, pairs, stacks, two_classes

from foldwise.data.cache.packing import pack
from foldwise.data.formats import formats
from foldwise.data.formats.formats import FORMATS
from foldwise.data.formats.reading import channel_files, split_slice
from foldwise.data.layouts.layouts import CHOICES, LAYOUTS, read_dataset, recognise
from foldwise.data.layouts.listing import Listing
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec

# One folder of each layout, as plain as can be. A new row needs one here.
FOLDERS = {
    "arrays": lambda root: stacks(root, images=np.ones((4, 16, 16), np.uint8), labels=np.arange(4) % 2),
    "image_mask": pairs,
    "table": lambda root: labelled(root, "image,label\ni0.png,a\ni1.png,b\ni2.png,a\n"),
    "class_folders": two_classes,
    "masks_beside": masks_beside,
}


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path):
    FOLDERS[request.param](tmp_path)
    return request.param


def test_every_row_can_be_stated():
    stated = set(get_args(DataSpec.model_fields["layout"].annotation))
    assert set(LAYOUTS) == stated - {"auto"}
    assert set(FOLDERS) == set(LAYOUTS)


def test_a_folder_is_recognised_as_its_own_layout_and_no_other(tmp_path, layout):
    listing = Listing(tmp_path, DataSpec(path=str(tmp_path)))
    name, why = recognise(listing)
    assert (name, bool(why)) == (layout, True)
    assert [other for other, row in LAYOUTS.items() if row.fits(listing) is not None] == [layout]


def test_an_empty_folder_fits_no_layout(tmp_path):
    (tmp_path / "empty").mkdir()
    listing = Listing(tmp_path / "empty", DataSpec(path=str(tmp_path)))
    assert [name for name, row in LAYOUTS.items() if row.fits(listing) is not None] == []
    for row in LAYOUTS.values():
        with pytest.raises(DataError) as caught:
            row.read(listing)
        assert caught.value.cure


def test_what_is_read_is_a_data_set(tmp_path, layout):
    dataset = read_dataset(DataSpec(path=str(tmp_path)), base=tmp_path)
    assert dataset.layout == layout
    assert dataset.statements[0].startswith(f"Layout {layout} (")
    assert [case.index for case in dataset.cases] == list(range(len(dataset.cases)))
    assert len({case.name for case in dataset.cases}) == len(dataset.cases)
    for case in dataset.cases:
        files = channel_files(case.image) + ([] if case.mask is None else channel_files(case.mask))
        assert all((tmp_path / split_slice(name)[0]).is_file() for name in files)
        assert (case.mask is not None) == dataset.task.endswith("segmentation") == (not case.labels)


def test_a_stated_layout_reads_what_a_recognised_one_does(tmp_path, layout):
    recognised = read_dataset(DataSpec(path=str(tmp_path)), base=tmp_path)
    stated = read_dataset(DataSpec(path=str(tmp_path), layout=layout), base=tmp_path)
    assert (stated.cases, stated.classes, stated.task) == (
        recognised.cases,
        recognised.classes,
        recognised.task,
    )
    assert "as stated" in stated.statements[0]


def test_what_is_done_where_two_fit_is_about_rows_of_the_table():
    certain = [name for name, row in LAYOUTS.items() if row.is_certain]
    assert list(LAYOUTS)[: len(certain)] == certain, (
        "a certain row below an uncertain one would not be certain"
    )
    assert all(len(pair) == 2 and pair <= set(LAYOUTS) - set(certain) for pair in CHOICES)


# ---- masks are decoded once, by the census; packing takes what was decoded


@pytest.fixture
def decoded(monkeypatch):
    """The names of all PNG files that are decoded."""
    names = []
    row = FORMATS["PNG"]

    def counting(path):
        names.append(f"{path.parent.name}/{path.name}")
        return row.decode(path)

    monkeypatch.setitem(FORMATS, "PNG", formats.Format(row.suffixes, row.first_bytes, counting))
    return names


@pytest.fixture
def masked(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    pairs(tmp_path / "data", [blob(), blob(0, 0), blob()])
    return tmp_path / "data"


def test_images_and_masks_are_decoded_once_each(masked, decoded):
    spec = DataSpec(path=str(masked))
    dataset = read_dataset(spec, base=masked)
    assert sorted(decoded) == [f"masks/cell_{k}.png" for k in range(3)]
    packed = pack(dataset, spec)
    assert sorted(decoded) == [f"{kind}/cell_{k}.png" for kind in ("images", "masks") for k in range(3)]
    np.testing.assert_array_equal(packed.target(0), blob() // 255)
    assert dataset.decoded_masks.take(masked, "masks/cell_0.png") is None, "what was packed is let go"


def test_a_mask_that_was_written_since_is_decoded_anew(masked, decoded):
    spec = DataSpec(path=str(masked))
    dataset = read_dataset(spec, base=masked)
    pairs(masked, [255 - blob(), blob(0, 0), blob()])
    packed = pack(dataset, spec)
    np.testing.assert_array_equal(packed.target(0), 1 - blob() // 255)
    assert decoded.count("masks/cell_0.png") == 2


def test_masks_beyond_the_memory_for_them_are_decoded_again(masked, decoded, monkeypatch):
    monkeypatch.setattr("foldwise.data.formats.reading.MAX_DECODED_BYTES", 0)
    spec = DataSpec(path=str(masked))
    packed = pack(read_dataset(spec, base=masked), spec)
    assert decoded.count("masks/cell_2.png") == 2
    np.testing.assert_array_equal(packed.target(2), blob() // 255)


def test_palettes_survive_between_census_and_packing(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "data"
    pairs(root)
    for k in range(3):
        mask = Image.fromarray(blob(0, 1)).convert("P")
        mask.putpalette([0, 0, 0, 200, 0, 0] if k else [0, 0, 0, 0, 200, 0])  # one index, two colours
        mask.save(root / "masks" / f"cell_{k}.png")
    spec = DataSpec(path=str(root))
    dataset = read_dataset(spec, base=root)
    packed = pack(dataset, spec)
    green, red = (dataset.mask_values[colour] for colour in ((0, 200, 0), (200, 0, 0)))
    assert [int(packed.target(k).max()) for k in range(3)] == [green, red, red]
