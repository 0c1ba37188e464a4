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

from foldwise.errors import RunError
from foldwise.study.folder import RunFolder, read_json

if TYPE_CHECKING:
    import pandas as pd

    from foldwise.walk import Prepared


@dataclass(frozen=True)
class Run:
    """A run folder and what it says."""

    folder: RunFolder

    @property
    def verdict(self) -> dict[str, Any]:
        """The verdict as data; `docs/verdict.md` describes it.

        Raises:
            RunError: nothing has been judged yet.
        """
        if not self.folder.verdict.exists():
            raise RunError(
                f"{self.folder.root} has no verdict yet", cure=f"foldwise report {self.folder.root}"
            )
        verdict: dict[str, Any] = read_json(self.folder.verdict)
        return verdict

    @property
    def leaderboard(self) -> pd.DataFrame:
        """One row per configuration, best first, with its interval and its costs."""
        import pandas as pd

        return pd.read_csv(self.folder.results)

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder.report

    def predict(self, images: str | Path, out: str | Path, *, device: str = "auto") -> Path:
        """Predict new images with the winner; the folder of the predictions."""
        return predict(self.folder.root, images, out=out, device=device)

    def _repr_html_(self) -> str:
        return str(self.leaderboard.to_html(index=False))


class Progress(Protocol):
    """Told how far a run is, again and again while it works."""

    def __call__(self, folder: RunFolder) -> None:
        """Look at the run folder."""


def check(
    study: str | Path, *, overrides: Sequence[str] = (), decoded: Callable[[int, int], None] | None = None
) -> Prepared:
    """Read, decode, audit, fold and plan, and build every model once; nothing is trained.

    Raises:
        FoldwiseError: everything that would stop the study, said at once.
    """
    from foldwise.walk import check_models, prepare

    prepared = prepare(Path(study), overrides=overrides, progress=decoded)
    check_models(prepared)
    return prepared


def run(
    study: str | Path,
    *,
    out: str | Path | None = None,
    workers: int | None = None,
    device: str = "auto",
    overrides: Sequence[str] = (),
) -> Run:
    """Check the study, do what is not done yet, judge and report.

    Args:
        study: the study file.
        out: the run folder; `runs/<study>` in the current folder unless stated.
        workers: processes that train at a time; by default as many as the cores allow, one on a GPU.
        device: auto, cpu, cuda or mps, for settings that say auto.
        overrides: changes to the study, such as ``train.epochs=2``.
    """
    from foldwise.walk import finish, lay_out

    prepared = check(study, overrides=overrides)
    folder = lay_out(prepared, run_root(prepared, out))
    drive(folder, workers=workers, device=device, threads=prepared.study.threads)
    finish(folder)
    return Run(folder)


def run_root(prepared: Prepared, out: str | Path | None) -> Path:
    """Where the run of a study lies."""
    return Path(out) if out is not None else Path("runs") / prepared.study.study


def drive(
    folder: RunFolder, *, workers: int | None, device: str, threads: int = 1, progress: Progress | None = None
) -> None:
    """Start workers and wait until every item is done, failed or skipped.

    Raises:
        RunError: workers died again and again while work was left.
    """
    from foldwise.launching.local import LocalWorkers, default_workers
    from foldwise.work import all_settled

    plan = folder.load_plan()
    if all_settled(folder, plan):
        return
    LocalWorkers(
        folder, workers=workers or default_workers(device, threads), device=device, threads=threads
    ).run(finished=lambda: all_settled(folder, plan), tick=progress)


def open_run(path: str | Path) -> Run:
    """A run folder that exists.

    Raises:
        RunError: it is not one.
    """
    return Run(RunFolder.open(Path(path)))


def predict(run: str | Path, images: str | Path, *, out: str | Path, device: str = "auto") -> Path:
    """The winner of a run on new images: a CSV of probabilities, or masks and overlays; the folder of both."""
    from foldwise.learning.predict import predict_images

    winner = RunFolder.open(Path(run)).winner
    if not winner.is_dir():
        raise RunError(f"{run} has no winner yet", cure=f"Finish the run, then: foldwise report {run}")
    return predict_images(winner, Path(images), Path(out), device=device)
