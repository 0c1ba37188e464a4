"""The interval of an external set holds its promise: its images are new, its models share the luck of training sets."""

import numpy as np
import pytest

from foldwise.judging.sections.external_set import with_luck_of_models
from foldwise.judging.statistics.intervals import Spread, interval
from foldwise.metrics.table import METRICS

DRAWS, TRUTH, IMAGE_SD, OWN_IMAGE_SD = 600, 0.8, 0.12, 0.08
MONTE_CARLO = 2 * np.sqrt(0.93 * 0.07 / DRAWS)
DICE = METRICS["dice_img_macro"]


def drawn(rng, *, models, images, run_sd):
    """Scores (M, n) of the models of M folds.

    Their luck has this standard deviation each and the correlation 1 / M between them, as Nadeau and Bengio have it of
    training sets that overlap.
    """
    shared = run_sd * np.sqrt(1 / models) * rng.normal()
    luck = shared + run_sd * np.sqrt(1 - 1 / models) * rng.normal(size=(models, 1))
    hard = IMAGE_SD * rng.normal(size=images)
    return TRUTH + luck + hard + OWN_IMAGE_SD * rng.normal(size=(models, images)), float(np.mean(luck))


def spread_of(scores_Mn):
    """What the images drawn say of the mean over models, as if nothing were known of their luck."""
    mean_n, num = scores_Mn.mean(axis=0), scores_Mn.shape[1]
    image = float(mean_n.var(ddof=1)) / num
    return Spread(float(mean_n.mean()), image, 0.0, num, num, num, num - 1, grouped=False)


def coverage(*, models, images, run_sd, seed=0):
    """How often the interval holds the score of models trained anew on all images there are, and without their luck."""
    rng, inside = np.random.default_rng(seed), np.zeros((DRAWS, 2), bool)
    for row in inside:
        scores, luck = drawn(rng, models=models, images=images, run_sd=run_sd)
        truth = TRUTH if models > 1 else TRUTH + luck  # of one model: of these trained weights
        spread = spread_of(scores)
        for column, other in enumerate((with_luck_of_models(spread, scores, DICE), spread)):
            low, high = interval(DICE.interval, other)
            row[column] = low <= truth <= high
    return inside.mean(axis=0)


@pytest.mark.parametrize(
    ("models", "images", "run_sd"),
    [
        (2, 60, 0.02),
        (3, 60, 0.0),
        (3, 60, 0.03),
        (3, 400, 0.06),
        (5, 60, 0.03),
        (5, 400, 0.06),
        (10, 200, 0.06),
    ],
)
def test_the_interval_holds_the_score_of_models_trained_anew(models, images, run_sd):
    assert coverage(models=models, images=images, run_sd=run_sd)[0] >= 0.93 - MONTE_CARLO


def test_without_the_luck_of_models_it_would_not():
    with_luck, without = coverage(models=5, images=400, run_sd=0.06)
    assert without < 0.5 < with_luck


def test_of_one_model_it_holds_for_these_weights():
    counted, plain = coverage(models=1, images=100, run_sd=0.05)
    assert counted == plain >= 0.93 - MONTE_CARLO
