"""Decisions on labels in a review.csv beside the images: who is flagged is named, and left out only where the study says so."""

import pytest
from small_sets import pairs, save, stacks, two_classes

from foldwise.data.audit.audit import audit
from foldwise.data.cache.packing import pack
from foldwise.data.external_set import read_external
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec, Validation


def read(root, review=None, **stated):
    if review is not None:
        (root / "review.csv").write_text(review)
    data = DataSpec(path=str(root), **stated)
    return read_dataset(data, base=root), data


def findings(dataset, data):
    return {row.code: row for row in audit(dataset, pack(dataset, data), Validation(folds=2)).findings}


def names(dataset):
    return [case.name for case in dataset.cases]


FLAGGED = "image,decision,note\ngel_0.png,accept,\ngel_1.png, Flag ,smeared\nother_2.png,flag,\nother_0.png,,later\n"


def test_flagged_labels_are_named_and_used(tmp_path):
    two_classes(tmp_path)
    before, _ = read(tmp_path)
    dataset, data = read(tmp_path, FLAGGED)
    assert dataset.cases == before.cases
    assert "review.csv: 1 label accepted, 2 flagged." in dataset.statements
    finding = findings(dataset, data)["flagged"]
    assert finding.severity == "note"
    assert (
        "2 labels flagged in review.csv, and used as all others: gel/gel_1.png (smeared), other/other_2.png."
        in finding.message
    )
    assert (finding.cases, finding.choices) == (
        ("gel/gel_1.png", "other/other_2.png"), ("data.flagged=leave_out",),
    )  # fmt: skip


def test_they_are_left_out_where_the_study_says_so_and_it_is_warned_of(tmp_path):
    two_classes(tmp_path)
    before, plain = read(tmp_path)
    dataset, data = read(tmp_path, FLAGGED, flagged="leave_out")
    assert names(dataset) == [
        name for name in names(before) if name not in ("gel/gel_1.png", "other/other_2.png")
    ]
    assert [case.index for case in dataset.cases] == list(range(4))
    finding = findings(dataset, data)["flagged_left_out"]
    assert (finding.severity, finding.cases) == ("warning", ("gel/gel_1.png", "other/other_2.png"))
    assert "scores are too good" in finding.message
    # Other images are another study: nothing of what was trained with all of them is taken for it.
    assert pack(dataset, data).digest != pack(before, plain).digest
    assert pack(read(tmp_path)[0], plain).digest == pack(before, plain).digest


def made_stacks(root):
    import numpy as np

    stacks(
        root, images=np.random.default_rng(0).integers(0, 255, (4, 16, 16), np.uint8), labels=np.arange(4) % 2
    )


LAYOUTS = {
    "masks": (pairs, "cell_1.png", "images/cell_1.png"),
    "its path": (pairs, "images/cell_1.png", "images/cell_1.png"),
    "without suffix": (pairs, "cell_1", "images/cell_1.png"),
    "slices": (made_stacks, "images.npy[1]", "images.npy[1]"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_every_layout_and_however_the_image_is_named(tmp_path, layout):
    make, written, name = LAYOUTS[layout]
    make(tmp_path)
    dataset, _ = read(tmp_path, f"file;decision\n{written};FLAG\n", flagged="leave_out")
    assert list(dataset.flagged) == [name]
    assert name not in names(dataset)


def test_a_table_of_labels_beside_it_is_still_the_table_of_labels(tmp_path):
    for k in range(4):
        save(tmp_path / "images" / f"i{k}.png")
    (tmp_path / "classes_of_them.csv").write_text("image,label\ni0.png,a\ni1.png,b\ni2.png,a\ni3.png,b\n")
    dataset, _ = read(tmp_path, "image,decision\ni3.png,flag\n")
    assert dataset.layout == "table"
    assert dataset.flagged == {"images/i3.png": ""}


def test_a_table_of_that_name_without_decisions_is_a_table_as_any_other(tmp_path):
    for k in range(2):
        save(tmp_path / "images" / f"i{k}.png")
    dataset, _ = read(tmp_path, "image,label\ni0.png,a\ni1.png,b\n")
    assert (dataset.layout, dataset.classes, dataset.flagged) == ("table", ("a", "b"), {})


def test_images_that_are_gone_are_named_and_count_for_nothing(tmp_path):
    two_classes(tmp_path)
    dataset, _ = read(tmp_path, "image,decision\ngone.png,flag\ngel_0.png,flag\n")
    assert "1 row of review.csv names no image of the study: gone.png." in dataset.statements
    assert list(dataset.flagged) == ["gel/gel_0.png"]


def test_what_cannot_be_meant_is_refused_all_at_once(tmp_path):
    two_classes(tmp_path)
    with pytest.raises(DataError) as caught:
        read(tmp_path, "image,decision\ngel_0.png,perhaps\ngel_1.png,flag\ngel/gel_1.png,accept\n")
    text = str(caught.value)
    assert "review.csv, line 2, column decision: 'perhaps' is no decision" in text
    assert "review.csv, line 4: gel/gel_1.png has a row above already" in text
    everyone = "".join(f"{name}_{k}.png,flag\n" for name in ("gel", "other") for k in range(3))
    with pytest.raises(DataError, match="so that none is left"):
        read(tmp_path, "image,decision\n" + everyone, flagged="leave_out")


def test_a_set_that_is_only_scored_is_not_made_smaller(tmp_path):
    two_classes(tmp_path / "own")
    two_classes(tmp_path / "external", 4)
    for k in range(4):
        (tmp_path / "external/gel" / f"gel_{k}.png").rename(tmp_path / "external/gel" / f"new_{k}.png")
        (tmp_path / "external/other" / f"other_{k}.png").rename(
            tmp_path / "external/other" / f"fresh_{k}.png"
        )
        save(tmp_path / "external/gel" / f"new_{k}.png")
        save(tmp_path / "external/other" / f"fresh_{k}.png")
    (tmp_path / "external/review.csv").write_text("image,decision\nnew_0.png,flag\n")
    dataset, data = read(tmp_path / "own", flagged="leave_out", external=str(tmp_path / "external"))
    external = read_external(data, dataset, pack(dataset, data), base=tmp_path, validation=Validation())
    assert len(external.packed) == 8
