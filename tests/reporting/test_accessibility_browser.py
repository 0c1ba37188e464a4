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


ALIKE = (
    "incomplete",
    "single",
    "trivial",
    "nothing",
)  # elsewhere, what follows their warnings is as in the others
# Rows of a table that are built alike break the same rules, and contrasts are slow: axe takes seconds for 1,000 cells.
SHORTENED = """([most, top]) => {
  if (top) for (const part of [...document.querySelectorAll('main > section')].slice(3)) part.remove();
  for (const body of document.querySelectorAll('tbody')) {
    const seen = new Map();
    for (const row of [...body.rows]) {
      const number = (seen.get(row.className) || 0) + 1;
      seen.set(row.className, number);
      if (number > most) row.remove();
    }
  }
}"""


def violations(page, *, contrast=True):
    """Rule, impact, and where, of everything serious that axe finds."""
    api = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    options = {"resultTypes": ["violations"], "preload": False}
    options["rules"] = {"color-contrast": {"enabled": contrast}}
    found = api.Axe().run(page, options=options).response["violations"]
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
    page.evaluate(SHORTENED, [3, name in ALIKE])
    serious = violations(page, contrast=way != "phone")  # a phone has the colours of the light theme
    page.close()
    assert serious == []
