"""The parts of a look: criteria against other programs' numbers, layers, and where a network looks."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from networks_to_try import CLASSIFY, network
from sklearn.metrics import balanced_accuracy_score, f1_score
from torch import nn
from torch.nn import functional as F

from foldwise.data.batches.batches import Batch
from foldwise.errors import SpecError
from foldwise.insight.attention import (
    NO_MAP,
    TOKENS,
    attention_maps,
    images_to_show,
    why_absent,
)
from foldwise.insight.landscape.criteria import check_losses, error_of, trivial_predictor
from foldwise.insight.landscape.curvature import gradient
from foldwise.insight.landscape.directions import trainable, unflattened
from foldwise.insight.landscape.points import Landscape, evaluate
from foldwise.insight.layers import BINS, Layers, layers_in_order
from foldwise.insight.replay import largest_difference, most_steps
from foldwise.learning.training.scoring import ForwardPass
from foldwise.metrics.influence import value_of
from foldwise.metrics.outputs import FAMILIES, Outputs
from foldwise.metrics.table import METRICS, metrics_of
from foldwise.study.ranges import IGNORE
from foldwise.study.training import Choice

CPU = torch.device("cpu")
LABELS = ForwardPass(CLASSIFY, 3, CPU)


class Says(nn.Module):
    """Takes the logits that it is given as inputs."""

    def forward(self, logits):
        return logits


def masks(seed, *, num=5, classes=3, side=6):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.standard_normal((num, classes, side, side))).float()
    target = torch.from_numpy(rng.integers(0, classes, (num, side, side)))
    target[0] = 0
    logits[0, 0] += 50  # all background in truth and answer: left out of a mean over images
    target[1, :2] = IGNORE
    return logits, target


def value(error, batches, task, classes=3):
    return evaluate(Says(), batches, [error.of], forward=ForwardPass(task, classes, CPU))[0]


def in_parts(logits, target):
    return [
        Batch(logits[:2], target[:2], np.arange(2)),
        Batch(logits[2:], target[2:], np.arange(2, len(target))),
    ]


@pytest.mark.parametrize(
    ("name", "row"),
    [(name, name) for name, row in metrics_of("segmentation").items() if row.needs == "decisions"]
    + [(name, "dice_img_macro") for name in ("dice", "auto", "nsd", "log_loss")],
)
def test_errors_of_masks_are_those_of_the_judge(name, row):
    logits, target = masks(0)
    confusion = np.zeros((5, 3, 3), int)
    known = (target != IGNORE).numpy()
    np.add.at(confusion, (np.nonzero(known)[0], target.numpy()[known], logits.argmax(1).numpy()[known]), 1)
    outputs = Outputs("segmentation", np.arange(5), np.zeros(5, int), confusion=confusion)
    found = value(
        error_of(name, "multiclass_segmentation"), in_parts(logits, target), "multiclass_segmentation"
    )
    score = value_of(METRICS[row], outputs)
    assert found == pytest.approx(1 - score if METRICS[row].higher_is_better else score)


def test_pooled_overlap_is_the_f1_of_all_pixels():
    logits, target = masks(1)
    known = target != IGNORE
    said, true = logits.argmax(1)[known].numpy(), target[known].numpy()
    found = value(
        error_of("dice_pooled_macro", "multiclass_segmentation"),
        in_parts(logits, target),
        "multiclass_segmentation",
    )
    assert found == pytest.approx(1 - f1_score(true, said, labels=[1, 2], average="macro"))
    found = value(
        error_of("pixel_accuracy_pooled", "multiclass_segmentation"),
        in_parts(logits, target),
        "multiclass_segmentation",
    )
    assert found == pytest.approx((said != true).mean())


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("balanced_accuracy", balanced_accuracy_score),
        ("f1_macro", lambda true, said: f1_score(true, said, average="macro")),
        ("accuracy", lambda true, said: (true == said).mean()),
        ("auroc_macro", balanced_accuracy_score),
    ],
)
def test_errors_of_labels_are_those_of_scikit_learn(name, oracle):
    rng = np.random.default_rng(2)
    logits = torch.from_numpy(rng.standard_normal((30, 3))).float()
    target = torch.from_numpy(rng.integers(0, 3, 30))
    found = value(error_of(name, CLASSIFY), in_parts(logits, target), CLASSIFY)
    assert found == pytest.approx(1 - oracle(target.numpy(), logits.argmax(1).numpy()))


@pytest.mark.parametrize("name", ["label_accuracy", "exact_match", "f1_macro"])
def test_errors_of_several_labels(name):
    rng = np.random.default_rng(3)
    logits = torch.from_numpy(rng.standard_normal((30, 4))).float()
    target = torch.from_numpy(rng.integers(0, 2, (30, 4))).float()
    said, true = (logits >= 0).numpy(), target.numpy() > 0.5
    oracles = {
        "label_accuracy": (said == true).mean(),
        "exact_match": (said == true).all(1).mean(),
        "f1_macro": f1_score(true, said, average="macro"),
    }
    task = "multilabel_classification"
    assert value(error_of(name, task), in_parts(logits, target), task, 4) == pytest.approx(1 - oracles[name])


def asked(task, *, counts=None, labels=None, num_train):
    packed = SimpleNamespace(
        task=task,
        labels=labels,
        classes=("a", "b", "c"),
        measures=[SimpleNamespace(class_pixels=row) for row in (counts if counts is not None else [])],
    )
    split = SimpleNamespace(train=np.arange(num_train))
    return SimpleNamespace(packed=packed, split=split, device=CPU, segmentation=task.endswith("segmentation"))


def test_the_trivial_predictor_says_the_shares_of_the_training_part():
    labels = np.array([0] * 6 + [1] * 3 + [2])
    trivial = trivial_predictor(asked(CLASSIFY, labels=labels, num_train=10))
    batch = Batch(torch.zeros(4, 1, 8, 8), torch.tensor([0, 0, 1, 2]), np.arange(4))
    entropy = evaluate(trivial, [batch], [F.cross_entropy], forward=LABELS)[0]
    assert entropy == pytest.approx(-(2 * np.log(0.6) + np.log(0.3) + np.log(0.1)) / 4)


def test_the_trivial_predictor_of_masks_says_background_everywhere():
    task = "multiclass_segmentation"
    trivial = trivial_predictor(asked(task, counts=[(80, 15, 5), (70, 30, 0)], num_train=2))
    _, target = masks(4)
    batch = Batch(torch.zeros(5, 1, 6, 6), target, np.arange(5))
    loss = evaluate(
        trivial,
        [batch],
        [lambda z, t: F.cross_entropy(z, t, ignore_index=IGNORE)],
        forward=ForwardPass(task, 3, CPU),
    )
    known = target[target != IGNORE].numpy()
    assert loss[0] == pytest.approx(-np.log(np.array([150, 45, 5]) / 200)[known].mean())
    assert value_of_trivial(trivial, batch, task) == 1


def value_of_trivial(trivial, batch, task):
    return evaluate(
        trivial, [batch], [error_of("dice_img_macro", task).of], forward=ForwardPass(task, 3, CPU)
    )[0]


def test_the_trivial_predictor_of_several_labels_says_the_share_of_each():
    labels = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]])
    trivial = trivial_predictor(asked("multilabel_classification", labels=labels, num_train=4))
    said = trivial(torch.zeros(2, 1, 4, 4)).sigmoid()
    np.testing.assert_allclose(said, [[0.75, 0.25, 0]] * 2, atol=1e-6)


@pytest.mark.parametrize(
    ("metric", "task"),
    [
        (name, task)
        for task in FAMILIES
        for name, row in metrics_of(FAMILIES[task]).items()
        if row.needs == "decisions"
    ],
)
def test_every_error_is_0_where_all_is_right_and_above_where_it_is_not(metric, task):
    rng, classes = np.random.default_rng(5), 2 if task.startswith("binary") else 3
    if task.endswith("segmentation"):
        target = torch.from_numpy(rng.integers(0, classes, (4, 5, 5)))
        target[0] = 0  # an image without foreground
        best = F.one_hot(target, classes).movedim(-1, 1).float()
    elif task.startswith("multilabel"):
        target = torch.from_numpy(rng.integers(0, 2, (12, 3))).float()
        best = 2 * target - 1
    else:
        target = torch.arange(12) % classes
        best = F.one_hot(target, classes).float()
    error = error_of(metric, task)
    assert error.name == ("1 - " if METRICS[metric].higher_is_better else "") + metric
    assert value(error, in_parts(best, target), task, classes) == pytest.approx(0)
    assert value(error, in_parts(-best, target), task, classes) > 0.3


def test_losses_that_do_not_exist_or_fit_are_said_together():
    losses = [Choice(name="dyce"), Choice(name="binary_focal"), Choice(name="focal", options={"gama": 1})]
    with pytest.raises(SpecError) as raised:
        check_losses(losses, task="multiclass_segmentation", num_classes=3, where="look.losses")
    said = str(raised.value)
    assert "look.losses: no loss is called 'dyce'\n  → Did you mean 'dice'?" in said
    assert "the loss 'binary_focal' does not fit multiclass segmentation" in said
    assert "no option of loss 'focal' is called 'gama'" in said


def test_layers_come_in_the_order_an_image_meets_them():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(3, 2), nn.Linear(4, 3)

        def forward(self, x):
            return self.last(self.first(x))

    assert layers_in_order(Backwards(), torch.zeros(2, 4), LABELS) == ["first.weight", "last.weight"]


def test_gradients_and_histograms_of_a_linear_network():
    net = nn.Linear(2, 1, bias=False)
    net.weight.data = torch.tensor([[1.0, -2.0]])
    batches = in_parts(torch.tensor([[1.0, 0], [3, 0], [0, 0], [4, 0]]), torch.zeros(4))
    landscape = Landscape(net, batches, [lambda z, t: z.mean()], LABELS)
    slopes = unflattened(gradient(landscape), trainable(net))
    assert slopes["weight"].tolist() == [[2.0, 0.0]]  # the mean of the inputs
    assert net.weight.grad is None
    layers = Layers(["weight"])
    layers.add(0, net, slopes)
    first = {"weight": net.weight.detach().clone()}
    net.weight.data = torch.tensor([[3.0, 1.0]])
    layers.add(4, net, slopes)
    made = layers.arrays({0: first, 4: {"weight": net.weight.detach()}}.__getitem__)
    assert made["weight_edges"][0, [0, -1]].tolist() == [-2, 3]
    assert made["weight_counts"].sum(-1).tolist() == [[2], [2]]
    assert made["weight_counts"][0, 0, 0] == made["weight_counts"][1, 0, -1] == 1
    assert made["gradient_zero"].tolist() == [[0.5], [0.5]]
    assert made["log_gradient_counts"].sum(-1).tolist() == [[1], [1]]  # the one that is not 0
    place = int(made["log_gradient_counts"][0, 0].argmax())
    assert made["log_gradient_edges"][place] <= np.log10(2) <= made["log_gradient_edges"][place + 1]
    np.testing.assert_allclose(made["weight_norm"], [[5**0.5], [10**0.5]], rtol=1e-6)
    np.testing.assert_allclose(made["gradient_norm"], [[2.0], [2.0]])
    assert made["weight_counts"].shape == (2, 1, BINS)


class Corner(nn.Module):
    """Two feature maps, the image and its negative, of which class k takes the mean of the k-th."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Conv2d(1, 2, 1, bias=False)
        self.maps.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
        self.head = nn.Linear(2, 2, bias=False)
        self.head.weight.data = torch.eye(2)

    def forward(self, x):
        return self.head(self.maps(x).mean((2, 3)))


