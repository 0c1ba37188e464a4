"""Losses against independent ones: torch, torchvision, numpy; and what all of them must have in common."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from foldwise.errors import SpecError
from foldwise.learning.networks.lean_imports import library
from foldwise.learning.objectives.losses import LOSSES, check_loss, make_loss
from foldwise.study.ranges import IGNORE
from foldwise.study.training import Choice, stated_loss

sigmoid_focal_loss = library("torchvision").ops.sigmoid_focal_loss
TASKS = {
    "binary_classification": 2,
    "multiclass_classification": 4,
    "multilabel_classification": 4,
    "binary_segmentation": 2,
    "multiclass_segmentation": 4,
}


def loss_of(name, task="multiclass_classification", counts=None, num_cases=None, **options):
    counts = np.arange(1, TASKS[task] + 1) * 10 if counts is None else counts
    choice = Choice(name=name, options=options)
    return make_loss(
        choice, task=task, num_classes=TASKS[task], class_counts=np.asarray(counts), num_cases=num_cases
    )


def fits(name, task):
    try:
        check_loss(Choice(name=name), task=task, num_classes=TASKS[task])
    except SpecError:
        return False
    return True


PAIRS = [pair for pair in itertools.product(LOSSES, TASKS) if fits(*pair)]


def batch(task, seed=0, dtype=torch.float32):
    """Random logits and a target that holds every class and a few ignored cases."""
    random = torch.Generator().manual_seed(seed)
    classes, size = TASKS[task], (6, 5) if task.endswith("segmentation") else ()
    logits = torch.randn(8, classes, *size, generator=random, dtype=dtype) * 2
    shape = (8, classes) if task == "multilabel_classification" else (8, *size)
    target = torch.randint(0, 2 if task == "multilabel_classification" else classes, shape, generator=random)
    target.view(-1)[1::7] = IGNORE
    return logits, target


def perfect(target, task, sure=60.0):
    """Logits that say the target and are sure of it."""
    if task == "multilabel_classification":
        return torch.where(target == 1, sure, -sure)
    answer = torch.where(target == IGNORE, 0, target)
    return F.one_hot(answer, TASKS[task]).movedim(-1, 1).float() * sure


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_much(name, task):
    target = batch(task)[1]
    loss, logits = loss_of(name, task), perfect(target, task)
    assert float(loss(logits, target)) == pytest.approx(0, abs=1e-4)
    assert float(loss(-logits, target)) > 0.3


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_logits_are_not_probabilities(name, task):
    logits, target = batch(task)
    p = logits.sigmoid() if task == "multilabel_classification" else logits.softmax(1)
    loss = loss_of(name, task)
    assert abs(float(loss(p, target)) - float(loss(logits, target))) > 0.01


@pytest.mark.parametrize(("name", "task"), [pair for pair in PAIRS if pair[1] != "multilabel_classification"])
def test_adding_a_number_to_all_logits_changes_nothing(name, task):
    logits, target = batch(task)
    loss = loss_of(name, task)
    assert float(loss(logits + 7.5, target)) == pytest.approx(float(loss(logits, target)), rel=1e-4)


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_doubling_the_logits_changes_the_loss(name, task):
    logits, target = batch(task)
    loss = loss_of(name, task)
    assert abs(float(loss(2 * logits, target)) - float(loss(logits, target))) > 0.003


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_what_is_ignored_has_no_gradient_and_no_say(name, task):
    logits, target = batch(task)
    loss = loss_of(name, task)
    logits.requires_grad_()
    value = loss(logits, target)
    value.backward()
    ignored = target == IGNORE
    if task != "multilabel_classification":
        ignored = ignored[:, None].expand_as(logits)
    assert not logits.grad[ignored].any()
    assert logits.grad[~ignored].any()
    changed = torch.where(ignored, 99.0, logits)
    assert loss(changed, target).item() == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_a_batch_with_nothing_to_count_costs_nothing(name, task):
    logits, target = batch(task)
    logits.requires_grad_()
    loss = loss_of(name, task)(logits, torch.full_like(target, IGNORE))
    loss.backward()
    assert loss.item() == pytest.approx(0)
    assert not logits.grad.any()


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_the_gradient_is_the_slope(name, task):
    logits, target = batch(task, dtype=torch.float64)
    logits, target = logits[:2].clone().requires_grad_(), target[:2]
    loss = loss_of(name, task)
    (slope,) = torch.autograd.grad(loss(logits, target), logits)
    random = torch.Generator().manual_seed(1)
    for _ in range(3):
        way = torch.randn(logits.shape, generator=random, dtype=torch.float64)
        step = 1e-2  # losses are computed in float32
        up, down = (loss(logits.detach() + sign * step * way, target).item() for sign in (1, -1))
        measured = (up - down) / (2 * step)
        assert float((slope * way).sum()) == pytest.approx(measured, rel=5e-3, abs=5e-4)


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_half_precision_logits_cost_the_same(name, task):
    logits, target = batch(task)
    half = logits.bfloat16()
    loss = loss_of(name, task)(half, target)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(loss_of(name, task)(half.float(), target)))


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_small_integer_targets_do(name, task):
    logits, target = batch(task)
    loss = loss_of(name, task)
    assert float(loss(logits, target.to(torch.uint8))) == pytest.approx(float(loss(logits, target)))


@pytest.mark.parametrize("task", ["multiclass_classification", "multiclass_segmentation"])
@pytest.mark.parametrize("options", [{}, {"weight": [1.0, 2.0, 0.5, 3.0]}, {"label_smoothing": 0.1}])
def test_cross_entropy_is_that_of_torch(task, options):
    logits, target = batch(task)
    weight = torch.tensor(options["weight"]) if "weight" in options else None
    smoothing = options.get("label_smoothing", 0.0)
    theirs = F.cross_entropy(logits, target, weight, ignore_index=IGNORE, label_smoothing=smoothing)
    assert float(loss_of("cross_entropy", task, **options)(logits, target)) == pytest.approx(
        float(theirs), rel=1e-5
    )


@pytest.mark.parametrize("weight", ["none", "balanced", [1.0, 2.0, 0.5, 3.0]])
def test_focal_with_gamma_0_is_cross_entropy(weight):
    logits, target = batch("multiclass_segmentation")
    one = loss_of("focal", "multiclass_segmentation", gamma=0, weight=weight)(logits, target)
    two = loss_of("cross_entropy", "multiclass_segmentation", weight=weight)(logits, target)
    assert float(one) == pytest.approx(float(two), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_of_two_classes_is_that_of_torchvision(gamma):
    logits, target = batch("binary_classification")
    counted = target != IGNORE
    z = (logits[:, 1] - logits[:, 0])[counted]
    theirs = sigmoid_focal_loss(z, target[counted].float(), alpha=-1, gamma=gamma, reduction="mean")
    for name in ("focal", "binary_focal"):
        ours = loss_of(name, "binary_classification", gamma=gamma)(logits, target)
        assert float(ours) == pytest.approx(float(theirs), rel=1e-4)


def test_binary_focal_weighs_as_torchvision_does():
    logits, target = batch("multilabel_classification")
    theirs = sigmoid_focal_loss(logits, target.clamp(max=1).float(), alpha=0.25, gamma=2.0)
    ours = loss_of("binary_focal", "multilabel_classification", alpha=0.25)(logits, target)
    assert float(ours) == pytest.approx(float(theirs[target != IGNORE].mean()), rel=1e-4)


@pytest.mark.parametrize(("gamma", "slope"), [(1.0, -0.2539), (2.0, -0.1379), (3.0, -0.0680), (5.0, -0.0142)])
def test_the_gradient_flows_through_both_factors_of_focal(gamma, slope):
    """Slopes with respect to the true logit, worked out by hand at the p of `numbers`."""
    p = np.linspace(0.5, 0.9, 4001)
    by_hand = p * (1 - p) ** gamma * (gamma * np.log(p)) - (1 - p) ** (gamma + 1)
    nearest = p[np.abs(by_hand - slope).argmin()]
    z = torch.tensor([[0.0, float(np.log(nearest / (1 - nearest)))]], requires_grad=True)
    loss_of("focal", "binary_classification", gamma=gamma)(z, torch.tensor([1])).backward()
    assert float(z.grad[0, 1]) == pytest.approx(slope, abs=2e-3)


def test_focal_has_a_finite_slope_where_it_is_sure():
    z = torch.tensor([[0.0, 200.0]], requires_grad=True)
    loss_of("focal", "binary_classification", gamma=0.5)(z, torch.tensor([1])).backward()
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize("background", [False, True])
def test_dice_is_its_formula(smooth, background):
    logits, target = batch("multiclass_segmentation")
    target[target == 3] = 2  # class 3 is empty
    z, t = logits.double().numpy(), target.numpy()
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    terms = []
    for k in range(0 if background else 1, 4):
        true, p_k = (t == k) & (t != IGNORE), np.where(t != IGNORE, p[:, k], 0)
        if smooth or true.any():
            terms.append(1 - (2 * (p_k * true).sum() + smooth) / (p_k.sum() + true.sum() + smooth))
    ours = loss_of("dice", "multiclass_segmentation", smooth=smooth, background=background)(logits, target)
    assert float(ours) == pytest.approx(np.mean(terms), rel=1e-5)


def test_dice_of_classes_that_are_not_there():
    empty = torch.zeros(1, 4, 4, dtype=torch.long)
    nothing, something = perfect(empty, "binary_segmentation"), perfect(empty + 1, "binary_segmentation")
    assert float(loss_of("dice", "binary_segmentation")(nothing, empty)) == pytest.approx(0)
    assert float(loss_of("dice", "binary_segmentation")(something, empty)) == pytest.approx(16 / 17)
    assert float(loss_of("dice", "binary_segmentation", smooth=0)(something, empty)) == 0


def test_dice_cross_entropy_is_the_sum_of_its_shares():
    logits, target = batch("multiclass_segmentation")
    parts = [
        float(loss_of(name, "multiclass_segmentation")(logits, target)) for name in ("dice", "cross_entropy")
    ]
    both = loss_of("dice_cross_entropy", "multiclass_segmentation", dice_share=2, cross_entropy_share=0.5)
    assert float(both(logits, target)) == pytest.approx(2 * parts[0] + 0.5 * parts[1])


def test_binary_cross_entropy_of_two_logits_is_cross_entropy():
    logits, target = batch("binary_segmentation")
    one, two = (
        loss_of(name, "binary_segmentation")(logits, target)
        for name in ("binary_cross_entropy", "cross_entropy")
    )
    assert float(one) == pytest.approx(float(two), rel=1e-5)


@pytest.mark.parametrize("pos_weight", [3.0, [1.0, 2.0, 3.0, 4.0]])
def test_positive_answers_weigh_as_torch_weighs_them(pos_weight):
    logits, target = batch("multilabel_classification")
    weight = torch.tensor(pos_weight)
    theirs = F.binary_cross_entropy_with_logits(
        logits, target.clamp(max=1).float(), pos_weight=weight, reduction="none"
    )[target != IGNORE].mean()
    ours = loss_of("binary_cross_entropy", "multilabel_classification", pos_weight=pos_weight)(logits, target)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)


def test_balanced_positive_weights_are_negatives_for_each_positive():
    loss = loss_of(
        "binary_cross_entropy", "multilabel_classification", [10, 50, 0, 100], 100, pos_weight="balanced"
    )
    assert loss.weight.tolist() == [9, 1, 100, 0]
    assert (
        float(loss_of("binary_cross_entropy", "binary_segmentation", [90, 10], pos_weight="balanced").weight)
        == 9
    )


def test_balanced_weights_make_classes_count_alike():
    counts = np.array([100, 10, 5, 0])
    weight = loss_of("cross_entropy", counts=counts, weight="balanced").weight_K.numpy()
    assert (weight * counts)[:3] == pytest.approx([115 / 4] * 3)
    assert weight[3] == 0


def test_class_balanced_weights_are_those_of_the_paper():
    counts, beta = np.array([5000, 500, 50, 5]), 0.999
    effective = np.array([sum(beta**power for power in range(n)) for n in counts])
    wanted = (1 / effective) * 4 / (1 / effective).sum()
    weight = loss_of("cross_entropy", counts=counts, weight="class_balanced", beta=beta).weight_K.numpy()
    assert weight == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(("beta", "wanted"), [(0.0, [1, 1, 1, 1]), (0.9999999, [0.16, 0.32, 0.64, 2.88])])
def test_class_balanced_goes_from_plain_to_inverse_counts(beta, wanted):
    counts = np.array([180, 90, 45, 10])
    weight = loss_of("cross_entropy", counts=counts, weight="class_balanced", beta=beta).weight_K.numpy()
    assert weight == pytest.approx(wanted, rel=1e-4)


def test_with_more_than_255_classes_none_is_ignored():
    loss = make_loss(Choice(name="auto"), task="multiclass_classification", num_classes=300)
    assert float(loss(torch.zeros(1, 300), torch.tensor([255]))) == pytest.approx(np.log(300))


@pytest.mark.parametrize("task", TASKS)
def test_auto_fits_every_task(task):
    check_loss(Choice(name="auto"), task=task, num_classes=TASKS[task])
    assert fits(stated_loss(Choice(name="auto"), task).name, task)


REFUSED = [
    ("dicee", {}, "multiclass_segmentation", "Did you mean 'dice'?"),
    ("focal", {"gama": 1.0}, "multiclass_segmentation", "Did you mean 'gamma'?"),
    ("focal", {"gamma": -1}, "multiclass_segmentation", "must be at least 0, got -1"),
    ("auto", {"gamma": 1}, "multiclass_segmentation", "the loss 'auto' has no options"),
    (
        "dice",
        {},
        "binary_classification",
        "does not fit binary classification\n  → Use one of: cross_entropy, focal, bin",
    ),
    ("cross_entropy", {}, "multilabel_classification", "Use one of: binary_cross_entropy, binary_focal."),
    ("binary_focal", {}, "multiclass_segmentation", "does not fit multiclass segmentation"),
    ("cross_entropy", {"weight": [1.0, 2.0]}, "multiclass_segmentation", "2 class weights for 4 classes"),
    ("cross_entropy", {"weight": [0, 0, 0, 0]}, "multiclass_segmentation", "not all of them 0"),
    (
        "cross_entropy",
        {"weight": "balance"},
        "multiclass_segmentation",
        "one of none, balanced, class_balanced",
    ),
    (
        "cross_entropy",
        {"weight": "class_balanced"},
        "multiclass_segmentation",
        "counts images, and this task counts pixels",
    ),
    (
        "binary_cross_entropy",
        {"pos_weight": [1.0]},
        "binary_segmentation",
        "1 positive weights for one question",
    ),
    (
        "binary_cross_entropy",
        {"pos_weight": [1.0]},
        "multilabel_classification",
        "1 positive weights for 4 labels",
    ),
]


@pytest.mark.parametrize(("name", "options", "task", "part"), REFUSED)
def test_what_does_not_exist_or_fit_is_refused(name, options, task, part):
    with pytest.raises(SpecError) as refused:
        check_loss(Choice(name=name, options=options), task=task, num_classes=TASKS[task])
    assert part in str(refused.value)
