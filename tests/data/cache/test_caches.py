"""Pixels from the memory map, from memory, from the device or from the files: the same bits, under the same index."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_sets import blob, picture, save, stacks, two_classes
from tiny_packed import TinyPacked

from foldwise.data.batches.batches import Pictures, pictures_of
from foldwise.data.batches.normalize import normalization
from foldwise.data.batches.sampling import epoch_order, step_generators
from foldwise.data.batches.windows import Resident, fits
from foldwise.data.cache import packed as cached
from foldwise.data.cache.decoding import FromFiles, open_cached
from foldwise.data.cache.packed import Packed, Remembered, check_room
from foldwise.data.cache.packing import pack
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError, SpecError
from foldwise.study.spec import DataSpec
from foldwise.study.training import AUGMENTS

CPU = torch.device("cpu")


def masked(root):
    for place, size in enumerate([(16, 20), (30, 12), (9, 9), (24, 24), (16, 20), (40, 10)]):
        save(root / "images" / f"{place}.png", picture(place, 3, size))
        save(root / "masks" / f"{place}.png", (picture(place + 9, size=size) > 99) * np.uint8(255))


def wide(root):
    rng = np.random.default_rng(1)
    stacks(
        root,
        images=rng.integers(0, 4000, (7, 20, 24), dtype=np.uint16),
        masks=rng.integers(0, 3, (7, 20, 24), dtype=np.uint8),
    )


def classes(root):
    two_classes(root, 5)


SETS = {"classes": classes, "masks of mixed sizes": masked, "16 bit stacks": wide}


@pytest.fixture(params=list(SETS), ids=lambda name: name.replace(" ", "-"))
def opened(request, tmp_path):
    """The same data set opened in each of the three ways."""
    SETS[request.param](tmp_path)
    return ways(tmp_path)


def ways(root, **options):
    data = DataSpec(path=str(root), **options)
    dataset = read_dataset(data, base=root)
    digest = pack(dataset, data).digest
    return {
        cache: open_cached(digest, cache, lambda: (dataset, data)) for cache in ("disk", "memory", "none")
    }


def test_each_way_is_what_it_says_it_is(opened):
    assert {cache: type(packed) for cache, packed in opened.items()} == {
        "disk": Packed,
        "memory": Remembered,
        "none": FromFiles,
    }
    for cache, packed in opened.items():
        assert (packed.cache, pictures_of(packed, None, CPU).cache) == (cache, cache)


def epoch(packed, *, augment="strong", crop_px=None, steps=None, number=1, resident=False):
    """The batches of one epoch over shuffled cases, as a fit asks for them."""
    norm = normalization("image", pretrained=False, packed=packed, train=np.arange(len(packed)))
    held = Resident.of(packed, norm, CPU) if resident else None
    order = epoch_order(np.arange(len(packed)), batch_size=3, seed=5, epoch=number, steps=steps)
    source = Pictures(packed, norm, CPU, held)
    return list(
        source.training(
            order, crop_px=crop_px, augment=AUGMENTS[augment], generators=step_generators(5, number)
        )
    )


@pytest.mark.parametrize("crop_px", [None, 8, 18])
def test_batches_are_the_same_bits_also_where_the_memory_holds_some_images_only(opened, crop_px):
    remembered = opened["memory"]
    for number in (1, 2, 3):  # one step of the first epoch: the second finds some images in memory, some not
        asked = {"number": number, "steps": 1 if number == 1 else None, "crop_px": crop_px}
        expected = epoch(opened["disk"], **asked)
        others = [epoch(packed, **asked) for packed in (remembered, opened["none"])]
        others.append(epoch(opened["disk"], resident=True, **asked))
        assert number != 1 or 0 < remembered.num_in_memory < len(remembered)
        for other in others:
            assert len(other) == len(expected)
            for one, same in zip(expected, other, strict=True):
                assert one.cases.tolist() == same.cases.tolist()
                assert torch.equal(one.inputs, same.inputs)
                assert torch.equal(one.targets, same.targets)
    assert remembered.num_in_memory == len(remembered)


def test_an_image_in_memory_is_found_by_its_case_and_not_by_its_place_in_a_batch(tmp_path):
    two_classes(tmp_path, 5)
    opened = ways(tmp_path)
    remembered, packed = opened["memory"], opened["disk"]
    for batch in (
        [7, 2],
        [2, 9, 7],
        [0, 7, 1, 2],
    ):  # each has images that are kept, at other places than before
        for case in batch:
            np.testing.assert_array_equal(remembered.image(case), packed.image(case))
    assert remembered.num_in_memory == 5
    with pytest.raises(ValueError, match="read-only"):
        remembered.image(7)[:] = 0


def test_whole_images_are_the_same_bits(opened):
    norm = normalization("train", pretrained=False, packed=opened["disk"], train=np.arange(4))
    cases = np.array([4, 0, 3, 1])
    sources = [pictures_of(packed, norm, CPU) for packed in opened.values()]
    sources.append(Pictures(opened["disk"], norm, CPU, Resident.of(opened["disk"], norm, CPU)))
    for batches in zip(*(source.whole(cases, batch_size=3) for source in sources), strict=True):
        assert all(torch.equal(batches[0].inputs, batch.inputs) for batch in batches)
        assert all(torch.equal(batches[0].targets, batch.targets) for batch in batches)


def test_files_are_brought_to_the_size_and_channels_of_the_study(tmp_path):
    masked(tmp_path)
    opened = ways(tmp_path, size=12, channels="gray")
    assert opened["none"].image(1).shape == (1, 12, 12)
    np.testing.assert_array_equal(opened["none"].image(1), opened["disk"].image(1))
    np.testing.assert_array_equal(opened["none"].target(1), opened["disk"].target(1))


@pytest.mark.parametrize("part", ["images", "masks"])
def test_a_file_that_has_changed_is_refused_and_not_trained_on(tmp_path, part):
    masked(tmp_path)
    packed = ways(tmp_path)["none"]
    save(tmp_path / part / "3.png", blob().repeat(2, 0)[:24].repeat(2, 1)[:, :24])
    read = packed.image if part == "images" else packed.target
    with pytest.raises(DataError) as told:
        read(3)
    what = "image" if part == "images" else "mask"
    assert str(told.value) == (
        f"{part}/3.png: the {what} has changed since it was packed\n"
        "  → Run the study again: it packs the images as they are now."
    )


def test_images_that_are_gone_are_refused(tmp_path):
    two_classes(tmp_path, 5)
    data = DataSpec(path=str(tmp_path))
    digest = pack(read_dataset(data, base=tmp_path), data).digest
    (tmp_path / "gel" / "gel_0.png").unlink()
    with pytest.raises(DataError, match="there are 9 images, and 10 were packed"):
        open_cached(digest, "none", lambda: (read_dataset(data, base=tmp_path), data))


def test_what_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    masked(tmp_path)
    packed = ways(tmp_path)["disk"]
    pixels = 16 * 20 * 2 + 30 * 12 + 9 * 9 + 24 * 24 + 40 * 10
    assert packed.num_bytes == pixels * (3 + 1)
    monkeypatch.setattr(cached, "usable", lambda: SimpleNamespace(free=packed.num_bytes - 1))
    with pytest.raises(SpecError) as told:
        check_room(packed)
    assert str(told.value) == (
        "train.cache: the decoded images take 0.0 GB, and 0.0 GB of memory are free\n"
        "  → State cache: disk; it is as fast where the system keeps the file in memory."
    )


def test_only_a_gpu_with_room_to_spare_holds_the_images():
    packed, gpu = TinyPacked(), torch.device("cuda")
    packed.num_bytes = 1000
    assert fits(packed, gpu, free=lambda _: 2000)
    assert not fits(packed, gpu, free=lambda _: 1999)
    assert not fits(packed, CPU, free=lambda _: 10**12)
    packed.dtype = np.dtype(np.uint16)  # as float32 there
    assert not fits(packed, gpu, free=lambda _: 3999)
