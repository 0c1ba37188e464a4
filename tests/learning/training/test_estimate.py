"""Estimates: they grow with what is asked, and say nothing that was not measured."""

import time
from types import SimpleNamespace

import pytest
from networks_to_try import CLASSIFY, SEGMENT, training

import foldwise.learning.training.estimate as fitting
import foldwise.learning.training.trial_steps as trials
from foldwise.learning.networks.describing import describe
from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import DataShape
from foldwise.learning.training.costs import EvaluatedImages

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
    frozen, shape = training("timm:test_resnet", freeze="encoder", epochs=1), DataShape(task=CLASSIFY, **ASK)
    assert estimate(frozen, shape, stored=True).seconds_for_features > 0
    assert estimate(frozen, shape).seconds_for_features == 0


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
    fixed = fitting._FIT_S + 10 * fitting._STEP_S
    assert asked - fixed > 2 * (alone - fixed)  # 220 looks at images beside 20 that are learned from
    assert larger - fixed > 4 * (asked - fixed)


def test_the_pixels_that_there_are_count_and_not_those_of_the_largest_image():
    ask = {**ASK, "size_hw": None}
    looked = EvaluatedImages(20, 20, (256, 256), mean_px=64.0**2)
    whole = training("unet", epochs=10, steps_per_epoch=1, batch_size=2, crop_px=32)
    largest = estimate(whole, DataShape(task=SEGMENT, **ask), evaluated=EvaluatedImages(20, 20, (256, 256)))
    real = estimate(whole, DataShape(task=SEGMENT, **ask), evaluated=looked)
    assert largest.seconds_per_test == pytest.approx(16 * real.seconds_per_test)
    assert largest.memory_mb == real.memory_mb  # that is of the largest


@pytest.mark.parametrize("side", [2048, 6000])
def test_images_however_large_are_tried_in_seconds(side):
    ask = {**ASK, "size_hw": (side, side)}
    for remembered in (trials.passes_of, trials._encoder_passes, trials.rule_of):
        remembered.cache_clear()
    began = time.process_time()
    said = estimate(
        training("unet", epochs=10),
        DataShape(task=SEGMENT, **ask),
        evaluated=EvaluatedImages(8, 8, (side, side)),
    )
    assert time.process_time() - began < 30
    assert said.seconds_per_fit > 60
    assert said.memory_mb > 1000


def test_tiles_with_margins_are_seen_more_than_once():
    passes = trials.Passes(2, (64, 64), 1.0, 1.0, 1, 1, (), trials.Need(4096.0), 32)
    assert passes.seen_again((1000, 1000)) == 1
    side = trials.Need(4096.0).side_px(32)
    assert passes.look_bytes((4000, 4000)) == 4096.0 * side**2
    assert 1 < passes.seen_again((4000, 4000)) < (side / (side - 2 * trials.MARGIN_PX)) ** 2 + 1


@pytest.mark.parametrize(
    ("size_hw", "smaller"), [((60, 60), (60, 60)), ((1024, 512), (256, 128)), ((9000, 64), (512, 64))]
)
def test_large_images_are_tried_in_their_proportions(size_hw, smaller):
    assert trials.smaller(size_hw, 2**15) == smaller


def test_stored_features_are_those_of_every_image():
    frozen = training("timm:test_resnet", freeze="encoder", epochs=1)
    train_only = estimate(frozen, DataShape(task=CLASSIFY, **ASK), stored=True)
    every = estimate(
        frozen, DataShape(task=CLASSIFY, **ASK), evaluated=EvaluatedImages(160, 200), stored=True
    )
    assert every.seconds_for_features > 3 * train_only.seconds_for_features


@pytest.fixture
def timed(monkeypatch):
    """Every piece of work that is timed, none of it before or kept for later."""
    works = []
    monkeypatch.setattr(trials, "seconds_of", lambda work: works.append(work) or 1.0)
    remembering = (trials.passes_of, trials._encoder_passes, trials.rule_of, trials.update_of)
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


def test_an_encoder_is_timed_once_whatever_head_stands_on_it_and_not_backwards_where_it_is_frozen(timed):
    heads = ["linear", {"mlp": {"hidden": [8], "dropout": 0}}]
    frozen = [training("timm:test_resnet", head=head, freeze="encoder", optimizer="adam") for head in heads]
    linear, mlp = (estimate(asked, DataShape(task=CLASSIFY, **ASK), stored=True) for asked in frozen)
    assert len(timed) == 1 + 1 + 2  # a look, a loss, and the optimiser of each head
    assert mlp.parameters != linear.parameters
    estimate(training("timm:test_resnet", head=heads[1]), DataShape(task=CLASSIFY, **ASK))
    assert len(timed) == 4 + 2 + 1  # all of the network learns: a step, a look, another optimiser


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


def test_images_of_several_sizes_take_more_memory_than_of_one():
    ask, crops = {**ASK, "size_hw": None}, training("unet", crop_px=64, batch_size=2)
    one, many = (
        estimate(
            crops, DataShape(task=SEGMENT, **ask), evaluated=EvaluatedImages(8, 8, (128, 128), sizes=sizes)
        )
        for sizes in (1, 20)
    )
    # Beside the looks themselves, what a step kept and a kernel of every size.
    assert many.memory_mb > one.memory_mb + 19


@pytest.mark.parametrize(
    ("precision", "device", "seconds", "warned"),
    [
        ("bf16", "cpu", {"bf16": 0.9, "fp32": 0.1}, True),
        ("bf16", "auto", {"bf16": 0.9, "fp32": 0.1}, True),
        ("bf16", "cpu", {"bf16": 0.1, "fp32": 0.2}, False),
        ("bf16", "cuda", {"bf16": 0.9, "fp32": 0.1}, False),
        ("auto", "cpu", {"bf16": 0.9, "fp32": 0.1}, False),
    ],
)
def test_bf16_is_warned_of_where_this_processor_is_slower_with_it(
    monkeypatch, precision, device, seconds, warned
):
    passes = lambda design, shape, size, precision: SimpleNamespace(learn=seconds[precision])  # noqa: E731
    monkeypatch.setattr(fitting, "passes_of", passes)
    asked = training("conv", precision=precision, device=device)
    warning = fitting.slower_in_bf16(asked, DataShape(task=CLASSIFY, **ASK))
    assert (warning is not None) == warned
    if warned:
        assert "bf16 takes 9.0 times as long as fp32 for conv" in warning


def test_a_step_is_timed_in_the_precision_that_is_asked_for(monkeypatch):
    seen = []
    autocast = trials.autocast
    monkeypatch.setattr(trials, "autocast", lambda device, name: seen.append(name) or autocast(device, name))
    for remembered in (trials.passes_of, trials._encoder_passes):
        remembered.cache_clear()
    for precision in ("bf16", "auto"):
        estimate(training("conv", precision=precision), DataShape(task=CLASSIFY, **ASK))
    assert set(seen[: len(seen) // 2]) == {"bf16"}
    assert set(seen) == {"bf16", "fp32"}
