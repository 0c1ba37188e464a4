"""Drawings of configurations: rows of the leaderboard, and scores against costs."""

from xml.etree import ElementTree

import pytest

from foldwise.judging.verdict_configurations import ConfigurationResult, Cost
from foldwise.reporting.drawing.rows import baseline_row, interval_row, scale_head, score_scale
from foldwise.reporting.sections.verdict.costs import OTHERS, cost_chart


def configuration(place, estimate, *, verdict="worse", latency=5.0, span=0.02, **cost):
    low, high = (None, None) if estimate is None else (estimate - span, estimate + span)
    folds = [{"repeat": 0, "fold": 0, "score": estimate}]
    nothing = {
        "metrics": {},
        "per_class": {},
        "levels": {},
        "failures": (),
        "confusion": None,
        "split_scores": None,
    }
    scores = {"estimate": estimate, "low": low, "high": high, "folds": folds, "verdict": verdict}
    names = {"id": f"c-{place}", "name": f"model <{place}>", "num_done": 1, "num_planned": 1}
    return ConfigurationResult(**names, **scores, **nothing, cost=Cost(latency_ms=latency, **cost))


def parts(drawn, class_):
    return [one for one in ElementTree.fromstring(str(drawn)).iter() if one.get("class") == class_]


def test_a_row_shows_interval_fold_and_the_winners_shade():
    told = [configuration(0, 0.9, verdict="winner"), configuration(1, 0.85)]
    row = interval_row(told[1], told[0], score_scale(told))
    assert len(parts(row, "bar worse")) == len(parts(row, "ring")) == len(parts(row, "shade")) == 1
    assert len(parts(row, "mark worse")) == 1
    assert "0.85, interval 0.83 to 0.87" in row


def test_a_hopeless_configuration_is_an_arrow_and_does_not_squeeze_the_others():
    told = [configuration(place, 0.9 - place / 100) for place in range(8)] + [configuration(9, 0.1)]
    scale = score_scale(told)
    assert scale.low > 0.5
    assert "◂ 0.10" in interval_row(told[-1], told[0], scale)


def test_a_configuration_without_a_score_has_an_empty_row():
    told = [configuration(0, None, verdict="failed")]
    row = interval_row(told[0], None, score_scale(told))
    assert not parts(row, "mark unsure")
    assert "model &lt;0&gt;: –" in row


@pytest.mark.parametrize(("estimate", "said"), [(0.1, "◂ 0.10"), (0.9, "M"), (1.5, "1.50 ▸")])
def test_a_baseline_is_a_cross_or_an_arrow(estimate, said):
    scale = score_scale([configuration(0, 0.88), configuration(1, 0.92)])
    assert said in baseline_row(estimate, scale)
    assert baseline_row(None, scale) == ""
    assert scale_head(scale).startswith("<svg")


def test_cost_names_those_that_nothing_beats():
    told = [
        configuration(0, 0.9, latency=20.0),
        configuration(1, 0.89, latency=30.0),
        configuration(2, 0.8, latency=2.0),
    ]
    drawn = cost_chart(told, title="Dice")
    named = [one.text for one in parts(drawn, "name")]
    assert named == ["model <0>", "model <2>"]


def test_cost_differences_within_the_interval_of_the_winner_are_drawn_small():
    first = configuration(0, 0.355, latency=20.0, verdict="winner", span=0.07)
    other = configuration(1, 0.347, latency=30.0, verdict="could be best")
    drawn = cost_chart([first, other], title="Dice")
    assert len(parts(drawn, "shade")) == 1
    heights = [float(label.text) for label in parts(drawn, "tick") if label.text.startswith("0.")]
    assert max(heights) - min(heights) > 0.09


def test_without_latency_there_is_no_cost_chart():
    assert cost_chart([configuration(0, 0.9, latency=None)], title="Dice") is None


def test_where_all_are_equally_fast_there_is_no_cost_chart_and_an_equally_fast_worse_one_is_not_named():
    alike = [configuration(place, 0.9 - place / 10, latency=5.0) for place in range(2)]
    assert cost_chart(alike, title="Dice") is None
    drawn = cost_chart([*alike, configuration(2, 0.6, latency=2.0)], title="Dice")
    assert [one.text for one in parts(drawn, "name")] == ["model <0>", "model <2>"]


def test_score_stands_against_every_cost_that_was_measured_and_differs():
    alike = {"peak_memory_mb": 420.0}
    told = [
        configuration(place, 0.9 - place / 10, train_s=10.0 + 10 * place, **alike) for place in range(1, 3)
    ]
    told.insert(0, configuration(0, 0.9, train_s=10.0, energy_j=7200.0, **alike))
    drawn = [cost_chart(told, title="Dice", price=price, width=310) for price in OTHERS]
    assert [one is not None for one in drawn] == [True, False, True]  # memory is the same for all
    assert "seconds of training per fold →" in drawn[0]
    assert "watt-hours per fold →" in drawn[2]
    assert "2.0\u00a0Wh" in drawn[2]
    # a pass of the encoder that needs more than the fit
    told[1] = configuration(1, 0.8, shared_peak_memory_mb=900.0, **alike)
    assert cost_chart(told, title="Dice", price=OTHERS[1]) is not None
