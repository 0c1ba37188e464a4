"""Items beside the fits in the verdict: robustness and shallow baselines are judged as configurations are."""

import csv

import pytest
from auxiliary_items import BLUR, NOISE, TASKS, add, asked_about_worse_images, with_baselines
from judged import judge
from tiny_run import Wanted, make_run

from foldwise.runs.items import Item
from foldwise.runs.plan import Plan


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
