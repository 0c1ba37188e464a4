"""Profiles: what a cluster is asked for, stated in the study, in a file, or on the command line; none of it changes a result."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from foldwise.study import ranges
from foldwise.study.ranges import Node
from foldwise.study.validation_errors import InvalidValue, shown

# Days, hours, minutes and seconds in the forms that sbatch takes.
TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
MEMORY = re.compile(r"\d+[KMGT]?")
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


def _text(value: object) -> object:
    # YAML reads 90 and 16 as numbers, and both are usual here.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _word(value: str) -> str:
    if not WORD.fullmatch(value):
        raise InvalidValue(f"must be one word of letters, digits and . _ : + / = @ , -, got {shown(value)}")
    return value


Word = Annotated[str, AfterValidator(_word)]


class SlurmProfile(Node):
    """What a job of workers asks Slurm for.

    Attributes:
        gpus: of one job: a number, or a type and a number such as ``a100:1``.
        time: of one job, as sbatch takes it; what is not done by then is continued.
        memory: of one job; as foretold where None.
        cpus: of one job; the threads of the study for each of its workers where None.
        workers: jobs at a time, at most.
        fits_per_gpu: workers in one job, which share its GPU.
        environment: a folder with a bin/python that has foldwise; the Python that submits where None.
        image: an Apptainer image that has foldwise, in place of an environment.
        sbatch: further options of sbatch.
    """

    partition: Word | None = None
    account: Word | None = None
    gpus: Annotated[
        ranges.Gpus | Word, Field(description="a number of GPUs, or a type and a number such as a100:1")
    ] = 0
    time: Annotated[str | None, BeforeValidator(_text)] = None
    memory: Annotated[str | None, BeforeValidator(_text)] = None
    cpus: ranges.Threads | None = None
    workers: ranges.Jobs = 16
    fits_per_gpu: ranges.FitsPerGpu = 1
    modules: tuple[Word, ...] = ()
    environment: str | None = None
    image: str | None = None
    sbatch: tuple[str, ...] = ()

    @field_validator("time")
    @classmethod
    def _time(cls, time: str | None) -> str | None:
        if time is not None and not seconds_of_time(time):
            cure = 'Write minutes, "8:00:00" or "2-00:00:00".'
            raise InvalidValue(f"must be a time limit as sbatch takes it, got {shown(time)}", cure)
        return time

    @field_validator("memory")
    @classmethod
    def _memory(cls, memory: str | None) -> str | None:
        if memory is not None and not MEMORY.fullmatch(memory):
            raise InvalidValue(
                f"must be a number with K, M, G or T, got {shown(memory)}", "For example: 16G."
            )
        return memory

    @field_validator("environment", "image")
    @classmethod
    def _path(cls, path: str | None) -> str | None:
        if path is None:
            return None
        # Never beside the study: what lies in a folder that somebody else has packed is data, and no program.
        if not path.startswith(("/", "~")) or not path.isprintable():
            cure = "Write where it is from the root on, or from ~ on."
            raise InvalidValue(f"must be a whole path, got {shown(path)}", cure)
        return str(Path(path).expanduser())

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


NO_PROFILE = SlurmProfile()  # nothing is stated
