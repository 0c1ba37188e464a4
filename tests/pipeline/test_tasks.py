"""The contract of an item kind: any row of the two tables must pass, so that a new kind is tested as it is added."""

import inspect
import math
from pkgutil import resolve_name

import plans
import pytest

from foldwise.errors import choose
from foldwise.pipeline import worker
from foldwise.pipeline.worker import TASKS
from foldwise.runs import items
from foldwise.runs.folder import RunFolder
from foldwise.runs.items import KINDS, Item, Kind, Rates, count_kinds, item_id, make_item
from foldwise.runs.plan import Plan

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

    monkeypatch.setitem(worker.TASKS, "histogram", histogram)
    item = make_item("histogram", {"bins": 7}, title="histogram of all images")
    folder = RunFolder(tmp_path / "run")
    folder.save_plan(Plan((item,), ()))
    assert items.seconds_of([item], Rates()) == 28
    assert worker.work(folder, log=lambda line: None) == 1
    assert (folder.done(item.id) / "counts.txt").read_text() == "7"
    assert folder.result(item.id)["status"] == "done"
    assert choose(KINDS, "histogram", "kind of item") is row
