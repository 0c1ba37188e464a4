"""Batches: the right pixels, in an order that follows from seed and epoch alone."""

import numpy as np
import pytest
import torch
from tiny_packed import TinyPacked

from foldwise.data.batches import batches as module
from foldwise.data.batches.batches import CachedFeatures, Pictures
from foldwise.data.batches.normalize import Normalization
from foldwise.data.batches.sampling import epoch_order, step_generators
from foldwise.study.ranges import IGNORE
from foldwise.study.training import AUGMENTS, Augment

CPU = torch.device("cpu")
RAW = Normalization("fixed", (0.0,), (1.0,), "uint8")


def pictures(**options):
    return Pictures(TinyPacked(**options), RAW, CPU)


def test_a_batch_holds_the_images_and_labels_asked_for():
    source = pictures()
    batch = source.gather(np.array([5, 2]))
    assert batch.inputs.dtype == torch.float32
    np.testing.assert_array_equal(batch.inputs[0].numpy(), source.packed.image(5))
    assert batch.targets.tolist() == source.packed.labels[[5, 2]].tolist()
    assert batch.targets.dtype == torch.int64


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_every_value_type_is_kept_exactly(dtype):
    source = pictures(dtype=np.dtype(dtype))
    np.testing.assert_array_equal(
        source.gather(np.array([3])).inputs[0].numpy(), source.packed.image(3).astype(np.float32)
    )


def test_multilabel_targets_are_floats():
    source = pictures(task="multilabel_classification")
    targets = source.gather(np.arange(4)).targets
    assert targets.dtype == torch.float32
    np.testing.assert_array_equal(targets.numpy(), source.packed.labels[:4])


def test_mixed_sizes_are_padded_with_the_mean_and_ignored():
    source = Pictures(
        TinyPacked(task="binary_segmentation", num_classes=2, sizes=((10, 20), (16, 8))),
        Normalization("fixed", (30.0,), (10.0,), "uint8"),
        CPU,
    )
    batch = source.gather(np.array([0, 1]))
    assert batch.inputs.shape == (2, 1, 16, 20)
    np.testing.assert_allclose(
        batch.inputs[0, 0, :10].numpy(), (source.packed.image(0)[0].astype(float) - 30) / 10, atol=1e-6
    )
    assert (batch.inputs[0, 0, 10:] == 0).all()
    assert (batch.targets[0, 10:] == IGNORE).all()
    assert (batch.targets[1, :, 8:] == IGNORE).all()
    np.testing.assert_array_equal(batch.targets[1, :, :8].numpy(), source.packed.target(1))


def test_whole_images_are_never_padded_and_each_comes_once():
    sizes = ((10, 20), (16, 8)) * 5
    source = pictures(task="binary_segmentation", num_classes=2, sizes=sizes)
    batches = list(source.whole(np.arange(10), batch_size=3))
    assert sorted(np.concatenate([batch.cases for batch in batches]).tolist()) == list(range(10))
    for batch in batches:
        assert (batch.targets != IGNORE).all()
        assert len(batch.cases) <= 3
        np.testing.assert_array_equal(batch.inputs[0].numpy(), source.packed.image(int(batch.cases[0])))


def test_large_whole_images_go_one_by_one_on_a_cpu_so_that_memory_stays_near_that_of_crops():
    source = pictures(task="binary_segmentation", num_classes=2, sizes=((400, 400),) * 3)
    assert [len(batch.cases) for batch in source.whole(np.arange(3), batch_size=16)] == [1, 1, 1]


def test_crops_are_places_of_the_image_with_their_mask():
    source = pictures(task="multiclass_segmentation", num_classes=3, sizes=((40, 30),) * 4)
    order = [np.array([0, 1, 2, 3])] * 20
    seen = set()
    for batch in source.training(order, crop_px=12, augment=Augment(), generators=step_generators(0, 1)):
        assert batch.inputs.shape == (4, 1, 12, 12)
        assert (batch.targets != IGNORE).all()
        image, target = source.packed.image(0)[0], source.packed.target(0)
        windows = np.lib.stride_tricks.sliding_window_view(image, (12, 12))
        places = np.argwhere((windows == batch.inputs[0, 0].numpy()).all((2, 3)))
        assert len(places) == 1
        top, left = places[0]
        np.testing.assert_array_equal(batch.targets[0].numpy(), target[top : top + 12, left : left + 12])
        seen.add((top, left))
    assert len(seen) > 15


