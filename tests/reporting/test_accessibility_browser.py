"""What axe finds in the reports: nothing serious, in both themes and at the width of a phone."""

import pytest
from browsing import opened
from make_run import RUNS

pytestmark = pytest.mark.browser
ALLOWED = ("minor", "moderate")
WAYS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}


def found(page):
    """Rule, impact, and where, of everything axe finds."""
    api = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    told = api.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [(one["id"], one["impact"], [node["target"] for node in one["nodes"]][:4]) for one in told]


# Every page in the light theme; the two kinds that hold nearly everything in the other ways too.
PAGES = [(name, "light") for name in RUNS]
PAGES += [(name, way) for name in ("segmentation6", "multilabel") for way in ("dark", "phone")]


@pytest.mark.parametrize(("name", "way"), PAGES)
def test_axe_finds_nothing_serious(chromium, reports, name, way):
    page = opened(chromium, reports[name], **WAYS[way])
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    if page.locator("#board .pick").count():
        page.locator("#board .pick").first.click()  # the line that says what is chosen is looked at too
    grave = [one for one in found(page) if one[1] not in ALLOWED]
    page.close()
    assert grave == []
