"""What the network of a configuration is, before anything is trained: each is built once, without numbers."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache

import torch

from foldwise.errors import FoldwiseError, SpecError
from foldwise.learning.networks.models import MODELS, build, encoder_for_weights
from foldwise.learning.networks.network import DataShape, Network, same_body
from foldwise.learning.networks.tiles import MARGIN_PX, need_of, tile_px
from foldwise.learning.networks.weights import check_file
from foldwise.learning.objectives.losses import check_loss
from foldwise.learning.objectives.optimizers import check_optimizer
from foldwise.learning.objectives.pretraining import check_pretraining
from foldwise.study.own_code import identity, is_own
from foldwise.study.training import NO_PRETRAINING, Training

_SHAPING = ("model", "head", "freeze", "label_groups")  # what of a training its network follows from


@dataclass(frozen=True)
class Description:
    """What a configuration's network is, before anything is trained."""

    parameters: int
    trainable_parameters: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Architecture:
    """A network without its numbers: equal for configurations that differ in loss, learning rate, weights ...

    Args:
        key: what it follows from, and of a user's own network the digest of its code.
        training: one that asks for it, without weights.
    """

    key: str
    training: Training = field(compare=False)


def architecture(training: Training) -> Architecture:
    """That of a training."""
    # Weights change no shape, and may not be on this machine.
    blank = training.model_copy(update={"weights": "none"})
    every = identity(blank)
    return Architecture(json.dumps([every[key] for key in _SHAPING], sort_keys=True), blank)


def describe(training: Training, shape: DataShape) -> Description:
    """What `build` would give, without initialising a weight; weights of libraries are downloaded, so that they are here.

    It also checks head, loss, optimiser and schedule, so that a study is refused before its first fit.

    Raises:
        SpecError: whatever `build`, `make_loss` or `make_optimizer` would refuse, and a network that fails on
            images of this size.
        MissingExtra: weights that are not here and cannot be downloaded.
    """
    check_loss(training.loss, task=shape.task, num_classes=shape.num_classes)
    check_optimizer(training.optimizer, training.schedule)
    design = architecture(training)
    network, unused = _tried(design, shape)
    if training.pretrain != NO_PRETRAINING:
        check_pretraining(training, task=shape.task, size_hw=shape.size_hw)
        # Only the output layer may change where the network gives images in place of classes.
        restoring, _ = _tried(design, replace(shape, num_classes=shape.in_channels))
        if not same_body(network, restoring):
            raise SpecError(
                f"more than the head of {training.model.name!r} depends on the number of classes, so it cannot be pretrained",
                cure="Set 'pretrain: none'.",
            )
    notes = _notes(network, training, unused, shape) + _tiles(network, training.model.name, shape)
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in network.parameters()]
    return Description(sum(n for n, _ in counts), sum(n for n, learns in counts if learns), notes)


def _notes(network: Network, training: Training, unused: int, shape: DataShape) -> tuple[str, ...]:
    """What is worth knowing before training; an error for weights that are not there or do not fit."""
    name, notes = training.model.name, []
    if unused:
        notes.append(f"{unused:,} parameters of {name} do nothing: no logit depends on them")
    if training.weights == "imagenet":
        if name in MODELS:
            raise SpecError(f"there are no imagenet weights of {name}", cure="Set 'weights: none'.")
        _with_imagenet(architecture(training), shape)
    elif training.weights != "none":
        report = check_file(encoder_for_weights(network, training), training.weights, name=name)
        # A file of a whole own network is no surprise, and that its head is made anew would be one.
        notes += [str(report)] if report.adapted or (is_own(name) and report.unexpected) else []
    if (training.freeze, training.weights, training.pretrain) == ("encoder", "none", NO_PRETRAINING):
        notes.append(f"the encoder of {name} is frozen with random weights: only the rest learns")
    return tuple(notes)


def _tiles(network: Network, name: str, shape: DataShape) -> tuple[str, ...]:
    """A warning where images are so large that the network sees them in tiles."""
    if not shape.segmentation or shape.size_hw is None:
        return ()
    height, width = shape.size_hw
    side_px = tile_px(network, (1, shape.in_channels, height, width))
    if side_px is None:
        return ()
    gigabytes = need_of(network, shape.in_channels).bytes(height, width) / 1e9
    return (
        f"images of {width} x {height} pixels go through {name} in tiles of {side_px} pixels, as one whole would take "
        f"{gigabytes:.0f} GB: what it could see farther than {MARGIN_PX} pixels away, or of the image as a whole, it "
        "may not see; a smaller 'data.size' spares it that",
    )


@cache
def _with_imagenet(design: Architecture, shape: DataShape) -> None:
    """Build the network with the library's own weights, downloaded where they are not here, as a fit will."""
    build(design.training.model_copy(update={"weights": "imagenet"}), shape, seed=0)


def network_without_numbers(design: Architecture, shape: DataShape) -> Network:
    """The network on the meta device: it takes shapes and no time. Built once."""
    return _tried(design, shape)[0]


@lru_cache(maxsize=32)
def _tried(design: Architecture, shape: DataShape) -> tuple[Network, int]:
    """The network without its numbers, and how many of its parameters no logit depends on."""
    training = design.training
    try:
        with torch.device("meta"), warnings.catch_warnings():
            # A state that a network loads itself does not arrive there, of which torch only warns.
            warnings.filterwarnings("error", message=".*copying from a non-meta parameter")
            network = build(training, shape, seed=0).to("meta")  # a library may make some of it elsewhere
            return network, _unused(network, training, shape)
    except Exception as error:  # not every library can build without numbers; then what the CPU says counts
        if training.model.name in MODELS and not isinstance(error, FoldwiseError):
            what = f"the network {training.model} cannot be built: {str(error).partition(chr(10))[0]}"
            raise SpecError(what, cure="Ask for fewer layers, or for narrower ones.") from None
        network = build(training, shape, seed=0)
        unused = _unused(network, training, shape)
        return network.to("meta"), unused


def _unused(network: Network, training: Training, shape: DataShape) -> int:
    """How many trainable parameters got no gradient from one pass; SpecError if the pass fails."""
    if shape.size_hw is None:
        return 0
    height, width = shape.size_hw
    wanted = (2, shape.num_classes, height, width) if shape.segmentation else (2, shape.num_classes)
    what = f"the model {training.model.name!r} on images of {height} x {width} pixels"
    device = next(network.parameters()).device
    try:
        logits = network.eval()(torch.zeros(2, shape.in_channels, height, width, device=device))
        logits.sum().backward()
    # What a network says of a size that it cannot take is for its library to choose.
    except Exception as error:
        raise SpecError(
            f"{what} fails: {type(error).__name__}: {error}", cure="Change 'data.size' or the model."
        ) from error
    if tuple(logits.shape) != wanted:
        raise SpecError(
            f"{what} gives logits of shape {tuple(logits.shape)}, not {wanted}",
            cure="End in one logit for each class.",
        )
    # On the meta device there are no numbers, but autograd knows all the same what was used.
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return sum(parameter.numel() for parameter in learning if parameter.grad is None)
