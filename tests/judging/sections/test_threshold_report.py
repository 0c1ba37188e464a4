"""What the verdict says of thresholds, and that no test image has a part in them."""

import csv

import numpy as np
import pytest
import sklearn.metrics as oracle
from judged import judge
from tiny_run import Wanted, make_run

from foldwise.errors import SpecError
from foldwise.judging.scores.curve_scores import f1_curves
from foldwise.judging.scores.rows import read_rows
from foldwise.judging.scores.thresholds import THRESHOLDS
from foldwise.judging.sections.threshold_report import scarce

SEVERAL = Wanted(task="multilabel_classification", num_cases=90, repeats=2)


def relabelled(folder, cases):
    """Turn every label of these cases round, in the one place where the judge reads the truth."""
    with folder.cases.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for case in cases:
        held = set(rows[case]["labels"].split())
        rows[case]["labels"] = " ".join(sorted({"0", "1", "2"} - held))
    with folder.cases.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("method", THRESHOLDS)
def test_the_truth_of_test_images_changes_no_threshold(tmp_path, method):
    wanted = Wanted(task="multilabel_classification", num_cases=60, judge=f"{{thresholds: {method}}}")
    folder = make_run(tmp_path / "run", wanted)
    rows = read_rows(folder)
    fit = rows.fits[0]
    split = next(one for one in rows.splits if one.fold == fit.fold)
    before = rows.thresholds_of(fit, method).thresholds
    relabelled(folder, split.test)
    after = read_rows(folder)
    assert (after.truth[split.test] != rows.truth[split.test]).all()
    assert after.thresholds_of(fit, method).thresholds.tolist() == before.tolist()
    used = after.outputs(fit.configuration, 0).thresholds[split.test]
    assert used.tolist() == [before.tolist()] * len(split.test)


def test_thresholds_of_the_winner_over_its_fits(tmp_path):
    folder = make_run(tmp_path / "run", SEVERAL)
    rows, verdict = read_rows(folder), judge(folder)
    known = verdict["thresholds"]
    assert (known["method"], known["configuration"]) == ("calibrated", verdict["answer"]["configuration"])
    limits = np.array(
        [rows.thresholds_of(fit, "calibrated").thresholds for fit in rows.done(known["configuration"])]
    )
    positives = np.array([rows.truth[split.validation].sum(axis=0) for split in rows.splits])
    for k, name in enumerate(rows.classes):
        told = known["classes"][name]
        assert told["median"] == pytest.approx(np.median(limits[:, k]))
        assert told["mean"] == pytest.approx(limits[:, k].mean())
        assert (told["low"], told["high"]) == (limits[:, k].min(), limits[:, k].max())
        assert told["validation_positives"] == np.median(positives[:, k])
        assert (told["num_fits"], told["num_never"]) == (6, 0)
        assert told["num_matched"] == (positives[:, k] < 10).sum()


def test_all_methods_are_compared_on_the_test_folds_of_the_winner(tmp_path):
    folder = make_run(tmp_path / "run", SEVERAL)
    rows, verdict = read_rows(folder), judge(folder)
    winner = verdict["configurations"][0]
    told = {one["method"]: one for one in verdict["thresholds"]["compared"]}
    assert list(told) == list(THRESHOLDS)
    scores = []
    for repeat in rows.repeats:
        outputs = rows.outputs(winner["id"], repeat)
        scores.append(oracle.f1_score(outputs.truth, outputs.probabilities >= 0.5, average="macro"))
    assert told["half"]["f1_macro"] == pytest.approx(np.mean(scores))
    for name in ("f1_macro", "f1_micro"):
        assert told["calibrated"][name] == pytest.approx(winner["metrics"][name]["estimate"])


def test_another_method_changes_decisions_and_no_ranking(tmp_path):
    verdicts = [
        judge(make_run(tmp_path / name, Wanted(task=SEVERAL.task, judge=f"{{thresholds: {name}}}")))
        for name in ("half", "prevalence")
    ]
    metrics = [verdict["configurations"][0]["metrics"] for verdict in verdicts]
    assert metrics[0]["f1_macro"] != metrics[1]["f1_macro"]
    for name in ("average_precision_macro", "auroc_macro", "log_loss", "brier"):
        assert metrics[0][name] == metrics[1][name]


def test_curves_of_f1_are_of_the_inner_validation(tmp_path):
    rows = read_rows(make_run(tmp_path / "run", SEVERAL))
    one = rows.configurations[0].id
    curve = f1_curves(rows, one)[1]
    assert len(curve.folds) == len(curve.chosen) == 6
    fit = rows.done(one)[0]
    known = rows.validation_outputs(fit)
    limits, f1 = curve.folds[0]
    expected = [
        oracle.f1_score(known.truth[:, 1], known.probabilities[:, 1] >= limit, zero_division=0)
        for limit in limits
    ]
    assert f1 == pytest.approx(expected)
    assert curve.mean.y == pytest.approx(np.mean([line.y for line in curve.folds], axis=0))


def test_raw_optima_of_few_images_are_warned_of(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(task=SEVERAL.task, judge="{thresholds: per_class}"))
    warned = next(one for one in judge(folder)["warnings"] if one["code"] == "SCARCE_THRESHOLDS")
    assert "nucleus, membrane, fibre have fewer than 100 images" in warned["message"]
    assert scarce(read_rows(make_run(tmp_path / "other", SEVERAL))) == ()


def test_the_commonest_labels_are_as_many_as_an_image_has(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(task=SEVERAL.task, num_cases=60))
    rows, verdict = read_rows(folder), judge(folder)
    told = {one["id"]: one["metrics"] for one in verdict["baselines"]}
    said = np.zeros_like(rows.truth)
    for split in rows.splits:
        share = rows.truth[np.concatenate([split.train, split.validation])].mean(axis=0)
        said[split.test[:, None], np.argsort(-share)[: round(share.sum())]] = True
    expected = oracle.f1_score(rows.truth, said, average="macro")
    assert told["commonest"]["f1_macro"]["estimate"] == pytest.approx(expected)
    everything = oracle.f1_score(rows.truth, np.ones_like(rows.truth), average="macro")
    assert told["all_ones"]["f1_macro"]["estimate"] == pytest.approx(everything)


def test_one_label_an_image_has_no_thresholds(tmp_path):
    assert judge(make_run(tmp_path / "run"))["thresholds"] is None
    with pytest.raises(SpecError, match="thresholds are for several labels"):
        judge(make_run(tmp_path / "asked", Wanted(judge="{thresholds: half}")))
