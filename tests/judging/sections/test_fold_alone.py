"""What one fold's network reached stands with an interval for its own test images, equal to one made by hand."""

import re

import numpy as np
import pytest
from judged import judge
from statsmodels.stats.proportion import proportion_confint
from tiny_run import CLASSES, Wanted, make_run

from foldwise.judging.scores.rows import read_rows
from foldwise.judging.sections.external_set import judged_fold

NUMBERS = re.compile(r"(\d\.\d+) \(95 % interval (\d\.\d+) to (\d\.\d+)\)")


def made(tmp_path, **wanted):
    folder = make_run(tmp_path / "run", Wanted(skills=(0.8, 1.2), num_cases=120, **wanted))
    return folder, judge(folder)


@pytest.mark.parametrize("task", CLASSES)
def test_it_is_the_score_of_the_fold_inside_its_interval(tmp_path, task):
    folder, verdict = made(tmp_path, task=task)
    for row in verdict["configurations"]:
        for score in row["folds"]:
            sentence = judged_fold(folder, row["id"], score["fold"])
            estimate, low, high = map(float, NUMBERS.search(sentence).groups())
            assert estimate == pytest.approx(score["score"], abs=0.006)
            assert low <= estimate <= high
            assert low < high
            assert f"fold {score['fold'] + 1} alone" in sentence
            assert "on the 40 test images of its fold; this holds for these trained weights" in sentence


def test_of_right_and_wrong_images_it_is_wilsons(tmp_path):
    folder, verdict = made(tmp_path, judge="{metric: accuracy}")
    rows = read_rows(folder)
    for fit in rows.fits:
        arrays = rows.all_scores_of(fit)
        right = int((arrays["probabilities"].argmax(1) == rows.truth[arrays["case"]].argmax(1)).sum())
        wanted = proportion_confint(right, len(arrays["case"]), method="wilson")
        given = NUMBERS.search(judged_fold(folder, fit.configuration, fit.fold)).groups()
        np.testing.assert_allclose([float(end) for end in given[1:]], wanted, atol=0.006)
    assert verdict["metric"]["name"] == "accuracy"


def test_groups_count_and_not_their_images(tmp_path):
    folder, verdict = made(tmp_path, task="binary_segmentation", group_size=4)
    sentence = judged_fold(folder, verdict["answer"]["configuration"], 0)
    assert "on the 40 test images in 10 groups of its fold" in sentence


def test_too_few_images_have_no_interval(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(judge="{metric: auroc}", num_cases=24))
    verdict = judge(folder)
    assert "no interval: too few images" in judged_fold(folder, verdict["configurations"][0]["id"], 1)
