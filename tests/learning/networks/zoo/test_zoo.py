"""The networks from scratch: shapes, sizes, size factors, and that nothing in them is idle."""

import pytest
import torch
from networks_to_try import CLASSIFY, OWN, SEGMENT, network, training

from foldwise.errors import SpecError
from foldwise.learning.networks.models import MODELS, build
from foldwise.learning.networks.network import DataShape, pad_to_multiple
from foldwise.learning.networks.zoo.vit import positions
from foldwise.learning.options import options_of
from foldwise.study.training import Choice, Training


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(("name", "task"), OWN)
@pytest.mark.parametrize("size_hw", [(64, 64), (61, 47), (9, 30), (5, 3)])
def test_logits_have_the_size_of_the_image(name, task, size_hw):
    net, images = network(name, task, size_hw=size_hw), torch.rand(2, 3, *size_hw)
    wanted = (2, 4) if task == CLASSIFY else (2, 4, *size_hw)
    assert net.train()(images).shape == net.eval()(images).shape == wanted


@pytest.mark.parametrize(("name", "task"), OWN)
def test_every_size_factor_changes_the_number_of_parameters(name, task):
    row = MODELS[name].encoder if task == CLASSIFY else MODELS[name].segmenter
    more = {
        "width": 8,
        "depth": 4,
        "stages": 4,
        "blocks": 2,
        "convs": 3,
        "patch": 4,
        "states": 5,
        "hidden": 6,
        "bottleneck": True,
        "cls_token": True,
    }
    before = count(network(name, task))
    assert set(options_of(row)) - set(more) <= {"norm", "dropout", "heads", "stem_stride"}
    for factor in set(options_of(row)) & set(more):
        choice = Choice(name=name, options={**training(name).model.options, factor: more[factor]})
        if factor == "width" and name == "vit":
            choice = Choice(name=name, options={**choice.options, "width": 32})
        asked = training(name).model_copy(update={"model": choice})
        assert count(build(asked, DataShape(task=task, in_channels=3, num_classes=4), seed=0)) != before, (
            factor
        )


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize(("name", "task"), [row for row in OWN if row[0] not in ("vit", "vim", "haltuf")])
def test_every_normalisation_trains(name, task, norm):
    asked = training(name)
    asked = asked.model_copy(
        update={"model": Choice(name=name, options={**asked.model.options, "norm": norm})}
    )
    net = build(asked, DataShape(task=task, in_channels=1, num_classes=2), seed=0)
    net(torch.rand(2, 1, 32, 32)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize(("name", "task"), OWN)
def test_it_can_learn_where_a_square_is(name, task):
    torch.manual_seed(0)
    asked = training(name)
    options = {**asked.model.options, "width": max(8, asked.model.options["width"])}
    asked = asked.model_copy(update={"model": Choice(name=name, options=options)})
    net = build(asked, DataShape(task=task, in_channels=1, num_classes=4, size_hw=(32, 32)), seed=0)
    images, corners = torch.randn(8, 1, 32, 32) * 0.1, torch.arange(8) % 4
    masks = torch.zeros(8, 32, 32, dtype=torch.long)
    for mask, corner in zip(masks, corners, strict=True):
        row, column = divmod(int(corner), 2)
        mask[16 * row + 2 : 16 * row + 14, 16 * column + 2 : 16 * column + 14] = 1
    images += masks[:, None]
    target = corners if task == CLASSIFY else masks
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for step in range(1, 61):
        loss = torch.nn.functional.cross_entropy(net.train()(images), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0 and (net.eval()(images).argmax(1) == target).float().mean() > 0.9:
            return
    raise AssertionError("sixty steps taught it nothing")


def test_padding_mirrors_the_image_and_leaves_it_in_place():
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    padded = pad_to_multiple(x, 5)
    assert padded.shape == (1, 1, 5, 5)
    assert torch.equal(padded[..., :3, :4], x)
    assert padded[0, 0, 3, 0] == x[0, 0, 1, 0]
    assert torch.equal(pad_to_multiple(x[..., :1, :], 4)[..., 3, :], x[..., 0, :])


def test_no_padding_is_no_copy():
    x = torch.rand(1, 1, 8, 8)
    assert pad_to_multiple(x, 4) is x


def test_every_patch_has_a_position_of_its_own():
    place = positions(6, 5, 16, torch.zeros(1))
    distance = torch.cdist(place, place) + torch.eye(30) * 9
    assert place.shape == (30, 16)
    assert distance.min() > 0.1


@pytest.mark.parametrize("task", [CLASSIFY, SEGMENT])
def test_a_token_for_the_whole_image_is_heard_by_all_and_is_no_patch(task):
    asked = Choice(name="vit", options={"width": 16, "depth": 2, "patch": 8, "cls_token": True})
    shape = {"task": task, "in_channels": 3, "num_classes": 4, "size_hw": (64, 64)}
    net, plain = build(Training(model=asked), DataShape(**shape), seed=0), network("vit", task)
    assert count(net) - count(plain) == 16  # its width
    images = torch.rand(2, 3, 64, 64)
    assert net(images).shape == plain(images).shape
    net(images).square().sum().backward()
    [token] = [value for name, value in net.named_parameters() if name.endswith("cls_1D")]
    assert token.grad.abs().min() > 0


def test_vit_sees_where_things_are():
    net = network("vit", CLASSIFY).eval()
    x = torch.zeros(1, 3, 64, 64)
    x[..., :8, :8] = 1
    assert not torch.allclose(net(x), net(x.flip(-1)), atol=1e-6)


def test_a_width_that_does_not_divide_is_refused():
    asked = training("vit").model_copy(update={"model": Choice(name="vit", options={"width": 30})})
    with pytest.raises(SpecError, match="a vit of width 30 cannot be divided among 4 heads and 4 waves"):
        build(asked, DataShape(task=CLASSIFY, in_channels=3, num_classes=2), seed=0)
