"""What the verdict settles about the winner is laid out beside its models."""

import numpy as np
import pytest
from tiny_run import CLASSES, Wanted, make_run

from foldwise.judging.judge import judge
from foldwise.pipeline.pipeline import _decision


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
