"""What of speed is planned: every model, device and cache once, last of all, and no fit is another for it."""

import pytest
from plans import plan_of

from foldwise.errors import SpecError
from foldwise.study.reading import study_from_dict


def measured(compare=None, *, train=None, **asked):
    plan = plan_of(compare, train=train, measure=asked)
    return [item for item in plan.items if item.kind == "measure"]


def test_every_model_of_the_study_is_measured_with_every_cache():
    items = measured({"model": ["conv", "resnet"], "loss": ["cross_entropy", "focal"]}, train={})
    assert [item.title for item in items] == [
        f"speed of {model}, cache {cache}"
        for model in ("conv", "resnet")
        for cache in ("memory", "disk", "none")
    ]
    for item in items:
        assert item.settings["batch_sizes"] == [1, 4, 16, 64]
        assert item.settings["seconds"] == 2
        assert "configuration" not in item.settings  # it is no fit of any


def test_models_may_be_named_that_are_not_compared():
    (item,) = measured(
        train={"model": "conv", "weights": "imagenet", "crop_px": 32}, models=["vit"], caches=["disk"]
    )
    training = item.settings["training"]
    assert (training["model"]["name"], training["crop_px"]) == ("vit", 32)
    assert training["weights"] == "none"  # those of conv are none of vit


def test_a_model_of_the_study_keeps_what_its_first_configuration_states():
    compare = {"network": [{"model": "conv", "crop_px": 16}, {"model": "vit", "crop_px": 32}]}
    (item,) = measured(compare, train={}, models=["vit"], caches=["none"])
    assert (item.settings["training"]["crop_px"], item.settings["training"]["cache"]) == (32, "none")


def test_every_device_of_the_study_is_measured():
    items = measured({"device": ["cpu", "cuda"]}, caches=["memory"])
    assert [item.title for item in items] == [
        "speed of conv on cpu, cache memory",
        "speed of conv on cuda, cache memory",
    ]


def test_sizes_and_caches_that_are_stated_twice_are_measured_once_and_small_batches_first():
    (item,) = measured(batch_sizes=[8, 2, 8], caches=["disk", "disk"])
    assert item.settings["batch_sizes"] == [2, 8]


def test_other_precisions_are_measured_with_the_first_cache_alone():
    items = measured(
        caches=["disk", "none"], precisions=["fp32", "bf16"], train={"model": "conv", "precision": "fp32"}
    )
    ways = [(item.settings["training"]["cache"], item.settings["training"]["precision"]) for item in items]
    assert ways == [("disk", "fp32"), ("none", "fp32"), ("disk", "bf16")]
    assert [item.title for item in items][1:] == [
        "speed of conv, cache none",
        "speed of conv, cache disk, bf16",
    ]


def test_features_are_measured_where_fits_share_them_only():
    def caches(**train):
        items = measured(caches=["disk", "features"], train={"model": "conv"} | train)
        return ["features" if item.settings.get("features") else "disk" for item in items]

    assert caches(freeze="encoder", normalize="none") == ["disk", "features"]
    assert caches(freeze="encoder", crop_px=32) == ["disk"]  # crops are drawn anew in every epoch
    assert caches() == ["disk"]


def test_beside_a_search_nothing_is_measured():
    study = {"study": "a", "data": {"path": "x"}, "train": {"model": "conv"}, "measure": {}}
    search = {"space": {"batch_size": {"low": 2, "high": 64, "log": True}}, "configurations": 4}
    with pytest.raises(SpecError, match="measure is asked of fits") as told:
        study_from_dict(study | {"search": search})
    assert "foldwise measure RUN" in str(told.value)


def test_measures_come_last_and_change_no_fit():
    plain, with_measures = plan_of(), plan_of(measure={})
    fits = [item.id for item in plain.items]
    assert [item.id for item in with_measures.items][: len(fits)] == fits
    assert {item.kind for item in with_measures.items[len(fits) :]} == {"measure"}


def test_a_cache_makes_another_configuration():
    plan = plan_of({"cache": ["disk", "memory", "none"]})
    assert [row.name for row in plan.configurations] == ["cache disk", "cache memory", "cache none"]
    assert len({item.id for item in plan.items}) == 6


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"caches": ["ram"]}, "measure.caches[0]"),
        ({"batch_sizes": []}, "measure.batch_sizes"),
        ({"batch_sizes": [0]}, "measure.batch_sizes[0]"),
        ({"seconds": 0}, "measure.seconds"),
        ({"sizes": [1]}, "no key is called 'sizes' in measure"),
    ],
)
def test_what_cannot_be_measured_is_refused(asked, said):
    with pytest.raises(SpecError) as told:
        study_from_dict({"study": "a", "data": {"path": "x"}, "train": {"model": "conv"}, "measure": asked})
    assert said in str(told.value)