def test_a_map_shows_what_raised_the_answer():
    net = Corner()
    image = torch.zeros(2, 1, 4, 4)
    image[0, 0, 0, 0], image[1, 0, 3, 3] = 8.0, 4.0
    batch = Batch(image, torch.tensor([0, 1]), np.array([5, 9]))
    again = SimpleNamespace(network=net, go_to=lambda epoch: None)
    forward = ForwardPass("binary_classification", 2, CPU)
    made = attention_maps(again, [0, 3], batch, forward=forward, tell=lambda *_: None)
    assert made["cases"].tolist() == [5, 9]
    assert made["target"].tolist() == [0, 1]
    assert made["shape"].tolist() == [[4, 4], [4, 4]]
    bright = np.zeros((4, 4))
    bright[0, 0] = 1
    np.testing.assert_allclose(made["5"], [bright, bright])  # for class 0, where the image is bright
    np.testing.assert_allclose(made["9"], np.zeros((2, 4, 4)))  # nothing bright speaks for class 1
    np.testing.assert_allclose(made["p"][0], net(image).softmax(1).detach(), rtol=1e-5)


def test_the_scale_of_an_image_is_that_of_its_largest_value_over_the_epochs():
    net = Corner()
    image = torch.zeros(1, 1, 4, 4)
    image[0, 0, 1, 2] = 8.0

    def go_to(epoch):
        net.head.weight.data = torch.eye(2) * epoch

    batch = Batch(image, torch.tensor([0]), np.array([5]))
    forward = ForwardPass("binary_classification", 2, CPU)
    again = SimpleNamespace(network=net, go_to=go_to)
    made = attention_maps(again, [1, 4], batch, forward=forward, tell=lambda *_: None)
    assert made["5"][:, 1, 2].tolist() == [0.25, 1]


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("conv", None),
        ("resnet", None),
        ("timm:test_resnet", None),
        ("vit", TOKENS),
        ("timm:test_vit", TOKENS),
        ("timm:test_convnext", None),
    ],
)
def test_which_networks_have_maps(model, why):
    net = network(model, CLASSIFY)
    assert why_absent(net, torch.zeros(1, 3, 64, 64), LABELS, grouped=False) == why


