"""The plan: equal work is one item, and an id changes when, and only when, a result can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import TWO_FOLDS, plan_of

from foldwise.runs.encoder_passes import ImageSizes, num_parts
from foldwise.runs.items import make_item
from foldwise.runs.plan import Plan, skipped
from foldwise.runs.planning import make_plan, seed_of
from foldwise.study.configurations import configurations
from foldwise.study.own_code import identity
from foldwise.study.reading import study_from_dict
from foldwise.study.training import Training

FROZEN = {"model": "timm:resnet18", "weights": "imagenet", "freeze": "encoder"}


def ids(plan):
    return [item.id for item in plan.items]


def test_fits_come_fold_by_fold():
    plan = plan_of({"loss": ["dice", "focal"]}, validate={"folds": 2})
    assert [item.title for item in plan.items] == [
        "dice · fold 1 of 2",
        "focal · fold 1 of 2",
        "dice · fold 2 of 2",
        "focal · fold 2 of 2",
    ]
    assert len(set(ids(plan))) == 4


def test_settings_are_what_a_step_needs():
    settings = plan_of().items[0].settings
    assert set(settings) == {
        *(
            "training",
            "configuration",
            "task",
            "packed",
            "split",
            "repeat",
            "fold",
            "seed",
            "encoder_seed",
            "threads",
            "select",
        )
    }
    assert settings["seed"] == seed_of(0, 0, 0, "s0")


def test_the_tolerance_is_a_setting_only_where_boundaries_choose_the_epoch():
    by_dice, by_nsd = (
        [
            plan_of(
                task="binary_segmentation",
                train={"model": "unet"},
                judge={"select": select, "tolerance_px": px},
            ).items[0]
            for px in (1, 3)
        ]
        for select in ("auto", "nsd")
    )
    assert [item.settings.get("tolerance_px") for item in by_dice] == [None, None]
    assert by_dice[0].id == by_dice[1].id
    assert [item.settings["tolerance_px"] for item in by_nsd] == [1, 3]
    assert by_nsd[0].id != by_nsd[1].id


RELEVANT = [
    {"train": {"model": "unet"}},
    {"train": {"model": {"conv": {"width": 8}}}},
    {"train": {"model": "conv", "epochs": 3}},
    {"train": {"model": "conv", "augment": "flips"}},
    {"train": {"model": "conv", "optimizer": {"adamw": {"lr": 0.002}}}},
    {"train": {"model": "conv", "device": "cpu"}},
    {"seed": 1},
    {"threads": 2},
    {"judge": {"select": "accuracy"}},
    {"packed": "q"},
    {"task": "multiclass_classification"},
    {"splits": [(0, 0, "t0"), (0, 1, "t1")]},
    {"splits": [(1, 0, "s0"), (1, 1, "s1")]},
    {"versions": {"fit": 99}},
]
IRRELEVANT = [
    {"title": "Another title"},
    {"judge": {"metric": "accuracy", "alpha": 0.1, "equivalent_within": 0.2}},
    {"compare": {"model": ["conv"]}, "train": {}},
    {"train": {"model": "conv", "epochs": 30, "loss": "auto"}},  # as by default
    {"versions": {"features": 99}},
    {"validate": {"inner": 0.3}},  # which changes the splits, and so their digests
    {"data": {"path": "moved", "layout": "class_folders"}},  # the digest of the images says what they are
]


@pytest.mark.parametrize("change", RELEVANT, ids=str)
def test_an_id_changes_with_what_can_change_a_result(change):
    assert not set(ids(plan_of())) & set(ids(plan_of(**change)))


@pytest.mark.parametrize("change", IRRELEVANT, ids=str)
def test_an_id_stays_with_what_cannot(change):
    asked = dict(change)
    if "data" in asked:
        study = study_from_dict({"study": "other", "train": {"model": "conv"}, **asked})
        made = make_plan(
            study,
            configurations(study),
            task="binary_classification",
            packed_digest="p",
            splits=TWO_FOLDS,
        )
        assert ids(made) == ids(plan_of())
    else:
        assert ids(plan_of(asked.pop("compare", None), **asked)) == ids(plan_of())


settings = st.fixed_dictionaries(
    {
        "epochs": st.integers(1, 3),
        "batch_size": st.integers(1, 3),
        "weights": st.sampled_from(["none", "imagenet"]),
        "loss": st.sampled_from(["dice", "focal", {"focal": {"gamma": 2}}, {"focal": {"gamma": 3}}]),
        "augment": st.sampled_from(["none", "flips", {"flip": True, "turn": True}, {"flip": True}]),
    }
)


@given(settings, settings)
def test_ids_are_equal_when_and_only_when_trainings_are(one, two):
    plans = [plan_of(train={"model": "conv", **train}) for train in (one, two)]
    same = plans[0].configurations[0].training == plans[1].configurations[0].training
    assert (ids(plans[0]) == ids(plans[1])) is same
    assert (plans[0].configurations[0].id == plans[1].configurations[0].id) is same


@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_seeds_are_of_the_fold_and_fit_every_library(study_seed, repeat, fold):
    seed = seed_of(study_seed, repeat, fold, "s")
    assert 0 <= seed < 2**31
    assert seed != seed_of(study_seed + 1, repeat, fold, "s")
    assert seed != seed_of(study_seed, repeat, fold + 1, "s")


def test_all_configurations_of_a_fold_have_its_seed():
    plan = plan_of({"loss": ["dice", "focal"], "model": ["conv", "unet"]}, train={})
    seeds = {(item.settings["fold"], item.settings["seed"]) for item in plan.items}
    assert len(seeds) == 2


def test_an_edited_study_keeps_the_ids_it_did_not_change():
    before, after = (
        plan_of({"loss": ["dice", "focal"]}),
        plan_of({"loss": ["focal", "dice", "cross_entropy"]}),
    )
    assert set(ids(before)) < set(ids(after))


def test_frozen_encoders_are_asked_once_for_all_heads_optimisers_and_folds():
    plan = plan_of({"head": ["linear", "mlp"], "optimizer": ["sgd", "adam"]}, train=FROZEN)
    features = [item for item in plan.items if item.kind == "features"]
    fits = [item for item in plan.items if item.kind == "fit"]
    assert len(features) == 1
    assert plan.items[0] is features[0]
    assert len(fits) == 8
    assert all(item.needs == (features[0].id,) for item in fits)
    assert features[0].title == "features of timm:resnet18"


def test_a_seed_is_nothing_to_pretrained_features_and_all_to_random_ones():
    random = FROZEN | {"weights": "none", "normalize": "imagenet"}
    assert plan_of(train=FROZEN).items[0].id == plan_of(train=FROZEN, seed=1).items[0].id
    assert plan_of(train=random).items[0].kind == "features"
    assert plan_of(train=random).items[0].id != plan_of(train=random, seed=1).items[0].id


@pytest.mark.parametrize(
    "change",
    [
        {"freeze": "none"},
        {"augment": "standard"},
        {"augment": {"flip": True, "noise": 0.1}},
        {"augment": "flips", "epochs": 1},  # the encoder sees each image 4 times, and not 8 views
        {"crop_px": 32},
    ],
    ids=str,
)
def test_features_that_change_are_not_shared(change):
    assert not [item for item in plan_of(train=FROZEN | change).items if item.kind == "features"]


@pytest.mark.parametrize(
    ("augment", "square", "titles"),
    [
        ("flips", True, ["", "turned by 90°", "turned by 180°", "turned by 270°", "mirrored"]),
        ("flips", False, ["", "turned by 180°", "mirrored", "mirrored and turned by 180°"]),
        ({"flip": True}, True, ["", "turned by 180°", "mirrored", "mirrored and turned by 180°"]),
        ({"turn": True}, True, ["", "turned by 90°", "turned by 180°", "turned by 270°"]),
        ({"turn": True}, False, ["", "turned by 180°"]),
    ],
    ids=str,
)
def test_flips_and_turns_are_passes_of_their_own(augment, square, titles):
    plan = plan_of(
        {"augment": ["none", augment]}, train=FROZEN | {"epochs": 8}, images=ImageSizes(square=square)
    )
    passes = [item for item in plan.items if item.kind == "features"]
    num = 8 if len(titles) == 5 else len(titles)
    assert [
        item.title.removeprefix("features of timm:resnet18").removeprefix(", images ") for item in passes
    ][: len(titles)] == titles
    assert len(passes) == num
    plain, moved = (
        [
            item
            for item in plan.items
            if item.kind == "fit"
            and item.settings["training"]["augment"]["turn" if augment == {"turn": True} else "flip"] is on
        ]
        for on in (False, True)
    )
    assert {item.needs for item in plain} == {(passes[0].id,)}
    assert {item.needs for item in moved} == {tuple(item.id for item in passes)}


@pytest.mark.parametrize("change", [{"normalize": "train"}, {"weights": "none"}], ids=str)
def test_features_that_differ_from_fold_to_fold_are_shared_within_each(change):
    plan = plan_of({"head": ["linear", "mlp"]}, train=FROZEN | change)
    assert [item.kind for item in plan.items] == ["features", "fit", "fit"] * 2
    assert [item.settings["fold"] for item in plan.items if item.kind == "features"] == [0, 1]
    assert [item.title for item in plan.items if item.kind == "features"] == [
        f"features of timm:resnet18 · fold {fold} of 5" for fold in (1, 2)
    ]
    # One pass of eight views is more than three epochs of a fold show.
    few = FROZEN | change | {"augment": "flips", "epochs": 3}
    assert not [item for item in plan_of(train=few).items if item.kind == "features"]


def of_kind(plan, kind="features"):
    return [item for item in plan.items if item.kind == kind]


def test_passes_of_many_images_are_shared_out_by_the_images_alone():
    gels = ImageSizes(92, 92 * 224 * 224, square=True)
    (whole,), parts = of_kind(plan_of(train=FROZEN)), of_kind(plan_of(train=FROZEN, images=gels))
    assert [item.settings["images"] for item in parts] == [[0, 2], [1, 2]]
    assert [item.title for item in parts] == [f"{whole.title}, part {part} of 2" for part in (1, 2)]
    fits = of_kind(plan_of(train=FROZEN, images=gels), "fit")
    assert {fit.needs for fit in fits} == {tuple(item.id for item in parts)}
    flips = plan_of(train=FROZEN | {"augment": "flips"}, images=gels)
    assert [item.settings["images"] for item in of_kind(flips)] == [[0, 2], [1, 2]] * 8
    assert of_kind(flips)[:2] == parts


@pytest.mark.parametrize(
    ("num", "side", "parts"), [(92, 64, 1), (83, 224, 1), (84, 224, 2), (2, 8192, 2), (10**5, 224, 8)]
)
def test_there_is_an_end_of_the_parts_of_a_pass(num, side, parts):
    assert num_parts(ImageSizes(num, num * side**2)) == parts


def test_fixed_views_are_passes_that_further_views_share():
    def passes(views, augment="standard", **top):
        return of_kind(plan_of(train=FROZEN | {"augment": augment, "cache_views": views}, **top))

    four, eight = passes(4), passes(8)
    assert (len(four), len(eight)) == (5, 9)
    assert eight[:5] == four
    assert four[0] == of_kind(plan_of(train=FROZEN))[0]
    assert four[1].title == "features of timm:resnet18, view 1 of standard"
    assert not {item.id for item in four[1:]} & {item.id for item in passes(4, augment="strong")}
    assert not {item.id for item in four[1:]} & {item.id for item in passes(4, seed=1)}
    # They are shared by all configurations that draw them, whatever the epochs.
    both = plan_of(
        {"head": ["linear", "mlp"]}, train=FROZEN | {"augment": "standard", "cache_views": 4, "epochs": 1}
    )
    assert of_kind(both) == four
    assert {len(fit.needs) for fit in of_kind(both, "fit")} == {5}


def test_as_many_fixed_views_as_there_are_replace_nothing():
    flips = FROZEN | {"augment": "flips"}
    exact = of_kind(plan_of(train=flips))
    assert of_kind(plan_of(train=flips | {"cache_views": 8})) == exact
    # Also where one fit alone would be shown fewer.
    assert of_kind(plan_of(train=flips | {"cache_views": 8, "epochs": 1})) == exact
    assert len(of_kind(plan_of(train=flips | {"cache_views": 7}))) == 8
    assert of_kind(plan_of(train=flips | {"cache_views": 7}))[1:] != exact[1:]
    assert of_kind(plan_of(train=FROZEN | {"cache_views": 1})) == exact[:1]


def test_a_search_shares_fixed_views_of_all_trials():
    space = {
        "search": {
            "space": {"optimizer": {"adamw": {"lr": {"low": 1e-4, "high": 1e-2, "log": True}}}},
            "configurations": 2,
            "in_flight": 2,
        }
    }
    plan = plan_of(
        train={key: value for key, value in FROZEN.items() if key != "optimizer"}
        | {"augment": "standard", "cache_views": 4},
        **space,
    )
    assert len(of_kind(plan)) == 5
    assert {len(trial.needs) for trial in of_kind(plan, "trial")} == {5}


def test_what_was_done_before_there_were_fixed_views_is_still_the_same():
    assert "cache_views" not in identity(Training(model="conv"))
    assert identity(Training(model="conv", cache_views=1))["cache_views"] == 1
    settings = of_kind(plan_of(), "fit")[0].settings
    old = {key: value for key, value in settings["training"].items() if key != "cache_views"}
    assert (
        make_item("fit", settings | {"training": old}, title="").id == make_item("fit", settings, title="").id
    )


def test_masks_share_no_features():
    assert not [item for item in plan_of(train=FROZEN, task="binary_segmentation").items if item.needs]


def test_a_plan_survives_json():
    plan = plan_of({"head": ["linear", {"mlp": {"hidden": [4]}}], "patience_epochs": [None, 3]}, train=FROZEN)
    assert Plan.from_json(plan.to_json()) == plan


def test_what_needs_a_failed_item_is_skipped():
    plan = plan_of(train=FROZEN)
    features, *fits = plan.items
    assert skipped(plan, {features.id}) == fits
    assert skipped(plan, {fits[0].id}) == []


PRETRAINED = {"model": "unet", "pretrain": "denoise"}


def pretrained(compare=None, **more):
    plan = plan_of(compare, task="binary_segmentation", train=PRETRAINED | more)
    return [item for item in plan.items if item.kind == "pretrain"], [
        item for item in plan.items if item.kind == "fit"
    ]


def test_pretraining_is_done_once_a_fold_for_all_fits_that_begin_with_it():
    items, fits = pretrained(
        {
            "loss": ["dice", "focal"],
            "optimizer": ["sgd", "adam"],
            "augment": ["none", "flips"],
            "freeze": ["none", "encoder"],
            "epochs": [3, 4],
        }
    )
    assert [item.title for item in items] == [
        "pretraining of unet by denoise · fold 1 of 5",
        "pretraining of unet by denoise · fold 2 of 5",
    ]
    assert len(fits) == 64
    of_fold = {item.settings["fold"]: item.id for item in items}
    assert all(fit.needs == (of_fold[fit.settings["fold"]],) for fit in fits)
    assert {item.settings["seed"] for item in items} == {fit.settings["seed"] for fit in fits}


def test_what_a_fold_needs_stands_before_its_fits():
    plan = plan_of(task="binary_segmentation", train=PRETRAINED)
    assert [(item.kind, item.settings["fold"]) for item in plan.items] == [
        ("pretrain", 0),
        ("fit", 0),
        ("pretrain", 1),
        ("fit", 1),
    ]
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    "levels",
    [
        {"model": ["unet", "conv"]},
        {"pretrain": ["denoise", "mask"]},
        {"pretrain": ["denoise", {"denoise": {"sigma": 0.2}}]},
        {"normalize": ["train", "image"]},
        {"crop_px": [None, 32]},
        {"batch_size": [2, 4]},
        {"steps_per_epoch": [None, 4]},
        {"weights": ["none", "imagenet"]},
        {"precision": ["fp32", "bf16"]},
        {"device": ["auto", "cpu"]},
    ],
    ids=str,
)
def test_what_changes_pretraining_is_not_shared(levels):
    shared = {key: value for key, value in PRETRAINED.items() if key not in levels}
    plan = plan_of(levels, task="binary_segmentation", train=shared)
    assert len([item for item in plan.items if item.kind == "pretrain"]) == 4


def test_a_size_of_its_own_is_shared_by_batches_of_all_sizes():
    own = {"denoise": {"batch_size": 8, "steps_per_epoch": 3}}
    items, fits = pretrained({"batch_size": [2, 4], "steps_per_epoch": [None, 5]}, pretrain=own)
    assert (len(items), len(fits)) == (2, 8)


def test_only_those_that_ask_for_it_are_pretrained():
    plan = plan_of({"pretrain": ["none", "denoise"]}, task="binary_segmentation", train={"model": "unet"})
    names = {row.id: row.name for row in plan.configurations}
    fits = [item for item in plan.items if item.kind == "fit"]
    needing = {names[fit.settings["configuration"]] for fit in fits if fit.needs}
    assert needing == {"denoise"}
    assert set(names.values()) == {"pretrain none", "denoise"}
    failed = next(item for item in plan.items if item.kind == "pretrain")
    assert [item.settings["fold"] for item in skipped(plan, {failed.id})] == [0]


def test_a_pretrained_encoder_differs_between_folds_so_that_no_features_are_shared():
    plan = plan_of(train=FROZEN | {"pretrain": "denoise"})
    assert [item.kind for item in plan.items] == ["pretrain", "fit", "pretrain", "fit"]
