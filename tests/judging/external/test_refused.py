"""What is lacking is named, and what cannot be judged is refused with the reason, the place and a cure."""

import json

import numpy as np
import pandas as pd
import pytest
from judged import judge, judge_files
from tables_to_judge import SUMMARY_ROWS, fixture, long, wide, write
from tiny_run import make_run

from foldwise.errors import DataError, SpecError
from foldwise.judging.external.options import ScoreOptions


def refused(kind, paths, asked=None):
    with pytest.raises(kind) as caught:
        judge_files(paths, asked)
    return str(caught.value)


def by_name(verdict):
    return {record["name"]: record for record in verdict["configurations"]}


def test_what_lacks_scores_is_named_and_not_compared(tmp_path):
    table = wide()
    table.loc[3, "net 0"] = np.nan
    table["net 2"] = np.nan
    verdict = judge_files([write(tmp_path / "wide.csv", table)])
    whole = judge_files([write(tmp_path / "less.csv", table[["image", "net 1", "net 3", "patient"]])])
    assert [record["name"] for record in verdict["configurations"]][:2] == ["net 1", "net 3"]
    assert verdict["answer"]["low"] == whole["answer"]["low"]
    record = by_name(verdict)["net 0"]
    assert (record["verdict"], record["low"], record["lacks"]) == (
        "incomplete",
        None,
        "1 of 40 scores (img_003)",
    )
    assert by_name(verdict)["net 2"]["estimate"] is None
    assert verdict["warnings"][0]["message"] == (
        "2 configurations are left out of the comparison: net 0 lacks 1 of 40 scores (img_003); net 2 lacks every score."
    )


def test_repeats_that_lack_are_named(tmp_path):
    table = fixture().query("not (configuration == 'c2' and repeat == 1)").drop(columns="group")
    verdict = judge_files([write(tmp_path / "a.csv", table)], ScoreOptions(higher_is_better=True))
    assert by_name(verdict)["c2"]["lacks"] == "repeat 1"


