"""One relation says who is better: its two families of limits keep their promise together, and no seed decides it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_variance import exact_variance

from foldwise.judging.statistics.design import PLAIN, Factor
from foldwise.judging.statistics.differences import FactorialScores, IntervalOptions, all_pairs
from foldwise.judging.statistics.draws import limit_of, settled, tail
from foldwise.judging.statistics.effects import effect, views
from foldwise.judging.statistics.inference import compare
from foldwise.judging.statistics.variance import estimate_variance


def unequal(seed, C):
    """Estimates with errors and correlations that differ, some configurations nearly alike."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(C, C)) * rng.uniform(0.2, 2, C)[:, None]
    estimate = rng.normal(0, rng.uniform(0.1, 6), C)
    if C > 3:
        root[1], estimate[1] = root[0] + 0.05 * root[1], estimate[0] - rng.uniform(0, 1)
    image = root @ root.T + 1e-6 * np.eye(C)
    return exact_variance(estimate, image, df_image=float(rng.integers(5, 200)))


@given(st.integers(0, 10_000), st.integers(2, 9))
@settings(deadline=None, max_examples=60)
def test_nothing_that_follows_from_it_contradicts_it(seed, C):
    known = unequal(seed, C)
    found = compare(known, draws=500, most=500)
    better, winner = found.better, found.winner
    assert not (better & better.T).any()
    assert not ((better.astype(int) @ better.astype(int) > 0) & ~better).any()  # a over b over c, so a over c
    assert np.array_equal(better, found.p_better <= 0.05)
    assert np.array_equal(found.could_be_best, found.p > 0.05)
    assert np.array_equal(found.could_be_best, found.rank_low == 1)
    assert found.could_be_best[winner]
    assert (found.could_be_best.sum() == 1) == (found.rank_high[winner] == 1)
    for c in range(C):
        rival = found.ruled_out_by(c)
        assert (rival is None) == found.could_be_best[c]
        assert rival is None or (better[rival, c] and found.could_be_best[rival])
        assert rival is None or rival == winner or not better[winner, c]
    for pair in all_pairs(known, found, alpha=0.05, margin=0.0):
        assert (pair.low_all > 0) == (pair.p_all <= 0.05) == better[pair.a, pair.b]
        assert pair.conclusion == ("better" if better[pair.a, pair.b] else "not distinguishable")
        assert pair.low_all <= pair.difference <= pair.high_all
        assert (pair.family == "best") == (found.clear and winner == pair.a)


def test_a_winner_ahead_of_all_others_has_the_limits_of_comparisons_with_the_best():
    # 2.45 standard errors: less than all pairs of four take (2.57), more than the best against three (2.35).
    known = exact_variance(np.array([2.45 * np.sqrt(2), 0.0, -0.1, -0.2]), np.eye(4))
    found = compare(known)
    assert (found.clear, found.could_be_best.tolist()) == (True, [True, False, False, False])
    first, *_, last = all_pairs(known, found, alpha=0.05, margin=0.0)
    assert (first.family, first.conclusion, last.family) == ("best", "better", "all pairs")
    assert first.low_all == pytest.approx((2.45 - found.best_limit) * np.sqrt(2), abs=1e-6)
    # With a rival that is not ruled out the winner is only the one that came first.
    tied = compare(replace(known, estimate=np.array([2.45 * np.sqrt(2), 3.0, -0.0, -0.0])))
    assert (tied.clear, tied.could_be_best.tolist()) == (False, [True, True, True, True])


@pytest.mark.parametrize(
    ("estimate", "most_wrong"),
    [([0.0] * 3, 0.051), ([0.0, 0.0, -9.0], 0.03), ([0.0] * 8, 0.05), ([3.0] + [0.0] * 7, 0.05)],
)
def test_some_better_is_wrong_in_five_of_a_hundred_studies_at_most(estimate, most_wrong):
    true, rng, num = np.array(estimate), np.random.default_rng(len(estimate)), 600
    known, wrong, held = exact_variance(true, np.eye(len(true))), 0, 0
    for seed in range(num):
        one = replace(known, estimate=true + rng.standard_normal(len(true)))
        found = compare(one, seed=seed, draws=1000, most=1000)
        wrong += bool((found.better & (true[:, None] <= true[None, :])).any())
        apart = true[found.winner] - true
        held += bool(((found.low[found.winner] <= apart) & (apart <= -found.low[:, found.winner])).all())
    three = 3 * np.sqrt(0.05 * 0.95 / num)
    assert wrong / num <= most_wrong + three
    assert held / num >= 0.95 - three


def conclusions(found):
    return found.better.tolist(), found.clear, found.winner


@pytest.mark.parametrize("lead", [2.0, 2.3, 2.4, 2.5, 2.65, 2.8])
def test_no_seed_turns_a_verdict(lead):
    known = exact_variance(np.array([lead, 0.0, -0.3, -0.9]) * np.sqrt(2), np.eye(4))
    settled_p = compare(known).p_better
    assert settled(settled_p[np.triu_indices(4, 1)], 0.05, 128_000)  # else another example
    assert len({str(conclusions(compare(known, seed=seed))) for seed in range(50)}) == 1


def test_draws_are_doubled_only_where_it_is_close():
    far = exact_variance(np.array([9.0, 0.0]), np.eye(2))
    close = exact_variance(np.array([1.96 * np.sqrt(2), 0.0]), np.eye(2))
    assert (compare(far).draws, compare(close).draws) == (2000, 128_000)
    assert compare(close).p[1] == pytest.approx(0.05, abs=3 * 0.0006)


@given(st.integers(0, 1000), st.sampled_from([0.001, 0.05, 0.2]))
def test_what_exceeds_its_limit_has_a_small_p_value(seed, alpha):
    drawn = np.abs(np.random.default_rng(seed).normal(size=2000)).round(2)
    observed = np.unique(drawn)
    assert np.array_equal(observed > limit_of(drawn, alpha), tail(drawn, observed) <= alpha)


def test_the_levels_of_a_single_factor_are_the_configurations():
    rng = np.random.default_rng(0)
    values = 0.5 + 0.1 * rng.normal(size=(3, 1, 60)) + np.array([0.05, 0.02, 0.0])[:, None, None]
    folds = np.arange(60)[None] % 5
    known = estimate_variance(values, folds)
    pairs = all_pairs(known, compare(known), alpha=0.05, margin=0.01)
    names = ("a", "b", "c")
    factor = Factor("model", names, names, np.arange(3))
    view = views([factor], factor, known.estimate)[0]
    options = IntervalOptions(margin=0.01, pairs=lambda: pairs)
    contrasts = effect([factor], factor, view, FactorialScores(values, folds, known), options).contrasts
    assert view.name == PLAIN
    assert [(one.a, one.b, one.low, one.high, one.p, one.conclusion) for one in contrasts] == [
        (pair.a, pair.b, pair.low_all, pair.high_all, pair.p_all, pair.conclusion) for pair in pairs
    ]
