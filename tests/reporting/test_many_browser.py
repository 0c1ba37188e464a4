"""Studies with many configurations: how large the page is, and whether it stays quick in a real browser."""

import os
import time

import pytest
from browsing import opened
from make_many import many

from foldwise.study.folder import RunFolder

pytestmark = pytest.mark.browser
MB = 1e6
SLOW = 4.0  # times as long as on an idle machine is allowed: tests run beside others


@pytest.fixture(scope="module")
def large(reports, tmp_path_factory):
    """The page of 500 configurations with 15 fits each."""
    page = tmp_path_factory.mktemp("many") / "report.html"
    page.write_text(
        many(RunFolder(reports["classification24"].parent), configurations=500, fits=15), encoding="utf-8"
    )
    return page


@pytest.mark.parametrize("name", ["classification24", "segmentation6"])
def test_24_configurations_of_5_folds_are_less_than_3_megabytes(reports, name):
    page = many(RunFolder(reports[name].parent), configurations=24, fits=5)
    assert page.count("<tr") > 24
    assert len(page.encode()) < 3 * MB


def test_500_configurations_of_15_fits_are_less_than_10_megabytes(large):
    assert 1 * MB < large.stat().st_size < 10 * MB


def test_500_configurations_are_quick_to_open_sort_find_and_choose(chromium, large):
    began = time.monotonic()
    page = opened(chromium, large, viewport={"width": 1280, "height": 900})
    assert page.locator("#board tbody tr:not([data-fixed]):visible").count() == 30
    loaded = time.monotonic() - began
    painted = (
        page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0") / 1000
    )
    took = {"load": loaded, "paint": painted}
    page.get_by_role("button", name="Show all 500").first.click()
    assert page.locator("#board tbody tr:not([data-fixed]):visible").count() == 500

    def timed(what, action):
        took[what] = page.evaluate(
            f"""() => new Promise((done) => {{ const began = performance.now(); {action};
            requestAnimationFrame(() => setTimeout(() => done((performance.now() - began) / 1000))); }})"""
        )

    timed(
        "sort",
        "[...document.querySelectorAll('#board th button')].find((one) => one.textContent === 'ms/image').click()",
    )
    timed(
        "find",
        "(() => { const box = document.querySelector('#filters input'); box.value = 'wd 3'; box.dispatchEvent(new Event('input')); })()",
    )
    timed("choose", "document.querySelectorAll('#board .pick')[40].click()")
    print(
        {what: round(seconds, 2) for what, seconds in took.items()},
        f"{large.stat().st_size / MB:.1f} MB",
        os.getloadavg(),
    )
    assert page.said == []
    assert took["paint"] < 2 * SLOW
    assert all(took[what] < 1 * SLOW for what in ("sort", "find", "choose")), took


def test_filters_of_factors_with_many_levels_stay_usable(chromium, large):
    page = opened(chromium, large)
    assert page.locator("#filters select").count() >= 3
    page.get_by_placeholder("words of a name").fill("wd 3 vit")
    assert 0 < page.locator("#board tbody tr:not([data-fixed]):visible").count() <= 30
