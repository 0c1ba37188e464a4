"""Lines by epoch: their scales, and learning curves of every fold."""

from xml.etree import ElementTree

import pytest

from foldwise.reporting.drawing.series import Series, learning_panel, learning_scale, panel, span_of
from foldwise.reporting.drawing.svg import Scale


def parts(drawn, class_):
    return [one for one in ElementTree.fromstring(str(drawn)).iter() if one.get("class") == class_]


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


def fit(epochs, best):
    rows = [
        {"epoch": e, "train_loss": 1 / e, "val_loss": 1.2 / e, "val_score": 1 - 1 / e}
        for e in range(1, epochs + 1)
    ]
    return {"epochs": rows, "best_epoch": best}


@pytest.mark.parametrize(("epochs", "best"), [(1, 1), (20, 7), (1000, 613)])
def test_learning_curves_mark_the_chosen_epoch_and_stay_small(epochs, best):
    results = [fit(epochs, best), fit(epochs, best)]
    drawn = learning_panel("Learning", results, scores=learning_scale(results))
    assert len(parts(drawn, "chosen")) == 4
    assert len(parts(drawn, "learn validation")) == 4
    assert len(drawn) < 12_000


def test_learning_without_scores_or_numbers_is_drawn_all_the_same():
    results = [
        {"epochs": [{"epoch": 1, "train_loss": None, "val_loss": None, "val_score": None}], "best_epoch": 1}
    ]
    assert learning_scale(results) is None
    assert learning_panel("Learning", results, scores=None).startswith("<svg")


def test_losses_far_above_all_later_ones_are_cut_off_and_said():
    wild = fit(12, 7)
    wild["epochs"][0]["val_loss"] = 4170.0
    drawn = learning_panel("Learning", [wild, fit(12, 7)], scores=None)
    assert "cut off: up to 4,170" in drawn
    heights = [float(pair.split(",")[1]) for one in parts(drawn, "learn validation") for pair in one.get("points").split()]  # fmt: skip
    assert min(heights) >= 20
    assert max(heights) - min(heights) > 60
    assert "cut off" not in learning_panel("Learning", [{**fit(1, 1)}], scores=None)
