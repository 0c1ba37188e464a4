"""Networks by name: what is built, what is refused, and that a seed and a freeze mean what they say."""

import sys
import types

import pytest
import torch
from networks_to_try import CLASSIFY, EVERY, SEGMENT, network, training
from torch import nn

from foldwise.errors import SpecError
from foldwise.learning.networks.describing import describe
from foldwise.learning.networks.models import build, build_head
from foldwise.learning.networks.network import DataShape, freeze_encoder, layout_for
from foldwise.learning.objectives.optimizers import make_optimizer
from foldwise.study.own_code import trusting
from foldwise.study.training import Choice

ASK = {"in_channels": 3, "num_classes": 4, "size_hw": (64, 64)}


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_every_trainable_parameter_gets_a_gradient(name, task):
    net = network(name, task)
    # Some libraries begin residual branches at exactly 0, where they have no slope yet.
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.fill_(0.1)
    net.train()(torch.randn(2, 3, 64, 64)).square().sum().backward()
    idle = [key for key, value in net.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == []


@pytest.mark.parametrize("in_channels", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(("name", "task"), EVERY)
def test_any_number_of_channels_and_odd_sizes(name, task, in_channels):
    net = network(name, task, in_channels=in_channels, size_hw=(61, 47)).eval()
    wanted = (2, 4) if task == CLASSIFY else (2, 4, 61, 47)
    with torch.no_grad():
        assert net(torch.rand(2, in_channels, 61, 47)).shape == wanted


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_it_ends_in_a_linear_layer_and_so_in_logits(name, task):
    net = network(name, task).eval()
    leaves = [module for module in net.head.modules() if not list(module.children())]
    *_, last = (module for module in leaves if not isinstance(module, nn.Identity))
    assert isinstance(last, nn.Linear | nn.Conv2d)
    with torch.no_grad():
        last.bias += 7
        logits = net(torch.rand(2, 3, 64, 64))
    assert logits.mean() > 4  # a sigmoid or softmax would end at 1


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_same_seed_same_weights_whatever_was_drawn_before(name, task):
    one = network(name, task, seed=3).state_dict()
    torch.rand(17)
    before = torch.get_rng_state()
    two = network(name, task, seed=3).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[key], two[key]) for key in one)
    other = network(name, task, seed=4).state_dict()
    assert not all(torch.equal(one[key], other[key]) for key in one)


def test_the_weights_of_the_unet_begin_at_the_scale_of_their_fan_in():
    layers = [
        layer.weight
        for layer in network("unet", SEGMENT).modules()
        if type(layer) is nn.Conv2d and layer.weight.numel() > 1000
    ]
    assert layers
    for weight in layers:
        fan_in = weight[0].numel()
        # uniform within the inverse of its root, as torch draws them
        assert weight.std().item() * (3 * fan_in) ** 0.5 == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("name", "task"), [row for row in EVERY if row[1] == CLASSIFY])
def test_forward_is_the_head_on_the_features(name, task):
    net = network(name, task, size_hw=(61, 47)).eval()
    x = torch.rand(2, 3, 61, 47)
    with torch.no_grad():
        assert torch.equal(net(x), net.head(net.features(x)))


@pytest.mark.parametrize(
    "head", [Choice(name="linear"), Choice(name="mlp", options={"hidden": [8], "dropout": 0.1})]
)
def test_a_head_alone_is_the_head_of_the_network(head):
    net = network("timm:test_resnet", CLASSIFY, seed=5, head=head)
    alone = build_head(training("conv", head=head), 96, 4, 5)
    assert net.head.state_dict().keys() == alone.state_dict().keys()
    assert all(torch.equal(net.head.state_dict()[key], value) for key, value in alone.state_dict().items())


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_another_head_leaves_the_encoder_as_it_is(name, task):
    one, two = network(name, task, num_classes=2), network(name, task, num_classes=5)
    before, after = one.encoder.state_dict(), two.encoder.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_encoder_has_a_seed_of_its_own_where_features_are_shared():
    asked = {"task": CLASSIFY, **ASK}
    one = build(training("conv"), DataShape(**asked), seed=1, encoder_seed=9)
    two = build(training("conv"), DataShape(**asked), seed=2, encoder_seed=9)
    assert all(
        torch.equal(a, b) for a, b in zip(one.encoder.parameters(), two.encoder.parameters(), strict=True)
    )
    assert not torch.equal(one.head[1].weight, two.head[1].weight)


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_a_frozen_encoder_is_frozen_whole(name, task):
    net = network(name, task, freeze="encoder").train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    optimizer = make_optimizer(Choice(name="sgd", options={"lr": 0.5}), net.parameters(), "cpu")
    net(torch.randn(2, 3, 64, 64)).square().sum().backward()
    optimizer.step()
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    encoder = {key for key, value in net.named_parameters() if not value.requires_grad}
    assert changed
    assert encoder
    place = "encoder." if task == CLASSIFY else "body.encoder."
    assert not [key for key in changed if key.startswith(place)]
    assert not net.encoder.training
    assert net.head.training


