"""`foldwise status` and `stop`: how far a run is, who works on it and who is lost; and the end of all that work on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from foldwise.interface.observer import done_again_lines
from foldwise.interface.terminal import RunPath, console
from foldwise.text import count, duration, in_shell

if TYPE_CHECKING:
    from foldwise.runs.folder import ItemCounts, RunFolder
    from foldwise.runs.holders import Holder
    from foldwise.runs.plan import Plan
    from foldwise.runs.slurm_queue import QueuedJob

BY_HAND = "           by hand: "
QUIET_S = 60.0  # a worker says every 20 s that it lives


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes:
        items: how many are done, running, waiting, failed or skipped.
        lines: the same in words, and who works on it, who is lost, what failed and why.
    """

    items: ItemCounts
    lines: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join(self.lines)


def status(run: RunPath) -> None:
    """How far a run is, who works on it, who is lost, what failed and why."""
    from foldwise.runs.folder import RunFolder

    say_status(RunFolder.open(run))


def stop(run: RunPath) -> None:
    """Have all workers of a run stop, wherever they are, and cancel its jobs. What is done stays done."""
    from foldwise.runs.folder import RunFolder
    from foldwise.runs.stopping import stop_all

    folder = RunFolder.open(run)
    jobs = stop_all(folder)
    if not jobs and not _is_left(folder, folder.load_plan()):
        console().print("Nothing was left to do, so that nothing had to stop.", markup=False)
        return
    what = f"{count(jobs, 'job')} of Slurm cancelled; workers" if jobs else "Workers"
    console().print(
        f"{what} elsewhere end as soon as they see it, within a minute. `foldwise run` goes on.", markup=False
    )


def _is_left(folder: RunFolder, plan: Plan) -> bool:
    """Whether anything is to be done yet, here or on another machine."""
    from foldwise.pipeline.devices import all_settled

    return not all_settled(folder, plan, elsewhere=True)


def say_status(folder: RunFolder) -> None:
    """How far a run is, who works on it, who is lost, what failed and why."""
    for line in status_of(folder).lines:
        console().print(line, markup=False, style="dim" if line.startswith(BY_HAND) else "")


def status_of(folder: RunFolder) -> Status:
    """The state of a run; what is damaged in it is said, and the rest is shown."""
    from foldwise.runs.checkpoints import paused
    from foldwise.runs.holders import holders
    from foldwise.runs.job_notes import has_jobs
    from foldwise.runs.slurm_queue import jobs_here, name_of_jobs

    folder = replace(folder, met={})
    plan, name = folder.load_plan(), name_of_jobs(folder.root)
    jobs = jobs_here(name) if has_jobs(folder) else None
    holding = holders(folder, plan, jobs, name=name)
    items = folder.status(plan, lost={holder.item for holder in holding if holder.lost})
    lines = [*_counts(folder, plan, items), *_race(plan), *map(_holder, holding)]
    for title, begun, epochs in paused(folder, plan):
        lines.append(f"  paused   {title}: goes on in epoch {begun} of {epochs}")
    lines += _failed(folder, plan)
    for item in plan.items:
        if damage := (folder.met or {}).get(item.id):
            what = f"{damage.where}: {damage.what}; foldwise run does it again"
            lines.append(f"  damaged  {item.title}: {what}")
    lines += [*done_again_lines(folder, plan), *_jobs(jobs, name)]
    if folder.stop.exists() and _is_left(folder, plan):
        lines.append("  stopped  by `foldwise stop`; `foldwise run` goes on")
    return Status(items, tuple(lines))


def _holder(holder: Holder) -> str:
    """Who works on an item, or is lost."""
    at = f", on {holder.at}" if holder.at else ""
    if holder.lost:
        return f"  lost     {holder.title}: its worker{at.replace(', on', ' on')} {holder.lost}"
    progress, epoch = holder.progress, ""
    if {"epoch", "epochs"} <= progress.keys():
        epoch = f", epoch {progress['epoch']} of {progress['epochs']}"
    epoch += f", gone on with in epoch {progress['from_epoch']}" if "from_epoch" in progress else ""
    quiet = f", heard of {duration(holder.silent_s)} ago" if holder.silent_s > QUIET_S else ""
    return f"  running  {holder.title}{epoch}{at}{quiet}"


def _counts(folder: RunFolder, plan: Plan, counts: ItemCounts) -> Iterator[str]:
    from foldwise.runs.items import count_kinds

    states = {state: number for state, number in asdict(counts).items() if number}
    listed = [f"{number} {state}" for state, number in states.items()]
    # Kinds are named where there are several: that 12 items are 12 fits is no news.
    of_which = count_kinds(plan.items)
    items = count(len(plan.items), "item") + (f" ({of_which})" if "," in of_which else "")
    yield f"{folder.root}: {items}: {', '.join(listed)}"
    if plan.searches:
        ended = sum(search.has_ended for search in plan.searches)
        tried = sum(len(search.trials) for search in plan.searches)
        of = sum(search.num_trials for search in plan.searches)
        searches = f"{ended} of {len(plan.searches)} searches have ended"
        yield f"  search   {tried} of {count(of, 'trial')} proposed; {searches}"


def _race(plan: Plan) -> Iterator[str]:
    """How many looks were made, whom they ruled out, and what that spared."""
    race = plan.race
    if race is None:
        return
    spared, later = (sum(item.kind == "fit" for item in items) for items in (race.spared, race.later))
    number = len(plan.configurations)
    line = (
        f"  race     {len(race.rulings)} of {count(len(race.looks), 'look')} made; {len(race.stopped)} of "
        f"{count(number, 'configuration')} ruled out early, which spares {count(spared, 'fit')}"
    )
    to_come = f"; {later} come after the next look, unless it spares them" if later else ""
    yield line + to_come


def _failed(folder: RunFolder, plan: Plan) -> Iterator[str]:
    """What failed, what cannot be done for that, and what waits for a device."""
    from foldwise.pipeline.devices import waiting_now
    from foldwise.runs.plan import skipped, waiting_sentence

    _, failed = folder.settled()
    without = {item.id for item in skipped(plan, failed)}
    for item in plan.items:
        if item.id in failed:
            error = (folder.result(item.id) or {}).get("error") or {}
            yield f"  failed   {item.title}: {error.get('message', 'no cause recorded')}"
            yield f"{BY_HAND}foldwise work {in_shell(folder.root)} {item.id}"
        elif item.id in without:
            yield f"  skipped  {item.title}: it needs an item that failed"
    if waits := waiting_now(folder, plan):
        yield f"  waiting  {waiting_sentence(plan, waits)}"


def _jobs(jobs: list[QueuedJob] | None, name: str) -> Iterator[str]:
    from foldwise.runs.slurm_queue import summary

    if jobs:
        yield f"  jobs     {summary(jobs)} ({name})"
