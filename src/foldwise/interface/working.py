"""Runs that others work on, from Python: laid out, watched and stopped; and looks and speeds, which are done by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldwise.interface.calls import PathLike, RunLike, StudyLike, plain_study, public
from foldwise.interface.results import Run
from foldwise.runs.folder import RunFolder

if TYPE_CHECKING:
    from foldwise.interface.commands.status import Status
    from foldwise.pipeline.measuring import Speeds


@public
def plan(
    study: StudyLike,
    *,
    out: PathLike | None = None,
    overrides: Sequence[str] = (),
    variants: Sequence[str] = (),
    retry: bool = False,
    fetch: bool = True,
) -> Run:
    """Check a study and lay its run folder out, for workers (`foldwise work RUN`) that you start; trains nothing.

    Args:
        study, out, overrides, variants, fetch: as of `run`.
        retry: do failed items again.

    Raises:
        FoldwiseError: everything that would stop the study, said at once.
    """
    from foldwise.pipeline import pipeline
    from foldwise.pipeline.options import RunOptions, Silent
    from foldwise.pipeline.preparing import own_names_of
    from foldwise.study.reading import open_study

    file = open_study(plain_study(study), overrides, variants)
    options = RunOptions(None if out is None else Path(out), retry=retry, fetch=fetch)
    return Run(pipeline.plan(file, options, Silent()), trust_code=bool(own_names_of(file)))


@public
def status(run: RunLike) -> Status:
    """How far a run is, who works on it, who is lost, what failed and why; printed, it reads as of the command.

    Args:
        run: a run, or its folder.

    Raises:
        RunError: it is not one.
    """
    from foldwise.interface.commands.status import status_of

    return status_of(RunFolder.open(Path(run)))


@public
def stop(run: RunLike) -> int:
    """Have all workers of a run stop, wherever they are; how many jobs of a cluster were cancelled. What is done stays done.

    Args:
        run: a run, or its folder.

    Raises:
        RunError: it is not one.
    """
    from foldwise.runs.stopping import stop_all

    return stop_all(RunFolder.open(Path(run)))


@public
def measure(  # noqa: PLR0913 - each is an option of the command
    target: StudyLike,
    *,
    seconds: float = 60.0,
    batch_sizes: Sequence[int] | None = None,
    caches: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    device: Sequence[str] | None = None,
    out: PathLike | None = None,
    overrides: Sequence[str] = (),
    variants: Sequence[str] = (),
    fetch: bool = True,
    trust_code: bool = False,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Speeds:
    """How fast models train and answer here, by batch size, precision and cache; written as a page and tables, too.

    Args:
        target: a study, of which nothing is trained; or a run, or its folder, whose report shows the speeds from then on.
        seconds: for all numbers together, beside loading; 1 to 86400.
        batch_sizes: 1, 4, 16 and 64 by default.
        caches: where images come from: ``memory``, ``disk``, ``none``, ``features``; all but the first by default.
        precisions: ``fp32``, ``bf16``; both by default.
        device: names of devices; all of this machine by default.
        out, overrides, variants, fetch: of a study, as of `run`; the folder is ``runs/<study>-speed`` by default.
        trust_code: whether own code that a run folder names may be run.
        progress: called with what is being done.

    Raises:
        SpecError: a number, a cache, a precision or a device does not exist; or `out` or a change is stated beside a run.
        RunError: the search of a run has chosen nothing yet.
        ItemsFailed: nothing could be measured.
    """
    from foldwise.interface.commands.measure import measured, write_speeds
    from foldwise.pipeline.measuring import SpeedRequest
    from foldwise.study.reading import open_study

    options = {"batch_sizes": batch_sizes, "caches": caches, "precisions": precisions}
    stated = {name: None if value is None else list(value) for name, value in options.items()}
    request, beat = SpeedRequest(stated, tuple(device or ()), seconds), progress or (lambda _: None)
    study, to, changes = plain_study(target), None if out is None else Path(out), [*overrides, *variants]
    named = study if isinstance(study, Path) and study.is_dir() else open_study(study, overrides, variants)
    trusts = trust_code or getattr(target, "trust_code", False)
    speeds = measured(named, request, to, changes, fetch=fetch, trust_code=trusts, beat=beat)
    write_speeds(speeds)
    speeds.fail_if_none()
    return speeds


@public
def look(
    run: PathLike,
    *,
    fit: str | None = None,
    device: str = "auto",
    progress: Callable[[dict[str, Any]], None] | None = None,
    trust_code: bool = False,
    **options: Any,
) -> Path:
    """Look inside the training of one fit, and write the report again; the folder of the look.

    The fit is trained once more from its seed. A look that was done already is not done again.

    Args:
        run: a run with fits that are done, or its folder.
        fit: (the beginning of) the id of a fit; the winner's first fold unless stated.
        device: auto, cpu, cuda or mps, for settings that say auto.
        progress: called with what is being done.
        trust_code: whether own code that the run folder names may be run.
        options: ``epochs``, ``points``, ``directions``, ``images``, ``losses``: as in the study's `look`.

    Raises:
        RunError: there is no winner and no fit is named, or the fit is not there or not done.
        SpecError: a number, a loss or an epoch cannot be used.
        ItemsFailed: the look ended with an error.
    """
    from foldwise.pipeline import by_hand, pipeline

    beat = progress or (lambda _: None)
    folder = RunFolder.open(Path(run))
    done = by_hand.look(folder, fit, options, device=device, trust_code=trust_code, beat=beat)
    pipeline.finish(folder)
    return done
