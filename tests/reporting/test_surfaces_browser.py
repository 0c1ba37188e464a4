"""Loss surfaces in a real browser: the numbers the script reads, turning, zooming, playing, and doing without."""

import browsing
import numpy as np
import pytest
from make_surfaces import with_looks

from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.training.looks import read_look
from foldwise.reporting.sections.training.surface_numbers import surfaces_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory, runs, in_cache):
    """By name, a page and the data it was made of."""
    root = tmp_path_factory.mktemp("surfaces")
    known = gather(runs["segmentation6"])
    asked = {
        "small": {"number": 2, "absent": 3},
        "large": {"points": 41, "epochs": tuple(range(20)), "chosen": 15},
    }
    made = {}
    for name, options in asked.items():
        data = with_looks(known, root / name, **options)
        path = root / f"{name}.html"
        path.write_text(render(data), encoding="utf-8")
        made[name] = (path, data)
    return made


def opened(chromium, page, **options):
    page_ = browsing.opened(chromium, page[0], **options)
    if options.get("java_script_enabled", True):
        page_.wait_for_selector("#turned canvas")
        settle(page_)
    return page_


def settle(page):
    """Wait until the pictures stay as they are."""
    before = None
    for _ in range(400):
        page.wait_for_timeout(250)
        now = drawn(page)
        if now == before:
            return
        before = now
    raise AssertionError("the surfaces do not come to rest")


def wait_until(page, expression):
    """As `wait_for_function`, which the page's Content-Security-Policy forbids."""
    for _ in range(2000):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"not so within 100 s: {expression}")


def drawn(page):
    """What every canvas shows, as a picture file."""
    return page.evaluate("[...document.querySelectorAll('#turned canvas')].map((one) => one.toDataURL())")


def test_the_script_reads_the_numbers_that_were_there(chromium, pages):
    page = opened(chromium, pages["small"])
    look = surfaces_of(read_look(pages["small"][1].auxiliary[-2], "surfaces.npz", "a"))
    told = page.evaluate(
        """async () => {
          const held = JSON.parse(document.getElementById('turned').dataset.surfaces);
          return [...await surfaceDrawing(held).read(held.looks[0])].map((one) => Number.isNaN(one) ? null : one);
        }"""
    )
    wanted = look.scaled(look.arrays["surface"], axis=1).ravel()
    found = np.array([np.nan if one is None else one for one in told])
    assert (np.isnan(found) == np.isnan(wanted)).all()
    assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4, nan_ok=True)


def test_every_panel_shows_something_and_nothing_complains(chromium, pages):
    page = opened(chromium, pages["small"])
    for width in (1600, 1280, 768, 390, 320):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    settle(page)
    assert len(set(drawn(page))) == 4
    assert min(len(one) for one in drawn(page)) > 5000
    assert page.said == []


def test_one_camera_turns_all_panels(chromium, pages):
    page = opened(chromium, pages["small"])
    stage, before = page.locator(".turned-stage"), drawn(page)
    stage.scroll_into_view_if_needed()
    box = page.locator("#turned canvas").first.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 80, steps=4)
    page.mouse.up()
    settle(page)
    turned = drawn(page)
    assert all(one != other for one, other in zip(before, turned, strict=True))
    page.get_by_role("button", name="Reset the view").click()
    settle(page)
    assert drawn(page) == before


def test_keys_turn_and_zoom_and_home_goes_back(chromium, pages):
    page = opened(chromium, pages["small"])
    before = drawn(page)
    page.locator(".turned-stage").focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    seen = [before]
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "+", "-"):
        page.keyboard.press(key)
        settle(page)
        assert drawn(page) not in seen
        seen.append(drawn(page))
        page.keyboard.press("Home")
        settle(page)
        assert drawn(page) == before


def test_the_wheel_scrolls_the_page_until_the_stage_was_clicked(chromium, pages):
    page = opened(chromium, pages["small"], viewport={"width": 1280, "height": 700})
    page.locator(".turned-stage").scroll_into_view_if_needed()
    box, before = page.locator("#turned canvas").first.bounding_box(), drawn(page)
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.wheel(0, -40)
    settle(page)
    assert drawn(page) == before
    page.locator(".turned-stage").focus()
    place = page.evaluate("scrollY")
    page.locator("#turned canvas").first.hover()
    page.mouse.wheel(0, -200)
    settle(page)
    assert drawn(page) != before
    assert page.evaluate("scrollY") == pytest.approx(place, abs=200)


