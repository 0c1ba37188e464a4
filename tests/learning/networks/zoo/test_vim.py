"""The state-space model: its recurrence against other ways to the same numbers, and what its patches hear of."""

import pytest
import torch
from networks_to_try import CLASSIFY, network
from torch import nn

from foldwise.errors import SpecError
from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import DataShape
from foldwise.learning.networks.zoo.vim import PatchMamba, Recurrence, SelectiveScan, walk
from foldwise.study.training import Choice, Training


def one_by_one(decay_NTES, gain_NTES):
    """The definition, token after token, and left to autograd."""
    state_NES, states = torch.zeros_like(gain_NTES[:, 0]), []
    for token in range(gain_NTES.shape[1]):
        state_NES = decay_NTES[:, token] * state_NES + gain_NTES[:, token]
        states.append(state_NES)
    return torch.stack(states, dim=1)


def decays_and_gains(tokens, dtype=torch.float64):
    numbers = torch.Generator().manual_seed(tokens)
    decay, gain = torch.rand(2, 2, tokens, 3, 2, generator=numbers, dtype=dtype)
    return decay.requires_grad_(), (gain - 0.5).requires_grad_()


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("tokens", [1, 2, 7, 64])
def test_the_walk_is_the_recurrence_and_so_is_its_gradient(tokens, back):
    decay, gain = decays_and_gains(tokens)
    way = (lambda x: x.flip(1)) if back else (lambda x: x)
    wanted, got = way(one_by_one(way(decay), way(gain))), Recurrence.apply(decay, gain, back)
    torch.testing.assert_close(got, wanted)
    slope = torch.linspace(-1, 2, got.numel(), dtype=got.dtype).reshape(got.shape)
    slopes = torch.autograd.grad((got * slope).sum(), (decay, gain))
    torch.testing.assert_close(slopes, torch.autograd.grad((wanted * slope).sum(), (decay, gain)))


def test_the_walk_is_a_sum_over_all_earlier_tokens():
    decay, gain = decays_and_gains(5)
    states = walk(decay.detach(), gain.detach(), False)
    wanted = sum(gain[:, token] * decay[:, token + 1 :].prod(1) for token in range(5))
    torch.testing.assert_close(states[:, -1], wanted.detach())


@pytest.mark.parametrize("back", [False, True])
def test_slopes_are_right_by_differences_and_so_are_slopes_of_slopes(back):
    decay, gain = decays_and_gains(4)
    assert torch.autograd.gradcheck(lambda d, g: Recurrence.apply(d, g, back), (decay, gain))
    assert torch.autograd.gradgradcheck(lambda d, g: Recurrence.apply(d, g, back), (decay, gain))


def test_a_walk_forgets_all_or_nothing_without_overflow():
    gain = torch.full((1, 2000, 1, 1), 3.0, requires_grad=True)
    nothing = Recurrence.apply(torch.zeros_like(gain, requires_grad=True), gain, False)
    assert torch.equal(nothing, gain)
    decay = torch.full_like(gain, 1e-30, requires_grad=True)
    states = Recurrence.apply(decay, gain, False)
    states.sum().backward()
    assert all(x.isfinite().all() for x in (states, decay.grad, gain.grad))
    assert Recurrence.apply(torch.ones_like(gain), gain, False)[0, -1].item() == 6000


@pytest.mark.parametrize("back", [False, True])
def test_a_scan_sees_only_what_was_walked_before(back):
    torch.manual_seed(0)
    scan = SelectiveScan(16, 4, back=back)
    x = torch.randn(1, 12, 16, requires_grad=True)
    scan(x)[0, 6].sum().backward()
    seen = x.grad[0].abs().sum(-1) > 0
    assert seen.tolist() == ([False] * 6 + [True] * 6 if back else [True] * 7 + [False] * 5)


def test_a_scan_does_what_the_papers_formula_says():
    torch.manual_seed(0)
    scan = SelectiveScan(5, 3, back=False)
    x = torch.randn(2, 6, 5)
    with torch.no_grad():
        padded = torch.cat([torch.zeros(2, 3, 5), x], dim=1)
        taps = torch.stack([padded[:, tap : tap + 6] for tap in range(4)], -1)
        u = nn.functional.silu((taps * scan.neighbours.weight[:, 0]).sum(-1) + scan.neighbours.bias)
        low, take, tell = scan.choose(u).split([1, 3, 3], -1)
        stride, wanted = nn.functional.softplus(scan.stride(low)), torch.zeros_like(u)
        for image in range(2):
            for channel in range(5):
                h = torch.zeros(3)
                for token in range(6):
                    dt = stride[image, token, channel]
                    h = (-dt * scan.log_rates[channel].exp()).exp() * h
                    h = h + dt * take[image, token] * u[image, token, channel]
                    wanted[image, token, channel] = tell[image, token] @ h
        torch.testing.assert_close(scan(x), wanted + scan.skip * u)


def test_memories_begin_with_strides_from_a_thousandth_to_a_tenth():
    torch.manual_seed(0)
    scan = SelectiveScan(256, 4, back=False)
    strides = nn.functional.softplus(scan.stride.bias)
    assert 1e-3 < strides.min() < 3e-3
    assert 0.095 < strides.max() < 0.1
    torch.testing.assert_close(scan.log_rates.exp()[7], torch.tensor([1.0, 2, 3, 4]))


def test_every_patch_hears_of_every_other_in_one_block():
    torch.manual_seed(0)
    net = PatchMamba(1, patch=4, width=8, blocks=1, states=2)
    x = torch.randn(1, 1, 16, 16, requires_grad=True)
    for row, column in [(0, 0), (3, 3), (1, 2)]:
        (slope,) = torch.autograd.grad(net(x)[0, :, row, column].square().sum(), x)
        assert nn.functional.max_pool2d(slope.abs(), 4).gt(0).all()


def test_half_precision_is_kept_out_of_the_memory():
    net = network("vim", CLASSIFY).eval()
    x = torch.rand(2, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        rough = net(x)
    rough.float().sum().backward()
    torch.testing.assert_close(rough.float(), net(x), atol=0.05, rtol=0.05)


def test_a_width_that_does_not_divide_is_refused():
    asked = Training(model=Choice(name="vim", options={"width": 30}))
    with pytest.raises(SpecError, match="a vim of width 30 cannot be divided among 4 waves"):
        build(asked, DataShape(task=CLASSIFY, in_channels=3, num_classes=4, size_hw=(64, 64)), seed=0)
