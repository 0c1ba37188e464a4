"""How a loss bends around the weights of a network: ends and trace of its Hessian, and how far it rises nearby.

None of these numbers ranks networks. The same function can be written with other weights that are sharper at will
(Dinh et al. 2017, arXiv:1703.04933), and sharpness says little about new images in modern networks (Andriushchenko
et al. 2023, arXiv:2302.07011). They describe one network and loss over its training, or fits of one network and loss.
ReLU and max-pooling have no second derivative at a kink; what is told is that of the smooth pieces.

Vectors here are flat: all trainable parameters, one after the other, (W,).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from foldwise.insight.landscape.directions import Mover, dot, flat, trainable, unflattened, weights_of
from foldwise.insight.landscape.points import Landscape, Pooled, recalibrate

BASIS_BYTES = 2**31  # of the vectors that Lanczos keeps
Product = Callable[[Tensor], Tensor]  # of a symmetric matrix with a vector (W,)
COLUMNS = 2**16  # of the basis in float64 at a time
MIN_ITERATIONS = 10  # before a Lanczos that seems to have converged may stop


@dataclass(frozen=True)
class Curvature:
    """Of one loss at the weights of one network.

    Attributes:
        top_eigenvalue: the largest of the Hessian.
        top_eigenvalue_converged: whether it is known to a thousandth of the largest in size.
        lowest_eigenvalue: the smallest of the Hessian; below 0 where the loss bends down in some direction.
        lowest_eigenvalue_converged: likewise.
        trace: of the Hessian, estimated.
        trace_se: the standard error of that estimate.
        sam_sharpness: see `sam_sharpness`; nan where the loss is not finite.
        average_sharpness: see `average_sharpness`; nan where the loss is not finite.
    """

    top_eigenvalue: float
    top_eigenvalue_converged: bool
    lowest_eigenvalue: float
    lowest_eigenvalue_converged: bool
    trace: float
    trace_se: float
    sam_sharpness: float
    average_sharpness: float


def curvature(landscape: Landscape, *, seed: int, iterations: int = 30, probes: int = 20) -> Curvature:
    """All that is told here, at the weights the network has; it is left as it was, but in evaluation mode.

    Args:
        landscape: with one criterion, the loss: a plain function that can be differentiated twice.
        seed: of the start of Lanczos, the probes of the trace and the directions of the average sharpness.
        iterations: of Lanczos at most; fewer where so many vectors would not fit into `BASIS_BYTES`.
        probes: random vectors for the trace.
    """
    # First, since these move the weights, which have to lie still once the graph of their gradient is kept.
    rises = sam_sharpness(landscape), average_sharpness(landscape, seed=seed)
    with Mover(landscape.network):
        if landscape.recalibrated:
            recalibrate(landscape.network, landscape.batches, forward=landscape.exact_forward)
        start = flat(weights_of(landscape.network))
        product = hessian(landscape)
        room = max(2, BASIS_BYTES // (start.numel() * start.element_size()))
        first = torch.randn(start.shape, generator=torch.Generator().manual_seed(seed % 2**63)).to(start)
        ends = lanczos(product, first, iterations=min(iterations, room))
        trace, trace_se = hutchinson(product, start, probes=probes, seed=seed)
    return Curvature(
        top_eigenvalue=float(ends.eigenvalues[-1]),
        top_eigenvalue_converged=bool(ends.converged[-1]),
        lowest_eigenvalue=float(ends.eigenvalues[0]),
        lowest_eigenvalue_converged=bool(ends.converged[0]),
        trace=trace,
        trace_se=trace_se,
        sam_sharpness=rises[0],
        average_sharpness=rises[1],
    )


def hessian(landscape: Landscape) -> Product:
    """`hessian_vector` as a function of the vector alone, for many products at the same weights.

    Where all images are one batch it keeps the graph of their gradient, which takes no more memory than one product
    and two thirds of the time. The weights must then stay as they are until it is let go.
    """
    if len(landscape.batches) > 1:
        return partial(hessian_vector, landscape)
    parameters = list(trainable(landscape.network).values())
    with _twice_differentiable():
        (loss,) = _losses(landscape)
        slopes = _grad(loss, parameters, create_graph=True)
    return partial(_bent, slopes, parameters, keep_graph=True)


def hessian_vector(landscape: Landscape, vector: Tensor) -> Tensor:
    """The Hessian of the loss at the weights as they are, times `vector` (W,); in evaluation mode, in float32.

    Statistics of batch norm are held as they are: they are no parameters of the loss. The Hessian is that of the mean
    over the batches, weighted by their images.
    """
    parameters = list(trainable(landscape.network).values())
    total = torch.zeros_like(vector)
    with _twice_differentiable():
        for part in _losses(landscape):
            slopes = _grad(part, parameters, create_graph=True)
            total += _bent(slopes, parameters, vector)
    return total


def _bent(
    slopes: Tensor, parameters: list[nn.Parameter], vector: Tensor, *, keep_graph: bool = False
) -> Tensor:
    """How the gradient changes along `vector`, (W,)."""
    if not slopes.requires_grad:  # the loss is a straight line
        return torch.zeros_like(vector)
    return _grad(slopes, parameters, vector.to(slopes), retain_graph=keep_graph).to(vector)


def gradient(landscape: Landscape) -> Tensor:
    """The gradient of the loss (W,) at the weights as they are, in evaluation mode; see `hessian_vector`."""
    parameters = list(trainable(landscape.network).values())
    total = torch.zeros((), device=parameters[0].device)
    with torch.enable_grad():
        for part in _losses(landscape):
            total = total + _grad(part, parameters)
    return total


def _losses(landscape: Landscape) -> Iterator[Tensor]:
    """Each batch's part of the loss."""
    (loss,) = landscape.criteria
    assert not isinstance(loss, Pooled), "pooled criteria are counts, and have no gradient"
    network = landscape.network.eval()
    images = sum(len(batch.cases) for batch in landscape.batches)
    for batch in landscape.batches:
        logits = landscape.exact_forward.logits(network, batch.inputs)
        yield loss(logits, batch.targets) * (len(batch.cases) / images)


