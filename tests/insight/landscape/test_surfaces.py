"""One forward pass gives every criterion; batch norm is calibrated at every point, and nothing is left moved."""

import copy

import numpy as np
import pytest
import torch
from landscapes_to_try import CLASSIFY, SEGMENT, cross_entropy_of, dense, normed, pictures, vectors
from networks_to_try import EVERY
from networks_to_try import network as zoo_network
from torch import nn
from torch.nn import functional as F

from foldwise.errors import FoldwiseError
from foldwise.insight.landscape.directions import filter_normalised, raw_direction, weights_of
from foldwise.insight.landscape.points import Landscape, Pooled, batch_norms, evaluate, recalibrate
from foldwise.insight.landscape.surfaces import at_each, line, plane, rises, scattered
from foldwise.learning.networks.network import Classifier, freeze_encoder
from foldwise.learning.objectives.losses import make_loss
from foldwise.learning.training.scoring import ForwardPass
from foldwise.study.training import Choice


def state(network):
    return {name: values.clone() for name, values in network.state_dict().items()}


def unchanged(network, before):
    return all(torch.equal(values, before[name]) for name, values in network.state_dict().items())


def direction_of(network, seed=0):
    return filter_normalised(raw_direction(network, seed), weights_of(network))


ERROR = Pooled(
    lambda logits, targets: (logits.argmax(1) != targets).double().reshape(len(targets), -1).mean(1),
    lambda wrong_N: float(wrong_N.mean()),
)


