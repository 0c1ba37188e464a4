"""The report in a real browser: what it loads, whether its controls work, and whether it fits a phone."""

from functools import cache

import pytest
from browsing import opened

pytestmark = pytest.mark.browser
NAMES = ["segmentation6", "classification24", "multilabel", "failed", "single", "nothing"]
WIDTHS = [1600, 1280, 768, 390, 320]


@pytest.fixture(scope="module")
def shown(chromium, runs):
    """The page of a run, opened once; a test leaves it on the screen and with the same parts unfolded."""
    return cache(lambda name: opened(chromium, runs[name].report))


@pytest.mark.parametrize("name", NAMES)
def test_no_errors_no_network_and_no_overflow_at_any_width(shown, name):
    page = shown(name)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.said == []
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


def first_column(page, selector="#board"):
    rows = page.locator(f"{selector} tbody tr:not([data-fixed]):visible .place")
    return [int(words) for words in rows.all_inner_texts()]


def test_sorting_turns_with_every_click_and_trivial_predictors_stay_last(chromium, runs):
    page = opened(chromium, runs["classification24"].report)
    button = page.locator("#board thead button", has_text="ms/image")
    button.click()
    head = page.locator("#board thead th", has_text="ms/image")
    assert head.get_attribute("aria-sort") == "ascending"
    times = [
        float(words)
        for words in page.locator("#board tbody tr:not([data-fixed]) td:nth-last-child(3)").all_inner_texts()
    ]
    assert times == sorted(times)
    button.click()
    assert head.get_attribute("aria-sort") == "descending"
    page.locator("#board thead button", has_text="#").click()
    assert first_column(page) == list(range(1, 25))
    assert page.locator("#board tbody tr").last.get_attribute("data-fixed") is not None


def test_sorting_works_from_the_keyboard(chromium, runs):
    page = opened(chromium, runs["classification24"].report)
    page.locator("#board thead button", has_text="Configuration").focus()
    page.keyboard.press("Enter")
    names = page.locator("#board tbody tr:not([data-fixed]) th").all_inner_texts()
    assert names[0].startswith("conv")


def test_filters_narrow_the_leaderboard(chromium, runs):
    page = opened(chromium, runs["classification24"].report)
    page.locator("#filters select").nth(1).select_option("vit")
    assert len(first_column(page)) == 4
    assert page.locator("#leaderboard .more [aria-live]").first.inner_text() == "4 of 24 shown"


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize(("asked", "first", "second"), [("light", 245, 15), ("dark", 15, 245)])
def test_colours_follow_the_system_and_can_be_turned(chromium, runs, asked, first, second):
    page = opened(chromium, runs["single"].report, color_scheme=asked)
    assert background(page).startswith(f"rgb({first},")
    page.locator("button.theme").click()
    assert background(page).startswith(f"rgb({second},")


def test_everything_can_be_read_without_scripts(chromium, runs):
    page = opened(chromium, runs["segmentation6"].report, java_script_enabled=False, color_scheme="dark")
    assert page.locator("#board tbody tr").count() == 8
    assert page.locator("#answer h2").inner_text()
    assert page.locator("#pictures img").count() == 36
    assert page.locator("button").count() == 0


def test_it_prints(chromium, runs, tmp_path):
    page = opened(chromium, runs["classification24"].report, color_scheme="dark")
    page.pdf(path=str(tmp_path / "report.pdf"), prefer_css_page_size=True)
    pages = (tmp_path / "report.pdf").read_bytes().count(b"/Type /Page\n")
    assert 4 <= pages <= 30
    page.emulate_media(media="print")
    assert background(page) == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()


def test_what_is_folded_is_not_printed_and_can_be_unfolded_at_once(chromium, runs):
    page = opened(chromium, runs["classification24"].report)
    folded = page.locator("main details:not([open])")
    number = folded.count()
    assert number > 2
    inside = folded.first.locator("table, pre, p, figure").first.element_handle()
    page.emulate_media(media="print")
    assert not inside.is_visible()
    assert not page.get_by_role("button", name="Unfold all").is_visible()
    page.emulate_media(media="screen")
    page.get_by_role("button", name="Unfold all").click()
    page.emulate_media(media="print")
    assert inside.is_visible()
    assert folded.count() == 0
    page.emulate_media(media="screen")
    page.get_by_role("button", name="Fold again").click()
    assert folded.count() == number


COVERED = """() => {
  const words = document.createRange(), title = document.querySelector('h1'), corner = document.querySelector('.corner').getBoundingClientRect();
  title.textContent = 'A title that needs more than one line '.repeat(4);
  words.selectNodeContents(title);
  return [...words.getClientRects()].filter((one) => one.right > corner.left && one.left < corner.right && one.bottom > corner.top && one.top < corner.bottom).length;
}"""


@pytest.mark.parametrize("width", [390, 765, 1200])
def test_no_title_runs_under_the_buttons(chromium, runs, width):
    page = opened(chromium, runs["segmentation6"].report, viewport={"width": width, "height": 800})
    assert page.evaluate(COVERED) == 0


