"""Entries of the cache are forgotten when nobody has used them for long, and by nothing else."""

import os
import time

import numpy as np
import pytest
from label_sets import SIZE, WRITERS
from small_sets import save

from foldwise.data.cache import unused
from foldwise.data.cache.packing import pack
from foldwise.data.cache.unused import DAY_S, KEPT_DAYS, forget_unused, used
from foldwise.data.layouts.layouts import read_dataset
from foldwise.study.spec import DataSpec

OLD = (KEPT_DAYS + 1) * DAY_S


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def aged(entry, seconds=OLD):
    then = time.time() - seconds
    os.utime(entry, (then, then))
    return entry


def test_what_nobody_used_is_forgotten_and_what_was_downloaded_stays(cache):
    for name in (*unused.FORGOTTEN, "downloads", "weights"):
        for age in ("old", "new"):
            (cache / name / age).mkdir(parents=True)
            (cache / name / age / "a.bin").write_bytes(b"x")
            (cache / name / f"{age}.json").write_text("{}")
        aged(cache / name / "old"), aged(cache / name / "old.json")
    forget_unused()
    for name in unused.FORGOTTEN:
        assert sorted(path.name for path in (cache / name).iterdir()) == ["new", "new.json"]
    for name in ("downloads", "weights"):
        assert len(list((cache / name).iterdir())) == 4
    (cache / "packed").rename(cache / "gone")
    forget_unused()  # a cache that holds nothing yet


def test_a_use_is_noted_at_most_once_a_day(cache):
    (cache / "packed" / "a").mkdir(parents=True)
    entry = aged(cache / "packed" / "a", 2 * DAY_S)
    assert used(entry) == entry
    noted = entry.stat().st_mtime
    assert time.time() - noted < 60
    used(entry)
    assert entry.stat().st_mtime == noted
    used(cache / "packed" / "none")  # is not there: whoever uses it says so


def test_what_is_begun_to_be_used_meanwhile_is_put_back(cache, monkeypatch):
    (cache / "packed" / "a").mkdir(parents=True)
    entry = aged(cache / "packed" / "a")
    looks = iter([False, True])
    monkeypatch.setattr(unused, "_is_fresh", lambda _: next(looks))
    forget_unused()
    assert entry.is_dir()


def test_masks_that_were_drawn_and_packed_images_are_noted_by_whoever_packs(cache, tmp_path):
    root, names = tmp_path / "set", ["a0", "a1", "a2"]
    for k, name in enumerate(names):
        save(
            root / "images" / f"{name}.png", np.random.default_rng(k).integers(0, 255, SIZE).astype(np.uint8)
        )
    WRITERS["YOLO"](root, names)
    data = DataSpec(path=str(root))

    def packed():
        return pack(read_dataset(data, base=root), data)

    digest = packed().digest
    (drawn,) = (cache / "outlines").iterdir()
    for entry in (drawn, cache / "packed" / digest):
        aged(entry)
    packed()
    forget_unused()
    assert drawn.is_dir()
    assert packed().digest == digest
    aged(drawn), aged(cache / "packed" / digest)
    forget_unused()
    assert not drawn.exists()
    assert packed().digest == digest  # made again, to the last pixel
