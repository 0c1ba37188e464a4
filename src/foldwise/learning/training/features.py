"""A frozen encoder asked once about every image, so that all heads, optimisers and folds share the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from foldwise.data.batches.batches import Pictures
from foldwise.data.batches.normalize import Normalization, normalization
from foldwise.data.cache.packed import Packed
from foldwise.errors import RunError
from foldwise.learning.checkpoints.saved import versions, write_weights
from foldwise.learning.checkpoints.winner import ENCODER
from foldwise.learning.job import Job
from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import Classifier, DataShape, layout_for
from foldwise.learning.training.devices import (
    Stopwatch,
    autocast,
    device_name,
    latency_ms,
    pick_device,
    precision_for,
    steady,
)
from foldwise.learning.training.energy import Spending
from foldwise.run.leases import Beat
from foldwise.study.spec import Choice, Training

FEATURES, RECORD = "features.npy", "encoder.json"
BATCH = 16  # of every model, since no step depends on it: only forward passes are done


def features_item(job: Job) -> dict[str, Any]:
    """Pass every case once through the encoder; writes its outputs, its weights, and what it costs.

    Args:
        job: its settings are ``encoder`` (model, weights, normalize, and precision and device if stated), ``seed`` and
            ``threads``; its scratch folder gets ``features.npy`` (n, F) float32 in the order of the cases,
            ``encoder.safetensors`` with the names of the whole network, and ``encoder.json``.
    """
    settings, stated, scratch = job.settings, job.settings["encoder"], job.scratch
    device = pick_device(stated.get("device", "auto"), job.device)
    with steady(settings["seed"], settings["threads"], device):
        spent = Spending(device)
        network = _encoder(stated, job.packed, settings["seed"]).to(device)
        norm = _shared_normalization(stated, job.packed)
        pictures = Pictures(job.packed, norm, device)
        precision = precision_for(stated.get("precision", "auto"), device)
        watch = Stopwatch(device)
        with watch.lap():
            features_NF = encoded(network, pictures, precision=precision, beat=spent.beside(job.beat))
        np.save(scratch / FEATURES, features_NF)
        memory_and_energy = spent.record()
        write_weights(scratch / ENCODER, network.encoder, prefix="encoder.")
        cost = _cost(network, pictures, precision)
    cost |= {"features_s": watch.seconds, "threads": settings["threads"]} | memory_and_energy
    record = {"normalization": norm.dump(), "cost": cost}
    (scratch / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    report = network.weights_report
    return {
        "cost": cost,
        "warnings": [str(report)] if report is not None and report.adapted else [],
        "versions": versions(),
    }


@torch.inference_mode()
def encoded(network: Classifier, pictures: Pictures, *, precision: str, beat: Beat) -> np.ndarray:
    """Features (n, F) float32 of every case, in order."""
    # Evaluation mode, as a frozen encoder is in during a fit too: the same features either way.
    network.eval()
    layout, total = layout_for(network), len(pictures.packed)
    network.to(memory_format=layout)
    parts = []
    for batch in pictures.whole(np.arange(total), batch_size=BATCH):
        with autocast(pictures.device, precision):
            features = network.features(batch.inputs.contiguous(memory_format=layout))
        parts.append(features.float().cpu().numpy())
        beat({"doing": f"{int(batch.cases[-1]) + 1} of {total} images through the encoder"})
    return np.concatenate(parts)


@dataclass(frozen=True)
class Encoder:
    """What a features item left for the fits that need it."""

    item: str
    folder: Path

    @classmethod
    def among(cls, inputs: Mapping[str, Path]) -> Self | None:
        """That of the features item which a fit needs; None where it needs none."""
        return next((cls(item, inputs[item]) for item in inputs if item.startswith("features-")), None)

    @property
    def features_NF(self) -> np.ndarray:
        """The features of every case."""
        try:
            loaded: np.ndarray = np.load(self.folder / FEATURES, allow_pickle=False)
        except OSError as error:
            raise RunError(
                f"the features of a frozen encoder are not there ({error})", cure="Call run again."
            ) from None
        return loaded

    @property
    def record(self) -> dict[str, Any]:
        """Normalisation and costs."""
        record: dict[str, Any] = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
        return record

    @property
    def normalization(self) -> Normalization:
        """How its images were normalised."""
        return Normalization.load(self.record["normalization"])


def _encoder(stated: dict[str, Any], packed: Packed, seed: int) -> Classifier:
    training = Training(
        model=Choice.model_validate(stated["model"]), weights=stated["weights"], freeze="encoder"
    )
    network = build(training, DataShape.of(packed), seed=seed)
    if not isinstance(network, Classifier):
        raise RunError(
            f"{training.model} has no features that could be shared", cure="This is a mistake in foldwise."
        )
    return network


def _shared_normalization(stated: dict[str, Any], packed: Packed) -> Normalization:
    pretrained = stated["weights"] != "none"
    if stated["normalize"] == "train" or (stated["normalize"] == "auto" and not pretrained):
        raise RunError(
            "features cannot be shared: their normalisation would differ from fold to fold",
            cure="This is a mistake in the plan of foldwise.",
        )
    return normalization(stated["normalize"], pretrained=pretrained, packed=packed, train=np.arange(0))


def _cost(network: Classifier, pictures: Pictures, precision: str) -> dict[str, Any]:
    """Of the encoder alone; each fit adds its head."""
    device = pictures.device
    image = pictures.gather(np.arange(1)).inputs.contiguous(memory_format=layout_for(network))
    with autocast(device, precision):
        latency = latency_ms(network.features, image, device)
    return {
        "parameters": sum(values.numel() for values in network.encoder.parameters()),
        "latency_ms": latency,
        "device": device.type,
        "device_name": device_name(device),
        "precision": precision,
    }
