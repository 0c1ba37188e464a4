"""Cells of labels have one reading, or a question of which every answer works: joined labels, lists, and spellings."""

import csv
import re
import unicodedata

import numpy as np
import pytest
import yaml
from small_sets import save

from foldwise.data.class_names import sameness
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError, SpecError
from foldwise.study.spec import DataSpec

ONE, SEVERAL = "multiclass_classification", "multilabel_classification"


def write(root, cells):
    for k in range(len(cells)):
        save(root / "images" / f"i{k}.png")
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("image", "label"), *((f"i{k}.png", cell) for k, cell in enumerate(cells))]
        )


def read(root, **data):
    return read_dataset(DataSpec(path=str(root), **data), base=root)


def names(dataset):
    """The labels of every image, by name."""
    return [{dataset.classes[k] for k in case.labels} for case in dataset.cases]


def refused(root, **data):
    with pytest.raises(DataError) as caught:
        read(root, **data)
    return caught.value


def cures(error):
    """The settings of `data` that a message offers."""
    tasks = [{"task": task} for task in re.findall(r"\w+_classification", error.cure)]
    lists = re.findall(r"data\.classes: (\[.*?\])(?= to read| if they)", error.cure)
    return tasks + [{"classes": tuple(yaml.safe_load(text))} for text in lists]


TRUTH = [{"scab"}, {"rust"}, {"scab", "rust"}, {"healthy"}, {"rust", "scab"}]


def joined(sign):
    return ["scab", "rust", f"scab{sign}rust", "healthy", f"rust{sign}scab"]


@pytest.mark.parametrize("sign", [",", ", ", " , ", ";", "; ", "|", " | ", "，", "、", "\u00a0,\u00a0"])
def test_signs_between_labels_that_other_cells_reveal(sign, tmp_path):
    write(tmp_path, joined(sign))
    dataset = read(tmp_path)
    assert (dataset.task, names(dataset)) == (SEVERAL, TRUTH)
    assert any(f"separated by {sign.strip()!r}" in line for line in dataset.statements)
    assert len(read(tmp_path, task=ONE).classes) == 5


@pytest.mark.parametrize(
    "sign", ["/", " / ", "+", " + ", "&", " & ", " and ", " ", "  ", "-", "_", " - ", ":", "\n", "\t", "\\"]
)
def test_signs_that_names_hold_too_are_asked_about_and_both_answers_work(sign, tmp_path):
    write(tmp_path, joined(sign))
    error = refused(tmp_path)
    assert "one name, or several labels with" in error.what
    one, several = cures(error)
    assert (one, several) == ({"task": ONE}, {"task": SEVERAL})
    assert len(read(tmp_path, **one).classes) == 5
    assert names(read(tmp_path, **several)) == TRUTH
    assert names(read(tmp_path, classes=("healthy", "scab", "rust"))) == TRUTH


