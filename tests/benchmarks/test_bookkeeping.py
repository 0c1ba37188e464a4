"""The bench of bookkeeping: what it measures, what its table says, and that none of it grows faster than the items do."""

import math

import pytest

from benchmarks.bookkeeping import GOALS, exponent, looks, table, two_workers
from benchmarks.trivial_items import plan_of
from foldwise.pipeline.worker import TASKS


@pytest.fixture
def fits_as_they_are():
    fit = TASKS["fit"]
    yield
    TASKS["fit"] = fit


def test_a_plan_has_the_items_that_are_asked_for():
    for number in (10, 1_000):
        plan = plan_of(number)
        assert len({item.id for item in plan.items}) == number


def test_everything_is_measured_and_a_line_of_the_table(tmp_path, fits_as_they_are):
    rows = {number: looks(tmp_path / str(number), number) for number in (10, 100, 200)}
    assert GOALS.keys() <= rows[10].keys()
    assert all(value > 0 for row in rows.values() for values in row.values() for value in values)
    lines = table(rows).splitlines()
    assert len(lines) == 1 + len(rows[10])
    assert "exponent" in lines[0]


def test_the_exponent_is_that_of_a_power_and_small_sizes_do_not_count():
    assert exponent({10: 9.0, 100: 2.0, 1_000: 20.0, 10_000: 200.0}) == pytest.approx(1)
    assert exponent({100: 1.0, 1_000: 100.0}) == pytest.approx(2)
    assert math.isnan(exponent({10: 1.0, 100: 2.0}))


def test_two_workers_do_trivial_items(tmp_path):
    assert "10 trivial items by 2 workers" in two_workers(tmp_path, (5, 10))
