"""The options of `foldwise fit`, each a field; imports little, because every command waits for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, get_type_hints

import typer

from foldwise.study.single import HEADS, MODELS, Single

HELP = {
    "data": "The folder of the images, as a study file names it.",
    "model": f"{', '.join(MODELS)}, or a model as in study files.",
    "head": f"{', '.join(HEADS)}, or a head as in study files; for classification.",
    "optimizer": "sgd, rmsprop, adam or adamw.",
    "learning_rate": "Of the optimiser.",
    "batch_size": "Images a step.",
    "epochs": "Passes over the training part.",
    "loss": "A loss as in study files.",
    "augment": "none, flips, standard or strong.",
    "weights": "none, imagenet or a .safetensors file. [default: imagenet for networks of libraries]",
    "freeze": "Train the head only. [default: where there are weights]",
    "size": "Pixels of a side, or native. [default: 224; native for unet and smp:]",
    "channels": "native, gray or rgb.",
    "folds": "Of the cross-validation.",
    "repeats": "How often the folds are made anew.",
    "group": "Whose images stay together: a column, 'pattern:...' or none.",
    "metric": "What is judged, as in study files.",
    "seed": "Of every random number.",
    "model_id": "Names the run and its row of results. [default: made of the settings]",
    "device": "auto, cpu, cuda or mps; never another one than asked.",
    "workers": "Processes at a time. [default: from the cores]",
    "out": "The run folder. [default: runs/ and the id]",
    "model_path": "A folder that gets the model; foldwise predict takes it.",
    "plots_path": "A folder that gets the learning curves as SVG.",
    "results_file": "A CSV file that gets one row; runs may share it.",
    "save_study": "Keep the study that was made of the options in this file.",
}


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


def takes(options: type[Fit]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option per field of `options`, so that the dataclass is where they stand, and only there."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        types = get_type_hints(options)
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=inspect.Parameter.empty if field.default is MISSING else field.default,
                    annotation=Annotated[types[field.name], typer.Option(help=HELP[field.name])],
                )
                for field in fields(options)
            ]
        )
        return command

    return decorate
