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
from typing import TYPE_CHECKING, Any

from foldwise.csv_cells import as_text
from foldwise.errors import RunError
from foldwise.judging.verdict import Verdict, read_verdict
from foldwise.runs.folder import RunFolder
from foldwise.sealed import verified
from foldwise.text import in_shell

if TYPE_CHECKING:
    import pandas as pd

    from foldwise.pipeline.preparing import Prepared


@dataclass(frozen=True)
class Run:
    """A run folder and what it says.

    Attributes:
        trust_code: whether own code that it names may be run; so it is after `run`, whose study named it.
    """

    folder: RunFolder
    trust_code: bool = False

    @property
    def verdict(self) -> Verdict:
        """The verdict as data; `docs/verdict.md` describes it.

        Raises:
            RunError: nothing has been judged yet.
        """
        if not self.folder.verdict.exists():
            raise RunError(
                f"{self.folder.root} has no verdict yet", cure=f"foldwise report {in_shell(self.folder.root)}"
            )
        return read_verdict(self.folder.verdict)

    @property
    def leaderboard(self) -> pd.DataFrame:
        """One row per configuration, best first, with its interval and its costs."""
        import pandas as pd

        table = pd.read_csv(verified(self.folder.results))
        return table.rename(columns=as_text).map(
            lambda cell: as_text(cell) if isinstance(cell, str) else cell
        )

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder.report

    def predict(
        self, images: str | Path, out: str | Path, *, device: str = "auto", pictures: bool = False
    ) -> Path:
        """Predict new images with the winner; the folder of the predictions."""
        how: dict[str, Any] = {"device": device, "pictures": pictures, "trust_code": self.trust_code}
        return predict(self.folder.root, images, out=out, **how)

    def _repr_html_(self) -> str:
        return str(self.leaderboard.to_html(index=False))


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
    from foldwise.pipeline import pipeline
    from foldwise.study.reading import open_study

    file = open_study(Path(study), overrides, variants)
    prepared, _ = pipeline.check(file, progress=decoded, device=device)
    return prepared


def run(  # noqa: PLR0913 - each is an option of a run
    study: str | Path,
    *,
    out: str | Path | None = None,
    workers: int | None = None,
    device: str = "auto",
    overrides: Sequence[str] = (),
    variants: Sequence[str] = (),
    fetch: bool = True,
    launcher: str = "local",
) -> Run:
    """Check the study, do what is not done yet, judge and report.

    Args:
        study: the study file.
        out: the run folder; `runs/<study>` in the current folder unless stated.
        workers: processes that train at a time; by default as many as cores and memory bear, on a GPU as measured.
        device: auto, cpu, cuda or mps, for settings that say auto.
        overrides: changes to the study, such as ``train.epochs=2``.
        variants: names of variants of the study, in the order in which they are laid over it.
        fetch: whether to download a public data set that is not here.
        launcher: `local`; `slurm`, `kubernetes` or `ray`, as the part of the study of that name asks for it; or `inline` to do every
            item in this process, where a debugger can stop.
    """
    from foldwise.pipeline import pipeline
    from foldwise.pipeline.options import RunOptions, Silent
    from foldwise.study.reading import open_study

    file = open_study(Path(study), overrides, variants, profile=(launcher, ()))
    root = Path(out) if out is not None else None
    options = RunOptions(root, workers, device, launcher, fetch=fetch)
    folder, _ = pipeline.run(file, options, Silent())
    return Run(folder, trust_code=bool(pipeline.own_names_of(file)))


def open_run(path: str | Path, *, trust_code: bool = False) -> Run:
    """A run folder that exists.

    Args:
        trust_code: whether own code that it names, and nobody else vouches for, may be run.

    Raises:
        RunError: it is not one, or holds links or anything else that a run folder never has.
    """
    return Run(RunFolder.open(Path(path)), trust_code)


def look(
    run: str | Path,
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
        run: a run folder with fits that are done.
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
    from foldwise.pipeline import looking, pipeline

    beat = progress or (lambda _: None)
    folder = RunFolder.open(Path(run))
    done = looking.look(folder, fit, options, device=device, trust_code=trust_code, beat=beat)
    pipeline.finish(folder)
    return done


def predict(  # noqa: PLR0913 - each is an option of the command
    run: str | Path,
    images: str | Path,
    *,
    out: str | Path,
    device: str = "auto",
    runtime: str = "auto",
    pictures: bool = False,
    submission: str | Path | None = None,
    trust_code: bool = False,
) -> Path:
    """The winner of a run on new images: a CSV of probabilities, or masks and overlays; the folder of both.

    Args:
        run: a run folder, or the folder of a model that was handed over.
        images: a folder of new images, or one image.
        out: where the predictions go.
        device: auto, cpu, cuda or mps.
        runtime: auto, torch or onnxruntime.
        pictures: draw them too, as ``pictures.html`` and ``pictures.png``.
        submission: of several labels, a CSV file of ``Id,Predicted`` with the indices of the labels.
        trust_code: whether own code that the folder names may be run.
    """
    from foldwise.pipeline import hand_over

    table = Path(submission) if submission is not None else None
    how: dict[str, Any] = {
        "runtime": runtime,
        "pictures": pictures,
        "submission": table,
        "trust_code": trust_code,
    }
    hand_over.predict(Path(run), Path(images), Path(out), device=device, **how)
    return Path(out)
