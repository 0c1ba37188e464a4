"""The page that follows a run, in a real browser: it waits, it shows new results, and it keeps the reader's place."""

import shutil

import pytest
from browsing import opened
from make_run import RUNS, make_run

from foldwise import serving
from foldwise.study.folder import RunFolder

pytestmark = pytest.mark.browser


@pytest.fixture
def growing(tmp_path, monkeypatch):
    """A run of which nothing is done, and a function that commits its next items."""
    monkeypatch.setattr(serving, "LOOK_EVERY_S", 0.1)
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    made, _ = make_run(tmp_path / "whole", RUNS["trivial"])
    folder = RunFolder(tmp_path / "growing")
    shutil.copytree(made.root, folder.root, ignore=shutil.ignore_patterns("done", "verdict.json"))
    (folder.root / "done").mkdir()
    waiting = [item.id for item in folder.load_plan().items]

    def commit(number):
        for own in waiting[:number]:
            shutil.copytree(made.done(own), folder.done(own))
        del waiting[:number]

    return folder, commit


def test_the_page_waits_then_shows_results_and_keeps_the_place(chromium, growing):
    folder, commit = growing
    with serving.serving(folder) as address:
        page = opened(chromium, address, viewport={"width": 1280, "height": 700})
        page.get_by_text("0 of 6 items done").wait_for()
        assert "No fit is done yet" in page.locator("main").inner_text()
        commit(2)
        page.locator("#board").wait_for()
        page.get_by_text("2 of 6 items done").wait_for()
        assert page.evaluate("document.documentElement.dataset.theme") == "light"  # as the system has it
        page.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
        page.locator("#training").evaluate("(one) => one.scrollIntoView()")
        page.locator("#board .pick").first.dispatch_event("click")
        page.locator("button.theme").dispatch_event("click")
        page.mouse.wheel(0, 5)  # somebody is reading: nothing is moved under their eyes
        before = page.locator("#training").evaluate("(one) => one.getBoundingClientRect().top")
        commit(4)
        page.get_by_text("the study has come to its end").wait_for()
        button = page.get_by_role("button", name="Show the new results")
        button.wait_for()
        theme = page.evaluate("document.documentElement.dataset.theme")
        with page.expect_navigation():
            button.dispatch_event("click")
        page.get_by_text("6 of 6 items done").wait_for()
        after = page.locator("#training").evaluate("(one) => one.getBoundingClientRect().top")
        assert abs(after - before) < 60
        assert page.locator("#board tr.marked").count() == 1
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        assert [url for url in page.asked if not url.startswith((address, "data:"))] == []
        assert page.said == []
    page.get_by_text("no longer answers").wait_for()


def test_the_written_page_asks_nobody(reports):
    page = reports["trivial"].read_text(encoding="utf-8")
    assert "connect-src" not in page
    assert "state.json" not in page
