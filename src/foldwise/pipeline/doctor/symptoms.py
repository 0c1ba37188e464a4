"""What `foldwise doctor` says of a machine: one symptom after the other, with its cure; and how other programs are asked."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import Literal

COMMAND_S = 20


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
