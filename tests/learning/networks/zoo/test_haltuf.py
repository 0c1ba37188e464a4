"""The Haltuf network: the size of the original, and what its windows see."""

import pytest
import torch
from torch import nn

from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import DataShape
from foldwise.learning.networks.zoo.haltuf import EveryScale, HaltufEncoder
from foldwise.study.training import Training


@pytest.mark.parametrize("size_px", [32, 192])
def test_haltuf_has_the_parameters_of_the_original_at_every_size(size_px):
    shape = {"in_channels": 3, "num_classes": 28, "size_hw": (size_px, size_px)}
    net = build(Training(model="haltuf"), DataShape(task="multilabel_classification", **shape), seed=0)
    running = [value for key, value in net.named_buffers() if "running" in key]
    learned = sum(parameter.numel() for parameter in net.parameters())
    assert learned == 193_246
    assert learned + sum(value.numel() for value in running) == 193_948


def test_haltuf_halves_192_pixels_five_times_and_keeps_4_x_4_places():
    net = HaltufEncoder(3).eval()
    maps = net.gather(net.scales(net.look(torch.rand(1, 3, 192, 192))))
    assert maps.shape == (1, 128, 6, 6)
    assert net.dense[0](maps).shape == (1, 128, 4, 4)


def test_windows_of_every_size_see_as_far_as_they_say():
    torch.manual_seed(0)
    scales = EveryScale(2, 3).eval()
    x = torch.zeros(1, 2, 15, 15, requires_grad=True)
    with torch.no_grad():
        for window in scales.windows:
            window.bias.fill_(1)  # so that no ReLU is shut
    for number, across in enumerate([3, 5, 7, 1]):
        (slope,) = torch.autograd.grad(scales(x)[0, 3 * number : 3 * number + 3, 7, 7].sum(), x)
        assert slope.any(dim=1).sum() == across**2


def test_channels_of_any_brightness_are_brought_to_one_range():
    net = HaltufEncoder(2, width=2, dropout=0.0)
    x = torch.rand(8, 2, 16, 16)
    scale = torch.tensor([1.0, 500]).reshape(1, 2, 1, 1)
    torch.testing.assert_close(net.norm(x), net.norm(x * scale), atol=1e-3, rtol=1e-3)


def test_dropout_is_what_is_asked_and_only_in_training():
    net = HaltufEncoder(3, width=2, dropout=0.0)
    shares = [module.p for module in net.modules() if isinstance(module, nn.Dropout)]
    assert shares == [0.0] * 5 + [0.5, 0.1]
    x = torch.rand(2, 3, 32, 32)
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))
