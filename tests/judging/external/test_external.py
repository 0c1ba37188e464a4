"""Scores from elsewhere: every layout is recognised, gives the numbers of the engine, and is refused where it cannot."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judged import judge, judge_files
from scipy.stats import t, ttest_rel
from tables_to_judge import fixture, long, wide, write, write_summary
from tiny_run import CLASSES, Wanted, make_run

from foldwise.errors import DataError, SpecError
from foldwise.judging.external.options import ScoreOptions
from foldwise.judging.external.verdict import judged_files, write_case_scores
from foldwise.judging.tables import write_leaderboard
from foldwise.judging.verdict import Verdict

HIGHER = ScoreOptions(higher_is_better=True)  # scores of the fixture go beyond 1


def codes(verdict):
    return [warning["code"] for warning in verdict["warnings"]]


def by_name(verdict):
    return {record["name"]: record for record in verdict["configurations"]}


def refused(kind, paths, asked=None):
    with pytest.raises(kind) as caught:
        judge_files(paths, asked)
    return str(caught.value)


def mirrored(*half):
    return [*half, *half[::-1]]


def test_the_fixture_of_the_design_to_its_printed_digits(tmp_path):
    verdict = judge_files([write(tmp_path / "scores.csv", fixture().drop(columns="group"))], HIGHER)
    found = [by_name(verdict)[f"c{place}"] for place in range(6)]
    assert [one["estimate"] for one in found] == pytest.approx(
        [0.4875, 0.5075, 0.5275, 0.5475, 0.5675, 0.5875]
    )
    assert [one["se"] for one in found] == pytest.approx(mirrored(0.082679, 0.036432, 0.036792), abs=5e-7)
    assert [one["run_sd"] ** 2 for one in found] == pytest.approx(mirrored(0.012833, 0, 0), abs=5e-7)
    pair = next(one for one in verdict["pairs"] if (one["a"], one["b"]) == ("c1", "c0"))
    assert pair["difference"] == pytest.approx(0.02)
    half = (pair["high"] - pair["low"]) / 2
    assert half == pytest.approx(t.ppf(0.975, 19) * 0.08703, abs=2e-5)
    assert (verdict["folds"], verdict["repeats"]) == (4, 2)


def test_the_fixture_in_groups_of_four(tmp_path):
    table = fixture()
    verdict = judge_files(
        [write(tmp_path / "scores.csv", table)], ScoreOptions(fold="none", repeat=None, higher_is_better=True)
    )
    assert verdict["num_groups"] == 5
    known = by_name(verdict)
    images = np.array(
        [
            known[f"c{place}"]["se"] ** 2 - known[f"c{place}"]["run_sd"] ** 2 * (1 - 1 / 5) / 2
            for place in range(6)
        ]
    )
    assert np.sqrt(images) == pytest.approx(mirrored(0.023049, 0.019764, 0.037914), abs=5e-7)


def test_two_columns_agree_with_a_paired_t_test(tmp_path):
    table = wide(skills=(1.0, 1.1))
    verdict = judge_files([write(tmp_path / "a.csv", table)], ScoreOptions(group="none"))
    pair = verdict["pairs"][0]
    assert pair["p"] == pytest.approx(ttest_rel(table["net 0"], table["net 1"]).pvalue)
    assert "NO_RUN_VARIANCE" in codes(verdict)
    assert "ONE_SEED" not in codes(verdict)


def same_numbers(first, second):
    for one, other in zip(first["configurations"], second["configurations"], strict=True):
        for key in (
            "name",
            "estimate",
            "low",
            "high",
            "se",
            "p",
            "p_wins",
            "rank_low",
            "rank_high",
            "verdict",
        ):
            assert one[key] == (
                pytest.approx(other[key], abs=1e-12) if isinstance(other[key], float) else other[key]
            )
    assert first["selection"] == pytest.approx(second["selection"])
    assert codes(first) == codes(second)


@pytest.mark.parametrize(
    "options",
    [{}, {"sep": ";", "decimal": ","}, {"sep": "\t"}, {"encoding": "utf-8-sig"}, {"lineterminator": "\r\n"}],
)
def test_long_and_wide_tables_are_the_same_however_they_are_written(tmp_path, options):
    table = wide()
    first = judge_files([write(tmp_path / "wide.csv", table)])
    assert first["num_groups"] == 10
    same_numbers(first, judge_files([write(tmp_path / "wide2.csv", table, **options)]))
    same_numbers(first, judge_files([write(tmp_path / "long.csv", long(table), **options)]))


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=4)
def test_the_order_of_rows_and_columns_is_no_matter(tmp_path_factory, seed):
    folder, rng = tmp_path_factory.mktemp("orders"), np.random.default_rng(seed)
    for number, table in enumerate(
        (fixture().drop(columns="group"), wide(num_cases=12), long(wide(num_cases=12)))
    ):
        mixed = table.sample(frac=1, random_state=seed)[rng.permutation(table.columns)]
        first, second = (
            judge_files([write(folder / f"{number}{place}.csv", one)], HIGHER)
            for place, one in enumerate((table, mixed))
        )
        for verdict in (first, second):
            del verdict["files"], verdict["recognised"]
        for one, other in zip(first["configurations"], second["configurations"], strict=True):
            assert one["name"] == other["name"]
            assert one["estimate"] == pytest.approx(other["estimate"], abs=1e-12)
            assert one["se"] == pytest.approx(other["se"], abs=1e-12)
            assert one["p"] == other["p"]


def test_columns_that_are_shared_by_configurations_are_factors(tmp_path):
    verdict = judge_files([write(tmp_path / "long.csv", long(wide()))])
    (factor,) = verdict["factors"]["factors"]
    assert factor["factor"] == "rate"
    means = {level["level"]: level["mean"] for level in factor["levels"]}
    found = {name: record["estimate"] for name, record in by_name(verdict).items()}
    assert means["0.1"] == pytest.approx((found["net 0"] + found["net 1"]) / 2)


def test_several_columns_together_name_a_configuration(tmp_path):
    table = long(wide(skills=(1.0, 2.0, 1.5, 2.5)))
    table["net"] = table["model"].map({"net 0": "unet", "net 1": "unet", "net 2": "vit", "net 3": "vit"})
    table["loss"] = table["model"].map({"net 0": "dice", "net 1": "ce", "net 2": "dice", "net 3": "ce"})
    path = write(tmp_path / "long.csv", table.drop(columns=["model", "rate"]))
    verdict = judge_files([path], ScoreOptions(configuration=("net", "loss"), score=("dice",)))
    assert set(by_name(verdict)) == {"unet · ce", "unet · dice", "vit · ce", "vit · dice"}
    assert [one["factor"] for one in verdict["factors"]["factors"]] == ["loss", "net"]


def test_tasks_are_judged_one_at_a_time(tmp_path):
    one = long(wide()).rename(columns={"model": "algorithm", "image": "case", "dice": "value"})[
        ["algorithm", "case", "value"]
    ]
    path = write(
        tmp_path / "challenge.csv",
        pd.concat([one.assign(task="liver"), one.assign(task="lung", value=one["value"] / 2)]),
    )
    assert refused(DataError, [path]) == (
        "challenge.csv: the table has 2 tasks\n  → Judge one at a time: --task NAME. There are liver, lung."
    )
    liver, lung = (judge_files([path], ScoreOptions(task=task)) for task in ("liver", "lung"))
    assert lung["answer"]["estimate"] == pytest.approx(liver["answer"]["estimate"] / 2)
    assert "Did you mean 'lung'?" in refused(SpecError, [path], ScoreOptions(task="lunge"))


def test_one_file_per_configuration(tmp_path):
    table = wide()
    paths = [
        write(tmp_path / f"{name}.csv", table[["image", name]].rename(columns={name: "dice"}))
        for name in ("net 0", "net 1")
    ]
    verdict = judge_files(paths)
    assert verdict["metric"]["name"] == "dice"
    assert by_name(verdict)["net 1"]["estimate"] == pytest.approx(table["net 1"].mean())


@pytest.mark.parametrize("task", CLASSES)
@pytest.mark.parametrize(
    "wanted", [{}, {"repeats": 2, "group_size": 3}, {"skills": (0.5, 1, 2), "missing": ((1, 0, 1),)}]
)
def test_a_run_has_its_own_verdict_again(tmp_path, task, wanted):
    folder = make_run(tmp_path / "run", Wanted(task=task, **wanted))
    run, again = judge(folder), judge_files([folder.root])
    assert again["metric"]["name"] == run["metric"]["name"]
    for one, other in zip(run["configurations"], again["configurations"], strict=True):
        for key in ("name", "verdict", "rank_low", "estimate", "low", "high", "se", "p", "run_sd", "p_wins"):
            expected = one[key]
            assert other[key] == (
                pytest.approx(expected, abs=1e-6) if isinstance(expected, float) else expected
            )
    if run["selection"]:
        assert again["selection"] == pytest.approx(run["selection"], abs=1e-6)


def test_any_metric_of_a_run_can_be_asked_for(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(num_cases=60))
    run = judge(folder)
    verdict = judge_files([folder.scores], ScoreOptions(metric="auroc"))
    for record in run["configurations"]:
        assert by_name(verdict)[record["name"]]["estimate"] == pytest.approx(
            record["metrics"]["auroc"]["estimate"], abs=1e-6
        )
    assert "Known: " in refused(SpecError, [folder.scores], ScoreOptions(metric="dice"))


def test_rows_of_a_run_may_not_be_sorted_anew(tmp_path):
    folder = make_run(tmp_path / "run")
    judge(folder)
    table = pd.read_csv(folder.scores)
    path = write(tmp_path / "sorted.csv", table.sort_values(["class", "case"]))
    assert "their order was changed" in refused(DataError, [path])


def summaries(tmp_path, layout):
    rng, paths = np.random.default_rng(0), []
    for model, shift in (("Trainer__Plans__2d", 0.0), ("Trainer__Plans__3d", 0.1)):
        cases = {
            f"case_{i:02}": {"1": 0.5 + shift + rng.uniform(0, 0.2), "2": 0.4 + shift} for i in range(12)
        }
        cases["case_00"]["2"] = float("nan")
        cases["case_01"] = {"1": float("nan"), "2": float("nan")}
        if layout == "folds":
            for fold in range(3):
                part = {name: cases[name] for place, name in enumerate(cases) if place % 3 == fold}
                paths.append(
                    write_summary(tmp_path / model / f"fold_{fold}" / "validation" / "summary.json", part)
                )
        else:
            paths.append(
                write_summary(tmp_path / model / "crossval_results_folds_0_1_2" / "summary.json", cases)
            )
    return paths, cases


@pytest.mark.parametrize("layout", ["folds", "pooled"])
def test_summaries_of_nnunet(tmp_path, layout):
    paths, cases = summaries(tmp_path, layout)
    verdict = judge_files(paths)
    assert set(by_name(verdict)) == {"Trainer__Plans__2d", "Trainer__Plans__3d"}
    assert verdict["folds"] == (3 if layout == "folds" else 1)
    means = [np.nanmean(list(labels.values())) for name, labels in cases.items() if name != "case_01"]
    record = by_name(verdict)["Trainer__Plans__3d"]
    assert record["estimate"] == pytest.approx(np.mean(means))
    assert record["metrics"]["Dice"]["num_undefined"] == 1
    assert verdict["state"] == "clear_winner"
    halved = judge_files(paths, ScoreOptions(metric="iou"))
    assert halved["answer"]["estimate"] == pytest.approx(record["estimate"] / 2)
    assert "Did you mean 'IoU'?" in refused(SpecError, paths, ScoreOptions(metric="IoUs"))


def test_models_in_folders_of_the_same_name_are_told_apart(tmp_path):
    cases = {f"c{i}": {"1": i / 10} for i in range(9)}
    paths = [write_summary(tmp_path / lab / "best" / "summary.json", cases) for lab in ("ours", "theirs")]
    assert set(by_name(judge_files(paths))) == {"ours/best", "theirs/best"}


@pytest.mark.parametrize(
    ("change", "higher", "bounded", "interval"),
    [
        (lambda one: one, True, True, (0.0, 1.0)),
        (lambda one: (one > 0.5).astype(int), True, True, (0.0, 1.0)),
        (lambda one: one * 100, True, False, (0.0, np.inf)),
        (lambda one: one - 0.9, True, False, (-np.inf, np.inf)),
    ],
)
def test_the_scale_is_known_by_the_values(tmp_path, change, higher, bounded, interval):
    table = long(wide())
    table["dice"] = change(table["dice"])
    verdict = judge_files(
        [write(tmp_path / "a.csv", table.rename(columns={"dice": "value"}))], ScoreOptions(metric="agreement")
    )
    assert (verdict["metric"]["higher_is_better"], verdict["metric"]["bounded"]) == (higher, bounded)
    assert verdict["metric"]["equivalent_within"] == (0.01 if bounded else 0.0)
    for record in verdict["configurations"]:
        assert interval[0] <= record["low"] < record["estimate"] < record["high"] <= interval[1]
    worst = verdict["configurations"][-1]
    assert (worst["low"] < 0) == (interval[0] < 0)


def test_lower_is_better_where_the_name_or_the_user_says_so(tmp_path):
    table = long(wide())
    by_word = judge_files([write(tmp_path / "a.csv", table.rename(columns={"dice": "hd95"}))])
    stated = judge_files([write(tmp_path / "b.csv", table)], ScoreOptions(higher_is_better=False))
    assert by_word["answer"]["name"] == stated["answer"]["name"] == "net 3"
    assert not by_word["metric"]["bounded"]
    assert stated["metric"]["bounded"]
    worst = stated["configurations"][-1]
    assert worst["difference"] > 0
    assert worst["difference_low"] > 0


def test_all_equal_scores_give_no_nonsense(tmp_path):
    table = wide().assign(**dict.fromkeys(("net 0", "net 1", "net 2", "net 3"), 0.5))
    verdict = judge_files([write(tmp_path / "a.csv", table)])
    assert all(record["could_be_best"] for record in verdict["configurations"])
    json.dumps(verdict, allow_nan=False)


def test_the_leaderboard_as_a_table(tmp_path):
    verdict = judge_files([write(tmp_path / "long.csv", long(wide()))])
    write_leaderboard(tmp_path / "leaderboard.csv", Verdict.load(verdict))
    with (tmp_path / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["configuration"] for row in rows] == [record["name"] for record in verdict["configurations"]]
    assert float(rows[0]["low"]) == verdict["answer"]["low"]
    assert rows[0]["rate"] == "0.1"


@pytest.mark.parametrize("task", ["binary_classification", "multilabel_classification"])
def test_scores_that_are_written_as_they_were_read_give_the_same_verdict(tmp_path, task):
    folder = make_run(tmp_path / "run", Wanted(task=task, repeats=2))
    judge(folder)
    verdict, read = judged_files([folder.root])
    write_case_scores(tmp_path / "scores.csv", read)
    same_numbers(verdict.dump(), judge_files([tmp_path / "scores.csv"]))
