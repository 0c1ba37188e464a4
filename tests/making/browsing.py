"""How a page is opened in a real browser, with everything it complained about."""

import shutil

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_MS = 200_000  # a test that fails may take long; one on a busy machine must not fail
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]  # fmt: skip

# Chromium drops, without a word, what one page saves beyond ten files within a second: no hand clicks so fast, a test does.
SAVING_PAUSE_MS = 120


def opened(chromium, place, **options):
    """The page of a file or an address; `said` holds its complaints, `asked` what it loaded."""
    page = chromium.new_context(**options).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("dialog", lambda dialog: (page.said.append("dialog"), dialog.dismiss()))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(place if isinstance(place, str) else place.as_uri())
    return page


def saved(page, button):
    """The name and the text of the file that a click on a button saves."""
    with page.expect_download() as download:
        button.click()
    name, text = download.value.suggested_filename, download.value.path().read_text(encoding="utf-8")
    page.wait_for_timeout(SAVING_PAUSE_MS)
    return name, text
