"""Ray, as far as workers need it: a cluster is reached or started, a task is a worker, and how it ended is told in words.

The same may be kept as a Python file, and started by hand.
"""

from __future__ import annotations

import inspect
import math
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any

from foldwise.errors import RunError, need
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.slurm_script import worker_mb
from foldwise.runs.slurm_queue import SIGNALS, STOPPING, TIME_IS_UP
from foldwise.storage import cache_root
from foldwise.study.profiles import RayProfile, bytes_of_memory

STORE_BYTES = 80_000_000  # for what tasks hand over, an exit code each; Ray takes no less
ANSWER_S = 10.0
STOPPED = (TIME_IS_UP, 130)  # exit codes of a worker that was told to stop
FOR_MEMORY = "was killed for its memory"
SCRIPT = '''"""Workers of the run {name} as tasks of Ray: each does items that are ready, and ends when none is left.

Start it as often as you like; Ctrl-C ends its workers, and the next call goes on: what is done stays done.
"""

import os
import signal
import subprocess
import sys
import time

import ray

COMMAND = {command}
LOGS = {logs!r}
FOLDER = {folder!r}
VARIABLES = {variables}


{function}

ray.init(address={address!r})
worker = ray.remote({options}, max_retries=-1)(work_in_process)
codes = ray.get([worker.remote(COMMAND, f"{{LOGS}}/ray-{{number}}.txt", FOLDER, VARIABLES) for number in range({workers})])
sys.exit(max(map(abs, codes)))
'''


def work_in_process(
    command: list[str], log: str, folder: str, variables: dict[str, str], grace_s: float = 30.0
) -> int:
    """What a task does: a worker, in a process of its own that ends with the task; its exit code, or minus a signal."""
    python = command[0] or sys.executable  # of this node
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "ab") as output:
        # Through a shell, since Ray kills the children of a task that has ended, before they can give back what they have.
        worker = subprocess.Popen(
            ["/bin/sh", "-c", '"$@"; exit $?', "sh", python, *command[1:]],
            stdin=subprocess.PIPE,  # its end tells the worker that this task has ended
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder if os.path.isdir(folder) else None,
            env=os.environ | variables,
            start_new_session=True,
        )
    try:
        while worker.poll() is None:
            time.sleep(0.2)
    finally:  # or the task was cancelled
        if worker.stdin:
            worker.stdin.close()
        try:
            worker.wait(grace_s)
        except subprocess.TimeoutExpired:
            os.killpg(worker.pid, signal.SIGKILL)
    code = worker.wait()
    return 128 - code if code > 128 else code


def pickled_by_value() -> FunctionType:
    """`work_in_process` as a function of no module: the Python of Ray on a node need not have foldwise."""
    function = FunctionType(work_in_process.__code__, work_in_process.__globals__, "work_in_process")
    function.__defaults__, function.__module__ = work_in_process.__defaults__, "__main__"
    return function


@dataclass(frozen=True)
class Ending:
    """How a task ended.

    Attributes:
        words: the end of a sentence on it.
        code: the exit code of its worker where that ended by itself; else None.
        died: what its worker died of, where that may be the fault of what it did; else empty.
        is_told: whether its worker was told to stop, so that nothing is wrong.
    """

    words: str
    code: int | None = None
    died: str = ""
    is_told: bool = False


def ending_of(ray: Any, task: Any) -> Ending:
    """How a task ended that has."""
    errors = ray.exceptions
    try:
        code = ray.get(task)
    except errors.OutOfMemoryError:
        return Ending(FOR_MEMORY, died=FOR_MEMORY)
    except errors.TaskCancelledError:
        return Ending("was cancelled", is_told=True)
    except errors.NodeDiedError:
        return Ending("lost its node")
    except errors.RayTaskError as error:  # its worker could not be started
        return Ending(
            f"could not start a worker: {str(error.cause).strip() or type(error.cause).__name__}", 1
        )
    except errors.RayError as error:
        return Ending(f"was lost by Ray ({type(error).__name__})")
    return ending_of_worker(code)


def ending_of_worker(code: int) -> Ending:
    """How a worker ended, by its exit code, or minus a signal."""
    if code in STOPPED or -code in STOPPING:
        return Ending("was told to stop", is_told=True)
    if code < 0:
        words = f"was killed by signal {-code}{SIGNALS.get(-code, '')}"
        return Ending(words, died=words)
    return Ending(f"ended with exit code {code}" if code else "ended", code)


