"""Auxiliary items in the verdict: copies and baselines are judged as fits are, failures and speeds are listed."""

import csv

import numpy as np
import pytest
from auxiliary_items import (
    BLUR,
    NOISE,
    TASKS,
    add,
    asked_about_worse_images,
    asking,
    scores_of,
    with_baselines,
)
from judged import judge
from tiny_run import Wanted, make_run

from foldwise.judging.sections.auxiliary import throughput_section, with_bottlenecks
from foldwise.judging.verdict_configurations import SpeedPoint
from foldwise.runs.auxiliary import read_auxiliary
from foldwise.runs.folder import RunFolder, read_json, write_json
from foldwise.runs.items import Item
from foldwise.runs.plan import Plan
from foldwise.study.training import Training


@pytest.mark.parametrize("task", TASKS)
def test_images_as_they_are_have_the_numbers_of_the_table(tmp_path, task):
    folder = asked_about_worse_images(make_run(tmp_path / "run", Wanted(task=task, skills=(1.0, 2.0, 1.5))))
    verdict = judge(folder)
    told = verdict["robustness"]
    assert (told["blur_px"], told["noise"]) == (BLUR, NOISE)
    assert told["metrics"][0] == verdict["metric"]["name"]
    assert len(told["metrics"]) == len(set(told["metrics"])) in (4, 5)
    assert [one["id"] for one in told["configurations"]] == [one["id"] for one in verdict["configurations"]]
    for own, one in zip(verdict["configurations"], told["configurations"], strict=True):
        places = [(held["blur_px"], held["noise"]) for held in one["conditions"]]
        assert places == [(blur, noise) for blur in BLUR for noise in NOISE]
        for name, held in one["conditions"][0]["metrics"].items():
            assert held == {key: own["metrics"][name][key] for key in ("estimate", "low", "high")}, name
        name = told["metrics"][0]
        spoiled = [held["metrics"][name]["estimate"] for held in one["conditions"][1:]]
        assert max(spoiled) < own["metrics"][name]["estimate"]


def test_nothing_is_chosen_by_robustness(tmp_path):
    plain = judge(make_run(tmp_path / "plain"))
    asked = judge(asked_about_worse_images(make_run(tmp_path / "asked")))
    assert plain["robustness"] is None
    assert {key for key in plain if plain[key] != asked[key]} == {"robustness"}


def test_a_configuration_that_was_not_asked_everywhere_is_left_out(tmp_path):
    folder = asked_about_worse_images(make_run(tmp_path / "run"), leave_out={1})
    verdict = judge(folder)
    left = folder.load_plan().items[1].settings["configuration"]
    assert left not in [one["id"] for one in verdict["robustness"]["configurations"]]
    assert len(verdict["robustness"]["configurations"]) == 1
    assert verdict["state"] != "incomplete"


def test_a_baseline_that_says_what_a_configuration_says_has_its_scores(tmp_path):
    wanted = Wanted(task="multiclass_segmentation", skills=(0.6, 2.0))
    folder = with_baselines(make_run(tmp_path / "run", wanted), like=1)
    verdict = judge(folder)
    baseline, *trivial = verdict["baselines"]
    winner = verdict["configurations"][0]
    assert (baseline["id"], baseline["kind"]) == ("random_forest (trees 50)", "shallow")
    assert {one["kind"] for one in trivial} == {"trivial"}
    assert baseline["estimate"] == winner["estimate"]
    assert baseline["per_class"] == winner["per_class"]
    assert baseline["low"] < baseline["estimate"] < baseline["high"]
    assert baseline["difference"] == 0
    assert (baseline["cost"]["train_s"], baseline["beaten"]) == (3.0, False)
    said = "is not shown to be better than the shallow baseline random forest (trees 50)"
    assert verdict["warnings"][0]["code"] == "BASELINE_NOT_BEATEN"
    assert said in verdict["warnings"][0]["message"]
    assert said in verdict["answer"]["sentence"]


def test_a_baseline_that_is_clearly_worse_is_beaten_and_changes_nothing(tmp_path):
    wanted = Wanted(task="multiclass_segmentation", skills=(0.3, 2.5, 2.4))
    plain = judge(make_run(tmp_path / "plain", wanted))
    verdict = judge(with_baselines(make_run(tmp_path / "run", wanted), like=0))
    assert verdict["baselines"][0]["beaten"] is True
    assert verdict["baselines"][0]["p"] <= 0.05
    assert {key for key in plain if plain[key] != verdict[key]} == {"baselines"}


