"""Originals from the web, Kaggle, an image database or a local copy: whole, checked, or refused with the way out."""

import hashlib
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
from loopback import serving
from small_originals import gels, original, rows, zipped

from foldwise.data.public import catalogue, volumes
from foldwise.data.public.catalogue import Web
from foldwise.data.public.getting import get, verify
from foldwise.errors import DataError, MissingExtra, SpecError
from foldwise.storage import cache_root


@pytest.fixture(autouse=True)
def _no_downloads_yet(monkeypatch, tmp_path):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def web_gels(monkeypatch):
    """Makes the gels come from an address, with a checksum if one is given."""

    def point(url, sha256=None):
        origin = Web(url, "gels.zip", sha256)
        monkeypatch.setitem(catalogue.SOURCES, "gels", replace(catalogue.SOURCES["gels"], origin=origin))

    return point


@pytest.fixture
def gels_zip(tmp_path):
    gels(tmp_path / "for_zip")
    (tmp_path / "for_zip" / "notes").write_bytes(bytes(100_000))  # several pieces of a download
    return zipped(tmp_path / "for_zip")


# The web


def test_a_download_is_recorded_checked_and_not_repeated(web_gels, gels_zip, tmp_path):
    seen = []
    with serving(gels_zip) as served:
        web_gels(served.url)
        folder = get("gels", tmp_path / "a", progress=lambda *told: seen.append(told))
        get("gels", tmp_path / "b")
        get("gels", folder)
    assert served.asked == [None], "the second folder is made from the download that was kept"
    assert ("Downloading gels.zip", len(gels_zip), len(gels_zip)) in seen
    assert {"Downloading gels.zip", "Unpacking gels.zip", "Copying", "Checking files"} == {
        what for what, *_ in seen
    }
    kept = cache_root() / "downloads" / "gels"
    assert sorted(path.name for path in kept.iterdir()) == ["gels.zip", "gels.zip.sha256"]
    assert "first download" in verify("gels", folder).basis


@pytest.mark.parametrize("etag", ['"one"', None])
def test_an_interrupted_download_goes_on_or_starts_anew(etag, web_gels, gels_zip, tmp_path):
    with serving(gels_zip, etag=etag) as served:
        web_gels(served.url)
        served.breaks = [40_000, 20_000]
        folder = get("gels", tmp_path / "gels")
    # Without a mark of the file's version, parts could be of two versions: then nothing is joined.
    assert served.asked == ([None, "bytes=32768-", "bytes=49152-"] if etag else [None, None, None])
    assert verify("gels", folder).whole


def test_a_download_given_up_is_resumed_by_the_next_call(web_gels, gels_zip, tmp_path):
    with serving(gels_zip) as served:
        web_gels(served.url)
        served.breaks = [40_000, 0, 0, 0, 0, 0]
        with pytest.raises(DataError, match=r"gels\.zip could not be downloaded whole") as caught:
            get("gels", tmp_path / "gels")
        assert "goes on where it stopped" in str(caught.value)
        assert not (tmp_path / "gels").exists()
        served.asked.clear()
        get("gels", tmp_path / "gels")
    assert served.asked == ["bytes=32768-"]


def test_a_file_that_changed_meanwhile_is_not_joined_to_the_old_part(web_gels, gels_zip, tmp_path):
    with serving(b"x" * 90_000, etag='"old"') as served:
        web_gels(served.url)
        served.breaks = [40_000, 0, 0, 0, 0, 0]
        with pytest.raises(DataError):
            get("gels", tmp_path / "gels")
        served.content, served.etag = gels_zip, '"new"'
        folder = get("gels", tmp_path / "gels")
    assert verify("gels", folder).whole


def test_a_server_without_parts_is_asked_for_all_again(web_gels, gels_zip, tmp_path):
    with serving(gels_zip, ranges=False) as served:
        web_gels(served.url)
        served.breaks = [40_000]
        assert verify("gels", get("gels", tmp_path / "gels")).whole


def test_a_wrong_checksum_keeps_nothing(web_gels, gels_zip, tmp_path):
    right = hashlib.sha256(gels_zip).hexdigest()
    with serving(gels_zip[:-1] + b"!") as served:
        web_gels(served.url, right)
        with pytest.raises(DataError, match=rf"SHA-256 is not {right}, the one published"):
            get("gels", tmp_path / "gels")
        assert list((cache_root() / "downloads" / "gels").iterdir()) == []
        served.content = gels_zip
        folder = get("gels", tmp_path / "gels")
    assert "published checksum" in verify("gels", folder).basis


def test_a_file_changed_at_its_source_after_the_first_download_is_refused(web_gels, gels_zip, tmp_path):
    with serving(gels_zip) as served:
        web_gels(served.url)
        get("gels", tmp_path / "a")
        kept = cache_root() / "downloads" / "gels" / "gels.zip"
        kept.unlink()
        served.content = gels_zip + b"!"
        with pytest.raises(DataError, match="recorded at the first download"):
            get("gels", tmp_path / "b")
        kept.write_bytes(b"damaged on the disk")  # is noticed, and brought again
        served.content = gels_zip
        assert verify("gels", get("gels", tmp_path / "b")).whole


