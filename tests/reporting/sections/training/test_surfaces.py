"""Loss surfaces in the report: the common scale, what is packed, and the words and tables beside the drawings."""

import json
import re
import zlib
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
from make_run import MARKUP
from make_surfaces import CRITERIA, TRIVIAL, make_look, with_looks

from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.training.looks import read_look
from foldwise.reporting.sections.training.surface_numbers import (
    ABSENT,
    FINE,
    STEPS,
    brief,
    embedded,
    packed,
    path_rows,
    surface_rows,
    surfaces_of,
)
from foldwise.reporting.sections.training.surfaces import MAX_DRAWN, MAX_TURNED, section

FIT = {"configuration": "c-0", "repeat": 0, "fold": 0}


RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def data(runs):
    return gather(runs["segmentation6"])


@pytest.fixture
def look(tmp_path):
    return surfaces_of(read_look(make_look(tmp_path / "look-0", FIT), "surfaces.npz", "a network"))


def unpacked(ranges, data, shape):
    """What the script does: sums of the differences, in 16 bits, and back from the warped scale."""
    planes = np.frombuffer(zlib.decompress(b64decode(data)), np.uint8).astype(np.int64)
    high, low = np.split(planes, 2)
    folded = (high << 8) | low
    off = ((folded >> 1) ^ -(folded & 1)).reshape(-1, *shape[-2:])
    levels = off.cumsum(axis=1).cumsum(axis=2) % 65536
    ends = np.asarray(ranges).reshape(-1, 2)
    warped = ends[:, :1, None] + levels / STEPS * (ends[:, 1] - ends[:, 0])[:, None, None]
    return np.where(levels == ABSENT, np.nan, np.sinh(warped) / FINE).reshape(shape)


def test_the_common_scale_is_0_at_the_solution_and_1_at_the_trivial_predictor(look):
    assert look.scaled(look.arrays["centre"], axis=1)[look.chosen] == pytest.approx(np.zeros(4), abs=1e-6)
    assert look.scaled(look.arrays["trivial"], axis=0) == pytest.approx(np.ones(4))


def test_the_common_scale_does_not_know_the_units_of_a_loss(look):
    other = {key: held if "path" in key else held * 7.5 - 3 for key, held in look.arrays.items() if key in ("surface", "centre", "trivial")}  # fmt: skip
    twin = replace(look, arrays={**look.arrays, **other})
    assert twin.scaled(twin.arrays["surface"], axis=1) == pytest.approx(
        look.scaled(look.arrays["surface"], axis=1), rel=1e-3, abs=1e-4
    )


def test_a_solution_no_better_than_the_trivial_predictor_has_no_common_scale(data, tmp_path):
    known = with_looks(data, tmp_path)
    look = surfaces_of(read_look(known.auxiliary[-1], "surfaces.npz", "a"))
    held = {**look.arrays, "trivial": look.arrays["trivial"].copy()}
    held["trivial"][1] = held["centre"][look.chosen, 1] / 2
    worse = replace(look, arrays=held)
    assert worse.comparable_L.tolist() == [True, False, True, True]
    assert np.isfinite(worse.scaled(held["surface"], axis=1)).all()
    assert surface_rows(worse)[1]["rises"][0]["note"] == ""
    np.savez(tmp_path / "look-0" / "surfaces.npz", **held)
    (told,) = section(known)["surfaces"]["looks"]
    assert told["beyond"].startswith("By focal loss this solution is no better than the trivial predictor")


@pytest.mark.parametrize("size", [21, 41])
def test_what_is_packed_is_what_was_there(size):
    values = RNG.normal(size=(3, 2, size, size)).cumsum(axis=-1) * 10.0 ** RNG.integers(-3, 5, (3, 2, 1, 1))
    values[0, 0, :2, 3:7], values[1, 1, -1, -1], values[2, 0] = np.nan, np.nan, 0.25
    ranges, data = packed(values)
    again = unpacked(ranges, data, values.shape)
    assert (np.isnan(again) == np.isnan(values)).all()
    known = np.isfinite(values)
    assert (np.abs(again - values)[known] <= 5e-4 * np.abs(values[known]) + 1e-5).all()


def test_a_plane_without_any_number_is_packed_too():
    ranges, data = packed(np.full((1, 5, 5), np.nan))
    assert np.isnan(unpacked(ranges, data, (1, 5, 5))).all()


def test_41_by_41_points_of_20_epochs_and_4_criteria_stay_below_300_kb(tmp_path):
    look = surfaces_of(
        read_look(
            make_look(tmp_path / "look", FIT, points=41, epochs=tuple(range(20)), chosen=15),
            "surfaces.npz",
            "a",
        )
    )
    noise = 1 + 0.01 * RNG.normal(size=look.arrays["surface"].shape)
    noisy = replace(look, arrays={**look.arrays, "surface": look.arrays["surface"] * noise})
    for one in (look, noisy):
        assert len(json.dumps(embedded([one]))) < 300_000


def test_nothing_is_shown_where_nobody_looked(data):
    assert section(data) is None


