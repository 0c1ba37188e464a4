"""What mattered: contrasts, sums of squares and shares against statsmodels, and promises kept on made-up studies."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from foldwise.judging.statistics.design import CONFIGURED, TUNED, Factor, level_weights, projections
from foldwise.judging.statistics.differences import (
    Contrasts,
    FactorialScores,
    IntervalOptions,
    contrast_runs,
)
from foldwise.judging.statistics.effects import (
    effect,
    matched_sets,
    shares,
    views,
)
from foldwise.judging.statistics.run_moments import run_moments, runs_in_mean
from foldwise.judging.statistics.variance import estimate_variance
from foldwise.study.factors import nested_levels

SIZES = (3, 2, 4)
QUICK = IntervalOptions(most=2000)


def grid(sizes=SIZES, keep=None, nested=None):
    """Factors f0, f1 ... of a full factorial, or of the cells that are kept, with the families of one of them."""
    cells = np.array(list(product(*map(range, sizes))))[slice(None) if keep is None else keep]
    made = []
    for place, size in enumerate(sizes):
        levels = tuple(f"f{place}-{level}" for level in range(size))
        known = nested if nested and place == 0 else levels
        made.append(Factor(f"f{place}", levels, known, cells[:, place]))
    return made


def scored(factors, seed=0, n=30, R=2):
    """Random scores without any inference."""
    rng = np.random.default_rng(seed)
    C = len(factors[0].of)
    values = rng.normal(0, 0.1, (C, R, n)) + rng.normal(0, 0.1, (C, 1, 1))
    return FactorialScores(values, np.stack([rng.permutation(n) % 5 for _ in range(R)]), None)


def table(factors, y):
    return pd.DataFrame({f.name: np.array(f.levels)[f.of] for f in factors} | {"y": y})


KEPT = [c for c in range(24) if c not in (1, 6, 13, 20)]


@pytest.mark.parametrize("keep", [None, KEPT], ids=["full", "incomplete"])
def test_differences_are_those_of_ordinary_least_squares(keep):
    factors = grid(keep=keep)
    scores = scored(factors)
    fitted = ols("y ~ C(f0) + C(f1) + C(f2)", table(factors, scores.estimate)).fit()
    found = effect(factors, factors[2], views(factors, factors[2], scores.estimate)[0], scores)
    own = [0.0] + [fitted.params[f"C(f2)[T.f2-{level}]"] for level in (1, 2, 3)]
    for pair in found.contrasts:
        assert pair.difference == pytest.approx(own[pair.a] - own[pair.b])
        assert pair.difference >= 0
    assert len(found.contrasts) == 6


@pytest.mark.parametrize("keep", [None, KEPT], ids=["full", "incomplete"])
def test_sums_of_squares_are_those_of_type_ii(keep):
    factors = grid(keep=keep)
    y = scored(factors, seed=1).estimate
    formula = "y ~ C(f0, Sum) + C(f1, Sum) + C(f2, Sum) + C(f0, Sum):C(f1, Sum) + C(f0, Sum):C(f2, Sum) + C(f1, Sum):C(f2, Sum)"
    known = anova_lm(ols(formula, table(factors, y)).fit(), typ=2)
    by_term, rest = projections(factors)
    for term, onto in by_term.items():
        row = known.loc[":".join(f"C({name}, Sum)" for name in term)]
        assert y @ onto @ y == pytest.approx(row["sum_sq"])
        assert np.trace(onto) == pytest.approx(row["df"])
    assert y @ rest @ y == pytest.approx(known.loc["Residual", "sum_sq"])


def test_in_a_full_grid_the_means_are_plain_means_and_effects_add_up_to_nothing():
    factors = grid()
    scores = scored(factors, seed=2)
    for factor in factors:
        found = effect(factors, factor, views(factors, factor, scores.estimate)[0], scores)
        plain = [scores.estimate[factor.of == level].mean() for level in range(len(factor.levels))]
        np.testing.assert_allclose(found.means, plain)
        assert (found.means - scores.estimate.mean()).sum() == pytest.approx(0, abs=1e-12)


def test_an_effect_of_two_levels_is_the_mean_of_paired_differences_and_their_signs_are_counted():
    factors = grid((3, 2))
    y = np.array([0.9, 0.7, 0.8, 0.9, 0.6, 0.5])
    values = np.broadcast_to(y[:, None, None], (6, 1, 10))
    scores = FactorialScores(values, np.arange(10)[None] % 5, None)
    (pair,) = effect(factors, factors[1], views(factors, factors[1], y)[0], scores).contrasts
    assert pair.difference == pytest.approx(np.mean(y[::2] - y[1::2]))
    assert (pair.agree, pair.matched) == (2, 3)
    assert (pair.low, pair.conclusion) == (None, None)


# accuracies of 22 images of the 24 classifiers of gel pictures: hardware, architecture, head, optimiser
GELS = [18, 15, 18, 20, 15, 11, 17, 17, 12, 12, 14, 15, 18, 20, 19, 21, 16, 17, 17, 17, 15, 17, 14, 16]


def test_the_published_table_of_gel_classifiers():
    factors = grid((2, 3, 2, 2))
    y = np.array(GELS) / 22
    scores = FactorialScores(np.broadcast_to(y[:, None, None], (24, 1, 2)), np.array([[0, 1]]), None)
    known = {}
    for factor in factors:
        found = effect(factors, factor, views(factors, factor, y)[0], scores)
        known[factor.name] = 100 * found.contrasts[0].difference
        assert (found.contrasts[0].low, found.contrasts[0].conclusion) == (None, None)  # one run, no images
    # the two levels of hardware, of the head and of the optimiser differ by these points
    assert known["f0"] == pytest.approx(8.7121, abs=1e-4)
    assert known["f2"] == pytest.approx(7.1970, abs=1e-4)
    assert known["f3"] == pytest.approx(1.8939, abs=1e-4)
    by_term, _ = projections(factors)
    squares = {name: y @ by_term[(name,)] @ y for name in ("f0", "f1", "f2", "f3")}
    residual = ((y - y.mean()) ** 2).sum() - sum(squares.values())
    ratios = {name: squares[name] / {"f1": 2}.get(name, 1) / (residual / 18) for name in squares}
    assert ratios == pytest.approx({"f0": 10.3052, "f1": 17.3766, "f2": 7.0325, "f3": 0.4870}, abs=1e-3)


def test_levels_that_change_together_are_not_told_apart():
    factors = grid((2, 2, 2), keep=[0, 1, 6, 7])  # the first two always have the same level
    scores = scored(factors)
    assert not level_weights(factors, factors[0], np.array([[1.0, -1.0]])).estimable
    (pair,) = effect(factors, factors[0], views(factors, factors[0], scores.estimate)[0], scores).contrasts
    assert (pair.difference, pair.matched, pair.conclusion) == (None, 0, None)
    assert level_weights(factors, factors[2], np.array([[1.0, -1.0]])).estimable


def test_nested_levels_are_compared_by_their_mean_and_by_their_best():
    factors = grid((3, 2), nested=("sgd", "sgd", "adam"))
    y = np.array([0.5, 0.6, 0.8, 0.9, 0.75, 0.65])  # sgd twice: 0.55 and 0.85; adam: 0.7
    scores = FactorialScores(np.broadcast_to(y[:, None, None], (6, 1, 10)), np.arange(10)[None] % 5, None)
    configured, tuned = views(factors, factors[0], y)
    assert (configured.name, tuned.name) == (CONFIGURED, TUNED)
    means = effect(factors, factors[0], configured, scores).means
    np.testing.assert_allclose(means, [0.7, 0.7])
    found = effect(factors, factors[0], tuned, scores)
    np.testing.assert_allclose(found.means, [0.85, 0.7])
    assert tuned.settings(factors[0], 0) == ["f0-1"]
    assert (found.contrasts[0].agree, found.contrasts[0].matched) == (2, 2)


def test_families_are_what_each_spells_out():
    lr = {"lr": {"each": [0.1, 0.01]}}
    assert nested_levels("optimizer", ["adam", {"sgd": lr}]) == {
        "adam": "adam",
        "sgd (lr 0.1)": "sgd",
        "sgd (lr 0.01)": "sgd",
    }
    twice = nested_levels("optimizer", [{"sgd": lr | {"momentum": 0.9}}, {"sgd": lr | {"momentum": 0}}])
    assert set(twice.values()) == {"sgd (momentum 0.9)", "sgd (momentum 0)"}
    assert set(nested_levels("epochs", [1, {"each": [2, 3]}]).values()) == {"1", "2", "3"}
    alone = nested_levels("model", [{"unet": {"depth": {"each": [2, 3]}}}])
    assert set(alone.values()) == {"unet (depth 2)", "unet (depth 3)"}
    bundle = nested_levels(
        "net", [{"name": "A", "model": "unet", "epochs": {"each": [1, 2]}}, {"model": "vit"}]
    )
    assert set(bundle.values()) == {"A", "vit"}


def made_up(rng, level_run=0.0, n=60):
    """Three factors of which the last does nothing; noise of images, of levels on images, and of runs."""
    factors = grid((2, 2, 2))
    truth = 0.05 * (factors[0].of == 0) + 0.03 * (factors[1].of == 0)
    folds = rng.permutation(n)[None] % 5
    values = 0.7 + truth[:, None] + rng.normal(0, 0.2, n) + rng.normal(0, 0.15, (8, n))
    values += rng.normal(0, 0.02, (8, 5))[:, folds[0]]
    for factor in factors:
        values += (
            rng.normal(0, 0.06, (2, n))[factor.of] + rng.normal(0, level_run, (2, 5))[factor.of][:, folds[0]]
        )
    return factors, FactorialScores(values[:, None], folds, estimate_variance(values[:, None], folds)), truth


@pytest.mark.parametrize("level_run", [0.0, 0.02])
def test_intervals_hold_what_is_true_and_a_factor_that_does_nothing_is_rarely_called(level_run):
    rng = np.random.default_rng(3)
    num, covered, called = 50, 0, 0
    for seed in range(num):
        factors, scores, truth = made_up(rng, level_run)
        for factor in factors:
            (pair,) = effect(
                factors,
                factor,
                views(factors, factor, scores.estimate)[0],
                scores,
                IntervalOptions(seed=seed, most=2000),
            ).contrasts
            levels = [truth[factor.of == level].mean() for level in (0, 1)]
            covered += pair.low <= levels[pair.a] - levels[pair.b] <= pair.high
        called += pair.conclusion == "better"
    assert covered / (3 * num) >= 0.92
    assert called / num <= 0.08


def test_luck_that_all_configurations_of_a_level_share_does_not_average_out():
    """Two levels whose runs vary by 0.1 each: a difference between them varies by 2 x 0.01, whatever else is averaged."""
    rng, factors, n = np.random.default_rng(4), grid((2, 2, 2)), 300
    contrasts = Contrasts(level_weights(factors, factors[2], np.eye(2)).weights, np.array([0]), np.array([1]))
    own, implied = [], []
    for _ in range(20):
        folds = rng.permutation(n)[None] % 5
        values = rng.normal(0.7, 0.2, n) + rng.normal(0, 0.1, (8, n))
        values = (values + rng.normal(0, 0.1, (2, 5))[factors[2].of][:, folds[0]])[:, None]
        scores = FactorialScores(values, folds, estimate_variance(values, folds))
        own.append(contrast_runs(contrasts, scores)[0] / runs_in_mean(folds))
        implied.append((contrasts.of(contrasts.weights) ** 2 @ scores.variance.run)[0])
    assert np.mean(own) == pytest.approx(2 * 0.1**2, rel=0.3)
    assert np.mean(implied) < np.mean(own) / 3


def test_intervals_of_many_levels_hold_together():
    rng = np.random.default_rng(5)
    factors = grid((6, 2))
    values = rng.normal(0.7, 0.1, (12, 3, 80))
    folds = np.stack([rng.permutation(80) % 5 for _ in range(3)])
    scores = FactorialScores(values, folds, estimate_variance(values, folds))
    many = effect(factors, factors[0], views(factors, factors[0], scores.estimate)[0], scores).contrasts
    halves = {round((pair.high - pair.low) / 2 / pair.error, 6) for pair in many}
    assert len(halves) == 1  # one quantile for all
    # of the largest of 15 differences of six means; Tukey's range for infinitely many is 4.03 / sqrt 2
    assert 2.7 < halves.pop() < 3.3
    assert all((pair.p <= 0.05) == (pair.low > 0) for pair in many)


def test_shares_of_differences_without_noise_are_exact_and_shares_of_noise_are_not_told():
    factors = grid((2, 2, 2))
    effects = [0.3 * (factors[0].of - 0.5), 0.1 * (factors[1].of - 0.5)]
    n, rng = 400, np.random.default_rng(6)
    folds = np.stack([rng.permutation(n) % 5 for _ in range(2)])
    values = (0.5 + sum(effects))[:, None, None] + rng.normal(0, 0.1, n) + rng.normal(0, 1e-4, (8, 2, n))
    found = shares(factors, FactorialScores(values, folds, estimate_variance(values, folds)))
    assert found.of[("f0",)] == pytest.approx(0.9, abs=1e-3)
    assert found.of[("f1",)] == pytest.approx(0.1, abs=1e-3)
    assert sum(found.of.values()) == pytest.approx(1)
    noise = rng.normal(0.5, 0.1, (8, 2, n))
    told = shares(factors, FactorialScores(noise, folds, estimate_variance(noise, folds)))
    assert told.of == {}
    assert told.noise > 0.5


def test_noise_is_taken_off_the_shares_of_interactions():
    """Raw shares of the sum of squares call noise an interaction; freed from it, the share is near the truth of 0."""
    rng, raw, freed = np.random.default_rng(7), [], []
    factors = grid((4, 4))
    for _ in range(20):
        truth = np.array([0, 0.05, 0.1, 0.15])[factors[0].of]
        folds = rng.permutation(60)[None] % 5
        values = (truth[:, None] + rng.normal(0.7, 0.2, 60) + rng.normal(0, 0.2, (16, 60)))[:, None]
        scores = FactorialScores(values, folds, estimate_variance(values, folds))
        y, onto = scores.estimate, projections(factors)[0][("f0", "f1")]
        raw.append(y @ onto @ y / ((y - y.mean()) ** 2).sum())
        freed.append(shares(factors, scores).of.get(("f0", "f1"), 0.0))
    assert np.mean(raw) > 0.05
    assert np.mean(freed) < np.mean(raw) / 2


def test_sets_hold_configurations_that_differ_in_nothing_else():
    factors = grid((2, 3), keep=[0, 1, 2, 3, 5])
    y = np.arange(5) / 10
    sets = matched_sets(factors, factors[0], views(factors, factors[0], y)[0], y)
    np.testing.assert_allclose(sets[("f1-0",)], [0.0, 0.3])
    np.testing.assert_allclose(sets[("f1-1",)], [0.1, np.nan])


def test_scores_of_right_and_wrong_have_a_floor_in_contrasts_too():
    """Without any scatter, as much as the mean of two pairs has that each move by one image."""
    factors, folds = grid((2, 2)), np.arange(20)[None] % 5
    values = np.ones((4, 1, 20))
    known = estimate_variance(values, folds, floor=1 / 20**2)
    (pair,) = effect(
        factors,
        factors[0],
        views(factors, factors[0], values.mean(axis=(1, 2)))[0],
        FactorialScores(values, folds, known),
    ).contrasts
    assert pair.error == pytest.approx(np.sqrt(1 / 20**2 / 2))
    assert pair.high == pytest.approx(1.96 * pair.error, rel=0.1)
    assert (pair.difference, pair.agree, pair.conclusion) == (0.0, 0, "not distinguishable")


@pytest.mark.parametrize("keep", [None, KEPT], ids=["full", "incomplete"])
def test_contrasts_computed_together_have_the_errors_of_each_by_itself(keep):
    rng, factors = np.random.default_rng(6), grid(keep=keep)
    C, folds = len(factors[0].of), np.stack([rng.permutation(40) % 5 for _ in range(2)])
    values = np.clip(rng.normal(0.7, 0.1, (C, 2, 40)) + rng.normal(0, 0.1, 40), 0, 1)
    variance = estimate_variance(values, folds, floor=1e-4, bounds=(0, 1))
    scores = FactorialScores(values, folds, variance)
    for factor in factors:
        weights = level_weights(factors, factor, np.eye(len(factor.levels))).weights
        for pair in effect(
            factors, factor, views(factors, factor, scores.estimate)[0], scores, QUICK
        ).contrasts:
            own = weights[pair.a] - weights[pair.b]
            (moment,) = run_moments(np.tensordot(own, values, axes=1)[None], folds).own
            runs = max(moment, own**2 @ variance.run) * runs_in_mean(folds)
            square = own @ variance.image @ own + runs + 1e-4 * own @ own / 2
            assert pair.error == pytest.approx(np.sqrt(square), rel=1e-12)
            assert pair.difference == pytest.approx(own @ scores.estimate, abs=1e-12)


def test_how_many_draws_are_made_together_changes_no_interval(monkeypatch):
    rng, factors = np.random.default_rng(3), grid()
    C, folds = len(factors[0].of), np.stack([rng.permutation(40) % 5 for _ in range(2)])
    values = np.clip(rng.normal(0.7, 0.1, (C, 2, 40)), 0, 1)
    scores = FactorialScores(values, folds, estimate_variance(values, folds, floor=1e-4, bounds=(0, 1)))
    (view,) = views(factors, factors[2], scores.estimate)
    whole = effect(factors, factors[2], view, scores, QUICK).contrasts
    monkeypatch.setattr("foldwise.judging.statistics.differences.IN_CACHE", 7)
    assert effect(factors, factors[2], view, scores, QUICK).contrasts == whole
