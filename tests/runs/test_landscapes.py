"""Looks inside training in the plan: which fits, how finely, after everything they need; and which fit a name means."""

import pytest
from done_so_far import can_be_done

from foldwise.errors import RunError, SpecError
from foldwise.runs.items import AUTO, KINDS, MAX_IMAGES, Rates, num_images, seconds_of
from foldwise.runs.landscapes import (
    check_epochs,
    epochs_to_look_at,
    finely,
    fit_to_look_at,
    spread,
)
from foldwise.runs.planning import make_plan
from foldwise.study.configurations import configurations
from foldwise.study.reading import study_from_dict
from foldwise.study.spec import Looking

FOLDS = [(repeat, fold, f"s{repeat}{fold}") for repeat in range(2) for fold in range(3)]


def study_of(**top):
    validate = {"folds": 3, "repeats": 2}
    document = {"study": "a", "data": {"path": "x"}, "train": {"model": "unet"}, "validate": validate} | top
    return study_from_dict(document)


def plan_of(*, task="binary_segmentation", **top):
    study = study_of(**top)
    return make_plan(study, configurations(study), task=task, packed_digest="p", splits=FOLDS)


def of(plan, kind):
    return [item for item in plan.items if item.kind == kind]


FOUR = {"loss": ["dice", "focal"], "batch_size": [4, 8]}


@pytest.mark.parametrize("asked", [True, {}, {"configurations": 4}])
def test_a_look_stands_after_its_fit_and_those_it_goes_to(asked):
    plan = plan_of(look=asked)
    (look,) = of(plan, "landscape")
    fits = of(plan, "fit")
    first = fits[0]
    assert look.title == f"look into {first.title}"
    assert look.settings["landscape"]["fit"] == first.id
    other_repeat, other_fold = (
        next(fit for fit in fits if (fit.settings["repeat"], fit.settings["fold"]) == place)
        for place in ((1, 0), (0, 1))
    )
    assert look.needs == (first.id, other_repeat.id, other_fold.id)
    assert plan.items[:6] == tuple(fits)
    assert look not in can_be_done(plan, done={first.id})
    assert look in can_be_done(plan, done=set(look.needs))
    assert {key: look.settings[key] for key in first.settings} == first.settings


@pytest.mark.parametrize("asked", [False, None])
def test_nothing_is_looked_at_where_nothing_is_asked(asked):
    assert of(plan_of(look=asked), "landscape") == []


def test_losses_not_seen_yet_come_first():
    plan = plan_of(compare=FOUR, look={"configurations": 2})
    assert [item.title for item in of(plan, "landscape")] == [
        "look into dice · batch_size 4 · fold 1 of 3, repeat 1 of 2",
        "look into focal · batch_size 4 · fold 1 of 3, repeat 1 of 2",
    ]
    assert len(of(plan_of(compare=FOUR, look={"configurations": 3}), "landscape")) == 3
    assert len(of(plan_of(compare=FOUR, look={"configurations": 9}), "landscape")) == 4


def test_every_look_draws_the_losses_of_the_study():
    for look in of(plan_of(compare=FOUR, look=True), "landscape"):
        assert [loss["name"] for loss in look.settings["landscape"]["losses"]] == ["dice", "focal"]
        assert look.settings["landscape"]["standard"] is True
    (look, *_) = of(plan_of(compare=FOUR, look={"losses": ["dice", {"focal": {"gamma": 3}}]}), "landscape")
    assert [str_of(loss) for loss in look.settings["landscape"]["losses"]] == ["dice", "focal {'gamma': 3}"]
    assert look.settings["landscape"]["standard"] is False


def str_of(loss):
    return f"{loss['name']} {loss['options']}" if loss["options"] else loss["name"]


def test_a_look_changes_no_fit_and_comes_before_speeds():
    plan = plan_of(look=True, measure={})
    assert [item.id for item in of(plan, "fit")] == [item.id for item in of(plan_of(), "fit")]
    kinds = [item.kind for item in plan.items]
    assert kinds.index("landscape") < kinds.index("measure")


def test_a_head_is_looked_at_with_its_encoder():
    train = {"model": "timm:resnet18", "weights": "imagenet", "freeze": "encoder"}
    plan = plan_of(train=train, task="binary_classification", look=True)
    assert of(plan, "features")[0].id in of(plan, "landscape")[0].needs


def test_an_id_changes_with_what_is_asked():
    ids = [
        of(plan_of(look=asked), "landscape")[0].id
        for asked in ({}, {"points": 7}, {"epochs": [1, 5]}, {"images": 9})
    ]
    assert len(set(ids)) == 4
    assert of(plan_of(look={"configurations": 7}), "landscape")[0].id == ids[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"points": 14}, "look needs an odd number of points, so that one is the network itself, got 14\n  → Write points: 15."),
        ({"points": 3}, "look.points must be at least 5, got 3"),
        ({"epochs": 1}, "look.epochs must be a whole number of epochs from 2 to 60, or a list of epochs such as [1, 5, 20], got 1"),
        ({"images": 1}, "look.images must be a whole number of images from 2 to 100,000, or auto, got 1"),
        ({"losses": []}, "look needs at least one of its losses"),
        ({"pionts": 15}, "no key is called 'pionts' in look\n  → Did you mean 'points'?"),
        ({"directions": 0}, "look.directions must be at least 1, got 0"),
        ("yes", "look must have keys, got 'yes'"),
    ],
)  # fmt: skip
def test_what_cannot_be_looked_at_is_refused(asked, said):
    with pytest.raises(SpecError) as raised:
        study_of(look=asked)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("asked", "last", "chosen", "epochs"),
    [
        (5, 16, 16, [0, 4, 8, 12, 16]),
        (5, 16, 7, [0, 4, 7, 12, 16]),
        (5, 16, 1, [0, 1, 8, 12, 16]),
        (2, 9, 4, [0, 4, 9]),
        (5, 2, 1, [0, 1, 2]),
        (9, 1, 1, [0, 1]),
        ([2, 40], 9, 4, [0, 2, 4, 9]),
    ],
)
def test_the_start_the_chosen_and_the_last_epoch_are_always_there(asked, last, chosen, epochs):
    assert epochs_to_look_at(asked, last=last, chosen=chosen) == epochs