def test_freezing_later_is_freezing():
    net = freeze_encoder(network("resnet", CLASSIFY))
    assert not any(parameter.requires_grad for parameter in net.encoder.parameters())
    assert not any(module.training for module in net.encoder.modules())


@pytest.mark.parametrize(
    ("name", "task", "wanted"),
    [
        ("conv", CLASSIFY, torch.channels_last),
        ("unet", SEGMENT, torch.channels_last),
        ("resnet", CLASSIFY, torch.contiguous_format),  # of width 4 here: see the layout that kills torch
        ("vit", CLASSIFY, torch.contiguous_format),
        ("vit", SEGMENT, torch.contiguous_format),
        ("vim", CLASSIFY, torch.contiguous_format),
        ("vim", SEGMENT, torch.contiguous_format),
        ("haltuf", CLASSIFY, torch.channels_last),
        ("timm:test_resnet", CLASSIFY, torch.channels_last),
        ("timm:test_efficientnet", CLASSIFY, torch.channels_last),
        ("timm:test_vit", CLASSIFY, torch.contiguous_format),
        ("smp:unet/resnet18", SEGMENT, torch.channels_last),
    ],
)
def test_layout_follows_the_architecture(name, task, wanted):
    assert layout_for(network(name, task)) is wanted


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_a_description_counts_what_is_built(name, task):
    net = network(name, task, freeze="encoder")
    said = describe(training(name, freeze="encoder"), DataShape(task=task, **ASK))
    assert said.parameters == sum(parameter.numel() for parameter in net.parameters())
    assert said.trainable_parameters == sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert any("frozen with random weights" in warning for warning in said.warnings)
    said = describe(training(name), DataShape(task=task, **ASK))
    assert said.parameters == said.trainable_parameters
    assert said.warnings == ()


def test_parameters_that_do_nothing_are_said():
    said = describe(training("smp:pspnet/resnet18"), DataShape(task=SEGMENT, **ASK))
    assert any("parameters of smp:pspnet/resnet18 do nothing" in warning for warning in said.warnings)


REFUSED = {
    "restnet": ("no model is called 'restnet'", "Did you mean 'resnet'?"),
    "resnet18": ("no model is called 'resnet18'", "Did you mean 'timm:resnet18'?"),
    "ResNet18": ("no model is called 'ResNet18'", "Did you mean 'timm:resnet18'?"),
    "EfficientNet-B0": ("no model is called 'EfficientNet-B0'", "Did you mean 'timm:efficientnet_b0'?"),
    "UNET": ("no model is called 'UNET'", "Did you mean 'unet'?"),
    "timm:restnet18": ("no timm model is called 'restnet18'", "Did you mean 'resnet18'?"),
    "torchvision:resnet19": ("no torchvision model is called 'resnet19'", "Did you mean"),
    "torchvision:vit_b_16": (
        "'torchvision:vit_b_16' takes one image size only",
        "Use the timm model instead.",
    ),
    "unet": (
        "the model 'unet' segments images, and this task is multiclass classification",
        "conv, resnet, vit",
    ),
    "smp:unet/resnet18": ("'smp:unet/resnet18' segments images", "use 'timm:<name>'"),
    "no_such_package.models:net": ("the model 'no_such_package.models:net' cannot be imported", "PYTHONPATH"),
}


@pytest.fixture(autouse=True)
def _own_code_may_be_run():
    with trusting(
        {
            *(f"users_networks:{name}" for name in ("Parts", "Party", "More", "number")),
            "no_such_package.models:net",
        }
    ):
        yield


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_does_not_exist_or_fit_is_refused(name):
    with pytest.raises(SpecError) as refused:
        describe(
            training(name).model_copy(update={"model": Choice(name=name)}), DataShape(task=CLASSIFY, **ASK)
        )
    assert all(part in str(refused.value) for part in REFUSED[name])


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("timm:resnet18", "'smp:unet/tu-resnet18'"),
        ("torchvision:resnet18", "'smp:<decoder>/<encoder>'"),
        ("smp:unet", "names no encoder"),
        ("smp:unett/resnet18", "Did you mean 'unet'?"),
        ("smp:unet/resnt18", "Did you mean 'resnet18'?"),
    ],
)
def test_a_segmentation_that_does_not_exist_is_refused(name, part):
    with pytest.raises(SpecError) as refused:
        describe(training(name), DataShape(task=SEGMENT, **ASK))
    assert part in str(refused.value)


