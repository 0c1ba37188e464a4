"""Who has the items of a run that are in progress, and which of them are lost: dead, out of the queue, or long silent."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from foldwise.processes import here, started
from foldwise.runs.folder import RunFolder
from foldwise.runs.job_notes import log_of_job
from foldwise.runs.leases import LEASE_S, owner_of
from foldwise.runs.plan import Plan
from foldwise.runs.slurm_queue import QueuedJob, loss_of
from foldwise.text import duration


@dataclass(frozen=True)
class Holder:
    """A worker that has an item.

    Attributes:
        item: the id of the item.
        progress: what it said last of how far it is.
        at: where it is, unless here: ``n3 (Slurm job 12_3)``.
        silent_s: since when it has said nothing, by the time of its file.
        lost: how one knows that it is no more, as the end of a sentence on it; empty where it lives, for all one knows.
    """

    item: str
    title: str
    progress: Mapping[str, Any]
    at: str
    silent_s: float
    lost: str


def holders(folder: RunFolder, plan: Plan, jobs: Sequence[QueuedJob] | None, *, name: str) -> list[Holder]:
    """Every worker that has an item of the plan and did not give it back, in plan order.

    Args:
        jobs: of this run, in the queue of the cluster; None where there is none, or it does not answer.
        name: of these jobs.
    """
    beats = folder.beats()
    rows = []
    for item in plan.items:
        if item.id in beats:
            attempts = folder.attempts(item.id)
            if not attempts:
                continue  # it was committed in this moment
            attempt = attempts[-1]
            owner = owner_of(attempt) or {}
            silent_s = _silent_s(attempt)
            lost = _job_lost(folder, owner, jobs, name) or _process_lost(owner) or _silent(silent_s)
            rows.append(Holder(item.id, item.title, _progress(beats[item.id]), _at(owner), silent_s, lost))
    return rows


def _progress(beat: str) -> Mapping[str, Any]:
    try:
        progress = json.loads(beat)
    except ValueError:
        return {}
    return progress if isinstance(progress, dict) else {}


def _job_of(owner: Mapping[str, Any]) -> Mapping[str, Any]:
    job = owner.get("slurm")
    return job if isinstance(job, dict) else {}


def _at(owner: Mapping[str, Any]) -> str:
    job = _job_of(owner)
    if job:
        words = f"{job.get('node') or owner.get('name')} (Slurm job {job.get('job')})"
    else:
        words = "" if owner.get("host") == here() else str(owner.get("name", "another machine"))
    # From a folder that somebody else may have written: what is printed to a terminal steers none.
    return "".join(letter for letter in words if letter.isprintable())


def _silent_s(attempt: Path) -> float:
    # The clock of the file server and ours may differ: that only shifts a number that is shown, and decides nothing.
    try:
        return max(0.0, time.time() - (attempt / "beat").stat().st_mtime)
    except OSError:
        return 0.0


def _job_lost(
    folder: RunFolder, owner: Mapping[str, Any], jobs: Sequence[QueuedJob] | None, name: str
) -> str:
    stated = _job_of(owner)
    if jobs is None or stated.get("name") != name:
        return ""
    loss = loss_of(stated, jobs, partial(log_of_job, folder))
    return loss.words if loss else ""


def _process_lost(owner: Mapping[str, Any]) -> str:
    is_here = owner.get("host") == here() and isinstance(owner.get("pid"), int)
    return "has ended" if is_here and started(owner["pid"]) != owner.get("started") else ""


def _silent(silent_s: float) -> str:
    return f"has said nothing for {duration(silent_s)}" if silent_s > LEASE_S else ""


def held_by(folder: RunFolder, pids: Collection[int], begun: Iterable[str]) -> dict[int, str]:
    """The ids of the items that processes of this machine are doing, of those that were `begun`."""
    owners = {name: owner_of(attempt) or {} for name in begun for attempt in folder.attempts(name)[-1:]}
    return {
        owner["pid"]: name
        for name, owner in owners.items()
        if owner.get("host") == here() and owner["pid"] in pids
    }