@contextmanager
def connected(address: str | None) -> Iterator[tuple[Any, bool]]:
    """Ray, connected to a cluster; and whether it is one of our own, which ends with this.

    Args:
        address: of the cluster; where None, RAY_ADDRESS, and without that a Ray that is started on this machine.

    Raises:
        MissingExtra: Ray is not installed.
        RunError: there is no Ray at this address, or it cannot be spoken to; or none can be started here.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    # Else Ray would pack the current folder, with all runs in it, and send it to every node.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    if address is None:
        os.environ.update(_of_our_own())
    ray = need("ray", "ray")
    if ray.is_initialized():  # by who calls us from Python, who also ends it
        yield ray, False
        return
    with ExitStack() as stack:
        where: dict[str, Any] = {"address": address}
        if address is None:
            session = stack.enter_context(tempfile.TemporaryDirectory(prefix="fw-", dir=_short_folder()))
            where = {"address": "local", "_temp_dir": session, "include_dashboard": False}
            where["object_store_memory"] = STORE_BYTES
        stack.callback(ray.shutdown)  # also of one that is interrupted while it starts
        try:
            if address:
                listen(address)
            ray.init(**where, log_to_driver=False, logging_level="error", configure_logging=False)
        # Of many kinds: those of Ray and of grpc, ConnectionError, RuntimeError, ValueError.
        except Exception as error:
            raise _unreachable(address, error) from None
        stack.enter_context(_silent(ray))
        yield ray, address is None


@contextmanager
def _silent(ray: Any) -> Iterator[None]:
    """Without what nodes say of workers that died, page-long and coloured: how they ended is told by us."""
    worker = ray._private.worker  # Ray has no switch for it
    before, worker.print_to_stdstream = worker.print_to_stdstream, lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before


def listen(address: str) -> None:
    """Nothing where somebody listens at the address of a Ray; else an OSError, at once, where Ray tries for a minute."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()


@lru_cache(maxsize=1)
def _of_our_own() -> dict[str, str]:
    """The environment of a Ray of our own: on loopback, with a secret, since whoever reaches a Ray can run what he likes."""
    # Once for a process, as Ray reads them once. The first makes it listen on 127.0.0.1 alone on Linux, too; with a token
    # in the environment, none is left in the user's home, where it would change how Rays that he starts later behave.
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def _short_folder() -> str | None:
    """A folder whose path is short: the path of a socket has 107 letters at most, of which Ray takes 70."""
    return "/tmp" if os.access("/tmp", os.W_OK) else None


def _unreachable(address: str | None, error: Exception) -> RunError:
    text = (isinstance(error, OSError) and error.strerror) or str(error)
    words = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    if address is None:
        return RunError(
            f"no Ray can be started here: {words}",
            where="--on ray",
            cure="Say where one runs: --profile address=HOST:6379, or RAY_ADDRESS.",
        )
    if "AuthToken" in f"{error} {error.__context__}":
        cure = (
            "Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN as they were where `ray start` was called, which must be the same "
            "on all nodes: a file ~/.ray/auth_token turns tokens on by itself on some and not on others."
        )
    else:
        cure = "Ask it with `ray status`; the same versions of Ray and Python are needed here and there."
    return RunError(f"there is no Ray to be reached: {words}", where=address, cure=cure)


def script_of(crew: Crew, command: Sequence[str]) -> str:
    """A Python file that starts the workers of a run."""
    return SCRIPT.format(
        name=crew.folder.root.resolve().name,
        command=list(command),
        logs=str(crew.folder.logs.resolve()),
        folder=str(Path.cwd()),
        variables=variables_of(crew),
        function=inspect.getsource(work_in_process),
        address=crew.asks(RayProfile).address or "auto",
        options=", ".join(f"{key}={value}" for key, value in options_of(crew).items()),
        workers=crew.workers,
    )


def work_command(crew: Crew) -> list[str]:
    """What a task starts; the first word is empty where that is the Python of its node."""
    environment = crew.asks(RayProfile).environment
    python = f"{environment}/bin/python" if environment else ""
    work = ["work", str(crew.folder.root.resolve()), "--device", crew.device, "--with-parent"]
    return [python, "-P", "-m", "foldwise", *work, *(["--trust-code"] if crew.trust_code else [])]


def variables_of(crew: Crew) -> dict[str, str]:
    """What the environment of a worker has beside that of its node."""
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    cache = str(cache_root().absolute())
    return dict.fromkeys(threads, str(crew.threads)) | {"FOLDWISE_CACHE": cache, "PYTHONUNBUFFERED": "1"}


def options_of(crew: Crew, memory_factor: int = 1) -> dict[str, float]:
    """What Ray is asked for, for each worker; memory in bytes.

    Args:
        memory_factor: times the memory that is foretold; what the profile states stays as it is.
    """
    profile = crew.asks(RayProfile)
    memory = bytes_of_memory(profile.memory) if profile.memory else foretold(crew) * memory_factor
    return {"num_cpus": profile.cpus or crew.threads, "num_gpus": profile.gpus, "memory": memory}


def foretold(crew: Crew) -> int:
    """Memory of one worker in bytes, in full hundreds of MB."""
    return math.ceil(worker_mb(crew) / 100) * 100_000_000


def in_words(amounts: Mapping[str, float]) -> str:
    """``1 CPU, 0.25 GPU and 2.7 GB``."""
    parts = [
        f"{value / 1e9:.1f} GB" if key == "memory" else f"{value:g} {key}" for key, value in amounts.items()
    ]
    return " and ".join([*([", ".join(parts[:-1])] if parts[:-1] else []), parts[-1]])
