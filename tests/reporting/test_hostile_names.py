"""Names of classes, files, configurations and of the study itself are text, whatever they hold: in every page and figure."""

import csv
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from browsing import opened
from PIL import Image
from typed import foldwise

from foldwise.pipeline.pipeline import judged_now
from foldwise.reporting.live import serving
from foldwise.runs.folder import RunFolder

CLASSES = ['"><svg onload=pwned()>', "=cmd|' calc'!A0"]
FILE = "<img src=x onerror=pwned()>'\"{number}.png"
GROUP = "@SUM(1)</td><b onclick=pwned()>"
STUDY = """
study: hostile
title: "</title><script>pwned()</script>{{ 7 * 7 }}"
data: {path: data}
compare:
  network:
    - {name: "</script><script>pwned()</script>", model: {conv: {width: 2, depth: 1}}}
    - {name: "=1+1<iframe src=javascript:pwned()>", model: {conv: {width: 3, depth: 1}}}
train: {epochs: 1, batch_size: 4}
validate: {folds: 2, group: group}
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    rng, rows = np.random.default_rng(0), []
    for number in range(24):
        path = root / "data" / CLASSES[number % 2] / FILE.format(number=number)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8)).save(path)
        rows.append([f"{path.parent.name}/{path.name}", f"{GROUP}{number // 2}"])
    with (root / "data" / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "group"], *rows])
    (root / "study.yaml").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLDWISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        foldwise("run", "study.yaml", "--launcher", "inline", cwd=root)
        foldwise("report", "runs/hostile", "--figures", "figures", cwd=root)
        foldwise("predict", "runs/hostile", "data", "--out", "out", "--pictures", cwd=root)
    return root


class Elements(HTMLParser):
    """Every element of a page with the attributes that could run something, and texts of scripts."""

    def __init__(self, text):
        super().__init__()
        self.running, self.texts, self.script = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.script = tag == "script"
        leads = {"href", "src", "action", "formaction", "xlink:href", "srcdoc"}
        self.running += [
            (tag, name)
            for name, value in attrs
            if name.startswith("on") or (name in leads and "javascript:" in (value or ""))
        ]
        if tag in ("iframe", "object", "embed", "base"):
            self.running.append((tag, ""))

    def handle_data(self, text):
        if self.script and "pwned()" in text:
            self.running.append(("script", text[:80]))
        self.texts.append(text)


def pages(root):
    return [root / "runs/hostile/report.html", root / "out/pictures.html"]


def test_no_name_becomes_an_element_of_a_page(hostile):
    for path in pages(hostile):
        page = Elements(path.read_text(encoding="utf-8"))
        assert page.running == []
        shown = "".join(page.texts).replace("\u200b", "")
        assert "pwned()" in shown, path  # the names are there, as text
        assert "{{ 7 * 7 }}" in shown or path.name == "pictures.html"
        assert "49" not in page.texts[:3]


def test_figures_are_whole_and_run_nothing(hostile):
    drawn = list((hostile / "figures").glob("*.svg"))
    assert drawn
    for path in drawn:
        for element in ElementTree.parse(path).iter():
            assert element.tag.rpartition("}")[2] not in ("script", "foreignObject", "iframe", "img")
            assert not any(name.startswith("on") for name in element.attrib)
            assert not any("javascript:" in value for name, value in element.attrib.items() if "href" in name)


def test_names_of_files_that_we_write_stay_in_their_folder(hostile):
    for path in hostile.rglob("*"):
        if "data" not in path.relative_to(hostile).parts and path.suffix in (".svg", ".csv"):
            assert not set(path.name) & set('<>|"')


def tables(root):
    return [path for path in root.rglob("*.csv") if "data" not in path.relative_to(root).parts]


def test_no_cell_of_a_table_is_a_formula(hostile):
    names = {path.name for path in tables(hostile)}
    assert {"results.csv", "scores.csv", "cases.csv", "splits.csv", "predictions.csv"} <= names
    formulas = set()
    for path in tables(hostile):
        with path.open(newline="", encoding="utf-8") as file:
            for cell in (cell for row in csv.reader(file) for cell in row):
                formulas |= {cell} if cell.startswith("'") else set()
                if cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
                    float(cell)
    assert f"'{CLASSES[1]}" in formulas
    assert "'=1+1<iframe src=javascript:pwned()>" in formulas


def test_what_reads_our_tables_reads_the_names_as_they_are(hostile, tmp_path):
    from foldwise.interface import api

    board = api.open(hostile / "runs/hostile").leaderboard
    assert set(board["configuration"]) > {"=1+1<iframe src=javascript:pwned()>"}
    foldwise("judge", hostile / "runs/hostile/scores.csv", "--out", tmp_path / "judged", cwd=tmp_path)
    verdict = (tmp_path / "judged/verdict.json").read_text()
    assert "=1+1<iframe" in verdict
    assert "'=1+1<iframe" not in verdict
    foldwise("report", "runs/hostile", cwd=hostile)  # reads cases.csv and splits.csv again
    assert "'=cmd" not in "".join(Elements((hostile / "runs/hostile/report.html").read_text()).texts)


@pytest.mark.browser
def test_nothing_of_it_runs_in_a_browser(chromium, hostile):
    for path in pages(hostile):
        page = opened(chromium, path)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        page.wait_for_timeout(200)
        assert page.said == []
    with serving(RunFolder(Path(hostile / "runs/hostile")), judged_now) as address:
        page = opened(chromium, address)
        page.locator("#board").wait_for()
        assert page.said == []
        assert page.title().startswith("</title><script>pwned()</script>")
