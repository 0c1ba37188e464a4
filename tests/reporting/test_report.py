import json
import re
import shutil
from base64 import b64decode
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from io import BytesIO

import numpy as np
import pytest
from altered import altered, altered_configurations
from jinja2 import Environment
from make_run import MARKUP, RUNS
from PIL import Image

from foldwise.errors import RunError
from foldwise.reporting import report_data
from foldwise.reporting.report import SECTIONS, render, sections_of, write_report
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.images import gallery
from foldwise.reporting.sections.images.data_card import data_card
from foldwise.reporting.sections.images.gallery import side_by_side
from foldwise.reporting.sections.verdict.answer import _sentence
from foldwise.reporting.sections.verdict.classes import left_out, strip_measure
from foldwise.reporting.wording import estimate, selecting_title
from foldwise.runs.folder import RunFolder
from foldwise.sealed_arrays import read_arrays

TEMPLATES = files("foldwise.reporting") / "templates" / "sections"
VOID = {"meta", "link", "img", "br", "wbr", "input"}


@pytest.fixture(scope="module")
def pages(runs):
    """Every kind of run with its page: name -> (folder, page)."""
    return cache(lambda name: (runs[name], runs[name].report.read_text(encoding="utf-8")))


@pytest.fixture
def copied(runs, tmp_path):
    """A copy of a made run, to be written to."""
    return lambda name: RunFolder(shutil.copytree(runs[name].root, tmp_path / name))


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


@pytest.fixture(scope="module")
def shown_in(pages):
    """By the name of a run, the parts of its page by the name of their section."""
    return cache(lambda name: {part.name: part.html for part in sections_of(gather(pages(name)[0]))})


class SectionContract:
    """What any row of the table of sections must do; a new one is tested by being there."""

    @pytest.mark.parametrize("name", ["segmentation6", "classification24", "multilabel", "failed", "nothing"])
    def test_it_is_a_part_of_its_own_or_left_out(self, shown_in, section, name):
        if section.name not in shown_in(name):
            return
        html, outline = shown_in(name)[section.name], Outline()
        outline.feed(html)
        assert outline.open == []
        assert section.name in outline.ids
        assert outline.scripts == 0
        assert MARKUP not in html
        assert not re.search(r""" on[a-z]+=|(src|href)=["']?(https?:)?//|console\.""", html)

    def test_its_title_is_told_from_all_others_and_it_has_one_template(self, section):
        assert [other.name for other in SECTIONS].count(section.name) == 1
        assert not section.title or [other.title for other in SECTIONS].count(section.title) == 1
        assert (TEMPLATES / f"{section.name}.html.j2").is_file()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
class TestSections(SectionContract):
    """Every row."""


def test_a_process_compiles_its_templates_once_and_each_report_marks_its_own(runs, monkeypatch):
    data = [gather(runs[name]) for name in ("single", "nothing")]
    pages = [render(each) for each in data]
    monkeypatch.setattr(Environment, "compile", None)
    assert [render(each) for each in data] == pages
    ids = [{result.id for result in each.configurations} for each in data]
    assert [set(re.findall(r'data-configuration="([^"]*)"', page)) <= own for page, own in zip(pages, ids, strict=True)] == [True, True]  # fmt: skip


def test_no_template_is_left_over():
    assert {path.name.removesuffix(".html.j2") for path in TEMPLATES.iterdir()} == {
        row.name for row in SECTIONS
    }


