"""Cells are read as they are written: names are text, lines above and below a table are none of it."""

import numpy as np
import pytest
from judged import judge_files
from tables_to_judge import long, wide, write

from foldwise.errors import DataError
from foldwise.judging.external.options import ScoreOptions


def rewritten(tmp_path, change, table=None):
    """The verdict on the same scores, with the images called otherwise."""
    table = long(wide()) if table is None else table
    names = sorted(table["image"].unique())
    calls = {name: change(place) for place, name in enumerate(names)}
    return judge_files([write(tmp_path / "a.csv", table.assign(image=table["image"].map(calls)))])


@pytest.mark.parametrize(
    "change",
    [
        lambda place: f"12.{place + 1}",  # 12.1 and 12.10
        lambda place: f"{place:03}" if place % 2 else str(place - 1 if place else 0),  # 001 and 0
        lambda place: ["1e5", "100000"][place] if place < 2 else str(place),
        lambda place: ["NA", "nan", "None", "True", "inf", "-"][place] if place < 6 else f"0x{place}",
        lambda place: f"{10**20 + place}",
        lambda place: f"2024-01-{place:02}",
    ],
)
def test_identifiers_are_text(tmp_path, change):
    verdict = rewritten(tmp_path, change)
    assert verdict["num_images"] == 40
    assert verdict["answer"]["name"] == "net 1"


def test_configurations_and_groups_are_text_too(tmp_path):
    table = long(wide())
    calls = dict(zip(table["model"].unique(), ("1.1", "1.10", "01", "1"), strict=True))
    table["model"] = table["model"].map(calls)
    table["patient"] = table["patient"].map(lambda name: f"3.{name.removeprefix('P')}")
    table.loc[table["patient"] == "3.1", "patient"] = "3.10x"
    verdict = judge_files([write(tmp_path / "a.csv", table)])
    assert {record["name"] for record in verdict["configurations"]} == {"1.1", "1.10", "01", "1"}
    assert verdict["num_groups"] == 10


@pytest.mark.parametrize("empty", ["", "NA", "nan", "-"])
def test_a_case_without_a_group_is_named_and_one_of_its_own(tmp_path, empty):
    table = long(wide())
    table["patient"] = table["patient"].str.removeprefix("P")  # numbers, but for the empty cells
    table.loc[table["image"].isin(["img_000", "img_017"]), "patient"] = empty
    verdict = judge_files([write(tmp_path / "a.csv", table)])
    assert verdict["num_groups"] == 12
    told = "2 cases have no group and each is taken for one of its own: img_000, img_017"
    assert told in verdict["recognised"]


def test_a_score_without_a_fold_is_asked_about(tmp_path):
    table = long(wide()).assign(fold="1")
    table.loc[3, "fold"] = ""
    with pytest.raises(DataError, match=r"1 score has no fold: a.csv, line 5\n.*--fold none"):
        judge_files([write(tmp_path / "a.csv", table)])


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;"])
def test_the_line_that_tells_excel_the_separator_is_read(tmp_path, line):
    path = write(tmp_path / "a.csv", wide(), sep=";", decimal=",")
    plain = judge_files([path])
    path.write_text(f"{line}\n{path.read_text()}", encoding="utf-8")
    assert judge_files([path])["configurations"] == plain["configurations"]
    path.write_text(path.read_text().replace("\nimg_003;", "\nimg_003;failed;x"), encoding="utf-8")
    with pytest.raises(DataError, match="line 6"):
        judge_files([path])


SUMMARIES = {
    "mean": np.mean,
    "Average": np.mean,
    "AVG Dice": np.mean,
    "Mean (n=40)": np.mean,
    "Std. dev.": np.std,
    "SD": np.std,
    "median": np.median,
    "Mittelwert": np.mean,
    "macro avg": np.mean,
    "95% CI": np.std,
    "p-value": np.std,
    "max": np.max,
    "Total": np.sum,
    # On no list: told by a name unlike the others', and the value.
    "\N{LATIN CAPITAL LETTER O WITH STROKE}": np.mean,
    "STABW.S": np.std,
    "ECARTYPE": np.std,
    "Gesamt": np.mean,
}


@pytest.mark.parametrize("name", SUMMARIES)
@pytest.mark.parametrize("shape", [wide, lambda: long(wide())])
def test_rows_of_summaries_are_no_cases(tmp_path, name, shape):
    table = shape()
    plain = judge_files([write(tmp_path / "plain.csv", table)])
    nets = [column for column in table.columns if column.startswith("net")]
    rows = [{"image": name} | {net: SUMMARIES[name](table[net]).round(3) for net in nets}]
    if not nets:
        rows = [
            {
                "image": name,
                "model": model,
                "dice": SUMMARIES[name](own["dice"]).round(3),
                "rate": own["rate"].iloc[0],
            }
            for model, own in table.groupby("model")
        ]
    table = type(table)([*table.to_dict("records"), *rows])
    verdict = judge_files([write(tmp_path / "a.csv", table)])
    assert verdict["num_images"] == 40
    assert [one["estimate"] for one in verdict["configurations"]] == [
        one["estimate"] for one in plain["configurations"]
    ]
    assert any(f"no cases: {name} (line" in told for told in verdict["recognised"])


