"""Trained models on disk: what they are as JSON, their numbers as safetensors. Nothing here can run foreign code.

Also what items leave for the fits that need them, and the winner, loaded: networks whose probabilities are averaged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from foldwise.data.batches.normalize import Normalization
from foldwise.data.novelty import NONE, TrainingImages
from foldwise.errors import RunError
from foldwise.foreign import checked_file
from foldwise.learning.checkpoints.winner import MODEL, SCHEMA, THRESHOLD, training_images
from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import DataShape, Network
from foldwise.runs.items import is_of_features
from foldwise.sealed import decoding, read_json, verified
from foldwise.sealed_arrays import read_array
from foldwise.study.spec import AS_SHOWN, Decoding
from foldwise.study.training import Task, Training

FEATURES, RECORD = "features.npy", "encoder.json"  # what a frozen encoder leaves, with its weights
LEAST, MOST = 1e-38, 1 - 2**-25  # of a probability whose logarithm is taken, as where the temperature was set
BODY = "body.safetensors"  # what pretraining leaves: a network without its output layer


class SavedModel(BaseModel):
    """Everything but the weights that a network needs to be built again and fed as it was in training.

    Attributes:
        size_hw: of all images, where they were alike; None where sizes are mixed.
        resized: whether the images were brought to that size; then new ones are as well.
        dtype: of the image files.
        encoder_from: the features item that holds the encoder, where only the head was trained; else None.
    """

    model_config = ConfigDict(frozen=True)

    task: Task
    classes: tuple[str, ...]
    num_channels: int
    size_hw: tuple[int, int] | None
    resized: bool
    dtype: str
    normalization: Normalization
    training: Training
    seed: int
    encoder_from: str | None = None

    def rebuild(self, weights: dict[str, Tensor]) -> Network:
        """The trained network, on the CPU, in evaluation mode; RunError where the weights are not those of this model."""
        # Weights from elsewhere would only be overwritten, and may no longer be there.
        blank = self.training.model_copy(update={"weights": "none"})
        shape = DataShape(self.task, self.num_channels, len(self.classes), self.size_hw)
        network = build(blank, shape, seed=self.seed)
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise RunError(
                f"the saved weights do not fit {self.training.model}: {str(error).splitlines()[-1].strip()}",
                cure="They were written by another version of foldwise or of the model's library; install that one.",
            ) from None
        return network.eval()


def write_model(folder: Path, model: SavedModel) -> None:
    """`model` as ``model.json``."""
    (folder / MODEL).write_text(json.dumps(model.model_dump(mode="json"), indent=1), encoding="utf-8")


def read_model(folder: Path) -> SavedModel:
    """What `write_model` wrote; RunError where there is nothing."""
    path = folder / MODEL
    if not path.is_file():
        raise RunError(f"{folder} holds no trained model", cure="Name a finished fit or a winner.")
    record = read_json(path)
    with decoding(path):
        return SavedModel.model_validate(record)


def write_weights(path: Path, network: nn.Module, *, prefix: str = "") -> None:
    """The state of `network`, with `prefix` before every name; tied tensors are written apart."""
    write_tensors(path, {f"{prefix}{name}": values for name, values in network.state_dict().items()})


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file, from any device."""
    path.touch()
    # As the user wants files; safetensors leaves them to himself, whatever a group shares.
    mode = path.stat().st_mode
    # Clones: safetensors refuses tensors that share memory, as tied weights do.
    save_file({name: values.detach().cpu().contiguous().clone() for name, values in tensors.items()}, path)
    path.chmod(mode)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; RunError where it is not there or damaged."""
    with decoding(path):
        return load_file(verified(path))


def versions() -> dict[str, str]:
    """What made the numbers of a fit."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    # Looked for among all that is installed, which takes 25 ms and does not change while a program runs.
    names = ("foldwise", "torch", "timm", "segmentation-models-pytorch", "numpy")
    return {name: version(name) for name in names} | {"torch": str(torch.__version__)}


@dataclass(frozen=True)
class Pretrained:
    """A done pretrain item."""

    folder: Path

    @classmethod
    def among(cls, inputs: Mapping[str, Path]) -> Self | None:
        """The pretrain item which a fit needs; None where it needs none."""
        return next((cls(inputs[item]) for item in inputs if item.startswith("pretrain-")), None)

    def body(self) -> dict[str, Tensor]:
        """The tensors; RunError where they are not there or damaged."""
        return read_weights(self.folder / BODY)

    @property
    def cost(self) -> dict[str, Any]:
        """Of pretraining, which all fits that need it share: among others `pretrain_s` and `energy_j`."""
        cost: dict[str, Any] = read_json(self.folder / "result.json")["cost"]
        return cost


