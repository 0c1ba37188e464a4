"""Numbers as colours: levels, ticks, palettes, and maps made smaller."""

import numpy as np
import pytest
from trained_runs import read

from foldwise.reporting.drawing.pictures import (
    NUM_COLOURS,
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
from foldwise.study.ranges import IGNORE


def test_a_ramp_grows_lighter_with_every_step_and_levels_with_every_value():
    colours = np.array(ramp())
    light = colours @ [0.2126, 0.7152, 0.0722]
    assert len(colours) == NUM_COLOURS
    assert (np.diff(light) > 5).all()
    levels = HeatScale(4.0).level(np.array([0.0, 0.01, 1.0, 3.99, 4.0, 80.0, np.nan]))
    assert levels.tolist() == [0, 0, 7, NUM_COLOURS - 1, NUM_COLOURS - 1, NUM_COLOURS - 1, NUM_COLOURS]
    assert 1 / 4**0.5 * NUM_COLOURS > 7  # 1 of 4 is half way by the square root


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