def test_headings_of_cards_stand_in_the_cards_alone(chromium, runs):
    page = opened(chromium, runs["segmentation6"].report, viewport={"width": 390, "height": 800})
    shown = """() => [...document.querySelectorAll('#cost .stacked')].map((one) => [
      getComputedStyle(one.querySelector('thead')).display, getComputedStyle(one.querySelector('[data-label]'), '::before').display])"""
    assert page.evaluate(shown) == [["none", "block"]] * 2


def test_a_word_as_long_as_a_path_makes_no_text_wider_than_a_phone(chromium, runs):
    page = opened(chromium, runs["segmentation6"].report, viewport={"width": 390, "height": 800})
    for section in ("methods", "results", "warnings", "search", "cost"):
        page.evaluate(
            """id => document.querySelectorAll(`#${id} p, #${id} li`).forEach(one => one.append(" " + "weights/".repeat(20)))""",
            section,
        )
    assert page.evaluate("document.documentElement.scrollWidth") == 390


A4_PX = 703  # between the margins that the page states
CLIPPED = """() => [...document.querySelectorAll('main td, main th, main img')]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
  .map((one) => one.closest('section').id)"""


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_off_on_paper(shown, name):
    page = shown(name)
    page.set_viewport_size({"width": A4_PX, "height": 1000})
    page.emulate_media(media="print")
    folded = page.locator("details:not([open])").element_handles()
    page.evaluate("(folded) => folded.forEach((part) => { part.open = true; })", folded)
    clipped = page.evaluate(CLIPPED)
    page.evaluate("(folded) => folded.forEach((part) => { part.open = false; })", folded)
    page.emulate_media(media="screen")
    assert sorted(set(clipped)) == []


READABLE = """() => {
  const unlabelled = [...document.querySelectorAll('svg[role=img]')].filter((one) => !one.querySelector('title'));
  const nameless = [...document.querySelectorAll('button')].filter((one) => !one.textContent.trim());
  const headless = [...document.querySelectorAll('table')].filter((one) => !one.querySelector('thead th[scope=col]'));
  const silent = [...document.images].filter((one) => !one.alt);
  const unreachable = [...document.querySelectorAll('.scroll')].filter((one) => one.tabIndex !== 0);
  return [unlabelled, nameless, headless, silent, unreachable].map((list) => list.length);
}"""


@pytest.mark.parametrize("name", NAMES)
def test_drawings_tables_and_controls_have_names(shown, name):
    assert shown(name).evaluate(READABLE) == [0, 0, 0, 0, 0]


BOARD_CUT = """() => {
  const box = document.querySelector("#leaderboard .scroll"), right = box.getBoundingClientRect().right;
  return [...box.querySelectorAll("th, td, small")].filter((cell) => cell.getBoundingClientRect().right > right + 1)
    .map((cell) => cell.textContent.trim());
}"""


@pytest.mark.parametrize("name", ["segmentation6", "classification24", "multilabel", "failed", "single"])
def test_no_column_of_the_leaderboard_is_cut_off_on_a_phone(shown, name):
    page = shown(name)
    for width in (390, 320):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate(BOARD_CUT) == []
        titles = page.locator("#board thead th:not(.drawn)").all_inner_texts()
        first = page.locator("#board tbody tr").nth(1 if name != "single" else 0)
        labels = first.locator("td[data-label]").evaluate_all(
            "(cells) => cells.map((one) => one.dataset.label)"
        )
        assert set(labels) <= {words.strip() for words in titles}
        assert len(labels) >= 4


@pytest.mark.parametrize("name", ["segmentation6", "classification24"])
def test_no_column_of_the_costs_is_cut_off_on_a_phone_and_each_has_its_heading(shown, name):
    page = shown(name)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    for width in (390, 320):
        page.set_viewport_size({"width": width, "height": 844})
        cut = "(all) => all.filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.ariaLabel)"
        assert page.locator("#cost .scroll").evaluate_all(cut) == []
    for table in page.locator("#cost table").all():
        headings = [words.strip() for words in table.locator("thead th").all_inner_texts()]
        cells = table.locator("tbody tr").first.locator("td[data-label]")
        labels = cells.evaluate_all("(cells) => cells.map((each) => each.dataset.label)")
        assert labels == headings[-len(labels) :]


@pytest.mark.parametrize("width", [390, 1200])
def test_truth_and_prediction_stand_at_their_matrix(chromium, runs, width):
    page = opened(chromium, runs["segmentation6"].report, viewport={"width": width, "height": 800})
    matrix = page.locator("#confusion table").first
    axes = matrix.locator("th", has_text="true ↓ predicted →").bounding_box()
    first = matrix.locator("tbody th").first.bounding_box()
    assert abs(axes["x"] - first["x"]) < 2
    assert abs(axes["y"] + axes["height"] - first["y"]) < 2
