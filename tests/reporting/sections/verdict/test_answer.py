"""The marks of the first screen: each says what is so, and none the contrary of another."""

import json
from dataclasses import replace

import pytest
from altered import altered
from make_run import RUNS, make_run

from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.verdict.answer import chips


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("answer")
    patch.setenv("FOLDWISE_CACHE", str(root / "cache"))
    folder, _ = make_run(root / "run", replace(RUNS["trivial"], images=40, folds=2, epochs=2))
    yield gather(folder)
    patch.undo()


def words(data):
    return [chip.words for chip in chips(data)]


@pytest.mark.parametrize("state", ["no_better_than_trivial", "too_few_images", "too_few_runs"])
def test_a_mark_says_no_more_of_trivial_predictors_than_the_headline(data, state):
    shown = [text for text in words(altered(data, state=state)) if "trivial" in text]
    expected = "shown to be no better" if state == "no_better_than_trivial" else "not shown to be better"
    assert shown == [f"{expected} than a trivial predictor"]


def test_no_mark_praises_folds_that_share_copies(data):
    assert any(text.endswith("is in two folds") for text in words(data))
    audit = json.loads(json.dumps(data.audit))
    audit["findings"] = [
        {"code": "split_divides_copies", "severity": "warning", "message": "Copies.", "cure": ""}
    ]
    assert not any(text.endswith("is in two folds") for text in words(replace(data, audit=audit)))