STATES = {
    "segmentation6": "clear_winner",
    "classification24": "several_tied",
    "trivial": "too_few_images",
    "incomplete": "incomplete",
    "single": "single_configuration",
    "nothing": "nothing_done",
}
WORDS = {
    "clear_winner": "Use this model",
    "several_tied": "Use this model, or one it cannot be told apart from",
    "too_few_images": "Too few images to tell",
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


def test_where_nothing_is_complete_the_best_of_those_with_the_most_fits_is_named_without_an_interval(pages):
    data = gather(pages("segmentation6")[0])
    scored = iter([(1, 0.99), (2, 0.3), (2, 0.7), (2, 0.6), (0, None), (0, None)])

    def unfinished(record):
        done, estimate = next(scored)
        return record | {"num_done": done, "num_planned": 3, "estimate": estimate, "low": None, "high": None}

    part = altered(altered_configurations(data, unfinished), answer=None, state="incomplete")
    assert part.winner.id == data.configurations[2].id
    sentence = _sentence(part)
    assert f"Of those with 2 of 3 fits, {data.configurations[2].name} has the best" in sentence
    assert "interval" not in sentence
    falling = altered(part, metric=part.verdict.metric.model_dump() | {"higher_is_better": False})
    assert falling.winner.id == data.configurations[1].id


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
    pictures, compared = (
        page[page.index(f'<section id="{name}"') :] for name in ("pictures", "side-by-side")
    )
    for words in ("image", "truth", "prediction", "errors"):
        assert pictures[: -len(compared)].count(f"<small>{words}</small>") == 9
    for words in ("errors", "prediction"):
        assert compared.count(f'alt="{words} of ') == 6 * 3


def test_side_by_side_is_what_each_configuration_said_below_the_truth(pages):
    data = gather(pages("segmentation6")[0])
    cases, rows = side_by_side(data)
    indices = {case.name: case.index for case in data.cases}
    assert [picture.words for picture in cases[0].pictures] == ["image", "truth"]
    assert len(rows) == 6
    for one, (name, cells) in zip(data.configurations, rows, strict=True):
        assert name == one.name
        for case, cell in zip(cases, cells, strict=True):
            index = indices[case.name]
            with np.load(data.predictions[one.id][index], allow_pickle=False) as masks:
                said = masks[str(index)]
            truth = data.images.target(index)
            assert (seen(cell.pictures[1]) == (said != 0)).mean() > 0.97
            assert (seen(case.pictures[1]) == (truth != 0)).mean() > 0.97
            assert cell.note == f"{(said != truth).mean() * 100:.1f} % of pixels wrong"


def test_of_many_configurations_only_the_scores_are_read_that_pictures_show(pages, monkeypatch):
    read, results = [], []
    folder, own = pages("classification24")[0], RunFolder.result
    monkeypatch.setattr(
        report_data, "read_arrays", lambda path, *names: (read.append(path), read_arrays(path, *names))[1]
    )
    monkeypatch.setattr(
        RunFolder, "result", lambda folder, item: (results.append(item), own(folder, item))[1]
    )
    monkeypatch.setattr(gallery, "SIDE_BY_SIDE", 5)
    data = gather(folder)
    assert len(results) == len(set(results)) >= len(data.results) == 24 * 5
    render(data)
    shown = {path.parent for path in read}
    assert set(data.folders[data.winner.id]) <= shown
    assert len(read) == len(shown) == 5 * 5
    said = data.probabilities(data.winner.id)
    assert sorted(said) == [case.index for case in data.cases]
    assert data.probabilities("unknown") == {}


def seen(picture):
    """Where a picture of a mask is not the background; the edges are blurred where it is stored with loss."""
    stored = Image.open(BytesIO(b64decode(picture.source.split(",")[1]))).convert("RGB")
    return np.asarray(stored).max(axis=2) > 90


def test_the_audit_is_in_order_of_severity(pages):
    _, page = pages("classification24")
    audit = page[page.index("What the audit found") :]
    assert audit.index("Class &#39;vesicles&#39;") < audit.index("near-duplicates of others")
    assert "the image size gives the class away" in page


def test_shared_features_bounds_and_worked_sizes_are_said(pages):
    folder, page = pages("segmentation6")
    assert page.count("+ 41\u00a0s\nshared") == 2  # leaderboard and cost table
    assert "by which two are told apart: they hold together" in page
    assert "worked at" not in page
    known = gather(folder)
    smaller = replace(known, images=Smaller(known.images))
    assert ("Sizes, pixels", "96 × 96; worked at 48 × 40") in data_card(smaller)["facts"]


def test_one_number_is_rounded_one_way(pages):
    folder, page = pages("segmentation6")
    winner = gather(folder).winner
    told = estimate(winner)
    assert told in gather(folder).verdict.answer.sentence
    assert f"<strong>{told}</strong>" in page


class Smaller:
    """The images of a run whose networks were given smaller ones."""

    def __init__(self, images):
        self.shapes = np.full_like(images.shapes, 48)
        self.shapes[:, 0] = 40


def test_the_report_is_the_same_when_written_again(pages, copied):
    _, page = pages("segmentation6")
    assert write_report(copied("segmentation6")).read_text(encoding="utf-8") == page


def test_a_cleared_cache_costs_the_pictures_but_not_the_report(copied, monkeypatch, tmp_path):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "empty"))
    page = write_report(copied("segmentation6")).read_text(encoding="utf-8")
    assert "The decoded images are no longer in the cache, so there are no pictures." in page
    assert 'id="side-by-side"' not in page
    assert 'id="leaderboard"' in page