def test_a_network_without_any_map_says_so():
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    assert why_absent(net, torch.zeros(1, 1, 4, 4), LABELS, grouped=False) == NO_MAP


def test_wrong_images_are_shown_first_and_then_one_of_every_class():
    truth = np.array([0, 0, 1, 1, 2, 2, 2, 0])
    p = np.full((8, 3), 0.1)
    p[np.arange(8), truth] = 0.8
    p[2] = 0.9, 0.05, 0.05  # surely wrong
    p[5] = 0.6, 0.1, 0.3  # wrong
    rows = images_to_show(p, truth)
    assert rows[:2] == [2, 5]
    assert set(truth[rows[:3]]) == {0, 1, 2}
    assert len(rows) == len(set(rows)) == 6
    assert images_to_show(p[:3], truth[:3])[0] == 2
    several = np.array([[1, 0, 0], [0, 1, 1]])
    assert images_to_show(np.array([[0.9, 0.2, 0.1], [0.1, 0.2, 0.9]]), several)[0] == 1


def test_large_networks_keep_fewer_checkpoints():
    assert most_steps(20, 4 * 10**6) == 20
    assert most_steps(20, 10**8) == 10
    assert most_steps(20, 10**10) == 4


def test_the_largest_difference_is_0_only_where_all_bits_agree():
    one = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor(3)}
    assert largest_difference(one, {name: values.clone() for name, values in one.items()}) == 0
    assert largest_difference(one, one | {"b": torch.tensor(5)}) == 2
