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


# Rows of a table that are built alike break the same rules, and axe takes a second for every few thousand cells.
SHORTENED = """(most) => {
  for (const body of document.querySelectorAll('tbody')) {
    const seen = new Map();
    for (const row of [...body.rows]) {
      const number = (seen.get(row.className) || 0) + 1;
      seen.set(row.className, number);
      if (number > most) row.remove();
    }
  }
}"""


def violations(page):
    """Rule, impact, and where, of everything serious that axe finds."""
    api = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    found = (
        api.Axe().run(page, options={"resultTypes": ["violations"], "preload": False}).response["violations"]
    )
    return [
        (rule["id"], rule["impact"], [node["target"] for node in rule["nodes"]][:4])
        for rule in found
        if rule["impact"] not in ALLOWED
    ]


# Every page in the light theme; the two kinds that hold nearly everything in the other ways too.
PAGES = [(name, "light") for name in RUNS]
PAGES += [(name, way) for name in ("segmentation6", "multilabel") for way in ("dark", "phone")]


@pytest.mark.parametrize(("name", "way"), PAGES)
def test_axe_finds_nothing_serious(chromium, runs, name, way):
    page = opened(chromium, runs[name].report, **WAYS[way])
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    if page.locator("#board .pick").count():
        page.locator("#board .pick").first.click()  # the line that says what is chosen is looked at too
    page.evaluate(SHORTENED, 4)
    serious = violations(page)
    page.close()
    assert serious == []
