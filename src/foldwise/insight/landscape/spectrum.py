"""Ends and trace of a symmetric matrix that is only known by its products with vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

Product = Callable[[Tensor], Tensor]  # of a symmetric matrix with a vector (W,)
COLUMNS = 2**16  # of the basis in float64 at a time
MIN_ITERATIONS = 10  # before a Lanczos that seems to have converged may stop


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
        product: the matrix times a vector (W,).
        start: a random vector (W,). An eigenvector at right angles to it is never found.
        iterations: products at most, at least 1; so many vectors are kept.
        tolerance: of what counts as converged, as a share of the largest eigenvalue in size.

    Source: Golub & Van Loan, Matrix Computations, 4th edition, chapter 10; the bound of the error is the last entry of an
    eigenvector of the tridiagonal matrix times the norm of what is left.
    """
    most = min(iterations, start.numel())
    basis = start.new_empty(most, start.numel())
    diagonal: list[float] = []
    beside: list[float] = []
    left = start.to(_exact(start))
    norm = float(torch.linalg.vector_norm(left))
    for done in range(1, most + 1):
        basis[done - 1] = left / norm
        left = product(basis[done - 1]).to(left.dtype)
        diagonal.append(float(_without(left, basis[:done])[-1]))
        _without(left, basis[:done])
        norm = float(torch.linalg.vector_norm(left))
        found = _ritz(np.array(diagonal), np.array(beside), norm, tolerance)
        nothing_left = not norm > 1e-6 * np.abs(found.eigenvalues).max()  # but rounding, or no number
        if nothing_left or (done >= MIN_ITERATIONS and found.converged[0] and found.converged[-1]):
            break
        beside.append(norm)
    return found


def _exact(vector: Tensor) -> torch.dtype:
    """float64, but on MPS, which has no such numbers."""
    return torch.float32 if vector.device.type == "mps" else torch.float64


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
    if not (np.isfinite(diagonal).all() and np.isfinite(norm)):
        return Ends(np.full(len(diagonal), np.nan), np.zeros(len(diagonal), dtype=bool))
    values, vectors = eigh_tridiagonal(diagonal, beside)
    return Ends(values, np.abs(vectors[-1]) * norm <= tolerance * np.abs(values).max())


def hutchinson(product: Product, like: Tensor, *, probes: int, seed: int) -> tuple[float, float]:
    """The trace of a matrix known by its products, and the standard error of that estimate.

    Each probe is a vector of random signs; of a diagonal matrix every probe gives the trace itself. The error is nan
    for one probe.

    Args:
        product: the matrix times a vector (W,).
        like: any vector (W,): of the device and precision of the probes.
        probes: how many, at least 1.
        seed: of the probes; drawn on the CPU, so the same on every device.

    Source: Hutchinson 1990, doi:10.1080/03610919008812866.
    """
    generator = torch.Generator().manual_seed(seed % 2**63)
    found = []
    for _ in range(probes):
        signs = (torch.randint(0, 2, like.shape, generator=generator) * 2 - 1).to(like)
        found.append(dot(signs, product(signs)))
    error = float(np.std(found, ddof=1) / np.sqrt(probes)) if probes > 1 else float("nan")
    return float(np.mean(found)), error


def dot(one: Tensor, other: Tensor) -> float:
    """The inner product of two vectors in float64; on the CPU, since not every device has that."""
    return float(one.cpu().double() @ other.cpu().double())
