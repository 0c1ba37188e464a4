"""The verdict on made-up runs: every state, every caution, every file."""

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from judged import judge
from threadpoolctl import threadpool_info, threadpool_limits
from tiny_run import CLASSES, Wanted, make_run

from foldwise.judging import judge as judging
from foldwise.judging.scores.rows import read_rows
from foldwise.judging.sections.warnings import edge
from foldwise.judging.verdict import TRIVIAL_UNBEATEN
from foldwise.metrics import ratios

DIFFERENT, ALIKE = (0.3, 2.5), (1.0, 1.01, 1.02)


def judged(tmp_path, **wanted):
    return judge(make_run(tmp_path / "run", Wanted(**wanted)))


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def codes(verdict):
    return [caution["code"] for caution in verdict["warnings"]]


@pytest.mark.parametrize("task", CLASSES)
def test_a_clear_winner_is_named(tmp_path, task):
    verdict = judged(tmp_path, task=task, skills=DIFFERENT, num_cases=90, repeats=2)
    assert verdict["state"] == "clear_winner"
    assert verdict["answer"]["name"] == "adam (lr 0.01)"
    assert verdict["answer"]["sentence"].startswith("Use adam (lr 0.01): ")
    first, second = verdict["configurations"]
    assert (first["verdict"], second["verdict"]) == ("winner", "worse")
    assert first["low"] < first["estimate"] <= first["high"]
    assert second["difference_high"] < 0
    assert second["ruled_out_by"] == first["id"]
    assert len(first["folds"]) == 6


@pytest.mark.parametrize("task", CLASSES)
def test_near_equals_are_tied(tmp_path, task):
    verdict = judged(tmp_path, task=task, skills=ALIKE)
    assert verdict["state"] == "several_tied"
    assert verdict["answer"]["sentence"].startswith("No single winner: ")
    assert verdict["answer"]["num_tied"] + verdict["answer"]["num_ruled_out"] == 2
    assert {record["verdict"] for record in verdict["configurations"]} <= {"winner", "could be best", "worse"}


@pytest.mark.parametrize("task", CLASSES)
def test_guessing_is_not_better_than_trivial(tmp_path, task):
    verdict = judged(tmp_path, task=task, skills=(0.0, 0.0))
    assert verdict["state"] in TRIVIAL_UNBEATEN
    assert "TRIVIAL_BASELINE" in codes(verdict)
    assert " better than a trivial predictor" in verdict["answer"]["sentence"]


def without_skill_in_fold(folder, fold):
    """The same run, in whose fold every configuration guesses: what a bad training set does to all of them."""
    rng = np.random.default_rng(0)
    for path in sorted(folder.root.glob("done/*/scores.npz")):
        arrays = dict(np.load(path))
        if path.parent.name.endswith(str(fold)):
            arrays["probabilities"] = rng.dirichlet((1, 1), len(arrays["case"])).astype(np.float32)
            np.savez(path, **arrays)
    return folder


def test_three_reasons_not_to_beat_a_trivial_predictor_have_three_names_and_cures(tmp_path):
    shown = make_run(
        tmp_path / "shown",
        Wanted(skills=(0.0, 0.0), num_cases=900, judge="{equivalent_within: 0.2}"),
    )
    runs = without_skill_in_fold(
        make_run(tmp_path / "runs", Wanted(skills=(2.0, 2.0), num_cases=900, folds=2)), 0
    )
    images = make_run(tmp_path / "images", Wanted(skills=(0.0, 0.0), num_cases=40, folds=5))
    states, cures = {}, {}
    for name, folder in (("shown", shown), ("runs", runs), ("images", images)):
        verdict = judge(folder)
        states[name] = verdict["state"]
        (warning,) = (one for one in verdict["warnings"] if one["code"] == "TRIVIAL_BASELINE")
        cures[name] = warning["cure"]
        if name != "shown":
            assert warning["cure"] in verdict["answer"]["sentence"]
            assert "cannot tell whether" in verdict["answer"]["sentence"]
    assert states == {"shown": "no_better_than_trivial", "runs": "too_few_runs", "images": "too_few_images"}
    assert "validate.repeats" in cures["runs"]
    assert "Add images" in cures["images"]
    # The likeliest cause first: few images, random weights; where networks have learned, it is none.
    assert cures["images"].startswith("Start from pretrained weights, the likeliest cure: 2")
    assert cures["shown"].startswith("Start from pretrained weights, the likeliest cure: ")
    assert "pretrained" not in cures["runs"]


