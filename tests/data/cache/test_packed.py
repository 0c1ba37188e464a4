"""The packed data set: exact, addressed by its content, whole or not there, whoever else packs or dies."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from malformed_data import IMAGES
from small_sets import blob, labelled, pairs, picture, save, stacks, two_classes

from foldwise.data.cache.packed import open_packed
from foldwise.data.cache.packing import pack
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError, RunError
from foldwise.storage import cache_root, remove_damaged
from foldwise.study.spec import DataSpec


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))


def packed_of(root, progress=None, **data):
    spec = DataSpec(path=str(root), **data)
    return pack(read_dataset(spec, base=root), spec, progress=progress)


@pytest.fixture
def classes(tmp_path):
    two_classes(tmp_path / "set")
    return tmp_path / "set"


def test_images_come_back_exactly_and_read_only(classes):
    packed = packed_of(classes)
    assert (len(packed), packed.num_channels, packed.dtype) == (6, 1, np.uint8)
    assert open_packed(packed.digest).measures is packed.measures  # a worker asks at each of its items
    assert packed.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert packed.labels.dtype == np.int64
    from PIL import Image

    np.testing.assert_array_equal(
        packed.image(4)[0], np.asarray(Image.open(classes / "other" / "other_1.png"))
    )
    with pytest.raises(ValueError, match="read-only"):
        packed.image(0)[:] = 0
    with pytest.raises(RunError, match="has no masks"):
        packed.target(0)


def test_channel_statistics_are_those_of_the_pixels(tmp_path):
    for place, size in enumerate([(16, 20), (30, 12), (9, 9)]):
        save(tmp_path / "set" / "images" / f"{place}.png", picture(place, 3, size))
        save(tmp_path / "set" / "masks" / f"{place}.png", (picture(place, size=size) > 99) * np.uint8(255))
    packed = packed_of(tmp_path / "set")
    assert packed.shapes.tolist() == [[16, 20], [30, 12], [9, 9]]
    assert packed.labels.shape == (0,)
    chosen = np.array([0, 2])
    pixels = np.concatenate([packed.image(i).reshape(3, -1) for i in chosen], 1).astype(np.float64)
    mean, std = packed.channel_stats(chosen)
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, pixels.mean(1), rtol=1e-6)
    np.testing.assert_allclose(std, pixels.std(1), rtol=1e-6)
    for index in range(3):
        assert packed.measures[index].class_pixels == tuple(
            np.bincount(packed.target(index).ravel(), minlength=2)
        )


def test_measures_speak_of_the_file_and_of_the_packed_pixels(classes):
    measure = packed_of(classes, size=(8, 12)).measures[2]
    assert (measure.index, measure.mode, measure.format, measure.bit_depth) == (2, "L", "PNG", 8)
    assert (measure.width, measure.height, measure.original_width, measure.original_height) == (12, 8, 16, 16)
    assert len(measure.fingerprints) == 8
    assert measure.class_pixels is None
    assert measure.num_nan == 0


def test_equal_pictures_have_equal_pixel_digests_in_other_files(tmp_path):
    save(tmp_path / "set" / "a" / "x.png", picture(5))
    save(tmp_path / "set" / "b" / "y.bmp", picture(5))
    first, second = packed_of(tmp_path / "set").measures
    assert first.pixel_digest == second.pixel_digest
    assert first.file_digest != second.file_digest


def test_nan_is_counted_and_kept_out_of_the_means(tmp_path):
    images = IMAGES.astype(np.float32)
    images[1, 0, :3] = [np.nan, np.inf, 5]
    stacks(tmp_path, images=images, labels=np.array([0, 1, 0, 1]))
    packed = packed_of(tmp_path)
    measure = packed.measures[1]
    assert measure.num_nan == 2
    assert measure.mean[0] == pytest.approx(images[1][np.isfinite(images[1])].mean())
    assert np.isfinite(packed.channel_stats(np.arange(4))[0]).all()


def test_stacks_are_packed_slice_by_slice(tmp_path):
    stacks(tmp_path, images=np.stack([IMAGES, IMAGES // 2], -1), masks=np.stack([blob(0, 1)] * 4))
    packed = packed_of(tmp_path)
    assert packed.num_channels == 2
    np.testing.assert_array_equal(packed.image(3), np.stack([IMAGES[3], IMAGES[3] // 2]))
    np.testing.assert_array_equal(packed.target(3), blob(0, 1))


def test_multilabel_targets(tmp_path):
    labelled(tmp_path, "image,a,b,c\ni0.png,0,0,0\ni1.png,1,0,1\ni2.png,0,1,0\n")
    labels = packed_of(tmp_path).labels
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[0, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_the_second_time_nothing_is_decoded(classes):
    seen = []
    first = packed_of(classes, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 6) for i in range(1, 7)]
    seen.clear()
    assert packed_of(classes, progress=lambda done, total: seen.append((done, total))).digest == first.digest
    assert seen == []
    np.testing.assert_array_equal(open_packed(first.digest).shapes, first.shapes)


def test_the_digest_changes_with_what_changes_the_pixels_or_labels(classes):
    digests = {
        packed_of(classes).digest,
        packed_of(classes, size=8).digest,
        packed_of(classes, channels="rgb").digest,
    }
    save(classes / "gel" / "gel_1.png", picture(99))
    digests.add(packed_of(classes).digest)
    (classes / "gel" / "gel_2.png").rename(classes / "other" / "gel_2.png")
    digests.add(packed_of(classes).digest)
    assert len(digests) == 5


def test_a_move_of_the_folder_keeps_the_digest(classes, tmp_path):
    first = packed_of(classes).digest
    classes.rename(tmp_path / "moved")
    assert packed_of(tmp_path / "moved").digest == first


def test_all_broken_files_are_named_at_once(classes):
    for name in ("gel/gel_0.png", "other/other_2.png"):
        (classes / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"^gel/gel_0\.png, other/other_2\.png: the file is empty"):
        packed_of(classes)
    assert not list((cache_root() / "packed").iterdir()), "nothing half made may stay"


def test_a_digest_that_is_not_there():
    with pytest.raises(RunError, match="not in the cache"):
        open_packed("0" * 32)


@pytest.mark.parametrize("name", ["images.bin", "index.json", "shapes.npy", "measures.json"])
def test_damage_is_seen_and_packing_again_mends_it(classes, name):
    packed = packed_of(classes)
    before = packed.image(3).copy()
    (packed.folder / name).write_bytes(b"x") if name != "measures.json" else (packed.folder / name).unlink()
    with pytest.raises(RunError, match=r"damaged|not in the cache|gone"):
        open_packed(packed.digest)
    np.testing.assert_array_equal(packed_of(classes).image(3), before)


def started(code, tmp_path, root):
    script = "from pathlib import Path\nfrom foldwise.data.layouts.layouts import read_dataset\nfrom foldwise.data.cache.packing import pack\n"
    script += f"from foldwise.study.spec import DataSpec\nspec = DataSpec(path={str(root)!r})\n"
    script += "dataset = read_dataset(spec, base=Path('/'))\n" + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )


def test_killed_half_way_leaves_nothing_that_counts(classes, tmp_path):
    slow = """
        import time
        pack(dataset, spec, progress=lambda done, total: (print(done, flush=True), time.sleep(30) if done > 2 else None))
    """
    process = started(slow, tmp_path, classes)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(3)] == ["1\n", "2\n", "3\n"]
    process.kill()
    process.wait()
    process.stdout.close()
    left = list((cache_root() / "packed").iterdir())
    assert len(left) == 1
    assert left[0].name.startswith(".")
    packed = packed_of(classes)
    assert len(packed) == 6
    assert list((cache_root() / "packed").iterdir()) == [packed.folder], (
        "what the dead process left is swept away"
    )


def test_two_processes_at_once_both_get_the_same(classes, tmp_path):
    wait = """
        import sys, time
        def wait(done, total):
            if done == 1:
                print("begun", flush=True); time.sleep(1)
        print(pack(dataset, spec, progress=wait).image(2).sum())
    """
    both = [started(wait, tmp_path, classes) for _ in range(2)]
    answers = [process.communicate()[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers[0][-1] == answers[1][-1] == str(packed_of(classes).image(2).sum())
    assert len(list((cache_root() / "packed").iterdir())) == 1


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    pairs(tmp_path / "set", [blob()] * 40)
    full = """
        import resource
        from foldwise.errors import RunError
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            pack(dataset, spec)
        except RunError as error:
            print(error)
    """
    process = started(full, tmp_path, tmp_path / "set")
    said = process.communicate()[0]
    assert "there is no room left for the cache" in said
    assert "FOLDWISE_CACHE" in said
    assert list((cache_root() / "packed").iterdir()) == []


def test_what_would_fill_the_disk_is_not_begun(classes, monkeypatch):
    free = shutil._ntuple_diskusage(1000, 900, 6 * 64 * 64 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    with pytest.raises(RunError, match="the decoded images take"):
        packed_of(classes, size=64)
    assert list((cache_root() / "packed").iterdir()) == []
    assert len(packed_of(classes, size=63)) == 6


def test_a_cache_that_cannot_be_made_is_said(classes, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "file"))
    with pytest.raises(RunError, match="the cache cannot be written"):
        packed_of(classes)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no folder here in which none can be made")
def test_a_cache_below_what_takes_no_folder_is_said(classes, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", "/proc/none/cache")
    with pytest.raises(RunError, match="the cache cannot be written"):
        packed_of(classes)


def test_opening_needs_no_decoding(classes):
    digest = packed_of(classes).digest
    for path in classes.rglob("*.png"):
        path.unlink()
    assert open_packed(digest).image(0).shape == (1, 16, 16)
    assert json.loads((open_packed(digest).folder / "index.json").read_text())["classes"] == ["gel", "other"]


@pytest.mark.parametrize(
    ("name", "data", "share"),
    [
        ("isbi2012_em_membrane", {}, 0.2196),
        ("wbc_nucleus_cytoplasm", {"task": "multiclass_segmentation"}, 0.1081),
        ("gel_binary", {"channels": "gray", "size": 64}, None),
    ],
)
def test_real_sets(shared_data, name, data, share):
    packed = packed_of(shared_data / name, **data)
    assert packed.dtype == np.uint8
    if share is not None:
        counts = np.array([m.class_pixels for m in packed.measures]).sum(0)
        assert counts[-1] / counts.sum() == pytest.approx(share, abs=1e-4)


def test_the_original_white_cell_masks_with_stated_ranges_are_the_converted_ones(shared_data):
    task = {"task": "multiclass_segmentation"}
    ranges = {"0-63": "background", "64-191": "cytoplasm", "192-255": "nucleus"}
    converted = packed_of(shared_data / "wbc_nucleus_cytoplasm", **task)
    original = packed_of(
        shared_data / "wbc_nucleus_cytoplasm", **task, masks="masks_original", mask_values=ranges
    )
    assert (converted.folder / "targets.bin").read_bytes() == (original.folder / "targets.bin").read_bytes()


def test_a_good_folder_that_came_meanwhile_is_put_back(classes):
    folder = packed_of(classes).folder
    remove_damaged(folder, whole=lambda _: True)
    assert folder.is_dir()
    remove_damaged(folder, whole=lambda _: False)
    assert list(folder.parent.iterdir()) == []
