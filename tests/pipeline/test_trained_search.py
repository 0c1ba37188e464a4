"""The search of docs/search.md, really trained: what it prints, writes and hands over; and that no test label is told."""

import json
import re

import numpy as np
import pytest
from repository import ROOT
from searches import proposals

from foldwise.interface.observer import Terminal
from foldwise.learning.training.fit import fit_item, trial_item
from foldwise.pipeline import pipeline, worker
from foldwise.pipeline.options import RunOptions
from foldwise.reporting.report_data import gather
from foldwise.runs.folder import RunFolder
from foldwise.runs.searching.search import best_trial
from foldwise.sealed_arrays import read_arrays
from foldwise.study.reading import open_study

PAGE = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
SMALL = ("train.epochs=2", "search.configurations=3", "validate.folds=2", "compare.model=[conv]")


def run(folder, *overrides):
    """The study of the page, with some changes, run in this process."""
    path = folder / "study.yaml"
    path.write_text(re.search(r"```yaml\n(study: .*?)```", PAGE, re.DOTALL)[1], encoding="utf-8")
    file = open_study(path, overrides)
    options = RunOptions(folder / "run", launcher="inline")
    with Terminal() as terminal:
        return pipeline.run(file, options, terminal)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    return run(tmp_path_factory.mktemp("tuned"), *SMALL)


def test_what_is_judged_is_the_best_trial_of_every_fold_trained_once_more(tuned):
    folder, verdict = tuned
    plan = folder.load_plan()
    assert (verdict.num_done, verdict.num_planned) == (2, 2)
    for search in plan.searches:
        best = best_trial(search, folder.outcomes())
        fit, trial = folder.result(search.fit), folder.result(best.item)
        # The same seed: it is the same network, to the last digit, of which only the fit looks at the test fold.
        assert [epoch["val_loss"] for epoch in fit["epochs"]] == [
            epoch["val_loss"] for epoch in trial["epochs"]
        ]
        assert fit["best_epoch"] == trial["best_epoch"]
        assert [path.name for path in folder.done(best.item).iterdir()] == ["result.json"]


def test_the_verdict_says_what_was_chosen_and_which_claims_hold(tuned):
    folder, verdict = tuned
    search = json.loads(folder.verdict.read_text())["search"]
    assert search["sampler"] == "tpe"
    assert search["reproducible"]
    assert "what was not tried was not evaluated" in search["sentence"]
    (arm,) = search["arms"]
    assert (arm["num_tried"], arm["num_failed"], arm["num_to_come"]) == (6, 0, 0)
    assert [choice["fold"] for choice in arm["chosen"]] == [0, 1]
    training = {item.id: item.settings["training"] for item in folder.load_plan().items if item.kind == "fit"}
    for choice, one in zip(arm["chosen"], folder.load_plan().searches, strict=True):
        assert choice["values"]["batch_size"] == str(training[one.fit]["batch_size"])
        assert choice["values"]["optimizer"] == training[one.fit]["optimizer"]["name"]
    assert "UNEQUAL_BUDGET" not in {warning.code for warning in verdict.warnings}


def test_the_report_has_what_every_fold_chose_and_the_winner_its_models(tuned):
    folder, verdict = tuned
    page = folder.report.read_text(encoding="utf-8")
    assert '<section id="search">' in page
    assert "images in a batch: 4 to 16, on a log scale, searched" in page
    assert "Trials were proposed by the sampler tpe of Optuna " in page
    assert verdict.search.arms[0].chosen[0].values["optimizer"] in page
    members = json.loads((folder.winner / "model.json").read_text())["members"]
    chosen = [choice.values["batch_size"] for choice in verdict.search.arms[0].chosen]
    assert [str(member["model"]["training"]["batch_size"]) for member in members] == chosen
    assert gather(folder).trainings[verdict.answer.configuration].batch_size == int(chosen[0])


def test_no_label_of_a_test_fold_reaches_the_sampler(tuned, tmp_path, monkeypatch):
    """With the labels of every test fold turned round nothing is proposed or chosen otherwise; only scores are others."""

    def turned(task):
        def done(job):
            packed = job.packed
            packed.labels = packed.labels.copy()
            packed.labels[job.split.test] = 1 - packed.labels[job.split.test]
            return task(job)

        return done

    monkeypatch.setitem(worker.TASKS, "trial", turned(trial_item))
    monkeypatch.setitem(worker.TASKS, "fit", turned(fit_item))
    folder, _ = run(tmp_path, *SMALL)
    straight = tuned[0]
    assert proposals(folder) == proposals(straight)
    assert [one.fit for one in folder.load_plan().searches] == [
        one.fit for one in straight.load_plan().searches
    ]
    for one in folder.load_plan().searches:
        ours, theirs = (read_arrays(other.done(one.fit) / "scores.npz") for other in (folder, straight))
        assert np.array_equal(ours["validation_probabilities"], theirs["validation_probabilities"])


def test_run_again_there_is_nothing_to_do_and_the_verdict_is_the_same(tuned, capsys):
    folder, verdict = tuned
    capsys.readouterr()
    again, _ = run(folder.root.parent, *SMALL)
    assert "All 8 items were done already." in capsys.readouterr().out
    assert RunFolder(again.root).load_plan() == folder.load_plan()
    assert json.loads(folder.verdict.read_text())["search"] == verdict.search.model_dump(mode="json")