def test_a_crop_larger_than_the_image_has_it_in_the_middle():
    source = pictures(task="binary_segmentation", num_classes=2, sizes=((10, 30),) * 2)
    (batch,) = source.training(
        [np.array([0])], crop_px=16, augment=Augment(), generators=step_generators(0, 1)
    )
    ignored = (batch.targets[0] == IGNORE).all(1)
    assert ignored.tolist() == [True] * 3 + [False] * 10 + [True] * 3
    assert (batch.inputs[0, 0, :3] == 0).all()


def test_turned_crops_have_no_empty_corners_inside_the_image():
    source = pictures(task="binary_segmentation", num_classes=2, sizes=((200, 200),) * 2)
    for batch in source.training(
        [np.arange(2)] * 10, crop_px=32, augment=AUGMENTS["strong"], generators=step_generators(0, 1)
    ):
        assert batch.inputs.shape == (2, 1, 32, 32)
        assert (batch.targets != IGNORE).all()


@pytest.mark.parametrize("values", [0, 2**10, 2**30])
def test_batches_are_the_same_however_many_are_made_ahead(values, monkeypatch):
    source = pictures(task="binary_segmentation", num_classes=2)
    order = epoch_order(np.arange(24), batch_size=5, seed=1, epoch=1)
    how = {"crop_px": 12, "augment": AUGMENTS["strong"]}
    generators = step_generators(3, 1)
    each = [next(source.training([cases], generators=[next(generators)], **how)) for cases in order]
    monkeypatch.setattr(module, "AHEAD_VALUES", values)
    made = list(source.training(order, generators=step_generators(3, 1), **how))
    for batch, alone in zip(made, each, strict=True):
        assert torch.equal(batch.inputs, alone.inputs)
        assert torch.equal(batch.targets, alone.targets)
        np.testing.assert_array_equal(batch.cases, alone.cases)


def test_epochs_follow_from_seed_and_number():
    train = np.arange(100, 130)
    one = epoch_order(train, batch_size=8, seed=7, epoch=2)
    again = epoch_order(train, batch_size=8, seed=7, epoch=2)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert sorted(np.concatenate(one).tolist()) == train.tolist()
    assert not np.array_equal(one[0], epoch_order(train, batch_size=8, seed=7, epoch=3)[0])
    assert not np.array_equal(one[0], epoch_order(train, batch_size=8, seed=8, epoch=2)[0])


@pytest.mark.parametrize(
    ("cases", "batch_size", "steps", "sizes"),
    [
        (10, 4, None, [4, 4, 2]),
        (9, 4, None, [4, 4]),  # a last batch of one is left out
        (1, 4, None, [1]),
        (3, 1, None, [1, 1, 1]),
        (5, 4, 3, [4, 4, 4]),
        (10, 4, 1, [4]),
    ],
)
def test_the_sizes_of_batches(cases, batch_size, steps, sizes):
    made = epoch_order(np.arange(cases), batch_size=batch_size, seed=0, epoch=1, steps=steps)
    assert [len(batch) for batch in made] == sizes


def test_more_steps_than_a_pass_deal_every_case_before_any_comes_again():
    dealt = np.concatenate(epoch_order(np.arange(10), batch_size=5, seed=0, epoch=1, steps=5))
    assert sorted(dealt[:10].tolist()) == sorted(dealt[10:20].tolist()) == list(range(10))


def test_cached_features_come_in_the_same_batches():
    packed = TinyPacked()
    features = torch.arange(48.0).reshape(24, 2)
    cached = CachedFeatures(packed, features[None])
    order = epoch_order(np.arange(24), batch_size=5, seed=1, epoch=1)
    generators = step_generators(0, 1)
    for batch, cases in zip(
        cached.training(order, augment=Augment(), generators=generators), order, strict=True
    ):
        np.testing.assert_array_equal(batch.cases, cases)
        assert torch.equal(batch.inputs, features[cases])
        assert batch.targets.tolist() == packed.labels[cases].tolist()
    assert sum(len(batch.cases) for batch in cached.whole(np.arange(24), batch_size=7)) == 24
    # None was made, as nothing is drawn.
    assert next(generators).initial_seed() == next(step_generators(0, 1)).initial_seed()