def test_what_describe_writes_below_is_no_case_and_an_animal_called_max_is_one(tmp_path):
    table = wide()[["image", "net 0", "net 1"]]
    whole = table.describe().reset_index(names="image")
    path = write(tmp_path / "a.csv", type(table)([*table.to_dict("records"), *whole.to_dict("records")]))
    assert judge_files([path])["num_images"] == 40
    for name in ("Max", "all", "mean_shift.png", "std_04", "Gesamt", "img"):
        called = table.assign(image=[name, *table["image"][1:]])
        assert judge_files([write(tmp_path / "b.csv", called)])["num_images"] == 40


def test_unnamed_columns_without_cells_are_no_columns(tmp_path):
    path = write(tmp_path / "a.csv", wide())
    path.write_text("".join(f"{line},,\n" for line in path.read_text().splitlines()), encoding="utf-8")
    assert len(judge_files([path], ScoreOptions(group="none"))["configurations"]) == 4


@pytest.mark.parametrize(
    "cell", ["1.201", "1.201,5", "1 201", "1'201", "1\N{RIGHT SINGLE QUOTATION MARK}201,5"]
)
@pytest.mark.parametrize("some", [1, 40])
def test_marks_of_thousands_are_no_decimals(tmp_path, cell, some):
    rows = [f"c{row};unet;{cell if row < some else '999,5'}\nc{row};vit;{800 + row},5" for row in range(40)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["image;model;hd95", *rows]), encoding="utf-8")
    with pytest.raises(DataError, match=r"column hd95: .*\n  → .*no mark of thousands"):
        judge_files([path])


@pytest.mark.parametrize("form", ["long", "wide"])
@pytest.mark.parametrize("sign", ["%", " %"])
def test_scores_that_all_have_a_per_cent_sign_are_read_without_it_and_it_is_said(tmp_path, form, sign):
    judged = []
    for end in ("", sign):
        scores = [(f"c{row}", f"{80 + row % 9},5{end}", f"{70 + row % 7},25{end}") for row in range(40)]
        if form == "long":
            rows = ["image;model;dice", *(f"{c};unet;{a}\n{c};vit;{b}" for c, a, b in scores)]
        else:  # the last is left out of the comparison, as a score is lacking
            rows = [
                "image;a dice;b dice;c dice",
                *(f"{c};{a};{b};{b if c != 'c7' else ''}" for c, a, b in scores),
            ]
        path = tmp_path / "a.csv"
        path.write_text("\n".join(rows), encoding="utf-8")
        judged.append(judge_files([path]))
    plain, signed = judged
    assert signed["configurations"] == plain["configurations"]
    assert "80 % is read as 80" in " ".join(signed["recognised"])
    assert "80 % is read as 80" not in " ".join(plain["recognised"])


def test_marks_of_thousands_are_no_decimals_before_a_per_cent_sign_either(tmp_path):
    rows = [
        f"c{row};unet;{'1.201%' if row == 7 else '80,5%'}\nc{row};vit;{70 + row % 7},25%" for row in range(40)
    ]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["image;model;dice", *rows]), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"a score is no number: line 16, column dice: '1.201'\n  → .*no mark of thousands"
    ):
        judge_files([path])


def test_a_per_cent_sign_in_some_cells_only_is_refused(tmp_path):
    rows = [f"c{row};unet;{80 + row % 9}%\nc{row};vit;0,7{row % 7}" for row in range(40)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["image;model;dice", *rows]), encoding="utf-8")
    with pytest.raises(DataError, match=r"40 scores are no number: line 2, column dice: '80%'"):
        judge_files([path])


@pytest.mark.parametrize("size", [1e300, 1e90, 1e31, 1e-31, 1e-90, 1e-300])
def test_scores_beyond_what_can_be_squared_are_refused(tmp_path, size):
    table = wide()[["image", "net 0", "net 1"]]
    path = tmp_path / "a.csv"
    rows = [
        f"{one['image']},{one['net 0'] * size:.6e},{one['net 1'] * size:.6e}"
        for one in table.to_dict("records")
    ]
    path.write_text("\n".join(["image,a,b", *rows]), encoding="utf-8")
    options = ScoreOptions(metric="loss", score=("a", "b"))
    with pytest.raises(DataError, match=r"beyond|no score is larger"):
        judge_files([path], options)
