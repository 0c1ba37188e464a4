"""Activation maps: what lies over the images, what is said of them, and where there are none."""

import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from altered import altered
from make_insides import CHOSEN, EPOCHS, look, write_attention
from make_run import MARKUP, Wanted, make_run
from PIL import Image

from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.training import looks


def made(tmp_path_factory, kind, **changes):
    wanted = Wanted(kind, {"optimizer": ["adam", "sgd"]}, (1.0, 0.6), "Attention", images=14, size=32, folds=2, **changes)  # fmt: skip
    return gather(make_run(tmp_path_factory.mktemp(kind) / "run", wanted)[0])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made(tmp_path_factory, "gels", rename={0: MARKUP})


def with_maps(data, folder, cases=(2, 5, 9)):
    targets = [data.cases[case].labels[0] for case in cases]
    item = look(folder, data.configurations[0].id)
    arrays = write_attention(folder, cases, targets, len(data.classes))
    return replace(data, auxiliary=[item]), arrays


def rgba(uri):
    return np.asarray(Image.open(BytesIO(b64decode(uri.removeprefix("data:image/png;base64,")))))


def test_every_image_has_a_map_and_a_probability_at_every_epoch(data, tmp_path):
    held, arrays = with_maps(data, tmp_path)
    (block,) = looks.attention_section(held)["attention"]["blocks"]
    assert [row["name"] for row in block["rows"]] == [data.cases[case].name for case in (2, 5, 9)]
    for place, row in enumerate(block["rows"]):
        target = int(arrays["target"][place])
        assert row["target"] == data.classes[target]
        assert [(cell["epoch"], cell["chosen"]) for cell in row["cells"]] == [
            (epoch, epoch == CHOSEN) for epoch in EPOCHS
        ]
        shares = [f"{100 * p:.0f}\u00a0%" for p in arrays["p"][:, place, target]]
        assert [cell["share"] for cell in row["cells"]] == shares
        wrong = [bool(p.argmax() != target) for p in arrays["p"][:, place]]
        assert [bool(cell["wrong"]) for cell in row["cells"]] == wrong
    assert [cell["empty"] for row in block["rows"] for cell in row["cells"]] == [False] * 10 + [True] * 5
    assert str(block["drawing"]).count("<polyline") == 3


def test_the_more_the_map_says_the_less_transparent_it_is():
    values = np.array([[0.0, 0.25], [1.0, np.nan]])
    pixels = rgba(looks.overlay_uri(values))
    assert pixels.shape == (2, 2, 4)
    assert pixels[..., 3].tolist() == [[0, round(0.25 * 0.82 * 255)], [round(0.82 * 255), 0]]
    assert pixels[1, 0, :3].sum() > pixels[0, 1, :3].sum()
    assert rgba(looks.overlay_uri(np.ones((200, 100)))).shape == (40, 20, 4)


def test_with_several_labels_the_target_is_said_from_one_half(tmp_path_factory, tmp_path):
    data = made(tmp_path_factory, "proteins")
    cases = [case.index for case in data.cases if case.labels][:2]
    held, arrays = with_maps(data, tmp_path, cases)
    (block,) = looks.attention_section(held)["attention"]["blocks"]
    for place, row in enumerate(block["rows"]):
        p = arrays["p"][:, place, int(arrays["target"][place])]
        assert [cell["wrong"] for cell in row["cells"]] == ["" if one >= 0.5 else f"not {row['target']}" for one in p]  # fmt: skip


def test_why_there_are_none_is_said(data, tmp_path):
    first = data.configurations[0].id
    assert looks.attention_section(data) is None
    absent = look(tmp_path, first, attention_absent="the network has no <feature map>")
    page = render(replace(data, auxiliary=[absent]))
    assert "There are no maps: the network has no &lt;feature map&gt;." in page
    assert looks.attention_section(altered(replace(data, auxiliary=[absent]), task="binary_segmentation")) is None  # fmt: skip
    assert looks.attention_section(replace(with_maps(data, tmp_path / "b")[0], images=None)) is None


def test_the_page_says_what_a_map_is_not_and_holds_each_image_once(data, tmp_path):
    page = render(with_maps(data, tmp_path)[0])
    section = re.search(r'<section id="attention">.*?</section>', page, re.DOTALL)[0]
    assert "It does not show why, and not that the network is right" in section
    assert MARKUP not in section
    assert "A map has 14 × 14 places and is smoothed between them" in section
    assert section.count("--seen:url(data:image/webp;base64,") == 3
    assert section.count('src="data:image/webp') == 3
    assert section.count('src="data:image/png') == 3 * len(EPOCHS)
