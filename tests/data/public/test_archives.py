"""Archives are unpacked without trust: what leads out, links, floods and damage are refused."""

import io
import stat
import tarfile
import zipfile

import pytest

from foldwise.data.public.archives import unpack
from foldwise.errors import DataError


def as_zip(path, *names, mode=stat.S_IFREG | 0o644):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, b"content")
    return path


def as_tar(path, *names, kind=tarfile.REGTYPE):
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            info.size = 7 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"content"))
    return path


@pytest.mark.parametrize("make", [as_zip, as_tar])
@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:/evil", "C:evil"])
def test_paths_that_lead_out_are_refused_before_anything_is_written(make, name, tmp_path):
    archive = make(tmp_path / "archive", "good.png", name)
    with pytest.raises(DataError, match="leads out of the folder"):
        unpack(archive, tmp_path / "deep" / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["archive"]


def test_links_and_devices_are_refused(tmp_path):
    with pytest.raises(DataError, match="is a link or a device"):
        unpack(as_zip(tmp_path / "zip", "link", mode=stat.S_IFLNK | 0o777), tmp_path / "out")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        with pytest.raises(DataError, match="is a link, a device"):
            unpack(as_tar(tmp_path / "tar", "link", kind=kind), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_floods_twins_and_damage_are_refused(tmp_path):
    with pytest.raises(DataError, match="unpacks to more than"):
        unpack(as_zip(tmp_path / "zip", "a", "b"), tmp_path / "out", most_bytes=13)
    with pytest.raises(DataError, match="'A' is in it twice"):
        unpack(as_zip(tmp_path / "zip", "a", "A"), tmp_path / "out")
    whole = as_zip(tmp_path / "zip", "a").read_bytes()
    (tmp_path / "zip").write_bytes(whole.replace(b"content", b"c0ntent"))
    with pytest.raises(DataError, match="damaged"):
        unpack(tmp_path / "zip", tmp_path / "out")
    cut = as_tar(tmp_path / "tar", "a", "b").read_bytes()
    (tmp_path / "tar").write_bytes(cut[: len(cut) // 2])
    with pytest.raises(DataError):
        unpack(tmp_path / "tar", tmp_path / "out2")
    (tmp_path / "text").write_text("<html>Sign in</html>")
    with pytest.raises(DataError, match="neither a zip nor a tar"):
        unpack(tmp_path / "text", tmp_path / "out3")


@pytest.mark.parametrize("make", [as_zip, as_tar])
def test_good_archives_are_unpacked(make, tmp_path):
    archive = make(tmp_path / "archive", "./a/1.png", "a/2 ü.png")
    unpack(archive, tmp_path / "out")
    assert {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")} == {
        "a/1.png",
        "a/2 ü.png",
    }
