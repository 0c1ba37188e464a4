import json
import re
from html.parser import HTMLParser

import pytest
from make_run import MARKUP, RUNS, make_run

from foldwise.errors import RunError
from foldwise.reporting.report import write_report

VOID = {"meta", "link", "img", "br", "wbr", "input"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Every kind of run, made once, with its page: name -> (folder, page)."""
    made = {}

    def page_of(name):
        if name not in made:
            folder, _ = make_run(tmp_path_factory.mktemp("runs") / name, RUNS[name])
            made[name] = (folder, write_report(folder).read_text(encoding="utf-8"))
        return made[name]

    return page_of


class Outline(HTMLParser):
    """Checks that tags close in order; keeps the ids and the links within the page."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.scripts = [], set(), set(), 0

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.scripts += tag == "script"
        if "id" in found:
            assert found["id"] not in self.ids
            self.ids.add(found["id"])
        if found.get("href", "").startswith("#"):
            self.links.add(found["href"][1:])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", RUNS)
def test_every_page_is_well_formed_and_loads_nothing(pages, name):
    _, page = pages(name)
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert outline.links <= outline.ids
    assert outline.scripts == 1
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert "url(" not in page


STATES = {
    "segmentation6": "clear_winner",
    "classification24": "several_tied",
    "trivial": "not_better_than_trivial",
    "incomplete": "incomplete",
    "single": "single_configuration",
    "nothing": "nothing_done",
}
WORDS = {
    "clear_winner": "Use this model",
    "several_tied": "Use this model, or one it cannot be told apart from",
    "not_better_than_trivial": "Nothing beats the trivial answer",
    "incomplete": "Best so far: the study is not complete",
    "single_configuration": "The one model that was asked for",
    "nothing_done": "No fit is done",
}


@pytest.mark.parametrize("name", STATES)
def test_the_card_says_what_state_the_answer_is_in(pages, name):
    folder, page = pages(name)
    state = json.loads(folder.verdict.read_text(encoding="utf-8"))["state"]
    assert state == STATES[name]
    assert f'data-state="{state}"' in page
    assert WORDS[state] in page


@pytest.mark.parametrize(
    ("name", "offered"), [("segmentation6", True), ("trivial", False), ("nothing", False)]
)
def test_a_model_is_offered_only_where_there_is_one_to_use(pages, name, offered):
    _, page = pages(name)
    assert ("foldwise predict " in page) == offered


def test_names_are_only_names(pages):
    _, page = pages("multilabel")
    assert MARKUP not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "a &amp; b &lt; c" in page


def test_24_configurations_fit_in_less_than_3_megabytes(pages):
    folder, page = pages("classification24")
    assert len(page.encode()) < 3e6
    assert page.count("<tr class=") >= 24
    assert folder.report.is_file()


def test_failures_are_listed_with_their_cause(pages):
    _, page = pages("failed")
    assert page.count("the loss is not a number after epoch 3") >= 4
    assert "4 fits failed" in page
    assert "Traceback" in page


def test_segmentation_shows_image_truth_prediction_and_errors(pages):
    _, page = pages("segmentation6")
    for kind in ("Worst", "Median", "Best"):
        assert f"<h3>{kind}</h3>" in page
    for words in ("image", "truth", "prediction", "errors"):
        assert page.count(f"<small>{words}</small>") == 9
    assert page.count('alt="errors of ') == 6 * 3


def test_the_audit_is_in_order_of_severity(pages):
    _, page = pages("classification24")
    assert page.index("Class &#39;vesicles&#39;", page.index("What the audit found")) < page.index(
        "near-duplicates of others"
    )


def test_the_report_is_the_same_when_written_again(pages):
    folder, page = pages("segmentation6")
    assert write_report(folder).read_text(encoding="utf-8") == page


def test_a_cleared_cache_costs_the_pictures_but_not_the_report(pages, monkeypatch, tmp_path):
    folder, _ = pages("segmentation6")
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "empty"))
    page = write_report(folder).read_text(encoding="utf-8")
    assert 'id="pictures"' not in page
    assert 'id="leaderboard"' in page


def test_a_run_that_was_not_judged_has_no_report(pages, tmp_path):
    folder, _ = pages("single")
    other = type(folder)(tmp_path / "run")
    with pytest.raises(RunError) as caught:
        write_report(other)
    assert "there is no verdict yet" in str(caught.value)
    assert "foldwise report" in str(caught.value)