def test_one_configuration_claims_no_comparison(tmp_path):
    verdict = judged(tmp_path, skills=(1.5,))
    assert verdict["state"] == "single_configuration"
    assert verdict["answer"]["sentence"].endswith("There is nothing it could be compared with.")
    assert verdict["selection"] is None


def test_nothing_done_gives_no_answer(tmp_path):
    every = tuple((c, 0, fold) for c in range(2) for fold in range(3))
    verdict = judged(tmp_path, missing=every)
    assert (verdict["state"], verdict["answer"], verdict["finished"]) == ("nothing_done", None, None)
    assert [record["estimate"] for record in verdict["configurations"]] == [None, None]


def test_an_unfinished_study_says_so(tmp_path):
    verdict = judged(tmp_path, skills=(1.5, 2.0), missing=((1, 0, 2),))
    assert verdict["state"] == "incomplete"
    assert verdict["answer"]["sentence"].startswith(
        "The study is not finished (5 of 6 fits are done). So far adam (lr 0.001) leads"
    )
    rest = verdict["configurations"][1]
    assert (rest["verdict"], rest["num_done"], rest["low"], rest["p"]) == ("incomplete", 2, None, None)
    assert rest["estimate"] is not None


def test_a_failed_fit_is_shown_and_left_out(tmp_path):
    verdict = judged(tmp_path, skills=(0.3, 2.0, 3.0), failed=((2, 0, 1),))
    assert verdict["state"] == "clear_winner"
    rest = verdict["configurations"][2]
    assert rest["verdict"] == "incomplete"
    assert rest["failures"][0]["message"] == "the loss is not a number"
    assert "MISSING_RUNS" in codes(verdict)


def test_a_configuration_that_always_fails_has_failed(tmp_path):
    verdict = judged(tmp_path, failed=tuple((1, 0, fold) for fold in range(3)))
    assert verdict["configurations"][1]["verdict"] == "failed"
    assert verdict["configurations"][1]["metrics"] == {}


def test_small_and_ungrouped(tmp_path):
    found = codes(judged(tmp_path, num_cases=24, skills=ALIKE))
    assert {"N_SMALL", "ONE_SEED", "NOT_DISTINGUISHABLE"} <= set(found)


def test_few_groups(tmp_path):
    verdict = judged(tmp_path, group_size=8, repeats=2)
    assert verdict["num_groups"] == 6
    assert "FEW_GROUPS" in codes(verdict)
    assert "ONE_SEED" not in codes(verdict)
    assert "images of unseen groups (48 images in 6 groups)" in verdict["answer"]["sentence"]


def test_rare_classes_are_described_only(tmp_path):
    verdict = judged(tmp_path, num_cases=16, judge="{metric: auroc}")
    assert "RARE_CLASS" in codes(verdict)
    assert verdict["answer"]["low"] is None
    assert verdict["configurations"][1]["p"] is None


def test_accuracy_with_a_common_class_is_degenerate(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(num_cases=60, judge="{metric: accuracy}"))
    assert "DEGENERATE_METRIC" not in codes(judge(folder))
    rows = table(folder.cases)
    for row in rows[:50]:
        row["labels"] = "0"
    with folder.cases.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    assert "DEGENERATE_METRIC" in codes(judge(folder))


def warning_of(verdict, code):
    return next((one for one in verdict["warnings"] if one["code"] == code), None)


def test_a_class_that_nearly_all_images_have_lacks_images_without_it(tmp_path):
    folder = make_run(tmp_path / "run", Wanted("multilabel_classification", num_cases=60))
    cases = table(folder.root / "cases.csv")
    for number, case in enumerate(cases):  # the first label in all images but four, the second in four
        labels = [str(k) for k, there in enumerate((number % 15, number % 15 == 0, number % 2)) if there]
        case["labels"] = " ".join(labels)
    with (folder.root / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, cases[0])
        writer.writeheader()
        writer.writerows(cases)
    rare = warning_of(judge(folder), "RARE_CLASS")
    assert "1 class has fewer than 10 images or groups with it (membrane)" in rare["message"]
    assert "1 class has fewer than 10 images or groups without it (nucleus)" in rare["message"]
    assert "Add images with membrane." in rare["cure"]
    assert "Add images without nucleus." in rare["cure"]


