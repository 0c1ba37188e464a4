"""Networks by name: `build` makes the one that a configuration asks for.

A name is a row of `MODELS` (read them in `zoo`), ``timm:<name>`` or ``torchvision:<name>`` (classification),
``smp:<decoder>/<encoder>`` (segmentation), or ``package.module:function``, a user's own. A head, a row of `HEADS`,
turns the features of an encoder into one logit for every class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from foldwise.errors import SpecError, choose, unknown
from foldwise.learning.networks import libraries
from foldwise.learning.networks.lean_imports import library
from foldwise.learning.networks.network import (
    Classifier,
    DataShape,
    JoinedLabels,
    LabelGroups,
    Network,
    Segmenter,
    freeze_encoder,
    seeded,
)
from foldwise.learning.networks.weights import load_encoder
from foldwise.learning.networks.zoo.conv import ConvEncoder, ConvSegmenter
from foldwise.learning.networks.zoo.haltuf import HaltufEncoder
from foldwise.learning.networks.zoo.resnet import ResNetEncoder, ResNetSegmenter
from foldwise.learning.networks.zoo.unet import UNet
from foldwise.learning.networks.zoo.vim import PatchMamba
from foldwise.learning.networks.zoo.vit import PatchEncoder, PatchSegmenter, PatchTransformer
from foldwise.learning.options import bound
from foldwise.study.configurations import alone, places_of, seed_of_group
from foldwise.study.ranges import Share, Width
from foldwise.study.training import Choice, Training
from foldwise.text import some


@dataclass(frozen=True)
class ModelRow:
    """A network of the zoo: its encoder for classification, and its form for segmentation; None where it has none.

    Attributes:
        of_patches: whether both are what makes tokens of patches, which are then summed up or unfolded to pixels.
    """

    encoder: Callable[..., nn.Module] | None
    segmenter: Callable[..., nn.Module] | None
    of_patches: bool = False


MODELS: dict[str, ModelRow] = {
    "conv": ModelRow(ConvEncoder, ConvSegmenter),
    "unet": ModelRow(None, UNet),
    "resnet": ModelRow(ResNetEncoder, ResNetSegmenter),
    "vit": ModelRow(PatchTransformer, PatchTransformer, of_patches=True),
    "vim": ModelRow(PatchMamba, PatchMamba, of_patches=True),
    "haltuf": ModelRow(HaltufEncoder, None),
}


def build(training: Training, shape: DataShape, *, seed: int, encoder_seed: int | None = None) -> Network:
    """The network that `training` asks for, on the CPU, with its weights, and frozen if that is asked.

    Args:
        training: model, head, weights and freeze are read.
        seed: the same seed gives the same numbers, on every machine, whatever was drawn before.
        encoder_seed: of a classifier's encoder, where features are shared between fits; `seed` if None.

    Raises:
        SpecError: a name, an option or weights that do not exist or do not fit.
        MissingExtra: weights that are to be downloaded, and cannot be.
    """
    places = places_of(training, shape.num_classes)
    if len(places) > 1 and training.freeze != "encoder":
        members = [
            build(alone(training), replace(shape, num_classes=len(group)), seed=seed_of_group(seed, number))
            for number, group in enumerate(places)
        ]
        return LabelGroups(members, places)
    request = libraries.ModelRequest(training.model.name, shape, training.model.options)
    # Apart from the head: the encoder is the same whatever head stands on it, and so comparisons of heads are paired.
    with seeded(seed if encoder_seed is None else encoder_seed, "encoder"):
        part = _part(request, training)
    _refuse_without_numbers(part.module, request.name)
    network = _assembled(part, training, request, seed)
    if training.weights != "none":
        encoder = encoder_for_weights(network, training)
        network.weights_report = load_encoder(
            encoder, training.weights, name=training.model.name, donor=part.donor
        )
    return freeze_encoder(network) if training.freeze == "encoder" else network


def _refuse_without_numbers(network: nn.Module, name: str) -> None:
    """SpecError for parameters on the meta device, which nothing can be loaded into; unless all is to be built there."""
    if torch.empty(0).is_meta:
        return
    tensors = [*network.named_parameters(), *network.named_buffers()]
    if empty := [key for key, values in tensors if values.is_meta]:
        what = f"the model {name!r} has no numbers (device meta) in {some(empty, 6)}: a state that was loaded did not arrive"
        raise SpecError(what, cure="Build it on the CPU, or load its state with assign=True.")


def _part(request: libraries.ModelRequest, training: Training) -> libraries.Part:
    prefix, colon, name = request.name.partition(":")
    if colon and prefix in libraries.LIBRARIES:
        return libraries.LIBRARIES[prefix](replace(request, name=name))
    if colon:
        return libraries.own_network(request)
    if request.name not in MODELS:
        raise _unknown(request.name)
    row, shape = MODELS[request.name], request.shape
    make = row.segmenter if shape.segmentation else row.encoder
    if make is None:
        raise _not_for_task(request)
    options = bound(make, training.model, "model")
    if row.of_patches:
        tokens = make(shape.in_channels, **options)
        module = PatchSegmenter(tokens, shape.num_classes) if shape.segmentation else PatchEncoder(tokens)
    else:
        sizes = (shape.in_channels, shape.num_classes) if shape.segmentation else (shape.in_channels,)
        module = make(*sizes, **options)
    num_features = None if shape.segmentation else module.num_features
    return libraries.Part(module, num_features=num_features, multiple=module.multiple)


def _not_for_task(request: libraries.ModelRequest) -> SpecError:
    if request.shape.segmentation:
        does, able = "classifies whole", [name for name, row in MODELS.items() if row.segmenter]
        others = ["smp:<decoder>/<encoder>"]
    else:
        does, able = "segments", [name for name, row in MODELS.items() if row.encoder]
        others = ["timm:<name>", "torchvision:<name>"]
    task = request.shape.task.replace("_", " ")
    what = f"the model {request.name!r} {does} images, and this task is {task}"
    return SpecError(what, cure=f"Use one of: {', '.join([*able, *others])}.")


def _assembled(
    part: libraries.Part, training: Training, request: libraries.ModelRequest, seed: int
) -> Network:
    """The network around what a library gave."""
    if request.shape.segmentation or part.num_features is None:
        if training.label_groups != 1:
            raise SpecError(
                f"the model {request.name!r} brings its own head, so groups of labels cannot share its frozen encoder",
                cure="Set 'label_groups: 1' or 'freeze: none'.",
            )
        if training.head != Choice(name="linear"):
            raise SpecError(
                f"the model {request.name!r} brings its own head, so the head {str(training.head)!r} has no place",
                cure="Leave 'head' out for this model; heads are for classification with an encoder.",
            )
        if request.shape.segmentation:
            return Segmenter(part.module, multiple=part.multiple)
        return libraries.users_classifier(part.module, request)
    head = build_head(training, part.num_features, request.shape.num_classes, seed)
    return Classifier(part.module, head, multiple=part.multiple)


def _unknown(name: str) -> SpecError:
    """The error for a name without a prefix; a name that a library knows, in other letters too, is suggested with its prefix."""
    for spelt in dict.fromkeys((name, name.casefold().replace("-", "_"))):
        in_timm = library("timm").is_model(spelt)
        if in_timm or spelt in library("torchvision").models.list_models():
            source = "timm" if in_timm else "torchvision"
            return SpecError(f"no model is called {name!r}", cure=f"Did you mean '{source}:{spelt}'?")
    kinds = ["timm:<name>", "torchvision:<name>", "smp:<decoder>/<encoder>", "package.module:function"]
    return unknown(name, [*MODELS, *kinds], "model")


def encoder_for_weights(network: Network, training: Training) -> nn.Module:
    """The part of a network that weights are for; SpecError where it has none."""
    encoder = network.part("encoder")
    if encoder is None:
        what = f"the model {training.model.name!r} has no part called 'encoder' that weights could be for"
        raise SpecError(what, cure="Set 'weights: none', or give the model the attribute 'encoder'.")
    return encoder


def linear(num_features: int, num_classes: int, *, dropout: Share = 0.0) -> nn.Sequential:
    """One linear layer: (N, F) to (N, K).

    Args:
        dropout: share of the features set to zero in training.
    """
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(num_features, num_classes))


def mlp(
    num_features: int,
    num_classes: int,
    *,
    hidden: Annotated[list[Width], Field(max_length=32)] = [512, 256],  # noqa: B006  # never changed; a study file writes lists
    dropout: Share | list[Share] = [0.25, 0.5],  # noqa: B006
) -> nn.Sequential:
    """Hidden layers with ReLU and dropout, then a linear one: (N, F) to (N, K).

    Args:
        hidden: units of every hidden layer.
        dropout: share set to zero after each hidden layer in training: one number for all, or one for each.

    Raises:
        SpecError: there are not as many dropouts as hidden layers.
    """
    dropouts = dropout if isinstance(dropout, list) else [dropout] * len(hidden)
    if len(dropouts) != len(hidden):
        what = f"the head 'mlp' has {len(hidden)} hidden layers and {len(dropouts)} dropouts"
        raise SpecError(what, cure="Give one dropout for each hidden layer, or one number for all.")
    layers: list[nn.Module] = []
    for before, after, share in zip([num_features, *hidden], hidden, dropouts, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(share)]
    return nn.Sequential(*layers, nn.Linear([num_features, *hidden][-1], num_classes))


HEADS: dict[str, Callable[..., nn.Sequential]] = {"linear": linear, "mlp": mlp}


def build_head(training: Training, num_features: int, num_classes: int, seed: int) -> nn.Module:
    """The head that `build` gives its network for the same seed, without the encoder.

    Its numbers do not depend on how many random numbers an encoder has used up, so that a head trained on
    stored features is the head of the whole network. Groups of labels each have a head of their own.
    """
    places = places_of(training, num_classes)
    if len(places) > 1:
        each = [
            build_head(alone(training), num_features, len(group), seed_of_group(seed, number))
            for number, group in enumerate(places)
        ]
        return JoinedLabels(each, places)
    with seeded(seed, "head"):
        function = choose(HEADS, training.head.name, "head")
        return function(num_features, num_classes, **bound(function, training.head, "head"))
