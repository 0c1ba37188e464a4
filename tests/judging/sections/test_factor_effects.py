"""What the verdict says of the factors: sentences, costs, and the fields that the report draws."""

from types import SimpleNamespace

import numpy as np
import pytest

from foldwise.judging.judgement import Terms, judge_scores
from foldwise.judging.scores.scoring import Scored
from foldwise.judging.sections.factor_effects import COST_KEYS, factors_section
from foldwise.judging.statistics.design import factors_of
from foldwise.judging.verdict_configurations import Cost
from foldwise.metrics.influence import Units
from foldwise.metrics.table import METRICS
from foldwise.study.configurations import configurations
from foldwise.study.reading import study_from_dict


def told(compare, scores, metric="accuracy", drop=(), noise=0.02, cost=lambda levels: {}, judge=None):
    """The section of a made-up study: configuration -> score by its levels, with little noise of images and runs."""
    train = {} if "model" in compare else {"model": "unet"}
    written = {"study": "s", "data": {"path": "x"}, "compare": compare, "train": train, "judge": judge or {}}
    study = study_from_dict(written)
    rng, n = np.random.default_rng(0), 60
    rows = SimpleNamespace(configurations=configurations(study))
    kept = [one for place, one in enumerate(rows.configurations) if place not in drop]
    folds = np.stack([rng.permutation(n) % 5 for _ in range(2)])
    scored = {}
    for one in kept:
        values = scores(one.levels) + rng.normal(0, noise, (2, n))
        values -= values.mean() - scores(one.levels)
        scored[one.id] = Scored(
            {metric: scores(one.levels)}, {metric: values}, {metric: n}, {metric: None}, unit_folds=folds
        )
    units, row = Units.from_groups([str(i) for i in range(n)]), METRICS[metric]
    terms = Terms(study.judge, row, {metric: row}, units, n, ("image", "images"))
    judgement = judge_scores(terms, scored, list(scored))
    results = [SimpleNamespace(id=one.id, cost=Cost(**cost(one.levels))) for one in rows.configurations]
    by_id = {one.id: one for one in rows.configurations}
    compared = [by_id[id] for id in judgement.comparable]
    factors = factors_of(study, compared) if len(compared) > 1 else ()
    made = factors_section(factors, judgement, results)
    return made and made.model_dump(mode="json")


HEADS = {"head": ["linear", "mlp"], "loss": ["cross_entropy", "focal"]}


def by_head(levels):
    return 0.7 + 0.1 * (levels["head"] == "mlp")


def only(held, name, view=None):
    (one,) = [one for one in held["factors"] if (one["factor"], one["view"]) == (name, view)]
    return one


def test_a_better_level_is_named_with_its_interval_and_its_pairs():
    held = told(HEADS, by_head)
    head = only(held, "head")
    assert head["sentence"].startswith("mlp is better than linear by 0.10 (95 % interval 0.0")
    assert head["sentence"].endswith("). 2 of 2 matched pairs agree.")
    assert (
        held["sentence"]
        == "Freed from noise, about 100 % of the differences between configurations come from head."
    )
    assert held["shares"][0]["factors"] == ["head"]
    assert held["full"]
    (pair,) = head["pairs"]
    assert (pair["a"], pair["b"], pair["conclusion"]) == ("mlp", "linear", "better")
    assert pair["difference"] == pytest.approx(0.1)
    assert head["others"] == ["loss"]
    assert head["sets"] == [
        {"levels": ["cross_entropy"], "scores": pytest.approx([0.7, 0.8])},
        {"levels": ["focal"], "scores": pytest.approx([0.7, 0.8])},
    ]


def test_levels_that_differ_by_less_than_matters_are_equivalent():
    loss = only(told(HEADS, by_head, judge={"equivalent_within": 0.05}), "loss")
    assert loss["sentence"].startswith(
        "cross_entropy and focal are equivalent: they differ by 0.00 (95 % interval −0.0"
    )


def test_levels_within_the_noise_are_not_told_apart():
    held = told(HEADS, lambda levels: 0.7 + 0.001 * (levels["head"] == "mlp"), noise=0.3)
    sentence = only(held, "head")["sentence"]
    assert sentence.startswith("mlp and linear cannot be told apart: they differ by 0.001")
    assert held["shares"] is None
    assert (
        held["sentence"]
        == "Between-configuration differences are mostly noise (100 %), so none is traced to a factor."
    )


