"""The public names: what the command line does, from a notebook or a script.

```python
import foldwise

run = foldwise.run("study.yaml")
run.leaderboard
run.predict("new_images", "predictions")
```
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldwise.errors import unknown
from foldwise.interface.calls import PathLike, StudyLike, as_called, plain_study, public
from foldwise.interface.results import Judged, Run
from foldwise.runs.folder import RunFolder
from foldwise.storage import write_table
from foldwise.text import count

if TYPE_CHECKING:
    import pandas as pd

    from foldwise.interface.observer import Terminal
    from foldwise.judging.claim_check.check import Checked
    from foldwise.judging.verdict import Verdict
    from foldwise.pipeline.drafting import Draft
    from foldwise.pipeline.preparing import Prepared


@public
def init(
    images: PathLike,
    out: PathLike = "study.yaml",
    *,
    overrides: Sequence[str] = (),
    hours: float = 2.0,
    yes: bool = False,
    force: bool = False,
) -> Draft:
    """Look at a folder of images and write a study that fits it; trains nothing, asks nothing, and says what is left open.

    Args:
        images: the folder, with labels or masks.
        out: the study file that is written.
        overrides: what is clear beforehand, such as ``data.task=binary_segmentation``.
        hours: that the study may take on this machine.
        yes: take the first answer also where the study cannot be without one.
        force: replace a file that is there.

    Raises:
        DataError: the images cannot be read as one data set, or a question that must be answered was not.
        RunError: there is a file already.
    """
    from foldwise.pipeline.drafting import draft, first, safest
    from foldwise.pipeline.options import Silent

    how: dict[str, Any] = {"stated": overrides, "hours": hours, "force": force}
    return draft(Path(images), Path(out), ask=first if yes else safest, observer=Silent(), **how)


@public
def check(
    study: StudyLike,
    *,
    overrides: Sequence[str] = (),
    variants: Sequence[str] = (),
    decoded: Callable[[int, int], None] | None = None,
    device: str = "auto",
) -> Prepared:
    """Read, decode, audit, fold and plan, and build every model once; nothing is trained.

    Raises:
        FoldwiseError: everything that would stop the study, said at once.
    """
    from foldwise.pipeline import pipeline
    from foldwise.study.reading import open_study

    file = open_study(plain_study(study), overrides, variants)
    prepared, _ = pipeline.check(file, progress=decoded, device=device)
    return prepared


@public
def run(  # noqa: PLR0913 - each is an option of a run
    study: StudyLike,
    *,
    out: PathLike | None = None,
    workers: int | None = None,
    device: str = "auto",
    overrides: Sequence[str] = (),
    variants: Sequence[str] = (),
    fetch: bool = True,
    launcher: str = "local",
    profile: Sequence[str] = (),
    retry: bool = False,
    quiet: bool = False,
) -> Run:
    """Check the study, do what is not done yet, judge and report; prints how far it is, the answer and its warnings.

    Fits that fail are warned of and stand in `Run.failures`. After Ctrl-C, the same call goes on.

    Args:
        study: the study file; or a dict of what would stand in one, with paths from the current folder.
        out: the run folder; `runs/<study>` in the current folder unless stated.
        workers: processes that train at a time; by default as many as cores and memory bear, on a GPU as measured.
        device: auto, cpu, cuda or mps, for settings that say auto.
        overrides: changes to the study, such as ``train.epochs=2``.
        variants: names of variants of the study, in the order in which they are laid over it.
        fetch: whether to download a public data set that is not here.
        launcher: `local`; `slurm`, `kubernetes` or `ray`; or `inline`, in this process, where a debugger can stop.
        profile: what a cluster is asked for, each ``key=value`` or a file.
        retry: do failed items again.
        quiet: print nothing.

    Raises:
        FoldwiseError: everything that would stop the study, said at once.
    """
    from foldwise.interface.observer import Terminal
    from foldwise.pipeline import pipeline
    from foldwise.pipeline.options import RunOptions, Silent
    from foldwise.pipeline.preparing import own_names_of
    from foldwise.study.reading import open_study

    file = open_study(plain_study(study), overrides, variants, profile=(launcher, tuple(profile)))
    to = None if out is None else Path(out)
    options = RunOptions(to, workers, device, launcher, retry=retry, fetch=fetch)
    with nullcontext(Silent()) if quiet else _goes_on(Terminal(partial(as_called, name="run"))) as observer:
        folder, _ = pipeline.run(file, options, observer)
    done = Run(folder, trust_code=bool(own_names_of(file)))
    if failures := done.failures:
        what = f"{count(len(failures), 'item')} failed, and all others are judged; run.failures lists them."
        warnings.warn(as_called(f"{what} The first says: {failures[0].message}", "run"), stacklevel=3)
    return done


@contextmanager
def _goes_on(terminal: Terminal) -> Iterator[Terminal]:
    """The terminal, which after Ctrl-C says how to go on."""
    try:
        with terminal:
            yield terminal
    except KeyboardInterrupt:
        print("\nfoldwise: stopped; the same call goes on from here")
        raise


@public
def open(path: PathLike, *, trust_code: bool = False) -> Run:
    """A run folder that exists, whether its run is done or not.

    Args:
        trust_code: whether own code that it names, and nobody else vouches for, may be run.

    Raises:
        RunError: it is not one, or holds links or anything else that a run folder never has.
    """
    return Run(RunFolder.open(Path(path)), trust_code)


@public
def judge(*scores: PathLike | pd.DataFrame, **options: Any) -> Judged:
    """The verdict on scores from elsewhere: tables, summaries of nnU-Net, run folders, or frames of pandas.

    Args:
        options: as of `foldwise judge`: ``configuration``, ``case``, ``score``, ``repeat``, ``fold``, ``group``, ``task``,
            ``metric``, ``higher_is_better``, ``bounded``, ``one_scale``, ``equivalent_within``, ``alpha``, ``textbook``.

    Raises:
        SpecError: no such column, or options that do not go together.
        DataError: the scores cannot be compared.
    """
    from foldwise.judging.external.options import ScoreOptions
    from foldwise.judging.external.verdict import judged_files

    several, names = ("configuration", "score"), [field.name for field in fields(ScoreOptions)]
    for name in options:
        if name not in names:
            raise unknown(name, names, "option of judge")
    stated: dict[str, Any] = {
        key: (value,)
        if key in several and isinstance(value, str)
        else tuple(value)
        if key in several
        else value
        for key, value in options.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, table in enumerate(scores, 1):
            if isinstance(table, str | os.PathLike):
                files.append(Path(table))
            else:
                files.append(Path(folder) / f"scores-{number}.csv")
                write_table(files[-1], _rows(table))
        return Judged(_as_called(judged_files(files, ScoreOptions(**stated))[0]))


def _as_called(verdict: Verdict) -> Verdict:
    """A verdict whose statements and cures name what a call of `judge` takes."""
    spelled = partial(as_called, name="judge")
    cures = [
        row.model_copy(update={"cure": row.cure and spelled(row.cure), "message": spelled(row.message)})
        for row in verdict.warnings
    ]
    return verdict.model_copy(
        update={"recognised": tuple(map(spelled, verdict.recognised)), "warnings": tuple(cures)}
    )


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    filled = table.astype(object).where(table.notna(), "")
    return [dict(zip(map(str, filled.columns), row, strict=True)) for row in filled.itertuples(index=False)]


@public
def report(run: PathLike, *, figures: PathLike | None = None, tensorboard: PathLike | None = None) -> Run:
    """Judge what is done so far, and write the report; for a run that was stopped, or that others work on.

    Args:
        run: a run, or its folder.
        figures: a folder that gets every figure as SVG and every table as CSV.
        tensorboard: a folder that gets event files for TensorBoard.
    """
    from foldwise.pipeline.pipeline import finish

    folder = RunFolder.open(Path(run))
    verdict = finish(folder)
    if figures is not None:
        from foldwise.reporting.figure_files import write_figures
        from foldwise.reporting.report_data import gather

        write_figures(gather(folder), Path(figures))
    if tensorboard is not None:
        from foldwise.learning.checkpoints.winner import write_events

        write_events(folder, verdict.metric.name, verdict.configurations, Path(tensorboard))
    return Run(folder, getattr(run, "trust_code", False))


@public
def claims(
    report: PathLike, text: str, *, metric: str | None = None, same: Mapping[str, str] | None = None
) -> Checked:
    """Which sentences of a text a verdict bears out: true, false, not supported, cannot check.

    Args:
        report: a run, its folder, a verdict.json, or a CSV with one row per configuration.
        text: the sentences.
        metric: what a sentence means that names none; the one that decides by default.
        same: words of the text that mean names of the report.
    """
    from foldwise.judging.claim_check.check import check
    from foldwise.judging.claim_check.table import open_report

    return check(open_report(Path(report), metric=metric), text, same=dict(same or {}))
