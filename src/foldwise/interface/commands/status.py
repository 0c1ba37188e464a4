"""`foldwise status` and `stop`: how far a run is, who works on it and who is lost; and the end of all that work on it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from rich.console import Console

from foldwise.interface.observer import say_again
from foldwise.interface.terminal import RunPath, console
from foldwise.text import count, duration, in_shell

if TYPE_CHECKING:
    from foldwise.runs.folder import RunFolder
    from foldwise.runs.plan import Plan
    from foldwise.runs.slurm_queue import QueuedJob

QUIET_S = 60.0  # a worker says every 20 s that it lives


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
    from foldwise.runs.checkpoints import paused
    from foldwise.runs.holders import holders
    from foldwise.runs.job_notes import has_jobs
    from foldwise.runs.slurm_queue import jobs_here, name_of_jobs

    folder = replace(folder, met={})  # what is damaged is said, and the rest is shown
    out, plan = console(), folder.load_plan()
    name = name_of_jobs(folder.root)
    jobs = jobs_here(name) if has_jobs(folder) else None
    holding = holders(folder, plan, jobs, name=name)
    lost = {holder.item for holder in holding if holder.lost}
    _say_counts(out, folder, plan, lost)
    _say_race(out, plan)
    for holder in holding:
        at = f", on {holder.at}" if holder.at else ""
        if holder.lost:
            out.print(
                f"  lost     {holder.title}: its worker{at.replace(', on', ' on')} {holder.lost}",
                markup=False,
            )
            continue
        progress = holder.progress
        epoch = (
            f", epoch {progress['epoch']} of {progress['epochs']}"
            if {"epoch", "epochs"} <= progress.keys()
            else ""
        )
        epoch += f", gone on with in epoch {progress['from_epoch']}" if "from_epoch" in progress else ""
        quiet = f", heard of {duration(holder.silent_s)} ago" if holder.silent_s > QUIET_S else ""
        out.print(f"  running  {holder.title}{epoch}{at}{quiet}", markup=False)
    for title, begun, epochs in paused(folder, plan):
        out.print(f"  paused   {title}: goes on in epoch {begun} of {epochs}", markup=False)
    _say_failed(out, folder, plan)
    for item in plan.items:
        if damage := (folder.met or {}).get(item.id):
            out.print(
                f"  damaged  {item.title}: {damage.where}: {damage.what}; foldwise run does it again",
                markup=False,
            )
    say_again(out, folder, plan)
    _say_jobs(out, jobs, name)
    if folder.stop.exists() and _is_left(folder, plan):
        out.print("  stopped  by `foldwise stop`; `foldwise run` goes on", markup=False)


def _say_counts(out: Console, folder: RunFolder, plan: Plan, lost: set[str]) -> None:
    from foldwise.runs.items import count_kinds

    states = {state: number for state, number in asdict(folder.status(plan, lost=lost)).items() if number}
    listed = [f"{number} {state}" for state, number in states.items()]
    # Kinds are named where there are several: that 12 items are 12 fits is no news.
    of_which = count_kinds(plan.items)
    items = count(len(plan.items), "item") + (f" ({of_which})" if "," in of_which else "")
    out.print(f"{folder.root}: {items}: {', '.join(listed)}", markup=False)
    if plan.searches:
        ended = sum(search.has_ended for search in plan.searches)
        tried = sum(len(search.trials) for search in plan.searches)
        of = sum(search.num_trials for search in plan.searches)
        out.print(
            f"  search   {tried} of {count(of, 'trial')} proposed; {ended} of {len(plan.searches)} searches have ended",
            markup=False,
        )


def _say_race(out: Console, plan: Plan) -> None:
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
    out.print(line + to_come, markup=False)


def _say_failed(out: Console, folder: RunFolder, plan: Plan) -> None:
    """What failed, what cannot be done for that, and what waits for a device."""
    from foldwise.pipeline.devices import waiting_now
    from foldwise.runs.plan import skipped, waiting_sentence

    _, failed = folder.settled()
    without = {item.id for item in skipped(plan, failed)}
    for item in plan.items:
        if item.id in failed:
            error = (folder.result(item.id) or {}).get("error") or {}
            out.print(f"  failed   {item.title}: {error.get('message', 'no cause recorded')}", markup=False)
            out.print(
                f"           by hand: foldwise work {in_shell(folder.root)} {item.id}",
                markup=False,
                style="dim",
            )
        elif item.id in without:
            out.print(f"  skipped  {item.title}: it needs an item that failed", markup=False)
    if waits := waiting_now(folder, plan):
        out.print(f"  waiting  {waiting_sentence(plan, waits)}", markup=False)


def _say_jobs(out: Console, jobs: list[QueuedJob] | None, name: str) -> None:
    from foldwise.runs.slurm_queue import summary

    if jobs:
        out.print(f"  jobs     {summary(jobs)} ({name})", markup=False)
