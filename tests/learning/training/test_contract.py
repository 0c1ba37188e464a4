"""What is asked of networks, losses and weights, tried on the smallest batch: it holds for ours, and every breach is named."""

import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from networks_to_try import CLASSIFY, EVERY, SEGMENT, training
from safetensors.torch import save_file
from torch import nn

from foldwise.errors import FoldwiseError, SpecError
from foldwise.learning.networks import describing
from foldwise.learning.networks.describing import describe
from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import DataShape
from foldwise.learning.objectives.losses import LOSSES, fitting
from foldwise.learning.training import contract
from foldwise.learning.training.contract import SmallestBatch, _check_loss, check_training, targets_like
from foldwise.learning.training.train import restore, state_of
from foldwise.learning.training.trial_steps import NamedChoice
from foldwise.study.own_code import trusting
from foldwise.study.training import Augment, Choice, Training

SEVERAL = "multilabel_classification"


def shape(task, size_hw=(32, 32), classes=3):
    return DataShape(task, 1, classes, size_hw)


@pytest.fixture(autouse=True)
def own(monkeypatch):
    """A module of a user's own, whose names may be run."""
    module = SimpleNamespace()
    # What a name stands for changes here without a file that changes.
    for remembered in (contract._check_network, contract._check_loss, contract._why_not, describing._tried):
        remembered.cache_clear()
    monkeypatch.setitem(sys.modules, "own", module)
    with trusting({"own:net", "own:loss"}):
        yield module


@pytest.mark.parametrize(
    ("task", "stated", "reason"),
    [
        (CLASSIFY, {}, "the encoder is trained (freeze: none)"),
        (CLASSIFY, {"freeze": "encoder", "crop_px": 16}, "crops (crop_px: 16) are drawn anew in each epoch"),
        (SEGMENT, {"freeze": "encoder"}, "masks are made of all maps of an encoder"),
    ],
)
def test_fixed_views_of_what_cannot_be_stored_are_refused(task, stated, reason):
    name = "unet" if task == SEGMENT else "conv"
    asked = Training.model_validate({"model": name, "augment": "standard", "cache_views": 8, **stated})
    with pytest.raises(SpecError) as raised:
        check_training(asked, shape(task), SmallestBatch(4, (32, 32)))
    assert f"cache_views: 8 stores what a frozen encoder makes of whole images, and {reason}" in str(
        raised.value
    )
    assert "Leave cache_views out" in str(raised.value)
    beside = "training: [{freeze: encoder, cache_views: 8}, {freeze: none}]"
    assert (beside in raised.value.cure) == (asked.freeze == "none")


# Batches as small as they come -------------------------------------------------------------------


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_every_network_trains_on_two_images(name, task):
    check_training(training(name), shape(task), SmallestBatch(2, (32, 32), ignored=True))


@pytest.mark.parametrize(
    ("name", "task", "num", "size_hw", "cure"),
    [
        ("timm:resnet18", CLASSIFY, 1, (32, 32), "a 'batch_size' of 2 or more; images of 64 x 64 pixels."),
        ("timm:resnet18", CLASSIFY, 1, (20, 31), "a 'batch_size' of 2 or more; images of 40 x 62 pixels."),
        ("haltuf", CLASSIFY, 1, (64, 64), "a 'batch_size' of 2 or more."),
        ("resnet", CLASSIFY, 1, (4, 4), "a 'batch_size' of 2 or more; images of 16 x 16 pixels; the option 'norm: group' of the model."),
        ("smp:deeplabv3/resnet18", SEGMENT, 1, (64, 64), "a 'batch_size' of 2 or more."),
    ],
)  # fmt: skip
def test_a_batch_without_statistics_is_refused_with_what_helps(name, task, num, size_hw, cure):
    batch = SmallestBatch(num, size_hw)
    with pytest.raises(SpecError) as refused:
        check_training(training(name, batch_size=1), shape(task, size_hw), batch)
    assert f"the smallest batch that is made of these images, 1 image of {size_hw[0]} x {size_hw[1]} pixels: ValueError" in refused.value.what  # fmt: skip
    assert refused.value.cure == f"Use one of these: {cure}"
    with pytest.raises(SpecError, match="Use one of these: more images to train on"):
        check_training(training(name, batch_size=16), shape(task, size_hw), batch)
    check_training(training(name, batch_size=1), shape(task, (128, 128)), SmallestBatch(2, (128, 128)))


