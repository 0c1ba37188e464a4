"""Where a table can be read in two ways the user is asked: the direction, what columns are, and the scale."""

import json

import numpy as np
import pandas as pd
import pytest
from judged import judge_files
from tables_to_judge import long, wide, write

from foldwise.errors import DataError
from foldwise.judging.external.options import ScoreOptions


def asked(paths, options=None):
    with pytest.raises(DataError) as caught:
        judge_files(paths, options)
    assert "\n  → " in str(caught.value)
    return str(caught.value)


def best(verdict):
    return verdict["answer"]["name"]


def two(seed=0, n=24, *, scale=1.0):
    """An image, and the scores of a better and a worse model."""
    rng = np.random.default_rng(seed)
    good = rng.uniform(0.6, 0.9, n).round(4)
    worse = (good - rng.uniform(0.02, 0.06, n)).round(4)
    names = [f"c{place:02}" for place in range(n)]
    return pd.DataFrame({"image": names, "unet": good * scale, "vit": worse * scale})


@pytest.mark.parametrize(
    "names", [("dice_liver", "dice_kidney"), ("nucleus", "background"), ("Dice left lung", "Dice heart")]
)
def test_columns_of_classes_are_asked_about_and_may_be_named(tmp_path, names):
    path = write(tmp_path / "a.csv", two().rename(columns=dict(zip(("unet", "vit"), names, strict=True))))
    said = asked([path])
    assert all(f"{name} (by its name a class)" in said for name in names)
    assert "write a table for each class" in said
    assert best(judge_files([path], ScoreOptions(score=names))) == names[0]


def melted(table, name):
    return table.melt(["image"], ["unet", "vit"], "model", name)


@pytest.mark.parametrize(
    ("name", "scale", "wins"),
    [
        ("error_rate", 1, "vit"),
        ("surface_distance_mm", 9, "vit"),
        ("Dice (%)", 100, "unet"),
        ("psnr_db", 40, "unet"),
        ("score", 1, "unet"),
        ("score", 100, None),
        ("thing", 1, None),
        ("1-dice", 1, None),
        ("rmse", -1, None),  # signed, or negated by a program that maximises
        ("dice", -1, None),
        ("dice", 1000, None),
    ],
)
def test_the_direction_is_told_by_the_name_or_asked_for(tmp_path, name, scale, wins):
    path = write(tmp_path / "a.csv", melted(two(scale=scale), name))
    if wins:
        assert best(judge_files([path])) == wins
        return
    assert "a.csv: " in asked([path])
    assert "--" in asked([path])
    stated = ScoreOptions(higher_is_better=True, bounded=False)
    assert best(judge_files([path], stated)) == ("unet" if scale > 0 else "vit")


def test_columns_of_a_wide_table_can_tell_the_metric(tmp_path):
    table = two(scale=5).rename(columns={"unet": "unet_hd95", "vit": "vit_hd95"})
    verdict = judge_files([write(tmp_path / "a.csv", table)])
    assert (best(verdict), verdict["metric"]["name"]) == ("vit_hd95", "hd95")
    mixed = two().rename(columns={"unet": "unet_dice", "vit": "vit_loss"})
    assert "are metrics, and not configurations" in asked([write(tmp_path / "b.csv", mixed)])
    for one, other in (("unet_dice_loss", "unet_ce_loss"), ("vit_mae", "swin_mae")):
        path = write(tmp_path / "c.csv", two().rename(columns={"unet": one, "vit": other}))
        assert "or what models were trained by" in asked([path])
        assert best(judge_files([path], ScoreOptions(metric="dice"))) == one
        assert best(judge_files([path], ScoreOptions(metric="loss"))) == other
    metrics = write(
        tmp_path / "d.csv", two(scale=5).assign(vit=two()["vit"]).set_axis(["image", "hd95", "dice"], axis=1)
    )
    for options in (None, ScoreOptions(metric="dice"), ScoreOptions(metric="hd95")):
        assert "are metrics, and not configurations" in asked([metrics], options)
    assert "less may be better" in asked([write(tmp_path / "error_rates.csv", two())])