@dataclass(frozen=True)
class Encoder:
    """What features items left for the fits that need them.

    Attributes:
        item: the one of the first images as they are, which holds the weights.
        passes: view -> the folders of its parts; of part k of n are the images k, k + n, k + 2n and so on. By default
            the one item is all there is.
    """

    item: str
    folder: Path
    passes: Mapping[int, Sequence[Path]] = field(default_factory=dict)

    @classmethod
    def among(cls, inputs: Mapping[str, Path]) -> Self | None:
        """That of the features items which a fit needs; None where it needs none."""
        parts: dict[tuple[int, int], str] = {}
        for item in filter(is_of_features, inputs):
            record = read_json(inputs[item] / RECORD)
            parts[record.get("view", 0), record.get("images", [0, 1])[0]] = item
        if not parts:
            return None
        passes: dict[int, list[Path]] = {}
        for view, part in sorted(parts):
            passes.setdefault(view, []).append(inputs[parts[view, part]])
        return cls(parts[0, 0], inputs[parts[0, 0]], passes)

    @property
    def views(self) -> tuple[int, ...]:
        """Of which there are features."""
        return tuple(self.passes) or (0,)

    @property
    def _folders(self) -> list[Sequence[Path]]:
        return list(self.passes.values()) or [[self.folder]]

    @cached_property
    def features_VNF(self) -> np.ndarray:
        """The features of every view and case."""
        return np.stack(
            [_joined([read_array(folder / FEATURES) for folder in folders]) for folders in self._folders]
        )

    @property
    def cost(self) -> dict[str, Any]:
        """That of the encoder, with the time and the energy of the passes of all views; None where it was not measured."""
        costs = [read_json(folder / RECORD)["cost"] for folders in self._folders for folder in folders]
        spent = {name: [cost.get(name) for cost in costs] for name in ("features_s", "energy_j")}
        sums = {name: None if None in each else sum(each) for name, each in spent.items()}
        peaks = [cost["peak_memory_mb"] for cost in costs if cost.get("peak_memory_mb") is not None]
        return costs[0] | sums | {"peak_memory_mb": max(peaks, default=None)}

    @property
    def record(self) -> dict[str, Any]:
        """Normalisation and costs."""
        return dict(read_json(self.folder / RECORD))

    @property
    def normalization(self) -> Normalization:
        """How its images were normalised."""
        return Normalization.load(self.record["normalization"])


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """All rows, where part k of n has every n-th of them from the k-th on."""
    if len(parts) == 1:
        return parts[0]
    rows = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    for first, part in enumerate(parts):
        rows[first :: len(parts)] = part
    return rows


@dataclass(frozen=True)
class Member:
    """One trained network of the winner."""

    model: SavedModel
    network: Network


@dataclass(frozen=True)
class Winner:
    """The networks whose probabilities are averaged; they agree in all but their weights and normalisation.

    Attributes:
        thresholds: (K,) from which probability on each of several labels is said.
        channels: what names the files of the channels of an image, in order; empty where an image is one file.
        temperature: that logits are divided by for calibrated probabilities; None where there is none.
        caution: why not to rely on it; None where it is better than a trivial predictor.
        sizes_px, pixel_um: least and greatest (height, width) of its files, and those of a pixel; None where not recorded.
        decoding: how its files were decoded, where its study stated that.
        score: what it reached, and on what, in a sentence; None where not recorded.
        training_images: to compare new ones with; none where not recorded.
    """

    members: tuple[Member, ...]
    thresholds: np.ndarray
    channels: tuple[str, ...] = ()
    temperature: float | None = None
    caution: str | None = None
    sizes_px: tuple[tuple[int, int], tuple[int, int]] | None = None
    decoding: Decoding = AS_SHOWN
    score: str | None = None
    pixel_um: tuple[float, float] | None = None
    training_images: TrainingImages = NONE

    @property
    def model(self) -> SavedModel:
        """What all members have in common."""
        return self.members[0].model

    def decided(self, probabilities_K: np.ndarray) -> list[int]:
        """Indices of the classes that are said: the likeliest one, or all labels at their threshold or above."""
        if self.model.task == "multilabel_classification":
            return [int(label) for label in np.flatnonzero(probabilities_K >= self.thresholds)]
        return [int(probabilities_K.argmax())]

    def calibrated(self, probabilities_K: np.ndarray) -> np.ndarray | None:
        """(K,) the probabilities at the temperature, in the same order of size; None where there is no temperature."""
        if self.temperature is None:
            return None
        # In double precision, as where the temperature was set: near 1 a float32 has few digits of 1 - p.
        p_K = torch.from_numpy(probabilities_K).double().clamp(LEAST, MOST)
        if self.model.task == "multilabel_classification":
            return np.asarray((torch.logit(p_K) / self.temperature).sigmoid())
        return np.asarray((p_K.log() / self.temperature).softmax(0))


def load_winner(folder: Path, device: torch.device) -> Winner:
    """The winner in `folder`, ready to be asked; RunError where there is none, or its files do not fit together."""
    path = folder / MODEL
    if not path.is_file():
        raise RunError(f"{folder} holds no winner", cure="Finish the run, then: foldwise report RUN")
    record = read_json(path)
    with decoding(path):
        if record["schema"] != SCHEMA:
            what = f"the winner was written in form {record['schema']}, this foldwise reads {SCHEMA}"
            raise RunError(what, cure="Install the foldwise that wrote it, or run foldwise report anew.")
        members = tuple(_load(folder, member, device) for member in record["members"])
        sizes, pixel = record.get("sizes_px"), record.get("pixel_um")
        return Winner(
            members,
            _thresholds(record["thresholds"], members[0].model),
            tuple(record.get("channels", ())),
            record.get("temperature"),
            record.get("caution"),
            sizes and ((sizes[0][0], sizes[0][1]), (sizes[1][0], sizes[1][1])),
            Decoding.model_validate(record.get("decoding") or {}),
            record.get("score"),
            pixel and (float(pixel[0]), float(pixel[1])),
            training_images(folder),
        )


def _thresholds(thresholds: dict[str, Any] | None, model: SavedModel) -> np.ndarray:
    if thresholds is None:
        return np.full(len(model.classes), THRESHOLD)
    # Above every probability: a label without a threshold is never predicted.
    return np.array([np.inf if value is None else value for value in thresholds["values"]])


def _load(folder: Path, member: dict[str, Any], device: torch.device) -> Member:
    weights: dict[str, Tensor] = {}
    for name in member["weights"]:
        weights |= read_weights(folder / checked_file(name, ".safetensors", where=str(folder / MODEL)))
    model = SavedModel.model_validate(member["model"])
    return Member(model, model.rebuild(weights).to(device))
