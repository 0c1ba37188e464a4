"""A Ray of two nodes on this machine, for tests: real daemons in a folder, on ports of their own, with a token of their own.

Nodes are started by `ray start`, as on a cluster, one under each name, and are ended by their process ids. Nothing is
written into ~/.ray, and no other Ray of this machine is touched.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from slurm_cluster import STARTING_S, free_ports, wait_until

BYTES = 80_000_000
NOT_HERE = "Ray is not installed here, or this is not Linux; pip install 'foldwise[ray]'"


class Cluster:
    """The daemons of one cluster; `up` and `down`, and what tests do to it."""

    def __init__(self, *, nodes=2, cpus=2, memory_mb=4000):
        # In a folder with a short path: that of a socket has 107 letters at most.
        self.root = Path(tempfile.mkdtemp(prefix="fwr", dir="/tmp"))
        self.names = [f"n{number + 1}" for number in range(nodes)]
        self.cpus, self.memory = cpus, memory_mb * 10**6
        (port,) = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_raylet_start_wait_time_s": "60",  # other tests run meanwhile
            # Nodes that are killed are missed after three seconds, not half a minute.
            "RAY_health_check_initial_delay_ms": "1000",
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_failure_threshold": "3",
        }

    def up(self):
        """Start everything."""
        head, *others = self.names
        self.start(head, "--head", f"--port={self.address.rpartition(':')[2]}", "--include-dashboard=false", f"--temp-dir={self.root}")  # fmt: skip
        for name in others:
            self.start(name)

    def start(self, name, *options):
        """Start a node; the first one is the head."""
        options = options or (f"--address={self.address}",)
        ports = ("--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0")
        amounts = (
            f"--num-cpus={self.cpus}",
            f"--memory={self.memory}",
            "--num-gpus=1",  # which Ray counts and does not look for
            f"--object-store-memory={BYTES}",
        )
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--node-name={name}", *options, *ports, *amounts]  # fmt: skip
        environment = os.environ | self.environment | {"RAY_TESTS_NODE": f"{self.root}/{name}"}
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=STARTING_S, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def processes(self, name=""):
        """All processes of the cluster, or of one of its nodes: daemons, tasks, and what tasks have started."""
        mark = f"RAY_TESTS_NODE={self.root}/{name}"
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (process / "environ").read_bytes().split(b"\0")
                if any(word.decode(errors="replace").startswith(mark) for word in words):
                    found.append(int(process.name))
        return found

    def workers(self, run):
        """Process ids of the workers of a run folder that tasks of this cluster have started."""
        # Not the shells between.
        return [pid for pid in self.processes() if str(run) in (words := words_of(pid)) and words[1] != "-c"]

    def tasks(self):
        """Process ids of the tasks that run: of Ray's own processes, which have started the workers."""
        return [pid for pid in self.processes() if words_of(pid)[0].startswith("ray::foldwise-")]

    @staticmethod
    def variable(pid, name):
        """A variable of the environment that a process was started with; None where it has none of this name."""
        words = (Path("/proc") / str(pid) / "environ").read_bytes().decode().split("\0")
        return dict(word.partition("=")[::2] for word in words).get(name)

    def node_of(self, pid):
        """On which node a process of the cluster is."""
        return next((name for name in self.names if pid in self.processes(name)), None)

    def lose_node(self, name):
        """A node with all that runs on it is gone, as after a power cut."""
        for pid in self.processes(name):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait(lambda: not self.processes(name))

    def down(self):
        """End everything, and delete what it wrote."""
        for name in reversed(self.names):
            self.lose_node(name)
        shutil.rmtree(self.root, ignore_errors=True)

    wait = staticmethod(wait_until)


def words_of(pid):
    """The command line of a process; one empty word of one that has ended."""
    with suppress(OSError):
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return [""]


def is_here():
    """Whether nodes can be started here."""
    return find_spec("ray") is not None and psutil.LINUX


def started(**options):
    """A cluster that is up; the test skips, saying why, where there can be none."""
    if not is_here():
        pytest.skip(NOT_HERE)
    cluster = Cluster(**options)
    try:
        cluster.up()
    except (AssertionError, subprocess.SubprocessError) as error:
        cluster.down()
        pytest.skip(f"a Ray of this machine's own cannot be started: {str(error)[-300:]}")
    return cluster