def test_folds_far_apart_are_named_with_what_they_alone_would_say(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(skills=(2.0, 2.0), num_cases=900, folds=2))
    calm = judge(folder)
    assert warning_of(calm, "FOLDS_APART") is None
    verdict = judge(without_skill_in_fold(folder, 0))
    apart = warning_of(verdict, "FOLDS_APART")
    scores = [fold["score"] for fold in verdict["configurations"][0]["folds"]]
    assert f"from {min(scores):.2f} to {max(scores):.2f}" in apart["message"]
    assert "interval of the winner is 0" in apart["message"]  # of two folds alone: anything is possible
    assert verdict["configurations"][0]["run_sd"] > 0.1
    assert (
        verdict["answer"]["high"] - verdict["answer"]["low"]
        > 10 * (calm["answer"]["high"] - calm["answer"]["low"]) / 3
    )


def test_what_always_predicts_one_class_is_named(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(skills=(2.0, 2.0)))
    for path in sorted(folder.root.glob("done/fit-0000*/scores.npz")):
        arrays = dict(np.load(path))
        arrays["probabilities"] = np.tile(np.float32([0.4, 0.6]), (len(arrays["case"]), 1))
        np.savez(path, **arrays)
    verdict = judge(folder)
    assert (
        "adam (lr 0.001) (yes) predicts one class for every image"
        in warning_of(verdict, "ONE_CLASS")["message"]
    )
    assert warning_of(judged(tmp_path / "other"), "ONE_CLASS") is None


def test_few_epochs_and_few_steps_are_named(tmp_path):
    brief = warning_of(judged(tmp_path, epochs=4), "BRIEF_TRAINING")
    assert "All configurations had fewer than 8 epochs (the fewest: 4)" in brief["message"]
    assert "fewer than 50 steps of the optimiser (the fewest: 8)" in brief["message"]
    assert warning_of(judged(tmp_path / "long", epochs=30), "BRIEF_TRAINING") is None


def test_training_that_still_improves_is_undertrained(tmp_path):
    folder = make_run(tmp_path / "run")
    assert "UNDERTRAINED" not in codes(judge(folder))
    best_is_last(folder, lambda epoch: 1 - epoch / 40)
    assert "UNDERTRAINED" in codes(judge(folder))


@pytest.mark.parametrize(
    "score",
    [
        lambda epoch: 0.6 * np.exp(-epoch / 3),  # still falling, by a hair
        lambda epoch: 0.693 - 1e-4 * epoch,  # never learnt anything
        lambda epoch: 1 - 0.4 * np.exp(-epoch / 3),  # the same of a score that rises
    ],
)
def test_training_that_gains_a_hair_is_not(tmp_path, score):
    folder = make_run(tmp_path / "run")
    best_is_last(folder, score)
    assert "UNDERTRAINED" not in codes(judge(folder))


def test_a_perfect_model_is_not_undertrained(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(skills=(8.0, 9.0)))
    best_is_last(folder, lambda epoch: 1 - epoch / 40)
    verdict = judge(folder)
    assert verdict["answer"]["estimate"] == 1
    assert not {"UNDERTRAINED", "DEGENERATE_METRIC"} & set(codes(verdict))


def best_is_last(folder, score):
    for path in (folder.root / "done").glob("*/result.json"):
        result = json.loads(path.read_text())
        for epoch in result["epochs"]:
            epoch["val_score"] = score(epoch["epoch"])
        path.write_text(json.dumps(result | {"best_epoch": 20}))


def test_a_perfect_auroc_is_no_sign_of_hard_labels(tmp_path):
    verdict = judged(tmp_path, skills=(8.0, 9.0), num_cases=60, judge="{metric: auroc}")
    assert verdict["answer"]["estimate"] == 1
    assert "DEGENERATE_METRIC" not in codes(verdict)


def test_a_winner_at_the_edge_of_its_grid(tmp_path):
    assert "EDGE_OF_GRID" in codes(judged(tmp_path, skills=(0.3, 0.6, 2.5)))
    assert "EDGE_OF_GRID" not in codes(judged(tmp_path / "inside", skills=(0.3, 2.5, 0.6)))


