"""Textbook tests: known answers of papers and by hand, baycomp, scikit-posthocs, statsmodels, and their place in the verdict."""

import baycomp
import numpy as np
import pytest
import scikit_posthocs
from auxiliary_items import asking
from judged import judge
from scipy.stats import friedmanchisquare, ttest_rel
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.multitest import multipletests
from tiny_run import Wanted, make_run

from foldwise.judging.sections.textbook import TESTS
from foldwise.judging.statistics.textbook import (
    corrected_t,
    correlated_t,
    friedman,
    holm,
    iman_davenport,
    mcnemar,
    paired_t,
    signed_rank,
)
from foldwise.runs.folder import read_json

FIVE = np.array([0.02, 0.01, 0.03, 0.00, 0.04])


def test_five_folds_of_the_design():
    assert paired_t(FIVE) == pytest.approx({"statistic": 2.82843, "p": 0.04742}, abs=5e-6)
    assert corrected_t(FIVE, num_folds=5) == pytest.approx({"statistic": 1.88562, "p": 0.13242}, abs=5e-6)
    known = {"worse": 0.0237103, "equivalent": 0.1758705, "better": 0.8004192}
    assert correlated_t(FIVE, num_folds=5, margin=0.01) == pytest.approx(known, abs=5e-8)


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("margin", [0.0, 0.01, 0.1])
def test_the_correlated_t_test_is_that_of_baycomp(repeats, margin):
    one, other = np.random.default_rng(repeats).normal((0.8, 0.78), 0.03, (5 * repeats, 2)).T
    found = correlated_t(one - other, num_folds=5, margin=margin)
    known = baycomp.two_on_single(one, other, rope=margin, runs=repeats)
    known = (known[0], 0.0, known[1]) if margin == 0 else known  # without a margin it tells two
    assert (found["better"], found["equivalent"], found["worse"]) == pytest.approx(known, abs=1e-9)


def test_the_t_test_is_that_of_scipy_and_the_corrected_one_widens_it():
    one, other = np.random.default_rng(0).normal(0.8, 0.05, (2, 40))
    plain, known = paired_t(one - other), ttest_rel(one, other)
    assert (plain["statistic"], plain["p"]) == pytest.approx((known.statistic, known.pvalue))
    widened = corrected_t(one - other, num_folds=5)["statistic"]
    assert widened == pytest.approx(plain["statistic"] / np.sqrt(1 + 40 / 4))


def right_of(both, only_one, only_other, neither):
    """Answers of two configurations by how many images are right in both, in one or in none."""
    one = np.repeat([1.0, 1.0, 0.0, 0.0], [both, only_one, only_other, neither])
    other = np.repeat([1.0, 0.0, 1.0, 0.0], [both, only_one, only_other, neither])
    return one, other


@pytest.mark.parametrize(("only_one", "p"), [(0, 1.0), (1, 1.0), (5, 0.0625), (6, 0.03125)])
def test_mcnemar_needs_six_images(only_one, p):
    for pair in (right_of(10, only_one, 0, 4), right_of(10, 0, only_one, 4)):
        assert mcnemar(*pair)["p"] == p


def test_mcnemar_of_the_design():
    found = mcnemar(*right_of(794, 86, 150, 570))
    one, other = found["only_winner"], found["only_other"]
    assert (one, other) == (86, 150)
    assert (one - other) ** 2 / (one + other) == pytest.approx(17.3559, abs=5e-5)
    table = [[794, one], [other, 570]]
    assert mcnemar_of_statsmodels(table, exact=False, correction=False).statistic == pytest.approx(17.3559, abs=5e-5)  # fmt: skip
    corrected = mcnemar_of_statsmodels(table, exact=False)
    assert corrected.statistic == pytest.approx(16.8178, abs=5e-5)
    assert corrected.pvalue == pytest.approx(4.11e-5, abs=5e-8)
    assert found["p"] == pytest.approx(mcnemar_of_statsmodels(table, exact=True).pvalue)


@pytest.mark.parametrize(("n", "least"), [(5, 0.0625), (6, 0.03125)])
def test_the_least_p_of_wilcoxon(n, least):
    same_sign = np.arange(1.0, n + 1)
    assert signed_rank(same_sign)["p"] == signed_rank(-same_sign)["p"] == least
    assert signed_rank(np.r_[same_sign, 0.0, 0.0])["p"] >= least
    others = np.random.default_rng(n).normal(size=(200, n))
    assert min(signed_rank(one)["p"] for one in others) >= least


