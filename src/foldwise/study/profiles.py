"""Profiles: what a cluster is asked for, stated in the study, in a file, or on the command line; none of it changes a result."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from foldwise.study import ranges
from foldwise.study.kubernetes import KubernetesProfile
from foldwise.study.ranges import InvalidValue, Node, shown

# Days, hours, minutes and seconds in the forms that sbatch takes.
TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
MEMORY = re.compile(r"\d+[KMGT]?")
MAX_MEMORY = 1 << 50  # of one job
TYPED_GPUS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*:[1-9]\d?")
ADDRESS = re.compile(r"(ray://)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-f:]+\]):\d{1,5}")
WORKERS_OF_AUTO = 4  # that a job has room for whose GPU is packed by what is measured there
# Words that stand in a script unquoted: nothing in them means anything to a shell.
WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:+/=@,-]*")
OPTION = re.compile(r"--?[A-Za-z][A-Za-z-]*([= ][A-Za-z0-9._:+/=@,%*&|!()\[\]-]+)?")
# Options of sbatch that foldwise needs for itself, each with the key of the profile that says the same, if there is one.
OURS = {
    "job-name": "", "J": "", "array": "workers", "a": "workers", "output": "", "o": "", "error": "", "e": "",
    "open-mode": "", "signal": "", "requeue": "", "no-requeue": "", "chdir": "", "D": "", "wrap": "",
    "ntasks": "workers", "n": "workers", "nodes": "workers", "N": "workers", "parsable": "", "wait": "", "W": "",
    "partition": "partition", "p": "partition", "account": "account", "A": "account", "time": "time", "t": "time",
    "mem": "memory", "mem-per-cpu": "memory", "gres": "gpus", "gpus": "gpus", "G": "gpus", "cpus-per-task": "cpus", "c": "cpus",
}  # fmt: skip


def seconds_of_time(text: str) -> int | None:
    """Seconds of a time limit as sbatch reads it: ``90`` minutes, ``1:30:00``, ``2-12`` days and hours; None for other text."""
    match = TIME.fullmatch(text)
    if match is None:
        return None
    days, *parts = match.groups()
    numbers = [int(part) for part in parts if part is not None]
    if days is not None:  # days-hours[:minutes[:seconds]]
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, minutes, seconds = (0, *numbers, 0)[:3]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def bytes_of_memory(text: str) -> int:
    """Bytes of ``16G``; a number alone is MB, as sbatch reads it."""
    number, unit = (text[:-1], text[-1]) if text[-1].isalpha() else (text, "M")
    return int(number) << 10 * " KMGT".index(unit)


def _text(value: object) -> object:
    # YAML reads 90 and 16 as numbers, and both are usual here.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _word(value: str) -> str:
    if not WORD.fullmatch(value):
        raise InvalidValue(f"must be one word of letters, digits and . _ : + / = @ , -, got {shown(value)}")
    return value


def _typed_gpus(value: str) -> str:
    if not TYPED_GPUS.fullmatch(value):
        cure = "For example: 1, or a100:1."
        raise InvalidValue(f"must be a number of GPUs, or a type and a number, got {shown(value)}", cure)
    return value


def _memory(memory: str) -> str:
    if not MEMORY.fullmatch(memory):
        raise InvalidValue(f"must be a number with K, M, G or T, got {shown(memory)}", "For example: 16G.")
    if bytes_of_memory(memory) > MAX_MEMORY:
        raise InvalidValue(f"must be at most 1024T, got {shown(memory)}", "For example: 16G.")
    return memory


def _program(path: str) -> str:
    # Never beside the study: what lies in a folder that somebody else has packed is data, and no program.
    if not path.startswith(("/", "~")) or not path.isprintable():
        cure = "Write where it is from the root on, or from ~ on."
        raise InvalidValue(f"must be a whole path, got {shown(path)}", cure)
    return str(Path(path).expanduser())


def _address(address: str) -> str:
    if address != "auto" and not ADDRESS.fullmatch(address):
        cure = "Write auto for the Ray that runs on this machine, head:6379, or ray://head:10001."
        raise InvalidValue(f"must be where a Ray listens, got {shown(address)}", cure)
    return address


Word = Annotated[str, AfterValidator(_word)]
TypedGpus = Annotated[str, AfterValidator(_typed_gpus)]
Memory = Annotated[str, BeforeValidator(_text), AfterValidator(_memory)]
Program = Annotated[str, AfterValidator(_program)]  # a whole path, with ``~`` spelled out
Address = Annotated[str, AfterValidator(_address)]


class SlurmProfile(Node):
    """What a job of workers asks Slurm for.

    Attributes:
        gpus: of one job: a number, or a type and a number such as ``a100:1``.
        time: of one job, as sbatch takes it; what is not done by then is continued.
        memory: of one job; as foretold where None.
        cpus: of one job; the threads of the study for each of its workers where None.
        workers: jobs at a time, at most.
        fits_per_gpu: workers in one job, which share its GPUs; auto: one to begin with, more as measured memory allows.
        environment: a folder with a bin/python that has foldwise; the Python that submits where None.
        image: an Apptainer image that has foldwise, in place of an environment.
        sbatch: further options of sbatch.
    """

    partition: Word | None = None
    account: Word | None = None
    gpus: Annotated[
        ranges.Gpus | TypedGpus, Field(description="a number of GPUs, or a type and a number such as a100:1")
    ] = 0
    time: Annotated[str | None, BeforeValidator(_text)] = None
    memory: Memory | None = None
    cpus: ranges.Threads | None = None
    workers: ranges.Jobs = 16
    fits_per_gpu: Annotated[
        ranges.FitsPerGpu | Literal["auto"], Field(description="a number of workers from 1 to 64, or auto")
    ] = 1
    modules: tuple[Word, ...] = ()
    environment: Program | None = None
    image: Program | None = None
    sbatch: tuple[str, ...] = ()

    @property
    def workers_of_job(self) -> int:
        """How many workers processors and memory of one job are asked for."""
        return WORKERS_OF_AUTO if self.fits_per_gpu == "auto" else self.fits_per_gpu

    @property
    def at_a_time(self) -> int:
        """How many workers there may be at a time."""
        return self.workers * self.workers_of_job

    @field_validator("time")
    @classmethod
    def _time(cls, time: str | None) -> str | None:
        if time is not None and not seconds_of_time(time):
            cure = 'Write minutes, "8:00:00" or "2-00:00:00".'
            raise InvalidValue(f"must be a time limit as sbatch takes it, got {shown(time)}", cure)
        return time

    @field_validator("sbatch")
    @classmethod
    def _options(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        for option in options:
            if not OPTION.fullmatch(option):
                cure = "For example: [--qos=short, --exclude=node7]."
                raise InvalidValue(
                    f"must hold options of sbatch, each in one text, got {shown(option)}", cure
                )
            name = re.split("[= ]", option.lstrip("-"))[0]
            if name in OURS:
                cure = (
                    f"Set {OURS[name]} of the profile."
                    if OURS[name]
                    else "Remove it: foldwise sets it itself."
                )
                raise InvalidValue(f"cannot state {option.split('=')[0]}", cure)
        return options


class RayProfile(Node):
    """What a worker asks Ray for, as a task.

    Attributes:
        address: of the cluster, as ``ray.init`` takes it. Where None, RAY_ADDRESS counts, and without that a Ray of its own
            is started on this machine.
        gpus: of one worker; a fraction, so that several share one.
        cpus: of one worker; the threads of the study where None.
        memory: of one worker; as foretold where None.
        workers: at a time, at most.
        environment: a folder with a bin/python that has foldwise, on every node; the Python of Ray there where None.
    """

    address: Address | None = None
    gpus: ranges.ShareOfGpu = 0.0
    cpus: ranges.Threads | None = None
    memory: Memory | None = None
    workers: ranges.Jobs = 16
    environment: Program | None = None

    @property
    def at_a_time(self) -> int:
        """How many workers there may be at a time."""
        return self.workers


Profile = SlurmProfile | RayProfile | KubernetesProfile
# A row for each engine that is asked for something, by its name, which is its key in a study, too.
PROFILES: dict[str, type[Profile]] = {
    "slurm": SlurmProfile,
    "ray": RayProfile,
    "kubernetes": KubernetesProfile,
}
