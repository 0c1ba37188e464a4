"""Who may read and write what a run leaves: what the umask of its user says, in the run folder and in the cache."""

import os
import shutil
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from foldwise.data.cache.packed import Packed
from foldwise.data.cache.packing import pack
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import RunError
from foldwise.pipeline import pipeline
from foldwise.pipeline.options import RunOptions, Silent
from foldwise.study.reading import open_study
from foldwise.study.spec import DataSpec

STUDY = """\
study: gel
data: {phantom: {kind: gels, images: 20, size: 32}}
train: {model: {conv: {width: 4, depth: 1}}, epochs: 1}
validate: {folds: 2}
"""
NOBODY = 65534

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")


@contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o002, 0o077])
def test_every_file_of_a_run_and_of_the_cache_has_the_permissions_of_the_umask(tmp_path, monkeypatch, mask):
    """No file is wider, which others could change; none is narrower, which a group could not go on with."""
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "study.yaml").write_text(STUDY)
    with umask(mask):
        file = open_study(tmp_path / "study.yaml")
        pipeline.run(file, RunOptions(tmp_path / "run", launcher="inline"), Silent())
    written = [
        path for place in ("run", "cache") for path in (tmp_path / place).rglob("*") if not path.is_symlink()
    ]
    modes = {path: stat.S_IMODE(path.stat().st_mode) & 0o777 for path in written}
    assert len(modes) > 30
    assert {
        str(path.relative_to(tmp_path)): oct(mode)
        for path, mode in modes.items()
        if mode != (0o777 if path.is_dir() else 0o666) & ~mask
    } == {}


@pytest.fixture
def shared():
    """A folder that every user may look into."""
    folder = Path(tempfile.mkdtemp(prefix="foldwise-shared-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def as_nobody():
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_reads_the_cache_and_changes_nothing_in_it(shared, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(shared / "cache"))
    data = DataSpec(phantom={"kind": "gels", "images": 10, "size": 24})
    other = data.model_copy(update={"size": 16})
    with umask(0o022):
        packed = pack(read_dataset(data, base=shared), data)
        dataset = read_dataset(other, base=shared)
    before = sorted((path, path.stat().st_mtime_ns) for path in shared.rglob("*"))
    with as_nobody():
        read = Packed(packed.folder)
        assert (read.image(3) == packed.image(3)).all()
        assert pack(read_dataset(data, base=shared), data).digest == packed.digest  # it is there already
        with pytest.raises(RunError, match="the cache cannot be written"):
            pack(dataset, other)
    assert sorted((path, path.stat().st_mtime_ns) for path in shared.rglob("*")) == before
