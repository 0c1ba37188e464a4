"""Who has an item, and how one knows that a worker is lost."""

import os
import time

import pytest

from foldwise.processes import here
from foldwise.runs.folder import RunFolder, read_json, write_json
from foldwise.runs.holders import holders
from foldwise.runs.items import Item
from foldwise.runs.leases import LEASE_S, acquire
from foldwise.runs.plan import Plan
from foldwise.runs.slurm_queue import QueuedJob


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path)
    folder.save_plan(Plan(tuple(Item(f"fit-{n}", "fit", (), f"fit {n}", {}) for n in range(2)), ()))
    return folder


@pytest.fixture
def held(folder):
    """Takes an item, and changes what its lease says of its owner."""

    def make(silent_s=0.0, **owner):
        lease = acquire(folder, "fit-0")
        lease._over.set()
        lease.beat('{"epoch": 2, "epochs": 5}')
        write_json(lease.attempt / "owner.json", read_json(lease.attempt / "owner.json") | owner)
        then = time.time() - silent_s
        os.utime(lease.attempt / "beat", (then, then))
        return lease

    return make


def who(folder, jobs=None):
    (holder,) = holders(folder, folder.load_plan(), jobs, name="foldwise-x")
    return holder


SLURM = {"host": "elsewhere", "slurm": {"job": "7_1", "name": "foldwise-x", "node": "n3"}}


def test_a_worker_here_lives_as_long_as_its_process(folder, held):
    lease = held()
    assert (who(folder).lost, who(folder).at, who(folder).progress) == ("", "", {"epoch": 2, "epochs": 5})
    owner = read_json(lease.attempt / "owner.json")
    assert owner["host"] == here()
    write_json(lease.attempt / "owner.json", owner | {"started": "another time"})
    assert who(folder).lost == "has ended"
    lease.release()
    assert holders(folder, folder.load_plan(), None, name="") == []


def test_of_a_worker_elsewhere_only_silence_tells(folder, held):
    held(host="elsewhere", name="big", silent_s=100)
    assert (who(folder).lost, who(folder).at) == ("", "big")
    assert who(folder).silent_s == pytest.approx(100, abs=5)


def test_a_worker_that_has_been_silent_for_longer_than_a_lease_is_lost(folder, held):
    held(host="elsewhere", silent_s=LEASE_S + 600)
    assert who(folder).lost == "has said nothing for 13 min"


@pytest.mark.parametrize(
    ("jobs", "lost"),
    [
        ([QueuedJob("7_1", "RUNNING", node="n3")], ""),
        ([QueuedJob("7_1", "RUNNING", node="n2")], "was queued again"),
        ([QueuedJob("7_1", "PENDING", "BeginTime")], "was queued again"),
        ([QueuedJob("7_1", "NODE_FAIL", node="n3")], "lost its node"),
        ([QueuedJob("7_1", "OUT_OF_MEMORY", node="n3")], "was killed for its memory"),
        ([QueuedJob("7_2", "RUNNING", node="n3")], "is no longer in the queue"),
        ([], "is no longer in the queue"),
        (None, ""),  # the queue does not answer
    ],
)
def test_the_queue_tells_at_once(folder, held, jobs, lost):
    held(**SLURM)
    assert who(folder, jobs).lost == lost
    assert who(folder, jobs).at == "n3 (Slurm job 7_1)"


def test_a_job_of_another_name_is_left_to_its_silence(folder, held):
    held(**SLURM | {"slurm": {"job": "7_1", "name": "mine", "node": "n3"}})
    assert who(folder, []).lost == ""


def test_a_name_that_would_steer_a_terminal_does_not(folder, held):
    held(host="elsewhere", name="x\x1b[2Jy")
    assert who(folder).at == "x[2Jy"


@pytest.mark.parametrize("owner", ["[]", "{}", '{"pid": "x", "slurm": 3, "host": 1}'])
def test_a_record_that_is_none_breaks_nothing(folder, held, owner):
    lease = held()
    (lease.attempt / "owner.json").write_text(owner)
    (lease.attempt / "beat").write_text("1\n[3]")
    assert who(folder, []).progress == {}
