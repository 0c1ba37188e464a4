"""Sections about training: best epochs, lines by epoch, losses of all folds, maps of watched images, three parts."""

import re
from dataclasses import replace

import numpy as np
import pytest
from altered import altered, altered_configurations
from make_run import MARKUP, Wanted, make_run
from trained_runs import EPOCHS, read, recorded, trained

from foldwise.reporting.drawing.heat import (
    LEVELS,
    HeatScale,
    classes_uri,
    errors_uri,
    flat_uri,
    heat_uri,
    picked,
    ramp,
    scale_bar,
    smaller,
)
from foldwise.reporting.drawing.series import Series, panel, span_of
from foldwise.reporting.drawing.svg import Scale
from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.training import epochs, losses, maps
from foldwise.reporting.sections.verdict.classes import splits_section
from foldwise.study.spec import IGNORE, Choice, Training

LOSSES = ["dice", {"focal": {"gamma": 3}}, "cross_entropy"]


WANTED = Wanted(
    "cells",
    {"loss": LOSSES},
    (0.5, 1.6, 1.0),
    "Through training",
    images=12,
    size=48,
    folds=2,
    rename={2: MARKUP},
)


@pytest.fixture(scope="module")
def packed_and_run(tmp_path_factory):
    folder, packed = make_run(tmp_path_factory.mktemp("through") / "run", WANTED)
    return packed, trained(folder, packed, strides={3: 1, 1: 2, 7: 1})


@pytest.fixture(scope="module")
def data(packed_and_run):
    return gather(packed_and_run[1])


def like_first(data, ids):
    """The same run with configurations of these ids, each otherwise like the first, under its id as a name."""
    first = data.verdict.dump()["configurations"][0]
    return altered(data, configurations=[first | {"id": one, "name": one} for one in ids])


def test_the_best_epochs_are_medians_over_folds_with_their_range(data):
    held = epochs.section(data)["epochs"]
    assert [row["name"] for row in held["rows"]] == list(data.names.values())
    loss, accuracy, best, chosen = held["rows"][0]["cells"]
    assert loss["note"] == "epoch 2 (2 to 3)"
    assert (accuracy["value"], accuracy["note"]) == (pytest.approx(0.905), "epoch 4")
    assert (best["value"], best["note"]) == (pytest.approx(0.5), "epoch 5")
    assert (chosen["value"], chosen["shown"], chosen["note"]) == (4, "4", "")
    assert {row["cells"][0]["value"] for row in held["rows"]} == {0.5, 1.5, 2.5}


def test_where_less_is_better_the_best_score_is_the_lowest():
    fit = {"epochs": recorded(0, 0), "best_epoch": 1}
    assert epochs._best([fit | {"select": "log_loss_img"}])[2]["note"] == "epoch 1"
    assert epochs._best([fit | {"select": "iou_img_macro"}])[2]["note"] == "epoch 5"


def test_a_line_by_epoch_is_the_mean_over_folds_until_the_first_one_stopped(data):
    fits = [{"epochs": recorded(0, 0)}, {"epochs": recorded(0, 1)[:3]}]
    line = epochs._mean_line(fits, lambda record: record["accuracy"])
    assert line == [(n, pytest.approx(0.9 - 0.1 * abs(n - 4) + 0.005)) for n in (1, 2, 3)]
    names = [one["name"] for one in epochs.section(data)["epochs"]["panels"]]
    assert names == ["accuracy", "IoU of the foreground", "confidence, foreground", "confidence, background"]
    record = recorded(0, 0)[2]
    assert epochs._confidence(record, 1) == pytest.approx(0.3)  # of the classes that have pixels
    assert epochs._confidence(record, 0, 1) == 0.9


def test_many_configurations_are_drawn_by_their_loss_or_else_the_best(data):
    ids = list(data.names)
    many = {f"{one} {copy}": [{"epochs": recorded(0, 0)}] for one in ids for copy in range(4)}
    trainings = {f"{one} {copy}": data.trainings[one] for one in ids for copy in range(4)}
    data = like_first(data, many)
    by_loss, words = epochs._lines(replace(data, trainings=trainings), many)
    assert {name: len(own) for name, own in by_loss.items()} == {
        "dice": 4, "focal (gamma 3)": 4, "cross_entropy": 4
    }  # fmt: skip
    assert "mean of all configurations with that loss" in words
    alike = dict.fromkeys(trainings, data.trainings[ids[0]])
    best, words = epochs._lines(replace(data, trainings=alike), many)
    assert list(best) == list(many)[:9]
    assert words == "Drawn: the best 9 configurations."


def test_fits_that_did_not_record_epochs_have_no_section(tmp_path, data):
    before = [result | {"epochs": [{"epoch": 1, "val_loss": 1}]} for result in data.results]
    assert epochs.section(replace(data, results=before)) is None
    assert maps.section(replace(data, snapshots={})) is None
    assert maps.section(replace(data, images=None)) is None