def test_the_slider_and_its_words_go_through_the_epochs(chromium, pages):
    page = opened(chromium, pages["small"])
    slider = page.locator("#turned-epoch")
    assert slider.get_attribute("aria-valuetext") == "epoch 8, chosen"
    before = drawn(page)
    slider.focus()
    page.keyboard.press("Home")
    settle(page)
    assert slider.get_attribute("aria-valuetext") == "epoch 0, before training"
    assert "0.714 at epoch 0" in page.locator(".turned-stage figcaption").first.inner_text()
    assert page.locator("#turned [aria-live=polite]").inner_text().startswith("Epoch 0, before training. Cross-entropy: 0.714")  # fmt: skip
    assert drawn(page) != before
    page.keyboard.press("End")
    settle(page)
    assert "3 not finite" in page.locator(".turned-stage figcaption").first.inner_text()


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_playing_ends_at_the_last_epoch_and_can_be_stopped(chromium, pages, motion):
    page = opened(chromium, pages["small"], reduced_motion=motion)
    button = page.get_by_role("button", name="Play over the epochs")
    page.locator("#turned-epoch").focus()
    page.keyboard.press("Home")
    settle(page)
    button.click()
    wait_until(page, "document.getElementById('turned-epoch').value > 0")
    page.get_by_role("button", name="Pause").click()
    settle(page)
    assert 0 < int(page.locator("#turned-epoch").input_value()) < 4
    button.click()
    wait_until(page, "document.getElementById('turned-epoch').value == 4")
    page.get_by_role("button", name="Play over the epochs").wait_for()
    assert page.said == []


def test_configurations_stand_side_by_side_by_one_criterion(chromium, pages):
    page = opened(chromium, pages["small"])
    names = list(pages["small"][1].names.values())[:2]
    page.locator("#turned-view").select_option(label="Dice loss")
    settle(page)
    assert page.locator(".turned-stage figcaption b").all_inner_texts() == names
    page.locator("#turned-view").select_option(label=names[1])
    settle(page)
    assert page.locator("#turned canvas").count() == 4


@pytest.mark.parametrize("mode", ["raw", "log"])
def test_heights_can_be_the_criterion_s_own(chromium, pages, mode):
    page = opened(chromium, pages["small"])
    before = drawn(page)
    page.locator("#turned-height").select_option(mode)
    settle(page)
    assert all(one != other for one, other in zip(drawn(page), before, strict=True))
    assert page.said == []


def test_colours_of_the_surround_follow_the_theme(chromium, pages):
    page = opened(chromium, pages["small"], color_scheme="light")
    before = drawn(page)
    page.locator("button.theme").click()
    settle(page)
    assert drawn(page) != before


def test_without_scripts_and_on_paper_the_contours_say_it(chromium, pages):
    page = opened(chromium, pages["small"], java_script_enabled=False)
    assert not page.locator("#turned").is_visible()
    assert page.locator("#surfaces svg.contour").first.is_visible()
    page = opened(chromium, pages["small"], viewport={"width": 703, "height": 1000})
    page.emulate_media(media="print")
    assert not page.locator("#turned").is_visible()
    page.evaluate("document.querySelectorAll('#surfaces details').forEach((one) => { one.open = true; })")
    clipped = "[...document.querySelectorAll('#surfaces *')].filter((one) => one.getBoundingClientRect().right > innerWidth + 1).length"
    assert page.evaluate(clipped) == 0


def test_controls_have_names(chromium, pages):
    page = opened(chromium, pages["small"])
    nameless = """() => [...document.querySelectorAll('#turned button, #turned select, #turned input, #turned [role=application]')]
      .filter((one) => !one.getAttribute('aria-label') && !(one.labels && one.labels.length)).length"""
    assert page.evaluate(nameless) == 0


def test_four_large_surfaces_play(chromium, pages):
    page = opened(chromium, pages["large"], viewport={"width": 1280, "height": 900})
    page.locator("#turned").scroll_into_view_if_needed()
    page.evaluate(
        """() => { window.frames = 0; const ask = window.requestAnimationFrame.bind(window);
          window.requestAnimationFrame = (draw) => ask((now) => { draw(now); window.frames += 1; }); }"""
    )
    page.get_by_role("button", name="Play over the epochs").click()
    wait_until(page, "window.frames >= 40")
    assert page.said == []
