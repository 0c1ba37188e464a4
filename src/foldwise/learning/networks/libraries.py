"""Networks by name: of timm, segmentation-models-pytorch and torchvision, and a user's own.

A library is imported by what makes a network of it: each takes seconds, and 100 MB and more of memory.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from foldwise.errors import FoldwiseError, SpecError, unknown
from foldwise.learning.networks.lean_imports import library
from foldwise.learning.networks.network import Classifier, DataShape, seeded
from foldwise.learning.options import imported

if TYPE_CHECKING:
    from foldwise.learning.networks.weights import Donor

# What a study states elsewhere, and an option must not contradict.
_STATED = {
    "pretrained", "num_classes", "in_chans", "in_channels", "classes", "encoder_weights", "encoder_name", "arch",
    "weights", "global_pool", "features_only", "checkpoint_path", "pretrained_cfg", "activation", "aux_params",
}  # fmt: skip
_ONE_SIZE = ("vit", "maxvit")  # how names of torchvision begin that are built there for one square size only


@dataclass(frozen=True)
class ModelRequest:
    """What is asked of a library: the model `name`, without its prefix, for data of a `shape`."""

    name: str
    shape: DataShape
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """What a library gave.

    Args:
        module: an encoder (N, C, H, W) to (N, F), or a segmentation network that has an ``encoder``.
        num_features: F; None if `module` ends in logits itself.
        multiple: what height and width must divide by.
        donor: downloads the ImageNet weights of the encoder.
    """

    module: nn.Module
    num_features: int | None = None
    multiple: int = 1
    donor: Donor | None = None


def free_options(request: ModelRequest) -> dict[str, Any]:
    """The options, none of which says again what the study states elsewhere."""
    for name in request.options:
        if name in _STATED:
            what = f"the option {name!r} of {request.name!r} is not free"
            raise SpecError(what, cure="Leave it out: it follows from the data, 'weights' and 'head'.")
    return request.options


def built(name: str, make: Callable[[], nn.Module]) -> nn.Module:
    """What `make` makes; whatever a library says against its options becomes a SpecError."""
    try:
        return make()
    except FoldwiseError:
        raise
    except (TypeError, ValueError, RuntimeError, KeyError, AssertionError, AttributeError) as error:
        what = f"{name} cannot be built: {type(error).__name__}: {error}"
        raise SpecError(what, cure="Check the options of the model.") from error


def timm_encoder(request: ModelRequest) -> Part:
    """The encoder ``timm:<name>``; transformers of a fixed size are made for the size of the images."""
    timm = library("timm")

    if request.shape.segmentation:
        what = f"'timm:{request.name}' classifies whole images"
        raise SpecError(what, cure=f"For segmentation, use it as an encoder: 'smp:unet/tu-{request.name}'.")
    base = request.name.partition(".")[0]
    if not timm.is_model(base):
        raise unknown(base, timm.list_models(), "timm model")

    def make(**more: Any) -> nn.Module:
        return timm.create_model(
            request.name, num_classes=0, **_sized(request), **free_options(request), **more
        )

    module = built(f"timm:{request.name}", lambda: make(in_chans=request.shape.in_channels))
    return Part(
        module,
        num_features=getattr(module, "head_hidden_size", None) or module.num_features,
        multiple=_timm_multiple(module),
        donor=lambda: make(in_chans=3, pretrained=True).state_dict(),
    )


def _sized(request: ModelRequest) -> dict[str, Any]:
    """The keywords that make a timm transformer fit the images: their size, rounded up to whole patches."""
    timm = library("timm")

    base, size_hw = request.name.partition(".")[0], request.shape.size_hw
    config = timm.get_pretrained_cfg(base)
    if config is None or not config.fixed_input_size or size_hw is None or "img_size" in request.options:
        return {}
    # Made once only to read the size of its patches, which the table of timm does not have.
    default = timm.create_model(base, num_classes=0)
    multiple = _timm_multiple(default)
    keywords: dict[str, Any] = {"img_size": tuple(side + -side % multiple for side in size_hw)}
    if hasattr(getattr(default, "patch_embed", None), "dynamic_img_pad") and hasattr(default, "pos_embed"):
        keywords["dynamic_img_size"] = True
    return keywords


def _timm_multiple(module: nn.Module) -> int:
    config = module.pretrained_cfg
    if not config.get("fixed_input_size"):
        return 1
    return max(int(level["reduction"]) for level in module.feature_info)


def smp_segmenter(request: ModelRequest) -> Part:
    """The segmentation network ``smp:<decoder>/<encoder>``."""
    smp = library("segmentation_models_pytorch")
    timm = library("timm")

    decoder, _, encoder = request.name.partition("/")
    if not request.shape.segmentation:
        what = f"'smp:{request.name}' segments images"
        raise SpecError(what, cure="For classification, use 'timm:<name>'.")
    if not encoder:
        what = f"'smp:{request.name}' names no encoder"
        raise SpecError(what, cure="Write smp:<decoder>/<encoder>, for example smp:unet/resnet18.")
    if decoder not in smp.MODEL_ARCHITECTURES_MAPPING:
        raise unknown(decoder, smp.MODEL_ARCHITECTURES_MAPPING, "smp decoder")
    names = smp.encoders.get_encoder_names()
    if encoder not in names and not timm.is_model(encoder.removeprefix("tu-").partition(".")[0]):
        raise unknown(encoder, names, "smp encoder")
    options = free_options(request)
    if decoder == "dpt":  # its transformer would otherwise take the size of its pretraining only
        options = {"dynamic_img_size": True, **options}

    def make(weights: str | None, in_channels: int) -> nn.Module:
        sizes = {"in_channels": in_channels, "classes": request.shape.num_classes}
        return smp.create_model(decoder, encoder, encoder_weights=weights, **sizes, **options)

    module = built(f"smp:{request.name}", lambda: make(None, request.shape.in_channels))
    depth = int(options.get("encoder_depth", 5))
    return Part(module, multiple=max(32, 2**depth), donor=lambda: make("imagenet", 3).encoder.state_dict())


def torchvision_encoder(request: ModelRequest) -> Part:
    """The encoder ``torchvision:<name>``: the network of that name up to its last linear layer."""
    torchvision = library("torchvision")

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
    if isinstance(network, library("torchvision").models.SqueezeNet):
        num_features = network.classifier[1].in_channels  # its classifier is a 1 x 1 convolution
        network.classifier = nn.AdaptiveAvgPool2d(1)
        return num_features
    name, linear = [pair for pair in network.named_modules() if isinstance(pair[1], nn.Linear)][-1]
    network.set_submodule(name, nn.Identity())
    return linear.in_features


def own_network(request: ModelRequest) -> Part:
    """The network of ``package.module:function``, called with in_channels, num_classes and its options."""
    function, shape = imported(request.name, "model"), request.shape
    arguments = {"in_channels": shape.in_channels, "num_classes": shape.num_classes} | request.options
    parameters = inspect.signature(function).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        for name in arguments:
            if name not in parameters:
                raise unknown(name, parameters, f"parameter of {request.name}")
    module = built(request.name, lambda: function(**arguments))
    if not isinstance(module, nn.Module):
        raise SpecError(f"{request.name} returned {type(module).__name__}", cure="Return a torch.nn.Module.")
    return Part(module)


def users_classifier(module: nn.Module, request: ModelRequest) -> Classifier:
    """A user's network, in two parts where ``head(encoder(x))`` is the whole of it, so that its encoder can be frozen."""
    encoder, head = getattr(module, "encoder", None), getattr(module, "head", None)
    if isinstance(encoder, nn.Module) and isinstance(head, nn.Module):
        # Not of zeros, on which two ways through a network may agree by chance.
        x_NCHW = torch.rand(2, request.shape.in_channels, *(request.shape.size_hw or (64, 64)))
        whole = x_NCHW.is_meta or all(_is_whole_of(module, x_NCHW, training=mode) for mode in (False, True))
        if whole:
            return Classifier(encoder, head)
    return Classifier(module, nn.Identity())


@torch.no_grad()
def _is_whole_of(module: nn.Module, x_NCHW: Tensor, *, training: bool) -> bool:
    """Whether ``head(encoder(x))`` of a network is all that it does, by the same random numbers; it is not changed."""
    outputs = []
    for through in (lambda net: net(x_NCHW), lambda net: net.head(net.encoder(x_NCHW))):
        copied = deepcopy(module).train(training)  # a step of training moves the statistics of batch norm
        with seeded(0, "parts"):
            outputs.append(through(copied))
    return all(isinstance(output, Tensor) for output in outputs) and torch.equal(*outputs)


# What stands before the colon of a name -> what makes the network behind it.
LIBRARIES: dict[str, Callable[[ModelRequest], Part]] = {
    "timm": timm_encoder,
    "smp": smp_segmenter,
    "torchvision": torchvision_encoder,
}
