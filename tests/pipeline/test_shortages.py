"""What is likely to run out is said by the check: the memory of this container, the disk of the run."""

from collections import namedtuple
from pathlib import Path

import pytest

from foldwise.learning.training.costs import Estimate
from foldwise.pipeline import devices as module
from foldwise.pipeline.devices import shortages
from foldwise.resources import CGROUP, Resources
from foldwise.runs.items import Item
from foldwise.runs.plan import Plan

GB = 10**9
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def said(monkeypatch, tmp_path):
    """What is said of ten fits of one configuration."""

    def say(*, memory_gb=8, fit_mb=1000.0, parameters=10**6, free_gb=10, gpu=False, elsewhere=False):
        monkeypatch.setattr(module, "usable", lambda: Resources(1, CGROUP, memory_gb * GB, CGROUP, GB))
        monkeypatch.setattr(module, "device_is_here", lambda name: gpu)
        monkeypatch.setattr(module.shutil, "disk_usage", lambda path: Usage(0, 0, free_gb * GB))
        plan = Plan(
            tuple(Item(f"fit-{n}", "fit", (), f"fit {n}", {"configuration": "a"}) for n in range(10)), ()
        )
        costs = {"a": Estimate(1.0, 0.0, fit_mb, parameters), "b": Estimate(1.0, 0.0, 10.0, 5)}
        return list(shortages(plan, costs, tmp_path / "runs" / "gel", elsewhere=elsewhere))

    return say


def test_enough_is_nothing_to_say(said):
    assert said() == []


def test_a_fit_that_a_container_would_kill_is_said_before(said):
    (sentence,) = said(memory_gb=2, fit_mb=1000.0)  # and 1.5 GB of the program
    assert sentence == (
        "the largest fit is foretold to take 2.5 GB with the program itself, and the cgroup of this container or job "
        "leaves 2.0 GB, so that it is likely to be killed; state a smaller batch_size or size"
    )
    assert said(memory_gb=2, gpu=True) == []  # what a fit takes there is no memory of the container
    assert said(memory_gb=2, elsewhere=True) == []


def test_weights_that_fill_the_disk_of_the_run_are_said_before(said, tmp_path):
    (sentence,) = said(parameters=300 * 10**6)  # 10 fits of 1.2 GB
    assert sentence == (
        f"the weights of all fits take up to 12.0 GB, and 10.0 GB are free where the run lies, {tmp_path}; say where "
        "there is room with --out"
    )
    assert said(parameters=200 * 10**6) == []


def test_a_run_folder_below_nothing_is_measured_where_it_will_be(monkeypatch):
    plan = Plan((), ())
    assert list(shortages(plan, {}, Path("/nowhere/at/all"), elsewhere=True)) == []
