"""No two outputs of a verdict contradict each other: answer, ranks, pairs, set, factors, results text, claims and page."""

import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_run import Wanted, make_run

from foldwise.judging import judge as runs
from foldwise.judging.claim_check.check import check
from foldwise.judging.claim_check.table import of_verdict
from foldwise.judging.external.options import ScoreOptions
from foldwise.judging.external.verdict import judged_files
from foldwise.judging.wording import results
from foldwise.reporting.report import render
from foldwise.reporting.report_data import of_scores

NAMES = ("unet", "fpn", "segnet", "linknet", "vnet", "pspnet")


def table(path, seed):
    """Scores of two to six models, some nearly alike, with folds, groups and repeats or without."""
    rng = np.random.default_rng(seed)
    C, n, folds = int(rng.integers(2, 7)), int(rng.integers(12, 60)), int(rng.choice([1, 3, 5]))
    repeats, lower = int(rng.choice([1, 1, 3])), rng.random() < 0.3
    means = rng.normal(0.7, rng.choice([0.005, 0.02, 0.06]), C)
    image, noise = rng.normal(0, 0.1, n), rng.choice([0.02, 0.06], C)
    own = rng.normal(0, 1, (C, n))
    own[1:2] = own[:1] if rng.random() < 0.4 else own[1:2]  # two that err alike
    runs_of = rng.normal(0, rng.choice([0.0, 0.02]), (C, repeats, folds))
    header = ["model", "case", *(["fold"] if folds > 1 else []), *(["repeat"] if repeats > 1 else [])]
    rows = [",".join([*header, "hd95" if lower else "dice"])]
    for c, r, i in np.ndindex(C, repeats, n):
        value = means[c] + image[i] + noise[c] * own[c, i] + 0.01 * rng.normal() + runs_of[c, r, i % folds]
        cells = [
            NAMES[c],
            f"c{i}",
            *([str(i % folds)] if folds > 1 else []),
            *([str(r)] if repeats > 1 else []),
        ]
        rows.append(",".join([*cells, f"{value:.5f}"]))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def agree(verdict):
    """Everything that is said of who is better than whom, from every part of a verdict."""
    ranked = [one for one in verdict.configurations if one.compared]
    by_id = {one.id: one for one in ranked}
    pairs = {(pair.a, pair.b): pair for pair in verdict.pairs}
    sign, winner = verdict.metric.sign, ranked[0]
    apart = {
        ids
        for ids, pair in pairs.items()
        if sorted((pair.low_all, pair.high_all))[0] > 0 or pair.high_all < 0
    }
    assert len(pairs) == len(ranked) * (len(ranked) - 1) // 2
    for ids, pair in pairs.items():
        assert (ids in apart) == (pair.p_all <= verdict.alpha)
        assert pair.conclusion == "equivalent" or (pair.conclusion == "better") == (ids in apart)
        assert ids not in apart or sign * pair.difference > 0
    for place, one in enumerate(ranked):
        beaten_by = {a for a, b in apart if b == one.id}
        assert one.could_be_best == (not beaten_by) == (one.p > verdict.alpha) == (one.rank_low == 1)
        assert one.rank_low == 1 + len(beaten_by)
        assert one.rank_high == len(ranked) - sum(a == one.id for a, _ in apart)
        assert one.verdict == ("winner" if place == 0 else "could be best" if one.could_be_best else "worse")
        assert (one.ruled_out_by is None) == one.could_be_best
        if one.ruled_out_by:
            assert one.ruled_out_by in beaten_by
            assert by_id[one.ruled_out_by].could_be_best
        if place:
            pair = pairs[winner.id, one.id]
            assert one.difference == pytest.approx(-pair.difference)
            assert [one.difference_low, one.difference_high] == pytest.approx([-pair.high_all, -pair.low_all])
    others = ranked[1:]
    clear = all((winner.id, one.id) in apart for one in others)
    answer = verdict.answer
    assert (answer.num_ruled_out, answer.num_tied) == (
        sum(not one.could_be_best for one in others), sum(one.could_be_best for one in others)
    )  # fmt: skip
    assert clear == (answer.num_tied == 0) == (pairs[winner.id, others[0].id].family == "best")
    if verdict.state in ("clear_winner", "several_tied"):
        assert clear == (verdict.state == "clear_winner") == answer.sentence.startswith(f"Use {winner.name}:")
    return ranked, apart, clear


def words_agree(verdict):
    """No sentence that says beyond chance stands beside an interval that holds 0, and claims have one answer."""
    ranked, apart, clear = agree(verdict)
    text, sentences = " ".join(results(verdict)), verdict.answer.sentence
    for said in (sentences, text):
        for low, high in re.findall(r"worse beyond chance[:,] [^(]*\(95 % interval (\S+) to (\S+)\)", said):
            assert 0 < float(low) <= float(high)
    known = of_verdict(verdict)
    for a, b in combinations(ranked, 2):
        better, worse, alike, significant = (
            check(known, sentence).findings[0].verdict
            for sentence in (
                f"{a.name} is better than {b.name}.",
                f"{b.name} is significantly better than {a.name}.",
                f"There was no significant difference between {a.name} and {b.name}.",
                f"{a.name} is significantly better than {b.name}.",
            )
        )
        told = (a.id, b.id) in apart
        assert (better == "true") == (significant == "true") == told
        assert worse == "false"
        assert (alike == "true") == (not told)
        assert (alike == "false") == told
    (best,) = check(known, f"{ranked[0].name} is the best network.").findings
    assert (best.verdict == "true") == clear
    for finding in check(known, text).findings:
        assert finding.verdict == "true", finding


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 100_000))
def test_of_a_table(tmp_path_factory, seed):
    path = table(tmp_path_factory.mktemp("tables") / "scores.csv", seed)
    options = ScoreOptions(equivalent_within=float(np.random.default_rng(seed).choice([0.0, 0.01, 0.05])))
    words_agree(judged_files([path], options)[0])


@pytest.mark.parametrize("seed", range(8))
def test_of_a_page(tmp_path, seed):
    verdict, _ = judged_files([table(tmp_path / "scores.csv", seed)])
    ranked, _, clear = agree(verdict)
    page = render(of_scores(verdict))
    assert ("Use this model, or one" not in page) == clear
    assert page.count("≈ tied</b><small>") == sum(one.verdict == "could be best" for one in ranked)
    assert page.count("↓ worse</b><small>") == sum(one.verdict == "worse" for one in ranked)
    assert ("as comparisons with the best" in page) == clear


@pytest.mark.parametrize("seed", range(5))
def test_of_a_run_whatever_the_seed_of_its_study(tmp_path, seed):
    skills = tuple(np.random.default_rng(seed).uniform(0.3, 1.6, 4))
    folder = make_run(tmp_path / "run", Wanted(task="binary_segmentation", skills=skills))
    verdict = runs.judge(folder)
    agree(verdict)
    study = folder.load_study()
    again = runs.verdict_of(study.model_copy(update={"seed": 77}), runs.verdict_now(folder)[1])
    assert again == verdict
