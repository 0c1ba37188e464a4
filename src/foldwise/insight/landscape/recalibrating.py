"""Batch-norm statistics made anew after the weights were moved: those of training belong to other weights.

Left as they were, they make a loss surface look far sharper than the network is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from foldwise.data.batches.batches import Batch
from foldwise.errors import FoldwiseError
from foldwise.learning.training.scoring import ForwardPass


def has_batch_norm(network: nn.Module) -> bool:
    """Whether the network has batch-norm statistics that its training moves; those of a frozen encoder stand still."""
    return bool(batch_norms(network))


def batch_norms(network: nn.Module) -> list[_BatchNorm]:
    """The layers whose running statistics training moves, in the order of the modules; leaves all in evaluation mode."""
    network.train()  # asked and not guessed: a network with a frozen encoder keeps that in evaluation mode
    found = [
        layer
        for layer in network.modules()
        if isinstance(layer, _BatchNorm) and layer.training and layer.running_mean is not None
    ]
    network.eval()
    return found


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Sequence[Batch], *, seeing: ForwardPass) -> None:
    """Set the running statistics of batch norm to those of `batches` at the weights as they are.

    They are the mean over the batches of each batch's own mean and (unbiased) variance, every batch counted the
    same. Only these layers are in training mode meanwhile, so that nothing is dropped out; afterwards all of the
    network is in evaluation mode. A network without such layers is only set to evaluation mode.

    Args:
        network: is changed in place.
        batches: fixed images, without augmentation.
        seeing: how the network is asked.

    Raises:
        FoldwiseError: batches of one image each, in a network that normalises over images only.
    """
    norms = batch_norms(network)
    if not norms:
        return
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None  # a cumulative mean
        layer.train()
    try:
        counted = sum(_passed(network, batch, seeing) for batch in batches)
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
        network.eval()
    if not counted:
        raise FoldwiseError(
            "batch norm cannot be calibrated: every image is a batch of its own, and one image has no spread",
            where="look",
            cure="Look at more images, or give the images one size with 'data: {size: ...}'.",
        )


def _passed(network: nn.Module, batch: Batch, seeing: ForwardPass) -> bool:
    """Whether the batch went through; one image has no statistics where a layer sees one number of it."""
    try:
        seeing.logits(network, batch.inputs)
    except ValueError:
        if len(batch.cases) > 1:
            raise
        return False
    return True


@contextmanager
def calibrated_on_the_way(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Within it, these layers normalise by what they are given, and keep its statistics.

    So one forward pass both calibrates and evaluates, where all images are one batch. It equals `recalibrate` and a
    second pass but for n / (n - 1) in the variances, n numbers a channel.

    Args:
        norms: of a network in evaluation mode, which they are in again afterwards.
    """
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 1.0
        layer.train()
    try:
        yield
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()
