"""`foldwise fit`: options become a study of one configuration, which is run; what it hands over: model, curves, a row."""

from __future__ import annotations

import inspect
import shutil
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from foldwise.errors import RunError, SpecError
from foldwise.interface.observer import Terminal, fail_if_items_failed
from foldwise.interface.study_options import HELP
from foldwise.interface.terminal import console
from foldwise.sealed import read_table
from foldwise.storage import folder_replaced, written_whole
from foldwise.study.single import Single, document, typed, write_study
from foldwise.text import in_shell

if TYPE_CHECKING:
    from foldwise.judging.verdict import Verdict
    from foldwise.runs.folder import RunFolder

# Of results.csv: what says nothing of a single configuration.
OF_COMPARISONS = (
    "configuration",
    "name",
    "difference",
    "difference_low",
    "difference_high",
    "p",
    "could_be_best",
    "p_wins",
)
CURVES = "dashed: training; solid: inner validation", "one line per fold; dot: the chosen epoch"


@dataclass(frozen=True)
class Fit(Single):
    """The options of the command: how one model is trained, and where everything goes."""

    device: str = "auto"
    workers: int | None = None
    out: Path | None = None
    model_path: Path | None = None
    plots_path: Path | None = None
    results_file: Path | None = None
    save_study: Path | None = None

    @property
    def root(self) -> Path:
        """The run folder."""
        return self.out or Path("runs") / self.id


def fit(**options: Any) -> None:
    """One model on one folder of images: a study of a single configuration, from folds to report."""
    from foldwise.pipeline import pipeline
    from foldwise.pipeline.devices import refuse_device
    from foldwise.pipeline.options import RunOptions
    from foldwise.study.reading import open_study

    chosen = Fit(**options)
    refuse_device(chosen.device)
    file = open_study(save(chosen), typed=typed(chosen))
    how = RunOptions(chosen.root, chosen.workers, chosen.device)
    with Terminal() as terminal:
        folder, verdict = pipeline.run(file, how, terminal)
    # What there is of it is handed over even where some fits failed.
    hand_over(chosen, folder, verdict)
    fail_if_items_failed(verdict, folder.root)


def _option(field: Field[Any], of: Any) -> inspect.Parameter:
    """The option of a field of `Fit`."""
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    annotation = Annotated[of, typer.Option(help=HELP[field.name])]
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


# The fields of the dataclass are the options: they stand in one place, and typer reads them from the signature.
TYPES = get_type_hints(Fit)
OPTIONS = [_option(field, TYPES[field.name]) for field in fields(Fit)]
fit.__signature__ = inspect.Signature(OPTIONS)  # type: ignore[attr-defined]


def save(options: Fit) -> Path:
    """Write the study of the options: where `--save-study` says, else into the run folder; its path.

    Raises:
        SpecError: a path is taken by something that may not be replaced.
    """
    from foldwise.data.layouts.files import on_disk
    from foldwise.runs.folder import RunFolder
    from foldwise.study.training import NO_WEIGHTS_FILE

    # Before any training: what may not be replaced would else be met at its end.
    if options.model_path and not _may_be_replaced(options.model_path):
        cure = "A model is a folder; name a new one, or one that holds an earlier model."
        raise SpecError(f"{options.model_path} is no model", where="--model-path", cure=cure)
    for option, stated in (("--data", str(options.data)), ("--weights", options.weights)):
        if stated and stated not in NO_WEIGHTS_FILE and not on_disk(Path(), stated).exists():
            cure = "Name one that is there; a path that does not begin with / starts at the current folder."
            raise SpecError(f"there is no {stated}", where=option, cure=cure)
    path = options.save_study or RunFolder(options.root).study_file
    write_study(document(options, beside=path.parent), path)
    return path


def _may_be_replaced(model: Path) -> bool:
    return not model.exists() or (model / "model.json").is_file()


def hand_over(options: Fit, folder: RunFolder, verdict: Verdict) -> None:
    """Put the model, the curves and the row of results where they are wanted, and say where they are."""
    from foldwise.judging.tables import collect

    # Without an answer the configuration is not complete: there is neither a winner nor a row of results.
    done: list[tuple[str, Path]] = []
    if options.model_path and verdict.answer:
        done.append(("Model", _copied(folder.winner, options.model_path)))
    if options.plots_path:
        done.append(("Curves", _drawn(folder, options.plots_path / f"{options.id}.svg")))
    if options.results_file and verdict.answer:
        collect(options.results_file, row(options, folder))
        done.append(("Row", options.results_file))
    if options.save_study:
        done.append(("Study", options.save_study))
    for what, where in done:
        console().print(f"{what + ':':<9}{where}", markup=False)


def row(options: Fit, folder: RunFolder) -> dict[str, Any]:
    """What was asked, and then every metric with its interval and every cost, as results.csv has them."""
    from foldwise.judging.verdict import read_verdict

    study = folder.load_study()
    train = study.train
    settings = {
        "model_id": options.id,
        "task": read_verdict(folder.verdict).task,
        "model": options.model,
        "head": options.head or "",
        "optimizer": options.optimizer,
        "learning_rate": options.learning_rate,
        "loss": options.loss,
        "weights": Path(train["weights"]).name,
        **{key: train[key] for key in ("freeze", "augment", "epochs", "batch_size")},
        "size": study.data.size,
        "channels": study.data.channels,
        "folds": options.folds,
        "repeats": options.repeats,
        "seed": options.seed,
    }
    # One configuration was compared with none, so the first row is the only one.
    judged = read_table(folder.results)[0]
    return settings | {key: value for key, value in judged.items() if key not in OF_COMPARISONS}


def _copied(winner: Path, out: Path) -> Path:
    """The winner's folder at `out`, whole or not at all."""
    with folder_replaced(out) as scratch:
        shutil.copytree(winner, scratch, dirs_exist_ok=True)
    return out


def _drawn(folder: RunFolder, path: Path) -> Path:
    from foldwise.reporting.figure_files import standalone
    from foldwise.reporting.report_data import gather
    from foldwise.reporting.sections.training.epochs import learning_section

    curves = learning_section(gather(folder))
    if curves is None:
        raise RunError("no fit has learned anything to draw", cure=f"foldwise status {in_shell(folder.root)}")
    panel = curves["learning"]["panels"][0]
    with written_whole(path) as scratch:
        scratch.write_text(standalone(panel["drawing"], title=panel["name"], notes=CURVES), encoding="utf-8")
    return path
