"""What every test may ask for: the real data sets, where they are, and a cache of its own."""

import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from browsing import CHROMIUM, QUIET
from forked import Forked
from hypothesis import HealthCheck, settings

# Before torch is imported anywhere: tests run several at a time, and many threads on few cores only wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What Python compiles is kept, whatever the environment says: tests start hundreds of processes, and each would compile all
# modules anew, 0.4 s of 1.6 s that the command takes to start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A program that is started in the background may ignore these, and so would every process that a test starts and stops.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A disk is not asked to keep what a test writes: that takes milliseconds, tens of thousands of times. No test cuts the power;
# processes that are killed lose nothing that was written.
os.fsync = lambda _: None

# The same examples every time: a red test stays red until it is mended. Nothing goes by the clock: on a busy machine, what
# takes milliseconds may take seconds, and the first example waits until the constants of all imported modules are read.
settings.register_profile(
    "foldwise", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("foldwise")

# Some of their tests take ten seconds and more. They come first: a process that has run out of tests takes over half of
# what another one has left, and what is left at the end is then short.
LONGEST = (
    "pipeline/test_main_job.py", "pipeline/test_studies.py", "pipeline/test_chaos.py", "pipeline/test_continued_fits.py",
    "runs/launchers/test_real_slurm.py", "runs/launchers/test_ray.py", "pipeline/test_engines.py",
    "interface/commands/test_fit.py",
)  # fmt: skip

SHARED = Path(os.environ.get("FOLDWISE_SHARED", Path(__file__).parents[2] / "shared"))


def pytest_collection_modifyitems(items):
    """The longest tests first; all others in their order."""
    gone = [name for name in LONGEST if not (Path(__file__).parent / name).exists()]
    assert not gone, f"the longest tests are no longer at {gone}"
    ranks = {f"tests/{name}": rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.nodeid.partition("::")[0], len(ranks)))


def pytest_collection_finish():
    """What was imported and collected stays to the end: looked through at every garbage collection, it takes 7 % of the time.

    Python looks through what is new after every 700 objects, Hypothesis is called at each time, and what tests of the
    judge make is garbage anyhow: after every 5,000 objects, the tests of the judge take 11 % less.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 100)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv(
        "FOLDWISE_PROFILE", ""
    )  # what whoever runs the tests asks clusters for is no part of them
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))


@pytest.fixture
def shared_data():
    """The folder of real data sets; the test skips where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not here ({folder}); set FOLDWISE_SHARED to their folder")
    return folder


@pytest.fixture
def shared_weights():
    """The folder of real ImageNet weights; the test skips where it is absent."""
    folder = SHARED / "weights"
    if not folder.is_dir():
        pytest.skip(f"the real weights are not here ({folder}); set FOLDWISE_SHARED to their folder")
    return folder


@pytest.fixture
def killed_while_writing():
    """Kill a process in the middle of writing a file."""

    def kill(path):
        code = (
            "import os, signal; from pathlib import Path; from foldwise.storage import written_whole\n"
            f"with written_whole(Path({str(path)!r})) as scratch:\n"
            "    scratch.write_text('{\"vers'); os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False, timeout=200).returncode == -9

    return kill


@pytest.fixture(scope="module")
def chromium():
    """A real browser to open pages in."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed here, so pages cannot be opened")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def forked():
    """Commands in processes that start at once; the one that they are forked from imports torch once for all tests."""
    with Forked() as server:
        yield server