def test_fresh_views_are_no_edge_and_fewer_fixed_ones_neither():
    def warned(factor, *levels):
        rows = [SimpleNamespace(verdict="winner", levels={factor: level}) for level in levels]
        return [warning.code for warning in edge(rows)]

    assert warned("epochs", "0", "4", "8") == ["EDGE_OF_GRID"]
    assert warned("cache_views", "0", "4", "8") == warned("cache_views", "16", "4", "0") == []


def test_unequal_steps_are_named_unless_they_are_the_question(tmp_path):
    assert "UNEQUAL_BUDGET" not in codes(judged(tmp_path / "equal"))
    for factor, said in (("recipe", True), ("epochs", False)):
        folder = make_run(tmp_path / factor, Wanted())
        plan = folder.load_plan()
        first, second = plan.configurations
        training = second.training.model_copy(update={"epochs": 3 * second.training.epochs})
        longer = replace(second, training=training, levels={factor: "long"})
        folder.save_plan(replace(plan, configurations=(replace(first, levels={factor: "short"}), longer)))
        verdict = judge(folder)
        assert ("UNEQUAL_BUDGET" in codes(verdict)) == said
        if said:
            message = next(one["message"] for one in verdict["warnings"] if one["code"] == "UNEQUAL_BUDGET")
            assert longer.name in message


def test_a_configuration_that_fails_in_one_fold_is_named_unsteady(tmp_path):
    def lost(folder):
        items = [
            item for item in folder.load_plan().items if item.settings["configuration"] == item_id(folder)
        ]
        path = folder.done(items[0].id) / "scores.npz"
        arrays = dict(np.load(path))
        arrays["probabilities"] = 1 - arrays["probabilities"]
        np.savez(path, **arrays)
        return folder

    def item_id(folder):
        return folder.load_plan().configurations[1].id

    wanted = Wanted(skills=(2.5, 2.6, 2.4, 2.5), num_cases=120)
    assert "UNSTABLE_CONFIG" not in codes(judge(make_run(tmp_path / "steady", wanted)))
    verdict = judge(lost(make_run(tmp_path / "lost", wanted)))
    message = next(one["message"] for one in verdict["warnings"] if one["code"] == "UNSTABLE_CONFIG")
    assert verdict["configurations"][-1]["name"] in message
    assert "So few" not in message, "the three others are enough to know what is usual"


@pytest.mark.parametrize(("levels", "said"), [("ax by cz", True), ("ax bx by", False)])
def test_factors_that_always_change_together_are_named(tmp_path, levels, said):
    folder = make_run(tmp_path / "run", Wanted(skills=(0.5, 1.0, 1.5)))
    plan = folder.load_plan()
    told = [
        replace(one, levels=dict(zip(("model", "loss"), pair, strict=True)))
        for one, pair in zip(plan.configurations, levels.split(), strict=True)
    ]
    folder.save_plan(replace(plan, configurations=tuple(told)))
    assert ("CONFOUNDED" in codes(judge(folder))) == said


def test_luck_is_named(tmp_path):
    verdict = judged(tmp_path, skills=(0.6,) * 8)
    assert "SELECTION_OPTIMISM" in codes(verdict)
    chosen = verdict["selection"]
    assert chosen["naive"] == pytest.approx(verdict["configurations"][0]["estimate"])
    assert chosen["corrected"] < chosen["naive"]


def test_every_caution_has_a_sentence_and_a_cure(tmp_path):
    verdict = judged(tmp_path, num_cases=24, skills=(0.0,) * 4, missing=((0, 0, 0),))
    for caution in verdict["warnings"]:
        assert caution["message"].endswith(".")
        assert caution["cure"].endswith(".")


def test_a_loss_is_shown_with_its_own_sign(tmp_path):
    verdict = judged(tmp_path, skills=DIFFERENT, judge="{metric: log_loss}")
    first, second = verdict["configurations"]
    assert 0 < first["estimate"] < second["estimate"]
    assert 0 < second["difference_low"] < second["difference"] < second["difference_high"]
    assert first["low"] < first["estimate"] < first["high"]
    assert not verdict["metric"]["higher_is_better"]


