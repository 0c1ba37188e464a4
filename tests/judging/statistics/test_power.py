"""What a study can see, before it is run."""

import numpy as np
import pytest

from foldwise.judging.statistics.power import (
    COUNTED,
    GRADED,
    before_training,
    effective_units,
    foresee,
    in_words,
    one_sided_limit,
    scatter_of,
)
from foldwise.metrics.table import METRICS
from foldwise.study.spec import Study


@pytest.mark.parametrize(("rivals", "printed"), [(1, 1.645), (2, 1.918), (9, 2.417), (23, 2.681)])
def test_the_limit_is_dunnetts(rivals, printed):
    assert one_sided_limit(rivals) == pytest.approx(printed, abs=0.003)


def test_the_limit_against_a_simulation():
    drawn = np.random.default_rng(0).standard_normal((200_000, 7))
    lead = (drawn[:, 1:] - drawn[:, :1]).max(axis=1) / np.sqrt(2)
    assert one_sided_limit(6) == pytest.approx(np.quantile(lead, 0.95), abs=0.02)


@pytest.mark.parametrize(
    ("scatter", "units", "repeats", "printed"),
    [
        (COUNTED, 92, 1, 0.18),
        (COUNTED, 92, 3, 0.12),
        (COUNTED, 92, 5, 0.10),
        (COUNTED, 300, 3, 0.066),
        (COUNTED, 22, 3, 0.27),
        (GRADED, 92, 3, 0.056),
        (GRADED, 300, 3, 0.025),
    ],
)
def test_the_detectable_differences_of_the_design_to_a_quarter(scatter, units, repeats, printed):
    found = foresee(scatter, units, repeats, 2)
    assert found.pair == pytest.approx(printed, rel=0.25)
    assert foresee(scatter, units, repeats, 24).best / found.pair == pytest.approx(1.257, abs=0.005)


def test_as_many_images_as_it_says_see_the_target():
    found = foresee(COUNTED, 92, 3, 24)
    again = foresee(COUNTED, 92 * (found.best / 0.05) ** 2, 3, 24)
    assert again.best == pytest.approx(0.05)
    assert found.repeats_for(0.001) is None
    enough = found.repeats_for(found.best)
    assert enough == 3


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
    said = in_words(foresee(COUNTED, 92, 3, 24), target=0.01, kind=("image", "images"), folds=5, all_units=92)
    assert said == (
        "With 92 images in 5 folds and 3 repeats, two configurations can be told apart if they differ by about 0.12, "
        "the best of 24 and another by about 0.15 (for images of middling difficulty; where nearly all are easy, "
        "down to a tenth of it; the verdict says what was really seen). To see 0.01 takes about 21,000 images; repeats alone will not do."
    )
    two = in_words(foresee(GRADED, 300, 1, 2), target=0.0, kind=("group", "groups"), folds=4, all_units=300)
    assert two.startswith("With 300 groups in 4 folds and 1 repeat, two configurations can be told apart")
    assert "the best of" not in two
    assert "To see" not in two


def study(**judge):
    return Study.model_validate(
        {"study": "s", "data": {"path": "."}, "judge": judge, "validate": {"repeats": 3}}
    )


def test_groups_are_what_counts_and_rare_classes_are_worth_less():
    labels = [(0,)] * 82 + [(1,)] * 10
    groups = [str(i // 2) for i in range(92)]
    said = before_training(
        study(), task="binary_classification", labels=labels, groups=groups, num_configurations=4
    )
    assert said.startswith("With 46 groups in 5 folds and 3 repeats (unbalanced classes: worth 18), two ")
    assert "the best of 4 and another" in said


def test_nothing_is_said_of_one_configuration_or_of_a_loss():
    known = {"task": "binary_segmentation", "labels": [()] * 30, "groups": [str(i) for i in range(30)]}
    assert before_training(study(), num_configurations=1, **known) is None
    assert before_training(study(metric="log_loss"), num_configurations=4, **known) is None
    assert "With 30 images" in before_training(study(), num_configurations=2, **known)
