"""Workers that are forked: each ends as a process of its own does, and is known where what it was forked from is gone."""

import os
import signal
import sys
import time

import pytest
from plans import plan_of

from foldwise.runs.folder import RunFolder
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.local import LocalWorkers
from foldwise.runs.launchers.warm import WarmParent
from foldwise.runs.leases import acquire
from foldwise.runs.plan import Plan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.save_plan(Plan(items=(), configurations=()))
    return folder.root


@pytest.fixture(scope="module")
def parent(root):
    warm, seen = WarmParent(root, os.environ | {"OMP_NUM_THREADS": "1"}), []
    assert warm.wait_until_warm(lambda: seen.append(1))
    assert seen  # a run that waits for imports still shows how far it is
    yield warm
    warm.end()
    assert not warm.is_alive()


@pytest.mark.parametrize(
    ("command", "code", "printed"),
    [(["work", "--help"], 0, "Be a worker"), (["work", "nowhere"], 5, "nowhere"), (["wrk"], 2, "wrk")],
)
def test_a_worker_ends_and_prints_as_the_command_does(parent, tmp_path, command, code, printed):
    (tmp_path / "log.txt").write_text("earlier\n")
    worker = parent.start(command, tmp_path / "log.txt")
    assert worker.wait() == worker.poll() == worker.returncode == code
    log = (tmp_path / "log.txt").read_text()
    assert log.startswith("earlier\n")
    assert printed in log


def waiting(parent, tmp_path):
    """A worker that waits, since all that is to be done is held by this process."""
    folder = RunFolder(tmp_path / "run")
    plan = plan_of()
    folder.make(folder.root)
    folder.save_plan(plan)
    assert all(acquire(folder, item.id) for item in plan.items)
    return parent.start(["work", str(folder.root)], tmp_path / "log.txt")


@pytest.mark.parametrize("ending", ["terminate", "kill"])
def test_a_worker_is_asked_to_end_and_is_made_to(parent, tmp_path, ending):
    worker = waiting(parent, tmp_path)
    time.sleep(1)
    assert worker.poll() is None, (tmp_path / "log.txt").read_text()
    getattr(worker, ending)()
    assert worker.wait() == (130 if ending == "terminate" else -signal.SIGKILL)
    worker.kill()  # of one that has ended, nothing is asked, whoever has its id now


def test_what_ends_a_run_does_not_end_what_its_workers_are_forked_from(parent, tmp_path):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        os.kill(parent._process.pid, number)
    assert parent.start(["work", "--help"], tmp_path / "log.txt").wait() == 0


def test_only_several_workers_of_processors_are_forked(tmp_path):
    folder = RunFolder(tmp_path)
    assert LocalWorkers(Crew(folder, 2, "cpu")).forks
    assert not LocalWorkers(Crew(folder, 1, "cpu")).forks
    assert not LocalWorkers(Crew(folder, 2, "cpu"), command=lambda number: ["true"]).forks


def test_where_its_parent_is_gone_a_worker_is_known_still_and_no_other_is_had(parent, tmp_path):
    # The last test of the file, since no other could have one of its workers afterwards.
    worker = waiting(parent, tmp_path)
    parent._process.kill()
    parent._process.wait()
    assert worker.poll() is None
    worker.kill()
    assert worker.wait() == -signal.SIGKILL
    assert parent.start(["work", "--help"], tmp_path / "log.txt") is None
