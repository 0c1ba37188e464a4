"""The benchmark of prediction measures what it says, on a small network."""

import pytest

from benchmarks.predicting import figures, table


def test_the_three_ways_give_the_same_and_are_timed():
    rows = figures(2, {"small": ("multiclass_classification", "timm:test_resnet", 32, 2)})
    (row,) = rows
    assert row["difference"] < 1e-6
    assert row["ratio"]["eager"] == pytest.approx(1)
    assert all(value > 0 for value in row["ms_per_image"].values())
    assert table(rows).splitlines()[2].startswith("| small | ")