def test_epochs_are_spread_evenly():
    assert spread(20, 100)[:3] == [0, 5, 11]
    assert spread(20, 3) == [0, 1, 2, 3]
    assert spread(1, 9) == [0]


def test_so_many_images_that_a_look_takes_minutes():
    fewest = AUTO["segmentation"][1]
    mask = {"task": "binary_segmentation", "available": 1000}
    assert num_images("auto", pixels=1024**2, **mask) == fewest
    assert num_images("auto", pixels=64**2, **mask) == 8
    assert num_images("auto", pixels=8**2, **mask) == MAX_IMAGES
    assert num_images(200, pixels=1024**2, **mask) == 200
    assert num_images("auto", task="binary_classification", pixels=64**2, available=20) == 20


def test_the_estimate_grows_with_the_points_and_counts_the_training():
    def seconds(**asked):
        (look,) = of(plan_of(look=asked), "landscape")
        name = look.settings["configuration"]
        rates = Rates({name: 100}, {name: 0.1}, num_train=30, num_test=10, pixels=64**2)
        return KINDS["landscape"].seconds(look, rates)

    assert seconds() > 100
    assert (seconds(points=31) - 100) / (seconds() - 100) > 2.5
    assert seconds(images=4) < seconds(images=16)


def test_the_check_counts_landscapes_and_fits():
    plan = plan_of(look=True)
    name = plan.items[0].settings["configuration"]
    rates = Rates({name: 100}, {name: 0.1}, num_train=30, num_test=10, pixels=64**2)
    (look,) = of(plan, "landscape")
    expected = 6 * 100 + KINDS["landscape"].seconds(look, rates)
    assert seconds_of(plan.items, rates) == pytest.approx(expected)


def test_options_are_laid_over_what_the_study_asks():
    asked = Looking(points=9, directions=3)
    assert finely(asked, {"points": None, "epochs": None, "losses": None}) == asked
    made = finely(asked, {"epochs": [1, 5], "losses": "dice, {focal: {gamma: 3}}", "images": "auto"})
    assert (made.points, made.epochs, made.images) == (9, (1, 5), "auto")
    assert list(map(str, made.losses)) == ["dice", "focal (gamma 3)"]
    with pytest.raises(SpecError) as raised:
        finely(asked, {"points": 8, "directions": 2})
    assert "needs an odd number of points" in str(raised.value)
    with pytest.raises(SpecError, match=r"2 problems"):
        finely(asked, {"points": "many", "directions": 0})


def test_an_epoch_that_never_was_is_refused():
    check_epochs(Looking(epochs=(1, 9)), last=9)
    check_epochs(Looking(epochs=30), last=9)
    with pytest.raises(SpecError) as raised:
        check_epochs(Looking(epochs=(1, 12, 40)), last=9)
    assert str(raised.value) == (
        "look: epochs names 12, 40, and the training ended with epoch 9\n"
        "  → Name epochs from 0 (before training) to 9."
    )


def found(name, *, done=None, winner=None):
    fits = of(plan_of(compare={"loss": ["dice", "focal"]}), "fit")
    done = {fit.id for fit in fits} if done is None else done
    return fit_to_look_at(fits, name, winner=winner, done=done, run="runs/a"), fits


def test_the_first_fit_of_the_winner_unless_one_is_named():
    _, fits = found("fit-" + of(plan_of(compare={"loss": ["dice", "focal"]}), "fit")[0].id[4:])
    winner = fits[1].settings["configuration"]
    assert found(None, winner=winner)[0] == fits[1]
    later = [fit.id for fit in fits if fit.settings["configuration"] == winner][2]
    assert found(None, winner=winner, done={later})[0].id == later
    assert found(fits[3].id)[0] == fits[3]
    assert found(fits[3].id[:12])[0] == fits[3]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        (None, {}, "runs/a: the run has no winner yet, so no fit to look into is known\n  → Finish the run and foldwise report runs/a, or name a fit: --fit ID."),
        ("fit-", {}, "12 fits begin with 'fit-'\n  → Name one of: fit-"),
        ("dice", {}, "no fit of this run begins with 'dice'\n  → Name one such as: fit-"),
    ],
)  # fmt: skip
def test_a_fit_that_cannot_be_meant_is_refused(name, options, said):
    with pytest.raises(RunError) as raised:
        found(name, **options)
    assert said in str(raised.value)


def test_near_ids_are_named_and_a_fit_that_is_not_done_is_said_to_be():
    _, fits = found(of(plan_of(compare={"loss": ["dice", "focal"]}), "fit")[0].id)
    with pytest.raises(RunError) as raised:
        found(fits[4].id[:-1] + "z")
    assert f"{fits[4].id} ({fits[4].title})" in str(raised.value)
    with pytest.raises(RunError) as raised:
        found(fits[4].id, done=set())
    assert str(raised.value) == (
        f"runs/a: {fits[4].id} ({fits[4].title}) is not done, so there is no training to look into\n"
        "  → foldwise status runs/a says why. Name a fit that is done."
    )
