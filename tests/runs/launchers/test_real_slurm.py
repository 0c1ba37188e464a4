"""Workers as jobs of a real Slurm of three nodes: preempted, cancelled, out of time and memory, without nodes or controller."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import slurm_cluster
from launcher_contract import LauncherContract
from launcher_contract import command as pulling
from sleepy_worker import assert_whole, begun, sleepy_run
from sleepy_worker import command as sleeping

from foldwise.errors import RunError
from foldwise.runs.launchers import slurm, slurm_script
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.slurm import SlurmWorkers
from foldwise.runs.slurm_queue import SlurmQueue, name_of_jobs
from foldwise.study.profiles import SlurmProfile


@pytest.fixture(scope="module")
def whole_cluster(tmp_path_factory):
    cluster = slurm_cluster.started(tmp_path_factory.mktemp("slurm"))
    yield cluster
    cluster.down()


@pytest.fixture
def cluster(whole_cluster, monkeypatch):
    """The cluster, all of it up and without jobs."""
    whole_cluster.clear()
    monkeypatch.setenv("SLURM_CONF", whole_cluster.environment["SLURM_CONF"])
    monkeypatch.setattr(slurm, "POLL_S", 0.1)
    monkeypatch.setattr(
        slurm, "FAREWELL_S", 3.0
    )  # a controller that was away may not know that a job has ended
    return whole_cluster


class TestSlurmWorkers(LauncherContract):
    @pytest.fixture(autouse=True)
    def _on(self, cluster):
        pass

    def make(self, crew, behaviour):
        return workers(crew.folder, crew.workers, command=pulling(crew.folder.root, behaviour))


def workers(folder, number=3, *, command=None, **profile):
    profile = {"partition": "spare", "memory": "200M"} | profile
    crew = Crew(folder, number, profile=SlurmProfile(**profile))
    return SlurmWorkers(crew, command=command or sleeping(folder.root), look_s=0.3)


def finished(folder):
    number = len(folder.load_plan().items)
    return lambda: sum(map(len, folder.settled())) == number


class Faults:
    """What befalls a run, each once so many items are done."""

    def __init__(self, cluster, **faults):
        self.cluster, self.faults = cluster, list(faults.items())
        self.happened = []

    def __call__(self, folder):
        self.cluster.release_requeued()
        if self.faults and len(folder.settled()[0]) >= 2 * len(self.happened):
            name, fault = self.faults.pop(0)
            fault(folder)
            self.happened.append(name)


def test_preempted_cancelled_and_without_a_controller_every_item_is_done_once(cluster, tmp_path):
    folder = sleepy_run(tmp_path / "run", items=12, seconds=0.6)

    def preempt(folder):
        # Jobs of a partition that goes before; those in its way are told to stop, and are queued again.
        cluster.wait(lambda: cluster.jobs("RUNNING"))
        node = cluster.jobs("RUNNING")[0][2]
        cluster.run(
            "sbatch",
            "-p",
            "main",
            "--exclusive",
            "-w",
            node,
            "-t",
            "1",
            "-o",
            "/dev/null",
            "--wrap",
            "sleep 1",
        )
        cluster.wait(lambda: any(state in ("COMPLETING", "PENDING") for _, state, _ in cluster.jobs()))

    def cancel(folder):
        running = [job for job, *_ in cluster.jobs("RUNNING") if "_" in job]
        cluster.run("scancel", *running[:1])

    def crash(folder):
        cluster.kill("slurmctld")
        assert SlurmQueue().jobs("x") is None
        cluster.start_controller()

    faults = Faults(cluster, preempt=preempt, cancel=cancel, crash=crash)
    workers(folder).run(finished=finished(folder), tick=faults)
    assert faults.happened == ["preempt", "cancel", "crash"]
    assert_whole(folder)
    left = {job.state for job in SlurmQueue().jobs(name_of_jobs(folder.root)) if job.is_alive}
    assert left <= {"COMPLETING"}  # of which a node says late that they have ended


def test_a_node_that_is_lost_takes_no_item_with_it(cluster, tmp_path):
    folder = sleepy_run(tmp_path / "run", items=6, seconds=1)

    def lose(folder):
        cluster.wait(lambda: begun(folder) and cluster.jobs("RUNNING"))
        cluster.lose_node(cluster.jobs("RUNNING")[0][2])

    def repair(folder):
        for name in cluster.nodes:
            if cluster.pid(f"slurmd-{name}") is None:
                cluster.start_node(name)

    workers(folder).run(finished=finished(folder), tick=Faults(cluster, lose=lose, repair=repair))
    assert_whole(folder)


def test_a_worker_whose_time_is_up_gives_back_what_it_has_and_its_job_is_queued_again(cluster, tmp_path):
    folder = sleepy_run(tmp_path / "run", items=2, seconds=0.2, until="its time was up")
    launcher = workers(folder, 1, time=5)

    def time_is_up(folder):
        cluster.wait(lambda: begun(folder))
        (job,) = cluster.jobs("RUNNING")
        cluster.run("scancel", "--signal=USR1", job[0])  # as Slurm does before the time limit
        cluster.wait(lambda: cluster.jobs("PENDING"))
        (attempt,) = folder.attempts("fit-00")
        assert (attempt / "released").read_text() == ""
        (folder.root / "its time was up").touch()

    launcher.run(finished=finished(folder), tick=Faults(cluster, time_is_up=time_is_up))
    assert_whole(folder)
    assert begun(folder)[:2] == ["fit-00", "fit-00"]
    (log,) = folder.logs.glob("slurm-*_*.txt")  # one job all along
    assert "its time is up" in log.read_text()


def test_what_is_killed_for_its_memory_says_so_and_is_given_more(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm_script, "PROGRAM_MB", 150)  # asked for in full hundreds
    folder = sleepy_run(tmp_path / "run", items=1, seconds=3, mb_a_step=12)
    launcher = workers(folder, 1, memory=None)
    launcher.run(finished=finished(folder))
    assert_whole(folder)
    *killed, _ = folder.attempts("fit-00")
    assert killed
    assert all("was killed for its memory (Slurm job " in (path / "released").read_text() for path in killed)
    assert launcher.memory_factor == 2 ** len(killed)


DRIVER = """
import sys
from pathlib import Path
sys.path[:0] = {path!r}
from test_real_slurm import *
from foldwise.processes import sigterm_as_interrupt
from foldwise.runs.folder import RunFolder
folder = RunFolder(Path({root!r}))
with sigterm_as_interrupt():  # as the command line does
    workers(folder).run(finished=finished(folder))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_a_driver_may_go_away_and_the_next_one_goes_on_with_its_jobs(cluster, tmp_path, number):
    folder = sleepy_run(tmp_path / "run", items=6, seconds=0.2, until="the next one")
    path = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "making")]
    code = textwrap.dedent(DRIVER).format(path=path, root=str(folder.root))
    driver = subprocess.Popen([sys.executable, "-c", code])
    cluster.wait(lambda: begun(folder))
    jobs = {job for job, *_ in cluster.jobs()}
    driver.send_signal(number)
    assert driver.wait(60) == (-number if number == signal.SIGKILL else 1)  # nobody catches it here
    time.sleep(0.5)
    assert {job for job, *_ in cluster.jobs()} & jobs
    (folder.root / "the next one").touch()
    launcher = workers(folder)
    sent = {job.id for job in SlurmQueue().jobs(launcher.name)}  # those that have ended are listed, too
    launcher.run(finished=finished(folder))
    assert_whole(folder)
    assert {job.id for job in SlurmQueue().jobs(launcher.name)} == sent


def test_what_slurm_refuses_is_said_in_its_words(cluster, tmp_path):
    folder = sleepy_run(tmp_path / "run", items=1, seconds=1)
    with pytest.raises(RunError, match="invalid partition specified: gpuu"):
        workers(folder, partition="gpuu").run(finished=finished(folder))


def test_the_script_can_be_sent_by_hand(cluster, tmp_path):
    folder = sleepy_run(tmp_path / "a run", items=3, seconds=0.2)
    script = tmp_path / "workers.sh"
    script.write_text(workers(folder, 2).script())
    cluster.run("sbatch", str(script))
    cluster.wait(lambda: finished(folder)() and not cluster.jobs())
    assert_whole(folder)
    assert {job.state for job in SlurmQueue().jobs(name_of_jobs(folder.root))} == {"COMPLETED"}
    assert os.listdir(folder.logs)