def _grad(
    outputs: Tensor, parameters: list[nn.Parameter], along: Tensor | None = None, **graph: bool
) -> Tensor:
    """The gradient (W,) of a scalar, or of `outputs` along a vector; 0 for parameters that do not matter."""
    slopes = torch.autograd.grad(
        outputs, parameters, along, allow_unused=True, materialize_grads=True, **graph
    )
    return torch.cat([slope.reshape(-1) for slope in slopes])


@contextmanager
def _twice_differentiable() -> Iterator[None]:
    """Within it there are gradients, and attention is worked in plain steps: fused, it has no second derivative."""
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        yield


def sam_sharpness(landscape: Landscape, *, rho: float = 0.05, adaptive: bool = True) -> float:
    """How much the loss rises by one step of length `rho` up its gradient: L(w + e) - L(w).

    Plain, e is rho g / |g|. Adaptive, every weight is measured by its own size, e is rho w^2 g / |w g| elementwise, so
    that the length of e / w is rho; it does not change where a layer is scaled up and the next scaled down. One step
    finds the worst point near only to first order, so it is a lower bound, and may be negative. 0 where the gradient
    is 0, nan where a loss is not finite. Batch-norm statistics are made anew at both points if the landscape says so.

    Source: Foret et al. 2021, arXiv:2010.01412; adaptive: Kwon et al. 2021, arXiv:2102.11600.
    """
    centre = weights_of(landscape.network)
    with Mover(landscape.network) as mover:
        before = float(landscape.values()[0])
        slope, scale = gradient(landscape), flat(centre).abs()
        scale = scale if adaptive else torch.ones_like(scale)
        norm = np.sqrt(dot(scale * slope, scale * slope))
        # Where it is flat no step leads up.
        if norm == 0:
            return 0.0
        mover.to(centre, [(rho / norm, unflattened(scale**2 * slope, centre))])
        return float(landscape.values()[0]) - before


def average_sharpness(landscape: Landscape, *, rho: float = 0.05, pairs: int = 8, seed: int) -> float:
    """How much the loss rises on average at a distance of `rho` times the norm of the weights: E L(w + rho |w| u) - L(w).

    u is a random direction of norm 1 in all trainable weights. It is taken with both signs, so that the slope of the
    loss cancels exactly. nan where a loss is not finite. Batch norm as in `sam_sharpness`.

    Args:
        rho: the distance as a share of the norm of the weights.
    """
    centre = weights_of(landscape.network)
    weights = flat(centre)
    distance = rho * np.sqrt(dot(weights, weights))
    generator = torch.Generator().manual_seed(seed % 2**63)
    with Mover(landscape.network) as mover:
        before = float(landscape.values()[0])
        rises = []
        for _ in range(pairs):
            drawn = torch.randn(weights.shape, generator=generator).to(weights)
            direction = unflattened(drawn, centre)
            step = distance / np.sqrt(dot(drawn, drawn))
            for sign in (-1, 1):
                mover.to(centre, [(sign * step, direction)])
                rises.append(float(landscape.values()[0]) - before)
    return float(np.mean(rises))


