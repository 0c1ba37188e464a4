"""Labels in groups: every model of a group learns as it would alone, and the groups are one answer in class order."""

import json

import numpy as np
import pytest
import torch
from fits_to_try import SPLIT, fit, tiny
from torch import nn

from foldwise.errors import SpecError
from foldwise.learning.networks.describing import describe
from foldwise.learning.networks.models import build, build_head
from foldwise.learning.networks.network import DataShape, JoinedLabels
from foldwise.learning.objectives.losses import make_grouped_loss, make_loss
from foldwise.study.configurations import Configuration, alone, in_groups, places_of, seed_of_group
from foldwise.study.own_code import trusting
from foldwise.study.training import Choice, Training

TASK = "multilabel_classification"
PLACES = ((3, 0), (1, 2, 4))
ASK = {"task": TASK, "in_channels": 2, "size_hw": (16, 16)}


def training(**stated):
    conv = {"conv": {"width": 4, "depth": 2, "norm": "none"}}
    return Training.model_validate({"model": conv, "label_groups": PLACES, **stated})


def asked(label_groups, model="conv"):
    one = Training.model_validate({"model": model, "label_groups": label_groups})
    return Configuration("c-1", "conv", {}, one)


@pytest.mark.parametrize(
    ("label_groups", "expected"),
    [
        (1, ((0, 1, 2, 3, 4),)),
        (2, ((0, 1, 2), (3, 4))),
        (5, ((0,), (1,), (2,), (3,), (4,))),
        ([["e", "a"], ["b", "c", "d"]], ((4, 0), (1, 2, 3))),
    ],
)
def test_groups_are_parts_of_the_classes_or_as_stated(label_groups, expected):
    (made,) = in_groups([asked(label_groups)], task=TASK, classes="abcde")
    assert places_of(made.training, 5) == expected


def test_28_labels_fall_into_groups_of_14_and_7():
    for number in (2, 4):
        groups = places_of(Training(model=Choice(name="conv"), label_groups=number), 28)
        assert [len(group) for group in groups] == [28 // number] * number
        assert [place for group in groups for place in group] == list(range(28))


@pytest.mark.parametrize(
    ("label_groups", "task", "message"),
    [
        (2, "multiclass_classification", "label_groups is for several labels an image, and this task is multiclass classification\n  → Leave label_groups out."),
        (6, TASK, "label_groups asks for 6 groups, and there are 5 labels\n  → Ask for at most 5 groups."),
        ([["a"], ["b", "a"]], TASK, "not in exactly one group: a, c, d, e\n  → Put every label into one group of label_groups."),
        ([["a", "b", "c", "d", "e"], []], TASK, "label_groups has an empty group\n  → Put every label into one group of label_groups."),
        ([["a", "x"], ["b", "c", "d", "e"]], TASK, "no label is called 'x'\n  → Known: a, b, c, d, e."),
    ],
)  # fmt: skip
def test_groups_that_cannot_be_are_refused(label_groups, task, message):
    with pytest.raises(SpecError) as raised:
        in_groups([asked(label_groups)], task=task, classes="abcde")
    assert str(raised.value) == f"conv: {message}"


def step(network, loss, x, target, lr=0.5):
    """One step of SGD; the value of the loss."""
    optimizer = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9, weight_decay=0.01)
    value = loss(network(x), target)
    value.backward()
    optimizer.step()
    return value.item()


