"""One model as a study: what stands on a command line becomes a study file with a single configuration."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foldwise.errors import SpecError
from foldwise.storage import written_whole

# What people call networks and heads, and what study files call them; every other name is taken as it is.
MODELS = {
    "resnet18": "timm:resnet18",
    "vgg16": "timm:vgg16",
    "mobilenet-v3": "timm:mobilenetv3_large_100",
}
HEADS: dict[str, Any] = {"single": "linear", "multi": {"mlp": {"hidden": [512, 256], "dropout": [0.25, 0.5]}}}
LIBRARIES = ("timm:", "torchvision:", "smp:")  # their networks have ImageNet weights
MASKS_ONLY = ("unet", "smp:")  # networks that only segment, at the size of the files
SIZE_PX = 224  # what classifiers with ImageNet weights were trained on
LONGEST_NAME = 80


@dataclass(frozen=True)
class Single:
    """One way to train on one data set.

    Attributes:
        model, head, loss, augment: as in a study file, options and all, or one of `MODELS` and `HEADS`.
        weights: none, imagenet or a file; left out, imagenet for the networks of libraries.
        freeze: train only what is not of the encoder; left out, where there are weights.
        size: pixels of a side or native; left out, 224, and native for networks that only segment.
        seed: of every random number.
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
        parts = [self.data.resolve().name, self.model, self.head or "", self.optimizer]
        joined = "-".join(part for part in parts if part)
        return re.sub(r"[^A-Za-z0-9._]+", "-", joined).strip("-._")[:LONGEST_NAME] or "fit"


def document(asked: Single, *, beside: Path) -> dict[str, Any]:
    """The study, as it stands in a file in the folder `beside`: the paths in it are relative to that folder.

    Raises:
        SpecError: a size that is none, or an id that cannot name a folder.
    """
    weights = asked.weights or ("imagenet" if asked.network.startswith(LIBRARIES) else "none")
    freeze = weights != "none" if asked.freeze is None else asked.freeze
    model = _choice(asked.network)
    train = {
        "model": model,
        **({"head": HEADS.get(asked.head) or _choice(asked.head)} if asked.head else {}),
        "loss": _choice(asked.loss),
        "optimizer": {asked.optimizer: {"lr": asked.learning_rate}},
        "weights": weights if weights in ("none", "imagenet") else _relative(Path(weights), beside),
        "freeze": "encoder" if freeze else "none",
        "augment": _choice(asked.augment),
        "epochs": asked.epochs,
        "batch_size": asked.batch_size,
    }
    return {
        "study": _checked_id(asked.id),
        "title": f"{asked.model if isinstance(model, str) else next(iter(model))} on {asked.data.resolve().name}",
        "seed": asked.seed,
        "data": {"path": _relative(asked.data, beside), "channels": asked.channels, "size": _size(asked)},
        "train": train,
        "validate": {"folds": asked.folds, "repeats": asked.repeats, "group": asked.group},
        "judge": {"metric": asked.metric},
    }


def write_study(study: dict[str, Any], path: Path) -> None:
    """Write a study as YAML, whole or not at all."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 110
    with written_whole(path) as scratch, scratch.open("w", encoding="utf-8") as file:
        yaml.dump(study, file)


def _choice(text: str) -> Any:
    """A name as it is; what begins with a brace as the YAML it is: ``{conv: {width: 8}}``."""
    from foldwise.study.yaml_places import parse

    return parse(text, name="the command line").value if text.lstrip().startswith("{") else text


def _checked_id(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) and len(name) <= LONGEST_NAME:
        return name
    cure = f"Use letters, digits, '.', '_' and '-', at most {LONGEST_NAME}."
    raise SpecError(f"{name!r} cannot name a run", where="--model-id", cure=cure)


def _size(asked: Single) -> int | str:
    if asked.size is None:
        return "native" if asked.network.startswith(MASKS_ONLY) else SIZE_PX
    if asked.size == "native":
        return asked.size
    if not re.fullmatch(r"[1-9][0-9]*", asked.size):
        raise SpecError(f"{asked.size!r} is no size", where="--size", cure="Write pixels, as 224, or native.")
    return int(asked.size)


def _relative(path: Path, beside: Path) -> str:
    return Path(os.path.relpath(path.expanduser().resolve(), beside.resolve())).as_posix()
