"""Drawings of configurations: rows of the leaderboard, and scores against costs."""

from xml.etree import ElementTree

import pytest

from foldwise.judging.verdict import CostFront, FrontMember
from foldwise.judging.verdict_configurations import ConfigurationResult, Cost
from foldwise.reporting.drawing.rows import baseline_row, interval_row, scale_head, score_scale
from foldwise.reporting.sections.verdict.costs import front_panel, heights_of


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


def test_what_could_be_best_stands_with_its_interval_beside_the_front():
    first = configuration(0, 0.95, verdict="winner", latency=2.0)
    other = configuration(1, 0.7, verdict="could be best", latency=9.0, span=0.2)
    hopeless = configuration(2, 0.1, latency=9.5)
    results = {row.id: row for row in (first, other.model_copy(update={"could_be_best": True}), hopeless)}
    member = FrontMember(id=first.id, cost=2.0, not_better_than=None)
    values = {"c-0": 2.0, "c-1": 9.0, "c-2": 9.5}
    front = CostFront(cost="latency_ms", values=values, members=(member,), cheapest_rival=None)
    cheap = front.model_copy(update={"cost": "parameters", "values": {"c-0": 1.0}})
    about = {
        "score": "Dice",
        "words": dict.fromkeys(results, ""),
        "heights": heights_of([cheap, front], results),
    }
    drawn, other = (front_panel(each, results, {"c-0": "A"}, axis="ms", **about) for each in (front, cheap))
    heights, same = (
        [label.text for label in parts(each, "tick") if label.text.startswith("0.")]
        for each in (drawn, other)
    )
    assert min(map(float, heights)) <= 0.6
    assert set(same) & {"0.6", "0.60"} == set(heights) & {"0.6", "0.60"} != set()
