"""The sections of studies with several labels: correlations, and thresholds with what they are worth."""

import re

import numpy as np
import pytest
from make_run import MARKUP

from foldwise.judging.curves import Line, ThresholdCurve
from foldwise.reporting.drawing.classes import MAX_DRAWN, commonest, correlation_matrix
from foldwise.reporting.drawing.curves import threshold_panel
from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.images import data_card
from foldwise.reporting.sections.images.data_card import phi
from foldwise.reporting.sections.images.gallery import MAX_PREDICTED, names_of
from foldwise.reporting.sections.verdict.calibration import thresholds_section


@pytest.fixture(scope="module")
def data(runs):
    return gather(runs["multilabel"])


def test_every_pair_of_labels_is_a_cell_with_its_names_and_numbers(data):
    held = data_card.matrix_of(data)
    drawn = str(data_card.labels_section(data)["labels"]["matrix"])
    told = re.findall(r"<title>([^<]* and [^<]*): (−?[\d.]+), together in (\d+)</title>", drawn)
    K = len(data.classes)
    assert len(told) == K * (K - 1) / 2
    correlation = phi(held)
    pairs = [(a, b) for b in range(K) for a in range(b)]
    for (_, value, together), (a, b) in zip(told, pairs, strict=True):
        assert float(value.replace("−", "-")) == pytest.approx(correlation[a, b], abs=6e-4)
        assert int(together) == (held[:, a] & held[:, b]).sum()
    assert MARKUP not in drawn


def test_the_strongest_correlation_is_the_deepest_colour():
    told = np.array([[1, 0.8, np.nan], [0.8, 1, -0.2], [np.nan, -0.2, 1]])
    drawn = str(correlation_matrix(["a", "b", "c"], told, np.ones((3, 3)), title="t"))
    cells = re.findall(r'class="(phi \w+)" fill-opacity="([\d.]+)"><title>', drawn) or re.findall(
        r'class="(phi \w+)" fill-opacity="([\d.]+)"', drawn
    )
    assert cells[:2] == [("phi plus", "1.00"), ("phi minus", "0.50")]


def test_the_panel_of_a_label_has_a_line_for_every_fit_and_a_mark_for_every_threshold():
    grid = np.geomspace(0.001, 1, 5)
    folds = Line(grid, grid), Line(grid, 1 - grid)
    curve = ThresholdCurve(folds, Line(grid, np.full(5, 0.5)), (0.02, 0.5, 1e-6))
    drawn = str(threshold_panel("F1 of a < b", curve))
    assert drawn.count('class="curve fold"') == 2
    assert drawn.count('class="curve winner"') == 1
    marks = [float(x) for x in re.findall(r'<line x1="([\d.]+)" x2="\1"[^>]*class="limit"', drawn)]
    assert marks[2] == 30  # below the axis: at its end
    assert marks[2] < marks[0] < marks[1] < 216
    assert "a &lt; b" in drawn


def test_the_sections_stand_in_reports_of_several_labels_only(data, runs):
    page = render(data)
    assert 'id="thresholds"' in page
    assert 'id="labels"' in page
    assert (
        "a label is predicted was set on the validation images of each fold, too: probabilities are calibrated"
        in page
    )
    told = thresholds_section(data)["thresholds"]
    assert [row["kind"] for row in told["compared"]] == ["", "", "", "", "", "winner", "baseline", "baseline"]
    assert len(told["rows"]) == len(data.classes)
    other = gather(runs["trivial"])
    assert data_card.labels_section(other) is thresholds_section(other) is None


def test_pictures_say_what_the_thresholds_say(data):
    winner = data.winner.id
    said = data.curves.decisions[winner]
    assert said.keys() == data.probabilities(winner).keys()
    found = data.configurations[0].per_class
    for k, name in enumerate(data.classes):
        hits = sum(said[case.index][k] for case in data.cases if k in case.labels)
        assert hits / found[name]["support"] == pytest.approx(found[name]["sensitivity"])


def test_of_many_labels_said_the_most_probable_are_named_in_their_order():
    names, shares = [f"c{k}" for k in range(9)], [0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4, 0.5]
    assert names_of([], shares, names) == "no label"
    assert names_of(range(MAX_PREDICTED + 1), shares, names) == "c0, c1, c2, c3"
    assert names_of(range(9), shares, names) == "c0, c2, c4 and 6 more"


def test_of_very_many_classes_the_commonest_are_drawn_and_the_rest_is_counted():
    numbers = [(k * 7) % 50 for k in range(50)]
    drawn, left_over = commonest(numbers, numbers)
    assert left_over == 50 - MAX_DRAWN == 10
    assert drawn == [number for number in numbers if number >= 10]
    assert commonest(list(range(28)), [0] * 28) == (list(range(28)), 0)  # those of the Human Protein Atlas
