"""Saving charts and tables in a real browser, under the policy of the page; and the same files without one."""

import csv
import io
from xml.etree import ElementTree

import pytest
from browsing import opened, saved

from foldwise.reporting.figure_files import write_figures
from foldwise.reporting.report_data import gather

pytestmark = pytest.mark.browser
BUTTONS = "[...document.querySelectorAll('.save button')].map((one) => one.getAttribute('aria-label'))"


@pytest.fixture(scope="module")
def page(chromium, runs):
    page = opened(chromium, runs["classification24"].report, accept_downloads=True, color_scheme="dark")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    return page


def saved_by(page, label):
    return saved(page, page.get_by_role("button", name=label, exact=True))


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_leaderboard_is_saved_with_the_values_behind_its_cells(page, runs):
    name, text = saved_by(page, "Save Leaderboard as CSV")
    assert name == "tiny-leaderboard.csv"
    with (runs["classification24"].root / "results.csv").open(encoding="utf-8") as file:
        judged = [row for row in csv.DictReader(file) if row["configuration"].startswith("c-")]
    told = [row for row in rows(text) if row["#"]]
    assert len(told) == len(judged) == 24
    for own, one in zip(told, judged, strict=True):
        assert float(own["Balanced accuracy"]) == pytest.approx(float(one["estimate"]), rel=1e-9)
        assert float(own["Balanced accuracy, low"]) == pytest.approx(float(one["low"]), rel=1e-9)
        assert own["Configuration"] == one["name"]


def test_a_chart_is_saved_with_literal_light_colours_although_the_page_is_dark(page):
    name, text = saved_by(page, "Save Cost as SVG")
    assert name == "tiny-cost.svg"
    drawn = ElementTree.fromstring(text)
    assert "var(" not in text
    assert "class=" not in text
    assert not any(key.startswith("data-") for one in drawn.iter() for key in one.attrib)
    fills = {one.get("fill") for one in drawn.iter() if one.get("fill")}
    assert "#00734f" in fills  # the winner in the light theme
    words = " ".join(one.text or "" for one in drawn.iter("{http://www.w3.org/2000/svg}text"))
    assert "milliseconds per image" in words
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_saved_chart_opens_by_itself_and_is_not_empty(chromium, page, tmp_path):
    _, text = saved_by(page, "Save Leaderboard as SVG")
    (tmp_path / "chart.svg").write_text(text, encoding="utf-8")
    alone = opened(chromium, tmp_path / "chart.svg")
    assert alone.said == []
    assert alone.evaluate("document.querySelectorAll('svg svg').length") >= 24
    assert alone.evaluate("document.documentElement.getBoundingClientRect().width") > 600


def test_every_button_that_saves_gives_a_file_that_is_not_empty(page):
    labels = [label for label in page.evaluate(BUTTONS) if not label.endswith("PDF")]
    assert len(labels) > 20
    assert len(set(page.evaluate(BUTTONS))) == len(page.evaluate(BUTTONS))  # no two are called alike
    for button in page.locator(".save button").all():
        label = button.get_attribute("aria-label")
        if not label.endswith("PDF"):
            _, text = saved(page, button)
            assert len(text.splitlines()) > 1 or label.endswith("SVG"), label
    assert page.said == []


def test_a_figure_is_printed_alone(page):
    page.evaluate("window.print = () => { window.printed = document.querySelectorAll('.sheet svg').length; }")
    page.get_by_role("button", name="Save Cost as PDF", exact=True).click()
    assert page.evaluate("window.printed") >= 1
    page.emulate_media(media="print")
    assert page.locator(".sheet").is_visible()
    assert not page.locator("main").is_visible()
    page.emulate_media(media="screen")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator(".sheet").count() == 0
    assert page.locator("main").is_visible()


def test_buttons_are_not_printed_and_are_not_there_without_scripts(chromium, runs, page):
    page.emulate_media(media="print")
    assert not page.locator(".save").first.is_visible()
    page.emulate_media(media="screen")
    silent = opened(chromium, runs["classification24"].report, java_script_enabled=False)
    assert silent.locator(".save").count() == 0


@pytest.mark.parametrize("kind", ["classification24", "segmentation6", "multilabel"])
def test_the_files_written_without_a_browser_are_the_same_tables(chromium, runs, tmp_path, kind):
    files = {file.name: file for file in write_figures(gather(runs[kind]), tmp_path)}
    page = opened(chromium, runs[kind].report, accept_downloads=True)
    _, text = saved_by(page, "Save Leaderboard as CSV")
    assert files["leaderboard-table-1-leaderboard-table.csv"].read_text(encoding="utf-8") == text
    _, text = saved_by(
        page, "Save Per class as CSV" if kind == "multilabel" else "Save Cost (the chart) as CSV"
    )
    other = "classes-1-" if kind == "multilabel" else "cost-1-"
    told = next(file for name, file in files.items() if name.startswith(other) and file.suffix == ".csv")
    if kind == "multilabel":
        assert told.read_text(encoding="utf-8") == text
    else:  # a card of several charts has a row for every point of all of them
        assert all(line in text for line in told.read_text(encoding="utf-8").splitlines()[1:])


def test_figures_are_written_as_files_that_parse_and_hold_no_variables(runs, tmp_path):
    files = write_figures(gather(runs["segmentation6"]), tmp_path)
    drawn = [file for file in files if file.suffix == ".svg"]
    assert len(drawn) > 10
    assert len(set(files)) == len(files)
    for file in drawn:
        text = file.read_text(encoding="utf-8")
        ElementTree.fromstring(text)
        assert "var(" not in text
        assert "data-" not in text
    for file in files:
        if file.suffix == ".csv":
            widths = {len(row) for row in csv.reader(io.StringIO(file.read_text(encoding="utf-8")))}
            assert len(widths) == 1, file.name
