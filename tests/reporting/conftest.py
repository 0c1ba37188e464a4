"""A real browser and reports to open in it, for the tests that look at pages."""

import pytest
from browsing import CHROMIUM, QUIET
from make_run import RUNS, make_run

from foldwise.reporting.report import write_report


@pytest.fixture(scope="module")
def chromium():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed here, so the report cannot be opened")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


class Reports(dict):
    """By the name of a made run, its report; made when it is asked for."""

    def __init__(self, root):
        self.root = root

    def __missing__(self, name):
        self[name] = write_report(make_run(self.root / name, RUNS[name])[0])
        return self[name]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("FOLDWISE_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield Reports(tmp_path_factory.mktemp("runs"))
    patch.undo()