def test_only_configurations_with_one_loss_share_a_pair_of_panels_and_their_scale(data):
    pairs = losses.panels_section(data)["pairs"]
    assert [pair["loss"] for pair in pairs] == [epochs.loss_name(data, one.id) for one in data.configurations]
    for pair in pairs:
        left, right = (re.findall(r"text-anchor=\"end\">([\d.]+)<", str(one)) for one in pair["drawings"])
        assert left == right  # the ticks of one scale
        assert [str(one).count("<polyline") for one in pair["drawings"]] == [2, 2]  # a line a fold


def test_models_have_a_colour_each_and_wide_ranges_a_logarithm(data):
    ids = list(data.names)
    models = {
        one: data.trainings[one].model.model_copy(update={"name": f"m{n % 2}"}) for n, one in enumerate(ids)
    }
    same = data.trainings[ids[0]].loss
    trainings = {
        one: data.trainings[one].model_copy(update={"model": models[one], "loss": same}) for one in ids
    }
    results = [
        {**result, "epochs": [{"epoch": n, "train_loss": 10.0**-n, "val_loss": 1.0} for n in (1, 2, 3)]}
        for result in data.results
    ]
    (pair,) = losses.panels_section(replace(data, trainings=trainings, results=results))["pairs"]
    assert pair["key_of"] == [(0, "m0"), (1, "m1")]
    assert ">0.001<" in str(pair["drawings"][0])
    assert ">0.001<" in str(pair["drawings"][1])
    assert pair["left_out"] == 0


def test_a_fit_that_ran_away_does_not_flatten_the_others(data):
    far = [
        {**result, "epochs": [{"epoch": n, "train_loss": 0.5, "val_loss": 10.0 ** (20 - n)} for n in (1, 2)]}
        for result in data.results[:1]
    ]
    told = losses.panels_section(replace(data, results=[*far, *data.results[1:]]))["pairs"]
    assert [pair["beyond"] for pair in told].count(True) == 1
    pair = next(pair for pair in told if pair["beyond"])
    ticks = re.findall(r"text-anchor=\"end\">([^<]+)<", str(pair["drawings"][1]))
    assert "100" in ticks
    assert not any("10" in tick and tick[-1] in "⁰¹²³⁴⁵⁶⁷⁸⁹" for tick in ticks)


def test_of_many_sizes_of_models_all_folds_are_drawn_in_the_colour_of_their_kind(data):
    first, result = next(iter(data.trainings.values())), data.results[0]
    ids = [f"c{n}" for n in range(12)]
    results = [
        {"configuration": one, "epochs": [{"epoch": n, "train_loss": 1.0, "val_loss": 2.0} for n in (1, 2)]}
        for one in ids
        for _ in range(3)
    ]

    def pair_of(kinds):
        models = {
            one: Choice(name=f"m{n % kinds}", options={"width": 8 * (n + 1)}) for n, one in enumerate(ids)
        }
        trainings = {one: first.model_copy(update={"model": models[one]}) for one in ids}
        told = replace(
            like_first(data, ids),
            results=[result | one for one in results],
            trainings=trainings,
        )
        (pair,) = losses.panels_section(told)["pairs"]
        return pair

    few, many = pair_of(kinds=5), pair_of(kinds=12)
    assert few["key_of"] == [(hue, f"m{hue}") for hue in range(5)]
    assert [str(one).count("<polyline") for one in few["drawings"]] == [36, 36]
    assert few["left_out"] == 0
    assert [str(one).count("<polyline") for one in many["drawings"]] == [27, 27]
    assert many["left_out"] == 3


def test_curves_are_drawn_where_losses_are_compared(data):
    curves = losses.curves_section(data)["curves"]
    assert [name for _, name in curves["key_of"]] == ["focal (gamma 3)", "cross_entropy"]
    assert curves["left_out"] == ["dice"]
    weighted = Choice(name="cross_entropy", options={"weight": [1, 3]})
    more = data.trainings | {"c": Training(model=Choice(name="unet"), loss=weighted)}
    alike = next(one for one, training in data.trainings.items() if training.loss.name == "cross_entropy")
    folders = {**data.folders, "c": data.folders[alike]}
    again = losses.curves_section(replace(data, trainings=more, folders=folders))["curves"]
    assert [name for _, name in again["key_of"]] == [
        "focal (gamma 3)",
        "cross_entropy, cross_entropy (weight 1-3)",
    ]
    single = dict(list(data.folders.items())[:1])
    assert losses.curves_section(replace(data, folders=single)) is None
    numbers = re.search(r'data-numbers="([^"]*)"', str(curves["drawings"][0]))[1].splitlines()
    p, loss = (
        float(value) for value in next(one for one in numbers if one.startswith("cross")).split(",")[1:]
    )
    assert loss == pytest.approx(-np.log(p), rel=1e-4)


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


def test_the_pictures_show_what_the_network_said(data, packed_and_run):
    packed, folder = packed_and_run
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