class Counting(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.passes = inner, 0

    def forward(self, x):
        self.passes += 1
        return self.inner(x)


@pytest.mark.parametrize("task", ["multiclass_classification", "multiclass_segmentation"])
def test_criteria_of_one_pass_equal_those_of_their_own(task):
    masks = task.endswith("segmentation")
    torch.manual_seed(0)
    network = Counting(nn.Conv2d(2, 3, 3, padding=1) if masks else normed())
    batches, forward = pictures((8, 8, 3), masks=masks), SEGMENT if masks else CLASSIFY
    names = ["cross_entropy", "focal"] + ["dice", "dice_cross_entropy"] * masks
    losses = [make_loss(Choice(name=name), task=task, num_classes=3) for name in names]
    together = evaluate(network, batches, [*losses, ERROR], forward=forward)
    assert network.passes == 3
    alone = [evaluate(network, batches, [one], forward=forward)[0] for one in [*losses, ERROR]]
    assert together.tolist() == alone
    assert together.dtype == np.float64
    network.eval()
    with torch.no_grad():
        means = [float(losses[0](network(batch.inputs), batch.targets)) for batch in batches]
        wrong = sum(int((network(batch.inputs).argmax(1) != batch.targets).sum()) for batch in batches)
    assert together[0] == pytest.approx(np.average(means, weights=[8, 8, 3]), rel=1e-6)
    assert together[-1] == pytest.approx(wrong / sum(batch.targets.numel() for batch in batches), rel=1e-12)


def test_evaluation_keeps_the_mode_and_the_network():
    network = normed().train()
    before = state(network)
    evaluate(network, pictures(), [F.cross_entropy], forward=CLASSIFY)
    assert network.training
    assert unchanged(network, before)


@pytest.mark.parametrize("sizes", [(16,), (8, 8)])
def test_calibration_is_that_of_a_training_pass_with_a_cumulative_mean(sizes):
    network, batches = normed(dropout=0).eval(), pictures(sizes)
    reference = copy.deepcopy(network)
    recalibrate(network, batches, forward=CLASSIFY)
    for layer in reference:
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
    reference.train()
    with torch.no_grad():
        for batch in batches:
            reference(batch.inputs)
    assert unchanged(network, state(reference))
    assert network[1].momentum == 0.1


def test_calibration_drops_nothing_out_and_ends_in_evaluation_mode():
    torch.manual_seed(1)
    with_dropout, without = normed(dropout=0.9), normed(dropout=0)
    for network in (with_dropout, without):
        network.train()
        recalibrate(network, pictures(), forward=CLASSIFY)
        assert not any(layer.training for layer in network.modules())
    assert unchanged(with_dropout, state(without))


@pytest.mark.parametrize("sizes", [(16,), (8, 8)])
def test_at_zero_calibration_changes_nothing_where_the_statistics_are_exact(sizes):
    network, batches = normed(), pictures(sizes)
    recalibrate(network, batches, forward=CLASSIFY)
    exact = evaluate(network, batches, [F.cross_entropy], forward=CLASSIFY)[0]
    stale = cross_entropy_of(network, batches, recalibrated=False)
    for landscape in (cross_entropy_of(network, batches), stale):
        values = line(landscape, weights_of(network), direction_of(network), np.array([0.0]))
        assert values[0, 0] == pytest.approx(exact, abs=1e-4)


def test_one_pass_is_as_good_as_two():
    """Normalised by what it is given, each layer gives what it would with just these statistics kept."""
    network, batches = normed(dropout=0), pictures((16,), side=16)
    steps = np.linspace(-1, 1, 5)
    one = line(cross_entropy_of(network, batches), weights_of(network), direction_of(network), steps)
    for value, step in zip(one[0], steps, strict=True):
        moved = copy.deepcopy(network)
        with torch.no_grad():
            for name, parameter in moved.named_parameters():
                parameter.add_(direction_of(network)[name], alpha=float(step))
        recalibrate(moved, batches, forward=CLASSIFY)
        two = evaluate(moved, batches, [F.cross_entropy], forward=CLASSIFY)[0]
        assert value == pytest.approx(two, rel=2e-3)


def test_calibration_takes_the_scale_of_a_layer_away():
    """Before batch norm the scale of the weights does not matter; statistics of training make it seem to."""
    network, batches = normed(dropout=0), pictures()
    recalibrate(network, batches, forward=CLASSIFY)
    scale = {name: torch.zeros_like(values) for name, values in weights_of(network).items()}
    scale["0.weight"], scale["0.bias"] = network[0].weight.detach().clone(), network[0].bias.detach().clone()
    steps = np.array([0.0, 1.0])
    fresh, stale = (
        line(cross_entropy_of(network, batches, recalibrated=new), weights_of(network), scale, steps)[0]
        for new in (True, False)
    )
    assert fresh[1] == pytest.approx(fresh[0], abs=1e-4)
    assert abs(stale[1] - stale[0]) > 0.01


def test_a_frozen_encoder_keeps_its_statistics():
    encoder = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = freeze_encoder(Classifier(encoder, nn.Linear(4, 3)))
    before = state(network)
    assert not batch_norms(network)
    recalibrate(network, pictures(), forward=CLASSIFY)
    assert unchanged(network, before)


def test_which_networks_have_batch_norm():
    assert batch_norms(normed())
    assert not batch_norms(dense())
    assert not batch_norms(nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)))


def test_images_of_many_sizes_are_calibrated_where_one_image_has_no_spread():
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(2), nn.Linear(2, 3))
    mixed = pictures((8,)) + pictures((1,), side=6)
    recalibrate(network, mixed, forward=CLASSIFY)
    mean = mixed[0].inputs.mean((0, 2, 3))
    torch.testing.assert_close(network[2].running_mean, mean)
    with pytest.raises(FoldwiseError) as raised:
        recalibrate(network, pictures((1, 1)), forward=CLASSIFY)
    assert str(raised.value) == (
        "look: batch norm cannot be calibrated: every image is a batch of its own, and one image has no spread\n"
        "  → Look at more images, or give the images one size with 'data: {size: ...}'."
    )
    assert network[2].momentum == 0.1


