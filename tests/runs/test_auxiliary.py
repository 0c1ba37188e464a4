"""Items beside the fits in the plan: after all fits, one for every fold, fit or augmentation, and nothing unasked."""

import plans
import pytest

from foldwise.errors import SpecError
from foldwise.runs.items import Rates, count_kinds, seconds_of
from foldwise.runs.plan import skipped
from foldwise.runs.planning import augmentation_name
from foldwise.study.spec import NUM_COPIES

WORSE = {"blur_px": [0, 1], "noise": [0, 0.1]}


def plan_of(*, task="binary_segmentation", train=None, **top):
    return plans.plan_of(task=task, train=train or {"model": "unet"}, **{"validate": {"folds": 2}} | top)


def of(plan, kind):
    return [item for item in plan.items if item.kind == kind]


def test_nothing_is_added_where_nothing_is_asked():
    assert {item.kind for item in plan_of(compare={"loss": ["dice", "focal"]}).items} == {"fit"}


def test_what_needs_a_fit_comes_after_all_fits():
    plan = plan_of(
        compare={"loss": ["dice", "focal"]},
        train={"model": "unet", "augment": "flips"},
        robustness=WORSE,
        baselines=["random_forest", {"boosted_trees": {"trees": 9}}],
    )
    assert count_kinds(plan.items) == "4 fits, 4 shallow baselines, 4 robustness checks, 1 preview"
    fits = of(plan, "fit")
    assert plan.items[:4] == tuple(fits)
    assert len({item.id for item in plan.items}) == len(plan.items)
    for item, fit in zip(of(plan, "robustness"), fits, strict=True):
        assert item.needs == (fit.id,)
        assert item.title == f"robustness of {fit.title}"
        assert (item.settings["blur_px"], item.settings["noise"]) == ([0, 1], [0, 0.1])
        shared = ("configuration", "repeat", "fold", "seed", "split", "packed")
        assert {key: item.settings[key] for key in shared} == {key: fit.settings[key] for key in shared}
    shallow = of(plan, "shallow")
    assert [item.title for item in shallow] == [
        "random_forest on pixel features · fold 1 of 2",
        "boosted_trees (trees 9) on pixel features · fold 1 of 2",
        "random_forest on pixel features · fold 2 of 2",
        "boosted_trees (trees 9) on pixel features · fold 2 of 2",
    ]
    assert not any(item.needs for item in shallow)


def test_a_head_is_asked_with_its_encoder():
    train = {"model": "timm:resnet18", "weights": "imagenet", "freeze": "encoder"}
    plan = plan_of(train=train, task="binary_classification", robustness=WORSE)
    features = of(plan, "features")[0].id
    assert [item.needs for item in of(plan, "robustness")] == [(fit.id, features) for fit in of(plan, "fit")]


def test_a_failed_fit_loses_its_robustness_and_nothing_else():
    plan = plan_of(robustness=WORSE, baselines=["random_forest"])
    failed, done = of(plan, "fit")
    lost = skipped(plan, {failed.id})
    assert [item.needs for item in lost] == [(failed.id,)]
    left = [item for item in plan.items if item not in (done, failed, *lost)]
    assert [item.kind for item in left] == ["shallow", "shallow", "robustness"]
    assert left[-1].needs == (done.id,)


def test_every_augmentation_and_crop_is_shown_once():
    plan = plan_of(
        compare={"augment": ["none", "flips", {"rotate_deg": 10, "flip": True}], "loss": ["dice", "focal"]},
        train={"model": "unet", "crop_px": 64},
    )
    assert [item.title for item in of(plan, "preview")] == [
        "preview of crops of 64 px",
        "preview of flips, crops of 64 px",
        "preview of flip, rotate_deg 10, crops of 64 px",
    ]
    assert {item.settings["fold"] for item in of(plan, "preview")} == {0}


def test_an_augmentation_is_named_as_the_study_names_it():
    parts = {"flip": True, "turn": True}
    assert augmentation_name(parts, None) == "flips"
    assert augmentation_name(parts | {"noise": 0.1}, 32) == "flip, turn, noise 0.1, crops of 32 px"


def test_what_is_asked_beside_changes_no_fit():
    plain = plan_of()
    asked = plan_of(robustness=WORSE, baselines=["random_forest"])
    assert of(plain, "fit") == of(asked, "fit")


def test_the_first_configuration_is_trained_again_under_other_seeds():
    plan = plan_of(compare={"loss": ["dice", "focal"]}, validate={"folds": 2, "aa_test": 3})
    fits, again = of(plan, "fit"), of(plan, "aa_test")
    first = [fit for fit in fits if fit.settings["configuration"] == plan.configurations[0].id]
    assert len({fit.settings["seed"] for fit in first} | {item.settings["seed"] for item in again}) == 2 + 6
    for place, item in enumerate(again):
        fit = first[place % 2]
        assert item.title == f"again {place // 2 + 1}: {fit.title}"
        assert {key for key in item.settings if item.settings[key] != fit.settings.get(key)} == {
            "seed",
            "copy",
        }
    assert len(of(plan_of(validate={"folds": 2, "aa_test": True}), "aa_test")) == 2 * NUM_COPIES
    assert not of(plan_of(validate={"folds": 2, "aa_test": False}), "aa_test")
    assert seconds_of(again, Rates(seconds_per_fit={plan.configurations[0].id: 7.0})) == 6 * 7


def test_how_often_is_a_number_of_times():
    with pytest.raises(SpecError) as caught:
        plan_of(validate={"folds": 2, "aa_test": -1})
    assert "validate.aa_test" in str(caught.value)


def test_an_id_changes_with_what_can_change_the_result():
    first, again = (of(plan_of(baselines=["random_forest"], threads=n), "shallow")[0] for n in (1, 2))
    other = of(plan_of(baselines=[{"random_forest": {"trees": 5}}]), "shallow")[0]
    assert first.id == again.id != other.id
    newer = of(plan_of(baselines=["random_forest"], versions={"shallow": 99}), "shallow")[0]
    assert newer.id != first.id


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"blur_px": [2, 1]}, "needs blur_px from weak to strong, each once, got [2.0, 1.0]"),
        ({"noise": [0.1, 0.1]}, "needs noise from weak to strong, each once"),
        ({"noise": []}, "must have at least 1 part"),
        ({"blur_px": [-1]}, "must be at least 0"),
        ({"blurs": [1]}, "no key is called 'blurs' in robustness"),
    ],
)
def test_strengths_that_make_no_sense_are_refused(asked, said):
    with pytest.raises(SpecError) as caught:
        plan_of(robustness=asked)
    assert said in str(caught.value)


def test_the_estimate_counts_conditions_filters_and_learning():
    plan = plan_of(robustness=WORSE, baselines=["random_forest"])
    chosen = plan.configurations[0].id
    rates = Rates({chosen: 0.0}, {chosen: 10.0}, million_pixels=100, channels=3)
    assert seconds_of(plan.items, rates) == pytest.approx(2 * 4 * 10 + 2 * (100 * 1.6 + 3 * 8))
