"""The worker: its loop and items by hand, with fake tasks in the place of training; and the contract of an item kind.

Any row of the two tables of kinds must pass it, so that a new kind is tested as it is added.
"""

import errno
import inspect
import json
import math
import subprocess
import sys
from pkgutil import resolve_name

import plans
import pytest
from safetensors import SafetensorError

from foldwise.errors import FoldwiseError, MissingExtra, RunError, choose, of_machine
from foldwise.pipeline import worker as work_module
from foldwise.pipeline.by_hand import do_by_hand, find_item
from foldwise.pipeline.worker import TASKS, work
from foldwise.runs import items
from foldwise.runs.folder import RunFolder
from foldwise.runs.items import KINDS, Item, Kind, Rates, count_kinds, item_id, make_item
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


def test_a_worker_needs_nothing_that_judges(folder):
    # Its import takes 0.6 s of CPU; here it is loaded long since, so in a process of its own.
    code = """
import sys
from pathlib import Path
import foldwise.interface.cli, foldwise.learning.training.fit, foldwise.pipeline.by_hand
from foldwise.pipeline import worker
from foldwise.runs.folder import RunFolder
def done(folder, item, **_):
    folder.make(scratch := folder.scratch(item.id, "a"))
    folder.commit(scratch, item.id, result := {"status": "done", "error": None})
    return result
worker.do_item = done
worker.code_named = lambda folder: ()
assert worker.work(RunFolder(Path(sys.argv[1]))) == 3
assert not [name for name in sys.modules if name.startswith(("foldwise.judging", "scipy.stats"))]
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, folder.root], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert len(folder.committed()) == 3


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
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ESTALE, "Stale file handle"),
        OSError(errno.EMFILE, "Too many open files"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RunError("the packed images are not in the cache"),
        MissingExtra("no such device here"),
    ],
)
def test_what_is_the_fault_of_the_machine_fails_no_item(folder, steps, error):
    steps(fit=raising(error), features=raising(error))
    with pytest.raises(type(error)):
        work(folder, log=lambda line: None)
    assert isinstance(error, FoldwiseError) or of_machine(error) is not None  # a message, whoever asked
    assert folder.settled() == (set(), set())
    assert folder.beats() == {}  # given back
    assert list((folder.root / "scratch").iterdir()) == []
    steps()
    assert work(folder, log=lambda line: None) == 3


def test_memory_that_another_one_had_is_no_fault_of_the_item_though_he_has_ended_meanwhile(
    folder, steps, monkeypatch
):
    tried, said = [], []
    monkeypatch.setattr(work_module, "workers_here", lambda: 1 if tried else 2)

    def grown(job):
        tried.append(job.item.id)
        if tried == ["features-a"]:
            raise RuntimeError("CUDA out of memory")
        return {"made": "it"}

    steps(features=grown)
    assert work(folder, log=said.append) == 3
    assert [line for line in said if line.startswith("later")] == [
        "later features of x: memory ran out while 2 workers shared a device; it is done again by one that has the device for"
        " itself"
    ]
    assert tried == ["features-a", "features-a"]
    assert folder.settled()[1] == set()


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "no such file", "mine.txt"), OSError("no picture")]
)
def test_a_file_that_own_code_asks_for_wrongly_fails_its_item_and_no_other(folder, steps, error):
    steps(fit=raising(error))
    assert work(folder, log=lambda line: None) == 3
    assert folder.settled() == ({"features-a"}, {"fit-1", "fit-2"})


def test_a_folder_that_is_gone_fails_no_item_and_is_not_made_again(folder, steps, tmp_path):
    def moved(job):
        folder.root.rename(tmp_path / "away")
        return {"made": "a fit"}

    steps(fit=moved)
    with pytest.raises(RunError, match="the folder of this run is gone"):
        work(folder, log=lambda line: None)
    assert not folder.root.exists()
    (tmp_path / "away").rename(folder.root)
    assert not folder.settled()[1]


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


EVERYTHING = {
    "robustness": {"blur_px": [0, 1], "noise": [0]},
    "baselines": ["random_forest"],
    "measure": {"batch_sizes": [1]},
    "look": True,
    "validate": {"folds": 2, "aa_test": 1},
}


def examples():
    """Planned items of every kind, and the configurations they belong to."""
    pretrained = {"model": "unet", "augment": "flips", "pretrain": "denoise"}
    frozen = {"model": "timm:resnet18", "weights": "imagenet", "freeze": "encoder"}
    planned = [
        plans.plan_of(task="binary_segmentation", train=pretrained, **EVERYTHING),
        plans.plan_of(train=frozen),
        plans.plan_of(search={"space": {"batch_size": [4, 8]}}),
    ]
    names = [row.id for plan in planned for row in plan.configurations]
    return {item.kind: item for plan in planned for item in plan.items}, names


@pytest.fixture(scope="module")
def planned():
    return examples()


def test_what_is_known_of_kinds_and_what_does_them_are_the_same_kinds():
    assert TASKS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
class TestKindContract:
    def test_it_has_a_noun_and_a_version(self, kind):
        row = KINDS[kind]
        assert row.noun
        assert row.version >= 1

    def test_a_study_can_ask_for_it_and_its_id_says_what_it_is(self, kind, planned):
        item = planned[0][kind]
        assert item.kind == kind
        assert item.id.startswith(f"{kind}-")

    def test_its_cost_is_a_finite_number(self, kind, planned):
        item, names = planned[0][kind], planned[1]
        rates = Rates(
            dict.fromkeys(names, 2.0), dict.fromkeys(names, 0.1), {item.id: 3.0}, num_train=9, num_test=3
        )
        assert math.isfinite(KINDS[kind].seconds(item, rates))

    def test_its_id_changes_with_its_version(self, kind, planned):
        item = planned[0][kind]
        ids = {item_id(kind, item.settings, item.needs, version) for version in (1, 2)}
        assert len(ids) == 2

    def test_it_is_counted_in_words(self, kind):
        item = Item("a", kind, (), "", {})
        assert count_kinds([item]) == f"1 {KINDS[kind].noun}"
        assert count_kinds([item, item]).startswith("2 ")

    def test_what_does_it_is_there_and_is_called_with_the_job_alone(self, kind):
        (name,) = TASKS[kind].args
        assert list(inspect.signature(resolve_name(name)).parameters) == ["job"]


def test_a_new_kind_is_two_rows(tmp_path, monkeypatch):
    """A kind that nobody has heard of is planned, costed, done and committed."""
    row = Kind("histogram", lambda item, rates: 4.0 * item.settings["bins"])
    monkeypatch.setitem(items.KINDS, "histogram", row)

    def histogram(job):
        (job.scratch / "counts.txt").write_text(str(job.settings["bins"]))
        job.beat({"doing": "counting"})
        return {"bins": job.settings["bins"], "cost": {}}

    monkeypatch.setitem(TASKS, "histogram", histogram)
    item = make_item("histogram", {"bins": 7}, title="histogram of all images")
    folder = RunFolder(tmp_path / "run")
    folder.save_plan(Plan((item,), ()))
    assert items.seconds_of([item], Rates()) == 28
    assert work(folder, log=lambda line: None) == 1
    assert (folder.done(item.id) / "counts.txt").read_text() == "7"
    assert folder.result(item.id)["status"] == "done"
    assert choose(KINDS, "histogram", "kind of item") is row
