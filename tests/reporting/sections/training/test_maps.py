"""Maps of watched images: predictions, errors, losses, and where configurations differ."""

import re
from dataclasses import replace

import numpy as np
import pytest
from altered import altered
from make_run import Wanted, make_run
from trained_runs import EPOCHS, read, trained

from foldwise.judging.curves import Disagreement
from foldwise.judging.scores.image_comparison import minority
from foldwise.reporting.drawing.pictures import HeatScale
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.training import losses, maps
from foldwise.reporting.sections.training.maps import most_possible


@pytest.fixture
def data(trained_data):
    return trained_data


def like_first(data, ids):
    """The same run with configurations of these ids, each otherwise like the first, under its id as a name."""
    first = data.verdict.dump()["configurations"][0]
    return altered(data, configurations=[first | {"id": one, "name": one} for one in ids])


def test_maps_have_a_row_for_the_best_of_each_loss_and_epochs_from_early_to_late(data):
    held = maps.section(data)["maps"]
    assert [image["name"] for image in held["images"]] == [data.cases[case].name for case in (1, 7)]
    for image in held["images"]:
        titles = [block["title"] for block in image["blocks"]]
        apart = "Disagreement between configurations"
        assert titles[:4] == ["Prediction", "Errors", apart, "1 − p of the true class"]
        assert {title.removeprefix("Loss of every pixel: ") for title in titles[4:]} == {
            "dice", "focal (gamma 3)", "cross_entropy"
        }  # fmt: skip
        for block in (one for one in image["blocks"] if one["kind"] != "disagreement"):
            own = [
                one.name
                for one in data.configurations
                if not block["title"].endswith("(gamma 3)") or one.name.startswith("focal")
            ]
            assert [row["name"] for row in block["rows"]] == own
            for row in block["rows"]:
                assert [(cell["epoch"], cell["chosen"]) for cell in row["cells"]] == [
                    (epoch, epoch == 4) for epoch in EPOCHS
                ]
    twice = {**data.snapshots, "c-other": next(iter(data.snapshots.values()))}
    more = like_first(data, [*data.names, "c-other"])
    trainings = data.trainings | {"c-other": data.trainings[data.configurations[0].id]}
    again = replace(more, snapshots=twice, trainings=trainings)
    assert maps._shown(again) == list(data.names)


def test_the_pictures_show_what_the_network_predicted(data, trained_run):
    packed, folder = trained_run
    image = maps.section(data)["maps"]["images"][1]
    blocks = {block["title"]: block["rows"][0]["cells"] for block in image["blocks"]}
    with np.load(next(folder.root.glob("done/*/watched.npz"))) as arrays:
        p = arrays["7"][0].astype(float)
    truth, said = packed.target(7), p.argmax(0)
    assert np.array_equal(read(blocks["Prediction"][0]["source"])[0], said)
    wanted = np.zeros(truth.shape, int)
    wanted[(truth > 0) & (said == truth)] = 1
    wanted[(truth > 0) & (said == 0)] = 2
    wanted[(truth == 0) & (said > 0)] = 3
    wanted[(truth > 0) & (said > 0) & (said != truth)] = 4
    assert np.array_equal(read(blocks["Errors"][0]["source"])[0], wanted)
    assert {1, 2, 3, 4} <= set(wanted.ravel().tolist())
    doubt = 1 - np.take_along_axis(p, truth[None].astype(int), 0)[0]
    assert np.array_equal(
        read(blocks["1 − p of the true class"][0]["source"])[0], HeatScale(1.0).level(doubt)
    )
    loss = -np.log(1 - doubt)
    (cell, *_) = blocks["Loss of every pixel: cross_entropy"]
    assert cell["words"] == f"mean {loss.mean():.2g}"
    bar = float(re.search(r">([\d.]+)\+<", str(image["blocks"][-1]["bar"]))[1])
    assert np.abs(read(cell["source"])[0] - HeatScale(bar).level(loss).astype(int)).max() <= 1


