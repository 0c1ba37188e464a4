"""The worker's loop and items by hand, with fake tasks in the place of training."""

import errno
import json

import pytest

from foldwise.errors import MissingExtra, RunError
from foldwise.pipeline import worker as work_module
from foldwise.pipeline.worker import do_by_hand, find_item, work
from foldwise.runs.folder import RunFolder
from foldwise.runs.items import Item
from foldwise.runs.plan import Plan


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "run")
    settings = {"configuration": "c-1", "repeat": 0, "fold": 0, "seed": 7}
    shared = Item("features-a", "features", (), "features of x", {})
    fits = (
        Item("fit-1", "fit", (), "x, fold 1", settings),
        Item("fit-2", "fit", ("features-a",), "y, fold 1", settings),
    )
    made.save_plan(Plan((shared, *fits), ()))
    return made


@pytest.fixture
def steps(monkeypatch):
    """Replaces what fits and features do: `steps(fit=function of a job)`."""

    def put(fit=lambda job: {"made": "a fit"}, features=lambda job: {"made": "features"}):
        monkeypatch.setattr(work_module, "TASKS", {"fit": fit, "features": features})

    put()
    return put


def raising(error):
    def step(job):
        (job.scratch / "half.bin").write_text("half")
        raise error

    return step


def test_a_worker_does_all_that_is_ready_and_ends(folder, steps):
    said = []
    assert work(folder, log=said.append) == 3
    assert said[:2] == ["start features of x", "done  features of x"]
    assert folder.settled() == ({"features-a", "fit-1", "fit-2"}, set())
    assert work(folder, log=said.append) == 0


def test_a_failed_item_says_why_keeps_nothing_half_made_and_loses_only_what_needs_it(folder, steps):
    steps(features=raising(ValueError("no such thing")))
    said = []
    assert work(folder, log=said.append) == 2
    assert "failed features of x: no such thing" in said
    assert folder.settled() == ({"fit-1"}, {"features-a"})
    assert [path.name for path in folder.done("features-a").iterdir()] == ["result.json"]
    assert "ValueError" in folder.result("features-a")["error"]["traceback"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RunError("the packed images are not in the cache"),
        MissingExtra("no such device here"),
    ],
)
def test_what_is_the_fault_of_the_machine_fails_no_item(folder, steps, error):
    steps(fit=raising(error), features=raising(error))
    with pytest.raises(type(error)):
        work(folder, log=lambda line: None)
    assert folder.settled() == (set(), set())
    assert folder.beats() == {}  # given back
    assert list((folder.root / "scratch").iterdir()) == []
    steps()
    assert work(folder, log=lambda line: None) == 3


def test_by_hand_what_is_done_is_left_and_what_failed_is_tried_again(folder, steps):
    assert do_by_hand(folder, "fit-1")[1]["made"] == "a fit"
    steps(fit=raising(ValueError("not now")))
    assert do_by_hand(folder, "fit-1")[1]["made"] == "a fit"
    with pytest.raises(RunError) as refused:
        do_by_hand(folder, "fit-2")
    assert refused.value.what == "fit-2 needs features-a, which is not done"
    do_by_hand(folder, "feat")
    assert do_by_hand(folder, "fit-2")[1]["status"] == "failed"
    steps()
    assert do_by_hand(folder, "fit-2")[1]["status"] == "done"
    assert json.loads((folder.done("fit-2") / "result.json").read_text())["status"] == "done"


def test_items_are_found_by_the_beginning_of_their_id(folder):
    plan = folder.load_plan()
    assert find_item(plan, "feat").id == "features-a"
    with pytest.raises(RunError, match="2 items of this run begin with 'fit'"):
        find_item(plan, "fit")
    with pytest.raises(RunError) as refused:
        find_item(plan, "zzz")
    assert refused.value.what == "no item of this run begins with 'zzz'"
    assert refused.value.cure == "Name one of: features-a, fit-1, fit-2"