def test_a_page_that_is_gone_and_a_server_that_is_not_there(web_gels, tmp_path):
    with serving(b"") as served:
        web_gels(served.url)
        served.status = 404
        with pytest.raises(DataError, match=r"answers 404.*\n.*--local"):
            get("gels", tmp_path / "gels")
    with pytest.raises(DataError, match=r"could not be downloaded whole \(refused\)"):
        get("gels", tmp_path / "gels")


def test_a_rar_archive_is_kept_and_the_user_told_what_to_do(monkeypatch, tmp_path):
    with serving(b"Rar!\x1a\x07\x01\x00" + bytes(100)) as served:
        row = replace(catalogue.SOURCES["fives"], origin=Web(served.url, "FIVES.rar"))
        monkeypatch.setitem(catalogue.SOURCES, "fives", row)
        with pytest.raises(DataError, match="is a RAR archive") as caught:
            get("fives", tmp_path / "fives")
    assert "7-Zip, then give the unpacked folder with --local" in str(caught.value)
    assert (cache_root() / "downloads" / "fives" / "FIVES.rar").is_file()


# Local copies, Kaggle, the image database


def test_a_local_archive_is_taken_and_checked(web_gels, gels_zip, tmp_path):
    archive = tmp_path / "mine.zip"
    archive.write_bytes(gels_zip)
    web_gels("http://127.0.0.1:9/none", "0" * 64)
    with pytest.raises(DataError, match="published is 0000"):
        get("gels", tmp_path / "out", local=archive)
    web_gels("http://127.0.0.1:9/none")
    assert "local copy" in verify("gels", get("gels", tmp_path / "out", local=archive)).basis


def test_a_local_copy_that_is_not_there(tmp_path):
    with pytest.raises(SpecError, match=r"--local: .*nowhere does not exist"):
        get("gels", tmp_path / "out", local=tmp_path / "nowhere")


def fake_kagglehub(monkeypatch, download):
    hub = types.ModuleType("kagglehub")
    hub.dataset_download = hub.competition_download = download
    monkeypatch.setitem(sys.modules, "kagglehub", hub)


def test_kaggle_gives_a_folder(monkeypatch, tmp_path):
    root, asked = original("bdello", tmp_path), []
    fake_kagglehub(monkeypatch, lambda slug: asked.append(slug) or str(root))
    folder = get("bdello", tmp_path / "bdello")
    assert asked == ["shepbryan/phase-contrast-bdellovibrio"]
    assert {row["image"] for row in rows(folder)} == {f"images/frame {k}.png" for k in range(3)}


def refuse(status):
    def download(_slug):
        error = RuntimeError(f"{status} Client Error")
        error.response = types.SimpleNamespace(status_code=status)
        raise error

    return download


def test_no_account_at_kaggle_is_said_with_the_way_out(monkeypatch, tmp_path):
    fake_kagglehub(monkeypatch, refuse(403))
    with pytest.raises(MissingExtra, match="signed-in users only") as caught:
        get("protein_atlas", tmp_path / "atlas")
    for part in ("KAGGLE_USERNAME", "kaggle.json", "accept the rules", "--local"):
        assert part in str(caught.value)
    fake_kagglehub(monkeypatch, refuse(500))
    with pytest.raises(DataError, match=r"did not give .*\(500 Client Error\)"):
        get("bdello", tmp_path / "bdello")


def test_packages_that_are_not_installed_are_named_with_their_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(MissingExtra, match=r"foldwise\[kaggle\](.|\n)*--local"):
        get("neurons", tmp_path / "neurons")
    monkeypatch.setitem(sys.modules, "intern", None)
    with pytest.raises(MissingExtra, match=r"foldwise\[bossdb\]"):
        get("mtneuro", tmp_path / "mtneuro")


def test_no_address_is_known_of_the_optic_disc(tmp_path):
    with pytest.raises(MissingExtra, match="nothing is known from which"):
        get("optic_disc", tmp_path / "disc")


class Volume:
    """A volume whose voxels tell their place; every cutout is counted."""

    def __init__(self, url, log):
        self.url, self.log = url, log

    def __getitem__(self, place):
        z, y, x = place
        self.log.append((self.url, (x.start, x.stop), (y.start, y.stop)))
        shape = (z.stop - z.start, 4, 4)
        tone = list(volumes.REGIONS).index(region_at(x.start)) if "image" in self.url else 3
        return np.full(shape, tone, np.uint8 if "image" in self.url else np.uint64)


def region_at(x):
    return next(name for name, (xs, _) in volumes.REGIONS.items() if xs[0] == x)


def test_cutouts_are_saved_as_the_benchmark_does_and_whole_ones_are_not_fetched_again(monkeypatch, tmp_path):
    log, intern = [], types.ModuleType("intern")
    intern.array = lambda url, boss_config: Volume(url, log)
    monkeypatch.setitem(sys.modules, "intern", intern)
    folder = get("mtneuro_zi", tmp_path / "zi")
    get("mtneuro", tmp_path / "official")
    assert len(log) == 3 * 2 * 4
    assert log[0] == (volumes.IMAGES, (4600, 4856), (900, 1156))
    images = np.load(folder / "images.npy")
    assert [row["region"] for row in rows(folder)] == [
        list(volumes.REGIONS)[v] for v in images[:, 0, 0].tolist()
    ]
    kept = cache_root() / "downloads" / "mtneuro_task2"
    (kept / "task2_2D_4classtestlabels.npy").unlink()
    get("mtneuro_zi", tmp_path / "again")
    assert len(log) == 3 * 2 * 4 + 4
