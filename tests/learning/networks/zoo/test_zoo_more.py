"""The state-space model and the Haltuf network: numbers against other ways to the same, and that nothing is idle."""

import pytest
import torch
from torch import nn

from foldwise.errors import SpecError
from foldwise.learning.networks import models
from foldwise.learning.networks.describing import describe
from foldwise.learning.networks.models import build, layout_for
from foldwise.learning.networks.zoo.haltuf import EveryScale, HaltufEncoder
from foldwise.learning.networks.zoo.vim import (
    PatchMamba,
    Recurrence,
    SelectiveScan,
    VimEncoder,
    VimSegmenter,
    walk,
)
from foldwise.learning.options import options_of
from foldwise.study.spec import Choice, Training

CLASSIFY, SEGMENT, LABELS = (
    "multiclass_classification",
    "multiclass_segmentation",
    "multilabel_classification",
)
ROWS = {"vim": models.Row(VimEncoder, VimSegmenter), "haltuf": models.Row(HaltufEncoder, None)}
SMALL = {
    "vim": {"width": 16, "blocks": 1, "states": 3, "patch": 8},
    "haltuf": {"width": 2, "hidden": 5},
}
MORE = [("vim", CLASSIFY), ("vim", SEGMENT), ("haltuf", CLASSIFY)]


@pytest.fixture(autouse=True)
def rows(monkeypatch):
    for name, row in ROWS.items():
        monkeypatch.setitem(models.MODELS, name, row)


def training(name, options=None, **more):
    return Training(model=Choice(name=name, options=SMALL[name] if options is None else options), **more)


def network(name, task, *, options=None, seed=0, freeze="none", **more):
    asked = {"in_channels": 3, "num_classes": 4, "size_hw": (64, 64), **more}
    return build(training(name, options, freeze=freeze), task=task, seed=seed, **asked)


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(("name", "task"), MORE)
def test_every_trainable_parameter_gets_a_gradient(name, task):
    net = network(name, task).train()
    net(torch.randn(4, 3, 64, 64)).square().sum().backward()
    idle = [key for key, value in net.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == []


@pytest.mark.parametrize("size_hw", [(64, 64), (61, 47), (9, 30), (5, 3)])
@pytest.mark.parametrize("in_channels", [1, 3, 4])
@pytest.mark.parametrize(("name", "task"), MORE)
def test_any_number_of_channels_and_any_size(name, task, in_channels, size_hw):
    net = network(name, task, in_channels=in_channels, size_hw=size_hw)
    x = torch.rand(2, in_channels, *size_hw)
    wanted = (2, 4) if task == CLASSIFY else (2, 4, *size_hw)
    assert net.train()(x).shape == wanted
    assert net.eval()(x).shape == wanted


@pytest.mark.parametrize(("name", "task"), MORE)
def test_a_seed_is_all_that_decides_the_numbers(name, task):
    before = network(name, task, seed=3).state_dict()
    torch.rand(17)
    after, other = network(name, task, seed=3).state_dict(), network(name, task, seed=4).state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not all(torch.equal(before[key], other[key]) for key in before)


@pytest.mark.parametrize(("name", "task"), MORE)
def test_it_ends_in_logits(name, task):
    net = network(name, task).eval()
    *_, last = (module for module in net.head.modules() if not list(module.children()))
    assert isinstance(last, nn.Linear | nn.Conv2d)
    with torch.no_grad():
        last.bias += 7
        logits = net(torch.rand(2, 3, 64, 64))
    assert logits.mean() > 5  # a sigmoid or softmax would end at 1


@pytest.mark.parametrize(("name", "task"), MORE)
def test_a_description_without_numbers_counts_what_is_built(name, task):
    said = describe(training(name), task=task, in_channels=3, num_classes=4, size_hw=(64, 64))
    assert said.parameters == said.trainable_parameters == count(network(name, task))
    assert said.warnings == ()


@pytest.mark.parametrize(("name", "task"), MORE)
def test_a_frozen_encoder_is_frozen_whole(name, task):
    net = network(name, task, freeze="encoder").train()
    net(torch.randn(2, 3, 64, 64)).square().sum().backward()
    place = "encoder." if task == CLASSIFY else "body.encoder."
    assert {key.startswith(place) for key, value in net.named_parameters() if value.grad is None} == {True}
    assert not any(module.training for module in net.encoder.modules())


@pytest.mark.parametrize(("name", "task"), MORE)
def test_every_size_factor_changes_the_number_of_parameters(name, task):
    more = {"width": 8, "blocks": 2, "states": 4, "patch": 4, "hidden": 6}
    row = ROWS[name].encoder if task == CLASSIFY else ROWS[name].segmenter
    before = count(network(name, task))
    factors = set(options_of(row)) - {"dropout"}
    assert factors == set(SMALL[name])
    for factor in factors:
        options = {**SMALL[name], factor: more[factor]}
        assert count(network(name, task, options=options)) != before, factor


def test_layout_follows_the_architecture():
    layouts = [layout_for(network(name, task)) for name, task in MORE]
    assert layouts == [torch.contiguous_format, torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize(("name", "task"), MORE)
def test_it_can_learn_where_a_square_is(name, task):
    torch.manual_seed(0)
    net = network(name, task, in_channels=1, options={**SMALL[name], "width": 8}, size_hw=(32, 32))
    x, target = torch.randn(8, 1, 32, 32) * 0.1, torch.arange(8) % 4
    masks = torch.zeros(8, 32, 32, dtype=torch.long)
    for mask, corner in zip(masks, target, strict=True):
        row, column = divmod(int(corner), 2)
        mask[16 * row + 2 : 16 * row + 14, 16 * column + 2 : 16 * column + 14] = 1
    x += masks[:, None]
    target = target if task == CLASSIFY else masks
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(60):
        loss = nn.functional.cross_entropy(net.train()(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (net.eval()(x).argmax(1) == target).float().mean() > 0.9


# The state-space model.


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
    with pytest.raises(SpecError, match="a vim of width 30 cannot be divided among 4 waves"):
        network("vim", CLASSIFY, options={"width": 30})


# The Haltuf network.


@pytest.mark.parametrize("size_px", [32, 192])
def test_haltuf_has_the_parameters_of_the_original_at_every_size(size_px):
    net = network("haltuf", LABELS, options={}, num_classes=28, size_hw=(size_px, size_px))
    running = [value for key, value in net.named_buffers() if "running" in key]
    assert count(net) == 193_246
    assert count(net) + sum(value.numel() for value in running) == 193_948


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
