"""Clusters and containers, as `foldwise doctor` finds them from this machine; and a symptom, as it says one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from foldwise.processes import text_of
from foldwise.runs.launchers.ray_tasks import listen
from foldwise.storage import cache_root
from foldwise.text import count

COMMAND_S = 20
LAYERED = re.compile(r"(fuse\.)?(fuse-)?(overlay|aufs)")
WAIT_S = 5  # for a cluster that may be behind a network which is not here
# What says that this process is in a container: a variable, or a file.
CONTAINERS = {
    "a pod of Kubernetes": ("KUBERNETES_SERVICE_HOST", ""),
    "a container of Apptainer": ("APPTAINER_CONTAINER", ""),
    "a container of Singularity": ("SINGULARITY_CONTAINER", ""),
    "a container of Docker": ("", "/.dockerenv"),
    "a container of Podman": ("", "/run/.containerenv"),
}


@dataclass(frozen=True)
class Symptom:
    """One thing that was looked at.

    Attributes:
        severity: `note` where all is well.
        about: a word or two.
        message: what is so.
        cure: what to do where that is wrong.
    """

    severity: Literal["note", "warning", "error"]
    about: str
    message: str
    cure: str | None = None


def answer_of(*command: str) -> tuple[str, str]:
    """What a command prints, and what it says of errors; neither where there is none, or it takes longer than `COMMAND_S`."""
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return "", ""
    return ended.stdout.strip(), ended.stderr.strip()


def clusters() -> Iterator[Symptom]:
    """Where else a study may be run from here."""
    for look in (_slurm, _kubernetes, _ray):
        yield from look()


def container_here() -> str | None:
    """What kind of container this process is in; None where it is in none that is known."""
    for what, (variable, file) in CONTAINERS.items():
        if (variable and variable in os.environ) or (file and Path(file).exists()):
            return what
    return None


def container() -> Iterator[Symptom]:
    """Whether this process is in a container, and what is lost with it."""
    here = container_here()
    if here is None:
        return
    yield Symptom("note", "container", f"this is {here}")
    for about, folder in (("cache", cache_root()), ("runs", Path("runs").absolute())):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if _is_layered() and there.stat().st_dev == Path("/").stat().st_dev:
            cure = "Mount a folder of the machine there, or a volume; docs/containers.md."
            yield Symptom("warning", about, f"{folder} lies within the container, and is lost with it", cure)


def _is_layered() -> bool:
    """Whether the root of all files is layers of an image, with one on top for what is written while it runs."""
    mounts = (line.partition(" - ") for line in text_of(Path("/proc/self/mountinfo")).splitlines())
    return any(mount.split()[4:5] == ["/"] and LAYERED.match(system) for mount, _, system in mounts)


def _slurm() -> Iterator[Symptom]:
    if not shutil.which("sbatch"):
        yield Symptom("note", "Slurm", "not here (no sbatch)")
        return
    rows = [line.split("|") for line in answer_of("sinfo", "-h", "-o", "%P|%a|%D|%l|%G")[0].splitlines()]
    if not rows:
        cure = "Ask whether the controller is up (scontrol ping); SLURM_CONF may lead to another cluster."
        yield Symptom("warning", "Slurm", "sbatch is here, and the cluster does not answer", cure)
        return
    for partition, state, nodes, limit, gres in rows:
        gpus = f", {gres}" if gres not in ("(null)", "") else ""
        yield Symptom(
            "note",
            "Slurm",
            f"partition {partition.rstrip('*')} ({state}): {count(int(nodes), 'node')}, at most {limit}{gpus}",
        )


def _kubernetes() -> Iterator[Symptom]:
    if not shutil.which("kubectl"):
        yield Symptom("note", "Kubernetes", "not here (no kubectl)")
        return
    context, _ = answer_of("kubectl", "config", "current-context")
    if not context:
        cure = "Name one: kubectl config get-contexts, then kubectl config use-context NAME."
        yield Symptom("warning", "Kubernetes", "kubectl is here, and knows no cluster", cure)
        return
    speaks = f"kubectl speaks to {context}"
    may, error = answer_of("kubectl", "auth", "can-i", "create", "jobs.batch", f"--request-timeout={WAIT_S}s")
    answer = may.partition("\n")[0].partition(" ")[0]  # "no - the reason of it", on some clusters
    if answer == "yes":
        yield Symptom("note", "Kubernetes", f"{speaks}, and jobs may be created there")
    elif answer == "no":
        cure = "Name a namespace in which you may (kubernetes: {namespace: ...}), or ask who runs the cluster for the right."
        yield Symptom("warning", "Kubernetes", f"{speaks}, and no jobs may be created in its namespace", cure)
    else:
        why = error.splitlines()[-1] if error else f"it took longer than {WAIT_S} s"
        cure = "See what `kubectl cluster-info` says; some clusters are reached only from their own network."
        yield Symptom("warning", "Kubernetes", f"{speaks}, which does not answer: {why}", cure)


def _ray() -> Iterator[Symptom]:
    if find_spec("ray") is None:
        yield Symptom("note", "Ray", "not installed (pip install 'foldwise[ray]')")
        return
    try:
        number = version("ray")
    except PackageNotFoundError:
        yield Symptom(
            "warning", "Ray", "a module is called ray, and no such package is installed", "Rename ray.py."
        )
        return
    address = os.environ.get("RAY_ADDRESS")
    try:
        if address:
            listen(address)
        where = f"one listens at {address}" if address else "no RAY_ADDRESS, so that --on ray starts one here"
        yield Symptom("note", "Ray", f"{number}; {where}")
    except OSError as error:
        words = f"{number}; RAY_ADDRESS is {address}, where none answers: {error.strerror or error}"
        yield Symptom("warning", "Ray", words, "Start one there (ray start --head), or unset RAY_ADDRESS.")
    if Path.home().joinpath(".ray", "auth_token").exists() and "RAY_AUTH_MODE" not in os.environ:
        words = "~/.ray/auth_token is there and RAY_AUTH_MODE is not set: a head then wants the token, and nodes that join do not send it"
        cure = "export RAY_AUTH_MODE=token on every node before ray start, and here."
        yield Symptom("warning", "Ray", words, cure)
