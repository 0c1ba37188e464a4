"""What each pixel adds to a loss, and the curve of one case: against the loss that trains, formulas and autograd."""

import numpy as np
import pytest
import torch

from foldwise.learning.objectives.loss_formulas import Loss, Problem
from foldwise.learning.objectives.losses import (
    LOSSES,
    LossRow,
    dice,
    losses_to_map,
    make_loss,
)
from foldwise.learning.training.fit_files import loss_curve
from foldwise.study.own_code import trusting
from foldwise.study.ranges import IGNORE
from foldwise.study.training import Choice, stated_loss

TASKS = {2: "binary_segmentation", 4: "multiclass_segmentation"}
WEIGHTED = {"weight": "balanced", "label_smoothing": 0.2}
SUMMED = {"dice_share": 0.3, "cross_entropy_share": 2, "weight": "balanced"}
CHOICES = [
    *((name, {}, (2, 4)) for name in ("cross_entropy", "focal", "dice", "dice_cross_entropy")),
    *((name, {}, (2,)) for name in ("binary_cross_entropy", "binary_focal")),
    ("cross_entropy", WEIGHTED, (2, 4)),
    ("cross_entropy", {"weight": [0.3, 0.9]}, (2,)),
    ("cross_entropy", {"weight": [0.1, 0.0, 0.3, 0.2]}, (4,)),
    ("focal", {"gamma": 0.5, "weight": "balanced"}, (2, 4)),
    ("focal", {"gamma": 5}, (2, 4)),
    ("dice", {"smooth": 0}, (2, 4)),
    ("dice", {"background": True}, (2, 4)),
    ("dice_cross_entropy", SUMMED, (2, 4)),
    ("binary_cross_entropy", {"pos_weight": 3.5}, (2,)),
    ("binary_cross_entropy", {"pos_weight": "balanced"}, (2,)),
    ("binary_focal", {"gamma": 3, "alpha": 0.25}, (2,)),
]
PAIRS = [
    pytest.param(Choice(name=name, options=options), classes, id=f"{name}-{options}-{classes}")
    for name, options, several in CHOICES
    for classes in several
]


def test_every_loss_is_taken_apart_here():
    assert {name for name, *_ in CHOICES} == set(LOSSES)


