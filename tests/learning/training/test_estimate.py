"""Estimates: they grow with what is asked, and say nothing that was not measured."""

import pytest
from networks_to_try import CLASSIFY, SEGMENT, training

import foldwise.learning.training.estimate as fitting
from foldwise.learning.networks.describing import describe
from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import DataShape
from foldwise.learning.training.estimate import EvaluatedImages

ASK = {"in_channels": 1, "num_classes": 2, "size_hw": (64, 64)}


def estimate(training, shape, **evaluated):
    return fitting.estimate(training, shape, images=40, **evaluated)


@pytest.mark.parametrize(("name", "task"), [("conv", CLASSIFY), ("unet", SEGMENT), ("vit", CLASSIFY)])
def test_an_estimate_is_of_this_network(name, task):
    said = estimate(training(name, epochs=2), DataShape(task=task, **ASK))
    assert said.seconds_per_fit > 0
    assert said.seconds_for_features == 0
    assert said.memory_mb > said.parameters * 4 / 1e6
    assert estimate(training(name, batch_size=64), DataShape(task=task, **ASK)).memory_mb > said.memory_mb


def test_epochs_and_steps_multiply():
    few = estimate(training("conv", epochs=1, steps_per_epoch=1), DataShape(task=CLASSIFY, **ASK))
    many = estimate(training("conv", epochs=1000, steps_per_epoch=100), DataShape(task=CLASSIFY, **ASK))
    assert many.seconds_per_fit > 100 * few.seconds_per_fit


def test_stored_features_are_counted_once_and_apart():
    said = estimate(training("timm:test_resnet", freeze="encoder", epochs=1), DataShape(task=CLASSIFY, **ASK))
    assert said.seconds_for_features > 0
    moving = training("timm:test_resnet", freeze="encoder", augment="flips")
    assert estimate(moving, DataShape(task=CLASSIFY, **ASK)).seconds_for_features == 0


def test_several_labels_and_native_sizes_can_be_estimated():
    ask = {**ASK, "size_hw": None}
    assert estimate(training("conv"), DataShape(task="multilabel_classification", **ask)).seconds_per_fit > 0
    assert (
        estimate(training("unet", crop_px=32), DataShape(task="binary_segmentation", **ask)).seconds_per_fit
        > 0
    )


def test_asking_about_whole_images_counts_after_every_epoch_and_by_the_pixel():
    ask = {**ASK, "size_hw": (32, 32)}
    crops = training("unet", crop_px=32, epochs=10, steps_per_epoch=1, batch_size=2)
    alone = estimate(crops, DataShape(task=SEGMENT, **ask)).seconds_per_fit
    asked = estimate(crops, DataShape(task=SEGMENT, **ask), evaluated=EvaluatedImages(20, 20)).seconds_per_fit
    larger = estimate(
        crops, DataShape(task=SEGMENT, **ask), evaluated=EvaluatedImages(20, 20, (128, 128))
    ).seconds_per_fit
    assert asked > 2 * alone  # 220 looks at images beside 20 that are learned from
    assert larger > 4 * asked


def test_stored_features_are_those_of_every_image():
    frozen = training("timm:test_resnet", freeze="encoder", epochs=1)
    train_only = estimate(frozen, DataShape(task=CLASSIFY, **ASK))
    every = estimate(frozen, DataShape(task=CLASSIFY, **ASK), evaluated=EvaluatedImages(160, 200))
    assert every.seconds_for_features > 3 * train_only.seconds_for_features


@pytest.fixture
def timed(monkeypatch):
    """Every piece of work that is timed, none of it before or kept for later."""
    works = []
    monkeypatch.setattr(fitting, "_seconds", lambda work: works.append(work) or 1.0)
    remembering = (fitting._passes, fitting._rule, fitting._update)
    for one in remembering:
        one.cache_clear()
    yield works
    for one in remembering:
        one.cache_clear()


def test_configurations_of_one_network_share_its_timing(timed):
    asked = [
        training("unet", loss=loss, optimizer={"adam": {"lr": lr}})
        for loss in ("dice", "focal")
        for lr in (0.1, 0.2)
    ]
    assert len({estimate(one, DataShape(task=SEGMENT, **ASK)).seconds_per_fit for one in asked}) == 1
    assert len(timed) == 2 + 2 + 1  # passes and looks of one network, two losses, one optimiser
    estimate(training("conv", loss="dice", optimizer="adam"), DataShape(task=SEGMENT, **ASK))
    assert len(timed) == 5 + 2 + 1  # another network, whose parameters are others too


def test_memory_has_the_numbers_of_the_optimiser():
    plain, adam = (
        estimate(training("conv", optimizer=name, batch_size=2), DataShape(task=SEGMENT, **ASK))
        for name in ("sgd", "adam")
    )
    assert adam.memory_mb - plain.memory_mb == pytest.approx(4 * plain.parameters / 1e6)


def test_the_network_of_a_library_is_tried_once_and_without_numbers(monkeypatch):
    built = []

    def building(*args, **more):
        built.append(build(*args, **more))
        return built[-1]

    monkeypatch.setattr("foldwise.learning.networks.describing.build", building)
    for lr in (0.01, 0.02):
        asked = training("smp:linknet/tu-test_resnet", optimizer={"adam": {"lr": lr}})
        describe(asked, DataShape(task=SEGMENT, in_channels=1, num_classes=7, size_hw=(32, 32)))
    assert [{one.device.type for one in network.parameters()} for network in built] == [{"meta"}]