def test_a_run_whose_fits_wrote_no_losses_has_no_blocks_of_them(data, tmp_path):
    old = {}
    for place, (one, path) in enumerate(data.snapshots.items()):
        with np.load(path) as arrays:
            held = {name: arrays[name] for name in arrays.files if "loss" not in name}
        old[one] = tmp_path / f"{place}.npz"
        np.savez(old[one], **held)
    shown = maps.section(replace(data, snapshots=old))["maps"]
    assert not shown["has_losses"]
    assert [block["kind"] for block in shown["images"][0]["blocks"]] == [
        "prediction",
        "errors",
        "disagreement",
        "doubt",
    ]
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


def test_training_validation_and_test_are_beside_each_other_the_winner_first(data):
    held = splits_section(data)
    assert held["tables"][0]["name"] == data.winner.name
    rows = held["tables"][0]["rows"]
    assert [row["name"] for row in rows] == [*data.classes, "mean over classes", "weighted by support"]
    told = data.winner.split_scores.model_dump()
    assert [cell["value"] for cell in rows[1]["cells"]] == [
        told[part]["classes"][data.classes[1]][key]
        for part in ("train", "validation", "test")
        for key in ("support", "precision", "recall", "f1")
    ]
    assert (
        splits_section(altered_configurations(data, lambda record: record | {"split_scores": None})) is None
    )


def test_the_sections_are_on_the_page_and_names_are_escaped(data):
    page = render(data)
    for name in ("splits", "loss-panels", "epochs", "maps", "loss-curves"):
        assert f'<section id="{name}">' in page, name
    assert MARKUP not in page
    assert "never of a test fold" in page


def test_a_ramp_grows_lighter_with_every_step_and_levels_with_every_value():
    colours = np.array(ramp())
    light = colours @ [0.2126, 0.7152, 0.0722]
    assert len(colours) == LEVELS
    assert (np.diff(light) > 5).all()
    levels = HeatScale(4.0).level(np.array([0.0, 0.01, 1.0, 3.99, 4.0, 80.0, np.nan]))
    assert levels.tolist() == [0, 0, 7, LEVELS - 1, LEVELS - 1, LEVELS - 1, LEVELS]
    assert 1 / 4**0.5 * LEVELS > 7  # 1 of 4 is half way by the square root


@pytest.mark.parametrize("most", [0.012, 0.7, 1.0, 6.9, 48.0])
def test_the_ticks_of_a_bar_are_in_order_and_end_where_it_ends(most):
    ticks = HeatScale(most).ticks()
    assert ticks == sorted(set(ticks))
    assert (ticks[0], ticks[-1]) == (0.0, most)
    assert 4 <= len(ticks) <= 8
    assert f">{most:g}+<" in str(scale_bar(HeatScale(most), "a bar"))


def test_pictures_with_a_palette_keep_every_pixel():
    indices = np.arange(6).reshape(2, 3)
    colours = [(n, 2 * n, 255 - n) for n in range(6)]
    stored, shown = read(flat_uri(indices, colours))
    assert np.array_equal(stored, indices)
    assert shown[1, 2].tolist() == [5, 10, 250]
    mask = np.array([[0, 1], [IGNORE, 1]], np.uint8)
    assert read(classes_uri(mask, 2))[1].tolist() == [[[16] * 3, [240] * 3], [[110] * 3, [240] * 3]]
    assert read(errors_uri(mask, np.zeros((2, 2), np.uint8)))[0].tolist() == [[0, 2], [5, 2]]
    assert read(heat_uri(np.array([[np.nan, 1.0]]), HeatScale(1.0)))[1][0].tolist() == [
        [110] * 3,
        list(ramp()[-1]),
    ]


def test_smaller_maps_keep_their_mean_and_leave_out_what_does_not_count():
    values = np.random.default_rng(0).random((40, 80))
    assert smaller(values, 20).mean() == pytest.approx(values.mean(), rel=1e-6)
    assert smaller(values, 20).shape == (10, 20)
    values[:, :40] = np.nan
    small = smaller(values, 20)
    assert np.isnan(small[:, :10]).all()
    assert small[:, 10:].mean() == pytest.approx(np.nanmean(values), rel=1e-6)
    assert smaller(values, 200) is values


def test_a_thin_line_stays_a_line_on_a_smaller_map():
    labels = np.zeros((60, 60), dtype=np.uint8)
    labels[:, 21:23] = 1  # two of every three columns that become one
    small = picked(labels, 20)
    assert small.shape == (20, 20)
    assert small.any(axis=0).nonzero()[0].tolist() == [7]
    assert (small[:, 6] == 0).all()
    assert small.sum() == 20
    assert picked(labels, 60) is labels


def test_spans_hold_their_values():
    assert span_of([]) == Scale(0.0, 1.0)
    assert span_of([0.2, 0.99], at_most=1.0).high == 1.0
    assert span_of([0.0, 4.0]).low == 0.0
    wide = span_of([0.01, 3.0], log_beyond=20)
    assert wide.log
    assert wide.low < 0.01 < 3.0 < wide.high
    assert not span_of([0.0, 3.0], log_beyond=20).log
    one = panel("one", [Series([(1, 0.5)], 0, "<b>")], x=Scale(1, 2), y=Scale(0, 1), x_title="x", y_title="y")
    assert "<circle" in one
    assert "&lt;b&gt;" in one
