"""A user's own networks, by the module and function that make them."""

from __future__ import annotations

import inspect
from copy import deepcopy

import torch
from torch import Tensor, nn

from foldwise.errors import SpecError, unknown
from foldwise.learning.networks.libraries.request import ModelRequest, Part, built
from foldwise.learning.networks.network import Classifier, seeded
from foldwise.learning.options import imported


def network(request: ModelRequest) -> Part:
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