@pytest.mark.parametrize(
    "choice",
    [
        Choice(name="binary_cross_entropy"),
        Choice(name="binary_cross_entropy", options={"pos_weight": "balanced"}),
        Choice(name="binary_cross_entropy", options={"pos_weight": [1.0, 2.0, 3.0, 4.0, 5.0]}),
        Choice(name="binary_focal", options={"gamma": 2.0}),
    ],
    ids=str,
)
def test_a_step_of_the_groups_is_a_step_of_every_model_alone(choice):
    generator = torch.Generator().manual_seed(0)
    x, target = torch.rand(6, 2, 16, 16, generator=generator), torch.rand(6, 5, generator=generator).round()
    counts = np.array([5, 2, 3, 4, 1])
    known = {"task": TASK, "num_cases": 6}
    network = build(training(), DataShape(num_classes=5, **ASK), seed=7)
    value = step(network, make_grouped_loss(choice, PLACES, class_counts=counts, **known), x, target)
    values = []
    for number, places in enumerate(PLACES):
        place = list(places)
        one = build(
            alone(training()), DataShape(num_classes=len(place), **ASK), seed=seed_of_group(7, number)
        )
        options = dict(choice.options)
        if isinstance(options.get("pos_weight"), list):
            options["pos_weight"] = [options["pos_weight"][k] for k in place]
        own = Choice(name=choice.name, options=options)
        loss = make_loss(own, num_classes=len(place), class_counts=counts[place], **known)
        values.append(step(one, loss, x, target[:, place]))
        trained = network.joined.members[number].state_dict()
        for name, expected in one.state_dict().items():
            torch.testing.assert_close(trained[name], expected, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(network(x)[:, place], one(x), rtol=1e-5, atol=1e-6)
    assert value == pytest.approx(np.average(values, weights=[2, 3]))


def test_the_loss_has_the_value_of_one_model_for_all_labels():
    logits, target = torch.randn(4, 5), torch.rand(4, 5).round()
    choice = Choice(name="binary_cross_entropy")
    known = {"task": TASK, "num_cases": 4, "class_counts": np.ones(5)}
    whole = make_loss(choice, num_classes=5, **known)(logits, target)
    grouped = make_grouped_loss(choice, PLACES, **known)(logits, target)
    torch.testing.assert_close(grouped, whole)


def test_groups_have_seeds_of_their_own_and_one_group_is_no_group():
    network = build(training(label_groups=[[0, 1], [2, 3]]), DataShape(num_classes=4, **ASK), seed=3)
    first, second = (member.state_dict() for member in network.joined.members)
    assert all(not torch.equal(first[name], second[name]) for name in first if name.endswith("weight"))
    plain = build(training(label_groups=1), DataShape(num_classes=4, **ASK), seed=3).state_dict()
    again = build(training(label_groups=[[0, 1, 2, 3]]), DataShape(num_classes=4, **ASK), seed=3).state_dict()
    assert plain.keys() == again.keys()
    assert all(torch.equal(plain[name], again[name]) for name in plain)


def test_parameters_of_all_groups_are_counted():
    whole = [
        describe(training(label_groups=groups), DataShape(num_classes=4, **ASK)).parameters
        for groups in (1, 2, 4)
    ]
    encoder = whole[0] - 4 * 9  # four labels of 8 features each, and a bias
    assert whole[1:] == [2 * encoder + 4 * 9, 4 * encoder + 4 * 9]


def test_a_frozen_encoder_is_shared_and_each_group_has_a_head():
    frozen = training(freeze="encoder")
    network = build(frozen, DataShape(num_classes=5, **ASK), seed=1, encoder_seed=9)
    plain = build(alone(frozen), DataShape(num_classes=5, **ASK), seed=1, encoder_seed=9)
    assert isinstance(network.head, JoinedLabels)
    assert all(
        torch.equal(a, b)
        for a, b in zip(network.encoder.parameters(), plain.encoder.parameters(), strict=True)
    )
    assert not any(values.requires_grad for values in network.encoder.parameters())
    head = build_head(frozen, 8, 5, 1)
    network.head.load_state_dict(head.state_dict())  # the head alone is that of the whole network
    assert [member[-1].out_features for member in head.members] == [2, 3]


def users_network(in_channels, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * 256, num_classes))


def test_a_network_with_its_own_head_is_grouped_whole_or_not_at_all():
    own = {"model": f"{__name__}:users_network"}
    with trusting({own["model"]}):
        network = build(training(**own), DataShape(num_classes=5, **ASK), seed=0)
        assert network(torch.rand(3, 2, 16, 16)).shape == (3, 5)
        with pytest.raises(SpecError, match="groups of labels cannot share its frozen encoder"):
            build(training(freeze="encoder", **own), DataShape(num_classes=5, **ASK), seed=0)


def test_a_fit_in_groups_is_saved_and_asked_again(tmp_path):
    from foldwise.learning.checkpoints.saved import load_winner
    from foldwise.learning.checkpoints.winner import make_winner

    packed = tiny(TASK)
    result, scores = fit(tmp_path / "fit", TASK, packed=packed, epochs=2, label_groups=[[2], [0, 1]])
    saved = json.loads((tmp_path / "fit" / "model.json").read_text())
    assert saved["training"]["label_groups"] == [[2], [0, 1]]
    winner = load_winner(make_winner([tmp_path / "fit"], tmp_path / "winner"), torch.device("cpu"))
    member = winner.members[0]
    assert result["cost"]["parameters"] == sum(values.numel() for values in member.network.parameters())
    mean, std = (
        torch.from_numpy(part)
        for part in member.model.normalization.statistics([packed.image(c) for c in SPLIT.test])
    )
    raw = torch.stack([torch.from_numpy(packed.image(case).astype(np.float32)) for case in SPLIT.test])
    with torch.no_grad():
        told = member.network((raw - mean[..., None, None]) / std[..., None, None]).sigmoid().numpy()
    np.testing.assert_allclose(told, scores["probabilities"], atol=1e-4)