def test_without_any_difference_nothing_is_told():
    none = np.zeros(5)
    assert paired_t(none)["p"] == corrected_t(none, num_folds=5)["p"] == signed_rank(none)["p"] == 1
    assert correlated_t(none, num_folds=5, margin=0.01) == {"worse": 0, "equivalent": 1, "better": 0}
    assert correlated_t(none - 0.5, num_folds=5, margin=0.01) == {"worse": 1, "equivalent": 0, "better": 0}
    assert paired_t(none + 0.5)["p"] == 0


def test_four_p_values_by_holm():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(holm(p), [0.03, 0.06, 0.06, 0.02])
    many = np.random.default_rng(1).random(30) ** 3
    np.testing.assert_allclose(holm(many), multipletests(many, method="holm")[1])


# Demsar 2006, table 6: ranks of four variants of a decision tree on 14 data sets. Ranks of scores are their ranks.
DEMSAR = np.array([
    [4, 1, 4, 4, 4, 1, 3, 2.5, 4, 2.5, 4, 3, 4, 3],
    [3, 2, 1, 1, 2, 2.5, 2, 2.5, 3, 2.5, 2.5, 2, 1, 1],
    [2, 3, 2, 3, 3, 4, 4, 4, 2, 2.5, 1, 4, 2, 4],
    [1, 4, 3, 2, 1, 2.5, 1, 1, 1, 2.5, 2.5, 1, 3, 2],
])  # fmt: skip


def test_the_table_of_demsar():
    found = friedman(-DEMSAR, alpha=0.05)
    assert found["mean_ranks"] == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    # The paper leaves ties out of account: three pairs and one four, of 14 data sets.
    ties = 1 - (3 * (2**3 - 2) + (4**3 - 4)) / (14 * (4**3 - 4))
    assert found["chi2"] * ties == pytest.approx(9.2786, abs=5e-5)
    assert iman_davenport(found["chi2"] * ties, 4, 14) == pytest.approx(3.6863, abs=5e-5)
    assert found["critical_difference"] == pytest.approx(1.2536, abs=5e-5)
    assert friedman(-DEMSAR, alpha=0.10)["critical_difference"] == pytest.approx(1.1181, abs=5e-5)


def test_ranks_are_those_of_scikit_posthocs():
    scores = np.random.default_rng(2).normal(size=(5, 30)).round(1)
    found = friedman(scores, alpha=0.05)
    assert (found["chi2"], found["p"]) == pytest.approx(tuple(friedmanchisquare(*scores)))
    by_unit = scikit_posthocs.posthoc_nemenyi_friedman(scores.T).to_numpy()
    apart = np.abs(np.subtract.outer(found["mean_ranks"], found["mean_ranks"]))
    for alpha in (0.05, 0.3, 0.9):
        beyond = apart > friedman(scores, alpha=alpha)["critical_difference"]
        assert ((by_unit < alpha) == beyond).all()
    assert (by_unit < 0.9).sum() > 2  # of the last there is something to tell


def test_configurations_that_rank_alike_everywhere_and_not_at_all():
    steady = friedman(np.tile([[3.0], [2.0], [1.0]], 8), alpha=0.05)
    assert (steady["mean_ranks"], steady["chi2"], steady["p_F"]) == ([1, 2, 3], pytest.approx(16), 0)
    assert steady["F"] == np.inf
    equal = friedman(np.ones((3, 8)), alpha=0.05)
    assert (equal["mean_ranks"], equal["chi2"], equal["p"], equal["F"], equal["p_F"]) == ([2, 2, 2], 0, 1, 0, 1)  # fmt: skip


