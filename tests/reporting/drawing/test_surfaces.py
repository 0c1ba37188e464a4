"""Contour plots of loss surfaces, and lines through them."""

import re

import numpy as np
import pytest

from foldwise.reporting.drawing.surfaces import (
    LEVELS,
    RAMP,
    Curve,
    Cut,
    Plane,
    Trail,
    contour_panel,
    cut_panel,
    reach,
)
from foldwise.reporting.pages import joined


def corners(drawing, band):
    """The points of a band in pixels, read from its path."""
    path = re.search(rf'<path d="([^"]*)" class="band {band}"', str(drawing))[1]
    found = []
    for piece in path.split("M")[1:]:
        start, steps = piece.rstrip("z").split("l")
        whole = np.array([start.split(), *np.array(steps.split()).reshape(-1, 2)], dtype=int)
        found.append(whole.cumsum(axis=0) / 4)
    return np.concatenate(found)


def test_contours_lie_where_the_function_has_their_level():
    alpha = np.linspace(-1, 1, 41)
    drawing = contour_panel("a bowl", Plane(alpha, alpha, alpha[None, :] ** 2 + alpha[:, None] ** 2))
    places = corners(drawing, "band6") / 75 - (34 / 75 + 1, 8 / 75 + 1)  # above 0.5
    inside = np.abs(places).max(axis=1) < 0.99
    assert np.hypot(*places[inside].T) == pytest.approx(0.5**0.5, abs=0.01)
    assert inside.sum() > 30
    assert 'class="band band8"' not in str(drawing)  # 2 is reached at the corners only


def test_a_flat_plane_and_one_with_few_numbers_are_drawn():
    alpha = np.linspace(-1, 1, 5)
    flat = str(contour_panel("flat", Plane(alpha, alpha, np.full((5, 5), 0.3))))
    assert re.findall(r"band band\d", flat) == ["band band5"]
    few = np.full((5, 5), np.nan)
    few[0, 0] = 1.0
    drawn = str(contour_panel("few", Plane(alpha, alpha, few)))
    assert "band band" not in drawn
    assert re.search(r'd="([^"]*)" class="absent"', drawn)[1].count("M") == 24


def test_what_is_as_good_as_the_solution_is_not_called_lower():
    alpha = np.linspace(-1, 1, 5)
    plateau = np.where(np.abs(alpha)[:, None] < 0.6, 0.0, 0.3) + np.zeros(5)
    drawn = str(contour_panel("steps", Plane(alpha, alpha, plateau)))
    assert 'class="band band0"' not in drawn
    ground = corners(drawn, "band1")  # all of the plane, without holes
    assert np.ptp(ground, axis=0) == pytest.approx([150, 150], abs=0.5)
    assert re.search(r'd="([^"]*)" class="band band1"', drawn)[1].count("M") == 1


def test_the_path_has_a_mark_for_every_checkpoint_and_one_for_the_chosen():
    alpha = np.linspace(-1, 1, 5)
    trail = Trail(np.array([[-0.8, 0.2], [0.1, 0.5], [0.0, 0.0]]), [0, 4, 9], 4)
    drawn = str(contour_panel("path", Plane(alpha, alpha, np.ones((5, 5))), x_title="<x>", trail=trail))
    assert re.findall(r"<title>(epoch \d)</title>", drawn) == ["epoch 0", "epoch 4", "epoch 9"]
    assert drawn.count("step picked") == 1
    assert "&lt;x&gt;" in drawn


def test_the_style_sheet_has_the_colours_of_the_ramp():
    told = dict(re.findall(r"\.(band\d) \{ fill: (#\w+); \}", joined("styles")))
    assert list(told.values()) == list(RAMP)
    assert len(RAMP) == len(LEVELS) + 1


def brightness(colour):
    """Of an sRGB colour, linear, as WCAG 2.1 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return np.dot((0.2126, 0.7152, 0.0722), linear)


def test_every_colour_is_lighter_than_the_one_before():
    assert (np.diff([brightness(one) for one in RAMP]) > 0.008).all()


def test_what_goes_beyond_a_panel_is_said_and_gaps_stay_gaps():
    x = np.linspace(-1, 1, 9)
    values = 12 * x**2
    values[4] = np.nan
    cut = Cut(x, [Curve(values, "series hue0")], marks=((0.0, "start"),))
    ends = reach([cut])
    drawn = str(cut_panel("a & b", cut, ends, x_title="step"))
    assert ends == (pytest.approx(-0.16), pytest.approx(2.16))
    assert "▴ up to 12" in drawn
    assert drawn.count("<polyline") == 3  # the trivial predictor, and two pieces
    assert "a &amp; b" in drawn