def test_instance_norm_on_one_pixel_is_refused_however_many_images_there_are(own):
    def net(in_channels, num_classes):
        return nn.Sequential(
            nn.Conv2d(in_channels, 4, 8, stride=8), nn.InstanceNorm2d(4), nn.Flatten(), nn.Linear(4, num_classes)
        )  # fmt: skip

    own.net = net
    with pytest.raises(
        SpecError, match=r"4 images of 8 x 8 pixels: ValueError: Expected more than 1 spatial"
    ):
        check_training(training("own:net"), shape(CLASSIFY, (8, 8)), SmallestBatch(4, (8, 8)))


def test_one_image_is_enough_for_networks_without_such_statistics():
    for name, task, size_hw in (
        ("timm:resnet18", CLASSIFY, (64, 64)),
        ("vit", CLASSIFY, (16, 16)),
        ("unet", SEGMENT, (16, 16)),
    ):
        check_training(training(name, batch_size=1), shape(task, size_hw), SmallestBatch(1, size_hw))


def test_pretraining_has_batches_of_its_own():
    asked = training("smp:deeplabv3/resnet18", pretrain={"denoise": {"batch_size": 1}})
    with pytest.raises(SpecError, match="1 image of 64 x 64 pixels"):
        check_training(asked, shape(SEGMENT, (64, 64)), SmallestBatch(4, (64, 64)))


def packed(sizes, task="binary_segmentation", counted=True):
    measures = [SimpleNamespace(height=h, width=w, class_pixels=(h * w - (not counted), 0)) for h, w in sizes]
    return SimpleNamespace(task=task, shapes=np.array(sizes), measures=measures)


def split(*train):
    return SimpleNamespace(train=np.array(train))


@pytest.mark.parametrize(
    ("settings", "sizes", "splits", "expected"),
    [
        ({"batch_size": 4}, [(8, 8)] * 10, [split(*range(10)), split(*range(8))], SmallestBatch(2, (8, 8))),
        ({"batch_size": 4}, [(8, 8)] * 9, [split(*range(9))], SmallestBatch(4, (8, 8))),
        ({"batch_size": 16}, [(8, 8)] * 3, [split(0, 1, 2)], SmallestBatch(3, (8, 8))),
        ({"batch_size": 1}, [(8, 8), (4, 40), (9, 5)], [split(0, 1), split(1, 2)], SmallestBatch(1, (9, 5), ignored=True)),
        ({"batch_size": 2}, [(8, 8), (4, 20), (9, 5)], [split(0, 1, 2)], SmallestBatch(2, (9, 8), ignored=True)),
        ({"batch_size": 2, "crop_px": 5}, [(8, 8)] * 4, [split(0, 1, 2, 3)], SmallestBatch(2, (5, 5))),
        ({"batch_size": 2, "crop_px": 16}, [(8, 8)] * 4, [split(0, 1, 2, 3)], SmallestBatch(2, (16, 16), ignored=True)),
        ({"batch_size": 2, "augment": Augment(shift=0.1)}, [(8, 8)] * 4, [split(0, 1, 2, 3)], SmallestBatch(2, (8, 8), ignored=True)),
    ],
)  # fmt: skip
def test_the_smallest_batch_is_of_what_is_trained_on(settings, sizes, splits, expected):
    asked = Training(model="unet", **settings)
    assert SmallestBatch.of(asked, packed(sizes), splits) == expected
    if not expected.ignored:
        assert SmallestBatch.of(asked, packed(sizes, counted=False), splits).ignored
    assert not SmallestBatch.of(asked, packed(sizes, task=CLASSIFY, counted=False), splits).ignored


# Own networks ------------------------------------------------------------------------------------