def test_a_run_that_was_not_judged_has_no_report(pages, tmp_path):
    folder, _ = pages("single")
    other = type(folder)(tmp_path / "run")
    with pytest.raises(RunError) as caught:
        write_report(other)
    assert "there is no verdict yet" in str(caught.value)
    assert "foldwise report" in str(caught.value)


def test_the_validation_score_has_its_title():
    assert selecting_title("dice_img_macro") == "Dice per image"
    assert selecting_title("balanced_accuracy") == "balanced accuracy"


def test_labels_are_judged_by_the_metric_that_decides_and_those_not_counted_are_marked():
    # precision is within average_precision_macro too, but it is another measure
    names = ["sensitivity", "precision", "average_precision"]
    assert strip_measure(names, "average_precision_macro") == "average_precision"
    assert strip_measure(names, "precision_macro") == "precision"
    assert left_out({"support": 4.0, "scored": False}) == "not scored: some fold lacks it"
    assert left_out({"scored": True, "ranked": False}).startswith("too rare")
    assert left_out({"scored": True}) == left_out({}) == ""


def test_what_was_tied_is_not_called_a_winner_and_copies_have_a_chip(pages):
    _, page = pages("classification24")
    assert "★ winner" not in page
    assert "★ best" in page
    assert "the near-duplicates found stay in one fold" in page


def test_counts_over_repeats_are_said_to_be_so(pages):
    folder, _ = pages("classification24")
    data = gather(folder)
    for repeats, said in ((1, False), (3, True)):
        page = render(altered(data, repeats=repeats))
        assert ("each counted 3 times, once a repeat" in page) == said
        assert ("in 3 repeats, each with folds of its own" in page) == said


def test_intervals_are_named_by_the_confidence_that_was_asked(pages):
    folder, _ = pages("classification24")
    data = altered(gather(folder), alpha=0.1)
    page = render(data)
    assert page.count("90\u00a0% interval") >= 2
    judged = data.verdict.answer.sentence.replace(" %", "\u00a0%")  # the judge wrote this one
    assert judged in page
    assert "95\u00a0% interval" not in page.replace(judged, "")
    assert "95\u00a0% confidence" not in page


def test_who_rules_one_out_is_said_where_the_difference_to_the_winner_may_be_0(pages):
    folder, _ = pages("segmentation6")
    data = gather(folder)
    *others, last = data.verdict.dump()["configurations"]
    last |= {"verdict": "worse", "ruled_out_by": others[1]["id"], "difference_low": -0.4}
    words = "<small>against #2</small>"
    for high, named in ((0.1, True), (-0.1, False)):
        page = render(altered(data, configurations=[*others, last | {"difference_high": high}]))
        assert (words in page) == named
