"""After an edit of a study: which items are done again, and what the reason is called."""

from collections import Counter

import pytest
from plans import plan_of

from foldwise.runs.edits import NOT_IN_THE_STUDY, done_again
from foldwise.runs.folder import RunFolder, write_json
from foldwise.runs.items import Item
from foldwise.runs.plan import Plan

TRAIN = {"model": "unet", "epochs": 2}


@pytest.fixture
def edited(tmp_path):
    """A run whose plan was done, and then replaced by another one: why items are done again."""
    folder = RunFolder(tmp_path)

    def make(*plans):
        for plan in plans[:-1]:
            folder.save_plan(plan)
            for item in plan.items:
                scratch = folder.scratch(item.id, "x")
                write_json(scratch / "result.json", {"status": "done", "error": None})
                folder.commit(scratch, item.id)
        folder.save_plan(plans[-1])
        return done_again(folder, plans[-1])

    return make


def test_a_changed_setting_is_named_with_what_it_was(edited):
    before, after = plan_of(train=TRAIN), plan_of(train=TRAIN | {"epochs": 3})
    assert edited(before, after) == Counter({"train.epochs: 3, was 2": len(after.items)})


def test_only_the_fits_that_an_edit_concerns_are_done_again(edited):
    before = plan_of(train=TRAIN, compare={"batch_size": [4, 8]})
    after = plan_of(train=TRAIN, compare={"batch_size": [4, 8, 16]})
    assert edited(before, after) == Counter()  # the new ones were never done


def test_nothing_is_done_again_where_nothing_changed_or_it_was_changed_back(edited, tmp_path):
    before, after = plan_of(train=TRAIN), plan_of(train=TRAIN | {"epochs": 3})
    assert edited(before, before) == Counter()
    assert not (tmp_path / "earlier").exists()
    assert edited(before, after, before) == Counter()


@pytest.mark.parametrize(
    ("key", "words"),
    [("packed", "the images, or how they are read"), ("split", "the folds"), ("seed", "seed: 2, was 1")],
)
def test_what_is_no_setting_of_training_has_a_name_too(edited, key, words):
    def plan(value):
        item = Item(f"fit-{value}", "fit", (), "unet · fold 1", {key: value, "seed": value, "split": value})
        return Plan((item,), ())

    expected = "the folds" if key == "seed" else words
    assert edited(plan(1), plan(2)) == Counter({expected: 1})


def test_what_no_setting_tells_is_said_as_far_as_it_is_known(edited):
    def plan(number, *needs):
        return Plan((Item(f"fit-{number}", "fit", needs, "unet · fold 1", {}),), ())

    assert edited(plan(1), plan(2)) == Counter({NOT_IN_THE_STUDY: 1})
    assert edited(plan(3), plan(4, "features-1")) == Counter({"it needs an item that is done again": 1})


def test_an_earlier_plan_that_cannot_be_read_is_passed_over(edited, tmp_path):
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "a.json").write_text("{")
    (tmp_path / "earlier" / "b.json").write_text('{"items": 3}')
    assert sum(edited(plan_of(train=TRAIN), plan_of(train=TRAIN | {"epochs": 3})).values()) > 0
