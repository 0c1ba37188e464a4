"""Pretrained weights: every tensor is accounted for, and a network with them computes what it computed before."""

import socket

import pytest
import torch
from networks_to_try import CLASSIFY, SEGMENT, network, training
from safetensors.torch import load_file, save_file

from foldwise.errors import MissingExtra, SpecError
from foldwise.learning.networks.describing import describe
from foldwise.learning.networks.lean_imports import library
from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import DataShape
from foldwise.learning.networks.weights import (
    RENAMINGS,
    adapted,
    load_encoder,
    reachable,
    torchvision_mobilenet_v2,
)

timm, torchvision = library("timm"), library("torchvision")  # as foldwise imports them
ASK = {"task": CLASSIFY, "num_classes": 2, "size_hw": (64, 64)}


def asked(model, weights, in_channels=3, **more):
    return build(
        training(model, weights=str(weights), **more), DataShape(in_channels=in_channels, **ASK), seed=0
    )


@pytest.fixture
def saved(tmp_path):
    """A test_resnet for RGB with a classifier of 7 classes, and the file of its weights."""
    torch.manual_seed(0)
    net = timm.create_model("test_resnet", num_classes=7).eval()
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    return net, tmp_path / "net.safetensors"


def test_a_network_with_weights_computes_what_it_did(saved):
    source, path = saved
    net = asked("timm:test_resnet", path).eval()
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(net.features(x), source.forward_head(source.forward_features(x), pre_logits=True))


def test_the_report_accounts_for_every_tensor(saved):
    source, path = saved
    report = asked("timm:test_resnet", path).weights_report
    assert len(report.matched) + len(report.unexpected) == len(source.state_dict())
    assert report.unexpected == ("fc.bias", "fc.weight")
    assert (report.adapted, report.missing) == ((), ())
    assert str(report).endswith("is left out, and made anew for these classes")
    assert "fc" not in str(report).removeprefix(f"weights from {path}")


def test_weights_leave_the_head_as_its_seed_made_it(saved):
    with_weights, without = asked("timm:test_resnet", saved[1]), asked("timm:test_resnet", "none")
    assert torch.equal(with_weights.head[1].weight, without.head[1].weight)


@pytest.mark.parametrize("prefix", ["module.", "model.", "encoder.", "backbone."])
def test_a_wrapped_encoder_is_unwrapped(saved, tmp_path, prefix):
    source, _ = saved
    state = {prefix + key: value for key, value in source.state_dict().items()}
    save_file(state, tmp_path / "wrapped.safetensors")
    report = asked("timm:test_resnet", tmp_path / "wrapped.safetensors").weights_report
    assert f"prefix {prefix!r} removed" in report.mapping


def test_a_grey_image_gives_what_its_rgb_copy_gives(saved):
    source, path = saved
    net = asked("timm:test_resnet", path, in_channels=1).eval()
    x = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        rgb = source.forward_head(source.forward_features(x.expand(-1, 3, -1, -1)), pre_logits=True)
        assert torch.allclose(net.features(x), rgb, atol=1e-5)
    assert net.weights_report.adapted == ("conv1.0.weight",)


@pytest.mark.parametrize("channels", [2, 4, 6, 7])
def test_more_channels_repeat_the_kernels(channels):
    rgb = torch.randn(5, 3, 3, 3)
    wide = adapted(rgb, torch.zeros(5, channels, 3, 3))
    assert all(torch.equal(wide[:, place], rgb[:, place % 3] * (3 / channels)) for place in range(channels))


def test_twice_rgb_gives_what_rgb_gives():
    rgb, x = torch.randn(5, 3, 3, 3), torch.rand(1, 3, 8, 8)
    wide = adapted(rgb, torch.zeros(5, 6, 3, 3))
    conv = torch.nn.functional.conv2d
    assert torch.allclose(conv(torch.cat([x, x], 1), wide), conv(x, rgb), atol=1e-5)


def test_no_tensor_is_bent_to_fit():
    with pytest.raises(ValueError, match="cannot be adapted"):
        adapted(torch.zeros(3, 4), torch.zeros(4, 3))


def test_weights_of_a_segmentation_encoder(tmp_path):
    source = network("smp:unet/resnet18", SEGMENT, in_channels=2, num_classes=3, seed=8)
    state = torchvision.models.resnet18().state_dict()
    save_file(state, tmp_path / "resnet18.safetensors")
    asked = training("smp:unet/resnet18", weights=str(tmp_path / "resnet18.safetensors"))
    net = build(asked, DataShape(task=SEGMENT, in_channels=2, num_classes=3), seed=8)
    assert net.weights_report.adapted == ("conv1.weight",)
    assert torch.equal(net.encoder.layer1[0].conv1.weight, state["layer1.0.conv1.weight"])
    assert torch.equal(
        net.body.decoder.blocks[0].conv1[0].weight, source.body.decoder.blocks[0].conv1[0].weight
    )


def test_an_own_network_takes_its_own_weights(tmp_path):
    source = network("resnet", CLASSIFY, seed=1)
    save_file(source.state_dict(), tmp_path / "own.safetensors")
    net = asked("resnet", tmp_path / "own.safetensors")
    assert all(
        torch.equal(a, b) for a, b in zip(net.encoder.parameters(), source.encoder.parameters(), strict=True)
    )


def test_a_tensor_that_is_not_there_is_an_error(saved, tmp_path):
    state = saved[0].state_dict()
    del state["layer1.0.conv1.weight"]
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(SpecError) as refused:
        asked("timm:test_resnet", tmp_path / "less.safetensors")
    assert "1 of 90 tensors of the encoder are not in it: layer1.0.conv1.weight (" in str(refused.value)
    assert "torchvision's own names are models 'torchvision:<name>'" in str(refused.value)


