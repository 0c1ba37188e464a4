"""Heads: what turns the features of an image into one logit for every class."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from foldwise.errors import SpecError, choose
from foldwise.learning.networks.network import Joined, seeded
from foldwise.learning.options import Count, Share, bound
from foldwise.study.label_groups import alone, places_of, seed_of_group
from foldwise.study.spec import Choice, Training


def linear(num_features: int, num_classes: int, *, dropout: Share = 0.0) -> nn.Sequential:
    """One linear layer: (N, F) to (N, K).

    Args:
        num_features: F.
        num_classes: K.
        dropout: share of the features set to zero in training.
    """
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(num_features, num_classes))


def mlp(
    num_features: int,
    num_classes: int,
    *,
    hidden: list[Count] = [512, 256],  # noqa: B006  # never changed; a study file writes lists
    dropout: Share | list[Share] = [0.25, 0.5],  # noqa: B006
) -> nn.Sequential:
    """Hidden layers with ReLU and dropout, then a linear one: (N, F) to (N, K).

    Args:
        num_features: F.
        num_classes: K.
        hidden: units of every hidden layer.
        dropout: share set to zero after each hidden layer in training: one number for all, or one for each.

    Raises:
        SpecError: there are not as many dropouts as hidden layers.
    """
    dropouts = dropout if isinstance(dropout, list) else [dropout] * len(hidden)
    if len(dropouts) != len(hidden):
        raise SpecError(
            f"the head 'mlp' has {len(hidden)} hidden layers and {len(dropouts)} dropouts",
            cure="Give one dropout for each hidden layer, or one number for all.",
        )
    layers: list[nn.Module] = []
    for before, after, share in zip([num_features, *hidden], hidden, dropouts, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(share)]
    return nn.Sequential(*layers, nn.Linear([num_features, *hidden][-1], num_classes))


HEADS: dict[str, Callable[..., nn.Sequential]] = {"linear": linear, "mlp": mlp}


def make_head(choice: Choice, num_features: int, num_classes: int) -> nn.Sequential:
    """The head asked for, (N, F) to (N, K); SpecError for an unknown name or option."""
    function = choose(HEADS, choice.name, "head")
    return function(num_features, num_classes, **bound(function, choice, "head"))


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
        return Joined(each, places)
    with seeded(seed, "head"):
        return make_head(training.head, num_features, num_classes)
