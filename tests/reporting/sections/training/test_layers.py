"""Weights and gradients of layers through training: drawings, what was noticed, and the table."""

import re
from dataclasses import replace

import numpy as np
import pytest
from make_insides import CHOSEN, EPOCHS, look, write_layers
from make_run import MARKUP, Wanted, make_run

from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.training import layers


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    wanted = Wanted("gels", {"optimizer": ["adam", "sgd"]}, (1.0, 0.6), "Layers", images=12, size=32, folds=2)
    return gather(make_run(tmp_path_factory.mktemp("layers") / "run", wanted)[0])


def block_of(data, folder, **changes):
    item = look(folder, data.configurations[0].id)
    arrays = write_layers(folder, **changes)
    (block,) = layers.section(replace(data, auxiliary=[item]))["layers"]
    return block, arrays


def test_without_a_look_there_is_nothing_to_show(data, tmp_path):
    first = data.configurations[0].id
    assert layers.section(data) is None
    failed = replace(look(tmp_path / "a", first), result={"status": "failed"})
    bare = look(tmp_path / "b", first)
    stranger = look(tmp_path / "c", "c-unknown")
    write_layers(stranger.path)
    empty = look(tmp_path / "d", first)
    write_layers(empty.path, layers=2)
    held = dict(np.load(empty.path / "layers.npz"))
    none = {"names": held["names"][:0], "sizes": held["sizes"][:0]}
    np.savez(empty.path / "layers.npz", **(held | none))
    assert layers.section(replace(data, auxiliary=[failed, bare, stranger, empty])) is None


def test_the_first_and_last_layer_and_some_between_are_drawn_and_all_are_listed(data, tmp_path):
    block, arrays = block_of(data, tmp_path, layers=14)
    names = [name.removesuffix(".weight") for name in arrays["names"].tolist()]
    drawn = [figure["name"] for figure in block["figures"]]
    assert len(drawn) == layers.MAX_DRAWN
    assert (drawn[0], drawn[-1]) == (names[0], names[-1])
    assert [name for _, name in block["key_of"]] == drawn
    assert block["left_out"] == 8
    assert [row["name"] for row in block["rows"]] == names
    assert layers.evenly(3, 6) == [0, 1, 2]
    assert layers.evenly(1, 6) == [0]


def test_the_table_gives_first_chosen_and_last_epoch(data, tmp_path):
    block, arrays = block_of(data, tmp_path, zero=0.25)
    assert block["shown_epochs"] == [0, CHOSEN, EPOCHS[-1]]
    places = [0, EPOCHS.index(CHOSEN), len(EPOCHS) - 1]
    row = block["rows"][1]
    assert [float(cell) for cell in row["weight"]] == pytest.approx(
        arrays["weight_norm"][places, 1].tolist(), rel=0.05
    )
    assert [float(cell) for cell in row["gradient"]] == pytest.approx(
        arrays["gradient_norm"][places, 1].tolist(), rel=0.05
    )
    assert row["zero"] == ["25\u00a0%"] * 3
    assert row["size"] == "320"


def test_lines_are_root_mean_squares_and_carry_their_numbers(data, tmp_path):
    block, arrays = block_of(data, tmp_path)
    weight, gradient = (re.search(r'data-numbers="([^"]*)"', str(one))[1] for one in block["norms"])
    expected = arrays["weight_norm"][1, 0] / arrays["sizes"][0] ** 0.5
    line = next(row for row in weight.splitlines() if row.startswith("encoder.block0.conv,1,"))
    assert float(line.rsplit(",", 1)[1]) == pytest.approx(expected, rel=1e-6)
    assert len(gradient.splitlines()) == 1 + layers.MAX_DRAWN * len(EPOCHS)


def test_gradients_that_are_no_numbers_are_drawn_without_harm(data, tmp_path):
    item = look(tmp_path, data.configurations[0].id)
    arrays = write_layers(tmp_path)
    arrays["gradient_norm"][3:] = np.nan
    arrays["log_gradient_counts"][3:] = 0
    arrays["gradient_zero"][3:] = np.nan
    np.savez(tmp_path / "layers.npz", **arrays)
    item.result["noticed"] = ["some <words>"]
    page = render(replace(data, auxiliary=[item]))
    assert "<li>some &lt;words&gt;</li>" in page
    assert "not a number" in page
    assert "nan" not in re.search(r'<section id="layers">.*?</section>', page, re.DOTALL)[0].lower()


def test_the_best_configuration_comes_first_and_names_are_escaped(data, tmp_path):
    ids = list(data.names)
    items = [look(tmp_path / one, one, fold=n, repeat=n) for n, one in enumerate(reversed(ids))]
    for item in items:
        arrays = write_layers(item.path)
        arrays["names"] = np.array([MARKUP, *arrays["names"][1:]])
        np.savez(item.path / "layers.npz", **arrays)
    held = replace(data, auxiliary=items)
    blocks = layers.section(held)["layers"]
    assert [block["name"] for block in blocks] == list(data.names.values())
    assert [block["fit"] for block in blocks] == ["repeat 2, fold 2", "fold 1"]
    page = render(held)
    assert '<section id="layers">' in page
    assert MARKUP not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
