"""A Slurm of three nodes on this machine, for tests: real daemons in a folder and on ports of their own.

Neither root, nor systemd, nor anything in /etc is needed: authentication, too, has a key and a socket of its own. Every
node is one slurmd under another name. Preempted jobs get SIGTERM and some seconds, then they are queued again.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
PACKAGES = "slurmctld slurmd slurm-client munge"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
STARTING_S = 60
REST_S = 2.5

CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CredType=cred/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0,requeue_delay=1
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
JobRequeue=1
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=10
KillWait=5
InactiveLimit=0
MinJobAge=300
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=1-0 DefMemPerCPU=100 PriorityTier=10 State=UP
PartitionName=spare Nodes=ALL MaxTime=1-0 DefMemPerCPU=100 PriorityTier=1 GraceTime=5 State=UP
"""


def wait_until(condition, seconds=STARTING_S):
    """Come back once a condition holds; it fails the test where that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not after {seconds} s"
        time.sleep(0.1)


class Cluster:
    """The daemons of one cluster; `up` and `down`, and what tests do to it."""

    def __init__(self, root, *, nodes=3, cpus=2, memory_mb=4000):
        self.waiting = {}
        self.root, self.nodes = root, [f"n{number + 1}" for number in range(nodes)]
        ports = free_ports(nodes + 1)
        host = socket.gethostname().partition(".")[0]
        lines = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} Boards=1"
            f" SocketsPerBoard=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory_mb} State=UNKNOWN"
            for name, port in zip(self.nodes, ports[1:], strict=True)
        ]
        user = subprocess.check_output(["id", "-un"], text=True).strip()
        for folder in ("state", *(f"spool-{name}" for name in self.nodes)):
            (root / folder).mkdir(parents=True)
        text = CONF.format(host=host, user=user, root=root, ports=ports, nodes="\n".join(lines))
        (root / "slurm.conf").write_text(text)
        self.environment = os.environ | {"SLURM_CONF": str(root / "slurm.conf"), "PATH": PATH}

    def run(self, *command, check=True):
        """The output of a command of Slurm."""
        ended = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 0 or not check, f"{command}: {ended.stderr}"
        return ended.stdout

    def up(self):
        """Start everything; returns once all nodes are idle."""
        key = self.root / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        files = {"key-file": key} | {
            f"{name}-file": self.root / f"munge.{name}" for name in ("log", "pid", "seed")
        }
        options = [f"--{name}={path}" for name, path in files.items()]
        # Forced, since folders of tests may be written by others than root; nothing but these tests uses the key.
        self.run("munged", "--force", f"--socket={self.root}/munge.socket", *options)
        self.start_controller()
        for name in self.nodes:
            self.start_node(name)
        self.wait(
            lambda: (
                len(self.run("sinfo", "-hN", "-p", "main", "-t", "idle", "-o", "%N").split())
                == len(self.nodes)
            )
        )

    def start_controller(self):
        self.run("slurmctld")

    def start_node(self, name):
        self.run("slurmd", "-N", name)

    def pid(self, daemon):
        """Of ``slurmctld`` or ``slurmd-n1``; None where it has ended."""
        try:
            pid = int((self.root / f"{daemon}.pid").read_text())
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid

    def kill(self, daemon):
        """End a daemon as a power cut does."""
        pid = self.pid(daemon)
        os.kill(pid, signal.SIGKILL)
        self.wait(lambda: self.pid(daemon) is None)

    def lose_node(self, name):
        """A node with all that runs on it is gone."""
        self.kill(f"slurmd-{name}")
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            mine = str(self.root).encode() in environment
            on_it = f"SLURMD_NODENAME={name}".encode() + b"\0" in environment
            if mine and (on_it or (b"slurmstepd" in words[0] and name.encode() in b" ".join(words))):
                with suppress(ProcessLookupError):
                    os.kill(int(process.name), signal.SIGKILL)

    def clear(self):
        """Cancel all jobs, those too of which a controller that was away thinks that they run; returns once none is left."""
        self.run("scancel", "--user", str(os.getuid()))
        self.wait(lambda: not self.jobs())

    def down(self):
        """End everything, and whatever still runs."""
        if self.pid("slurmctld"):
            self.run("scancel", "--user", str(os.getuid()), check=False)
        for daemon in ("slurmctld", *(f"slurmd-{name}" for name in self.nodes), "munge"):
            if pid := self.pid(daemon):
                os.kill(pid, signal.SIGTERM if daemon == "munge" else signal.SIGKILL)

    def jobs(self, *states):
        """(id, state, node) of the jobs in these states; of all that are not over, without."""
        lines = self.run("squeue", "-hr", "-o", "%i|%T|%N", *(["-t", ",".join(states)] if states else []))
        return [tuple(line.split("|")) for line in lines.splitlines()]

    def workers(self, run):
        """Process ids of the workers of a run folder that jobs of this cluster have."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if (
                    run.encode() in words
                    and b"sleepy_worker" in words[1]
                    and b"SLURM_JOB_ID" in (process / "environ").read_bytes()
                ):
                    found.append(int(process.name))
        return found

    def revive(self):
        """What an administrator does after a crash: nodes that were drained serve again, jobs that are none are cancelled."""
        for name in self.nodes:
            self.run("scontrol", "update", f"nodename={name}", "state=resume", check=False)
        for line in self.run("squeue", "-h", "-p", "main", "-o", "%i|%M", check=False).splitlines():
            job, _, ran = line.partition("|")
            if ran > "0:04":  # they sleep for a second
                self.run("scancel", job, check=False)

    def release_requeued(self):
        """Let jobs that were queued again begin soon: Slurm has them wait for two minutes."""
        waiting = set()
        for line in self.run("squeue", "-hr", "-t", "PENDING", "-o", "%i|%r", check=False).splitlines():
            job, _, reason = line.partition("|")
            if reason == "BeginTime":
                waiting.add(job)
                # Not at once: a node refuses a job that it has just ended.
                if time.monotonic() - self.waiting.setdefault(job, time.monotonic()) > REST_S:
                    self.run("scontrol", "update", f"jobid={job}", "StartTime=now", check=False)
        self.waiting = {job: since for job, since in self.waiting.items() if job in waiting}

    wait = staticmethod(wait_until)


def free_ports(number):
    """Ports of this machine that nobody listens on now."""
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def started(root):
    """A cluster that is up, in a folder that is made; the test skips, saying why, where there can be none."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        pytest.skip(f"Slurm is not installed here (no {missing[0]}); on Debian: apt-get install {PACKAGES}")
    cluster = Cluster(root)
    try:
        cluster.up()
    except (AssertionError, subprocess.SubprocessError) as error:
        cluster.down()
        pytest.skip(f"a Slurm of this machine's own cannot be started: {error}")
    return cluster
