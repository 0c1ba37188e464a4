"""Columns that say where images come from are offered by name, and every key that is offered works."""

import csv
import re

import numpy as np
import pytest
import yaml
from small_sets import save

from foldwise.data.audit.audit import audit
from foldwise.data.cache.packing import pack
from foldwise.data.layouts.layouts import read_dataset
from foldwise.study.spec import DataSpec, Validation

N = 24


def write(root, *, table="labels.csv", masks=False, copies=(), **columns):
    """N images of two classes, with more columns: a function of the number of the image each."""
    for k in range(N):
        seed = dict(copies).get(k, k)
        image = np.random.default_rng(seed).integers(0, 255, (32, 32), np.uint8)
        save(root / "images" / f"i{k:02}.png", image)
        if masks:
            save(root / "masks" / f"i{k:02}.png", 255 * np.uint8(image > 128))
    labels = {} if masks else {"label": lambda k: "ab"[k % 2]}
    rows = [(f"i{k:02}.png", *(make(k) for make in (labels | columns).values())) for k in range(N)]
    with (root / table).open("w", newline="") as file:
        csv.writer(file).writerows([("image", *labels, *columns), *rows])


def found(root, data=None, **stated):
    validation = Validation(**stated)
    spec = DataSpec(path=str(root), **{"label_columns": ("label",), **(data or {})})
    dataset = read_dataset(spec, base=root, group=validation.group, split=validation.split)
    findings = audit(dataset, pack(dataset, spec), validation).findings
    assert len([row for row in findings if row.code == "columns_not_used"]) < 2
    return {row.code: row for row in findings}


def offers(finding):
    """The settings of `validate` that a finding offers, each of which uses one column."""
    for text in re.split("; or |State ", finding.cure)[1:]:
        whole = re.search(r"validate: (\{[^{}]*\})", text)
        pairs = re.findall(r"validate\.(\w+): (\"[^\"]*\"|[\w.-]*\w)", text)
        yield yaml.safe_load(whole[1]) if whole else {key: yaml.safe_load(value) for key, value in pairs}