def test_fits_that_wrote_no_maps_of_losses_have_no_blocks_of_them(data, tmp_path):
    without = {}
    for place, (configuration, path) in enumerate(data.snapshots.items()):
        with np.load(path) as arrays:
            written = dict(arrays)
        written["losses"] = np.array(["another"] * len(written["losses"]))
        without[configuration] = tmp_path / f"{place}.npz"
        np.savez(without[configuration], **written)
    shown = maps.section(replace(data, snapshots=without))["maps"]
    assert not shown["has_losses"]
    kinds = [block["kind"] for block in shown["images"][0]["blocks"]]
    assert kinds == ["prediction", "errors", "disagreement", "doubt"]
    assert losses.curves_section(replace(data, folders={one: [tmp_path] for one in data.folders})) is None


def test_all_losses_and_epochs_share_one_scale(data, monkeypatch):
    scales = []
    monkeypatch.setattr(maps, "heat_uri", lambda values, scale: scales.append(scale) or "data:")
    held = maps.section(data)["maps"]
    assert len(set(scales)) == 3  # that of 1 - p, of the disagreement, and of every loss
    bars = {
        str(block["bar"]) for image in held["images"] for block in image["blocks"] if block["kind"] == "loss"
    }
    assert len(bars) == 1
    assert f">{max(scale.most for scale in scales):g}+<" in bars.pop()


def test_many_noisy_maps_stay_a_small_page(tmp_path, monkeypatch):
    """Four configurations, six epochs, two images, four losses, and nothing that could be compressed."""
    compare = {"loss": ["dice", "focal", "cross_entropy", "dice_cross_entropy"]}
    wanted = Wanted("bacteria", compare, (1.6, 1.2, 0.5, 0.8), "Large", images=8, size=128, folds=2)
    folder, packed = make_run(tmp_path / "run", wanted)
    monkeypatch.setattr("trained_runs.EPOCHS", (1, 2, 3, 4, 5, 6))
    data = gather(trained(folder, packed, strides={3: 1, 1: 1}))
    held = maps.section(data)["maps"]
    pictures = [
        cell["source"] for b in held["images"][0]["blocks"] for row in b["rows"] for cell in row["cells"]
    ]
    assert len(pictures) == 4 * 6 * 7 + 6
    assert sum(map(len, maps._uris(held["images"]))) <= maps.MAX_BYTES
    assert len(held["images"]) == 1
    assert len(held["images"][0]["blocks"][0]["rows"][0]["cells"]) == 6


def test_disagreement_is_drawn_where_the_truth_counts(data):
    maps_EHW = np.zeros((2, 48, 48))
    maps_EHW[1, :24] = 1 / 3
    compared = replace(data.curves, disagreement={7: Disagreement(3, (1, 4), maps_EHW)})
    shown = replace(data, curves=compared, images=Ignoring(data.images, rows=12))
    first, second = maps.section(shown)["maps"]["images"]
    assert [block["kind"] for block in first["blocks"]].count("disagreement") == 0
    (block,) = [block for block in second["blocks"] if block["kind"] == "disagreement"]
    (row,) = block["rows"]
    assert row["name"] == "3 configurations"
    assert [(cell["epoch"], cell["words"]) for cell in row["cells"]] == [
        (1, "disputed pixels: 0\u00a0%"),
        (4, "disputed pixels: 33\u00a0%"),
    ]
    wanted = np.where(np.arange(48)[:, None] < 12, np.nan, maps_EHW[1])
    assert np.array_equal(read(row["cells"][1]["source"])[0], HeatScale(0.67).level(wanted))


class Ignoring:
    """Images whose first rows do not count."""

    def __init__(self, images, rows):
        self.images, self.rows = images, rows

    def image(self, case):
        return self.images.image(case)

    def target(self, case):
        truth = np.array(self.images.target(case))
        truth[: self.rows] = 255
        return truth


@pytest.mark.parametrize(("num", "classes", "most"), [(2, 2, 0.5), (3, 2, 1 / 3), (5, 2, 0.4), (3, 4, 2 / 3), (9, 4, 2 / 3)])  # fmt: skip
def test_the_scale_ends_where_configurations_can_differ_no_more(num, classes, most):
    assert most_possible(num, classes) == pytest.approx(most)
    assert minority((np.arange(num) % classes)[:, None]).tolist() == pytest.approx([most])