def test_rows_of_a_summary_are_refused_with_the_reason(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text(SUMMARY_ROWS, encoding="utf-8")
    assert refused(DataError, [path]) == (
        "results.csv: there is no score per image: every configuration has one row, and its columns are model_id, "
        "hardware_type, pretrained_model, classifier_head, opt_alg, training_time_mins, accuracy, roc_auc\n"
        "  → Averages cannot be compared: which configuration is better on the same images, and how sure that is, can "
        "only be told from a score of every configuration on every image. Write one row per configuration and image."
    )
    run = make_run(tmp_path / "run")
    judge(run)
    assert "there is no score per image" in refused(DataError, [run.results])


def bad_tables():
    table, rows = wide(), long(wide())
    odd = table.astype({"net 0": object})
    odd.loc[[4, 9], "net 0"] = ["failed", "81.8%"]
    endless = rows.copy()
    endless.loc[5, "dice"] = np.inf
    split = fixture()
    split.loc[0, "fold"] = 3
    unnamed = rows.copy()
    unnamed.loc[7, "image"] = None
    leaky = fixture().assign(group=[f"g{one % 3}" for one in fixture()["case"]])
    two = rows.copy()
    two.loc[0, "patient"] = "P9"
    disjoint = rows[rows["model"].isin(["net 0", "net 1"])]
    disjoint = disjoint[(disjoint["model"] == "net 0") == (disjoint["image"] < "img_020")]
    metrics = table[["image", "net 0", "net 1"]].set_axis(["case", "dice", "hd95"], axis=1)
    yield pytest.param(
        odd,
        "2 scores are no number: line 6, column net 0: 'failed', line 11, column net 0: '81.8%'",
        id="words",
    )
    yield pytest.param(endless, "1 score is infinite: bad.csv, line 7", id="infinite")
    yield pytest.param(
        pd.concat([rows, rows[:2]]),
        "2 scores are there twice: img_000 by net 0 (bad.csv, line 2 and bad.csv, line 162), img_001",
        id="twice",
    )
    yield pytest.param(split, "case 0 has two different folds: ", id="folds")
    yield pytest.param(two, "case img_000 has two different groups: ", id="groups")
    yield pytest.param(leaky, "groups are divided between folds: g0, g1, g2", id="leak")
    yield pytest.param(unnamed, "1 score has no case: bad.csv, line 9", id="unnamed")
    yield pytest.param(disjoint, "no configuration has a score of every case", id="disjoint")
    yield pytest.param(table[["image", "net 0"]], "there is one column of scores (net 0)", id="one column")
    yield pytest.param(rows[:40], "there is only one configuration (net 0)", id="one configuration")
    yield pytest.param(table[:1], "there is only one case (img_000)", id="one case")
    yield pytest.param(table[:0], "the file has a header but no rows", id="no rows")
    yield pytest.param(rows.drop(columns="image"), "no column says which image a row is of", id="no case")
    yield pytest.param(metrics, "the columns dice, hd95 are metrics, and not configurations", id="metrics")
    yield pytest.param(
        rows.assign(iou=rows["dice"] / 2), "several columns could hold the scores: dice, iou", id="two scores"
    )
    yield pytest.param(rows.drop(columns=["dice"]), "no column holds numbers", id="no numbers")
    yield pytest.param(table[["image"]], "the file has a single column", id="single column")


@pytest.mark.parametrize(("table", "words"), list(bad_tables()))
def test_what_cannot_be_judged_is_refused_with_its_place_and_a_cure(tmp_path, table, words):
    said = refused(DataError, [write(tmp_path / "bad.csv", table)])
    assert words in said
    assert "bad.csv" in said
    assert "→ " in said or "line" in said


def test_files_that_are_no_tables(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "scores.xlsx").write_bytes(b"PK")
    (tmp_path / "latin.csv").write_bytes("image,Größe\n".encode("latin-1"))
    (tmp_path / "old.json").write_text(json.dumps({"results": {"all": []}}))
    table = write(tmp_path / "good.csv", wide())
    assert "the file is empty" in refused(DataError, [tmp_path / "empty.csv"])
    assert "Save the sheet as CSV" in refused(DataError, [tmp_path / "scores.xlsx"])
    assert "not UTF-8" in refused(DataError, [tmp_path / "latin.csv"])
    assert "no metrics of single cases" in refused(DataError, [tmp_path / "old.json"])
    assert "cannot be judged together" in refused(DataError, [table, tmp_path / "old.json"])
    assert "neither scores.csv nor summary.json" in refused(DataError, [tmp_path])
    assert "there is no file" in refused(SpecError, [tmp_path / "none.csv"])
    assert "is named twice" in refused(SpecError, [table, table])
    assert "Did you mean 'image'?" in refused(SpecError, [table], ScoreOptions(case="imag"))
    assert "and not from 0 to 1" in refused(
        SpecError,
        [write(tmp_path / "b.csv", long(wide()).eval("dice = 70 * dice"))],
        ScoreOptions(bounded=True),
    )


def test_rows_of_several_files_are_named_by_the_file_they_are_in(tmp_path):
    paths = []
    for name in ("one", "two"):
        table = wide(skills=(1.2, 1.6)).rename(columns=lambda column, name=name: column.replace("net", name))
        # Empty cells are left out of the first, so that rows move.
        table.loc[:4, f"{name} 0"] = np.nan
        paths.append(write(tmp_path / f"{name}.csv", table))
    table["patient"] = "P0"
    write(paths[1], table)
    assert "P0 for two 0 (two.csv, line 7) and P1 for one 0 (one.csv, line 7)" in refused(DataError, paths)


def test_files_that_differ_in_their_ending_only(tmp_path):
    tables = {"a.csv": ",", "a.tsv": "\t"}
    for seed, (name, separator) in enumerate(tables.items()):
        table = wide(skills=(1.2 + seed,)).rename(columns={"net 0": "dice"})
        write(tmp_path / name, table, sep=separator)
    verdict = judge_files([tmp_path / name for name in tables])
    assert sorted(by_name(verdict)) == ["a.csv", "a.tsv"]


def test_a_file_that_is_named_twice_in_two_ways(tmp_path):
    path = write(tmp_path / "a.csv", wide(skills=(1.2,)).rename(columns={"net 0": "dice"}))
    (tmp_path / "other").mkdir()
    again = tmp_path / "other" / ".." / "a.csv"
    assert "a.csv is named twice" in refused(SpecError, [path, again])


def test_a_summary_of_labels_without_metrics(tmp_path):
    path = tmp_path / "summary.json"
    case = {"metrics": {"1": 0.9}, "reference_file": "a.png"}
    path.write_text(json.dumps({"metric_per_case": [case]}), encoding="utf-8")
    assert "it has no metrics of single cases" in refused(DataError, [path])


def test_a_column_that_is_stated_for_scores_and_for_something_else(tmp_path):
    path = write(tmp_path / "a.csv", wide())
    assert refused(SpecError, [path], ScoreOptions(score=("net 0", "net 1"), fold="net 1")) == (
        "the column 'net 1' is stated for the scores and for the fold\n"
        "  → State another column for one of them, or leave it out."
    )
