"""Large images against one pass of the whole: every network of the zoo and the usual decoders, whole and in tiles."""

import math
from itertools import pairwise

import pytest
import torch
from networks_to_try import OWN, SEGMENT, network, training
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from foldwise.learning.networks import tiles
from foldwise.learning.networks.describing import describe
from foldwise.learning.networks.network import DataShape
from foldwise.learning.networks.tiles import BUDGET_BYTES, LARGEST_PX, Need, need_of, step_of, tile_px, tiled
from foldwise.learning.training.scoring import ForwardPass

MAX_SHARE = 0.002  # of pixels decided otherwise than by one pass of the whole
ZOO = [name for name, task in OWN if task == SEGMENT]
DECODERS = ["unet", "unetplusplus", "manet", "linknet", "fpn", "pspnet", "deeplabv3", "deeplabv3plus", "pan", "upernet", "segformer"]  # fmt: skip
SMP = [f"smp:{decoder}/tu-test_resnet" for decoder in DECODERS]
LOCAL = [
    "conv",
    "unet",
    "resnet",
    "smp:unet/resnet18",
    "smp:unetplusplus/tu-test_resnet",
    "smp:linknet/tu-test_resnet",
]


def picture(height, width, seed=0):
    """Structures of 1 to 64 pixels, (1, 3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(1, 3, height, width)
    for side in (1, 4, 16, 64):
        noise = torch.randn(1, 3, height // side + 1, width // side + 1, generator=generator)
        image += F.interpolate(noise, size=(height, width), mode="bilinear")
    return image / image.std()


class Decisive(nn.Module):
    """A random network whose classes are about equally frequent: one that says everywhere the same would pass any test."""

    def __init__(self, name, image):
        super().__init__()
        self.network = network(name, SEGMENT, num_classes=3, size_hw=None)
        self.multiple = self.network.multiple
        for layer in self.network.modules():
            if isinstance(layer, _BatchNorm):
                layer.momentum = None
        with torch.inference_mode():
            self.network.train()(torch.cat([picture(128, 128, seed) for seed in (1, 2)]))
            logits = self.network.eval()(image)
        self.middle, self.spread = (stat((0, 2, 3), keepdim=True) for stat in (logits.mean, logits.std))
        self.image, self.decided = image, ((logits - self.middle) / self.spread).argmax(1)
        self.eval()

    def forward(self, image):
        return (self.network(image) - self.middle.to(image)) / self.spread.to(image) * 4


@torch.inference_mode()
def differing(net, outputs_of):
    """The share of pixels of its image that are decided otherwise than by one pass of the whole."""
    assert (torch.bincount(net.decided.flatten(), minlength=3) / net.decided.numel()).max() < 0.8
    return (outputs_of(net.image).argmax(1) != net.decided).float().mean().item()


@pytest.mark.parametrize("name", ZOO + SMP)
def test_a_large_image_is_decided_as_by_one_pass(name):
    image = picture(130, LARGEST_PX + 97)
    net = Decisive(name, image)
    forward = ForwardPass(SEGMENT, 3, torch.device("cpu"))
    assert differing(net, lambda image: forward.logits(net, image)) <= MAX_SHARE


@pytest.mark.parametrize("name", LOCAL)
def test_tiles_give_what_one_pass_gives(name):
    image = picture(64, 1611)
    net = Decisive(name, image)

    def cut(step):
        return lambda image: tiled(lambda tile: net(tile).softmax(1), image, side_px=800, step=step)

    assert differing(net, cut(step_of(net))) <= MAX_SHARE
    if net.multiple > 1:  # the reason for steps
        assert differing(net, cut(1)) > 5 * MAX_SHARE


def test_beyond_the_budget_images_go_in_tiles(monkeypatch):
    image = picture(64, 1700)
    net, forward = Decisive("unet", image), ForwardPass(SEGMENT, 3, torch.device("cpu"))
    assert tile_px(net, (1, 3, LARGEST_PX, LARGEST_PX)) is None
    assert tile_px(net, image.shape) is None
    monkeypatch.setattr(tiles, "BUDGET_BYTES", need_of(net, 3).bytes(64, 1200))
    sides = []
    hook = net.register_forward_pre_hook(lambda _, inputs: sides.append(tuple(inputs[0].shape)))
    logits = forward.logits(net, torch.cat([image, image]))
    hook.remove()
    assert tile_px(net, image.shape) == LARGEST_PX
    assert len(sides) > 3
    assert all(len_ == 1 and width <= LARGEST_PX + step_of(net) for len_, _, _, width in sides)
    assert torch.equal(logits[0], logits[1])
    assert differing(net, lambda image: forward.logits(net, image)) <= MAX_SHARE


@pytest.mark.parametrize(("length", "side", "step"), [(1025, 1024, 32), (3504, 2112, 32), (5000, 1056, 96)])
def test_spans_cover_the_length_from_multiples_of_the_step(length, side, step):
    overlap = 2 * tiles.MARGIN_PX + tiles.RAMP_PX
    spans = list(tiles._spans(length, side, overlap, step))
    assert (spans[0][0], spans[-1][1]) == (0, length)
    assert all(start % step == 0 and end - start <= side + step for start, end in spans)
    assert all(end - start >= overlap for (_, end), (start, _) in pairwise(spans))


@pytest.mark.parametrize("size", [(40, 200), (130, 97), (64, 64)])
def test_tiles_of_a_function_of_pixels_are_the_whole(size):
    image = torch.randn(1, 3, *size)
    made = tiled(lambda part: part * 2, image, side_px=64, margin_px=8, ramp_px=8, step=4)
    torch.testing.assert_close(made, image * 2)


def test_tiles_pass_into_each_other_without_steps():
    # A function that says of each tile which it is: blended, it rises evenly, without a jump.
    numbers = iter(range(100))
    made = tiled(
        lambda part: torch.full_like(part, next(numbers)),
        torch.zeros(1, 1, 8, 300),
        side_px=96,
        margin_px=8,
        ramp_px=32,
        step=4,
    )
    assert made[0, 0, 0].diff().abs().max() < 0.1


def test_memory_is_that_of_what_lives_at_the_same_time():
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.MaxPool2d(2))
    # The image (3 maps) to the end; at the worst moment the first two results as well, of 8 maps each.
    assert need_of(layers, 3) == Need(4 * (3 + 8 + 8))
    assert need_of(nn.Identity(), 3) == Need(4 * 3)


@pytest.mark.parametrize("name", ["vit", "smp:dpt/tu-test_vit", "smp:unet/mit_b0"])
def test_attention_counts_by_pairs_of_places(name):
    need = need_of(network(name, SEGMENT, size_hw=None), 3)
    assert need.bytes_per_px2 > 0
    if name == "vit":
        heads, patch = 4, 8
        assert need.bytes_per_px2 == 4 * heads / patch**4
        side = need.side_px(patch)
        assert need.bytes(side, side) <= BUDGET_BYTES or side == LARGEST_PX


def test_following_moves_nothing_and_what_cannot_be_followed_is_assumed():
    net = network("unet", SEGMENT).train()
    before = {name: values.clone() for name, values in net.state_dict().items()}
    need_of(net, 3)
    assert all(torch.equal(values, before[name]) for name, values in net.state_dict().items())

    class Looks(nn.Module):
        def forward(self, image):
            return image * float(image.sum())  # a number, which there is none of

    assert need_of(Looks(), 3).bytes_per_px > 100


def test_steps_are_multiples_of_every_stride():
    assert step_of(network("vit", SEGMENT)) == 32
    odd = nn.Identity()
    odd.multiple = 12
    assert step_of(odd) == math.lcm(32, 12)


def test_a_study_is_warned_of_tiles_where_there_are_any():
    def notes(name, size_hw):
        return describe(training(name), DataShape(SEGMENT, 1, 3, size_hw)).warnings

    assert notes("conv", (1400, 1400)) == ()
    (note,) = notes("vit", (2048, 2064))
    assert "images of 2064 x 2048 pixels go through vit in tiles of 1024 pixels" in note