@pytest.mark.parametrize("task", CLASSES)
def test_the_files_hold_what_the_verdict_says(tmp_path, task):
    folder = make_run(tmp_path / "run", Wanted(task=task, repeats=2))
    verdict = judge(folder)
    assert json.loads(folder.verdict.read_text()) == verdict
    results = table(folder.results)
    names = [row["name"] for row in results]
    assert names[: len(verdict["configurations"])] == [record["name"] for record in verdict["configurations"]]
    assert {row["verdict"] for row in results} >= {"winner", "trivial"}
    assert set(verdict["metrics"]) <= set(results[0])
    assert float(results[0]["estimate"]) == verdict["answer"]["estimate"]
    scores = table(folder.scores)
    assert len(scores) == 2 * 2 * 48 * len(CLASSES[task])


@pytest.mark.parametrize("task", CLASSES)
def test_the_same_run_gives_the_same_verdict(tmp_path, task):
    wanted = Wanted(task=task)
    assert judge(make_run(tmp_path / "one", wanted)) == judge(make_run(tmp_path / "two", wanted))


def test_per_class_numbers_have_support(tmp_path):
    verdict = judged(tmp_path, task="multiclass_classification")
    classes = verdict["configurations"][0]["per_class"]
    assert [classes[name]["support"] for name in verdict["classes"]] == [16, 16, 16]
    verdict = judged(tmp_path / "masks", task="binary_segmentation")
    assert verdict["configurations"][0]["per_class"]["cell"]["support"] == 42


def test_costs_that_were_not_measured_are_none(tmp_path):
    cost = judged(tmp_path)["configurations"][0]["cost"]
    assert (cost["peak_memory_mb"], cost["train_s"], cost["device"]) == (None, 2.0, "cpu")


def test_an_optimiser_makes_no_network_faster(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(skills=(0.5, 1.0, 2.0)))
    for place, item in enumerate(folder.load_plan().items):
        path = folder.done(item.id) / "result.json"
        result = json.loads(path.read_text())
        result["cost"] |= {"latency_ms": 1.0 + place, "device": "cpu" if place % 3 else "cuda"}
        path.write_text(json.dumps(result))
    by_device = {}
    for record in judge(folder)["configurations"]:
        by_device.setdefault(record["cost"]["device"], []).append(record["cost"]["latency_ms"])
    assert by_device == {"cuda": [4.0], "cpu": [5.5, 5.5]}  # 1, 4, 7; and 2, 5, 8 with 3, 6, 9


def test_times_are_of_fits_that_had_their_device_for_themselves(tmp_path):
    """The first configuration has one such fit, the second none: of that it is said, and no times are compared."""
    folder = make_run(tmp_path / "run", Wanted(skills=(0.5, 1.0)))
    numbers = {}
    for item in folder.load_plan().items:
        path = folder.done(item.id) / "result.json"
        result = json.loads(path.read_text())
        number = numbers[result["configuration"]] = numbers.get(result["configuration"], 0) + 1
        alone = len(numbers) == 1 and number == 1
        result["cost"] |= {
            "sharers": 1 if alone else number + 2,
            "train_s": 3.0 if alone else 9.0,
            "latency_ms": 9.0,
        }
        result["cost"] |= {"latency_ms": 1.0, "energy_j": 5.0} if alone else {"energy_j": 50.0}
        path.write_text(json.dumps(result))
    first, second = (f"{name}" for name in numbers)
    costs = {record["id"]: record["cost"] for record in judge(folder)["configurations"]}
    assert [costs[first][key] for key in ("train_s", "energy_j", "sharers")] == [3.0, 5.0, None]
    assert [costs[second][key] for key in ("train_s", "energy_j", "sharers")] == [
        9.0,
        50.0,
        numbers[second] + 2,
    ]
    assert costs[first]["latency_ms"] == costs[second]["latency_ms"] == 1.0  # one network: by who was alone
    levels = [level for factor in judge(folder)["factors"]["factors"] for level in factor["levels"]]
    assert sorted(level["cost"].get("train_s") or 0.0 for level in levels) == [0.0, pytest.approx(3.0)]


