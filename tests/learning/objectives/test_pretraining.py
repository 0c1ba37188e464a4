"""What damages images before pretraining, what check refuses, and what an estimate says of it."""

import sys
from types import SimpleNamespace

import pytest
import torch
from networks_to_try import training as asking

from foldwise.errors import SpecError
from foldwise.learning.networks.describing import describe
from foldwise.learning.networks.network import DataShape
from foldwise.learning.objectives.pretraining import hidden, make_pretraining, noisy
from foldwise.learning.training.costs import EvaluatedImages
from foldwise.learning.training.estimate import estimate
from foldwise.study.own_code import trusting

TASK = "binary_segmentation"
ASK = {"task": TASK, "in_channels": 1, "num_classes": 2, "size_hw": (32, 32)}


@pytest.fixture(autouse=True)
def _own_code_may_be_run():
    with trusting({"pretrain_own:without_head", "pretrain_own:two_outputs"}):
        yield


def test_noise_is_as_strong_as_asked():
    clean = torch.zeros(4, 3, 64, 64)
    noise = noisy(clean, torch.Generator().manual_seed(0), sigma=0.3)
    assert float(noise.std()) == pytest.approx(0.3, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("share", "hidden_patches"), [(0.5, 12), (0.25, 6), (0.001, 1)])
def test_equally_many_patches_of_every_image_are_hidden_in_all_channels(share, hidden_patches):
    made = hidden(torch.ones(5, 3, 20, 28), torch.Generator().manual_seed(0), share=share, patch_px=5)
    assert made.shape == (5, 3, 20, 28)
    patches = torch.nn.functional.pad(made, (0, 2)).unfold(2, 5, 5).unfold(3, 5, 5)  # 4 x 6 of them
    there = patches[..., 0, 0]
    assert (there == patches[..., 4, 2]).all()  # whole patches
    assert (there == there[:, :1]).all()  # in all channels
    assert ((there[:, 0] == 0).sum((1, 2)) == hidden_patches).all()
    assert len({tuple(row.flatten().tolist()) for row in there[:, 0]}) > 1  # not the same in every image


def test_auto_is_masks_for_networks_of_patches_and_noise_for_others():
    said = {
        name: make_pretraining(asking(name, pretrain="auto")).damage.func
        for name in ("conv", "unet", "vit", "vim")
    }
    assert said == {"conv": noisy, "unet": noisy, "vit": hidden, "vim": hidden}


def test_check_counts_and_says_nothing_of_frozen_random_weights():
    said = describe(asking("unet", pretrain="denoise", freeze="encoder"), DataShape(**ASK))
    assert said.parameters > said.trainable_parameters > 0
    assert not said.warnings


@pytest.mark.parametrize(
    ("pretrain", "model", "more", "said"),
    [
        ("denoice", "unet", {}, "no pretraining is called 'denoice'\n  → Did you mean 'denoise'? Known: auto, denoise, mask, none."),
        ({"denoise": {"sigmma": 1.0}}, "unet", {}, "no option of pretraining 'denoise' is called 'sigmma'\n  → Did you mean 'sigma'? Known: batch_size, epochs, lr, optimizer, sigma, steps_per_epoch."),
        ({"denoise": {"sigma": 0.0}}, "unet", {}, "the option 'sigma' of pretraining 'denoise' must be greater than 0, got 0.0"),
        ({"mask": {"share": 1.0}}, "unet", {}, "the option 'share' of pretraining 'mask' must be less than 1, got 1.0"),
        ({"denoise": {"optimizer": "adan"}}, "unet", {}, "no optimizer is called 'adan'\n  → Did you mean 'adam'? Known: adam, adamw, rmsprop, sgd."),
        ({"mask": {"patch_px": 64}}, "unet", {}, "the pretraining mask (patch_px 64) hides images of 32 x 32 pixels completely\n  → Choose a smaller 'patch_px' or 'share'."),
        ("denoise", "conv", {"task": "binary_classification"}, "the pretraining 'denoise' gives images back, and a network of this task gives none: it is binary classification\n  → Set 'pretrain: none'; 'weights' can name an encoder that was trained elsewhere."),
        ("denoise", "pretrain_own:without_head", {}, "this model has no part called 'head' that could be exchanged after pretraining\n  → Set 'pretrain: none', or give the model the attribute 'head': its last layer."),
        ("denoise", "pretrain_own:two_outputs", {"num_classes": 3}, "more than the head of 'pretrain_own:two_outputs' depends on the number of classes, so it cannot be pretrained\n  → Set 'pretrain: none'."),
    ],
)  # fmt: skip
def test_what_cannot_be_pretrained_is_refused_by_check(monkeypatch, pretrain, model, more, said):
    monkeypatch.setitem(
        sys.modules,
        "pretrain_own",
        SimpleNamespace(without_head=without_head, two_outputs=two_outputs),
    )
    with pytest.raises(SpecError) as refused:
        describe(asking(model, pretrain=pretrain), DataShape(**ASK | more))
    assert str(refused.value) == said


def without_head(in_channels, num_classes):
    return torch.nn.Conv2d(in_channels, num_classes, 1)


def two_outputs(in_channels, num_classes):
    network = torch.nn.Sequential(torch.nn.Conv2d(in_channels, num_classes, 1))
    network.head = torch.nn.Conv2d(num_classes, num_classes, 1)
    return network


def test_the_estimate_counts_it_apart():
    evaluated = {"images": 40, "evaluated": EvaluatedImages(8, 8)}
    plain, short, long = (
        estimate(asking("unet", epochs=2, pretrain=how), DataShape(**ASK), **evaluated)
        for how in ("none", {"denoise": {"epochs": 1}}, {"denoise": {"epochs": 200}})
    )
    assert plain.seconds_for_pretraining == plain.seconds_before == 0
    assert long.seconds_for_pretraining > 20 * short.seconds_for_pretraining > 0
    assert long.seconds_before == long.seconds_for_pretraining
