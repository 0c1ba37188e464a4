"""Weights of a Python package: the tensors of timm's network under its names, checked by digest, and normalised as they want."""

import importlib.util

import numpy as np
import pytest
import torch

from foldwise.errors import MissingExtra, SpecError
from foldwise.learning.networks import packaged_weights
from foldwise.learning.networks.lean_imports import library
from foldwise.learning.networks.weights import file_shapes, match, weights_file
from foldwise.study.named_weights import NAMED_WEIGHTS
from foldwise.study.training import Training

timm = library("timm")  # without the compiler, which takes seconds in every process of tests
NAME = "efficientnet-lite0"


@pytest.fixture
def installed():
    if importlib.util.find_spec(NAMED_WEIGHTS[NAME].module) is None:
        pytest.skip(f"{NAMED_WEIGHTS[NAME].package} is not installed")


def test_the_file_has_all_tensors_of_the_network_by_name(installed):
    network = timm.create_model(NAMED_WEIGHTS[NAME].model)
    path = weights_file(NAME)
    assert file_shapes(path) == {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert path == weights_file(NAME)  # converted once


def test_they_are_real(installed):
    """Random weights say the same of every picture; trained ones tell a stripe from a checkerboard with confidence."""
    from safetensors.torch import load_file

    network = timm.create_model(NAMED_WEIGHTS[NAME].model).eval()
    untrained = network.state_dict()["blocks.3.0.conv_pw.weight"].std()
    network.load_state_dict(load_file(weights_file(NAME)))
    y, x = np.mgrid[:224, :224]
    pictures = np.stack([(x // 16) % 2, (x // 32 + y // 32) % 2]).astype(np.float32) * 2 - 1
    with torch.no_grad():
        shares = network(torch.from_numpy(pictures)[:, None].expand(-1, 3, -1, -1)).softmax(1)
    assert shares.argmax(1)[0] != shares.argmax(1)[1]
    assert shares.max(1).values.min() > 0.02  # 1000 classes
    assert network.state_dict()["blocks.3.0.conv_pw.weight"].std() != untrained


@pytest.mark.parametrize(
    "name", ["tf_efficientnet_lite0", "mobilenetv2_100", "mobilenetv3_small_050", "mobilenetv4_conv_small"]
)
def test_an_encoder_of_masks_takes_the_weights_of_a_classifier_up_to_its_last_features(name):
    from segmentation_models_pytorch.encoders import get_encoder

    with torch.device("meta"):
        file = {key: tuple(value.shape) for key, value in timm.create_model(name).state_dict().items()}
    encoder = {
        key: tuple(value.shape) for key, value in get_encoder(f"tu-{name}", weights=None).state_dict().items()
    }
    report, placed = match(file, encoder, source="a file", name=name)
    assert set(placed) == set(encoder)
    assert {key.split(".")[0] for key in report.unexpected} <= {"classifier", "conv_head", "bn2", "norm_head"}
    # Of another network, nothing is left out silently.
    with pytest.raises(SpecError, match=r"are not in the encoder: blocks\.9\.weight"):
        match(file | {"blocks.9.weight": (1,)}, encoder, source="a file", name=name)


def test_a_package_that_is_not_there_or_holds_other_numbers_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path))
    monkeypatch.setattr(packaged_weights, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="not installed"):
        weights_file(NAME)
    file = tmp_path / NAMED_WEIGHTS[NAME].file
    file.parent.mkdir()
    file.write_bytes(b"other numbers")
    spec = importlib.util.spec_from_file_location("package", tmp_path / "__init__.py")
    monkeypatch.setattr(packaged_weights, "find_spec", lambda _: spec)
    with pytest.raises(MissingExtra, match="does not hold the weights"):
        weights_file(NAME)
    assert not (tmp_path / "weights").exists()


def test_images_are_normalised_as_the_weights_want_unless_stated(tmp_path):
    assert Training(model="conv", weights=NAME).normalize == "half"
    assert Training(model="conv", weights=NAME, normalize="image").normalize == "image"
    assert Training(model="conv", weights="imagenet").normalize == "auto"