def test_a_tensor_of_another_shape_is_an_error(saved, tmp_path):
    state = saved[0].state_dict()
    state["layer1.0.bn1.weight"] = torch.zeros(3)
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(SpecError, match=r"layer1\.0\.bn1\.weight \(\d+,\), there \(3,\)"):
        asked("timm:test_resnet", tmp_path / "other.safetensors")


def test_a_deeper_network_of_the_same_family_is_an_error(tmp_path):
    """All tensors of a ResNet-18 are in a ResNet-34 too, with the same shapes."""
    save_file(timm.create_model("resnet34").state_dict(), tmp_path / "deep.safetensors")
    with pytest.raises(SpecError, match=r"of its tensors are not in the encoder: layer1\.2\.bn1\.bias"):
        asked("timm:resnet18", tmp_path / "deep.safetensors")


def test_a_refused_file_is_refused_before_anything_is_trained(saved, tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "no.safetensors")
    with pytest.raises(SpecError, match="are not those of timm:test_resnet"):
        describe(
            training("timm:test_resnet", weights=str(tmp_path / "no.safetensors")),
            DataShape(in_channels=3, **ASK),
        )
    said = describe(training("timm:test_resnet", weights=str(saved[1])), DataShape(in_channels=1, **ASK))
    assert "its first layer is fitted to the channels of these images" in said.warnings[0]


@pytest.mark.parametrize(
    ("weights", "part"),
    [
        (
            "imagnet",
            "no weights are called 'imagnet'\n  → Known: none, imagenet, efficientnet-lite0, or the path of a .safetensors file",
        ),
        ("net.pth", "no weights are called 'net.pth'"),
        ("nowhere.safetensors", "the weights file 'nowhere.safetensors' does not exist"),
    ],
)
def test_what_are_no_weights_is_refused(weights, part):
    with pytest.raises(SpecError) as refused:
        asked("timm:test_resnet", weights)
    assert part in str(refused.value)


def test_a_broken_file_is_refused(tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"not tensors")
    with pytest.raises(SpecError, match="cannot be read"):
        asked("timm:test_resnet", tmp_path / "broken.safetensors")


def test_own_networks_have_no_imagenet_weights():
    with pytest.raises(SpecError, match="there are no imagenet weights of resnet"):
        asked("resnet", "imagenet")
    with pytest.raises(SpecError, match="there are no imagenet weights of resnet"):
        describe(training("resnet", weights="imagenet"), DataShape(in_channels=3, **ASK))


@pytest.mark.parametrize("model", ["timm:test_resnet", "torchvision:squeezenet1_0"])
def test_a_download_without_a_network_says_what_to_do(model, monkeypatch, tmp_path):
    def nobody(*_args, **_more):
        raise OSError("no network")

    monkeypatch.setattr(socket, "create_connection", nobody)
    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingExtra) as refused:
        asked(model, "imagenet")
    assert f"the imagenet weights of {model} are not on this machine and could not be downloaded" in str(
        refused.value
    )
    assert "set 'weights:' to a local .safetensors file" in str(refused.value)


def test_a_server_that_is_not_there_is_not_waited_for(monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert not reachable("http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert reachable("http://127.0.0.1:9")


def test_imagenet_weights_are_adapted_as_those_of_a_file_are(saved):
    net = asked("timm:test_resnet", "none", in_channels=1)
    report = load_encoder(net.encoder, "imagenet", name="x", donor=lambda: dict(saved[0].state_dict()))
    assert report.adapted == ("conv1.0.weight",)
    assert torch.equal(net.encoder.conv1[0].weight, saved[0].conv1[0].weight.sum(1, keepdim=True))


def test_the_names_of_mobilenet_v2_are_mapped_one_to_one():
    theirs = torchvision.models.mobilenet_v2(weights=None).state_dict()
    ours = timm.create_model("mobilenetv2_100").state_dict()
    assert [torchvision_mobilenet_v2(key) for key in theirs] == list(ours)
    assert [value.shape for value in theirs.values()] == [value.shape for value in ours.values()]


@pytest.mark.parametrize("mapping", RENAMINGS)
def test_a_renaming_leaves_no_two_names_alike(mapping):
    names = list(torchvision.models.mobilenet_v2(weights=None).state_dict())
    assert len({RENAMINGS[mapping](name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("model", "file", "make"),
    [
        ("timm:mobilenetv2_100", "mobilenet_v2_from_coral_quant", torchvision.models.mobilenet_v2),
        ("torchvision:mobilenet_v2", "mobilenet_v2_from_coral_quant", torchvision.models.mobilenet_v2),
        (
            "torchvision:squeezenet1_0",
            "squeezenet1_0_from_deep_compression",
            torchvision.models.squeezenet1_0,
        ),
    ],
)
def test_real_weights_compute_what_torchvision_computes(model, file, make, shared_weights):
    path = shared_weights / f"{file}.safetensors"
    source = make(weights=None).eval()
    source.load_state_dict(load_file(path), strict=False)
    net = asked(model, path).eval()
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps = source.features(x)
        theirs = maps.mean((2, 3))
        assert (net.features(x) - theirs).abs().max() < 1e-4
    assert net.weights_report.adapted == ()
    assert len(net.weights_report.unexpected) == 2


def test_real_weights_in_an_smp_encoder(shared_weights):
    path = shared_weights / "mobilenet_v2_from_coral_quant.safetensors"
    asked = training("smp:unet/mobilenet_v2", weights=str(path), freeze="encoder")
    net = build(asked, DataShape(task=SEGMENT, in_channels=1, num_classes=2), seed=0).eval()
    assert net.weights_report.adapted == ("features.0.0.weight",)
    with torch.no_grad():
        assert torch.isfinite(net(torch.rand(1, 1, 61, 47))).all()
