import math
from xml.etree import ElementTree

import numpy as np
import pytest

from foldwise.reporting.drawing.svg import (
    SHAPES,
    Scale,
    axes,
    drawing,
    element,
    line,
    marker,
    scale_over,
    text,
    tick_text,
)


def test_text_and_attributes_are_escaped():
    drawn = drawing(text("<b>", 0, 0), width=1, height=1, title='"<script>"')
    assert "<b>" not in drawn
    assert "<script>" not in drawn
    assert ElementTree.fromstring(str(drawn)).find("title").text == '"<script>"'


def test_an_attribute_that_is_none_is_left_out():
    assert element("line", x1=1.04, stroke_width=None, class_="a") == '<line x1="1" class="a"/>'


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.25, 0.5, 0.75, 1]), (0.78, 0.88, [0.8, 0.825, 0.85, 0.875]), (3, 97, [25, 50, 75])],
)
def test_ticks_are_round_and_inside(low, high, expected):
    assert Scale(low, high, 0, 100).ticks(4) == pytest.approx(expected)


def test_ticks_of_whole_numbers_are_whole():
    assert Scale(1, 8, 0, 100, whole=True).ticks(3) == [2, 4, 6, 8]


@pytest.mark.parametrize(("low", "high"), [(1.2, 4), (0.3, 800), (90, 110)])
def test_logarithmic_ticks_are_inside(low, high):
    ticks = Scale(low, high, 0, 100, log=True).ticks()
    assert all(low <= tick <= high for tick in ticks)
    assert len(ticks) >= 1


def test_a_logarithmic_axis_of_many_decades_leaves_some_out():
    ticks = Scale(0.3, 1e20, 0, 100, log=True).ticks()
    assert 3 <= len(ticks) <= 7
    assert np.diff(np.log10(ticks)) == pytest.approx(4)


def test_a_scale_holds_every_finite_value_with_air():
    scale = scale_over([0.2, math.nan, 0.8, math.inf], 0, 100)
    assert 0 < scale(0.2) < scale(0.8) < 100
    assert scale.inside(0.5)
    assert scale.clamped(9) == 100


@pytest.mark.parametrize("values", [[], [math.nan], [0.5], [0.0]])
def test_a_scale_over_little_or_nothing_still_has_a_span(values):
    scale = scale_over(values, 0, 100)
    assert scale.low < scale.high


def test_ticks_have_the_digits_that_tell_them_apart():
    assert [tick_text(value, [0.8, 0.825]) for value in (0.8, 0.825)] == ["0.800", "0.825"]
    assert tick_text(20.0, [20.0, 40.0]) == "20"
    assert [tick_text(value, [5, 7.5, 10, 12.5]) for value in (5, 7.5, 12.5)] == ["5.0", "7.5", "12.5"]
    assert [tick_text(value, [0.5, 1, 2, 5]) for value in (0.5, 5)] == ["0.5", "5"]
    assert tick_text(5000, [5000, 10000]) == "5k"
    assert [tick_text(value, [1e3, 1e7, 1e11]) for value in (1e3, 1e7, 1e11)] == ["1k", "10⁷", "10¹¹"]


def test_a_line_leaves_out_what_is_not_finite():
    assert 'points="0,0 2,2"' in line([(0, 0), (1, math.nan), (2, 2)], "curve")


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_drawn_with_its_words(shape):
    drawn = ElementTree.fromstring(str(marker(5, 5, shape=shape, class_="mark", title="a & b")))
    assert drawn.get("d").startswith("M5,5")
    assert drawn.find("title").text == "a & b"


def test_axes_name_themselves():
    drawn = axes(Scale(0, 1, 30, 200), Scale(0, 1, 100, 10), x_title="recall", y_title="precision")
    assert "recall" in drawn
    assert "precision" in drawn
