"""What every criterion says of a network at the weights it has: one point of a loss surface.

Batch-norm statistics are made anew at every point, since those of training belong to other weights: left as they
were, they make a loss surface look far sharper than the network is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from foldwise.data.batches.batches import Batch
from foldwise.errors import FoldwiseError
from foldwise.learning.networks.tiles import is_large
from foldwise.learning.training.scoring import ForwardPass


@dataclass(frozen=True)
class Pooled:
    """A criterion of all images together, such as 1 - the Dice of all pixels.

    Attributes:
        counts: logits and targets of a batch to a tensor with a row for each image.
        value: the rows of all batches to a number.
    """

    counts: Callable[[Tensor, Tensor], Tensor]
    value: Callable[[np.ndarray], float]


# From logits and targets of a batch to a scalar mean, or pooled.
Criterion = Callable[[Tensor, Tensor], Tensor] | Pooled


@torch.inference_mode()
def evaluate(
    network: nn.Module, batches: Sequence[Batch], criteria: Sequence[Criterion], *, forward: ForwardPass
) -> np.ndarray:
    """The value of every criterion, (L,) float64, from one forward pass in evaluation mode.

    A plain criterion is its mean over the batches, weighted by their images: a loss that takes a batch's pixels
    together, as Dice does, depends on how the images are batched. A value may be inf or nan, as the network is.

    Args:
        network: who is asked; its mode is restored.
        batches: at least one; fixed images, whole and without augmentation.
        criteria: losses of `losses.make_loss`, or `Pooled` ones.
    """
    assert batches, "there is nothing to evaluate on"
    was_training = network.training
    network.eval()
    values = _values(network, batches, criteria, forward)
    network.train(was_training)
    return values


def _values(
    network: nn.Module, batches: Sequence[Batch], criteria: Sequence[Criterion], forward: ForwardPass
) -> np.ndarray:
    """`evaluate` in the mode that the network is in."""
    sums = [torch.zeros((), dtype=torch.float64) for _ in criteria]
    rows: list[list[np.ndarray]] = [[] for _ in criteria]
    for batch in batches:
        logits = forward.logits(network, batch.inputs)
        for number, criterion in enumerate(criteria):
            if isinstance(criterion, Pooled):
                rows[number].append(criterion.counts(logits, batch.targets).cpu().numpy())
            else:
                part = criterion(logits, batch.targets) * len(batch.cases)
                sums[number] = sums[number] + part.cpu().double()  # on the CPU: not every device has float64
    images = sum(len(batch.cases) for batch in batches)
    return np.array([
        criterion.value(np.concatenate(rows[number])) if isinstance(criterion, Pooled) else float(sums[number] / images)
        for number, criterion in enumerate(criteria)
    ])  # fmt: skip


@dataclass(frozen=True)
class Landscape:
    """A network, and what is asked of it at every point: the same criteria on the same images.

    Attributes:
        network: its weights are the point; see `directions.Mover`.
        batches: fixed images, whole and without augmentation.
        forward: how the network is asked; always in float32 here, as coarser numbers would look like roughness.
        recalibrated: whether batch-norm statistics are made anew at every point; False keeps those the network has.
        watch: called after every point.
    """

    network: nn.Module
    batches: Sequence[Batch]
    criteria: Sequence[Criterion]
    forward: ForwardPass
    recalibrated: bool = True
    watch: Callable[[], None] | None = None

    def values(self) -> np.ndarray:
        """(L,) float64 at the weights the network has now; nan where a value is not finite.

        Statistics of batch norm are left as this point has them; so is the evaluation mode.
        """
        if self._one_pass:
            self.network.eval()
            with torch.inference_mode(), calibrated_on_the_way(self._norms):
                values = _values(self.network, self.batches, self.criteria, self.exact_forward)
        else:
            if self._norms:
                recalibrate(self.network, self.batches, forward=self.exact_forward)
            values = evaluate(self.network, self.batches, self.criteria, forward=self.exact_forward)
        if self.watch:
            self.watch()
        return np.where(np.isfinite(values), values, np.nan)

    @cached_property
    def exact_forward(self) -> ForwardPass:
        """`forward` in float32."""
        return replace(self.forward, precision="fp32")

    @cached_property
    def _norms(self) -> list[_BatchNorm]:
        self.network.eval()
        return batch_norms(self.network) if self.recalibrated else []

    @cached_property
    def _one_pass(self) -> bool:
        """Whether all images go through together; of large images, which go one by one, and of one image alone, statistics would be wrong."""
        first = self.batches[0]
        alone = len(first.cases) == 1 or (first.inputs.ndim == 4 and is_large(first.inputs))
        return bool(self._norms) and len(self.batches) == 1 and not alone


def batch_norms(network: nn.Module) -> list[_BatchNorm]:
    """The layers whose running statistics training moves, in the order of the modules; leaves all in evaluation mode.

    Those of a frozen encoder stand still.
    """
    network.train()  # asked and not guessed: a network with a frozen encoder keeps that in evaluation mode
    norms = [
        layer
        for layer in network.modules()
        if isinstance(layer, _BatchNorm) and layer.training and layer.running_mean is not None
    ]
    network.eval()
    return norms


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Sequence[Batch], *, forward: ForwardPass) -> None:
    """Set the running statistics of batch norm to those of `batches` at the weights as they are.

    They are the mean over the batches of each batch's own mean and (unbiased) variance, every batch counted the
    same. Only these layers are in training mode meanwhile, so that nothing is dropped out; afterwards all of the
    network is in evaluation mode. A network without such layers is only set to evaluation mode.

    Args:
        network: is changed in place.
        batches: fixed images, without augmentation.

    Raises:
        FoldwiseError: batches of one image each, in a network that normalises over images only.
    """
    norms = batch_norms(network)
    if not norms:
        return
    for layer in norms:
        layer.reset_running_stats()
    counted = 0
    with calibrated_on_the_way(norms, momentum=None):  # None is a cumulative mean
        for batch in batches:
            try:
                forward.logits(network, batch.inputs)
                counted += 1
            except ValueError:  # one image has no statistics where a layer sees one number of it
                if len(batch.cases) > 1:
                    raise
    network.eval()
    if not counted:
        raise FoldwiseError(
            "batch norm cannot be calibrated: every image is a batch of its own, and one image has no spread",
            where="look",
            cure="Look at more images, or give the images one size with 'data: {size: ...}'.",
        )


@contextmanager
def calibrated_on_the_way(norms: Sequence[_BatchNorm], *, momentum: float | None = 1.0) -> Iterator[None]:
    """Within it, these layers normalise by what they are given, and keep its statistics.

    So one forward pass both calibrates and evaluates, where all images are one batch. It equals `recalibrate` and a
    second pass but for n / (n - 1) in the variances, n numbers a channel.

    Args:
        norms: of a network in evaluation mode, which they are in again afterwards.
        momentum: of the layers meanwhile; 1 takes all of the new statistics, and nothing of the old.
    """
    before = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = momentum
        layer.train()
    try:
        yield
    finally:
        for layer, own in zip(norms, before, strict=True):
            layer.momentum = own
            layer.eval()
