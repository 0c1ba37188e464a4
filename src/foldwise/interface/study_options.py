"""Options of every command that takes a study, makes one of a single model, or takes a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foldwise.study.single import HEADS, MODELS

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).")]
Set = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change the study, e.g. train.epochs=2.")
]
Variant = Annotated[
    list[str], typer.Option("--variant", metavar="NAME", help="Lay a variant of the study over it.")
]
Phantom = Annotated[bool, typer.Option("--phantom", help="--variant phantom, laid over it first.")]
Quick = Annotated[bool, typer.Option("--quick", help="--variant quick, laid over it last.")]
Out = Annotated[Path | None, typer.Option(help="The run folder.", show_default="runs/<study>")]
NoFetch = Annotated[bool, typer.Option("--no-fetch", help="Download no data set.")]
Model = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a model handed over by fit.")]
Configuration = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of the run, by name or id. [default: the winner]", show_default=False),
]
Fold = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="The network of this fold alone, from 1. [default: all]", show_default=False
    ),
]
# Of the fields of a single model.
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


def in_order(variants: list[str], *, phantom: bool, quick: bool) -> list[str]:
    """The variants in the order in which they are laid over the study, each once."""
    return list(dict.fromkeys([*(["phantom"] if phantom else []), *variants, *(["quick"] if quick else [])]))
