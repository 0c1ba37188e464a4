"""Variants: parts of a study laid over its file by name; what is wrong in them is said where they stand."""

from pathlib import Path

import pytest

from foldwise.errors import SpecError
from foldwise.study.reading import open_study
from foldwise.study.spec import Study

STUDY = """\
study: gel
data:
  source: gels
  size: 224
  channels: gray
compare:
  model: [conv, unet]
  loss: [dice, focal]
train:
  epochs: 30
  patience_epochs: 5
  optimizer: {adam: {lr: 0.01, beta1: 0.8}}
  augment: {flip: true, rotate_deg: 10}
variants:
  phantom:
    data: {phantom: {kind: bacteria, images: 20, size: 32}}
    compare: {loss: null}
  quick:
    data: {size: 64}
    train: {epochs: 2, patience_epochs: null, optimizer: {sgd: {lr: 0.1}}, augment: {rotate_deg: 0}}
    compare: {model: [conv]}
  small:
    train: {epochs: 3}
    data: {phantom: {kind: bacteria, images: 6}}
"""


@pytest.fixture
def study_file(tmp_path, monkeypatch):
    """Writes a study in the current folder, so that messages begin with its plain name."""
    monkeypatch.chdir(tmp_path)

    def write(text):
        Path("study.yaml").write_text(text, encoding="utf-8")
        return Path("study.yaml")

    return write


def refused(path, **asked):
    with pytest.raises(SpecError) as error:
        open_study(path, **asked)
    return str(error.value)


def test_without_a_name_the_file_counts_as_it_stands(study_file):
    study = open_study(study_file(STUDY)).study
    assert (study.data.source, study.train["epochs"], list(study.compare)) == ("gels", 30, ["model", "loss"])


def test_keys_are_merged_and_what_a_name_has_is_replaced(study_file):
    study = open_study(study_file(STUDY), variants=["quick"]).study
    assert (study.data.source, study.data.size, study.data.channels) == ("gels", 64, "gray")
    assert study.train == {
        "epochs": 2,
        "optimizer": {"sgd": {"lr": 0.1}},
        "augment": {"flip": True, "rotate_deg": 0},
    }
    assert study.compare == {"model": ["conv"], "loss": ["dice", "focal"]}


def test_another_data_set_replaces_the_whole_part(study_file):
    study = open_study(study_file(STUDY), variants=["phantom"]).study
    assert study.data.phantom.kind == "bacteria"
    assert study.data.model_fields_set == {"phantom"}
    assert list(study.compare) == ["model"], "nothing takes a factor out"


def test_variants_are_laid_over_in_their_order_and_set_comes_last(study_file):
    path = study_file(STUDY)
    assert open_study(path, variants=["quick", "small"]).study.train["epochs"] == 3
    assert open_study(path, variants=["small", "quick"]).study.train["epochs"] == 2
    study = open_study(path, ["train.epochs=9"], ["phantom", "quick"]).study
    assert (study.train["epochs"], study.data.phantom.size, study.data.size) == (9, 32, 64)


def test_what_is_read_says_nothing_of_variants_any_more(study_file):
    study = open_study(study_file(STUDY), variants=["quick"]).study
    assert "variants" not in study.model_dump(mode="json", by_alias=True)
    assert Study.model_validate(study.model_dump(mode="json", by_alias=True)) is not None


def test_an_unknown_variant_names_the_known_ones(study_file):
    assert refused(study_file(STUDY), variants=["quik"]) == (
        "--variant quik: no variant is called 'quik'\n  → Did you mean 'quick'? Known: phantom, quick, small."
    )
    assert refused(study_file(STUDY.partition("variants:")[0]), variants=["quick"]) == (
        "--variant quick: the study has no variants\n  → Add `variants: {quick: {...}}` to it."
    )


def test_a_error_in_a_chosen_variant_points_at_its_line(study_file):
    wrong = STUDY.replace("train: {epochs: 3}", "train: {epochs: three}")
    assert refused(study_file(wrong), variants=["small"]) == (
        "study.yaml:23:21: train.epochs must be a whole number, got 'three'\n"
        "    23 |     train: {epochs: three}\n"
        "       |                     ^"
    )


@pytest.mark.parametrize(
    ("was", "wrong", "said"),
    [
        ("epochs: 2,", "epoch: 2,", "study.yaml:20:13: in variant quick, no key is called 'epoch' in train"),
        ("size: 64", "siz: 64", "study.yaml:19:12: in variant quick, no key is called 'siz' in data"),
        ("[conv]}", "[conv, conv]}", "study.yaml:21:29: in variant quick, compare.model states conv twice"),
        ("loss: null", "loss: dice", "study.yaml:17:21: in variant phantom, compare.loss must be a list"),
    ],
)
def test_a_error_in_a_variant_that_was_not_chosen_is_found_as_well(study_file, was, wrong, said):
    assert refused(study_file(STUDY.replace(was, wrong)), variants=["small"]).startswith(said)
    assert refused(study_file(STUDY.replace(was, wrong))).startswith(said)


def test_a_error_of_the_file_is_said_once(study_file):
    message = refused(study_file(STUDY.replace("epochs: 30", "epochs: many")))
    assert message.count("epochs") == 2  # the sentence, and the line it shows
    assert message.startswith("study.yaml:10:11: train.epochs must be a whole number, got 'many'")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("variants: 3\n", "study.yaml:14:11: variants must have keys, got 3"),
        ("variants: {quick: 3}\n", "study.yaml:14:19: variant quick must have keys, got 3"),
        ("variants: {a b: {}}\n", "study.yaml:14:12: a variant cannot be called 'a b'"),
        (
            "variants: {a: {variants: {}}}\n",
            "study.yaml:14:16: a variant has no variants of its own",
        ),
    ],
)
def test_the_form_of_variants_is_checked(study_file, wrong, said):
    assert said in refused(study_file(STUDY.partition("variants:")[0] + wrong))


def test_weights_of_a_variant_that_was_not_chosen_may_come_later(study_file):
    path = study_file(STUDY.replace("train: {epochs: 3}", "train: {weights: later.safetensors}"))
    assert open_study(path).study.train["epochs"] == 30
    assert "later.safetensors" in refused(path, variants=["small"])


def test_a_key_is_found_where_it_was_set_last(study_file):
    path, keys = study_file(STUDY), ("train", "epochs")
    assert open_study(path).locate(*keys) == "study.yaml:10:3"
    assert open_study(path, (), ["quick"]).locate(*keys) == "study.yaml:20:13"
    assert open_study(path, ["train.epochs=4"], ["quick"]).locate(*keys) == "--set train.epochs=4"
    assert open_study(path, ["judge.metric=dice"]).locate("judge", "metric") == "--set judge.metric=dice"
    assert open_study(path, (), ["phantom"]).locate("data", "phantom", "size") == "study.yaml:16:50"