@pytest.mark.parametrize(
    ("name", "options", "part"),
    [
        ("resnet", {"widht": 8}, "no option of model 'resnet' is called 'widht'"),
        ("resnet", {"width": "8"}, "must be a whole number, got '8'"),
        ("resnet", {"width": 0}, "must be at least 1, got"),
        ("timm:test_resnet", {"nonsense": 1}, "timm:test_resnet cannot be built: TypeError"),
        ("timm:test_resnet", {"num_classes": 3}, "the option 'num_classes' of 'test_resnet' is not free"),
    ],
)
def test_options_of_models_are_checked(name, options, part):
    asked = training(name).model_copy(update={"model": Choice(name=name, options=options)})
    with pytest.raises(SpecError) as refused:
        describe(asked, DataShape(task=CLASSIFY, **ASK))
    assert part in str(refused.value)


def test_a_size_that_a_network_cannot_take_is_found_before_training():
    with pytest.raises(SpecError, match="on images of 16 x 16 pixels fails"):
        describe(
            training("torchvision:inception_v3"),
            DataShape(task=CLASSIFY, in_channels=3, num_classes=2, size_hw=(16, 16)),
        )


def test_segmentation_has_no_heads():
    with pytest.raises(SpecError, match="brings its own head"):
        describe(training("unet", head=Choice(name="mlp")), DataShape(task=SEGMENT, **ASK))


class Parts(nn.Module):
    def __init__(self, in_channels, num_classes, width=6):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(in_channels, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.head(self.encoder(x))


class More(Parts):
    def forward(self, x):
        return self.head(self.encoder(x).relu() + 1)


@pytest.fixture
def users_module(monkeypatch):
    module = types.ModuleType("users_networks")
    module.Parts, module.More, module.number = Parts, More, lambda in_channels, num_classes: 7
    monkeypatch.setitem(sys.modules, "users_networks", module)


@pytest.mark.usefixtures("users_module")
def test_a_users_network_is_called_with_its_options():
    asked = training("x").model_copy(
        update={"model": Choice(name="users_networks:Parts", options={"width": 9})}
    )
    net = build(asked.model_copy(update={"freeze": "encoder"}), DataShape(task=CLASSIFY, **ASK), seed=0)
    assert net.head.in_features == 9
    assert net(torch.rand(2, 3, 20, 20)).shape == (2, 4)
    assert describe(asked, DataShape(task=CLASSIFY, **ASK)).parameters == sum(
        p.numel() for p in net.parameters()
    )


@pytest.mark.usefixtures("users_module")
def test_a_users_network_is_whole_where_its_parts_are_not_the_whole():
    net = network("users_networks:More", CLASSIFY)
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(net(x), net.encoder(x))
    with pytest.raises(SpecError, match="no part called 'encoder' that could be frozen"):
        freeze_encoder(net)


@pytest.mark.usefixtures("users_module")
@pytest.mark.parametrize(
    ("name", "options", "part"),
    [
        ("users_networks:Party", {}, "Did you mean 'Parts'?"),
        ("users_networks:Parts", {"withd": 3}, "Did you mean 'width'?"),
        ("users_networks:number", {}, "returned int"),
    ],
)
def test_a_users_network_that_cannot_be_used_is_refused(name, options, part):
    asked = training("x").model_copy(update={"model": Choice(name=name, options=options)})
    with pytest.raises(SpecError) as refused:
        build(asked, DataShape(task=CLASSIFY, **ASK), seed=0)
    assert part in str(refused.value)


def test_a_layout_that_kills_torch_is_not_used():
    # torch 2.15 aborts in the backward pass of a strided 1 x 1 convolution of few channels that lies channels-last.
    few, enough = (
        nn.Sequential(nn.Conv2d(3, width, 3), nn.Conv2d(width, 8, 1, stride=2)) for width in (15, 16)
    )
    assert layout_for(few) is torch.contiguous_format
    assert layout_for(enough) is torch.channels_last
    images = torch.randn(2, 3, 16, 16)
    few(images).sum().backward()
    assert all(values.grad is not None for values in few.parameters())
