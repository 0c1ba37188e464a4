"""What a study can see, before it is run."""

import numpy as np
import pytest

from foldwise.judging.statistics.inference import compare
from foldwise.judging.statistics.power import (
    COUNTED,
    GRADED,
    Data,
    Design,
    before_training,
    detectable_pair,
    effective_units,
    foresee,
    in_words,
    scatter_of,
)
from foldwise.judging.statistics.run_moments import PRIOR_OWN_SD
from foldwise.judging.statistics.variance import estimate_variance
from foldwise.metrics.table import METRICS
from foldwise.study.spec import Study


def seen(scatter, design, seed):
    """What the judge says that a study of such scores could have seen."""
    rng = np.random.default_rng(seed)
    C, R, n = design.num_configurations, design.repeats, int(design.units)
    folds = np.stack([rng.permutation(n) % design.folds for _ in range(R)])
    luck = PRIOR_OWN_SD * 0.8 * rng.normal(size=(C, R, design.folds))
    scores = scatter.share + luck[:, np.arange(R)[:, None], folds]
    scores = scores + np.sqrt(scatter.lasting / 2) * rng.normal(size=(C, 1, n))
    scores = scores + np.sqrt(scatter.by_run / 2) * rng.normal(size=(C, R, n))
    return compare(estimate_variance(scores, folds, bounds=(0.0, 1.0)), draws=2000, most=2000)


@pytest.mark.parametrize("scatter", [COUNTED, GRADED])
@pytest.mark.parametrize("design", [
    Design(92, 5, 1, 2), Design(300, 5, 3, 3), Design(60, 2, 1, 2), Design(300, 3, 1, 6), Design(92, 5, 3, 24),
])  # fmt: skip
def test_where_scores_are_as_assumed_the_verdict_says_what_was_foretold(scatter, design):
    later = np.median([seen(scatter, design, seed).minimal_detectable_difference for seed in range(15)])
    assert foresee(scatter, design).minimal_detectable_difference == pytest.approx(later, rel=0.35)


def test_more_runs_and_more_images_see_more_as_far_as_runs_allow():
    def sees(units, folds, repeats):
        return foresee(GRADED, Design(units, folds, repeats, 3)).minimal_detectable_difference

    assert sees(92, 5, 1) > sees(92, 5, 3) > sees(92, 5, 10)
    assert sees(92, 5, 1) > sees(1000, 5, 1)
    # What comes from runs does not fall with images.
    assert sees(100_000, 5, 1) > 0.02


def test_as_many_images_as_it_says_see_the_target():
    comparison = foresee(COUNTED, Design(300, 5, 3, 24))
    target = 0.8 * comparison.minimal_detectable_difference
    more = foresee(COUNTED, Design(300 * comparison.times_as_many(target), 5, 3, 24))
    assert more.minimal_detectable_difference == pytest.approx(target, rel=0.05)


def test_the_rarest_class_decides_how_many_images_count():
    balanced, accuracy = METRICS["balanced_accuracy"], METRICS["accuracy"]

    def units(*counts, metric=balanced, groups=None):
        images = sum(counts)
        return effective_units(np.array(counts), num_units=groups or images, num_images=images, metric=metric)

    assert units(46, 46) == pytest.approx(92)
    assert units(82, 10) == pytest.approx(4 / (1 / 82 + 1 / 10))
    assert units(82, 10, metric=accuracy) == 92
    assert units(46, 46, groups=73) == pytest.approx(73)
    assert effective_units(np.array([]), num_units=30, num_images=30, metric=METRICS["dice_img_macro"]) == 30


def test_losses_have_no_plausible_variance():
    assert scatter_of(METRICS["log_loss"]) is None
    assert scatter_of(METRICS["balanced_accuracy"]) is COUNTED
    assert scatter_of(METRICS["dice_img_macro"]) is GRADED


def test_what_is_said():
    said = in_words(COUNTED, Design(92, 5, 3, 24), target=0.01, kind=("image", "images"), all_units=92)
    best = foresee(COUNTED, Design(92, 5, 3, 24)).minimal_detectable_difference
    easy = foresee(COUNTED.at(0.98), Design(92, 5, 3, 24)).minimal_detectable_difference
    assert 0.25 * best < easy < 0.5 * best
    assert said == (
        "With 92 images in 5 folds and 3 repeats, two configurations can be told apart if they differ by about "
        f"{detectable_pair(COUNTED, Design(92, 5, 3, 24)):.2g}, the best of 24 and another by about {best:.2g}, where images are of "
        f"middling difficulty (scores of about 0.8); by about {easy:.2g} where nearly all are easy (0.98). The verdict says "
        "what was really seen. "
        "No number of images shows 0.01, as equal runs differ by about as much; repeats alone will not do."
    )
    two = in_words(GRADED, Design(300, 5, 1, 2), target=0.0, kind=("group", "groups"), all_units=300)
    assert two.startswith("With 300 groups in 5 folds and 1 repeat, two configurations can be told apart")
    assert "the best of" not in two
    assert "To see" not in two
    assert "too few" not in two


@pytest.mark.parametrize(
    ("folds", "repeats", "cure"),
    [
        (2, 1, "validate.repeats to 3 or more, or validate.folds to 5 or more"),
        (3, 1, "validate.repeats to 3 or more, or validate.folds to 5 or more"),
        (1, 2, "validate.repeats to 5 or more."),
        (1, 1, "validate.repeats to 5 or more."),
        (5, 1, ""),
        (2, 3, ""),
        (3, 3, ""),
        (1, 5, ""),
    ],
)
def test_a_design_that_cannot_answer_is_named_before_training(folds, repeats, cure):
    words = {"target": 0.0, "kind": ("image", "images"), "all_units": 300}
    sentence = in_words(GRADED, Design(300, folds, repeats, 3), **words)
    assert ("too few runs" in sentence or "these trained weights only" in sentence) == bool(cure)
    assert ("Set validate.repeats" in sentence) == bool(cure)
    assert cure in sentence
    given = in_words(GRADED, Design(300, folds, repeats, 3), **words, is_given=True)
    assert "validate.folds" not in given  # more of them are no cure where they are given


@pytest.mark.parametrize(("repeats", "times"), [(1, "once"), (5, "5 times")])
def test_a_single_split_is_not_called_a_fold(repeats, times):
    words = {"target": 0.0, "kind": ("image", "images"), "all_units": 80}
    sentence = in_words(GRADED, Design(80, 1, repeats, 3), **words)
    assert sentence.startswith(f"With 80 images in the test part of a single split, trained {times}, two ")
    assert "fold" not in sentence


def study(**judge):
    return Study.model_validate(
        {"study": "s", "data": {"path": "."}, "judge": judge, "validate": {"repeats": 3}}
    )


def test_groups_are_what_counts_and_rare_classes_are_worth_less():
    labels = [(0,)] * 82 + [(1,)] * 10
    groups = [str(i // 2) for i in range(92)]
    said = before_training(study(), Data("binary_classification", labels, groups), num_configurations=4)
    assert said.startswith("With 46 groups in 5 folds and 3 repeats (unbalanced classes: worth 18), two ")
    assert "the best of 4 and another" in said


def test_nothing_is_said_of_one_configuration_or_of_a_loss():
    data = Data("binary_segmentation", [()] * 30, [str(i) for i in range(30)])
    assert before_training(study(), data, num_configurations=1) is None
    assert before_training(study(metric="log_loss"), data, num_configurations=4) is None
    assert "With 30 images" in before_training(study(), data, num_configurations=2)