def test_of_many_levels_the_best_is_set_against_the_others():
    compare = {"model": ["conv", "unet", "vit"], "head": ["linear", "mlp"]}
    scores = {"conv": 0.6, "unet": 0.8, "vit": 0.79}
    sentence = only(told(compare, lambda levels: scores[levels["model"]], noise=0.1), "model")["sentence"]
    assert sentence.startswith("unet is better than conv by 0.20 (95 % interval 0.1")
    assert sentence.endswith("); it cannot be told apart from vit. Among the others, 1 pair is told apart.")


def test_where_less_is_better_signs_are_those_of_the_metric():
    head = only(told(HEADS, by_head, metric="log_loss"), "head")
    (pair,) = head["pairs"]
    assert (pair["a"], pair["b"]) == ("linear", "mlp")
    assert pair["difference"] == pytest.approx(-0.1)
    assert pair["low"] < pair["difference"] < pair["high"] < 0
    assert head["sentence"].startswith("linear is better than mlp by 0.10 (95 % interval 0.0")
    assert [level["mean"] for level in head["levels"]] == pytest.approx([0.7, 0.8])


def test_nested_levels_are_told_in_both_ways_and_the_flattering_one_is_called_so():
    lr = {"lr": {"each": [0.1, 0.01, 0.001]}}
    compare = {"optimizer": [{"sgd": lr}, "adam"], "head": ["linear", "mlp"]}
    scores = {"sgd (lr 0.1)": 0.4, "sgd (lr 0.01)": 0.9, "sgd (lr 0.001)": 0.5, "adam": 0.7}
    held = told(compare, lambda levels: scores[levels["optimizer"]])
    configured, tuned = (only(held, "optimizer", view) for view in ("as configured", "as tuned"))
    assert configured["sentence"].startswith(
        "As configured (the mean over the settings of each): adam is better than sgd by 0.10 ("
    )
    assert tuned["sentence"].startswith(
        "As tuned (the best setting of each, chosen by the same scores, which flatters those with more settings): "
        "sgd is better than adam by 0.20 ("
    )
    assert tuned["levels"][0]["settings"] == ["sgd (lr 0.01)"]
    assert configured["levels"][0]["settings"] == ["sgd (lr 0.1)", "sgd (lr 0.01)", "sgd (lr 0.001)"]


def test_hardware_is_checked_and_its_costs_are_ratios():
    def cost(levels):
        seconds = 40.0 if levels["device"] == "cpu" else 5.0
        return {"train_s": seconds * (2 if levels["head"] == "mlp" else 1), "latency_ms": 2.0}

    held = told({"device": ["cpu", "cuda"], "head": ["linear", "mlp"]}, by_head, cost=cost)
    device = only(held, "device")
    assert device["covariate"]
    assert device["sentence"].startswith(
        "Hardware cannot cause accuracy: the same code ran, so a difference is run noise or precision. "
    )
    assert device["sentence"].endswith("With cpu, training took 8.0 times as long as with cuda.")
    assert not only(held, "head")["covariate"]
    # the geometric mean over the heads
    assert device["levels"][0]["cost"] == {
        "train_s": pytest.approx(40 * 2**0.5),
        "latency_ms": pytest.approx(2),
    }
    assert set(device["levels"][0]["cost"]) <= set(COST_KEYS)


def test_what_a_grid_lacks_is_said_and_what_changes_together_is_not_separated():
    held = told({"model": ["conv", "unet", "vit"], "head": ["linear", "mlp"]}, by_head, drop=(1,))
    assert not held["full"]
    assert held["sentence"].startswith(
        "Only 5 of 6 combinations can be compared: means are those of a model in which"
    )
    assert only(held, "head")["sentence"].startswith("mlp is better than linear by 0.10")
    together = told(HEADS, by_head, drop=(1, 2))
    for name in HEADS:
        one = only(together, name)
        assert one["sentence"] == (
            f"{name} changes only together with other factors here: its effect cannot be told from theirs."
        )
        assert one["pairs"][0]["conclusion"] == "not estimable"
        assert one["levels"][0]["mean"] is None


def test_without_a_second_level_there_is_nothing_to_say():
    assert told({"head": ["linear"]}, lambda levels: 0.7) is None
    assert told(HEADS, by_head, drop=(0, 1, 2)) is None
