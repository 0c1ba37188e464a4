"""Choosing, finding and folding in a real browser."""

import pytest
from browsing import opened

pytestmark = pytest.mark.browser
PICKED = "[...document.querySelectorAll('.marked')].map((one) => one.dataset.configuration)"


@pytest.fixture
def page(chromium, runs):
    page = opened(chromium, runs["classification24"].report)
    yield page
    assert page.said == []
    page.close()


def picked(page):
    return set(page.evaluate(PICKED))


def ids(page):
    return page.evaluate(
        "[...document.querySelectorAll('#board tr[data-configuration]')].map((row) => row.dataset.configuration)"
    )


def test_a_row_marks_its_configuration_everywhere_and_its_name_is_said(page):
    own = ids(page)[2]
    row = page.locator("#board tr[data-configuration]").nth(2)
    row.locator(".pick").click()
    assert picked(page) == {own}
    for section in ("leaderboard", "metrics", "cost", "classes", "training"):
        assert page.locator(f"#{section} .marked").count() >= 1, section
    assert page.locator("#cost svg .mark.marked").count() == 5  # time, training, memory, parameters, energy
    said = page.locator(".choice [role=status]").inner_text()
    assert said.startswith("Chosen: ")
    assert "number 3 of 24" in said
    assert row.locator(".pick").get_attribute("aria-pressed") == "true"
    assert page.evaluate("location.hash") == f"#configuration={own}"


def test_the_same_again_escape_and_the_button_clear_it(page):
    pick = page.locator("#board .pick").nth(1)
    for clear in (pick.click, lambda: page.keyboard.press("Escape"), page.locator(".choice button").click):
        pick.click()
        assert len(picked(page)) == 1
        clear()
        assert picked(page) == set()
        assert page.locator(".choice [role=status]").inner_text() == ""


def test_a_dot_a_line_and_a_cell_choose_too(page):
    order = ids(page)
    page.locator(f"#cost svg .mark[data-configuration='{order[5]}']").first.click()
    assert picked(page) == {order[5]}
    page.locator(f"#classes .dot[data-configuration='{order[7]}']").first.dispatch_event("click")
    assert picked(page) == {order[7]}
    page.locator("#curves svg").first.scroll_into_view_if_needed()
    near = page.evaluate(
        """(own) => { const line = document.querySelector(`#curves g[data-configuration='${own}'] polyline`);
        const place = line.getPointAtLength(line.getTotalLength() * 0.9).matrixTransform(line.getScreenCTM());
        return [place.x, place.y]; }""",
        order[0],
    )
    page.mouse.click(near[0] + 1, near[1] + 3)  # a thin line need not be hit exactly
    assert len(picked(page)) == 1
    page.keyboard.press("Escape")
    page.locator(f"#metrics tr[data-configuration='{order[3]}'] td").first.click()
    assert picked(page) == {order[3]}


def test_the_keyboard_chooses_in_the_table_and_steps_through_a_chart(page):
    order = ids(page)
    page.locator("#board .pick").nth(4).focus()
    page.keyboard.press("Enter")
    assert picked(page) == {order[4]}
    page.locator("#cost svg[role=img]").first.focus()
    page.keyboard.press("ArrowRight")
    assert picked(page) == {order[5]}
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert picked(page) == {order[3]}


def test_an_address_chooses(chromium, runs):
    first = opened(chromium, runs["segmentation6"].report)
    own = ids(first)[1]
    again = opened(chromium, f"{runs['segmentation6'].report.as_uri()}#configuration={own}")
    assert picked(again) == {own}
    strange = opened(chromium, f"{runs['segmentation6'].report.as_uri()}#configuration=%3Cimg%3E")
    assert picked(strange) == set()
    assert strange.said == []


def test_words_find_rows_and_go_with_the_filters(page):
    find = page.get_by_placeholder("words of a name")
    find.fill("SGD vit")
    names = page.locator("#board tbody tr:not([data-fixed]):visible th").all_inner_texts()
    assert len(names) == 2
    assert all("vit" in name and "sgd" in name for name in names)
    page.locator("#filters select").first.select_option("linear")
    assert page.locator("#board tbody tr:not([data-fixed]):visible").count() == 1
    find.fill("nothing is called so")
    assert page.locator("#board tbody tr:not([data-fixed]):visible").count() == 0
    assert page.locator("#leaderboard .more").first.inner_text().startswith("0 of 24 shown")
    find.fill("")
    page.locator("#filters select").first.select_option("")
    assert page.locator("#board tbody tr:not([data-fixed]):visible").count() == 24


def test_names_of_users_are_words_where_they_are_chosen(chromium, runs):
    page = opened(chromium, runs["multilabel"].report)
    page.locator("#board .pick").first.click()
    assert page.locator(".choice img, .choice script").count() == 0
    assert page.said == []
