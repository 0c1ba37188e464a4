"""What `foldwise fit` is asked becomes a study, and what it hands over: the model, the curves, a row of results."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldwise.errors import RunError, SpecError
from foldwise.interface.printing.saying import console
from foldwise.judging.collected import collect
from foldwise.judging.verdict import read_verdict
from foldwise.reporting.drawing.standalone import standalone
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.verdict.panels import learning
from foldwise.run.folder import RunFolder
from foldwise.storage import folder_replaced, written_whole
from foldwise.study.single import document, write_study

if TYPE_CHECKING:
    from foldwise.interface.cli.fit_options import Fit

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


def save(asked: Fit) -> Path:
    """Write the study of the options: where `--save-study` says, else into the run folder; its path.

    Raises:
        SpecError: a path is taken by something that may not be replaced.
    """
    if asked.model_path and not _may_be_replaced(asked.model_path):
        cure = "A model is a folder; name a new one, or one that holds an earlier model."
        raise SpecError(f"{asked.model_path} is no model", where="--model-path", cure=cure)
    path = asked.save_study or RunFolder(asked.root).study_file
    write_study(document(asked, beside=path.parent), path)
    return path


def _may_be_replaced(model: Path) -> bool:
    return not model.exists() or (model / "model.json").is_file()


def hand_over(asked: Fit, folder: RunFolder, verdict: dict[str, Any]) -> None:
    """Put the model, the curves and the row of results where they are wanted, and say where they are."""
    done: list[tuple[str, Path]] = []
    if asked.model_path and verdict["answer"]:
        done.append(("Model", _copied(folder.winner, asked.model_path)))
    if asked.plots_path:
        done.append(("Curves", _drawn(folder, asked.plots_path / f"{asked.id}.svg")))
    if asked.results_file and verdict["answer"]:
        collect(asked.results_file, row(asked, folder))
        done.append(("Row", asked.results_file))
    if asked.save_study:
        done.append(("Study", asked.save_study))
    for what, where in done:
        console().print(f"{what + ':':<9}{where}", markup=False)


def row(asked: Fit, folder: RunFolder) -> dict[str, Any]:
    """What was asked, and then every metric with its interval and every cost, as results.csv has them."""
    study = folder.load_study()
    train = study.train
    settings = {
        "model_id": asked.id,
        "task": read_verdict(folder.verdict).task,
        "model": asked.model,
        "head": asked.head or "",
        "optimizer": asked.optimizer,
        "learning_rate": asked.learning_rate,
        "loss": asked.loss,
        "weights": Path(train["weights"]).name,
        **{key: train[key] for key in ("freeze", "augment", "epochs", "batch_size")},
        "size": study.data.size,
        "channels": study.data.channels,
        "folds": asked.folds,
        "repeats": asked.repeats,
        "seed": asked.seed,
    }
    with folder.results.open(newline="", encoding="utf-8") as file:
        judged = next(csv.DictReader(file))
    return settings | {key: value for key, value in judged.items() if key not in OF_COMPARISONS}


def _copied(winner: Path, out: Path) -> Path:
    """The winner's folder at `out`, whole or not at all."""
    with folder_replaced(out) as scratch:
        shutil.copytree(winner, scratch, dirs_exist_ok=True)
    return out


def _drawn(folder: RunFolder, path: Path) -> Path:
    held = learning(gather(folder))
    if held is None:
        raise RunError("no fit has learned anything to draw", cure=f"foldwise status {folder.root}")
    panel = held["learning"]["panels"][0]
    with written_whole(path) as scratch:
        scratch.write_text(standalone(panel["drawing"], title=panel["name"], notes=CURVES), encoding="utf-8")
    return path
