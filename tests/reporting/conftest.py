"""Made runs with their reports, each made once for all tests of the report."""

import fcntl
import os

import pytest
from make_run import RUNS, make_run

from foldwise.reporting.report import write_report
from foldwise.runs.folder import RunFolder


class MadeRuns(dict):
    """By the name of a made run, its folder with its report; whichever process needs it first makes it for all."""

    def __init__(self, root):
        self.root = root

    def __missing__(self, name):
        folder = RunFolder(self.root / name)
        with (self.root / f"{name}.lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
            fcntl.flock(lock, fcntl.LOCK_EX)
            patch.setenv("FOLDWISE_CACHE", str(self.root / "cache"))
            if not folder.report.exists():
                make_run(folder.root, RUNS[name])
                write_report(folder)
        self[name] = folder
        return folder


@pytest.fixture(scope="session")
def made_root(tmp_path_factory):
    """The folder of the made runs, which processes that test at the same time share."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made"
    root.mkdir(exist_ok=True)
    return root


@pytest.fixture(scope="session")
def runs(made_root):
    """By name the folders of made runs, to be read and not to be written to."""
    return MadeRuns(made_root)


@pytest.fixture(autouse=True)
def _own_cache(made_root, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(made_root / "cache"))


@pytest.fixture(scope="module")
def in_cache(made_root):
    """Fixtures of a whole module pack and find their images in the cache of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLDWISE_CACHE", str(made_root / "cache"))
        yield
