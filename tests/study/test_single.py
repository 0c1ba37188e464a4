"""One model as a study: the same training as the study file a reader would have written."""

from pathlib import Path

import pytest

from foldwise.errors import SpecError
from foldwise.study.configurations import configurations
from foldwise.study.reading import open_study, study_from_dict
from foldwise.study.single import Single, document, write_study


def made(tmp_path, **asked):
    """The one configuration of what was asked, through the file that is written."""
    write_study(document(Single(Path("pictures"), **asked), beside=tmp_path), tmp_path / "study.yaml")
    [one] = configurations(open_study(tmp_path / "study.yaml").study)
    return one


def by_hand(**train):
    study = study_from_dict({"study": "x", "data": {"path": "pictures"}, "train": train})
    return configurations(study)[0]


def test_the_arguments_of_the_seed_are_the_study_that_they_mean(tmp_path):
    got = made(tmp_path, model="mobilenet-v3", head="multi", optimizer="sgd", batch_size=8, epochs=4)
    assert (
        got.id
        == by_hand(
            model="timm:mobilenetv3_large_100",
            head={"mlp": {"hidden": [512, 256], "dropout": [0.25, 0.5]}},
            optimizer={"sgd": {"lr": 0.001}},
            weights="imagenet",
            freeze="encoder",
            batch_size=8,
            epochs=4,
        ).id
    )


def test_a_network_from_scratch_is_trained_whole(tmp_path):
    got = made(tmp_path, model="{conv: {width: 8}}", learning_rate=0.01, loss="{focal: {gamma: 1.0}}")
    assert got.training.model.options == {"width": 8}
    assert got.training.loss.options == {"gamma": 1.0}
    assert (got.training.weights, got.training.freeze) == ("none", "none")
    assert got.training.optimizer.options == {"lr": 0.01}


def test_what_is_said_of_weights_is_done(tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(b"")
    assert made(tmp_path, model="resnet18", weights="none").training.freeze == "none"
    assert made(tmp_path, model="resnet18", freeze=False).training.weights == "imagenet"
    own = made(tmp_path, model="conv", weights=str(tmp_path / "mine.safetensors"))
    assert own.training.weights == str(tmp_path / "mine.safetensors")
    assert own.training.freeze == "encoder"


@pytest.mark.parametrize(
    ("model", "size", "wanted"),
    [
        ("vgg16", None, 224),
        ("unet", None, "native"),
        ("smp:fpn/resnet18", None, "native"),
        ("vgg16", "64", 64),
    ],
)
def test_classifiers_get_the_usual_size_and_segmenters_that_of_the_files(model, size, wanted):
    asked = Single(Path("pictures"), model=model, size=size)
    assert document(asked, beside=Path())["data"]["size"] == wanted


def test_paths_are_relative_to_the_file_and_names_are_of_the_settings(tmp_path):
    (tmp_path / "my gels").mkdir()
    asked = Single(tmp_path / "my gels", head="single")
    written = document(asked, beside=tmp_path / "runs" / "one")
    assert written["data"]["path"] == "../../my gels"
    assert written["study"] == "my-gels-resnet18-single-adam"
    assert document(Single(tmp_path, model_id="7"), beside=tmp_path)["study"] == "7"


@pytest.mark.parametrize(
    ("asked", "words"), [({"model_id": "a/b"}, "'a/b' cannot name a run"), ({"size": "big"}, "is no size")]
)
def test_what_cannot_be_is_refused(asked, words):
    with pytest.raises(SpecError, match=words):
        document(Single(Path("pictures"), **asked), beside=Path())
