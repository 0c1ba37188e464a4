"""The pipeline against the printed fixture of the design, known critical values, and its properties."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_variance import exact_variance
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm, t
from statsmodels.stats.multitest import multipletests

from foldwise.judging.statistics.inference import _closed as closed
from foldwise.judging.statistics.inference import as_good_as_any, compare
from foldwise.judging.statistics.variance import estimate_variance, with_fixed_row
from foldwise.metrics.influence import Units


def fixture():
    C, R, n = 6, 2, 20
    c, r, i = np.meshgrid(np.arange(C), np.arange(R), np.arange(n), indexing="ij")
    repeat, image = np.meshgrid(np.arange(R), np.arange(n), indexing="ij")
    return ((7 * c + 5 * r + 3 * i + c * i) % 11) / 10 + 0.02 * c, (image + repeat * (image // 4)) % 4


def mirrored(*half):
    return [*half, *half[::-1]]


def test_the_fixture_to_its_printed_digits():
    known = estimate_variance(*fixture())
    image = np.sqrt(np.diag(known.image))
    assert known.estimate == pytest.approx([0.4875, 0.5075, 0.5275, 0.5475, 0.5675, 0.5875])
    assert image == pytest.approx(mirrored(0.035703, 0.036432, 0.036792), abs=5e-7)
    assert known.run == pytest.approx(mirrored(0.012833, 0, 0), abs=5e-7)
    assert known.run_of_mean == pytest.approx(mirrored(0.005561, 0, 0), abs=5e-7)
    assert known.standard_error == pytest.approx(mirrored(0.082679, 0.036432, 0.036792), abs=5e-7)
    assert known.estimate[0] - known.estimate[1] == pytest.approx(-0.02)
    assert known.of_differences()[0, 1] == pytest.approx(0.08703, abs=5e-6)


def test_the_fixture_in_groups_of_four():
    scores, _ = fixture()
    units = Units.from_groups([str(i // 4) for i in range(20)])
    grouped = np.stack([[units.sums(one, np.arange(20)) / 4 for one in repeats] for repeats in scores])
    image = np.diag(estimate_variance(grouped, np.zeros((2, 5), dtype=int)).image)
    assert np.sqrt(image) == pytest.approx(mirrored(0.023049, 0.019764, 0.037914), abs=5e-7)


def independent(num):
    """Independent, equally good configurations with an error of 1 that is known exactly."""
    zeros = np.zeros(num)
    return exact_variance(zeros, np.eye(num))


@pytest.mark.parametrize(("rivals", "critical"), [(2, 1.918), (9, 2.417), (23, 2.681)])
def test_one_sided_critical_values(rivals, critical):
    estimate = np.zeros(rivals + 1)
    estimate[0] = -critical * np.sqrt(2)  # all others are exactly at the critical value above it
    known = replace(independent(rivals + 1), estimate=estimate)
    assert as_good_as_any(known, [0])[0] == pytest.approx(0.05, abs=0.003)


@pytest.mark.parametrize("rivals", [1, 2, 3, 9, 23])
def test_comparisons_with_the_best_have_dunnetts_two_sided_quantile(rivals):
    # Given the control z, rivals are independent: P(all |x - z| / sqrt 2 <= d) by one integral.
    def beyond(d):
        def within(z):
            return norm.pdf(z) * (norm.cdf(z + d * np.sqrt(2)) - norm.cdf(z - d * np.sqrt(2))) ** rivals

        return quad(within, -8, 8)[0] - 0.95

    limit = compare(independent(rivals + 1), draws=64_000, most=64_000).best_limit
    assert limit == pytest.approx(brentq(beyond, 1, 5), abs=0.035)


@pytest.mark.parametrize(("num", "critical"), [(3, 2.3437), (10, 3.1637), (24, 3.6373)])
def test_all_pairs_agree_with_tukey(num, critical):
    known = independent(num)
    estimate = np.zeros(num)
    estimate[0] = critical * np.sqrt(2)  # the first and the last are exactly at the critical value
    estimate[1:-1] = critical * np.sqrt(
        2
    )  # ... and the last one the worst of all, so that no winner is clear
    moved = replace(known, estimate=estimate)
    assert compare(moved, draws=40_000).p_better[0, -1] == pytest.approx(0.05, abs=0.005)


def test_one_against_all_is_never_worse_than_bonferroni():
    estimate = np.array([0.0, 1.0, 2.5, 4.5])
    image = np.eye(4) + 0.5
    known = exact_variance(estimate, image)
    raw = norm.sf((estimate[3] - estimate[:3]) / known.of_differences()[:3, 3])
    last = [as_good_as_any(known, [c])[0] for c in range(3)]
    assert np.all(np.array(last) <= multipletests(raw, method="bonferroni")[1] + 0.005)


def random_scores(seed, C=5, R=2, n=30):
    rng = np.random.default_rng(seed)
    folds = np.stack([rng.permutation(n) % 5 for _ in range(R)])
    return rng.random((C, R, n)), folds


def same_comparison(first, second, order):
    np.testing.assert_allclose(first.p[order], second.p, atol=0.05)
    assert np.array_equal(first.better[order][:, order], second.better)


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=10)
def test_a_order_of_configurations_is_no_matter(seed):
    scores, folds = random_scores(seed)
    order = np.random.default_rng(seed).permutation(5)
    first, second = estimate_variance(scores, folds), estimate_variance(scores[order], folds)
    np.testing.assert_allclose(first.standard_error[order], second.standard_error)
    same_comparison(compare(first), compare(second), order)


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=10)
def test_b_what_is_added_to_an_image_for_all_changes_no_difference(seed):
    scores, folds = random_scores(seed)
    added = scores + np.random.default_rng(seed).normal(0, 5, 30)
    first, second = estimate_variance(scores, folds), estimate_variance(added, folds)
    np.testing.assert_allclose(first.of_differences(), second.of_differences(), atol=1e-9)
    np.testing.assert_allclose(first.run, second.run, atol=1e-9)
    assert np.array_equal(compare(first).could_be_best, compare(second).could_be_best)


def test_c_a_duplicate_is_tied_with_its_original():
    scores, folds = random_scores(3)
    doubled = estimate_variance(np.concatenate([scores, scores[:1]]), folds)
    found = compare(doubled)
    error = doubled.of_differences()[0, -1]
    assert doubled.estimate[0] == pytest.approx(doubled.estimate[-1])
    assert error**2 == pytest.approx(doubled.run_of_mean[0] + doubled.run_of_mean[-1], abs=1e-12)
    assert found.could_be_best[0] == found.could_be_best[-1]


def test_d_images_doubled_within_groups_leave_the_error():
    scores, _ = random_scores(4)
    groups = [str(i // 3) for i in range(30)]
    once, twice = Units.from_groups(groups), Units.from_groups([*groups, *groups])
    one = np.stack([[once.sums(row, np.arange(30)) / 3 for row in rows] for rows in scores])
    two = np.stack([[twice.sums(np.tile(row, 2), np.arange(60)) / 6 for row in rows] for rows in scores])
    flat = np.zeros((2, 10), dtype=int)
    np.testing.assert_allclose(
        estimate_variance(one, flat).standard_error, estimate_variance(two, flat).standard_error
    )


def test_e_equal_configurations_are_rarely_ruled_out():
    rng = np.random.default_rng(0)
    num, C, lost, called = 60, 8, 0, 0
    for _ in range(num):
        folds = rng.permutation(92)[None, :] % 5
        runs = rng.normal(0, 0.02, (C, 5))
        scores = rng.normal(0.75, 0.2, 92) + rng.normal(0, 0.2, (C, 92)) + runs[:, folds[0]]
        found = compare(estimate_variance(scores[:, None, :], folds), draws=500, most=500)
        lost += int((~found.could_be_best).sum())
        called += int(found.better.any())
    assert lost / (num * C) <= 0.05
    assert called / num <= 0.1  # 0.06 in the design, with 60 studies here


def test_g_equal_scores_give_no_nan():
    known = estimate_variance(np.full((3, 2, 12), 0.5), np.arange(24).reshape(2, 12) % 4)
    found = compare(known)
    assert found.could_be_best.all()
    assert np.isfinite(found.low).all()
    assert np.isfinite(found.p_better).all()


def test_of_equal_scores_that_differ_in_the_last_digit_the_first_wins():
    rng = np.random.default_rng(5)
    scores = rng.random((1, 1, 40)).repeat(3, axis=0)
    scores[2] += 1e-15
    scores[1] -= 0.1
    assert compare(estimate_variance(scores, np.arange(40)[None] % 4)).winner == 0


def test_h_one_fold_and_one_repeat_have_no_run_variance():
    known = estimate_variance(random_scores(0, R=1)[0], np.zeros((1, 30), dtype=int))
    assert known.run.tolist() == [0.0] * 5


def test_binary_pairs_have_a_floor():
    scores = np.ones((2, 1, 22))
    scores[1, 0, 0] = 0
    folds = np.zeros((1, 22), dtype=int)
    plain, floored = (
        estimate_variance(scores, folds, floor=floor).of_differences()[0, 1] for floor in (0, 1 / 22**2)
    )
    assert floored**2 - plain**2 == pytest.approx(1 / 22**2)


def test_run_variance_is_recovered():
    rng = np.random.default_rng(5)
    folds = np.stack([rng.permutation(2000) % 5 for _ in range(3)])
    runs = rng.normal(0, 0.05, (40, 3, 5))
    scores = rng.normal(0, 0.3, 2000) + rng.normal(0, 0.1, (40, 3, 2000))
    for repeat in range(3):
        scores[:, repeat] += runs[:, repeat][:, folds[repeat]]
    assert np.median(estimate_variance(scores, folds).run) == pytest.approx(0.05**2, rel=0.2)


def test_a_clear_winner_wins():
    rng = np.random.default_rng(6)
    scores = rng.normal(0.5, 0.05, (4, 3, 100))
    scores[2] += 0.3
    found = compare(estimate_variance(scores, np.stack([np.arange(100) % 5] * 3)))
    assert found.winner == 2
    assert found.could_be_best.tolist() == [False, False, True, False]
    assert found.p_wins[2] == 1
    assert found.rank_high[2] == 1
    assert (found.clear, found.better[2].sum()) == (True, 3)


def null_study(rng, num=24, n=92):
    """Equally good configurations on shared images, five folds, each with luck of its own."""
    folds = rng.permutation(n)[None, :] % 5
    runs = rng.normal(0, 0.02, (num, 5))
    return rng.normal(0.75, 0.2, n) + rng.normal(0, 0.2, (num, n)) + runs[:, folds[0]], folds


def test_a_null_study_of_the_size_of_the_design_keeps_its_promises():
    rng = np.random.default_rng(1)
    num, lost, called, covered = 120, 0, 0, 0
    for _ in range(num):
        scores, folds = null_study(rng)
        known = estimate_variance(scores[:, None, :], folds)
        found = compare(known, draws=500, most=500)
        lost += int((~found.could_be_best).sum())
        called += int(found.better.any())
        reach = t.ppf(0.975, known.df) * known.standard_error
        covered += int((np.abs(known.estimate - 0.75) <= reach).sum())
    assert lost / (num * 24) <= 0.05
    assert called / num <= 0.1  # 0.05 and three standard errors of 120 studies
    assert covered / (num * 24) >= 0.9


def test_only_what_comes_from_images_falls_with_their_number():
    rng = np.random.default_rng(2)
    folds = rng.permutation(100)[None, :] % 5
    quiet = rng.normal(0, 0.2, (6, 1, 100))
    without = compare(estimate_variance(quiet - quiet.mean(axis=2, keepdims=True), folds))
    detectable = without.minimal_detectable_difference
    assert replace(without, run_share=0.0).times_as_many(detectable / 3) == pytest.approx(9)
    half = replace(without, run_share=0.5)  # 0.5 / (0.64 - 0.5)
    assert half.times_as_many(0.8 * detectable) == pytest.approx(0.5 / 0.14)
    assert half.times_as_many(detectable) == pytest.approx(1)
    assert half.times_as_many(0.7 * detectable) == float("inf")
    runs = np.repeat(rng.normal(0, 0.1, (6, 5)), 1, axis=1)[:, folds[0]][:, None, :]
    noisy = compare(estimate_variance(quiet + runs, folds))
    assert without.run_share < noisy.run_share <= 1


def test_a_trivial_predictor_is_one_more_row():
    rng = np.random.default_rng(3)
    scores, folds = null_study(rng, num=6)
    fixed = np.full((1, 92), 0.4) + rng.normal(0, 0.01, 92)
    together = with_fixed_row(estimate_variance(scores[:, None, :], folds), scores[:, None, :], fixed)
    image = np.cov(np.concatenate([scores, fixed])) / 92
    np.testing.assert_allclose(together.image, image, atol=1e-12)
    assert together.run_of_mean[-1] == 0
    assert as_good_as_any(together, [6])[0] <= 0.001


def test_the_best_of_many_guesses_is_rarely_better_than_a_guess():
    rng, believed, num = np.random.default_rng(4), 0, 100
    for _ in range(num):
        scores = (rng.random((24, 1, 92)) < 0.5).astype(float)
        folds = rng.permutation(92)[None, :] % 5
        known = estimate_variance(scores, folds, floor=1 / 92**2)
        believed += as_good_as_any(with_fixed_row(known, scores, np.full((1, 92), 0.5)), [24])[0] <= 0.05
    assert believed / num <= 0.1


def test_a_large_study_fits_in_memory():
    scores = np.random.default_rng(5).random((50, 1, 3000))
    known = estimate_variance(scores, np.arange(3000)[None, :] % 5)
    assert (known.image.shape, known.image_factor.shape) == (
        (50, 50),
        (50, 50),
    )  # never configurations x units


def test_how_many_draws_are_looked_at_together_changes_nothing(monkeypatch):
    scores = np.random.default_rng(2).random((7, 2, 40)) + 0.02 * np.arange(7)[:, None, None]
    known = estimate_variance(scores, np.arange(80).reshape(2, 40) % 5)
    whole = compare(known)
    monkeypatch.setattr("foldwise.judging.statistics.inference.IN_CACHE", 1)
    for name, value in vars(compare(known)).items():
        np.testing.assert_array_equal(value, getattr(whole, name), err_msg=name)


def test_what_follows_from_two_intervals_is_the_shortest_way_through_any_others():
    rng, C = np.random.default_rng(4), 9
    p, low = rng.random((C, C)), rng.normal(0, 0.3, (C, C))
    best_p, best_low = p.copy(), low.copy()
    # One step after the other, over all ways from a to c, until nothing changes.
    for _ in range(C):
        for a, b, c in product(range(C), repeat=3):
            best_p[a, c] = min(best_p[a, c], max(best_p[a, b], best_p[b, c]))
    made_p, made_low = closed(p, low)
    np.testing.assert_array_equal(made_p, best_p)
    for b in range(C):
        through = best_low[:, b : b + 1] + best_low[b]
        follows = (best_low[:, b : b + 1] > 0) & (best_low[b] > 0)
        best_low = np.where(follows, np.maximum(best_low, through), best_low)
    np.testing.assert_array_equal(made_low, best_low)
    assert (made_low > low).any()


def test_the_floor_of_paired_shares_is_in_the_draws_as_in_the_errors():
    # Two classifiers that agree on all but one of 20 images: nobody could call that a difference.
    right = np.ones((2, 1, 20))
    right[1, 0, 0] = 0
    found = compare(estimate_variance(right, np.zeros((1, 20), dtype=int), floor=1 / 20**2), draws=20_000)
    assert found.p[1] > 0.2
    # Without any scatter the floor is all there is, and the lead is then one step of a normal number.
    flat = replace(independent(2), image=np.zeros((2, 2)), root=np.zeros((2, 2)), pair_floor=0.01)
    ahead = replace(flat, estimate=np.array([0.2, 0.0]))
    assert compare(ahead, draws=40_000).p[1] == pytest.approx(2 * norm.sf(2.0), abs=0.004)
