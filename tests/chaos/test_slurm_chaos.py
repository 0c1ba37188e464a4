"""A real Slurm that nothing is spared, by a seed: every item is committed once, none is lost, none is wrong.

FOLDWISE_CHAOS is the number of faults.
"""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import slurm_cluster
from faults import FAULTS, faults_of
from sleepy_worker import assert_whole, begun, command, sleepy_run

from foldwise.runs.launchers import slurm
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.slurm import SlurmWorkers
from foldwise.study.profiles import SlurmProfile

NUM_FAULTS = int(os.environ.get("FOLDWISE_CHAOS") or 0)
DRIVER = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from foldwise.runs.folder import RunFolder
from test_slurm_chaos import drive
drive(RunFolder(Path({root!r})), **{profile!r})
"""
pytestmark = pytest.mark.timeout(3600)


def drive(folder, **profile):
    """What `foldwise run --on slurm` does once a folder is laid out."""
    slurm.FAREWELL_S = slurm.STOPPED_S = 5.0
    profile = SlurmProfile(**{"partition": "spare", "memory": "200M"} | profile)
    workers = SlurmWorkers(Crew(folder, 5, profile=profile), command=command(folder.root), look_s=0.5)
    number = len(folder.load_plan().items)
    workers.run(finished=lambda: sum(map(len, folder.settled())) == number)


class Chaos:
    """A cluster and a driver, and what befalls them."""

    def __init__(self, cluster, folder, **profile):
        self.cluster, self.folder, self.profile, self.driver = cluster, folder, profile, None
        self.counts = {}
        self.start_driver()

    def start_driver(self):
        making = str(Path(slurm_cluster.__file__).parent)
        code = DRIVER.format(
            here=str(Path(__file__).parent), root=str(self.folder.root), profile=self.profile
        )
        environment = self.cluster.environment | {
            "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{making}"
        }
        self.driver = subprocess.Popen([sys.executable, "-c", code], env=environment)

    def cancel(self):
        jobs = [job for job, *_ in self.cluster.jobs() if "_" in job]
        self.cluster.run("scancel", random.choice(jobs), check=False) if len(jobs) > 1 else None

    def requeue(self):
        jobs = [job for job, *_ in self.cluster.jobs("RUNNING") if "_" in job]
        self.cluster.run("scontrol", "requeue", random.choice(jobs), check=False) if jobs else None

    def preempt(self):
        node = random.choice(self.cluster.nodes)
        options = ("-p", "main", "--exclusive", "-w", node, "-t", "1", "-o", "/dev/null")
        self.cluster.run("sbatch", *options, "--wrap", "sleep 1", check=False)

    def lose_node(self):
        up = [name for name in self.cluster.nodes if self.cluster.pid(f"slurmd-{name}")]
        if len(up) > 1:
            self.cluster.lose_node(random.choice(up))

    def lose_controller(self):
        if self.cluster.pid("slurmctld"):
            self.cluster.kill("slurmctld")

    def lose_driver(self):
        self.driver.kill()
        self.driver.wait()
        self.start_driver()

    def repair(self):
        """Start again what is gone."""
        if self.cluster.pid("slurmctld") is None:
            self.cluster.start_controller()
        for name in self.cluster.nodes:
            if self.cluster.pid(f"slurmd-{name}") is None:
                self.cluster.start_node(name)
        self.cluster.revive()
        self.cluster.release_requeued()
        if self.driver.poll() not in (None, 0):  # cancelled jobs end it, as a user would expect
            self.start_driver()

    @property
    def workers(self):
        return self.cluster.workers(str(self.folder.root))

    def alive(self, pids):
        return pids

    def befall(self):
        """One of the faults of a cluster and of its workers, or the loss of the driver."""
        name = random.choice([*faults_of(self), "kill the driver"])
        self.counts[name] = self.counts.get(name, 0) + 1
        self.lose_driver() if name == "kill the driver" else FAULTS[name].befall(self, random)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    cluster = slurm_cluster.started(tmp_path / "slurm")
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    yield cluster
    cluster.down()


def test_nothing_is_lost_whatever_befalls(cluster, tmp_path):
    random.seed(13)
    folder = sleepy_run(tmp_path / "run", items=2 * NUM_FAULTS, seconds=2)
    chaos = Chaos(cluster, folder)
    for number in range(NUM_FAULTS):
        if chaos.driver.poll() == 0:
            break
        chaos.befall()
        signal.sigtimedwait([], random.uniform(0.5, 2))
        chaos.repair()
        done, failed = folder.settled()
        print(
            f"{number + 1} of {NUM_FAULTS} faults, {len(done)} items done, {len(failed)} failed", flush=True
        )
    cluster.wait(lambda: (chaos.repair(), chaos.driver.poll() == 0)[1], seconds=600)
    assert_whole(folder)
    print(
        f"{sum(chaos.counts.values())} faults ({chaos.counts}); {len(begun(folder))} begun for {2 * NUM_FAULTS} items"
    )


def test_a_real_time_limit_is_stopped_before_and_gone_on_with_after(cluster, tmp_path):
    folder = sleepy_run(tmp_path / "run", items=30, seconds=14)
    chaos = Chaos(cluster, folder, time=1)
    cluster.wait(lambda: (cluster.release_requeued(), chaos.driver.poll() is not None)[1], seconds=600)
    assert chaos.driver.returncode == 0
    assert_whole(folder)
    logs = "".join(log.read_text() for log in folder.logs.iterdir())
    assert "its time is up" in logs
    assert "DUE TO TIME LIMIT" not in logs
