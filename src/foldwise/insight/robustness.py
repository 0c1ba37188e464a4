"""A finished fit asked about its test fold again, with the images blurred and noisy in every combination.

Nothing is trained and nothing chosen here, so the test fold may be looked at as often as one likes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foldwise.data.batches.batches import Pictures
from foldwise.data.cache.packed import Packed
from foldwise.data.corruptions import Corrupted
from foldwise.learning.checkpoints.saved import SavedModel, read_model, read_weights, versions
from foldwise.learning.checkpoints.winner import ENCODER, WEIGHTS
from foldwise.learning.job import Job
from foldwise.learning.networks.network import Network, layout_for
from foldwise.learning.training.devices import Stopwatch, pick_device, precision_for, steady
from foldwise.learning.training.scoring import ForwardPass, Scores, evaluate
from foldwise.sealed import read_json

SCORES, EXAMPLE = "scores.npz", "example.npz"


def robustness_item(job: Job) -> dict[str, Any]:
    """Ask the network of a fit about every condition; the content of ``result.json``.

    Args:
        job: its settings are ``blur_px`` and ``noise``, each a list of strengths, ``seed`` of the noise, ``threads``,
            repeat, fold; its inputs the fit and, where its encoder is shared, the features item; its scratch folder
            gets ``scores.npz``: what the fit's own has, with two axes before it, blur and noise; and in the first
            fold of a segmentation ``example.npz``: ``case`` and its ``maps`` (blur, noise, H, W).
    """
    settings, packed, split = job.settings, job.packed, job.split
    fitted = _fitted(job.inputs, job.device)
    strengths = [(blur_px, noise) for blur_px in settings["blur_px"] for noise in settings["noise"]]
    shown = example(packed, split.test) if settings["repeat"] == settings["fold"] == 0 else None
    watch = Stopwatch(fitted.device)
    scores_by_condition: list[Scores] = []
    with steady(settings["seed"], settings["threads"], fitted.device), watch.lap():
        for blur_px, noise in strengths:
            worse = Corrupted(packed, blur_px=blur_px, noise=noise, seed=settings["seed"])
            scores = fitted.scores_on(worse, split.test)
            # Without the class maps that nobody keeps: all conditions of a fold are held until they are written.
            maps = {case: labels for case, labels in scores.maps.items() if case == shown}
            scores_by_condition.append(Scores(scores.case, scores.arrays, None, scores.loss, maps))
            job.beat({"doing": f"{len(scores_by_condition)} of {len(strengths)} conditions"})
    shape = (len(settings["blur_px"]), len(settings["noise"]))
    _write(job.scratch, scores_by_condition, shape, shown)
    return {"cost": {"evaluate_s": watch.seconds}, "warnings": [], "versions": versions()}


@dataclass(frozen=True)
class FittedNetwork:
    """The network of a fit, ready to be asked as it was in the fit."""

    model: SavedModel
    network: Network
    device: torch.device
    precision: str
    batch_size: int

    def scores_on(self, packed: Corrupted, cases: np.ndarray) -> Scores:
        """What it says of whole images."""
        task, layout = self.model.task, layout_for(self.network)
        forward = ForwardPass(task, len(self.model.classes), self.device, self.precision, layout)
        # It has every name of a packed data set that pictures are made with.
        pictures = Pictures(packed, self.model.normalization, self.device)  # type: ignore[arg-type]
        return evaluate(self.network, pictures.whole(cases, batch_size=self.batch_size), forward, fully=True)


def _fitted(inputs: dict[str, Path], device: str) -> FittedNetwork:
    fit = next(folder for item, folder in inputs.items() if item.startswith("fit-"))
    model, weights = read_model(fit), read_weights(fit / WEIGHTS)
    if model.encoder_from is not None:
        weights |= read_weights(inputs[model.encoder_from] / ENCODER)
    training = model.training
    picked = pick_device(training.device, device)
    # The fit's own precision and batch size: at no blur and no noise the scores are its own to the last bit.
    network = model.rebuild(weights)
    network = network.to(picked, memory_format=layout_for(network))  # type: ignore[call-overload]
    halvings = (read_json(fit / "result.json").get("cost") or {}).get("batch_halvings", 0)
    precision = precision_for(training.precision, picked)
    return FittedNetwork(model, network, picked, precision, max(1, training.batch_size >> halvings))


def example(packed: Packed, cases: np.ndarray) -> int | None:
    """The case that is kept as a picture: of a segmentation, the one with the median foreground; the others have none.

    It is the same for every configuration.
    """
    if not packed.task.endswith("segmentation"):
        return None
    covered = {int(case): sum(packed.measures[case].class_pixels[1:]) for case in cases}
    having = sorted((size, case) for case, size in covered.items() if size) or [(0, int(cases[0]))]
    return having[len(having) // 2][1]


def _write(
    scratch: Path, scores_by_condition: list[Scores], shape: tuple[int, int], shown: int | None
) -> None:
    def stacked(arrays: Iterable[np.ndarray]) -> np.ndarray:
        whole = np.stack(list(arrays))
        return whole.reshape(*shape, *whole.shape[1:])

    names = scores_by_condition[0].arrays
    arrays = {name: stacked(scores.arrays[name] for scores in scores_by_condition) for name in names}
    if "histogram" in arrays:
        arrays["histogram"] = arrays["histogram"].astype(np.uint32)
    np.savez_compressed(scratch / SCORES, case=scores_by_condition[0].case, **arrays)  # type: ignore[arg-type]
    if shown is not None:
        maps = stacked(scores.maps[shown] for scores in scores_by_condition)
        np.savez_compressed(scratch / EXAMPLE, case=np.int64(shown), maps=maps)
