"""The walk up to the first training: what a check refuses, with exit code and words, and what a run folder records."""

import json

import pytest

from foldwise.errors import DataError, MissingExtra, SpecError
from foldwise.walk import check_models, environment, lay_out, prepare

STUDY = """
study: tiny
data:
  phantom: {kind: bacteria, images: 12, size: 64, difficulty: 0.3}
train: {model: {conv: {width: 4}}, epochs: 2}
validate: {folds: 2}
"""


@pytest.fixture
def checked(tmp_path):
    def check(text, **options):
        path = tmp_path / "study.yaml"
        path.write_text(text, encoding="utf-8")
        prepared = prepare(path, **options)
        return prepared, check_models(prepared)

    return check


def test_a_check_tells_what_will_run_and_what_it_takes(checked):
    prepared, costs = checked(STUDY)
    assert len(prepared.plan.items) == 2
    assert costs.seconds(prepared.plan) > 0
    assert costs.memory_mb() > 0


def test_shared_features_are_counted_once(checked):
    text = (
        STUDY.replace("bacteria", "gels")
        .replace("images: 12", "images: 24")
        .replace("difficulty: 0.3}", "difficulty: 0.3}\n  size: 48")
    )
    frozen = "{model: 'timm:test_resnet', freeze: encoder, normalize: imagenet, epochs: 2}"
    prepared, costs = checked(text.replace("{model: {conv: {width: 4}}, epochs: 2}", frozen))
    estimate = next(iter(costs.of.values()))
    assert costs.seconds(prepared.plan) == pytest.approx(
        2 * estimate.seconds_per_fit + estimate.seconds_for_features
    )


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (
            "\njudge: {metric: dyce_pooled}",
            SpecError,
            "study.yaml:7:9: no metric for segmentation tasks is called 'dyce_pooled'",
        ),
        (
            "\njudge: {metric: balanced_accuracy}",
            SpecError,
            "no metric for segmentation tasks is called 'balanced_accuracy'",
        ),
        (
            "\njudge: {select: accuracy}",
            SpecError,
            "no metric to select epochs of a binary segmentation by is called 'accuracy'",
        ),
    ],
)
def test_a_metric_the_task_does_not_have_is_refused(checked, change, error, said):
    with pytest.raises(error) as caught:
        checked(STUDY.rstrip() + change)
    assert said in str(caught.value)
    assert "Known: " in str(caught.value)


def test_both_metrics_are_said_at_once(checked):
    with pytest.raises(SpecError, match="2 problems"):
        checked(STUDY.rstrip() + "\njudge: {metric: a, select: b}")


def test_a_model_that_cannot_be_built_is_refused(checked):
    with pytest.raises(SpecError) as caught:
        checked(STUDY.replace("conv: {width: 4}", "conv: {widht: 4}"))
    assert "widht" in str(caught.value)
    assert "width" in caught.value.args[0] or "width" in str(caught.value)


def test_a_device_that_is_not_here_is_refused_before_training(checked):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(MissingExtra, match="the device 'cuda' was asked for"):
        checked(STUDY.replace("epochs: 2", "epochs: 2, device: cuda"))


def test_more_folds_than_groups_are_refused(checked):
    with pytest.raises(DataError):
        checked(STUDY.replace("folds: 2", "folds: 11"))


def test_a_run_folder_records_what_someone_needs_for_the_same_numbers(checked, tmp_path):
    prepared, _ = checked(STUDY, overrides=["train.epochs=3"])
    folder = lay_out(prepared, tmp_path / "run")
    known = json.loads(folder.environment.read_text())
    assert known == environment(prepared)
    assert known["overrides"] == ["train.epochs=3"]
    assert known["packages"]["torch"]
    assert known["seed"] == 0
    assert folder.load_study().train["epochs"] == 3
    assert folder.load_plan() == prepared.plan
    assert len(folder.cases.read_text().splitlines()) == 1 + len(prepared.dataset.cases)
