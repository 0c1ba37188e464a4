"""`foldwise check`, `plan`, `run` and `work`: a study from its file to the answer; and its items, by hand or all."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foldwise.errors import ItemsFailed, SpecError, choose
from foldwise.interface.checked import say_check
from foldwise.interface.observer import Terminal, fail_if_items_failed, say_planned
from foldwise.interface.study_options import NoFetch, Out, Phantom, Quick, Set, StudyPath, Variant, in_order
from foldwise.interface.terminal import Device, RunPath, TrustCode
from foldwise.runs.slurm_queue import TIME_IS_UP

if TYPE_CHECKING:
    from foldwise.runs.plan import Lane

MAX_WORKERS = 1024
Workers = Annotated[
    int | None,
    typer.Option(min=1, max=MAX_WORKERS, help="Processes at a time.", show_default="from the cores"),
]
Retry = Annotated[bool, typer.Option("--retry", help="Try failed items again.")]
On = Annotated[
    str,
    typer.Option(
        "--on",
        "--launcher",
        metavar="NAME",
        help="local: processes here; slurm, kubernetes, ray: on a cluster; inline: in this process, to debug.",
    ),
]
Profile = Annotated[
    list[str],
    typer.Option(
        "--profile", metavar="KEY=VALUE or FILE", help="What a cluster is asked for, e.g. partition=gpu."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be started, and start nothing.")]
ItemId = Annotated[
    str | None, typer.Argument(metavar="[ITEM]", help="One item, by (the beginning of) its id.")
]
AtATime = Annotated[
    str,
    typer.Option(
        "--workers",
        metavar="NUMBER or auto",
        help="Processes at a time; auto: as many as memory and processors bear.",
    ),
]
Only = Annotated[
    str | None,
    typer.Option(metavar="cpu or accelerator", help="Only items that need no accelerator, or that do."),
]
WithParent = Annotated[
    bool,
    typer.Option("--with-parent", help="End when standard input does: with the program that started it."),
]
WorkerIndex = Annotated[int, typer.Option(hidden=True)]  # tells workers of a run apart in a list of processes


def check(
    study: StudyPath,
    set_: Set = [],  # noqa: B006 - typer wants the default value itself
    variant: Variant = [],  # noqa: B006
    phantom: Phantom = False,
    quick: Quick = False,
) -> None:
    """Read the study, decode and audit its images, make the folds and the plan. Trains nothing."""
    from foldwise.study.reading import open_study

    # Read before the pipeline is imported: what is wrong in it is said a second earlier.
    file = open_study(study, set_, in_order(variant, phantom=phantom, quick=quick))
    from foldwise.pipeline import pipeline
    from foldwise.runs.launchers.local import default_workers

    with Terminal() as terminal:
        prepared, costs = pipeline.check(file, progress=terminal.decoding, trying=terminal.trying)
    say_check(prepared, costs, workers=default_workers("auto", prepared.study.threads, costs.memory_mb()))


def plan(  # noqa: PLR0913 - every one is an option of the command
    study: StudyPath,
    out: Out = None,
    set_: Set = [],  # noqa: B006 - typer wants the default value itself
    variant: Variant = [],  # noqa: B006
    phantom: Phantom = False,
    quick: Quick = False,
    retry: Retry = False,
    no_fetch: NoFetch = False,
) -> None:
    """Check, and lay the run folder out for workers that you start yourself. Trains nothing."""
    from foldwise.study.reading import open_study

    file = open_study(study, set_, in_order(variant, phantom=phantom, quick=quick))
    from foldwise.pipeline import pipeline
    from foldwise.pipeline.options import RunOptions

    options = RunOptions(out, retry=retry, fetch=not no_fetch)
    with Terminal() as terminal:
        folder = pipeline.plan(file, options, terminal)
    say_planned(folder)


def run(  # noqa: PLR0913 - every one is an option of the command
    study: StudyPath,
    out: Out = None,
    workers: Workers = None,
    device: Device = "auto",
    set_: Set = [],  # noqa: B006 - typer wants the default value itself
    variant: Variant = [],  # noqa: B006
    phantom: Phantom = False,
    quick: Quick = False,
    retry: Retry = False,
    no_fetch: NoFetch = False,
    on: On = "local",
    profile: Profile = [],  # noqa: B006
    dry_run: DryRun = False,
) -> None:
    """Check, train what is not done yet, judge and report. Call it again to go on after an interrupt."""
    from foldwise.study.laid_over import from_profile
    from foldwise.study.reading import open_study

    variants = in_order(variant, phantom=phantom, quick=quick)
    file = open_study(study, set_, variants, profile=(on, profile))
    from foldwise.pipeline import pipeline
    from foldwise.pipeline.options import RunOptions, Silent

    options = RunOptions(out, workers, device, on, retry=retry, fetch=not no_fetch)
    if sentence := from_profile(file.source, on):
        print(sentence, file=sys.stderr)
    if dry_run:  # alone on standard output, so that it can be written to a file
        print(pipeline.script(file, options, Silent()), end="")
        return
    with Terminal() as terminal:
        folder, verdict = pipeline.run(file, options, terminal)
    fail_if_items_failed(verdict, folder.root)


def work(  # noqa: PLR0913 - every one is an option of the command
    run: RunPath,
    item: ItemId = None,
    device: Device = "auto",
    trust_code: TrustCode = False,
    workers: AtATime = "1",
    only: Only = None,
    with_parent: WithParent = False,
    worker_index: WorkerIndex = 0,
) -> None:
    """Be a worker: do ready items until none is left; or do one item by hand."""
    from foldwise.processes import TimeIsUp, end_with_parent, sigterm_as_interrupt

    try:
        # Told to stop, it gives back what it has: before anything is imported, as clusters do not wait for that.
        with sigterm_as_interrupt():
            if with_parent:
                end_with_parent()
            _work(run, item, device, _number(workers), only=_lane(only), trust_code=trust_code)
    except TimeIsUp:
        from foldwise.runs.folder import RunFolder

        why = "`foldwise stop` asks for it" if RunFolder(run).stop.exists() else "its time is up"
        print(f"stopped, since {why}; what is not done is left to others", flush=True)
        raise typer.Exit(TIME_IS_UP) from None


def _number(workers: str) -> int | None:
    """How many workers are asked for; None for as many as the machine bears."""
    if workers == "auto":
        return None
    if not workers.isdigit() or not 1 <= int(workers) <= MAX_WORKERS:
        cure = f"Write a number from 1 to {MAX_WORKERS:,}, or auto."
        raise SpecError(f"{workers!r} is no number of workers", where="--workers", cure=cure)
    return int(workers)


def _lane(only: str | None) -> Lane | None:
    lanes: dict[str, Lane] = {"cpu": "cpu", "accelerator": "accelerator"}
    return None if only is None else choose(lanes, only, "kind of items", where="--only")


def _work(
    run: Path, item: str | None, device: str, workers: int | None, *, only: Lane | None, trust_code: bool
) -> None:
    from foldwise.pipeline import by_hand, worker
    from foldwise.pipeline.devices import refuse_device
    from foldwise.pipeline.worker import code_named
    from foldwise.runs.folder import RunFolder
    from foldwise.study.own_code import trusting

    refuse_device(device)
    folder = RunFolder.open(run, items=False)  # hundreds of workers on one server do not look through all
    with trusting(code_named(folder) if trust_code else ()):
        if item is None and workers != 1:
            worker.work_together(folder, workers, device=device)
        elif item is None:
            # Flushed, since the log of a worker is read while it works.
            worker.work(folder, device=device, only=only, log=lambda line: print(line, flush=True))
        else:
            done, result = by_hand.do_by_hand(folder, item, device=device)
            if result["error"]:
                raise ItemsFailed(result["error"]["message"], where=done.title)
            print(f"done {done.title}: {folder.done(done.id)}")