OTHERS = {
    "Unnamed: 0": lambda n: range(100, 100 + n),
    "age": lambda n: [40 + place % 7 + 0.5 for place in range(n)],
    "tumour_volume_mm3": lambda n: np.linspace(0.1, 0.9, n),
    "mean": lambda n: np.linspace(0.6, 0.8, n),
    "label": lambda n: [place % 2 for place in range(n)],
    "n_cells": lambda n: [place % 5 for place in range(n)],
    "dose": lambda n: [place % 2 for place in range(n)],  # written without decimals
    "plate": lambda n: [n - place for place in range(n)],
    "field_strength": lambda n: [1.5] * n,
    "Alter": lambda n: [40.5 + place for place in range(n)],
    "bmi_at_visit": lambda n: [20.5 + place for place in range(n)],
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_column_that_is_no_configuration_is_left_out_or_asked_about(tmp_path, name):
    table = two().assign(**{name: OTHERS[name](24)})
    path = write(tmp_path / "a.csv", table[["image", name, "unet", "vit"]])
    if name == "Unnamed: 0":
        verdict = judge_files([path])
        assert "not used: Unnamed: 0" in verdict["recognised"][0]
    else:
        question = asked([path])
        assert f"{name} (" in question
        assert "--score unet --score vit" in question
        verdict = judge_files([path], ScoreOptions(score=("unet", "vit")))
    assert [one["name"] for one in verdict["configurations"]] == ["unet", "vit"]


def test_a_table_that_lies_on_its_side_is_asked_about(tmp_path):
    turned = two().set_index("image").T.reset_index(names="name")
    assert "24 columns of scores and 2 rows: is a row a configuration?" in asked(
        [write(tmp_path / "a.csv", turned)]
    )


@pytest.mark.parametrize("form", ["{:.1%}", "{:.1f} %"])
def test_a_column_of_per_cent_does_not_vanish(tmp_path, form):
    table = two().assign(mlp=two(1)["vit"].map(form.format))
    assert "24 scores are no number: line 2, column mlp: " in asked([write(tmp_path / "a.csv", table)])


@pytest.mark.parametrize("change", ["\N{MINUS SIGN}{}", "\N{NO-BREAK SPACE}{}", "{}_0"])
def test_numbers_that_not_every_program_reads_are_named(tmp_path, change):
    table = melted(two(), "r2").astype({"r2": str})
    table["r2"] = table["r2"].map(change.format)
    assert "48 scores are no number: line 2, column r2: " in asked(
        [write(tmp_path / "a.csv", table)], ScoreOptions(score=("r2",))
    )


def test_rows_with_another_separator_than_the_header(tmp_path):
    path = write(tmp_path / "a.csv", two(), sep=";")
    path.write_text(path.read_text().replace(";", ",", 2))
    assert "the header has 3 cells, and no row has as many" in asked([path])


def test_commas_within_commas_are_asked_about(tmp_path):
    table = two().astype({"vit": str})
    table["vit"] = table["vit"].str.replace(".", ",")
    assert "24 scores are no number: line 2, column vit: " in asked([write(tmp_path / "a.csv", table)])


def test_an_index_is_the_case_where_nothing_else_is(tmp_path):
    verdict = judge_files(
        [write(tmp_path / "a.csv", two().assign(image=range(24)).rename(columns={"image": ""}))]
    )
    assert verdict["num_images"] == 24
    assert "case from 'Unnamed: 0'" in verdict["recognised"][0]


def test_none_takes_a_column_out_of_a_wide_table(tmp_path):
    path = write(tmp_path / "a.csv", two().assign(fold=[place % 3 for place in range(24)]))
    verdict = judge_files([path], ScoreOptions(fold="none"))
    assert ([one["name"] for one in verdict["configurations"]], verdict["folds"]) == (["unet", "vit"], 1)


def test_the_score_of_a_long_table_is_known_beside_an_age(tmp_path):
    table = melted(two(), "dice").assign(age=[place % 24 + 40 for place in range(48)], index=range(48))
    verdict = judge_files([write(tmp_path / "a.csv", table)])
    assert (verdict["metric"]["name"], best(verdict)) == ("dice", "unet")
    assert "not used: age, index" in verdict["recognised"][0]
    assert "this column may hold no scores: age" in asked(
        [write(tmp_path / "b.csv", table.drop(columns="dice"))]
    )


def test_metrics_with_a_row_each_are_judged_one_at_a_time(tmp_path):
    rows = [
        melted(two(scale=scale), "value").assign(metric=name) for name, scale in (("Dice", 1), ("HD95", 9))
    ]
    path = write(tmp_path / "a.csv", pd.concat(rows))
    assert "Judge one at a time: --metric NAME. There are Dice, HD95." in asked([path])
    for name, wins in (("dice", "unet"), ("hd95", "vit")):
        assert best(judge_files([path], ScoreOptions(metric=name))) == wins
    assert judge_files([write(tmp_path / "b.csv", rows[1])])["metric"]["name"] == "HD95"


def test_files_of_equal_names_are_called_by_their_folders(tmp_path):
    table = two()
    paths = []
    for model in ("unet", "vit"):
        (tmp_path / "runs" / model / "test").mkdir(parents=True)
        own = table[["image", model]].rename(columns={model: "dice"})
        paths.append(write(tmp_path / "runs" / model / "test" / "scores.csv", own.assign(age=range(40, 64))))
    assert {one["name"] for one in judge_files(paths)["configurations"]} == {"unet", "vit"}
    paths.append(write(tmp_path / "mlp.csv", own))
    assert len(judge_files(paths)["configurations"]) == 3
    for path in paths:
        write(path, pd.read_csv(path).assign(hd95=range(24)))
    assert "Name the one to judge: --score dice." in asked(paths)
    assert judge_files(paths, ScoreOptions(metric="hd95"))["metric"]["name"] == "hd95"
    for path in paths:
        write(path, pd.read_csv(path).drop(columns="hd95"))
    write(paths[-1], own.rename(columns={"dice": "hd95"}))
    assert "scores of different names" in asked(paths)


def scaled(rows, factor):
    def change(table):
        own = table.index[(table["model"] == "unet")][rows]
        table.loc[own, "dice"] *= factor
        return table

    return change


@pytest.mark.parametrize("rows", [slice(None), slice(0, 1), slice(0, 12), slice(1, None)])
@pytest.mark.parametrize(
    ("name", "factor"),
    [("dice", 100), ("auroc", 100), ("score", 100), ("hd95_mm", 1000), ("error_rate", 100)],
)
def test_two_scales_are_asked_about(tmp_path, rows, name, factor):
    table = scaled(rows, factor)(melted(two(), "dice")).rename(columns={"dice": name})
    path = write(tmp_path / "a.csv", table)
    if name == "hd95_mm" and rows == slice(0, 1):
        judge_files(
            [path]
        )  # one distance may well be far from the others, and what is said of it is not wrong
        return
    question = asked([path])
    assert "two scales" in question
    assert "--one-scale" in question
    json.dumps(judge_files([path], ScoreOptions(one_scale=True, higher_is_better=True)), allow_nan=False)


@pytest.mark.parametrize("name", ["dice", "log_loss", "hd95", "psnr"])
def test_scores_that_only_differ_are_on_one_scale(tmp_path, name):
    rng = np.random.default_rng(0)
    scores = {
        "dice": np.r_[0.0, 0.001, rng.uniform(0.01, 1, 46)],
        "log_loss": rng.lognormal(-3, 2, 48),
        "hd95": np.r_[150.0, rng.lognormal(0.5, 0.7, 47)],
        "psnr": rng.uniform(18, 42, 48),
    }[name]
    judge_files([write(tmp_path / "a.csv", melted(two(), name).assign(**{name: scores}))])


def test_per_cent_throughout_is_one_scale(tmp_path):
    table = long(wide()).eval("dice = 100 * dice")
    assert not judge_files([write(tmp_path / "a.csv", table)])["metric"]["bounded"]