def test_a_plane_has_rows_of_the_second_direction_and_leaves_the_network():
    network = normed().eval()
    before, weights = state(network), weights_of(network)
    axes = direction_of(network, 1), direction_of(network, 2)
    x, y = np.array([-1.0, 0.0, 0.5]), np.array([0.0, 2.0])
    points = []
    criteria = (F.cross_entropy, ERROR)
    landscape = Landscape(network, pictures(), criteria, CLASSIFY, watch=lambda: points.append("point"))
    values = plane(landscape, weights, axes, (x, y))
    assert values.shape == (2, 2, 3)
    assert len(points) == 6
    np.testing.assert_array_equal(values[:, 0], line(landscape, weights, axes[0], x))
    np.testing.assert_array_equal(values[:, :, 1], line(landscape, weights, axes[1], y))
    np.testing.assert_array_equal(
        values[:, 1, 2], scattered(landscape, weights, axes, np.array([[0.5, 2.0]]))[:, 0]
    )
    np.testing.assert_array_equal(at_each(landscape, [weights, weights]), np.stack([values[:, 0, 1]] * 2, 1))
    assert unchanged(network, before)
    assert len({values[0, i, j] for i in range(2) for j in range(3)}) == 6


def test_what_is_not_finite_is_nan_and_does_no_harm_to_the_next_point():
    network = normed()
    landscape, weights = cross_entropy_of(network, pictures()), weights_of(network)
    direction = {name: values * 1e37 for name, values in raw_direction(network, 0).items()}
    values = line(landscape, weights, direction, np.array([0.0, 100.0, 0.0]))[0]
    assert np.isnan(values[1])
    assert values[0] == values[2]


def test_surfaces_are_worked_in_float32_whatever_training_was():
    network = normed()
    coarse = ForwardPass("multiclass_classification", 3, torch.device("cpu"), "bf16")
    values = [
        Landscape(network, pictures(), (F.cross_entropy,), forward).values()[0]
        for forward in (CLASSIFY, coarse)
    ]
    assert values[0] == values[1]
    assert evaluate(network, pictures(), (F.cross_entropy,), forward=coarse)[0] != values[0]


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_every_network_can_be_looked_at(name, task):
    network = zoo_network(name, task, in_channels=2, num_classes=3, size_hw=(64, 64))
    masks = task.endswith("segmentation")
    forward = ForwardPass(task, 3, torch.device("cpu"))
    batches = pictures((3,), side=64, masks=masks)
    network.eval()
    before = state(network)
    landscape = Landscape(network, batches, (F.cross_entropy,), forward)
    values = line(landscape, weights_of(network), direction_of(network), np.array([-0.5, 0.0, 0.5]))
    assert np.isfinite(values).all()
    assert len(set(values[0])) == 3
    assert unchanged(network, before)


def test_nothing_to_evaluate_on_is_a_bug():
    with pytest.raises(AssertionError, match="nothing to evaluate on"):
        evaluate(dense(), [], [F.cross_entropy], forward=CLASSIFY)


def test_the_loss_of_cached_features():
    network = dense()
    values = cross_entropy_of(network).values()
    logits = torch.cat([network(batch.inputs).detach() for batch in vectors()])
    targets = torch.cat([batch.targets for batch in vectors()])
    assert values[0] == pytest.approx(float(F.cross_entropy(logits, targets)), rel=1e-6)


def test_the_rise_is_the_mean_over_the_points_within_a_distance():
    alpha = np.linspace(-1, 1, 21, dtype=np.float32)
    surface = (alpha[None, :] ** 2 + 3 * alpha[:, None])[None, None]
    arrays = {"alpha": alpha, "surface": surface.copy(), "centre": np.array([[0.5]])}
    for k, within in enumerate((0.25, 0.5, 1.0)):
        near = [x**2 + 3 * y for y in alpha for x in alpha if x * x + y * y <= within**2 + 1e-6]
        assert rises(arrays)[0, 0, k] == pytest.approx(np.mean(near) - 0.5, abs=1e-6)
    arrays["surface"][..., 10, 10:12] = np.nan
    assert np.isfinite(rises(arrays)).all()
    arrays["surface"][:] = np.nan
    assert np.isnan(rises(arrays)).all()
