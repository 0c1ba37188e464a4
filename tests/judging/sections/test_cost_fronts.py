"""Score against cost: the front against a search of all pairs, cheaper configurations that may be as good, and the words."""

import numpy as np
import pytest

from foldwise.judging.sections.cost_fronts import batched_times, cost_fronts, cost_sentences
from foldwise.judging.verdict import MetricFacts, Pair
from foldwise.judging.verdict_configurations import (
    ConfigurationResult,
    Cost,
    ModelThroughput,
    Speed,
    SpeedPoint,
)
from foldwise.study.configurations import Configuration
from foldwise.study.training import Training

METRIC = MetricFacts(name="accuracy", title="Accuracy", higher_is_better=True, averaging="", bounded=True)


def result(name, estimate, rank="could be best", **cost):
    return ConfigurationResult(
        id=name,
        name=name.upper(),
        verdict=rank,
        could_be_best=rank in ("winner", "could be best"),
        difference_low=-0.05,
        difference_high=0.01,
        levels={},
        estimate=estimate,
        folds=(),
        metrics={},
        per_class={},
        confusion=None,
        split_scores=None,
        cost=Cost(**cost),
        num_done=1,
        num_planned=1,
        failures=(),
    )


def pair(a, b, conclusion):
    numbers = dict.fromkeys(("difference", "low", "high", "low_all", "high_all", "p", "p_all"), 0.0)
    return Pair[str](
        a=a, b=b, conclusion=conclusion, family="all pairs", minimal_detectable_difference=0.1, **numbers
    )


def fronts_of(rows, pairs=(), **options):
    return cost_fronts(rows, pairs, **{"batched_ms": {}} | options)


def sentences(rows, state="several_tied", **options):
    return cost_sentences(fronts_of(rows, **options), rows, METRIC, state)


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_nothing_beats_in_both(seed):
    rng = np.random.default_rng(seed)
    # Few distinct numbers, so that there are ties.
    scores, costs = np.sort(rng.integers(0, 6, 12))[::-1], rng.integers(1, 7, 12)
    rows = [
        result(f"c{place}", float(score), "winner" if place == 0 else "worse", train_s=float(cost))
        for place, (score, cost) in enumerate(zip(scores, costs, strict=True))
    ]
    (front,) = fronts_of(rows)
    beaten = {
        a.id
        for a in rows
        for b in rows
        if b.estimate >= a.estimate
        and b.cost.train_s <= a.cost.train_s
        and (b.estimate > a.estimate or b.cost.train_s < a.cost.train_s)
    }
    # Of several that are alike in both one stands for all.
    wanted = {(row.estimate, row.cost.train_s) for row in rows if row.id not in beaten}
    of = {row.id: row for row in rows}
    found = [(of[member.id].estimate, member.cost) for member in front.members]
    assert set(found) == wanted
    assert len(found) == len(wanted)
    assert found == sorted(found, key=lambda pair: pair[1])


def test_whether_more_is_better_is_the_order_of_the_rows():
    rows = [
        result("a", 0.1, "winner", train_s=9.0),
        result("b", 0.2, train_s=3.0),
        result("c", 0.3, train_s=5.0),
    ]
    assert [member.id for member in fronts_of(rows)[0].members] == ["b", "a"]


def test_a_better_score_that_is_not_told_apart_from_a_cheaper_one_says_so():
    rows = [
        result("a", 0.9, "winner", train_s=9.0),
        result("b", 0.8, "could be best", train_s=5.0),
        result("c", 0.7, "worse", train_s=3.0),
        result("d", 0.6, "worse", train_s=1.0),
    ]
    pairs = [pair("b", "c", "not distinguishable"), pair("b", "d", "better"), pair("c", "d", "better")]
    (front,) = fronts_of(rows, pairs)
    found = {member.id: member.not_better_than for member in front.members}
    # Of the winner the test of the best decides, of the others that of all pairs.
    assert found == {"d": None, "c": None, "b": "c", "a": "b"}
    assert front.cheapest_rival == "b"