class Ends(NamedTuple):
    """What Lanczos found of a spectrum, its ends first.

    Attributes:
        eigenvalues: (M,) float64, ascending; those in the middle are not to be relied on.
        converged: (M,) whether an eigenvalue of the matrix is known to be within the tolerance of each.
    """

    eigenvalues: np.ndarray
    converged: np.ndarray


def lanczos(product: Product, start: Tensor, *, iterations: int = 30, tolerance: float = 1e-3) -> Ends:
    """The ends of the spectrum of a symmetric matrix that is only known by its products.

    Every new vector is made orthogonal to all before it, twice, with dot products in float64; without that, copies of
    eigenvalues appear. It stops early once both ends have converged.

    Args:
        start: a random vector (W,). An eigenvector at right angles to it is never found.
        iterations: products at most, at least 1; so many vectors are kept.
        tolerance: of what counts as converged, as a share of the largest eigenvalue in size.

    Source: Golub & Van Loan, Matrix Computations, 4th edition, chapter 10; the bound of the error is the last entry of an
    eigenvector of the tridiagonal matrix times the norm of what is left.
    """
    room = min(iterations, start.numel())
    basis = start.new_empty(room, start.numel())
    diagonal: list[float] = []
    beside: list[float] = []
    # In double precision, but on MPS, which has no such numbers.
    left = start.to(torch.float32 if start.device.type == "mps" else torch.float64)
    norm = float(torch.linalg.vector_norm(left))
    for done in range(1, room + 1):
        basis[done - 1] = left / norm
        left = product(basis[done - 1]).to(left.dtype)
        diagonal.append(float(_without(left, basis[:done])[-1]))
        # Twice: rounding is relative to what the first pass took away, which may be far larger than what is left.
        _without(left, basis[:done])
        norm = float(torch.linalg.vector_norm(left))
        ends = _ritz(np.array(diagonal), np.array(beside), norm, tolerance)
        nothing_left = not norm > 1e-6 * np.abs(ends.eigenvalues).max()  # but rounding, or no number
        if nothing_left or (done >= MIN_ITERATIONS and ends.converged[0] and ends.converged[-1]):
            break
        beside.append(norm)
    return ends


def _without(left: Tensor, basis: Tensor) -> Tensor:
    """Take from `left` (W,), in place, its parts along the rows of `basis` (M, W); their lengths (M,).

    In float64, of some columns at a time: the whole of a basis would not fit into memory twice.
    """
    spans = [slice(start, start + COLUMNS) for start in range(0, len(left), COLUMNS)]
    lengths = torch.zeros(len(basis), dtype=left.dtype, device=left.device)
    for span in spans:
        lengths += basis[:, span].to(left.dtype) @ left[span]
    for span in spans:
        left[span] -= lengths @ basis[:, span].to(left.dtype)
    return lengths


def _ritz(diagonal: np.ndarray, beside: np.ndarray, norm: float, tolerance: float) -> Ends:
    """The ends as the tridiagonal matrix so far has them; nan where a product was no finite number."""
    if not (np.isfinite(diagonal).all() and np.isfinite(norm)):
        return Ends(np.full(len(diagonal), np.nan), np.zeros(len(diagonal), dtype=bool))
    values, vectors = eigh_tridiagonal(diagonal, beside)
    return Ends(values, np.abs(vectors[-1]) * norm <= tolerance * np.abs(values).max())


def hutchinson(product: Product, like: Tensor, *, probes: int, seed: int) -> tuple[float, float]:
    """The trace of a matrix known by its products, and the standard error of that estimate.

    Each probe is a vector of random signs; of a diagonal matrix every probe gives the trace itself. The error is nan
    for one probe.

    Args:
        like: any vector (W,): of the device and precision of the probes.
        probes: how many, at least 1.
        seed: of the probes; drawn on the CPU, so the same on every device.

    Source: Hutchinson 1990, doi:10.1080/03610919008812866.
    """
    generator = torch.Generator().manual_seed(seed % 2**63)
    estimates = []
    for _ in range(probes):
        signs = (torch.randint(0, 2, like.shape, generator=generator) * 2 - 1).to(like)
        estimates.append(dot(signs, product(signs)))
    error = float(np.std(estimates, ddof=1) / np.sqrt(probes)) if probes > 1 else float("nan")
    return float(np.mean(estimates)), error
