"""The features of a frozen encoder: what it says of every image in a view, once for all fits that share it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foldwise.data.batches.augment import as_viewed, augment_batch
from foldwise.data.batches.batches import Pictures
from foldwise.data.batches.normalize import Normalization, normalization
from foldwise.data.batches.sampling import PICTURES, step_seed
from foldwise.data.cache.packed import Packed
from foldwise.errors import RunError
from foldwise.learning.checkpoints.saved import FEATURES, RECORD, versions, write_weights
from foldwise.learning.checkpoints.winner import ENCODER
from foldwise.learning.job import Job
from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import Classifier, DataShape, layout_for
from foldwise.learning.training import devices
from foldwise.learning.training.energy import Spending
from foldwise.runs.leases import Beat
from foldwise.storage import write_array
from foldwise.study.training import DRAWN, Augment, Choice, Training

OURS = "Please report it with this message: it is a mistake in foldwise."
BATCH = 16  # of every encoder, since no step depends on it: only forward passes are done


def features_item(job: Job) -> dict[str, Any]:
    """Pass cases once through the encoder; writes its outputs, its weights, and what it costs.

    Args:
        job: its settings are ``encoder`` (model, weights, normalize, and precision and device if stated), ``seed``,
            ``threads``, and where they are not of all images as they are ``images`` ([k, n]: every n-th of them from the
            k-th on), ``view`` (a number of `Augment.views`, or from `DRAWN` on of one that is drawn, with ``augment`` and
            ``draw_seed``) and ``repeat``, ``fold`` and ``split`` (whose training part they are normalised by); its
            scratch folder gets ``features.npy`` (n, F) float32 in the order of the cases, ``encoder.json``, and of the
            first images as they are ``encoder.safetensors`` with the names of the whole network.
    """
    settings, stated, scratch = job.settings, job.settings["encoder"], job.scratch
    first, every = settings.get("images", (0, 1))
    is_first = settings.get("view", 0) == first == 0
    device = devices.pick_device(stated.get("device", "auto"), job.device)
    with devices.steady(settings["seed"], settings["threads"], device):
        spent = Spending(device)
        network = _frozen_encoder(stated, job.packed, settings["seed"]).to(device)
        norm = _shared_normalization(job)
        pictures = Pictures(job.packed, norm, device)
        precision = devices.precision_for(stated.get("precision", "auto"), device)
        watch, cases = devices.Stopwatch(device), np.arange(len(job.packed))[first::every]
        with watch.lap():
            features_NF = encoded(
                network, pictures, cases, settings, precision=precision, beat=spent.beside(job.beat)
            )
        write_array(scratch / FEATURES, features_NF)
        memory_and_energy = spent.record()
        cost = {"device": device.type, "device_name": devices.device_name(device), "precision": precision}
        if is_first:  # one copy is enough for the fits that need them all, and one measurement
            write_weights(scratch / ENCODER, network.encoder, prefix="encoder.")
            cost |= _encoder_cost(network, pictures, precision)
    cost |= {"features_s": watch.seconds, "threads": settings["threads"]} | memory_and_energy
    about = {"view": settings.get("view", 0), "images": [first, every]}
    record = about | {"normalization": norm.dump(), "cost": cost}
    (scratch / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    report = network.weights_report
    return {
        "cost": cost,
        "warnings": [str(report)] if is_first and report is not None and report.adapted else [],
        "versions": versions(),
    }


@torch.inference_mode()
def encoded(
    network: Classifier,
    pictures: Pictures,
    cases: np.ndarray,
    settings: dict[str, Any],
    *,
    precision: str,
    beat: Beat,
) -> np.ndarray:
    """Features (n, F) float32 of these cases, which ascend, in the view that the settings state; see `features_item`."""
    # Evaluation mode, as a frozen encoder is in during a fit too: the same features either way.
    network.eval()
    layout, done = layout_for(network), 0
    network.to(memory_format=layout)
    features_NF = np.empty((0, 0), np.float32)
    for batch, inputs in _viewed(pictures, cases, settings):
        with devices.autocast(pictures.device, precision):
            features = network.features(inputs.contiguous(memory_format=layout)).float().cpu().numpy()
        if not done:
            features_NF = np.empty((len(cases), features.shape[1]), np.float32)
        # Batches are of images of one size, the largest first.
        features_NF[np.searchsorted(cases, batch)] = features
        done += len(batch)
        beat({"doing": f"{done} of {len(cases)} images through the encoder"})
    return features_NF


def _viewed(
    pictures: Pictures, cases: np.ndarray, settings: dict[str, Any]
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Cases, and the images (N, C, H, W) as they are shown to the encoder."""
    view = settings.get("view", 0)
    for batch in pictures.whole(cases, batch_size=BATCH):
        images = batch.inputs
        if view < DRAWN:
            yield batch.cases, as_viewed(images, view)
            continue
        augment = Augment.model_validate(settings["augment"])
        drawn = zip(images.split(1), batch.cases.tolist(), strict=True)
        about = {"number": view - DRAWN, "seed": settings["draw_seed"]}
        yield (
            batch.cases,
            torch.cat([drawn_view(image, augment, case=case, **about) for image, case in drawn]),
        )


def drawn_view(image_1CHW: Tensor, augment: Augment, *, number: int, seed: int, case: int) -> Tensor:
    """An image in one of its fixed views: it follows from the seed, the case and the number of the view alone.

    Of flips and quarter turns no view comes twice before all have come.
    """
    if group := augment.views(square=image_1CHW.shape[2] == image_1CHW.shape[3]):
        dealt = np.random.default_rng([seed, case]).permutation(group)
        return as_viewed(image_1CHW, int(dealt[number % len(group)]))
    generator = torch.Generator().manual_seed(step_seed(seed, number, case, use=PICTURES))
    return augment_batch(image_1CHW, None, augment, generator=generator)[0]


def _frozen_encoder(stated: dict[str, Any], packed: Packed, seed: int) -> Classifier:
    model = Choice.model_validate(stated["model"])
    training = Training(model=model, weights=stated["weights"], freeze="encoder")
    network = build(training, DataShape.of(packed), seed=seed)
    if not isinstance(network, Classifier):
        what = f"{training.model} has no features that could be shared"
        raise RunError(what, cure=OURS)
    return network


def _shared_normalization(job: Job) -> Normalization:
    stated, of_fold = job.settings["encoder"], "split" in job.settings
    pretrained = stated["weights"] != "none"
    differs = stated["normalize"] == "train" or (stated["normalize"] == "auto" and not pretrained)
    if differs and not of_fold:
        what = "features cannot be shared: their normalisation would differ from fold to fold"
        raise RunError(what, cure=OURS)
    train = job.split.train if of_fold else np.arange(0)
    return normalization(stated["normalize"], pretrained=pretrained, packed=job.packed, train=train)


def _encoder_cost(network: Classifier, pictures: Pictures, precision: str) -> dict[str, Any]:
    """Of the encoder alone; each fit adds its head."""
    device = pictures.device
    image = pictures.gather(np.arange(1)).inputs.contiguous(memory_format=layout_for(network))
    with devices.autocast(device, precision):
        latency = devices.latency_ms(network.features, image, device)
    return {
        "parameters": sum(values.numel() for values in network.encoder.parameters()),
        "latency_ms": latency,
    }
