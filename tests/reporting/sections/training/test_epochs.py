"""Best epochs and lines by epoch."""

from dataclasses import replace

import pytest
from altered import altered, altered_configurations
from make_run import MARKUP
from trained_runs import recorded

from foldwise.reporting.report import render
from foldwise.reporting.sections.training import epochs, maps
from foldwise.reporting.sections.verdict.classes import splits_section


@pytest.fixture
def data(trained_data):
    return trained_data


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
    assert epochs._confidence(record, slice(1, None)) == pytest.approx(0.3)  # of the classes that have pixels
    assert epochs._confidence(record, slice(0, 1)) == 0.9


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


def test_the_sections_are_on_the_page_and_names_are_escaped(data):
    page = render(data)
    for name in ("splits", "loss-panels", "epochs", "maps", "loss-curves"):
        assert f'<section id="{name}">' in page, name
    assert MARKUP not in page
    assert "never of a test fold" in page


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
