"""verdict.json is read as it was written, and what is no verdict of this version is refused with what to do."""

import json

import pytest
from tiny_run import Wanted, make_run

from foldwise.errors import RunError
from foldwise.judging.judge import judge
from foldwise.judging.verdict import SCHEMA, Verdict, read_verdict


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("runs") / "run", Wanted(task="multilabel_classification"))
    return folder, judge(folder)


def test_what_is_written_is_read_again(run):
    folder, verdict = run
    assert read_verdict(folder.verdict) == verdict
    assert json.loads(folder.verdict.read_text(encoding="utf-8")) == verdict.dump()


def test_a_verdict_cannot_be_changed_and_missing_numbers_are_none(run):
    _, verdict = run
    with pytest.raises(ValueError, match="frozen"):
        verdict.alpha = 0.1
    trivial = verdict.baselines[-1]
    assert trivial.model_copy(update={"estimate": None}).estimate is None
    assert type(trivial)(**dict(trivial) | {"estimate": float("nan")}).estimate is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": SCHEMA - 1}, f"schema {SCHEMA - 1}, and this version of foldwise reads schema {SCHEMA}"),
        ({"state": "unheard of"}, "damaged at state"),
        ({"alpha": None}, "damaged at alpha"),
        ({"more": 1}, "damaged at more"),
    ],
)
def test_other_versions_and_damaged_verdicts_are_refused(run, change, says):
    with pytest.raises(RunError, match=says) as refused:
        Verdict.load(run[1].dump() | change, where="runs/x/verdict.json")
    assert "runs/x/verdict.json" in str(refused.value)
    assert "foldwise report" in str(refused.value)


def test_what_is_no_verdict_is_refused():
    with pytest.raises(RunError, match="no verdict of foldwise"):
        Verdict.load([1, 2])
