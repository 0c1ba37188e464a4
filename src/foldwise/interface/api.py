"""The public names: what the command line does, from a notebook or a script.

>>> import foldwise
>>> run = foldwise.run("study.yaml")        # doctest: +SKIP
>>> run.leaderboard                          # doctest: +SKIP
>>> run.predict("new_images/", "predictions/")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from foldwise.errors import ItemsFailed, RunError, SpecError
from foldwise.judging.verdict import Verdict, read_verdict
from foldwise.run.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from foldwise.pipeline.pipeline import Prepared


DEVICES = ("auto", "cpu", "cuda", "mps")
DEVICE_SLIPS = {"gpu": "Write cuda for an NVIDIA GPU, mps for an Apple one. ", "cuda:0": "Write cuda. "}


@dataclass(frozen=True)
class Run:
    """A run folder and what it says."""

    folder: RunFolder

    @property
    def verdict(self) -> Verdict:
        """The verdict as data; `docs/verdict.md` describes it.

        Raises:
            RunError: nothing has been judged yet.
        """
        if not self.folder.verdict.exists():
            raise RunError(
                f"{self.folder.root} has no verdict yet", cure=f"foldwise report {self.folder.root}"
            )
        return read_verdict(self.folder.verdict)

    @property
    def leaderboard(self) -> pd.DataFrame:
        """One row per configuration, best first, with its interval and its costs."""
        import pandas as pd

        return pd.read_csv(self.folder.results)

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder.report

    def predict(
        self, images: str | Path, out: str | Path, *, device: str = "auto", pictures: bool = False
    ) -> Path:
        """Predict new images with the winner; the folder of the predictions."""
        return predict(self.folder.root, images, out=out, device=device, pictures=pictures)

    def _repr_html_(self) -> str:
        return str(self.leaderboard.to_html(index=False))


class Progress(Protocol):
    """Told how far a run is, again and again while it works."""

    def show(self, folder: RunFolder) -> None:
        """Look at the run folder."""

    def stopping(self) -> None:
        """The run was asked to stop, and its workers are."""


def check(
    study: str | Path,
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
    from foldwise.pipeline.pipeline import prepare
    from foldwise.pipeline.preflight import check_models

    prepared = prepare(Path(study), overrides=overrides, variants=variants, progress=decoded)
    check_models(prepared, device=device)
    return prepared


def run(
    study: str | Path,
    *,
    out: str | Path | None = None,
    workers: int | None = None,
    device: str = "auto",
    overrides: Sequence[str] = (),
    variants: Sequence[str] = (),
    fetch: bool = True,
) -> Run:
    """Check the study, do what is not done yet, judge and report.

    Args:
        study: the study file.
        out: the run folder; `runs/<study>` in the current folder unless stated.
        workers: processes that train at a time; by default as many as the cores allow, one on a GPU.
        device: auto, cpu, cuda or mps, for settings that say auto.
        overrides: changes to the study, such as ``train.epochs=2``.
        variants: names of variants of the study, in the order in which they are laid over it.
        fetch: whether to download a public data set that is not here.
    """
    from foldwise.pipeline.pipeline import finish, lay_out

    refuse_device(device)
    if fetch:
        fetch_data(study, overrides=overrides, variants=variants)
    prepared = check(study, overrides=overrides, variants=variants, device=device)
    folder = lay_out(prepared, run_root(prepared, out))
    drive(folder, workers=workers, device=device, threads=prepared.study.threads)
    finish(folder)
    return Run(folder)


def fetch_data(
    study: str | Path,
    *,
    overrides: Sequence[str] = (),
    variants: Sequence[str] = (),
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Path | None:
    """Get the public data set of a study, if it is not here yet; its folder, or None where nothing was to be got."""
    from foldwise.data.public.source import silent
    from foldwise.data.public.study_source import fetch_source
    from foldwise.study.reading import read_study

    asked = read_study(Path(study), overrides, variants)
    return fetch_source(asked, Path(study).resolve().parent, progress=progress or silent)


def run_root(prepared: Prepared, out: str | Path | None) -> Path:
    """Where the run of a study lies: each choice of variants has a folder of its own."""
    if out is not None:
        return Path(out)
    return Path("runs") / "-".join([prepared.study.study, *prepared.variants])


def drive(
    folder: RunFolder, *, workers: int | None, device: str, threads: int = 1, progress: Progress | None = None
) -> None:
    """Start workers and wait until every item is done, failed or skipped.

    Raises:
        RunError: workers died again and again while work was left; or another run changed the plan meanwhile.
    """
    from foldwise.pipeline.worker import all_settled
    from foldwise.run.launchers.local import LocalWorkers, default_workers

    plan = folder.load_plan()
    if all_settled(folder, plan):
        return
    LocalWorkers(
        folder, workers=workers or default_workers(device, threads), device=device, threads=threads
    ).run(
        finished=_watched(folder, lambda: all_settled(folder, plan)),
        tick=progress.show if progress else None,
        stopping=progress.stopping if progress else None,
    )


def _watched(folder: RunFolder, finished: Callable[[], bool]) -> Callable[[], bool]:
    """`finished`, that refuses to wait for items which are no longer planned."""
    items = {item.id for item in folder.load_plan().items}
    seen = folder.plan.stat().st_mtime_ns

    def look() -> bool:
        nonlocal seen
        now = folder.plan.stat().st_mtime_ns
        if now != seen and not items <= {item.id for item in folder.load_plan().items}:
            raise RunError(
                "another foldwise run has changed the plan of this folder: its study is another one",
                where=str(folder.root),
                cure="Wait for the other run and start this one again, or give each its own --out.",
            )
        seen = now
        return finished()

    return look


def refuse_device(device: str) -> None:
    """Refuse a device that is not here, before anything is done with it.

    Raises:
        SpecError: there is no device of that name.
        MissingExtra: this machine has none.
    """
    if device not in DEVICES:
        cure = f"{DEVICE_SLIPS.get(device.lower(), '')}Known: {', '.join(DEVICES)}."
        raise SpecError(f"no device is called {device!r}", where="--device", cure=cure)
    if device in ("cuda", "mps"):
        from foldwise.learning.training.devices import pick_device

        pick_device(device)


def open_run(path: str | Path) -> Run:
    """A run folder that exists.

    Raises:
        RunError: it is not one.
    """
    return Run(RunFolder.open(Path(path)))


def look(
    run: str | Path,
    *,
    fit: str | None = None,
    device: str = "auto",
    progress: Callable[[dict[str, Any]], None] | None = None,
    **finely: Any,
) -> Path:
    """Look inside the training of one fit, and write the report again; the folder of the look.

    The fit is trained once more from its seed. A look that was done already is not done again.

    Args:
        run: a run folder with fits that are done.
        fit: (the beginning of) the id of a fit; the winner's first fold unless stated.
        device: auto, cpu, cuda or mps, for settings that say auto.
        progress: told what is being done.
        finely: ``epochs``, ``points``, ``directions``, ``images``, ``losses``: as in the study's `look`.

    Raises:
        RunError: there is no winner and no fit is named, or the fit is not there or not done.
        SpecError: a number, a loss or an epoch cannot be used.
        ItemsFailed: the look ended with an error.
    """
    from foldwise.pipeline.pipeline import finish
    from foldwise.pipeline.worker import do_look, plan_look

    refuse_device(device)
    folder = RunFolder.open(Path(run))
    item = plan_look(folder, fit, finely)
    result = do_look(folder, item, device=device, beat=progress or (lambda _: None))
    if result["status"] == "failed":
        raise ItemsFailed(result["error"]["message"], where=item.title)
    finish(folder)
    return folder.done(item.id)


def predict(
    run: str | Path,
    images: str | Path,
    *,
    out: str | Path,
    device: str = "auto",
    pictures: bool = False,
    submission: str | Path | None = None,
) -> Path:
    """The winner of a run on new images: a CSV of probabilities, or masks and overlays; the folder of both.

    Args:
        run: a run folder, or the folder of a model that was handed over.
        images: a folder of new images, or one image.
        out: where the predictions go.
        device: auto, cpu, cuda or mps.
        pictures: draw them too, as ``pictures.html`` and ``pictures.png``.
        submission: of several labels, a CSV file of ``Id,Predicted`` with the indices of the labels.
    """
    from foldwise.learning.inference.predict import LeftOut, predict_images
    from foldwise.reporting.predictions import write_pictures

    winner, told = _winner(Path(run)), Path(out)
    asked = Path(submission) if submission is not None else None
    try:
        predict_images(winner, Path(images), told, device=device, submission=asked)
    except LeftOut:
        if pictures:
            write_pictures(winner, Path(images), told)
        raise
    if pictures:
        write_pictures(winner, Path(images), told)
    return told


def _winner(run: Path) -> Path:
    if (run / "model.json").is_file():
        return run
    winner = RunFolder.open(run).winner
    if not winner.is_dir():
        raise RunError(f"{run} has no winner yet", cure=f"Finish the run, then: foldwise report {run}")
    return winner
