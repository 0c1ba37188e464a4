"""Advice on failure: the likeliest cause first, and longer training only where it was still improving."""

from dataclasses import replace

import pytest
from tiny_run import Wanted, make_run

from foldwise.judging.judge import _judgement
from foldwise.judging.scores.rows import read_rows
from foldwise.judging.sections.fit_warnings import advice


def advised(tmp_path, *, task="binary_classification", cases=60, improving=False, epochs=20, **training):
    """The advice on a run whose configurations were trained so."""
    folder = make_run(tmp_path / "run", Wanted(task, skills=(0.0, 0.0), num_cases=cases, epochs=epochs))
    rows = read_rows(folder)
    configurations = tuple(
        replace(each, training=each.training.model_copy(update=training)) for each in rows.configurations
    )
    fits = tuple(replace(fit, result=fit.result | _epochs(epochs, improving)) for fit in rows.fits)
    rows = replace(rows, configurations=configurations, fits=fits)
    return advice(rows, _judgement(folder.load_study(), rows))


def _epochs(number, improving):
    best = number if improving else number // 3
    scores = [{"epoch": n, "val_score": min(n, best) / number} for n in range(1, number + 1)]
    return {"best_epoch": best, "epochs": scores}


def test_few_photographs_and_random_weights_come_first(tmp_path):
    words = advised(tmp_path, cases=150, improving=True)
    assert words.startswith("Start from pretrained weights, the likeliest cure: 8")
    assert words.index("pretrained") < words.index("Train longer (train.epochs)")


@pytest.mark.parametrize("improving", [True, False])
def test_longer_training_is_advised_only_where_it_was_still_improving(tmp_path, improving):
    words = advised(tmp_path, cases=300, improving=improving, weights="imagenet")
    assert ("Train longer" in words) == improving
    assert ("Look at the learning curves" in words) != improving
    assert "pretrained" not in words


def test_too_few_steps_are_named_in_place_of_longer_training(tmp_path):
    words = advised(tmp_path, epochs=4, improving=True, weights="imagenet")
    assert words.startswith("Take more steps of the optimiser than 8")
    assert "Train longer" not in words


def test_masks_need_no_pretrained_weights(tmp_path):
    assert "pretrained" not in advised(tmp_path, task="binary_segmentation")