def images(classes, num):
    """Logits, targets with pixels that do not count and a class that is nowhere, and class counts."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(num, classes, 9, 7, generator=generator)
    target = torch.randint(0, max(2, classes - 1), (num, 9, 7), generator=generator)
    target[:, :2] = IGNORE
    return logits, target, np.array([700, 200, 90, 10][:classes])


@pytest.mark.parametrize("num", [1, 3])
@pytest.mark.parametrize(("choice", "classes"), PAIRS)
def test_the_mean_of_the_shares_is_the_loss_that_trains(choice, classes, num):
    logits, target, counts = images(classes, num)
    loss = make_loss(choice, task=TASKS[classes], num_classes=classes, class_counts=counts)
    shares = loss.shares(logits, target)
    assert shares.isnan().tolist() == (target == IGNORE).tolist()
    assert float(shares.nanmean()) == pytest.approx(float(loss(logits, target)), rel=1e-5)
    assert (shares[target != IGNORE] >= 0).all()


@pytest.mark.parametrize("task", ["multiclass_classification", "multilabel_classification"])
def test_images_have_shares_as_pixels_have(task):
    logits, target = torch.tensor([[2.0, -1.0], [0.5, 0.0], [0.0, 3.0]]), torch.tensor([0, 1, 0])
    if task.startswith("multilabel"):
        target = torch.tensor([[0, 1], [1, 1], [255, 0]])
    loss = make_loss(Choice(name="auto"), task=task, num_classes=2)
    shares = loss.shares(logits, target)
    assert shares.shape == target.shape
    assert float(shares.nanmean()) == pytest.approx(float(loss(logits, target)), rel=1e-6)


def test_the_shares_of_soft_dice_add_up_to_one_minus_dice():
    p, target = torch.tensor([0.9, 0.4, 0.2, 0.7]), torch.tensor([[[0, 1, 1, 1]]])
    loss = dice(Problem("binary_segmentation", 2), smooth=0)
    shares = loss.shares(torch.stack([1 - p, p]).log()[None, :, None], target) / 4
    assert float(shares.sum()) == pytest.approx(1 - 2 * (0.4 + 0.2 + 0.7) / (0.9 + 0.4 + 0.2 + 0.7 + 3))
    np.testing.assert_allclose(shares[0, 0], [0.9 / 5.2, 0.6 / 5.2, 0.8 / 5.2, 0.3 / 5.2], rtol=1e-5)


def test_nothing_that_counts_is_no_share():
    loss = make_loss(Choice(name="dice_cross_entropy"), task="binary_segmentation", num_classes=2)
    assert loss.shares(torch.zeros(1, 2, 2, 2), torch.full((1, 2, 2), IGNORE)).isnan().all()


def focal_loss(p, gamma):
    """The loss and its slope by the logit: both factors move."""
    return -((1 - p) ** gamma) * np.log(p), (1 - p) ** gamma * (1 - p - gamma * p * np.log(p))


@pytest.mark.parametrize(
    "task", ["binary_classification", "multilabel_classification", "binary_segmentation"]
)
@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 3, 5])
def test_curves_and_slopes_are_those_of_the_formula(task, gamma):
    name = "binary_focal" if gamma else "binary_cross_entropy"
    drawn = loss_curve(Choice(name=name, options={"gamma": gamma} if gamma else {}), task)
    p = drawn["p"].astype(float)
    loss, slope = focal_loss(p, gamma)
    assert p[[0, -1]] == pytest.approx([0.002, 0.998])
    np.testing.assert_allclose(drawn["loss"], loss, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(drawn["slope"], slope, rtol=1e-3, atol=1e-6)


def test_the_rest_of_a_smoothed_target_lies_on_the_other_class():
    choice = Choice(name="cross_entropy", options={"label_smoothing": 0.1})
    drawn = loss_curve(choice, "multiclass_classification")
    p = drawn["p"].astype(float)
    np.testing.assert_allclose(drawn["loss"], -0.95 * np.log(p) - 0.05 * np.log1p(-p), rtol=1e-4)
    np.testing.assert_allclose(drawn["slope"], np.abs(p - 0.95), atol=1e-5)


@pytest.mark.parametrize(
    ("plain", "weighted"),
    [
        (("cross_entropy", {}), ("cross_entropy", {"weight": "class_balanced", "beta": 0.9})),
        (("binary_cross_entropy", {}), ("binary_cross_entropy", {"pos_weight": 4.0})),
        (("binary_focal", {}), ("binary_focal", {"alpha": 0.25})),
        (("focal", {"gamma": 1}), ("focal", {"gamma": 1, "weight": [1.0, 9.0]})),
    ],
)
def test_losses_that_differ_in_weights_alone_have_one_curve(plain, weighted):
    curves = [loss_curve(Choice(name=name, options=options), "binary_classification") for name, options in (plain, weighted)]  # fmt: skip
    assert curves[0]["loss"].tobytes() == curves[1]["loss"].tobytes()


@pytest.mark.parametrize("name", [*LOSSES, "auto", "mine:loss"])
def test_a_loss_of_many_pixels_together_or_a_users_own_has_no_curve(name):
    choice = stated_loss(Choice(name=name), "binary_segmentation")
    alone = choice.name in LOSSES and LOSSES[choice.name].alone
    assert (loss_curve(Choice(name=name), "binary_segmentation") is not None) == alone


def test_maps_are_of_the_own_loss_first_and_then_of_every_row_that_fits():
    counts = np.array([90, 10])
    own = Choice(name="focal", options={"gamma": 1})
    ask = {"task": "binary_segmentation", "num_classes": 2, "class_counts": counts}
    assert list(losses_to_map(own, **ask)) == ["focal (gamma 1)", *LOSSES]
    auto = list(losses_to_map(Choice(name="auto"), **ask))
    assert auto[0] == "dice_cross_entropy"
    assert sorted(auto) == sorted(LOSSES)
    ask = {"task": "multiclass_segmentation", "num_classes": 3, "class_counts": np.ones(3)}
    assert "binary_focal" not in losses_to_map(Choice(name="dice"), **ask)


def test_a_users_own_loss_has_no_map():
    ask = {"task": "binary_segmentation", "num_classes": 2, "class_counts": np.ones(2)}
    name = f"{__name__}:users_loss"
    with trusting({name}):
        assert list(losses_to_map(Choice(name=name), **ask)) == list(LOSSES)


def test_a_new_loss_is_a_function_and_a_row(monkeypatch):
    """Whatever trains, draws maps and draws curves asks the table."""

    class Squared(Loss):
        def forward(self, logits, target):
            return self.shares(logits, target).nanmean()

        def shares(self, logits, target):
            apart = (1 - logits.float().softmax(1).gather(1, target.long().clamp(max=1)[:, None])[:, 0]) ** 2
            return torch.where(target == IGNORE, torch.nan, apart)

    def squared(problem):
        return Squared(problem)

    monkeypatch.setitem(LOSSES, "squared", LossRow(squared, frozenset({"one", "segmentation"})))
    choice = Choice(name="squared")
    drawn = loss_curve(choice, "binary_classification")
    np.testing.assert_allclose(drawn["loss"], (1 - drawn["p"]) ** 2, atol=1e-6)
    ask = {"task": "binary_segmentation", "num_classes": 2, "class_counts": np.ones(2)}
    assert list(losses_to_map(choice, **ask))[0] == "squared"  # noqa: RUF015
    assert "squared" in losses_to_map(Choice(name="dice"), **ask)


def users_loss():
    return lambda logits, target: logits.sum()
