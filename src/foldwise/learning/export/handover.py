"""What an exporter is given: the winner, what it says of real images, and all that a file says of itself, licences included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath

import numpy as np
import torch

from foldwise.learning.checkpoints.saved import Winner
from foldwise.learning.export.graph import Ensemble
from foldwise.learning.export.proof import Predictor
from foldwise.learning.networks.lean_imports import library
from foldwise.learning.training.scoring import decisions, outputs_of_decisions
from foldwise.metrics.influence import value_of
from foldwise.metrics.table import Metric
from foldwise.study.named_weights import NAMED_WEIGHTS
from foldwise.study.training import Training

OPEN = ("apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0")  # in lower case


@dataclass(frozen=True)
class Handover:
    """What is exported, and by what it is proven.

    Attributes:
        networks: what the winner says, as `predict` has it in torch on a CPU.
        batches: real images (N, C, H, W) in the values of their files, of one size each.
        metric, targets: a metric of decisions, and the truth of the images by batch; empty where it is not known.
        about: what a file says of itself, name -> text.
        title, description: of the model.
        card: Markdown.
        authors: names; of a BioImage.IO package.
        licence: of the model, as SPDX writes it.
        pixel_um: the side of a pixel; None where it is not known.
        ort_web: the npm package of onnxruntime for browsers, where it was stated.
        examples: how many of the images may be shown in a page.
        any_size: file -> whether it takes images of any size, of those that are written already.
    """

    winner: Winner
    networks: Predictor
    batches: Sequence[np.ndarray]
    targets: Sequence[np.ndarray] = ()
    metric: Metric | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    description: str = ""
    card: str = ""
    authors: Sequence[str] = ()
    licence: str | None = None
    pixel_um: float | None = None
    threads: int = 1
    ort_web: Path | None = None
    examples: int = 0
    any_size: dict[str, bool] = field(default_factory=dict)

    @cached_property
    def ensemble(self) -> Ensemble:
        """The winner as one module."""
        return Ensemble(self.winner)

    @cached_property
    def wanted(self) -> list[np.ndarray]:
        """What foldwise itself says of the images."""
        return [self.networks(batch) for batch in self.batches]

    def score(self, outputs: Sequence[np.ndarray]) -> float | None:
        """The metric of batches of probabilities; None where the truth is not known."""
        if self.metric is None or not self.targets:
            return None
        task, parts = self.winner.model.task, []
        for p, target in zip(outputs, self.targets, strict=True):
            # A label is decided at a probability of one half, which is a logit of 0.
            logits = torch.from_numpy(p - 0.5 if task.startswith("multilabel") else p)
            parts.append(decisions(logits, torch.from_numpy(target).long(), task).numpy())
        return value_of(self.metric, outputs_of_decisions(np.concatenate(parts), task))


@dataclass(frozen=True)
class WeightsLicence:
    """Of the weights that a training began with.

    Attributes:
        source: where they came from, in words.
        licence: as the library states it; None where it states none, or there are no weights.
        caution: why not to pass the model on without a look; empty where there is no reason.
    """

    source: str
    licence: str | None = None
    caution: str = ""


def weights_licence(training: Training) -> WeightsLicence:
    """What is known of the weights of one configuration."""
    if training.weights == "none":
        return WeightsLicence("none: every number was drawn at random and trained on the images of the study")
    if (named := NAMED_WEIGHTS.get(training.weights)) is not None:
        return WeightsLicence(named.source, named.licence)
    prefix, _, name = training.model.name.partition(":")
    if training.weights != "imagenet":
        what = f"the file {PurePath(training.weights).name}"
        return WeightsLicence(what, caution=f"The licence of {what} is not known to foldwise: look it up.")
    encoder = name.rpartition("/")[2]
    if prefix == "timm" or (prefix == "smp" and encoder.startswith("tu-")):
        return _of_timm(encoder.removeprefix("tu-"))
    source = f"ImageNet weights of {training.model.name}, by {'torchvision' if prefix == 'torchvision' else 'their library'}"
    return WeightsLicence(
        source, caution=f"Their library states no licence for these weights ({source}): look it up."
    )


def _of_timm(name: str) -> WeightsLicence:
    config = library("timm").get_pretrained_cfg(name)
    licence = getattr(config, "license", None)
    tag = f"{name.partition('.')[0]}.{config.tag}" if config is not None and config.tag else name
    source = f"ImageNet weights {tag} of timm"
    if not licence:
        return WeightsLicence(source, caution=f"timm states no licence for {tag}: look it up.")
    if licence.lower() in OPEN:
        return WeightsLicence(source, licence)
    caution = f"The licence of {tag}, {licence}, is not one for any use: non-commercial ones forbid most uses of the model."
    return WeightsLicence(source, licence, caution)