PARTS = ["train", "train", "test", "train", "validation", "train", "test", "train", "train"]
COLUMNS = {
    "split": ("split", lambda k: PARTS[k // 2 % 9], "split"),
    "split by its words": ("usage", lambda k: ["Training", "Testing"][k // 2 % 2], "split"),
    "set": ("Set", lambda k: ["TRAIN", "VAL", "TEST"][k // 2 % 3], "split"),
    "part with a prefix": ("source_split", lambda k: PARTS[k // 2 % 9], "split"),
    "folds from 0": ("fold", lambda k: k // 2 % 4, "split"),
    "folds from 1": ("cv_fold", lambda k: 1 + k // 2 % 3, "split"),
    "two folds": ("fold", lambda k: k // 2 % 2, "split"),
    "patient": ("patient_id", lambda k: 100 + k // 3, "group"),
    "patient as one word": ("PatientID", lambda k: k // 3, "group"),
    "subject": ("subject", lambda k: f"s-{k // 3}", "group"),
    "animal with a point": ("animal", lambda k: f"12.{k // 2}", "group"),
    "case": ("Case No.", lambda k: k // 2, "group"),
    "mouse": ("mouse name", lambda k: ["Ada", "Bea", "Cleo", "Dora", "Eve", "Fay", "Gwen", "Hedy"][k // 3], "group"),
    "donors by their values": ("who", lambda k: f"D{k // 3:03}", "group"),
    "cuts of one image": ("source_image", lambda k: f"big_{k // 2}.tif", "group"),
    "site": ("site", lambda k: ["Jena", "Oslo", "York"][k // 2 % 3], "leave_one_group_out"),
    "two hospitals": ("hospital", lambda k: ["north", "south"][k // 2 % 2], "group"),
    "scanner": ("Scanner", lambda k: ["GE", "Philips", "Siemens"][k // 2 % 3], "leave_one_group_out"),
    "plate": ("plate", lambda k: k // 6, "leave_one_group_out"),
    "batch": ("staining_batch", lambda k: "ABCDEF"[k // 4], "leave_one_group_out"),
    "date": ("date", lambda k: f"2024-03-{1 + k // 4:02}", "group"),
    "date of another form": ("when", lambda k: f"{1 + k // 4:02}.03.2024", "group"),
    "year": ("year", lambda k: 2015 + k // 4, "group"),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("table", ["labels.csv", "metadata.csv"])
def test_a_column_is_offered_with_the_key_that_uses_it_and_the_key_works(name, table, tmp_path):
    column, make, key = COLUMNS[name]
    write(tmp_path, table=table, masks=table == "metadata.csv", **{column: make})
    data = {} if table == "labels.csv" else {"label_columns": None}
    finding = found(tmp_path, data)["columns_not_used"]
    assert f"column {column!r} of {table}" in finding.message
    (offer,) = offers(finding)
    assert key in offer or key in offer.values()
    after = found(tmp_path, data, **offer)
    assert "columns_not_used" not in after
    assert not [row for row in after.values() if row.severity == "error"]
    is_leak = ["animal", "donor", "case", "mouse", "patient", "subject", "cuts"]
    assert finding.severity == ("warning" if name.startswith(tuple(is_leak)) else "note")


@pytest.mark.parametrize(
    ("column", "make"),
    [
        ("age", lambda k: 40 + k % 5),
        ("sex", lambda k: "MF"[k % 2]),
        ("eye", lambda k: ["left", "right"][k % 2]),
        ("width", lambda k: 120 if k % 3 else 90),
        ("stage", lambda k: f"T{1 + k % 4}"),
        ("tumour_grade", lambda k: f"G{k % 3}"),
        ("comment", lambda k: ["good", "blurred"][k % 2]),
        ("intensity", lambda k: 10.25 + k % 4),
        ("patient", lambda k: k),
        ("site", lambda k: "Jena"),
        ("fold", lambda k: ["upper", "lower"][k % 2]),
        ("set", lambda k: k),
        ("class_id", lambda k: k % 2),
        ("scan_date", lambda k: f"2024-03-04 10:{k:02}"),
        ("source", lambda k: f"https://example.org/{k}"),
    ],
)
def test_columns_that_say_nothing_of_it_are_not_offered(column, make, tmp_path):
    write(tmp_path, **{column: make})
    assert "columns_not_used" not in found(tmp_path)


def test_several_columns_are_one_finding(tmp_path):
    write(
        tmp_path,
        patient=lambda k: k // 3,
        site=lambda k: "ABC"[k // 8],
        split=lambda k: ["train", "test"][k // 12],
    )
    finding = found(tmp_path)["columns_not_used"]
    assert finding.severity == "warning"
    assert [set(offer) for offer in offers(finding)] == [{"group"}, {"group", "split"}, {"split"}]
    for offer in offers(finding):
        assert not [row for row in found(tmp_path, **offer).values() if row.severity == "error"]
    # What is decided is not asked again: groups, and with a split that is given the sites too.
    assert "patient" not in found(tmp_path, group="none")["columns_not_used"].message
    assert "columns_not_used" not in found(tmp_path, group="patient", split="split")


def test_fewer_folds_are_offered_where_a_class_is_in_few_groups(tmp_path):
    write(tmp_path, patient=lambda k: f"p{min(k // 2, 6) if k % 2 else k // 12}")
    (offer,) = offers(found(tmp_path)["columns_not_used"])
    assert offer["folds"] < 5
    assert not [row for row in found(tmp_path, **offer).values() if row.severity == "error"]


def test_groups_that_no_folds_can_keep_together(tmp_path):
    write(tmp_path, patient=lambda k: "pq"[k % 2])
    finding = found(tmp_path)["columns_not_used"]
    assert "which no folds can keep together" in finding.message
    assert not list(offers(finding))


def test_a_split_with_copies_on_both_sides_is_offered_with_what_that_takes(tmp_path):
    write(tmp_path, copies=[(23, 1)], split=lambda k: ["train", "test"][k // 12])
    (offer,) = offers(found(tmp_path)["columns_not_used"])
    assert offer == {"split": "split", "near_duplicates": "ignore"}
    assert not [row for row in found(tmp_path, **offer).values() if row.severity == "error"]


@pytest.mark.parametrize(
    ("column", "make", "words"),
    [
        ("split", lambda k: ["train", "val"][k // 12], "no image is for test"),
        ("split", lambda k: ["train", "test"][k // 12] if k else "", "1 image has no part"),
        ("is_train", lambda k: k // 12, "takes once train and test stand in place of its marks"),
        (
            "Testing",
            lambda k: [False, True][k // 12],
            "takes once train and test stand in place of its marks",
        ),
    ],
)
def test_a_split_that_cannot_be_used_as_it_is_is_named_with_what_it_lacks(column, make, words, tmp_path):
    write(tmp_path, **{column: make})
    finding = found(tmp_path)["columns_not_used"]
    assert f"column {column!r} of labels.csv is a split" in finding.message
    assert words in finding.message
    assert not list(offers(finding))


def test_columns_beside_class_folders(tmp_path):
    for k in range(N):
        image = np.random.default_rng(k).integers(0, 255, (32, 32), np.uint8)
        save(tmp_path / "ab"[k % 2] / f"i{k:02}.png", image)
    rows = [f"{'ab'[k % 2]}/i{k:02}.png,{k // 3}" for k in range(N)]
    (tmp_path / "metadata.csv").write_text("\n".join(["image,patient", *rows]))
    (offer,) = offers(found(tmp_path, {"label_columns": None})["columns_not_used"])
    assert offer == {"group": "patient"}
    assert "columns_not_used" not in found(tmp_path, {"label_columns": None}, **offer)


def test_a_split_without_a_class_is_named_and_not_offered(tmp_path):
    write(tmp_path, split=lambda k: ["train", "test"][k % 2])
    finding = found(tmp_path)["columns_not_used"]
    assert "cannot be used as it is" in finding.message
    assert not list(offers(finding))


def test_a_split_offered_where_folds_are_stated(tmp_path):
    write(tmp_path, split=lambda k: ["train", "test"][k // 12])
    finding = found(tmp_path, folds=4)["columns_not_used"]
    assert "take validate.folds out" in finding.cure


def test_patients_on_both_sides_of_a_split_that_is_given(tmp_path):
    write(tmp_path, patient=lambda k: k % 12 // 2, split=lambda k: ["train", "test"][k // 12])
    finding = found(tmp_path, split="split")["columns_not_used"]
    assert "puts images of one of them into several parts" in finding.message
    assert finding.severity == "warning"


def test_cells_that_are_empty_are_to_be_filled(tmp_path):
    write(tmp_path, patient=lambda k: k // 3 if k else "")
    assert (
        "1 image lacks: fill it in and state validate.group: patient"
        in found(tmp_path)["columns_not_used"].message
    )


def test_a_file_of_the_split_beside_the_table(tmp_path):
    write(tmp_path)
    rows = [f"i{k:02}.png,{['train', 'test'][k // 12]}" for k in range(N)]
    (tmp_path / "official.csv").write_text("\n".join(["image,part", *rows]))
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    (tmp_path / "folder.csv").mkdir()
    (offer,) = offers(found(tmp_path)["columns_not_used"])
    assert offer == {"split": "official.csv"}
    assert "columns_not_used" not in found(tmp_path, **offer)


def test_a_column_of_patients_says_it_better_than_names_of_files(tmp_path):
    write(tmp_path, patient=lambda k: k // 2)
    for k in range(N):
        (tmp_path / "images" / f"i{k:02}.png").rename(tmp_path / "images" / f"{k // 2:02}_{'LR'[k % 2]}.png")
    text = (tmp_path / "labels.csv").read_text()
    (tmp_path / "labels.csv").write_text(
        re.sub(r"i(\d\d)\.png", lambda m: f"{int(m[1]) // 2:02}_{'LR'[int(m[1]) % 2]}.png", text)
    )
    assert "groups_in_names" not in found(tmp_path)