class Net(nn.Module):
    """Keeps the contract, in two parts."""

    def __init__(self, in_channels, num_classes, features=6):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(in_channels, features, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head = nn.Linear(features, num_classes)

    def forward(self, x):
        return self.head(self.encoder(x))


class Whole(nn.Module):
    """Keeps the contract, as a whole; those that are made of it break one rule each."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.body, self.out = Net(in_channels, 6).encoder, nn.Linear(6, num_classes)

    def forward(self, x):
        return self.out(self.body(x))


def broken(forward=None, make=None):
    def net(in_channels, num_classes):
        network = Whole(in_channels, num_classes)
        if make:
            make(network)
        if forward:
            network.forward = lambda x: forward(network, x)
        return network

    return net


def in_training(network, x):
    logits = Whole.forward(network, x)
    return (logits, logits) if network.training else logits


def dies_in_training(network, x):
    logits = Whole.forward(network, x)
    return logits * float("inf") if network.training else logits


class Steep(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * float("nan")


BROKEN_NETS = {
    "a tuple in training": (broken(in_training), "own:net in training mode gives a tuple and no tensor"),
    "not finite": (broken(dies_in_training), "own:net in training mode gives logits that are not finite"),
    "one image squeezed": (broken(lambda n, x: Whole.forward(n, x).squeeze()), "in evaluation mode, asked about one image, gives logits of shape (3,), not (1, 3)"),
    "one class too many": (lambda in_channels, num_classes: Whole(in_channels, num_classes + 1), "gives logits of shape (2, 4), not (2, 3)"),
    "classes decided": (broken(lambda n, x: Whole.forward(n, x).softmax(1).round().long()), "fails"),
    "an idle layer": (broken(make=lambda n: n.add_module("spare", nn.Linear(2, 2))), "no logit of own:net depends on its parameters encoder.spare.weight, encoder.spare.bias"),
    "detached": (broken(lambda n, x: n.out(n.body(x).detach())), "no logit of own:net depends on its parameters encoder.body.0.weight"),
    "nothing learns": (broken(make=lambda n: n.requires_grad_(False)), "own:net"),
    "no finite gradient": (broken(lambda n, x: n.out(Steep.apply(n.body(x)))), "gradients of own:net are not finite: encoder.body.0.weight"),
}  # fmt: skip


def tried(task=CLASSIFY, num=3, ignored=False, loss="auto", model="own:net"):
    asked = training(model, loss=loss)
    describe(asked, shape(task))
    check_training(asked, shape(task), SmallestBatch(num, (32, 32), ignored))


def test_a_network_that_keeps_the_contract_passes(own):
    own.net = Net
    tried()
    tried(num=1)
    frozen = broken(make=lambda network: network.body.requires_grad_(False))
    own.net = lambda in_channels, num_classes: frozen(in_channels, num_classes)
    tried(num=5)


@pytest.mark.parametrize("name", BROKEN_NETS)
def test_a_network_that_breaks_it_is_refused(own, name):
    own.net, said = BROKEN_NETS[name]
    with pytest.raises(SpecError) as refused:
        tried(num=4 if "one image" in name else 3)
    assert said in str(refused.value)


def test_parts_are_taken_apart_only_where_the_whole_is_no_more_in_training_too(own):
    class Drops(Net):
        def forward(self, x):
            return self.head(nn.functional.dropout(self.encoder(x), 0.5, self.training))

    own.net = Drops
    network = build(training("own:net"), shape(CLASSIFY), seed=0).train()
    x = torch.rand(2, 1, 32, 32)
    assert not torch.equal(network(x), network(x))
    own.net = Net
    assert isinstance(build(training("own:net"), shape(CLASSIFY), seed=0).part("head"), nn.Linear)


# Own losses --------------------------------------------------------------------------------------


def cross_entropy(logits, target):
    counted = target != 255
    if not counted.any():
        return logits.sum() * 0
    return nn.functional.cross_entropy(logits, target, ignore_index=255)


BROKEN_LOSSES = {
    "fails": (lambda logits, target: logits @ target, False, r"fails on a batch, logits (3, 3, 32, 32) and targets (3, 32, 32) int64: RuntimeError"),
    "one for each pixel": (lambda logits, target: nn.functional.cross_entropy(logits, target, reduction="none"), False, "gives a tensor of shape (3, 32, 32) for a batch, not a tensor of one number"),
    "a Python number": (lambda logits, target: cross_entropy(logits, target).detach().item(), False, "gives a float for a batch"),
    "not a number": (lambda logits, target: (logits.sum() * 0 - 1).log(), False, "is nan for a batch"),
    "detached": (lambda logits, target: cross_entropy(logits.detach(), target), False, "has no gradient: nothing would be learned"),
    "decided": (lambda logits, target: (logits.argmax(1) != target).float().mean(), False, "has no gradient"),
    "no finite gradient": (lambda logits, target: (logits * 0).sqrt().sum() + cross_entropy(logits, target), False, "has no finite gradient of the logits"),
    "255 is a class": (nn.functional.cross_entropy, True, "fails on masks in which some pixels are 255 and do not count"),
    "255 is learned": (lambda logits, target: nn.functional.cross_entropy(logits, target.clamp(max=2)), True, "learns from pixels whose target is 255"),
    "a mean of none": (lambda logits, target: nn.functional.cross_entropy(logits, target, ignore_index=255), True, "is nan for masks of nothing but 255, as a crop may be"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_LOSSES)
def test_a_loss_that_breaks_the_contract_is_refused(own, name):
    rule, ignored, said = BROKEN_LOSSES[name]
    own.loss = lambda: rule
    with pytest.raises(SpecError) as refused:
        check_training(training("conv", loss="own:loss"), shape(SEGMENT), SmallestBatch(3, (32, 32), ignored))
    assert f"the loss own:loss {said}" in str(refused.value)
    assert "docs/own-code.md" in str(refused.value)


def test_a_loss_that_keeps_it_passes(own):
    own.loss = lambda: cross_entropy
    tried(SEGMENT, ignored=True, loss="own:loss", model="conv")
    tried(CLASSIFY, loss="own:loss", model="conv")
    own.loss = lambda: nn.functional.binary_cross_entropy_with_logits
    check_training(training("haltuf", loss="own:loss"), shape(SEVERAL), SmallestBatch(2, (32, 32)))


@pytest.mark.parametrize("task", [SEGMENT, "binary_segmentation", CLASSIFY, "binary_classification", SEVERAL])
def test_our_own_losses_keep_it(task):
    size = shape(task, classes=2 if task.startswith("binary") else 3)
    for name in fitting(task):
        assert name in LOSSES
        batch = SmallestBatch(3, (16, 16), ignored=task.endswith("segmentation"))
        _check_loss(NamedChoice(f"{name} {task}", Choice(name=name)), size, batch)


def test_targets_are_as_batches_have_them():
    for task, sizes, kind in (
        (CLASSIFY, (4,), torch.int64),
        (SEVERAL, (4, 3), torch.float32),
        (SEGMENT, (4, 8, 6), torch.int64),
    ):
        made = targets_like(shape(task), 4, (8, 6))
        assert (tuple(made.shape), made.dtype) == (sizes, kind)


# States ------------------------------------------------------------------------------------------


def test_a_state_that_did_not_arrive_is_an_error(own):
    def net(in_channels, num_classes):
        with torch.device("meta"):
            network = Net(in_channels, num_classes)
        with warnings.catch_warnings():  # torch says it in a warning only
            warnings.simplefilter("ignore")
            network.load_state_dict(Net(in_channels, num_classes).state_dict())
        return network

    own.net = net
    with pytest.raises(SpecError, match=r"has no numbers \(device meta\) in encoder.0.weight, .*: a state"):
        build(training("own:net"), shape(CLASSIFY), seed=0)


def test_a_network_that_loads_its_own_state_is_described_with_it_and_without_a_warning(own):
    def net(in_channels, num_classes):
        network = Net(in_channels, num_classes)
        network.load_state_dict({key: values * 0 + 1 for key, values in network.state_dict().items()})
        return network

    own.net = net
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tried()


def test_what_is_put_back_is_whole():
    network = Net(1, 3)
    network.encoder.requires_grad_(False)
    state = state_of(network)
    restore(network, state)
    with pytest.raises(FoldwiseError, match=r"not put back whole: head.bias"):
        restore(network, {"head.weight": state["head.weight"]})
    with pytest.raises(FoldwiseError, match=r"not put back whole: other"):
        restore(network, state | {"other": state["head.weight"]})


def test_the_weights_of_a_whole_own_network_are_taken_for_its_encoder_and_that_is_said(own, tmp_path):
    own.net = Net
    there = Net(1, 10)
    save_file(there.state_dict(), tmp_path / "whole.safetensors")
    asked = training("own:net", weights=str(tmp_path / "whole.safetensors"))
    (note,) = describe(asked, shape(CLASSIFY)).warnings
    assert "all of the encoder is taken from there; what follows the encoder there is left out" in note
    network = build(asked, shape(CLASSIFY), seed=0)
    assert torch.equal(network.part("encoder")[0].weight, there.encoder[0].weight)
    save_file({"encoder.0.weight": there.encoder[0].weight}, tmp_path / "half.safetensors")
    with pytest.raises(SpecError, match=r"1 of 2 tensors of the encoder are not in it: 0\.bias"):
        describe(training("own:net", weights=str(tmp_path / "half.safetensors")), shape(CLASSIFY))