def verdict_of(root, **wanted):
    return judge(make_run(root, Wanted(**wanted)))


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_the_verdict_has_every_test_against_the_winner(tmp_path, metric):
    wanted = {"skills": (0.3, 1.0, 2.5), "num_cases": 90, "repeats": 2}
    told = verdict_of(tmp_path / "run", judge=f"{{metric: {metric}, textbook: true}}", **wanted)
    textbook = told["textbook"]
    best, *rest = told["configurations"]
    assert textbook["against"] == best["id"]
    assert (textbook["num_units"], textbook["num_folds"], textbook["num_fold_scores"]) == (90, 3, 6)
    assert [pair["id"] for pair in textbook["pairs"]] == [one["id"] for one in rest]
    assert set(textbook["tests"]) == set(TESTS)
    for pair, one in zip(textbook["pairs"], rest, strict=True):
        assert pair["difference"] == pytest.approx(abs(best["estimate"] - one["estimate"]))
        folds = np.array([
            a["score"] - b["score"] for a, b in zip(best["folds"], one["folds"], strict=True)
        ]) * (1 if metric == "accuracy" else -1)  # fmt: skip
        assert pair["corrected_t"]["statistic"] == pytest.approx(corrected_t(folds, num_folds=3)["statistic"])
        assert pair["correlated_t"] == pytest.approx(correlated_t(folds, num_folds=3, margin=0.01), abs=1e-6)
        assert (pair["mcnemar"] is None) == (metric == "log_loss")
    for name in ("corrected_t", "paired_t", "wilcoxon"):
        p = np.array([pair[name]["p"] for pair in textbook["pairs"]])
        np.testing.assert_allclose([pair[name]["p_holm"] for pair in textbook["pairs"]], holm(p))
        known = multipletests(p, method="fdr_bh")[1]
        np.testing.assert_allclose([pair[name]["p_bh"] for pair in textbook["pairs"]], known)
    ranks = textbook["friedman"]["mean_ranks"]
    assert list(ranks) == [best["id"], *(one["id"] for one in rest)]
    assert sum(ranks.values()) == pytest.approx(6)
    assert ranks[best["id"]] == min(ranks.values())


def test_false_discoveries_of_the_design(tmp_path, monkeypatch):
    four = iter([0.01, 0.04, 0.03, 0.005])
    monkeypatch.setattr(
        "foldwise.judging.statistics.textbook.mcnemar",
        lambda *_: {"only_winner": 0, "only_other": 0, "p": next(four)},
    )
    told = verdict_of(
        tmp_path / "run", skills=(0.5, 1.0, 1.5, 2.0, 2.5), judge="{metric: accuracy, textbook: true}"
    )
    made = [pair["mcnemar"] for pair in told["textbook"]["pairs"]]
    np.testing.assert_allclose([one["p_bh"] for one in made], [0.02, 0.04, 0.04, 0.02])
    np.testing.assert_allclose([one["p_holm"] for one in made], [0.03, 0.06, 0.06, 0.02])


def test_what_these_scores_do_not_allow_is_left_out(tmp_path):
    alike = {"skills": (0.5, 1.0, 2.0)}
    balanced = verdict_of(tmp_path / "a", judge="{textbook: true}", **alike)["textbook"]
    assert balanced["friedman"] is None  # no mean of scores of images
    assert all(pair["wilcoxon"] is None and pair["mcnemar"] for pair in balanced["pairs"])
    grouped = {"judge": "{metric: accuracy, textbook: true}", "group_size": 3}
    grouped = verdict_of(tmp_path / "b", **alike, **grouped)["textbook"]
    assert (grouped["num_units"], grouped["friedman"]["mean_ranks"].keys()) == (
        16,
        {grouped["against"], *(pair["id"] for pair in grouped["pairs"])},
    )
    assert all(pair["mcnemar"] is None and pair["wilcoxon"] for pair in grouped["pairs"])
    two = verdict_of(tmp_path / "c", judge="{metric: accuracy, textbook: true}")["textbook"]
    assert (len(two["pairs"]), two["friedman"]) == (1, None)
    one = verdict_of(tmp_path / "d", judge="{textbook: true}", skills=(1.0,))
    assert one["textbook"] is None


@pytest.mark.parametrize(
    "task", ["binary_classification", "multilabel_classification", "multiclass_segmentation"]
)
def test_it_changes_no_verdict(tmp_path, task):
    folder = make_run(tmp_path / "run", Wanted(task=task, skills=(0.3, 1.0, 2.5)))
    plain = judge(folder)
    asked = judge(asking(folder, judge=read_json(folder.study_record)["judge"] | {"textbook": True}))
    assert plain["textbook"] is None
    assert {key for key in plain if plain[key] != asked[key]} == {"textbook"}