def test_the_page_holds_drawings_tables_and_data(data, tmp_path):
    page = render(with_looks(data, tmp_path, 2))
    assert page.count('class="chart contour"') == 2 * (3 * 4 + 4)
    assert page.count("<script") == 1
    data = json.loads(re.search(r'data-surfaces="([^"]*)"', page)[1].replace("&#34;", '"'))
    assert [one["criteria"] for one in data["looks"]] == [[title for _, title, _ in CRITERIA]] * 2
    assert "of a random walk with as many steps, which goes nowhere, such a plane holds 76" in page
    assert "axis 1: 71\u00a0% (walk: 61\u00a0%)" in page
    assert '<td class="num" data-value="12.5">12.5</td>' in page
    assert "not converged" in page
    assert "± 11" in page


def test_the_tables_have_the_numbers_that_are_drawn(look):
    rows = surface_rows(look)
    assert len(rows) == 5 * 4
    assert [row["chosen"] for row in rows[::4]] == [False, False, False, True, False]
    first = rows[0]
    assert first["centre"]["value"] == pytest.approx(TRIVIAL[0] * 1.02, rel=1e-5)
    lines = look.arrays["lines"][0].mean(axis=2).std(axis=0)
    assert [row["spread"]["value"] for row in rows[:4]] == pytest.approx(lines, rel=1e-4)
    path = path_rows(look)
    assert [row["epoch"] for row in path] == list(range(13))
    assert path[-1]["residual"]["value"] == 0


@pytest.mark.parametrize(
    ("replay", "words"),
    [
        ({"equal": True, "largest_difference": 0.0}, "ended with the same weights, bit for bit."),
        ({"equal": False, "largest_difference": 2e-7}, "no weight differs by more than 2e-07."),
        ({"equal": False, "largest_difference": 0.031}, "differ from those of the fit by up to 0.031: what is shown is a twin of the fit, trained alike, and not the fit itself."),
        ({}, "Chosen epoch: 8 of 12. Batch-norm statistics were measured anew at every point."),
    ],
)  # fmt: skip
def test_whether_the_replay_is_the_fit_is_said(data, tmp_path, replay, words):
    known = with_looks(data, tmp_path)
    known.auxiliary[-1].result["replay"] = replay
    (told,) = section(known)["surfaces"]["looks"]
    assert told["about"].endswith(words)
    assert told["about"].startswith(
        "Repeat 1, fold 1, 64 images of the training part, without augmentation or dropout. Trained with cross-entropy."
    )


def test_a_damaged_file_is_said_and_the_rest_is_shown(data, tmp_path):
    known = with_looks(data, tmp_path, 2)
    (tmp_path / "look-1" / "surfaces.npz").write_bytes(b"damaged")
    held = section(known)["surfaces"]
    assert len(held["looks"]) == 1
    assert len(held["unread"]) == 1
    assert "could not be read: its surfaces.npz is gone or damaged" in render(known)
    (tmp_path / "look-0" / "surfaces.npz").unlink()
    assert "data-surfaces" not in render(known)


def test_several_folds_of_one_configuration_have_names_of_their_own(data, tmp_path):
    first = data.configurations[0]
    looks = [make_look(tmp_path / f"look-{n}", {"configuration": first.id, "repeat": 0, "fold": n}) for n in (2, 0)]  # fmt: skip
    held = section(replace(data, auxiliary=looks))["surfaces"]
    assert [one["name"] for one in held["looks"]] == [
        f"{first.name}, repeat 1, fold 1",
        f"{first.name}, repeat 1, fold 3",
    ]


def test_names_are_escaped_and_one_epoch_is_enough(data, tmp_path):
    criteria = (("evil", MARKUP, "loss"), ("error", "1 − Dice", "error"))
    known = with_looks(data, tmp_path, criteria=criteria, epochs=(0,), chosen=0, batch_norm=False, between=0)
    page = render(known)
    assert MARKUP not in page
    assert "&lt;script&gt;alert(1)" in page
    (told,) = section(known)["surfaces"]["looks"]
    assert len(told["planes"]) == 1
    assert told["between"] is None
    assert told["lines"]["stale"] is False


def test_many_looks_are_counted_and_not_all_drawn(data, tmp_path):
    first = data.configurations[0].id
    looks = [make_look(tmp_path / f"look-{n}", {"configuration": first, "repeat": n, "fold": 0}, points=5, epochs=(0, 1), chosen=1) for n in range(14)]  # fmt: skip
    held = section(replace(data, auxiliary=looks))["surfaces"]
    assert (len(held["looks"]), held["left_out"], held["not_turned"]) == (
        MAX_DRAWN,
        2,
        MAX_DRAWN - MAX_TURNED,
    )
    assert len(json.loads(held["data"])["looks"]) == MAX_TURNED


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0"), (-0.0, "0"), (-1.5, "−1.5"), (1234.5, "1.23e+03"), (1e-9, "1e-09"), (None, "–"), (float("nan"), "–")],
)  # fmt: skip
def test_numbers_have_three_digits_that_count(value, words):
    assert brief(value) == words


@pytest.mark.parametrize(
    ("criterion", "title"),
    [
        ({"name": "dice_cross_entropy", "title": "dice_cross_entropy"}, "Dice cross entropy"),
        ({"name": "focal"}, "Focal"),
        ({"name": "1 - dice", "title": "1 - Dice per image"}, "1 − Dice per image"),
        ({"name": "ce", "title": "Cross-entropy"}, "Cross-entropy"),
    ],
)
def test_criteria_have_names_that_can_be_read(look, criterion, title):
    assert replace(look, result={**look.result, "criteria": [criterion]}).titles == [title]
