"""What bookkeeping costs is measured: of one process, and of two workers."""

import pytest

from benchmarks.bookkeeping import looks, two_workers
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


def test_everything_is_measured(tmp_path, fits_as_they_are):
    took = looks(tmp_path / "run", 100)
    assert {"plan", "a look", "status", "read for a report", "an item of a worker"} <= took.keys()
    assert all(value > 0 for values in took.values() for value in values)


def test_two_workers_do_trivial_items(tmp_path):
    took = two_workers(tmp_path, (5, 10))
    assert [done for _, _, done in took.values()] == [5, 10]
    assert all(cpu_s > 0 for _, cpu_s, _ in took.values())
