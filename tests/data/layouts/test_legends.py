"""Legends: which class each colour of masks is, from a table or a text beside them."""

import numpy as np
import pytest
from PIL import Image
from small_sets import picture

from foldwise.data.cache.packing import pack
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec

ROAD, SKY = (128, 64, 128), (0, 128, 255)
LEGENDS = {
    "class_dict.csv": "name,r,g,b\nroad,128,64,128\nVoid,0,0,0\nsky,0,128,255\n",
    "legend.csv": "class,colour\nsky,#0080FF\nroad,#804080\nbackground,#000000\n",
    "colours.csv": 'label,rgb\nroad,"128,64,128"\nsky,"(0, 128, 255)"\nVoid,"0,0,0"\n',
    "labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:128,64,128::\nsky:0,128,255::\n",
}


@pytest.fixture
def coloured(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for k in range(4):
        Image.fromarray(picture(k)).save(tmp_path / "images" / f"{k}.png")
        mask = np.zeros((*picture(k).shape, 3), np.uint8)
        mask[2:9, 3:12], mask[10:15, 5:9] = ROAD, SKY
        Image.fromarray(mask).save(tmp_path / "masks" / f"{k}.png")
    return tmp_path


@pytest.mark.parametrize("name", LEGENDS)
def test_a_legend_names_the_colours_unasked(coloured, name):
    (coloured / name).write_text(LEGENDS[name])
    spec = DataSpec(path=str(coloured))
    dataset = read_dataset(spec, base=coloured)
    assert dataset.layout == "image_mask"
    assert dataset.classes[0] in ("background", "Void")
    assert set(dataset.classes[1:]) == {"road", "sky"}
    assert any(f"are those of {name}" in line for line in dataset.statements)
    target = pack(dataset, spec).target(0)
    assert dataset.classes[target[4, 5]] == "road"
    assert dataset.classes[target[12, 6]] == "sky"


def test_a_colour_that_the_legend_lacks_is_named(coloured):
    (coloured / "legend.csv").write_text("class,colour\nroad,#804080\nbackground,#000000\n")
    with pytest.raises(DataError, match=r"1 value in the masks is not stated.*#0080ff"):
        read_dataset(DataSpec(path=str(coloured)), base=coloured)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"a.csv": LEGENDS["legend.csv"], "labelmap.txt": LEGENDS["labelmap.txt"]},
            "could all be the legend",
        ),
        ({"a.csv": "class,colour\nroad,#804080\nsky,#804080\n"}, "have the colour #804080"),
    ],
)
def test_legends_that_do_not_tell_are_refused(coloured, files, words):
    for name, text in files.items():
        (coloured / name).write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        read_dataset(DataSpec(path=str(coloured)), base=coloured)
    assert caught.value.cure


def test_what_the_study_states_comes_before_a_legend(coloured):
    (coloured / "legend.csv").write_text(LEGENDS["legend.csv"])
    values = {"#000000": "rest", "other": "thing"}
    dataset = read_dataset(DataSpec(path=str(coloured), mask_values=values), base=coloured)
    assert dataset.classes == ("rest", "thing")
