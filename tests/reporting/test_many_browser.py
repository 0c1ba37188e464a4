"""Studies with many configurations: how large the page is, and whether it stays quick in a real browser."""

import pytest
from browsing import opened
from make_many import many

pytestmark = pytest.mark.browser
MB = 1e6


@pytest.fixture(scope="module")
def large(runs, tmp_path_factory):
    """The page of 500 configurations with 15 fits each."""
    page = tmp_path_factory.mktemp("many") / "report.html"
    page.write_text(many(runs["classification24"], configurations=500, fits=15), encoding="utf-8")
    return page


@pytest.mark.parametrize("name", ["classification24", "segmentation6"])
def test_24_configurations_of_5_folds_are_less_than_3_megabytes(runs, name):
    page = many(runs[name], configurations=24, fits=5)
    assert page.count("<tr") > 24
    assert len(page.encode()) < 3 * MB


def test_500_configurations_of_15_fits_are_less_than_10_megabytes(large):
    assert 1 * MB < large.stat().st_size < 10 * MB


def test_500_configurations_are_sorted_found_and_chosen(chromium, large):
    page = opened(chromium, large, viewport={"width": 1280, "height": 900})
    shown = page.locator("#board tbody tr:not([data-fixed]):visible")
    assert shown.count() == 30
    page.get_by_role("button", name="Show all 500").first.click()
    assert shown.count() == 500
    page.locator("#board th button", has_text="ms/image").click()
    assert page.locator("#board th[aria-sort]").inner_text().startswith("ms/image")
    page.locator("#filters input").fill("wd 3")
    assert 0 < shown.count() < 500
    assert all("wd" in words and "3" in words for words in shown.locator("th").all_inner_texts())
    page.locator("#board .pick:visible").nth(3).click()
    assert page.locator("#board tr.marked").count() == 1
    assert page.said == []


def test_filters_of_factors_with_many_levels_stay_usable(chromium, large):
    page = opened(chromium, large)
    assert page.locator("#filters select").count() >= 3
    page.get_by_placeholder("words of a name").fill("wd 3 vit")
    assert 0 < page.locator("#board tbody tr:not([data-fixed]):visible").count() <= 30