def test_networks_that_are_worse_beyond_chance_are_called_so(tmp_path):
    wanted = Wanted(task="multiclass_segmentation", skills=(0.3, 2.5))
    folder = with_baselines(make_run(tmp_path / "run", wanted), like=1)
    plan = folder.load_plan()
    poor = plan.configurations[0].id
    items = tuple(one for one in plan.items if one.settings.get("configuration") in (None, poor))
    folder.save_plan(Plan(items, plan.configurations[:1]))
    message = judge(folder)["warnings"][0]["message"]
    assert "is worse beyond chance than the shallow baseline random forest (trees 50)" in message


def test_a_baseline_without_all_its_folds_is_not_told(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(task="binary_segmentation"))
    verdict = judge(with_baselines(folder, like=1, leave_out={0}))
    assert {one["kind"] for one in verdict["baselines"]} == {"trivial"}


def test_baselines_are_rows_of_the_table(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(task="binary_segmentation", skills=(1.0, 2.0)))
    folder = with_baselines(with_baselines(folder, like=1), like=0, name="boosted_trees")
    judge(folder)
    with folder.results.open(newline="", encoding="utf-8") as file:
        rows = {row["configuration"]: row for row in csv.DictReader(file)}
    assert [row["verdict"] for row in rows.values()][2:] == ["shallow", "shallow", "trivial", "trivial"]
    first = rows["random_forest (trees 50)"]
    assert first["train_s"] == "3.0"
    assert first["dice_img_macro"] == first["estimate"] == next(iter(rows.values()))["estimate"]


def test_failed_items_beside_the_fits_are_told_and_stop_nothing(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(skills=(0.2, 3.0), num_cases=90, repeats=2))
    error = {"type": "ValueError", "message": "no picture", "traceback": ""}
    item = Item("preview-1", "preview", (), "preview of flips", {})
    add(folder, [(item, lambda path: {"status": "failed", "error": error})])
    verdict = judge(folder)
    assert verdict["failed_items"] == [
        {
            "item": "preview-1",
            "kind": "preview",
            "title": "preview of flips",
            "type": "ValueError",
            "message": "no picture",
        }
    ]
    assert verdict["state"] == "clear_winner"


def again(folder, *likes, leave_out=()):
    """Copies of the first configuration, each of which said what another one (by place) said."""
    fits = [item for item in folder.load_plan().items if item.kind == "fit"]
    ids = list(dict.fromkeys(fit.settings["configuration"] for fit in fits))
    made = []
    for copy, like in enumerate(likes, start=1):
        theirs = [fit for fit in fits if fit.settings["configuration"] == ids[like]]
        for place, fit in enumerate(theirs):
            settings = fit.settings | {"configuration": ids[0], "copy": copy}
            item = Item(f"aa_test-{copy}-{place}", "aa_test", (), f"again {copy}: {fit.title}", settings)

            def make(path, fit=fit):
                np.savez(path / "scores.npz", **scores_of(folder, fit))

            made.append((item, None if (copy, place) in leave_out else make))
    add(folder, made)
    validate = read_json(folder.study_record)["validate"] | {"aa_test": len(likes)}
    return asking(folder, validate=validate)


@pytest.mark.parametrize("task", TASKS)
def test_exact_copies_have_the_score_and_are_never_told_apart(tmp_path, task):
    verdict = judge(again(make_run(tmp_path / "run", Wanted(task=task, skills=(1.0, 2.0))), 0, 0))
    told = verdict["aa_test"]
    first = next(one for one in verdict["configurations"] if one["id"] == told["configuration"])
    assert told["estimates"] == [first["estimate"]] * 3
    assert told["largest_difference"] == 0 == pytest.approx(told["sd"])
    assert told["pairs"]["num"] == 3
    assert told["pairs"]["num_alarms"] == told["pairs"]["num_alarms_all"] == 0
    assert "EQUALS_DIFFER" not in {one["code"] for one in verdict["warnings"]}


def test_copies_that_are_far_better_are_an_alarm(tmp_path):
    wanted = Wanted(skills=(0.1, 3.0), num_cases=120)
    verdict = judge(again(make_run(tmp_path / "run", wanted), 1, 0, 1))
    told = verdict["aa_test"]
    estimates = {one["id"]: one["estimate"] for one in verdict["configurations"]}
    low, high = sorted(estimates.values())
    assert told["estimates"] == [low, high, low, high]
    assert told["largest_difference"] == pytest.approx(high - low)
    assert told["pairs"]["num"] == 6
    assert told["pairs"]["num_alarms"] == told["pairs"]["num_alarms_all"] == 4
    assert verdict["warnings"][0]["code"] == "EQUALS_DIFFER"
    assert "4 of 6 pairs" in verdict["warnings"][0]["message"]


