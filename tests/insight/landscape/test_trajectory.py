"""The plane of a trajectory against principal components worked out in full, and what chance alone gives."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from foldwise.insight.landscape import directions
from foldwise.insight.landscape.directions import fit_plane, null_shares


def flat(vector):
    return np.concatenate([values.double().numpy().ravel() for values in vector.values()])


def checkpoints(points):
    """Rows as weights of two layers, of which one is a matrix."""
    return [
        {
            "a.weight": torch.tensor(row[:6], dtype=torch.float32).reshape(2, 3),
            "b": torch.tensor(row[6:]).float(),
        }
        for row in points
    ]


def walk(steps, dimensions, seed=0):
    return np.random.default_rng(seed).standard_normal((steps, dimensions)).cumsum(0)


@given(st.integers(3, 12), st.integers(8, 40), st.integers(0, 1000))
def test_it_is_the_principal_components_of_the_checkpoints(num, dimensions, seed):
    points = walk(num, dimensions, seed)
    plane = fit_plane(checkpoints(points))
    full = PCA(2).fit(points.astype(np.float32).astype(float))
    np.testing.assert_allclose(plane.shares, full.explained_variance_ratio_, rtol=1e-5)
    for axis, component in zip(plane.axes, full.components_, strict=True):
        assert abs(flat(axis) @ component) == pytest.approx(1, abs=1e-4)
    from_last = full.transform(points) - full.transform(points)[-1]
    np.testing.assert_allclose(np.abs(plane.coordinates), np.abs(from_last), atol=1e-3)


@given(st.integers(2, 12), st.integers(8, 40), st.integers(0, 1000))
def test_coordinates_and_residuals_are_those_of_a_projection(num, dimensions, seed):
    points = walk(num, dimensions, seed)
    given_points = checkpoints(points)
    plane = fit_plane(given_points)
    last = flat(given_points[-1])
    assert plane.coordinates[-1] == pytest.approx([0, 0], abs=1e-12)
    assert plane.residual[-1] == 0
    assert plane.coordinates[0, 0] >= 0
    for point, coordinates, residual in zip(given_points, plane.coordinates, plane.residual, strict=True):
        along = [(flat(point) - last) @ flat(axis) for axis in plane.axes]
        np.testing.assert_allclose(along, coordinates, atol=1e-4)
        nearest = last + sum(c * flat(axis) for c, axis in zip(coordinates, plane.axes, strict=True))
        distance = np.linalg.norm(flat(point) - last)
        assert np.linalg.norm(flat(point) - nearest) == pytest.approx(residual * distance, abs=1e-3)
        assert 0 <= residual <= 1


def test_a_way_within_a_plane_leaves_nothing_out():
    time = np.linspace(0, 1, 9)[:, None]
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((30, 2)))[0].T
    plane = fit_plane(checkpoints(3 + np.hstack([5 * time, np.sin(4 * time)]) @ axes))
    assert plane.shares.sum() == pytest.approx(1, abs=1e-6)
    assert plane.residual.max() < 1e-3


def test_a_straight_way_has_one_axis():
    plane = fit_plane(checkpoints(np.outer([3.0, 1.0, 0.0], np.arange(8.0))))
    assert plane.shares == pytest.approx([1, 0], abs=1e-9)
    assert not flat(plane.axes[1]).any()
    length = np.linalg.norm(np.arange(8.0))
    np.testing.assert_allclose(plane.coordinates, [[3 * length, 0], [length, 0], [0, 0]], atol=1e-5)


@pytest.mark.parametrize("num", [1, 4])
def test_standing_still_has_no_plane_and_no_shares(num):
    plane = fit_plane(checkpoints(np.ones((num, 10))))
    assert np.isnan(plane.shares).all()
    assert plane.shares.shape == (2,)
    assert plane.coordinates.tolist() == [[0, 0]] * num
    assert not plane.residual.any()
    assert not flat(plane.axes[0]).any()


def test_the_inner_products_do_not_depend_on_the_chunks(monkeypatch):
    points = checkpoints(walk(6, 40))
    whole = fit_plane(points)
    monkeypatch.setattr(directions, "CHUNK", 5)
    np.testing.assert_allclose(fit_plane(points).coordinates, whole.coordinates, rtol=1e-10, atol=1e-9)


def test_a_random_walk_seems_to_move_in_a_plane():
    """Antognini & Sohl-Dickstein 2018: 500 steps in 5000 dimensions."""
    points = walk(500, 5000)
    plane = fit_plane(checkpoints(points))
    centred = points - points.mean(0)
    shares = np.linalg.eigvalsh(centred @ centred.T)[::-1]
    assert plane.shares == pytest.approx([0.607, 0.154], abs=0.01)
    assert (shares / shares.sum())[2] == pytest.approx(0.068, abs=0.004)
    assert null_shares(500, 5000) == pytest.approx([0.6079, 0.1520], abs=1e-4)
    assert plane.shares == pytest.approx(null_shares(500, 5000), abs=0.01)


def test_the_shares_of_a_long_random_walk():
    assert null_shares(10**6, 10**6) == pytest.approx([6 / np.pi**2, 6 / (4 * np.pi**2)], rel=1e-9)


@pytest.mark.parametrize("num", [2, 3, 5, 20])
def test_the_shares_of_a_short_random_walk(num):
    """Against the covariance of a walk itself, and against walks."""
    covariance = np.minimum.outer(np.arange(num), np.arange(num)).astype(float)
    centring = np.eye(num) - 1 / num
    values = np.linalg.eigvalsh(centring @ covariance @ centring)[::-1][:2]
    exact = values / np.trace(centring @ covariance @ centring)
    assert null_shares(num, 10**5) == pytest.approx(exact, abs=1e-9)
    drawn = [fit_plane(checkpoints(walk(num, 5000, seed))).shares for seed in range(5)]
    assert np.mean(drawn, 0) == pytest.approx(exact, abs=0.01)


def test_the_shares_of_few_dimensions_are_higher():
    assert null_shares(10, 1) == pytest.approx([1, 0])
    assert null_shares(20, 30).sum() > null_shares(20, 10**4).sum() + 0.01
    assert null_shares(20, 999) == pytest.approx(null_shares(20, 1000), abs=0.01)
    assert np.isnan(null_shares(1, 100)).all()
