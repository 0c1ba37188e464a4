"""What a run folder knows of jobs of a cluster: that there are some, how they were at the last look, and what they printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foldwise.processes import text_of
from foldwise.storage import matching

if TYPE_CHECKING:
    from foldwise.runs.folder import RunFolder

MAX_LOG = 20_000  # letters
NOTE = "-sent"


def has_jobs(folder: RunFolder) -> bool:
    """Whether jobs of a cluster were ever sent for this run, or printed anything: else no queue need be asked."""
    # A machine that has the commands of Slurm and no cluster takes a minute to say so.
    return any(folder.logs.glob("slurm-*.txt"))


def note_jobs(folder: RunFolder, words: str, *, engine: str = "slurm") -> None:
    """Say how the jobs of a run are now; nothing while no driver looks at them."""
    folder.logs.mkdir(parents=True, exist_ok=True)  # a job without a place for its log ends at once
    folder.log(f"{engine}{NOTE}").write_text(f"{words}\n", encoding="utf-8")


def jobs_noted(folder: RunFolder) -> str:
    """What was said last of them; empty where no driver looks at any."""
    # Whoever wrote it: what is printed to a terminal steers none.
    notes = (text_of(log).strip() for log in matching(folder.logs, f"*{NOTE}.txt"))
    return "".join(letter for letter in "; ".join(filter(None, notes)) if letter.isprintable())


def log_of_job(folder: RunFolder, job: str) -> str:
    """The end of what a job printed; empty where there is nothing."""
    return text_of(folder.log(f"slurm-{job}"))[-MAX_LOG:]
