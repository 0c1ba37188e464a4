"""One model as a study: what stands on a command line becomes a study file with a single configuration."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldwise.errors import SpecError
from foldwise.storage import whole_path, written_whole

if TYPE_CHECKING:  # the help of the command line needs no pydantic
    from foldwise.study.validation_errors import Keys

# What people call networks and heads, and what study files call them; every other name is taken as it is.
MODELS = {"resnet18": "timm:resnet18", "vgg16": "timm:vgg16", "mobilenet-v3": "timm:mobilenetv3_large_100"}
HEADS: dict[str, Any] = {"single": "linear", "multi": {"mlp": {"hidden": [512, 256], "dropout": [0.25, 0.5]}}}
# Their networks have ImageNet weights, learned from images of 224 pixels.
LIBRARIES = ("timm:", "torchvision:", "smp:")
SIZE_PX = 224
# Networks that only segment, at the size of the files.
MASKS_ONLY = ("unet", "smp:")
LONGEST_NAME = 80
# The options that keys of the study are made of.
OPTION_OF: dict[Keys, str] = {
    ("study",): "model_id",
    ("seed",): "seed",
    ("data", "path"): "data",
    ("data", "channels"): "channels",
    ("data", "size"): "size",
    ("validate", "group"): "group",
    ("validate", "folds"): "folds",
    ("validate", "repeats"): "repeats",
    ("judge", "metric"): "metric",
    **{
        ("train", name): name
        for name in ("model", "head", "loss", "weights", "freeze", "augment", "epochs", "batch_size")
    },
}


@dataclass(frozen=True)
class Single:
    """One way to train on one data set.

    Attributes:
        model, head, loss, augment: as in a study file, options and all, or one of `MODELS` and `HEADS`.
        weights: none, imagenet or a file; left out, imagenet for the networks of libraries.
        freeze: train only what is not of the encoder; left out, where there are weights.
        size: pixels of a side or native; left out, 224, and native for networks that only segment.
    """

    data: Path
    model: str = "resnet18"
    head: str | None = None
    optimizer: str = "adam"
    learning_rate: float = 0.001
    batch_size: int = 23
    epochs: int = 20
    loss: str = "auto"
    augment: str = "none"
    weights: str | None = None
    freeze: bool | None = None
    size: str | None = None
    channels: str = "native"
    folds: int = 5
    repeats: int = 1
    group: str = "auto"
    metric: str = "auto"
    seed: int = 0
    model_id: str | None = None

    @property
    def network(self) -> str:
        """The model as a study file names it."""
        return MODELS.get(self.model, self.model)

    @property
    def id(self) -> str:
        """What the run and the row of results are called; made of the settings where it is not stated."""
        if self.model_id is not None:
            return self.model_id
        # A folder of data may be called anything, a run folder may not.
        parts = [self.data.resolve().name, self.model, self.head or "", self.optimizer]
        joined = "-".join(part for part in parts if part)
        return re.sub(r"[^A-Za-z0-9._]+", "-", joined).strip("-._")[:LONGEST_NAME] or "fit"


def document(options: Single, *, beside: Path) -> dict[str, Any]:
    """The study, as it stands in a file in the folder `beside`: the paths in it are relative to that folder.

    Raises:
        SpecError: a size that is none, or an id that cannot name a folder.
    """
    # Weights that were learned elsewhere are kept as they are, unless something else is stated.
    weights = options.weights or ("imagenet" if options.network.startswith(LIBRARIES) else "none")
    freeze = weights != "none" if options.freeze is None else options.freeze
    model = _choice(options.network, "--model")
    train = {
        "model": model,
        **({"head": HEADS.get(options.head) or _choice(options.head, "--head")} if options.head else {}),
        "loss": _choice(options.loss, "--loss"),
        "optimizer": {options.optimizer: {"lr": options.learning_rate}},
        "weights": weights if weights in ("none", "imagenet") else _relative(Path(weights), beside),
        "freeze": "encoder" if freeze else "none",
        "augment": _choice(options.augment, "--augment"),
        "epochs": options.epochs,
        "batch_size": options.batch_size,
    }
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", options.id) or len(options.id) > LONGEST_NAME:
        cure = f"Use letters, digits, '.', '_' and '-', at most {LONGEST_NAME}."
        raise SpecError(f"{options.id!r} cannot name a run", where="--model-id", cure=cure)
    return {
        "study": options.id,
        "title": f"{options.model if isinstance(model, str) else next(iter(model))} on {options.data.resolve().name}",
        "seed": options.seed,
        "data": {
            "path": _relative(options.data, beside),
            "channels": options.channels,
            "size": _size(options),
        },
        "train": train,
        "validate": {"folds": options.folds, "repeats": options.repeats, "group": options.group},
        "judge": {"metric": options.metric},
    }


def typed(options: Single) -> dict[Keys, str]:
    """How each key of the study would be typed as an option: ``--epochs 20``; without a value where none is stated."""
    optimizer = f"{_typed('optimizer', options.optimizer)} {_typed('learning-rate', options.learning_rate)}"
    return {("train", "optimizer"): optimizer} | {
        keys: _typed(name.replace("_", "-"), getattr(options, name)) for keys, name in OPTION_OF.items()
    }


def _typed(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}" if value is None else f"--{name} {value}"


def write_study(study: dict[str, Any], path: Path) -> None:
    """Write a study as YAML, whole or not at all."""
    from foldwise.study.reading import in_yaml

    with written_whole(path) as scratch:
        scratch.write_text(in_yaml(study), encoding="utf-8")


def _choice(text: str, option: str) -> Any:
    """A name as it is; what begins with a brace as the YAML it is: ``{conv: {width: 8}}``."""
    from foldwise.study.yaml_places import parse_value

    return parse_value(text, where=option) if text.lstrip().startswith("{") else text


def _size(options: Single) -> int | str:
    if options.size is None:
        return "native" if options.network.startswith(MASKS_ONLY) else SIZE_PX
    if options.size == "native":
        return options.size
    if not re.fullmatch(r"[1-9][0-9]*", options.size):
        cure = "Write pixels, as 224, or native."
        raise SpecError(f"{options.size!r} is no size", where="--size", cure=cure)
    return int(options.size)


def _relative(path: Path, beside: Path) -> str:
    return Path(os.path.relpath(whole_path(path, Path()), beside.resolve())).as_posix()
