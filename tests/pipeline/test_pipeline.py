"""The pipeline: what a check refuses, with exit code and words; what a run folder records; what is settled of the winner."""

import json

import numpy as np
import pytest
from tiny_run import CLASSES, Wanted, make_run

from foldwise.errors import DataError, MissingExtra, SpecError
from foldwise.judging.judge import judge
from foldwise.pipeline.hand_over import _decision
from foldwise.pipeline.pipeline import run_root
from foldwise.pipeline.preflight import preflight
from foldwise.pipeline.preparing import environment, lay_out, prepare
from foldwise.study.reading import open_study

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
        prepared = prepare(open_study(path, **options))
        return prepared, preflight(prepared)

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
            "study.yaml:7:9: no metric for segmentation tasks is called 'accuracy'",
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


VARIANTS = (
    STUDY
    + """judge: {metric: dice_img_macro}
variants:
  quick: {train: {epochs: 1}, judge: {metric: dyce}}
  small: {data: {phantom: {kind: letters, images: 12, size: 32}}}
"""
)


def test_a_wrong_metric_is_said_where_it_was_set_last(checked):
    with pytest.raises(SpecError, match=r"study\.yaml:9:39: no metric .* is called 'dyce'"):
        checked(VARIANTS, variants=["quick"])
    with pytest.raises(SpecError, match=r"--set judge\.metric=dise: no metric .* is called 'dise'"):
        checked(VARIANTS, variants=["quick"], overrides=["judge.metric=dise"])


def test_a_run_folder_says_its_variants_and_keeps_the_file_as_it_is(checked, tmp_path):
    prepared, _ = checked(VARIANTS.replace("judge: {metric: dyce}", "seed: 3"), variants=["small", "quick"])
    assert run_root(prepared.file, None).as_posix() == "runs/tiny-small-quick"
    folder = lay_out(prepared, tmp_path / "run")
    asked = json.loads(folder.study_record.read_text())
    assert (asked["train"]["epochs"], asked["seed"], asked["data"]["phantom"]["kind"]) == (1, 3, "letters")
    assert "variants" not in asked
    assert folder.study_file.read_text().count("variants:") == 1
    assert environment(prepared)["variants"] == ["small", "quick"]
    with folder.statistics.open() as file:
        assert file.readline().startswith(
            "repeat,fold,part,images,groups,pixels background,pixels letter,mean 1,std 1"
        )
    audit = json.loads(folder.audit.read_text())
    assert (audit["channels"], audit["source"]) == ([], None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "[random_forrest]",
            "study.yaml:7:1: no baseline is called 'random_forrest'\n  → Did you mean 'random_forest'?",
        ),
        ("[{random_forest: {depth: 3}}]", "no option of baseline 'random_forest' is called 'depth'"),
        ("[random_forest, random_forest]", "baselines states random_forest twice\n  → Remove one."),
    ],
)
def test_a_baseline_that_does_not_exist_is_refused(checked, change, said):
    with pytest.raises(SpecError) as caught:
        checked(f"{STUDY.rstrip()}\nbaselines: {change}")
    assert said in str(caught.value)


def test_shallow_baselines_are_for_masks(checked):
    text = STUDY.replace("bacteria", "gels").replace("difficulty: 0.3}", "difficulty: 0.3}\n  size: 48")
    with pytest.raises(SpecError) as caught:
        checked(f"{text.rstrip()}\nbaselines: [random_forest]")
    assert "shallow baselines tell pixels apart, and this is a binary classification" in str(caught.value)
    assert "Remove baselines; trivial predictors are always judged." in str(caught.value)


def test_what_stands_beside_the_fits_is_in_the_estimate(checked):
    plain, costs = checked(STUDY)
    asked, _ = checked(f"{STUDY.rstrip()}\nbaselines: [random_forest]\nrobustness: {{}}")
    chosen = plain.configurations[0].id
    pixels = 12 * 64 * 64 * plain.packed.num_channels / 1e6
    more = 2 * (16 * costs.of[chosen].seconds_per_test + 1.6 * pixels + 8.0 * plain.packed.num_channels)
    assert costs.seconds(asked.plan) == pytest.approx(costs.seconds(plain.plan) + more)


@pytest.mark.parametrize("task", CLASSES)
def test_thresholds_are_means_over_folds_and_the_temperature_is_the_winner_s(tmp_path, task):
    verdict = judge(make_run(tmp_path / "run", Wanted(task=task, skills=(0.5, 2.0))))
    decision = _decision(verdict, verdict.answer)
    assert decision.answer["name"] == verdict.configurations[0].name
    if task.endswith("segmentation"):
        assert decision.thresholds is decision.temperature is None
        return
    folds = [fold.temperature for fold in verdict.calibration.configurations[0].temperature.folds]
    assert decision.temperature == np.median(folds)
    several = task == "multilabel_classification"
    assert bool(decision.thresholds) == several
    if several:
        assert decision.thresholds["values"] == [one.mean for one in verdict.thresholds.classes.values()]
