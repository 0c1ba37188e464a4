"""Pictures of several epochs in a real browser: the slider, the keyboard, playing, print, and no script."""

from dataclasses import replace

import pytest
from browsing import opened
from make_insides import EPOCHS, look, write_attention, write_layers
from make_run import Wanted, make_run
from trained_runs import EPOCHS as WATCHED
from trained_runs import trained

from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather

pytestmark = pytest.mark.browser
SECTIONS = ("maps", "attention", "layers", "hardest")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A segmentation with maps, and a classification with activation maps; both with layers."""
    root, patch = tmp_path_factory.mktemp("pages"), pytest.MonkeyPatch()
    patch.setenv("FOLDWISE_CACHE", str(root / "cache"))
    cells = Wanted("cells", {"loss": ["dice", "focal"]}, (0.5, 1.6), "Maps", images=8, size=40, folds=2)
    folder, packed = make_run(root / "cells", cells)
    segmented = gather(trained(folder, packed, strides={3: 1, 1: 1}))
    gels = Wanted("gels", {"optimizer": ["adam", "sgd"]}, (1.0, 0.6), "Looks", images=14, size=32, folds=2)
    classified = gather(make_run(root / "gels", gels)[0])
    written = {}
    for name, data in (("cells", segmented), ("gels", classified)):
        item = look(root / f"{name}-look", data.configurations[0].id)
        write_layers(item.path, layers=4)
        if name == "gels":
            targets = [data.cases[case].labels[0] for case in (2, 5, 9)]
            write_attention(item.path, [2, 5, 9], targets, len(data.classes))
        written[name] = root / f"{name}.html"
        written[name].write_text(render(replace(data, auxiliary=[item])), encoding="utf-8")
    yield written
    patch.undo()


def shown(block):
    """The epochs of the pictures that can be seen in open blocks, once each."""
    cells = block.locator("details[open] td[data-epoch]:visible, :scope > .scroll td[data-epoch]:visible")
    return {int(epoch) for epoch in cells.evaluate_all("cells => cells.map(cell => cell.dataset.epoch)")}


def test_the_slider_moves_all_pictures_of_its_block_and_no_others(chromium, pages):
    page = opened(chromium, pages["cells"])
    block, other = page.locator("#maps [data-slides]").nth(0), page.locator("#maps [data-slides]").nth(1)
    page.locator("#maps > details").first.locator("> summary").click()
    assert (shown(block), shown(other)) == ({4}, {4})  # the chosen epoch
    rows = block.locator("details[open] tr[data-row]").count()
    assert block.locator("td[data-epoch]:visible").count() == rows == 2 + 2 + 1
    block.locator("input[type=range]").fill("0")
    assert (shown(block), shown(other)) == ({1}, {4})
    assert block.locator("output").inner_text() == "epoch 1"
    assert page.said == []


def test_the_slider_goes_by_keyboard_and_says_where_it_is(chromium, pages):
    page = opened(chromium, pages["gels"])
    block = page.locator("#attention [data-slides]")
    slider = block.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    assert (shown(block), slider.get_attribute("aria-valuetext")) == ({0}, "before training")
    page.keyboard.press("ArrowRight")
    assert (shown(block), slider.get_attribute("aria-valuetext")) == ({1}, "epoch 1")
    page.keyboard.press("End")
    assert shown(block) == {EPOCHS[-1]}
    assert slider.get_attribute("aria-label").startswith("Epoch of ")


def test_playing_goes_to_the_end_and_can_be_stopped(chromium, pages):
    page = opened(chromium, pages["gels"])
    page.clock.install()
    page.reload()
    block = page.locator("#attention [data-slides]")
    block.locator("input[type=range]").fill("4")
    play = block.locator(".player button").first
    play.click()
    assert (play.inner_text(), shown(block)) == ("Pause", {0})
    page.clock.run_for(1500)
    assert shown(block) == {4}
    play.click()
    page.clock.run_for(3000)
    assert (play.inner_text(), shown(block)) == ("Play", {4})
    play.click()
    page.clock.run_for(3000)
    assert (play.inner_text(), shown(block)) == ("Play", {EPOCHS[-1]})


def test_all_epochs_can_stand_beside_each_other(chromium, pages):
    page = opened(chromium, pages["cells"])
    block = page.locator("#maps [data-slides]").first
    button = block.locator(".player button").last
    button.click()
    assert shown(block) == set(WATCHED)
    assert button.get_attribute("aria-pressed") == "true"
    assert not block.locator("input[type=range]").is_visible()
    button.click()
    assert shown(block) == {4}
    assert block.locator("input[type=range]").is_visible()


def test_print_and_pages_without_scripts_have_all_epochs_and_no_player(chromium, pages):
    page = opened(chromium, pages["cells"])
    page.emulate_media(media="print")
    block = page.locator("#maps [data-slides]").first
    assert shown(block) == set(WATCHED)
    assert not block.locator(".player").is_visible()
    plain = opened(chromium, pages["gels"], java_script_enabled=False)
    assert shown(plain.locator("#attention [data-slides]")) == set(EPOCHS)
    assert plain.locator(".player").count() == 0


@pytest.mark.parametrize("name", ["cells", "gels"])
def test_nothing_is_wider_than_the_page(chromium, pages, name):
    page = opened(chromium, pages[name])
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    for width in (1280, 768, 390, 320):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.said == []


@pytest.mark.parametrize("name", ["cells", "gels"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readers_who_need_help_find_no_serious_obstacle(chromium, pages, name, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = opened(chromium, pages[name], color_scheme=scheme)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    sections = [[f"#{one}"] for one in SECTIONS if page.locator(f"#{one}").count()]
    found = axe.Axe().run(page, context={"include": sections}).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []  # fmt: skip
    assert len(sections) == 3
