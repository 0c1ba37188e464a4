"""`foldwise doctor`: what of this machine decides whether and where a study runs, and the cure for what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foldwise.errors import MissingExtra
from foldwise.interface.terminal import SIGNS, console, say_message
from foldwise.text import count

Folder = Annotated[
    list[Path],
    typer.Option(
        "--folder",
        metavar="DIR",
        help="Try whether it can hold a run; named twice, two mounts of one folder.",
    ),
]


def doctor(folder: Folder = []) -> None:  # noqa: B006 - typer wants the default value itself
    """Look at torch, devices, memory, disks and clusters of this machine, and say what cures what is wrong."""
    from foldwise.pipeline.doctor.machine import examine

    out, errors = console(), 0
    for symptom in examine(folder):
        errors += symptom.severity == "error"
        say_message(
            out, SIGNS[symptom.severity], f"{symptom.about}: {symptom.message}", code="", cure=symptom.cure
        )
    if errors:
        raise MissingExtra(
            f"{count(errors, 'thing')} would keep a study from running as it should; the cures stand above"
        )
