"""Configurations: factors become combinations, named for people and numbered for machines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldwise.errors import SpecError
from foldwise.study.configurations import configurations
from foldwise.study.factors import spelled_out
from foldwise.study.own_code import identity
from foldwise.study.reading import study_from_dict


def asked(compare=None, **train):
    return study_from_dict({"study": "a", "data": {"path": "x"}, "compare": compare or {}, "train": train})


def test_every_combination_the_first_factor_slowest():
    rows = configurations(asked({"model": ["unet", "conv"], "loss": ["dice", "focal"]}))
    assert [row.name for row in rows] == ["unet · dice", "unet · focal", "conv · dice", "conv · focal"]
    assert rows[1].levels == {"model": "unet", "loss": "focal"}
    assert rows[1].training.loss.name == "focal"


def test_nothing_compared_is_one_configuration_named_by_its_model():
    (row,) = configurations(asked(model={"unet": {"width": 8}}))
    assert (row.name, row.levels) == ("unet (width 8)", {})


def test_a_nested_factor_brings_its_own_levels():
    adam = {"adam": {"lr": {"each": [0.001, 0.01]}, "betas": [0.9, {"each": [0.99, 0.999]}]}}
    rows = configurations(asked({"optimizer": ["sgd", adam]}, model="conv"))
    assert [row.name for row in rows] == [
        "sgd",
        "adam (lr 0.001, betas 0.9-0.99)",
        "adam (lr 0.001, betas 0.9-0.999)",
        "adam (lr 0.01, betas 0.9-0.99)",
        "adam (lr 0.01, betas 0.9-0.999)",
    ]


def test_plain_values_are_named_with_their_key():
    compare = {
        "batch_size": [8],
        "patience_epochs": [None, 5],
        "augment": ["flips", {"rotate_deg": 15, "flip": True}],
        "loss": ["auto"],
    }
    rows = configurations(asked(compare, model="conv"))
    assert rows[1].name == "batch_size 8 · patience_epochs none · augment flip, rotate_deg 15 · loss auto"
    assert rows[1].levels["augment"] == "flip, rotate_deg 15"


def test_errors_of_a_study_made_by_hand_are_all_said():
    study = asked(model="conv").model_copy(update={"compare": {"los": ["dice"], "model": ["conv", "conv"]}})
    with pytest.raises(SpecError) as refused:
        configurations(study)
    assert str(refused.value).startswith(
        "3 problems:\n1. no setting is called 'los', so it cannot be compared"
    )


def test_ids_follow_the_training_and_nothing_else():
    one = configurations(asked({"loss": ["dice", "focal"]}, model="conv"))
    two = configurations(asked({"loss": ["focal"]}, model="conv"))
    alone = configurations(asked(model="conv", loss="focal"))
    assert one[1].id == two[0].id == alone[0].id != one[0].id
    assert one[0].id.startswith("c-")
    assert len(one[0].id) == 12


def test_a_weights_file_counts_by_its_content(tmp_path):
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / f"{name}.safetensors").write_text(text)
    rows = [
        configurations(asked(model="conv", weights=str(tmp_path / f"{name}.safetensors")))[0]
        for name in "abc"
    ]
    assert rows[0].id == rows[1].id != rows[2].id
    assert identity(rows[0].training)["weights"].startswith("sha256:")


values = st.recursive(
    st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
)


@given(values)
def test_a_level_without_each_is_itself(value):
    assert list(spelled_out(value)) == [value]


@given(st.lists(st.integers(), min_size=1, max_size=4), st.lists(st.integers(), min_size=1, max_size=4))
def test_each_multiplies(first, second):
    made = list(spelled_out({"adam": {"lr": {"each": first}, "decay": {"each": second}}}))
    assert made == [{"adam": {"lr": a, "decay": b}} for a in first for b in second]


def test_a_name_that_each_would_give_to_several_levels_is_told_apart():
    networks = [
        {"name": "U-Net", "model": "unet", "pretrain": {"each": ["none", "denoise"]}},
        {"name": "ViT", "model": "vit", "pretrain": {"each": ["none", {"mask": {"share": 0.75}}]}},
        {"name": "plain", "model": "conv", "pretrain": "none"},
    ]
    rows = configurations(asked({"network": networks}))
    assert [row.name for row in rows] == [
        "U-Net · pretrain none",
        "U-Net · denoise",
        "ViT · pretrain none",
        "ViT · mask (share 0.75)",
        "plain",
    ]
    assert [row.training.pretrain.name for row in rows] == ["none", "denoise", "none", "mask", "none"]


def test_what_says_nothing_alone_is_said_with_its_setting():
    rows = configurations(asked({"pretrain": ["none", {"auto": {"epochs": 3}}, "mask"]}, model="unet"))
    assert [row.name for row in rows] == ["pretrain none", "pretrain auto (epochs 3)", "mask"]


def test_a_bundle_states_several_settings_with_each_level():
    rows = configurations(
        study_from_dict(
            {
                "study": "s",
                "data": {"path": "."},
                "train": {"batch_size": 4},
                "compare": {
                    "network": [
                        {"model": "conv", "epochs": 5, "name": "small"},
                        {"model": {"unet": {"width": 8}}, "epochs": 9},
                    ],
                    "optimizer": ["sgd", "adam"],
                },
            }
        )
    )
    assert [row.name for row in rows] == [
        "small · sgd",
        "small · adam",
        "unet (width 8) · epochs 9 · sgd",
        "unet (width 8) · epochs 9 · adam",
    ]
    assert [row.training.epochs for row in rows] == [5, 5, 9, 9]
    assert rows[0].levels == {"network": "small", "optimizer": "sgd"}
    assert rows[0].training.batch_size == 4


@pytest.mark.parametrize(
    ("train", "compare", "said"),
    [
        ({}, {"network": [{"model": "conv", "epoch": 5}]}, "no key is called 'epoch' in compare.network[0]"),
        (
            {"epochs": 3},
            {"network": [{"model": "conv", "epochs": 5}]},
            "epochs is stated twice: shared in train",
        ),
        ({}, {"model": ["conv"], "network": [{"model": "unet"}]}, "model is stated twice: in compare.model"),
        ({}, {"network": [{"epochs": 5}]}, "no model is named"),
        (
            {"model": "conv"},
            {"network": [{"epochs": 5}, {"epochs": 5}]},
            "compare.network states epochs 5 twice",
        ),
        ({"model": "conv"}, {"network": ["a", "b"]}, "no setting is called 'network'"),
    ],
)
def test_what_is_wrong_with_a_bundle_is_said(train, compare, said):
    with pytest.raises(SpecError) as caught:
        study_from_dict({"study": "s", "data": {"path": "."}, "train": train, "compare": compare})
    assert said in str(caught.value)
