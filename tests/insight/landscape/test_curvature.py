"""Curvature against losses whose Hessian is known, and against the whole Hessian of a small network."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from landscapes_to_try import CLASSIFY, cross_entropy_of, dense, pictures, quadratic, vectors
from networks_to_try import EVERY
from networks_to_try import network as zoo_network
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector

from foldwise.data.batches.batches import Batch
from foldwise.insight.landscape import curvature as module
from foldwise.insight.landscape.curvature import (
    average_sharpness,
    curvature,
    gradient,
    hessian,
    hessian_vector,
    hutchinson,
    lanczos,
    sam_sharpness,
)
from foldwise.insight.landscape.directions import weights_of
from foldwise.insight.landscape.points import Landscape, recalibrate
from foldwise.learning.training.scoring import ForwardPass

numbers = st.lists(st.floats(-5, 5, width=32), min_size=3, max_size=12)


def whole_hessian(network, batches):
    """Of the mean over all images at once, in float64."""
    exact = copy.deepcopy(network).double().eval()
    shapes = {name: parameter.shape for name, parameter in exact.named_parameters()}
    inputs = torch.cat([batch.inputs for batch in batches]).double()
    targets = torch.cat([batch.targets for batch in batches])

    def loss(flat):
        parts = flat.split([shape.numel() for shape in shapes.values()])
        named = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return F.cross_entropy(functional_call(exact, named, (inputs,)), targets)

    return torch.autograd.functional.hessian(loss, parameters_to_vector(exact.parameters()).detach())


def difference_of_gradients(network, batch, vector, eps=1e-11):
    """The Hessian times `vector` in float64, without a second derivative; the step is too short to cross a kink."""
    slopes = []
    for step in (eps, -eps):
        moved = copy.deepcopy(network).double().eval()
        with torch.no_grad():
            for parameter, part in zip(moved.parameters(), unflattened(vector, network), strict=True):
                parameter.add_(part.double(), alpha=step)
        loss = F.cross_entropy(moved(batch.inputs.double()), batch.targets)
        slopes.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(moved.parameters()))]))
    return (slopes[0] - slopes[1]) / (2 * eps)


def unflattened(vector, network):
    parameters = list(network.parameters())
    parts = vector.split([parameter.numel() for parameter in parameters])
    return [part.view(parameter.shape) for part, parameter in zip(parts, parameters, strict=True)]


def random(size, seed=0):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


@given(numbers, st.integers(0, 100))
def test_of_a_quadratic_the_ends_are_those_of_its_curvatures(h, seed):
    landscape = quadratic(h, at=np.ones(len(h)))
    ends = lanczos(lambda v: hessian_vector(landscape, v), random(len(h), seed))
    size = max(map(abs, h))
    assert ends.eigenvalues[-1] == pytest.approx(max(h), abs=1e-4 * size + 1e-30)
    assert ends.eigenvalues[0] == pytest.approx(min(h), abs=1e-4 * size + 1e-30)
    assert ends.converged[[0, -1]].all()


@given(numbers, st.integers(0, 100))
def test_of_a_diagonal_hessian_every_probe_gives_the_trace(h, seed):
    landscape = quadratic(h, at=np.zeros(len(h)))
    trace, error = hutchinson(
        lambda v: hessian_vector(landscape, v), torch.zeros(len(h)), probes=4, seed=seed
    )
    assert trace == pytest.approx(sum(h), rel=1e-6, abs=1e-5)
    assert error == 0


def test_the_trace_of_a_dense_matrix_is_within_its_error():
    matrix = torch.randn(60, 60, generator=torch.Generator().manual_seed(0))
    matrix = matrix + matrix.T
    inside = 0
    for seed in range(100):
        trace, error = hutchinson(lambda v: matrix @ v, torch.zeros(60), probes=30, seed=seed)
        inside += abs(trace - float(matrix.trace())) < 2 * error
    assert 88 <= inside <= 100  # 95 or so
    of_diagonal = matrix - torch.diag(matrix.diagonal())
    assert error == pytest.approx(np.sqrt(2 * float((of_diagonal**2).sum()) / 30), rel=0.4)
    assert np.isnan(hutchinson(lambda v: v, torch.zeros(3), probes=1, seed=0)[1])


@pytest.mark.parametrize("rho", [0.05, 0.5])
def test_one_step_up_a_round_bowl(rho):
    at = np.array([0.3, -1.2, 2.0, 0.0])
    bowl = quadratic([2.5] * 4, at)
    length = np.linalg.norm(at)
    plain = 0.5 * 2.5 * ((length + rho) ** 2 - length**2)
    assert sam_sharpness(bowl, rho=rho, adaptive=False) == pytest.approx(plain, rel=1e-5)
    moved = at + rho * at**3 / np.linalg.norm(at**2)
    assert sam_sharpness(bowl, rho=rho) == pytest.approx(0.5 * 2.5 * ((moved**2).sum() - length**2), rel=1e-5)


def test_at_the_bottom_there_is_no_step_up():
    assert sam_sharpness(quadratic([1, 2, 3], at=np.zeros(3)), adaptive=False) == 0
    assert sam_sharpness(quadratic([1, 2, 3], at=np.zeros(3))) == 0


@pytest.mark.parametrize("factor", [0.25, 7.0])
def test_adaptive_sharpness_does_not_see_a_scaled_layer(factor):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False))
    landscape = cross_entropy_of(network)
    before, before_plain = sam_sharpness(landscape), sam_sharpness(landscape, adaptive=False)
    with torch.no_grad():
        network[0].weight *= factor
        network[2].weight /= factor
    assert sam_sharpness(landscape) == pytest.approx(before, rel=1e-3)
    assert sam_sharpness(landscape, adaptive=False) != pytest.approx(before_plain, rel=0.1)


def test_on_average_a_round_bowl_rises_by_half_its_curvature():
    at = np.array([3.0, -4.0, 0.0])
    assert average_sharpness(quadratic([2.0] * 3, at), rho=0.1, seed=0) == pytest.approx(
        0.5 * 2 * 0.5**2, rel=1e-4
    )


def test_on_average_a_bowl_rises_by_its_mean_curvature():
    h, at = np.arange(1.0, 41), np.full(40, 0.5)
    rise = average_sharpness(quadratic(h, at), rho=0.2, pairs=400, seed=0)
    assert rise == pytest.approx(0.5 * h.mean() * 0.2**2 * (at**2).sum(), rel=0.05)


def test_the_product_is_that_of_the_whole_hessian():
    network = dense()
    landscape = cross_entropy_of(network)
    whole = whole_hessian(network, vectors())
    for seed in range(3):
        vector = random(len(whole), seed)
        np.testing.assert_allclose(hessian_vector(landscape, vector), whole @ vector.double(), atol=1e-5)


def test_a_kept_graph_gives_the_same_product_again_and_again():
    network = dense()
    together = [
        Batch(
            *(torch.cat([getattr(b, part) for b in vectors()]) for part in ("inputs", "targets")),
            np.arange(20),
        )
    ]
    product, whole = hessian(cross_entropy_of(network, together)), whole_hessian(network, vectors())
    for seed in range(3):
        vector = random(len(whole), seed)
        np.testing.assert_allclose(product(vector), whole @ vector.double(), atol=1e-5)
    in_batches = hessian(cross_entropy_of(network))
    np.testing.assert_allclose(in_batches(vector), product(vector), atol=1e-5)


def test_the_gradient_is_that_of_all_batches():
    network = dense()
    slope = gradient(cross_entropy_of(network))
    inputs, targets = (torch.cat([getattr(b, part) for b in vectors()]) for part in ("inputs", "targets"))
    F.cross_entropy(network(inputs), targets).backward()
    torch.testing.assert_close(slope, torch.cat([p.grad.reshape(-1) for p in network.parameters()]))


@pytest.mark.parametrize("seed", range(3))
def test_lanczos_finds_the_ends_of_the_whole_hessian(seed):
    network = dense(seed)
    landscape = cross_entropy_of(network)
    exact = torch.linalg.eigvalsh(whole_hessian(network, vectors())).numpy()
    ends = lanczos(lambda v: hessian_vector(landscape, v), random(len(exact), seed))
    assert ends.converged[[0, -1]].all()
    assert ends.eigenvalues[[0, -1]] == pytest.approx(exact[[0, -1]], abs=1e-3 * np.abs(exact).max())
    full = lanczos(
        lambda v: hessian_vector(landscape, v), random(len(exact), seed), iterations=len(exact), tolerance=0
    )
    assert full.eigenvalues[[0, -1]] == pytest.approx(exact[[0, -1]], abs=1e-5)


def test_lanczos_finds_each_eigenvalue_once():
    """Without reorthogonalisation the largest comes again and again."""
    values = np.concatenate([np.linspace(0, 1, 199), [100.0]])
    diagonal = torch.tensor(values, dtype=torch.float32)
    ends = lanczos(lambda v: diagonal * v, random(200), iterations=60, tolerance=0)
    assert len(ends.eigenvalues) == 60
    assert (ends.eigenvalues > 50).sum() == 1
    assert ends.eigenvalues[-1] == pytest.approx(100, rel=1e-6)


def test_lanczos_says_what_it_does_not_know():
    diagonal = torch.linspace(0, 1, 5000)
    ends = lanczos(lambda v: diagonal * v, random(5000), iterations=5)
    assert len(ends.eigenvalues) == 5
    assert not ends.converged[-1]
    assert ends.eigenvalues[-1] < 0.99
    nothing = lanczos(lambda v: v * float("nan"), random(5))
    assert np.isnan(nothing.eigenvalues).all()
    assert not nothing.converged.any()


@given(st.integers(0, 1000), st.integers(2, 12))
def test_what_lanczos_calls_converged_is_near_an_eigenvalue(seed, iterations):
    matrix = torch.randn(40, 40, generator=torch.Generator().manual_seed(seed))
    matrix = matrix @ torch.diag(torch.logspace(-2, 1, 40)) @ matrix.T
    exact = torch.linalg.eigvalsh(matrix.double()).numpy()
    ends = lanczos(lambda v: matrix @ v, random(40, seed), iterations=iterations, tolerance=0.01)
    known = ends.eigenvalues[ends.converged]
    distance = np.abs(known[:, None] - exact).min(1) if len(known) else np.zeros(1)
    assert (distance <= 0.0101 * exact[-1]).all()
    assert ends.eigenvalues[-1] <= exact[-1] * (1 + 1e-5)


def test_all_of_it_together_leaves_the_network_and_follows_from_the_seed():
    torch.manual_seed(0)
    body = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1)
    network, batches = nn.Sequential(*body, nn.Flatten(), nn.Linear(3, 3)).eval(), pictures((8, 8))
    before = {name: values.clone() for name, values in network.state_dict().items()}
    landscape = cross_entropy_of(network, batches)
    first, again = (curvature(landscape, seed=3, iterations=60) for _ in range(2))
    assert first == again
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
    recalibrate(network, batches, forward=CLASSIFY)
    exact = torch.linalg.eigvalsh(whole_hessian(network, batches)).numpy()
    size = np.abs(exact).max()
    assert first.top_eigenvalue_converged
    assert first.lowest_eigenvalue_converged
    assert first.top_eigenvalue == pytest.approx(exact[-1], abs=2e-3 * size)
    assert first.lowest_eigenvalue == pytest.approx(exact[0], abs=2e-3 * size)
    assert first.trace == pytest.approx(exact.sum(), abs=4 * first.trace_se)
    assert first.trace_se > 0
    assert np.isfinite([first.sam_sharpness, first.average_sharpness]).all()


def test_lanczos_keeps_no_more_vectors_than_there_is_room_for(monkeypatch):
    network = dense()
    weights = sum(values.numel() for values in weights_of(network).values())
    monkeypatch.setattr(module, "BASIS_BYTES", 3 * 4 * weights)
    asked = []
    known = module.lanczos
    monkeypatch.setattr(
        module, "lanczos", lambda *given, iterations: asked.append(iterations) or known(*given)
    )
    curvature(cross_entropy_of(network), seed=0, probes=2)
    assert asked == [3]


def test_a_loss_that_is_a_straight_line_does_not_bend():
    network = nn.Linear(5, 3, bias=False)
    network.unused = nn.Parameter(torch.ones(4))
    landscape = Landscape(network, vectors(), (lambda logits, targets: logits.mean(),), CLASSIFY)
    assert not hessian_vector(landscape, random(19)).any()
    slope = gradient(landscape)
    mean = torch.cat([batch.inputs for batch in vectors()]).mean(0)
    torch.testing.assert_close(slope[:15], (mean / 3).repeat(3))
    assert not slope[15:].any()


def test_a_loss_that_is_no_number_has_no_curvature():
    network = dense()
    with torch.no_grad():
        network[0].weight.fill_(float("nan"))
    found = dataclasses.asdict(curvature(cross_entropy_of(network), seed=0, probes=2))
    assert not found.pop("top_eigenvalue_converged")
    assert not found.pop("lowest_eigenvalue_converged")
    assert np.isnan(list(found.values())).all()


@pytest.mark.parametrize(
    ("name", "task"), [row for row in EVERY if "resnet18" not in row[0]]
)  # 14 million weights
def test_every_network_can_be_differentiated_twice(name, task):
    network = zoo_network(name, task, in_channels=2, num_classes=3, size_hw=(64, 64)).eval()
    with torch.no_grad():  # biases of 0 lie on the kinks of ReLU
        for number, parameter in enumerate(one for one in network.parameters() if one.ndim == 1):
            parameter.add_(random(parameter.shape, number), alpha=0.01)
    (batch,) = pictures((2,), side=64, masks=task.endswith("segmentation"))
    landscape = Landscape(network, [batch], (F.cross_entropy,), ForwardPass(task, 3, torch.device("cpu")))
    vector = random(sum(parameter.numel() for parameter in network.parameters()))
    made, wanted = hessian(landscape)(vector), difference_of_gradients(network, batch, vector)
    assert wanted.any()
    assert float((made - wanted).norm()) <= 1e-3 * float(wanted.norm())