LISTS = {
    "python lists": ["['scab']", "['rust']", "['scab', 'rust']", "['healthy']", "['rust', 'scab']"],
    "json": ['["scab"]', '["rust"]', '["scab", "rust"]', '["healthy"]', '["rust","scab"]'],
    "lists among words": ["scab", "rust", "['scab', 'rust']", "healthy", "['rust', 'scab']"],
    "sets": ["{'scab'}", "{'rust'}", "{'scab', 'rust'}", "{'healthy'}", "{'rust', 'scab'}"],
    "sets in quotes": ['"{scab}"', '"{rust}"', '"{scab,rust}"', '"{healthy}"', '"{rust,scab}"'],
    "tuples": ["('scab',)", "('rust',)", "('scab', 'rust')", "('healthy',)", "('rust', 'scab')"],
    "without quotes": ["[scab]", "[rust]", "[scab, rust]", "[healthy]", "[rust; scab]"],
    "arrays": ["['scab']", "['rust']", "['scab' 'rust']", "['healthy']", "['rust'\n 'scab']"],
    "quoted, joined": ['"scab"', '"rust"', '"scab","rust"', '"healthy"', '"rust", "scab"'],
    "quoted all around": ["'scab'", "'rust'", "'scab,rust'", "'healthy'", "'rust,scab'"],
    "typographic": ["“scab”", "“rust”", "“scab”, “rust”", "“healthy”", "„rust“, „scab“"],
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_lists_and_sets(name, tmp_path):
    write(tmp_path, LISTS[name])
    dataset = read(tmp_path)
    assert (dataset.task, names(dataset)) == (SEVERAL, TRUTH)


def test_empty_lists_are_no_label_once_this_is_stated(tmp_path):
    write(tmp_path, ["[]", "['a']", "['a', 'b']", "set()"])
    assert "2 images have no label" in refused(tmp_path).what
    assert names(read(tmp_path, task=SEVERAL)) == [set(), {"a"}, {"a", "b"}, set()]


def test_lists_of_one_are_asked_about(tmp_path):
    write(tmp_path, ["['a']", "['b']", "['c']"])
    error = refused(tmp_path)
    assert "every cell has exactly one label" in error.what
    for cure in cures(error):
        assert read(tmp_path, **cure).classes == ("a", "b", "c")
    write(tmp_path, ["['a', 'b']", "['b']"])
    with pytest.raises(SpecError, match="1 cell holds a list of several labels"):
        read(tmp_path, task=ONE)


@pytest.mark.parametrize(
    "cells",
    [
        ["T-cell, activated", "T-cell, resting", "B-cell, activated", "B-cell, resting"],
        ["T-cell, activated", "neutrophil", "monocyte"],
        ["grade 1/2", "grade 3", "grade 4"],
        ["red cell", "white cell", "platelet"],
        ["gel", "not_gel"],
        ["gel", "non-gel"],
        ["CD4+", "CD8+", "CD4+CD8+"],
        ["HER2+", "HER2-", "0/1"],
        ["2.5", "2", "5"],
        ["R&D", "sales", "both"],
        ["[unclear]", "cat", "dog"],
        ["cell (dead)", "cell (alive)", "debris"],
        ["5'", "3'"],
        ["Alzheimer's", "Parkinson's", "none"],
    ],
)
def test_names_that_merely_hold_such_a_sign_are_names(cells, tmp_path):
    write(tmp_path, cells)
    dataset = read(tmp_path)
    assert set(dataset.classes) == set(cells)
    assert all(len(case.labels) == 1 for case in dataset.cases)


@pytest.mark.parametrize(
    ("cells", "several"),
    [
        (["scab,rust", "scab,mildew", "rust,mildew"], {"scab", "rust", "mildew"}),
        (["scab", "scab,rust", "healthy"], {"scab", "rust", "healthy"}),
        (["1", "2", "1/2"], {"1", "2"}),
        (["T cell", "T cell, activated", "B cell"], {"T cell", "activated", "B cell"}),
        (["scab", "rust", "scab,rust", "scab&rust"], {"scab", "rust"}),
        (["red cell", "red", "white cell/red cell"], {"red cell", "red", "white cell"}),
    ],
)
def test_hints_are_asked_about(cells, several, tmp_path):
    write(tmp_path, cells)
    one, other = cures(refused(tmp_path))
    assert set(read(tmp_path, **one).classes) == set(cells)
    assert set(read(tmp_path, **other).classes) == several


def test_empty_cells_are_told_together_with_the_question(tmp_path):
    write(tmp_path, ["scab", "rust", "scab/rust", " ", "''"])
    error = str(refused(tmp_path))
    assert "2 images have no label" in error
    assert "one name, or several labels with '/'" in error
    assert names(read(tmp_path, task=SEVERAL))[2:] == [{"scab", "rust"}, set(), set()]


def test_signs_within_labels_that_another_sign_separates(tmp_path):
    write(tmp_path, ["T-cell, activated|B-cell", "B-cell", "T-cell, activated", "mast cell|B-cell"])
    assert read(tmp_path).classes == ("B-cell", "mast cell", "T-cell, activated")
    write(tmp_path, ["Nucleoli", "Nucleoli fibrillar center|Cytosol", "Cytosol", "Nucleoli"])
    for task in ("auto", SEVERAL):
        assert read(tmp_path, task=task).classes == ("Cytosol", "Nucleoli", "Nucleoli fibrillar center")
    write(tmp_path, ["['cell']", "['cell wall', 'cell']", "['cell wall']", "['nucleus']"])
    assert read(tmp_path).classes == ("cell", "cell wall", "nucleus")


def test_stated_classes_are_never_split_and_settle_what_is_joined(tmp_path):
    write(tmp_path, ["scab/rust", "scab", "rust", "n/a"])
    assert read(tmp_path, classes=("scab", "rust", "scab/rust", "n/a")).task == ONE
    assert names(read(tmp_path, classes=("scab", "rust", "n/a")))[0] == {"scab", "rust"}


@pytest.mark.parametrize(
    "spelled",
    [" cat", "cat ", "\u00a0cat", "cat\u00a0", "\ufeffcat", "cat\u200b", "'cat'", '"cat"', "“cat”", "`cat`", "«cat»", "'cat", '"cat', "\tcat", "\u2003cat\u202f", "' cat '", "‘cat’"],
)  # fmt: skip
def test_quotes_and_spaces_belong_to_no_class_name_and_this_is_said(spelled, tmp_path):
    write(tmp_path, ["cat", "dog", spelled, "dog"])
    dataset = read(tmp_path)
    assert (dataset.task, dataset.classes) == ("binary_classification", ("cat", "dog"))
    told = [line for line in dataset.statements if line.startswith("Quotes and spaces are no part")]
    place = "labels.csv, line 4, column label"
    assert told == [f"Quotes and spaces are no part of a class name: {spelled!r} ({place}) is read as 'cat'."]


def test_spaces_within_names_and_forms_of_unicode(tmp_path):
    write(tmp_path, ["red cell", "red  cell", "red\u00a0cell", "é", unicodedata.normalize("NFD", "é")])
    dataset = read(tmp_path)
    assert dataset.classes == ("red cell", "é")
    assert any("so in 1 more cell" in line for line in dataset.statements)


@pytest.mark.parametrize(
    "cells",
    [["Cat", "cat", "dog"], ["CAT", "cat", "Dog", "dog"], ["cell A", "cellA", "b"], ["ﬁsh", "fish", "x"], ["１", "1", "2"], ["1", "1.0", "2"], ["01", "1", "2"], ["no", "No", "yes"], ["Scab, mild", "scab, mild", "x"]],
)  # fmt: skip
def test_names_that_differ_in_case_and_the_like_are_asked_about_and_both_answers_work(cells, tmp_path):
    write(tmp_path, cells)
    error = refused(tmp_path)
    assert "class names differ in spelling only" in error.what
    merged, apart = cures(error)
    assert len(read(tmp_path, **merged).classes) == len({sameness(cell) for cell in cells})
    assert set(read(tmp_path, **apart).classes) == set(cells)
    assert any("as data.classes spells them" in line for line in read(tmp_path, **merged).statements)


def test_several_labels_that_differ_in_case(tmp_path):
    write(tmp_path, ["Cat|dog", "cat", "dog"])
    merged, apart = cures(refused(tmp_path))
    assert names(read(tmp_path, **merged))[0] & names(read(tmp_path, **merged))[1]
    assert len(read(tmp_path, **apart).classes) == 3


@pytest.mark.parametrize(
    "cell", ["NA", "nan", "N/A", "NULL", "?", "-", "#N/A", "<NA>", "—", "missing", " NaN "]
)
@pytest.mark.parametrize("sign", ["", "|"])
def test_cells_that_say_nothing_are_asked_about_and_may_be_stated_as_a_class(cell, sign, tmp_path):
    write(tmp_path, ["scab", "rust", cell, f"rust{sign}scab" if sign else "rust"])
    error = refused(tmp_path)
    assert "line 4" in str(error)
    assert "the label is not known" in error.what
    stated = yaml.safe_load(re.search(r"data\.classes: (\[.*\])", error.cure)[1])
    assert len(read(tmp_path, classes=tuple(map(str, stated))).classes) == 3


@pytest.mark.parametrize("cell", ["none", "unknown", "normal", "0", "Na+", "NaCl", "N"])
def test_names_that_mean_something_are_not_taken_for_nothing(cell, tmp_path):
    write(tmp_path, ["scab", "rust", cell])
    assert cell in read(tmp_path).classes


@pytest.mark.parametrize("cells", [[f"{k * 0.37:.2f}" for k in range(12)], [f"{60 + k}" for k in range(12)], [f"a remark, the {k}th" for k in range(12)], [f"{k // 1.5:g}" for k in range(18)]])  # fmt: skip
def test_labels_of_which_nearly_every_image_has_its_own_are_no_classes(cells, tmp_path):
    write(tmp_path, cells)
    error = refused(tmp_path)
    assert f"different labels for {len(cells)} images" in error.what
    assert "State data.label_columns" in error.cure
    assert len(read(tmp_path, classes=tuple(dict.fromkeys(cells))).classes) == len(set(cells))


def test_a_few_images_of_each_of_many_classes_are_classes(tmp_path):
    write(tmp_path, [f"species {k % 10}" for k in range(20)])
    assert len(read(tmp_path).classes) == 10


HEADS = {
    "empty columns": ("image,label,,", "{},{},,"),
    "empty columns in the rows only": ("image,label", "{},{},,"),
    "empty columns between": ("image,,label", "{},,{}"),
    "an index": (",image,label", "7,{},{}"),
    "an index and empty columns": (",image,label,", "7,{},{},"),
    "semicolons": ("image;label;", "{};{};"),
}


@pytest.mark.parametrize("name", HEADS)
def test_columns_without_a_name_do_no_harm(name, tmp_path):
    head, row = HEADS[name]
    write(tmp_path, ["scab", "rust", "scab"])
    rows = [row.format(f"i{k}.png", cell) for k, cell in enumerate(["scab", "rust", "scab"])]
    (tmp_path / "labels.csv").write_text("\r\n".join([head, *rows, row.format("", "").replace("7", "")]))
    assert names(read(tmp_path)) == [{"scab"}, {"rust"}, {"scab"}]


def test_two_columns_with_values_and_without_a_name_are_refused(tmp_path):
    write(tmp_path, ["scab", "rust"])
    (tmp_path / "labels.csv").write_text("image,label,,\ni0.png,scab,1,\ni1.png,rust,,2\n")
    assert "2 columns with values have no name" in refused(tmp_path).what


def test_a_table_without_a_first_line_of_names(tmp_path):
    write(tmp_path, ["scab", "rust", "scab"])
    (tmp_path / "labels.csv").write_text("i0.png,scab\ni1.png,rust\ni2.png,scab\n")
    error = refused(tmp_path)
    assert "i0.png, scab" in error.what
    assert "image,label" in error.cure


def test_numbers_that_lost_their_zeros_are_explained(tmp_path):
    for k in range(3):
        save(tmp_path / "images" / f"{k:03}.png")
    (tmp_path / "labels.csv").write_text("image,label\n0,a\n1,b\n2,a\n")
    assert "line 3 '1' (there is images/001.png)" in str(refused(tmp_path))


def test_images_with_several_rows_are_one_problem(tmp_path):
    write(tmp_path, ["a", "b", "a"])
    with (tmp_path / "labels.csv").open("a") as file:
        file.write("i0.png,b\ni1.png,b\ni0.png,a\n")
    assert (
        "2 images have more than one row: images/i0.png (lines 2, 5, 7), images/i1.png (lines 3, 6)"
        in refused(tmp_path).what
    )


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;", "sep=;;"])
def test_the_line_by_which_a_spreadsheet_is_told_its_separator_is_no_header(line, tmp_path):
    write(tmp_path, ["a, b", "c"])
    rows = "image;label\r\ni0.png;a, b\r\ni1.png;c\r\n"
    (tmp_path / "labels.csv").write_text(f"{line}\r\n{rows}")
    assert names(read(tmp_path)) == [{"a, b"}, {"c"}]
    (tmp_path / "labels.csv").write_text(line)
    assert "no rows" in refused(tmp_path).what


LABELS = {
    "a column": (np.arange(12)[:, None] % 3, ("0", "1", "2")),
    "a column of 0 and 1": (np.arange(12)[:, None] % 2, ("0", "1")),
    "bytes": (np.array([b"gel", "Öl".encode()] * 6), ("gel", "Öl")),
    "signs": (np.where(np.arange(12) % 2, 1, -1), ("-1", "1")),
    "fractions": (np.array(["10", "-0.5", "2.5"] * 4), ("-0.5", "2.5", "10")),
}


@pytest.mark.parametrize("name", LABELS)
def test_arrays_of_labels_are_what_they_mean(name, tmp_path):
    labels, classes = LABELS[name]
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 255, (12, 1, 20, 24), np.uint8))
    np.save(tmp_path / "labels.npy", labels)
    dataset = read(tmp_path)
    assert dataset.classes == classes
    assert any("12 grey images of 20×24" in line for line in dataset.statements)
