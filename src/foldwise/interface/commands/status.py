"""`foldwise status` and `foldwise work`: how far a run is and what failed; and doing its items, all or one by hand."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from foldwise.errors import ItemsFailed
from foldwise.interface.terminal import Device, RunPath, console
from foldwise.text import count

if TYPE_CHECKING:
    from foldwise.runs.folder import RunFolder

ItemId = Annotated[
    str | None, typer.Argument(metavar="[ITEM]", help="One item, by (the beginning of) its id.")
]
WorkerIndex = Annotated[int, typer.Option(hidden=True)]  # tells workers of a run apart in a list of processes


def status(run: RunPath) -> None:
    """How far a run is, what is being done, and what failed and why."""
    from foldwise.runs.folder import RunFolder

    say_status(RunFolder.open(run))


def say_status(folder: RunFolder) -> None:
    """How far a run is, what is being done now, what failed and why."""
    from foldwise.pipeline.devices import waiting_now
    from foldwise.runs.items import count_kinds
    from foldwise.runs.leases import items_in_progress
    from foldwise.runs.plan import skipped, waiting_sentence

    out, plan = console(), folder.load_plan()
    _, failed = folder.settled()
    lost = {item.id for item in skipped(plan, failed)}
    states = {state: number for state, number in asdict(folder.status(plan)).items() if number}
    listed = [f"{number} {state}" for state, number in states.items()]
    # Kinds are named where there are several: that 12 items are 12 fits is no news.
    of_which = count_kinds(plan.items)
    items = count(len(plan.items), "item") + (f" ({of_which})" if "," in of_which else "")
    out.print(f"{folder.root}: {items}: {', '.join(listed)}", markup=False)
    for title, beat in items_in_progress(folder, plan):
        epoch = f", epoch {beat['epoch']} of {beat['epochs']}" if "epoch" in beat else ""
        out.print(f"  running  {title}{epoch}", markup=False)
    for item in plan.items:
        if item.id in failed:
            error = (folder.result(item.id) or {}).get("error") or {}
            out.print(f"  failed   {item.title}: {error.get('message', 'no cause recorded')}", markup=False)
            out.print(f"           by hand: foldwise work {folder.root} {item.id}", markup=False, style="dim")
        elif item.id in lost:
            out.print(f"  skipped  {item.title}: it needs an item that failed", markup=False)
    if waits := waiting_now(folder, plan):
        out.print(f"  waiting  {waiting_sentence(plan, waits)}", markup=False)


def work(run: RunPath, item: ItemId = None, device: Device = "auto", worker_index: WorkerIndex = 0) -> None:
    """Be a worker: do ready items until none is left; or do one item by hand."""
    from foldwise.pipeline.devices import refuse_device
    from foldwise.pipeline.worker import do_by_hand
    from foldwise.pipeline.worker import work as pull
    from foldwise.runs.folder import RunFolder

    refuse_device(device)
    folder = RunFolder.open(run)
    if item is None:
        # Flushed, since the log of a worker is read while it works.
        pull(folder, device=device, log=lambda line: print(line, flush=True))
        return
    done, result = do_by_hand(folder, item, device=device)
    if result["error"]:
        raise ItemsFailed(result["error"]["message"], where=done.title)
    print(f"done {done.title}: {folder.done(done.id)}")
