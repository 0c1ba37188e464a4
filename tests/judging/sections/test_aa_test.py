"""The A/A test: copies of one configuration are judged as others are, and change nothing else."""

import numpy as np
import pytest
from auxiliary_items import TASKS, add, asking, scores_of
from judged import judge
from tiny_run import Wanted, make_run

from foldwise.runs.folder import read_json
from foldwise.runs.items import Item


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
