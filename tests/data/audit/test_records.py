"""Numbers of every part of every fold, against numpy on the pixels themselves."""

import csv

import numpy as np
import pytest

from foldwise.data.audit.audit import audit, statistics
from foldwise.data.cache.packing import pack
from foldwise.data.folds.splits import make_splits
from foldwise.data.layouts.layouts import read_dataset
from foldwise.storage import write_table
from foldwise.study.spec import DataSpec, PhantomData, Validation


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))

    def make(kind, **data):
        spec = DataSpec(phantom=PhantomData(kind=kind, images=18, size=32), **data)
        dataset = read_dataset(spec, base=tmp_path)
        packed, validation = pack(dataset, spec), Validation(folds=3)
        groups = audit(dataset, packed, validation).groups
        splits = make_splits(dataset, packed, groups=groups, validation=validation, seed=0)
        return dataset, packed, groups, splits

    return make


def parts(packed, splits):
    yield "all", np.arange(len(packed))
    for split in splits:
        for part in ("train", "validation", "test"):
            yield part, getattr(split, part)


def test_pixels_of_every_class_and_intensities_are_those_of_the_pixels(made):
    dataset, packed, groups, splits = made("cells")
    rows = statistics(dataset, packed, splits, groups)
    assert len(rows) == 1 + 3 * 3
    for row, (part, indices) in zip(rows, parts(packed, splits), strict=True):
        assert (row["part"], row["images"]) == (part, len(indices))
        assert row["groups"] == len({groups[i] for i in indices})
        masks = np.stack([packed.target(int(i)) for i in indices])
        assert [row[f"pixels {name}"] for name in dataset.classes] == np.bincount(
            masks.ravel(), minlength=3
        ).tolist()
        images = np.stack([packed.image(int(i)) for i in indices]).astype(float)
        assert [row[f"mean {c}"] for c in "123"] == pytest.approx(images.mean((0, 2, 3)).tolist(), rel=1e-5)
        assert [row[f"std {c}"] for c in "123"] == pytest.approx(images.std((0, 2, 3)).tolist(), rel=1e-4)


def test_images_of_every_label_and_channels_by_their_names(made):
    dataset, packed, groups, splits = made("proteins")
    rows = statistics(dataset, packed, splits, groups)
    assert [key for key in rows[0] if key.startswith("mean ")] == [
        f"mean {c}" for c in ("red", "green", "blue", "yellow")
    ]
    for row, (_, indices) in zip(rows, parts(packed, splits), strict=True):
        held = [label for i in indices for label in dataset.cases[i].labels]
        assert [row[f"images {name}"] for name in dataset.classes] == np.bincount(held, minlength=7).tolist()


def test_the_file_has_a_row_for_each(made, tmp_path):
    dataset, packed, groups, splits = made("gels", size=32)
    rows = statistics(dataset, packed, splits, groups)
    write_table(tmp_path / "statistics.csv", rows)
    with (tmp_path / "statistics.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["part"] for row in read] == ["all", *["train", "validation", "test"] * 3]
    assert [(row["repeat"], row["fold"]) for row in read[:5]] == [("", ""), *[("0", "0")] * 3, ("0", "1")]
    assert [int(row["images"]) for row in read] == [row["images"] for row in rows]
