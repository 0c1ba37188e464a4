"""The page that follows a run, in a real browser: it waits, it shows new results, and it keeps the reader's place."""

import grow_run
import pytest
from browsing import opened
from make_run import RUNS, make_run

from foldwise.pipeline.pipeline import judged_now as judged
from foldwise.reporting import live as serving

pytestmark = pytest.mark.browser


@pytest.fixture
def growing(tmp_path, monkeypatch):
    """A run of which nothing is done, and a function that commits its next items."""
    monkeypatch.setattr(serving, "LOOK_EVERY_S", 0.1)
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    made, _ = make_run(tmp_path / "whole", RUNS["multilabel"])
    return grow_run.growing(made, tmp_path / "growing")


def test_the_page_waits_then_shows_results_and_keeps_the_place(chromium, growing):
    folder, commit = growing
    with serving.serving(folder, judged) as address:
        page = opened(chromium, address, viewport={"width": 1280, "height": 700})
        page.get_by_text("0 of 9 items done").wait_for()
        assert "No fit is done yet" in page.locator("main").inner_text()
        commit(3)
        page.locator("#board").wait_for()
        page.get_by_text("3 of 9 items done").wait_for()
        page.get_by_text("3 of 9 fits done").first.wait_for()
        assert page.evaluate("document.documentElement.dataset.theme") == "light"  # as the system has it
        page.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
        page.locator("#training").evaluate("(one) => one.scrollIntoView()")
        page.locator("#board .pick").first.dispatch_event("click")
        head = page.locator("#board th[data-sort=text]").first
        head.locator("button").dispatch_event("click")
        way = head.get_attribute("aria-sort")
        page.locator("#filters input").evaluate(
            "(one) => { one.value = 'a'; one.dispatchEvent(new Event('input')); }"
        )
        page.locator("main details:not([open]) summary").first.dispatch_event("click")
        opened_one = page.locator("main details[open] summary").first.inner_text()
        page.locator("button.theme").dispatch_event("click")
        # Somebody is reading, for as long as this test takes: nothing is moved under their eyes.
        page.evaluate(
            "() => { const now = Date.now(); Date.now = () => now; dispatchEvent(new Event('wheel')); }"
        )
        before = page.locator("#training").evaluate("(one) => one.getBoundingClientRect().top")
        commit(6)
        page.get_by_text("the study has come to its end").wait_for()
        button = page.get_by_role("button", name="Show the new results")
        button.wait_for()
        theme = page.evaluate("document.documentElement.dataset.theme")
        with page.expect_navigation():
            button.dispatch_event("click")
        page.get_by_text("9 of 9 items done").wait_for()
        after = page.locator("#training").evaluate("(one) => one.getBoundingClientRect().top")
        assert abs(after - before) < 60
        assert page.locator("#board tr.marked").count() == 1
        assert page.locator("#board th[data-sort=text]").first.get_attribute("aria-sort") == way
        assert page.locator("#filters input").input_value() == "a"
        assert opened_one in page.locator("main details[open] summary").all_inner_texts()
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        assert [url for url in page.asked if not url.startswith((address, "data:"))] == []
        assert page.said == []
    page.get_by_text("no longer answers").wait_for()


def test_the_written_page_asks_nobody(runs):
    page = runs["trivial"].report.read_text(encoding="utf-8")
    assert "connect-src" not in page
    assert "state.json" not in page
