"""Under which licence pretrained weights came, as far as their library says; a model that was trained from them is bound by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from foldwise.learning.networks.lean_imports import library
from foldwise.study.named_weights import NAMED_WEIGHTS
from foldwise.study.training import Training

OPEN = ("apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0")  # in lower case


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