def test_costs_that_hardly_differ_or_are_unknown_have_no_front():
    rows = [result("a", 0.9, "winner", train_s=1.05, parameters=0.0), result("b", 0.8, train_s=1.0)]
    assert fronts_of(rows) == ()
    assert fronts_of([result("a", 0.9, "winner", train_s=1.0)]) == ()
    assert fronts_of([]) == ()


def test_incomplete_configurations_are_on_no_front():
    rows = [
        result("a", 0.9, "winner", train_s=9.0),
        result("b", 0.8, train_s=3.0),
        result("c", 0.99, "incomplete", train_s=1.0),
    ]
    assert fronts_of(rows)[0].values == {"a": 9.0, "b": 3.0}


def test_the_most_memory_counts_the_shared_pass():
    rows = [
        result("a", 0.9, "winner", peak_memory_mb=100.0),
        result("b", 0.8, peak_memory_mb=10.0, shared_peak_memory_mb=400.0),
    ]
    assert fronts_of(rows)[0].values == {"a": 100.0, "b": 400.0}


def test_times_beside_others_are_no_reason_to_choose():
    rows = [
        result("a", 0.9, "winner", train_s=9.0, parameters=9.0, sharers=2.0),
        result("b", 0.8, train_s=3.0, parameters=3.0),
    ]
    assert [front.cost for front in fronts_of(rows)] == ["parameters"]


def test_what_costs_less_and_may_be_as_good_is_said_once_for_all_costs():
    rows = [
        result("a", 0.9, "winner", train_s=12.0, parameters=10.0),
        result("b", 0.88, train_s=3.0, parameters=8.0),
    ]
    assert sentences(rows) == (
        "B trains 4.0 times faster and has 1.2 times fewer parameters than A, and may be as good "
        "(accuracy 0.88 against 0.90; the difference is between −0.050 and 0.010).",
    )
    alike = [rows[0], rows[1].model_copy(update={"equivalent": True})]
    assert "and is as good, as far as it matters" in sentences(alike)[0]


def test_that_everything_cheaper_is_worse_is_said_and_of_the_cheapest_nothing():
    rows = [
        result("a", 0.9, "winner", train_s=12.0, parameters=1.0, peak_memory_mb=5.0),
        result("b", 0.5, "worse", train_s=3.0, parameters=8.0, peak_memory_mb=1.0),
    ]
    assert sentences(rows, "clear_winner") == (
        "Nothing that trains faster or takes less memory than A could be the best as well.",
    )


@pytest.mark.parametrize(
    "state", ["incomplete", "too_few_images", "no_better_than_trivial", "single_configuration"]
)
def test_nothing_is_said_where_it_is_not_known_who_could_be_the_best(state):
    rows = [result("a", 0.9, "winner", train_s=12.0), result("b", 0.88, train_s=3.0)]
    assert sentences(rows, state) == ()


def test_images_in_batches_count_at_the_fastest_and_never_with_decoding():
    def row(model, cache, *speeds, device="cpu"):
        points = [
            SpeedPoint(
                batch_size=size,
                train=None,
                limit=None,
                inference=Speed(median=speed, low=speed, high=speed, repeats=1),
                peak_memory_mb=None,
                problem=None,
            )
            for size, speed in enumerate(speeds, 1)
        ]
        unknown = dict.fromkeys(
            set(ModelThroughput.model_fields) - {"title", "model", "cache", "device", "points"}
        )
        return ModelThroughput(title="", model=model, cache=cache, device=device, points=points, **unknown)

    configurations = [
        Configuration(name, name, {}, Training.model_validate({"model": model}))
        for name, model in (("a", "conv"), ("b", "unet"), ("c", "vit"))
    ]
    results = [result(name, 0.9, device="cpu") for name in "abc"]
    rows = [row("conv", "disk", 100.0, 200.0), row("conv", "none", 900.0), row("unet", "memory", 50.0)]
    rows += [row("vit", "disk", 10.0, device="cuda")]  # not the device of its fits
    assert batched_times(configurations, results, rows) == {"a": 5.0, "b": 20.0}
