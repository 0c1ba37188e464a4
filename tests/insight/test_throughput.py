"""Measuring speed: what is counted, in which order, and what is said where something cannot be measured."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fits_to_try import SPLIT, settings, tiny
from jobs import job

from foldwise.data.cache.packed import Remembered
from foldwise.data.cache.packing import pack
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import SpecError
from foldwise.insight import throughput as measuring
from foldwise.insight.throughput import _cases, check_measurable, measure_item, paces
from foldwise.learning.networks.network import DataShape
from foldwise.study.spec import DataSpec
from foldwise.study.training import DRAWN, Training

CPU = torch.device("cpu")


def measured(task="multiclass_classification", *, sizes=(1, 4), packed=None, more=None, **training):
    asked = settings(task, **training) | {"batch_sizes": list(sizes), "seconds": 0.01} | (more or {})
    said = []
    result = measure_item(job(asked, None, packed=packed or tiny(task), split=SPLIT, beat=said.append))
    assert [one["doing"] for one in said] == [f"batches of {size}" for size in sizes]
    return result


@pytest.mark.parametrize("task", ["multiclass_classification", "binary_segmentation"])
def test_every_batch_size_has_three_speeds_with_their_ranges(task):
    result = measured(task, augment="flips", sizes=(2, 4))
    assert [point["batch_size"] for point in result["points"]] == [2, 4]
    for point in result["points"]:
        assert point["problem"] is None
        assert point["peak_memory_mb"] >= 0
        for what in ("train", "limit", "inference"):
            pace = point[what]
            assert 0 < pace["low"] <= pace["median"] <= pace["high"]
            assert 1 <= pace["repeats"] <= measuring.REPEATS
    assert (result["cache"], result["held"], result["device"]) == ("disk", "disk", "cpu")
    assert result["parameters"] > 0
    assert result["others_busy"] >= 0


def test_paces_count_images_and_take_turns(monkeypatch):
    clock = itertools.count()  # every look at the clock is a second later
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: float(next(clock)))
    done = []
    first, second = paces((lambda: done.append("a") or 3, lambda: done.append("b") or 5), CPU, seconds=1000.0)
    warm_up = ["a", "a", "b", "b"]
    at_once = 200  # a fifth of the seconds, at one second a time
    assert done == warm_up + (["a"] * at_once + ["b"] * at_once) * 5
    assert (first.median, first.low, first.high, first.repeats) == (600, 600, 600, 5)
    assert second.median == 1000


def test_slow_work_is_measured_once_and_not_for_minutes(monkeypatch):
    clock = itertools.count(0, 60)
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: float(next(clock)))
    done = []
    (pace,) = paces((lambda: done.append(1) or 6,), CPU, seconds=2.0)
    assert len(done) == measuring.WARM_UPS + 1
    assert (pace.median, pace.repeats) == (0.1, 1)


@pytest.mark.parametrize("size", [1, 5, 14, 40])
def test_batches_are_full_also_where_they_are_larger_than_the_training_part(size):
    asked = SimpleNamespace(split=SPLIT, seed=3)
    batches = list(itertools.islice(_cases(asked, size), 6))
    assert {len(batch) for batch in batches} == {size}
    assert set(np.concatenate(batches)) <= set(SPLIT.train)


def test_a_network_that_needs_two_images_says_so_and_is_measured_with_more():
    result = measured(
        "binary_segmentation", sizes=(1, 2)
    )  # at the bottom of this U-Net a channel is one pixel
    one, two = result["points"]
    assert (one["problem"], one["train"]) == ("needs batches of 2 or more", None)
    assert two["problem"] is None


def test_running_out_of_memory_is_recorded_and_larger_batches_are_not_tried(monkeypatch):
    tried = []

    def step(learner, batch):
        tried.append(len(batch.cases))
        if len(batch.cases) > 2:
            raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(measuring, "step", step)
    points = measured(sizes=(2, 4, 8))["points"]
    assert [point["problem"] for point in points] == [None, "out of memory", "more memory than is free"]
    assert [point["train"] is None for point in points] == [False, True, True]
    assert set(tried) == {2, 4}


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch):
    def step(learner, batch):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(measuring, "step", step)
    with pytest.raises(RuntimeError, match="shapes differ"):
        measured()


def test_a_batch_that_cannot_fit_is_not_tried(monkeypatch):
    monkeypatch.setattr(measuring, "usable", lambda: SimpleNamespace(free=10**6))
    last = {"batch_size": 4, "peak_memory_mb": 10.0, "problem": None}
    assert measuring._would_not_fit(last, 8, CPU)
    assert not measuring._would_not_fit(last | {"peak_memory_mb": 0.9}, 8, CPU)
    assert not measuring._would_not_fit(last | {"peak_memory_mb": None}, 8, CPU)
    assert not measuring._would_not_fit(
        last, 8, torch.device("cuda")
    )  # there torch says it, and nothing is lost


def test_the_memory_is_full_before_the_clock_runs(tmp_path, monkeypatch):
    data = DataSpec(phantom={"kind": "gels", "images": 24, "size": 24})
    packed = Remembered(pack(read_dataset(data, base=tmp_path), data).folder)
    seen = []
    known = measuring._point

    def point(*args, **options):
        seen.append(packed.num_in_memory)
        return known(*args, **options)

    monkeypatch.setattr(measuring, "_point", point)
    result = measured("binary_classification", packed=packed, cache="memory")
    assert (seen[0], result["held"]) == (len(SPLIT.train), "memory")


@pytest.mark.parametrize(
    ("augment", "views"), [("none", [0]), ("flips", list(range(8))), ("strong", [0, DRAWN, DRAWN + 1])]
)
def test_a_head_on_stored_features_is_measured_without_its_encoder(augment, views, monkeypatch):
    trained = []
    step = measuring.step
    monkeypatch.setattr(
        measuring, "step", lambda learner, batch: trained.append(batch) or step(learner, batch)
    )
    result = measured(
        sizes=(4,),
        more={"features": views},
        freeze="encoder",
        augment=augment,
        cache_views=max(len(views) - 1, 0),
    )
    (point,) = result["points"]
    assert result["held"] == "features"
    assert {batch.inputs.ndim for batch in trained} == {2}  # features (N, F), no images
    assert point["train"]["median"] > 0
    assert (point["inference"], point["problem"]) == (None, None)
    whole = measured(sizes=(4,), freeze="encoder", augment=augment)
    assert result["parameters"] == whole["parameters"]  # of the network that is used, not of its head


def test_nothing_is_begun_once_the_time_is_up():
    points = measured(sizes=(1, 4), more={"budget_s": 1e-9})["points"]
    assert [(point["problem"], point["train"]) for point in points] == [(measuring.NO_TIME, None)] * 2
    assert [point["problem"] for point in measured(more={"budget_s": 600.0})["points"]] == [None, None]


def test_a_batch_that_would_take_longer_than_there_is_time_is_not_tried():
    speed = {"median": 2.0}
    last = {"problem": None, "train": speed, "limit": speed, "inference": None}
    assert measuring._least_s(last, 8) == 3 * 8 * (1 / 2 + 1 / 2)
    assert measuring._least_s(last | {"problem": measuring.NO_TIME}, 8) == float("inf")
    assert measuring._least_s(last | {"train": None, "limit": None}, 8) == 0  # it needed two images


def test_images_are_asked_for_once_and_of_very_many_not_all():
    asked = []
    source = SimpleNamespace(gather=lambda cases: asked.append(int(cases[0])))
    assert list(measuring._filled(source, np.arange(5), float("inf"))) == asked == [0, 1, 2, 3, 4]
    assert list(measuring._filled(source, np.arange(5), 0.0)) == [0]


def test_energy_is_of_the_work_itself_and_of_no_neighbour(monkeypatch):
    joules = iter([0.0, 6.0, 50.0, 70.0] * 5)  # before and after each work; between them others are at work

    class Meter:
        def __init__(self, device):
            pass

        def joules(self):
            return next(joules)

    monkeypatch.setattr(measuring, "EnergyMeter", Meter)
    clock = itertools.count()
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: float(next(clock)))
    first, second = paces((lambda: 3, lambda: 5), CPU, seconds=5.0)
    assert (first.joules_per_image, second.joules_per_image) == (2.0, 4.0)


def test_energy_of_repeats_too_short_for_a_counter_is_not_measured(monkeypatch):
    monkeypatch.setattr(measuring, "EnergyMeter", lambda device: SimpleNamespace(joules=lambda: 1.0))
    (pace,) = paces((lambda: 3,), CPU, seconds=0.01)
    assert pace.joules_per_image is None


def test_models_that_do_not_exist_are_refused():
    shape = DataShape("binary_classification", in_channels=1, num_classes=2, size_hw=(16, 16))
    good = Training.model_validate({"model": "conv"}).model_dump(mode="json")
    check_measurable([good], shape=lambda _: shape)
    wrong = Training.model_validate({"model": "convv"}).model_dump(mode="json")
    with pytest.raises(SpecError, match="'convv'"):
        check_measurable([good, wrong], shape=lambda _: shape)
