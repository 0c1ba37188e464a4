"""The formulas of the maps and curves against the losses that train, and their slopes against autograd."""

import inspect

import numpy as np
import pytest
import torch

from foldwise.learning.objectives.losses import LOSSES, make_loss
from foldwise.learning.options import options_of
from foldwise.reporting.sections.training.pixel_losses import (
    PIXEL_LOSSES,
    dice,
    focal,
    loss_map,
    pixel_loss,
)
from foldwise.study.spec import IGNORE, Choice

TASKS = {2: "binary_segmentation", 4: "multiclass_segmentation"}
CHOICES = [
    ("cross_entropy", {}, (2, 4)),
    ("cross_entropy", {"weight": "balanced", "label_smoothing": 0.2}, (2, 4)),
    ("cross_entropy", {"weight": [0.3, 0.9]}, (2,)),
    ("cross_entropy", {"weight": [0.1, 0.0, 0.3, 0.2]}, (4,)),
    ("focal", {}, (2, 4)),
    ("focal", {"gamma": 0.5, "weight": "balanced"}, (2, 4)),
    ("focal", {"gamma": 5}, (2, 4)),
    ("dice", {}, (2, 4)),
    ("dice", {"smooth": 0}, (2, 4)),
    ("dice", {"background": True}, (2, 4)),
    ("dice_cross_entropy", {"dice_share": 0.3, "cross_entropy_share": 2, "weight": "balanced"}, (2, 4)),
    ("binary_cross_entropy", {}, (2,)),
    ("binary_cross_entropy", {"pos_weight": 3.5}, (2,)),
    ("binary_cross_entropy", {"pos_weight": "balanced"}, (2,)),
    ("binary_focal", {"gamma": 3, "alpha": 0.25}, (2,)),
    ("binary_focal", {}, (2,)),
]


def picture(classes, seed=0):
    """Logits, target with pixels that do not count and a class that is nowhere, and class counts."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(1, classes, 9, 7, generator=generator)
    target = torch.randint(0, max(2, classes - 1), (1, 9, 7), generator=generator)
    target[0, :2] = IGNORE
    return logits, target, np.array([700, 200, 90, 10][:classes])


@pytest.mark.parametrize(
    ("name", "options", "classes"),
    [
        pytest.param(name, options, classes, id=f"{name}-{options}-{classes}")
        for name, options, several in CHOICES
        for classes in several
    ],
)
def test_the_mean_of_the_shares_is_the_loss_that_trains(name, options, classes):
    logits, target, counts = picture(classes)
    choice = Choice(name=name, options=options)
    loss = make_loss(choice, task=TASKS[classes], num_classes=classes, class_counts=counts)
    p = logits.double().softmax(1)[0].numpy()
    drawn = loss_map(pixel_loss(choice), p, target[0].numpy(), counts)
    assert np.isnan(drawn).tolist() == (target[0] == IGNORE).tolist()
    assert np.nanmean(drawn) == pytest.approx(float(loss(logits, target)), rel=1e-5)
    assert np.nanmin(drawn) >= 0


def test_the_shares_of_soft_dice_add_up_to_one_minus_dice():
    p, true = np.array([[0.9, 0.4, 0.2, 0.7]]), np.array([[0, 1, 1, 1]])
    shares = loss_map(dice(smooth=0), np.stack([1 - p, p]), true, np.ones(2)) / 4
    wanted = 1 - 2 * (0.4 + 0.2 + 0.7) / (0.9 + 0.4 + 0.2 + 0.7 + 3)
    assert shares.sum() == pytest.approx(wanted, rel=1e-12)
    np.testing.assert_allclose(shares, [[0.9 / 5.2, 0.6 / 5.2, 0.8 / 5.2, 0.3 / 5.2]])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cross_entropy", {}),
        ("cross_entropy", {"label_smoothing": 0.1}),
        *(("focal", {"gamma": gamma}) for gamma in (0, 0.5, 1, 2, 3, 5)),
        ("binary_cross_entropy", {}),
        ("binary_focal", {"gamma": 2}),
    ],
)
def test_curves_and_slopes_are_those_of_autograd(name, options):
    choice = Choice(name=name, options=options)
    loss, drawn = make_loss(choice, task="binary_segmentation", num_classes=2), pixel_loss(choice)
    p = np.linspace(0.005, 0.995, 40)
    logits = torch.zeros(40, 2, 1, 1, dtype=torch.float64)
    logits[:, 1, 0, 0] = torch.from_numpy(np.log(p / (1 - p)))
    logits.requires_grad_()
    losses = [loss(one[None], torch.ones(1, 1, 1, dtype=torch.long)) for one in logits]
    slopes = torch.autograd.grad(torch.stack(losses).sum(), logits)[0][:, 1, 0, 0]
    np.testing.assert_allclose(
        drawn.curve(p), [one.item() for one in torch.stack(losses).detach()], rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(drawn.slope(p), np.abs(slopes.numpy()), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("gamma", "wanted"), [(1, 0.2539), (2, 0.1379), (3, 0.0680), (5, 0.0142)])
def test_the_slope_of_focal_is_not_that_of_a_detached_factor(gamma, wanted):
    p = 1 / (1 + np.exp(-0.5))
    assert float(focal(gamma=gamma).slope(np.array(p))) == pytest.approx(wanted, abs=6e-5)
    assert (1 - p) ** (
        gamma + 1
    ) < 0.6 * wanted  # what a focal loss that holds (1 - p)^gamma still would learn by


def test_every_loss_of_a_segmentation_has_a_row_with_its_options_and_defaults():
    wanted = {name for name, row in LOSSES.items() if row.fits & {"segmentation", "binary"}}
    assert set(PIXEL_LOSSES) == wanted
    for name, made in PIXEL_LOSSES.items():
        own = {key: one.default for key, one in inspect.signature(made).parameters.items()}
        assert own == {key: one.default for key, one in options_of(LOSSES[name].make).items()}, name


def test_a_loss_of_a_users_own_has_no_formula_and_nothing_counted_is_no_map():
    assert pixel_loss(Choice(name="mine:loss")) is None
    nothing = np.full((2, 2), IGNORE)
    assert np.isnan(loss_map(dice(), np.full((2, 2, 2), 0.5), nothing, np.ones(2))).all()