def test_the_order_of_configurations_is_no_matter(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(skills=(0.5, 1.0, 2.0)))
    before = judge(folder)
    plan = json.loads(folder.plan.read_text())
    plan["items"].reverse()
    folder.plan.write_text(json.dumps(plan))
    assert judge(folder) == before


def test_trivial_predictors_follow_the_training_part(tmp_path):
    verdict = judged(tmp_path, task="binary_segmentation")
    found = {row["id"]: row for row in verdict["baselines"]}
    assert found["all_background"]["metrics"]["dice_img_macro"]["estimate"] == 0
    assert found["all_foreground"]["metrics"]["pixel_sensitivity_pooled_macro"]["estimate"] == 1
    labels = {
        row["id"]: row for row in judged(tmp_path / "labels", task="multilabel_classification")["baselines"]
    }
    assert labels["all_ones"]["metrics"]["recall_macro"]["estimate"] == 1
    single = {row["id"]: row for row in judged(tmp_path / "single")["baselines"]}
    assert single["prior"]["metrics"]["auroc"]["estimate"] == 0.5
    assert single["prior"]["metrics"]["log_loss"]["estimate"] == pytest.approx(np.log(2), abs=0.02)


def test_averaging_is_said_in_words(tmp_path):
    verdict = judged(tmp_path, group_size=4, judge="{metric: accuracy, alpha: 0.1}")
    assert verdict["metric"]["averaging"] == "mean over images; each group counts once"
    assert verdict["metrics"]["auroc"]["averaging"].startswith("of the class 'yes';")
    assert "(90 % interval " in verdict["answer"]["sentence"]


def test_rows_say_what_is_done(tmp_path):
    rows = read_rows(make_run(tmp_path / "run", Wanted(failed=((0, 0, 0),), missing=((1, 0, 1),))))
    assert [fit.status for fit in rows.fits_of(rows.configurations[0].id)] == ["failed", "done", "done"]
    assert [fit.status for fit in rows.fits_of(rows.configurations[1].id)] == ["done", "missing", "done"]
    assert not rows.complete(rows.configurations[0].id)


def test_the_best_of_many_guesses_is_not_better_than_a_guess(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(skills=(0.0,) * 24, num_cases=92, folds=4))
    rng = np.random.default_rng(2)
    for path in sorted(folder.root.glob("done/*/scores.npz")):
        arrays = dict(np.load(path))
        arrays["probabilities"] = np.eye(2, dtype=np.float32)[rng.integers(0, 2, len(arrays["case"]))]
        np.savez(path, **arrays)
    verdict = judge(folder)
    assert (
        verdict["answer"]["low"] > verdict["baselines"][0]["estimate"]
    )  # the winner alone would be believed
    assert verdict["state"] in TRIVIAL_UNBEATEN


def test_a_single_image_is_a_step_also_where_a_few_have_groups(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(skills=(8.0, 8.0), judge="{metric: accuracy}"))
    text = folder.cases.read_text(encoding="utf-8").replace(",g1,16", ",g0,16")
    folder.cases.write_text(text, encoding="utf-8")
    verdict = judge(folder)
    assert verdict["num_groups"] == 47
    assert verdict["answer"]["minimal_detectable_difference"] > 0.05  # without the step, 0: all are right


def test_linear_algebra_takes_one_thread_whatever_the_machine_has(tmp_path, monkeypatch):
    # Sums that threads share are rounded by how many there are: other numbers on another machine.
    def threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    seen = []
    for step in ("_judgement", "calibration_section"):
        spied = getattr(judging, step)
        monkeypatch.setattr(
            judging, step, lambda *rows, spied=spied: (seen.append(threads()), spied(*rows))[1]
        )
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        judge(make_run(tmp_path / "run"))
        assert threads() == before
    assert seen == [{1}, {1}]
    assert 2 in before


def test_the_pixels_of_an_image_are_ranked_once(tmp_path, monkeypatch):
    ranked = {"histogram_ap": [], "histogram_auroc": []}
    for name, seen in ranked.items():
        own = getattr(ratios, name)
        monkeypatch.setattr(
            ratios, name, lambda histogram, own=own, seen=seen: (seen.append(histogram), own(histogram))[1]
        )
    judged(tmp_path, task="binary_segmentation", repeats=2)
    for seen in ranked.values():
        assert len(seen) == len({id(histogram) for histogram in seen}) > 1
