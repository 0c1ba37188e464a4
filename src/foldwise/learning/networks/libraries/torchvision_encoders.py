"""Encoders of torchvision by name: its classifiers without their last layer."""

from __future__ import annotations

import torchvision
from torch import Tensor, nn

from foldwise.errors import SpecError, unknown
from foldwise.learning.networks.libraries.request import ModelRequest, Part, built, free_options

_ONE_SIZE = ("vit", "maxvit")  # how names of torchvision begin that are built there for one square size only


def encoder(request: ModelRequest) -> Part:
    """The encoder ``torchvision:<name>``: the network of that name up to its last linear layer."""
    if request.shape.segmentation:
        what = f"'torchvision:{request.name}' classifies whole images"
        raise SpecError(what, cure="For segmentation, use 'smp:<decoder>/<encoder>'.")
    if request.name.startswith(_ONE_SIZE):
        what = f"'torchvision:{request.name}' takes one image size only"
        raise SpecError(what, cure="Use the timm model instead.")
    names = torchvision.models.list_models(module=torchvision.models)
    if request.name not in names:
        able = [name for name in names if not name.startswith(_ONE_SIZE)]
        raise unknown(request.name, able, "torchvision model")

    # Side branches of the loss would change what a network returns.
    has_branches = request.name in ("googlenet", "inception_v3")

    def make(weights: str | None) -> nn.Module:
        fixed = {"aux_logits": False, "init_weights": True} if has_branches and weights is None else {}
        return torchvision.models.get_model(request.name, weights=weights, **fixed, **free_options(request))

    def whole() -> nn.Module:
        network = make(None)
        _replace_first_conv(network, request.shape.in_channels)
        return network

    module = built(f"torchvision:{request.name}", whole)
    num_features = _cut_classifier(module)

    def donor() -> dict[str, Tensor]:
        # The weights come with side branches, which the encoder here does not have.
        network = make("DEFAULT")
        _cut_classifier(network)
        return {key: value for key, value in network.state_dict().items() if not key.startswith("aux")}

    return Part(module, num_features=num_features, donor=donor)


def _replace_first_conv(network: nn.Module, in_channels: int) -> None:
    """Make the first convolution of an RGB network take another number of channels."""
    name, conv = next(pair for pair in network.named_modules() if isinstance(pair[1], nn.Conv2d))
    if conv.in_channels == in_channels:
        return
    # With fresh numbers: weights that are loaded later are adapted to the number of channels, see `weights.adapted`.
    shape = (conv.out_channels, conv.kernel_size, conv.stride, conv.padding)
    network.set_submodule(name, nn.Conv2d(in_channels, *shape, bias=conv.bias is not None))


def _cut_classifier(network: nn.Module) -> int:
    """Take the last layer off a torchvision network, in place; the number of features it was given."""
    if isinstance(network, torchvision.models.SqueezeNet):
        num_features = network.classifier[1].in_channels  # its classifier is a 1 x 1 convolution
        network.classifier = nn.AdaptiveAvgPool2d(1)
        return num_features
    name, linear = [pair for pair in network.named_modules() if isinstance(pair[1], nn.Linear)][-1]
    network.set_submodule(name, nn.Identity())
    return linear.in_features