def test_nothing_else_depends_on_it(tmp_path):
    plain = judge(make_run(tmp_path / "plain"))
    asked = judge(again(make_run(tmp_path / "asked"), 0, 0))
    assert plain["aa_test"] is None
    assert {key for key in plain if plain[key] != asked[key]} == {"aa_test"}


def test_a_copy_that_lacks_a_fold_is_left_out(tmp_path):
    told = judge(again(make_run(tmp_path / "run"), 0, 0, leave_out={(2, 1)}))["aa_test"]
    assert (len(told["estimates"]), told["num_planned"]) == (2, 2)
    assert judge(again(make_run(tmp_path / "none"), 0, leave_out={(1, 0)}))["aa_test"] is None


POINT = {
    "batch_size": 4,
    "train": None,
    "limit": None,
    "inference": None,
    "peak_memory_mb": None,
    "problem": "out of memory",
}


def test_what_is_done_or_failed_is_told_in_plan_order(tmp_path):
    folder = RunFolder(tmp_path)
    items = [
        Item(f"measure-{cache}", "measure", (), f"speed of conv, cache {cache}", {
            "training": Training.model_validate(
                {"model": {"conv": {"width": 4}}, "cache": cache}
            ).model_dump(mode="json")
        })
        for cache in ("memory", "disk", "none")
    ]  # fmt: skip
    fit = Item("fit-1", "fit", (), "a fit", {})
    folder.save_plan(Plan((fit, *items), ()))
    for name, result in (
        ("fit-1", {"status": "done", "points": [1]}),
        ("measure-none", {"status": "done", "error": None, "held": "none", "points": [POINT]}),
        ("measure-memory", {"status": "failed", "error": {"message": "no room"}}),
    ):
        folder.done(name).mkdir(parents=True)
        write_json(folder.done(name) / "result.json", result)
    told = throughput_section(read_auxiliary(folder, folder.load_plan()))
    assert [(row.model, row.cache, row.error) for row in told] == [
        ("conv (width 4)", "memory", "no room"),
        ("conv (width 4)", "none", None),
    ]
    assert (told[0].points, told[1].points) == (None, (SpeedPoint(**POINT),))


def speed(median, spread=0.05):
    return {
        "median": median,
        "low": (1 - spread) * median,
        "high": (1 + spread) * median,
        "repeats": 5,
    }


def points(*rows, spread=0.05):
    return [
        SpeedPoint(
            batch_size=size,
            train=train and speed(train, spread),
            limit=limit and speed(limit, spread),
            inference=None,
            peak_memory_mb=None,
            problem=None,
        )
        for size, train, limit in rows
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(1, 50, 100), (4, 80, 100)], ["loading", "loading"]),
        ([(1, 20, 20), (4, 60, 61), (16, 99, 100)], ["steps", "steps", "device"]),
        ([(1, 98, 100), (4, 99, 100)], ["device", "device"]),
        (
            [(1, 98, 100), (4, 60, 61)],
            ["device", "device"],
        ),  # larger batches are slower: no reason to ask for them
        ([(1, None, None), (4, 99, 100)], [None, "device"]),
    ],
)
def test_what_holds_training_up(rows, expected):
    assert [point.bottleneck for point in with_bottlenecks(points(*rows))] == expected


def test_a_difference_within_the_ranges_of_repeats_is_no_bottleneck():
    assert [point.bottleneck for point in with_bottlenecks(points((1, 70, 100), spread=0.5))] == ["device"]


def test_speeds_measured_by_hand_count_and_replace_what_was_planned(tmp_path):
    folder = RunFolder(tmp_path)
    training = Training.model_validate({"model": "conv"}).model_dump(mode="json")
    planned = Item("measure-1", "measure", (), "planned", {"training": training, "packed": "p"})
    folder.save_plan(Plan((planned,), ()))
    about = {"status": "done", "error": None, "held": "disk", "device": "cpu", "precision": "fp32"}
    results = {
        "measure-1": {"points": [POINT]},
        "measure-2": {
            "points": [POINT | {"batch_size": 9}],
            "settings": planned.settings | {"budget_s": 3.0},
        },
        "measure-3": {"points": [POINT], "settings": planned.settings},  # of an earlier plan
        "measure-4": {"points": [], "settings": planned.settings | {"budget_s": 3.0, "packed": "others"}},
    }
    for name, result in results.items():
        folder.done(name).mkdir(parents=True)
        write_json(folder.done(name) / "result.json", about | {"title": name} | result)
    (row,) = throughput_section(read_auxiliary(folder, folder.load_plan()))
    assert (row.title, row.points[0].batch_size) == ("measure-2", 9)
