"""A slice of `make validate`: the simulated truth is the truth, and a judge that errs is caught."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel, wilcoxon

from benchmarks.validation import drawn as drawing
from benchmarks.validation import tables
from benchmarks.validation.customs import customary, fold_scores
from benchmarks.validation.designs import FOLDS, some_folds, some_groups
from benchmarks.validation.drawn import KINDS, Plan, drawn, expected, level
from benchmarks.validation.jobs import Drawing, Training, all_jobs, done, part, summaries
from benchmarks.validation.judgements import judged_pairs, judgement
from benchmarks.validation.networks import ALIKE, SETTINGS, Crowd, Setting
from benchmarks.validation.phantoms import pool
from benchmarks.validation.pictures import draw_all
from benchmarks.validation.promises import PROMISES, verdicts
from benchmarks.validation.trained import Truth, trained
from foldwise.judging.statistics import intervals, run_variance, variance
from foldwise.judging.statistics.run_moments import run_moments

PLAN = Plan("accuracy", 1500, 1, 6, identical=True, run_sd=0.03)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Small populations of both phantoms."""
    folder = tmp_path_factory.mktemp("pictures")
    return {name: pool(name, folder, pictures=number) for name, number in (("gels", 240), ("bacteria", 60))}


@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_of_a_drawn_study_is_the_mean_of_many(kind):
    plan = Plan(kind, 20_000, 1, 6, run_sd=0.002)
    made = [drawn(plan, np.random.default_rng(seed)) for seed in range(3)]
    apart = np.array([one.scores_CRn.mean(axis=(1, 2)) - one.truth_C for one in made])
    assert np.abs(apart.mean(axis=0)).max() < 0.006
    assert made[0].truth_C.max() == pytest.approx(KINDS[kind].top)


def test_a_level_gives_the_score_that_was_asked_for():
    for kind in KINDS.values():
        wanted = np.array([0.6, 0.85, 0.99 if kind.counted else 0.9])
        assert expected(kind, level(kind, wanted, 0.1), 0.1) == pytest.approx(wanted, abs=1e-6)


def test_runs_vary_as_much_as_asked_for():
    made = drawn(
        Plan("dice", 20_000, 5, 24, identical=True, run_sd=0.02, shared=0.0), np.random.default_rng(0)
    )
    assert np.sqrt(np.median(run_moments(made.scores_CRn, made.folds_Rn).own)) == pytest.approx(
        0.02, rel=0.15
    )


def test_images_of_a_group_are_alike_and_stay_in_one_fold():
    rng = np.random.default_rng(0)
    units = some_groups(rng, 30_000, 2)
    twins = np.flatnonzero(np.diff(units.of_case) == 0)
    values = drawing._alike(rng, units, 1)[0]
    assert np.corrcoef(values[twins], values[twins + 1])[0, 1] == pytest.approx(drawing.ICC, abs=0.03)
    folds_Rn = some_folds(rng, units, 2)
    assert (folds_Rn[:, twins] == folds_Rn[:, twins + 1]).all()
    assert set(np.unique(folds_Rn)) == set(range(FOLDS))


def rows_of(plan, samples, folder):
    job = Drawing(plan, samples)
    done(job, 0, folder)
    return summaries([job], folder)


def broken(rows):
    return {one.promise.measure for one in verdicts(rows) if one.broken}


def test_a_sound_judge_breaks_nothing_here(tmp_path):
    assert not broken(rows_of(PLAN, 16, tmp_path)) & {"foldwise: alarm", "foldwise: all pairs"}


def test_a_judge_that_forgets_the_runs_is_caught(tmp_path, monkeypatch):
    for module in (variance, run_variance):
        monkeypatch.setattr(module, "runs_in_mean", lambda folds_Rn, num_folds=None: 0.0)
    rows = rows_of(PLAN, 16, tmp_path)
    assert {"foldwise: alarm", "foldwise: pair", "foldwise: all pairs"} <= broken(rows)
    assert rows[0]["found"]["foldwise: alarm"][0] > 0.3


def test_a_judge_whose_intervals_are_too_narrow_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(intervals, "effective_size", lambda spread: 6.0 * spread.num_cases)
    assert "foldwise: single" in broken(rows_of(Plan("accuracy", 92, 1, 6, run_sd=0.02), 25, tmp_path))


def test_a_judge_who_ignores_groups_is_caught():
    plan = Plan("dice", 300, 1, 6, grouped=True, identical=True, run_sd=0.0)
    found = [customary(drawn(plan, np.random.default_rng(seed))) for seed in range(30)]
    ours = [judgement(drawn(plan, np.random.default_rng(seed)), seed=1) for seed in range(30)]
    assert np.mean([one["t on images: alarm"] for one in found]) > 0.08
    assert np.mean([one["foldwise: alarm"] for one in ours]) < 0.06


@pytest.mark.parametrize("kind", ["accuracy", "dice"])
def test_pairs_alone_are_judged_as_in_the_whole(kind):
    sample = drawn(Plan(kind, 40, 2, 4, grouped=True, identical=True), np.random.default_rng(2))
    whole, pairs = judgement(sample, seed=0), judged_pairs(sample, seed=0)
    assert {"foldwise: pair", "foldwise: pair width", "foldwise: family", "foldwise: alarm"} <= set(pairs)
    assert pairs == {measure: pytest.approx(whole[measure]) for measure in pairs}


def test_the_usual_tests_are_those_of_scipy():
    sample = drawn(Plan("dice", 92, 3, 2, identical=True), np.random.default_rng(5))
    folds, images = fold_scores(sample), sample.scores_CRn.mean(axis=1)
    by_hand = [
        [
            sample.scores_CRn[c, r][sample.folds_Rn[r] == fold].mean()
            for r in range(3)
            for fold in range(FOLDS)
        ]
        for c in range(2)
    ]
    assert folds == pytest.approx(np.array(by_hand))
    found = customary(sample)
    assert found["t on folds: alarm"] == float(ttest_rel(*folds).pvalue < 0.05)
    assert found["t on images: alarm"] == float(ttest_rel(*images).pvalue < 0.05)
    assert found["Wilcoxon on folds: alarm"] == float(wilcoxon(folds[0] - folds[1]).pvalue < 0.05)
    low, high = ttest_rel(*images).confidence_interval()
    assert found["t on images: pair width"] == pytest.approx(high - low)


def test_a_crowd_learns_as_one_network_by_one_would():
    settings = [Setting(4, 0.01), Setting(4, 0.1)]
    crowd, draw = Crowd(settings, 7, seed=3), torch.Generator().manual_seed(4)
    alone = [[weight[e].clone().requires_grad_() for weight in crowd.weights] for e in range(2)]
    steppers = [
        torch.optim.Adam(own, lr=one.rate, betas=(0.9, 0.99), eps=1e-8)
        for own, one in zip(alone, settings, strict=True)
    ]
    moments = [(torch.zeros_like(weight), torch.zeros_like(weight)) for weight in crowd.weights]
    for step in range(1, 6):
        inputs = torch.randn(2, 9, 7, generator=draw)
        wanted = (torch.rand(2, 9, generator=draw) > 0.5).float()
        crowd._step(inputs, wanted, moments, step)
        for own, stepper, seen, true in zip(alone, steppers, inputs, wanted, strict=True):
            stepper.zero_grad()
            said = (torch.relu(seen @ own[0] + own[1]) @ own[2] + own[3]).squeeze(1)
            torch.nn.functional.binary_cross_entropy_with_logits(said, true).backward()
            stepper.step()
    for place, weight in enumerate(crowd.weights):
        for e in range(2):
            assert weight[e] == pytest.approx(alone[e][place].detach(), abs=1e-4)


def test_a_crowd_learns_masks_and_scores_them_by_dice(pictures):
    bacteria = pictures["bacteria"]
    crowd = Crowd([Setting(20, 0.03)] * 2, len(bacteria.reach), seed=0)
    tests = np.array([[50, 51], [52, 53]])
    before = crowd.scores(bacteria, tests).mean()
    crowd.train(bacteria, [np.arange(40), np.arange(10, 50)])
    after = crowd.scores(bacteria, tests)
    assert after.mean() > max(before, 0.5)
    image = bacteria.values[50].reshape(28, 28)
    patches = np.stack([image[y : y + 5, x : x + 5].ravel() for y in range(24) for x in range(24)])
    said = crowd.logits(torch.from_numpy(np.stack([patches, patches])))[0].numpy() > 0
    true = bacteria.truth[50] > 0
    assert after[0, 0] == pytest.approx(2 * (said & true).sum() / (said.sum() + true.sum()))


def test_networks_never_see_what_they_are_tested_on(pictures, monkeypatch):
    seen = []
    train, scores = Crowd.train, Crowd.scores

    def watched_train(self, pool, members):
        self.members = members
        train(self, pool, members)

    def watched_scores(self, pool, tests):
        seen.extend(
            set(pool.groups[own]) & set(pool.groups[row])
            for own, row in zip(self.members, tests, strict=True)
        )
        return scores(self, pool, tests)

    monkeypatch.setattr(Crowd, "train", watched_train)
    monkeypatch.setattr(Crowd, "scores", watched_scores)
    known = Truth(*(np.zeros(len(SETTINGS)) for _ in range(3)))
    made = trained(pictures["gels"], known, images=30, repeats=2, rng=np.random.default_rng(0))
    assert made.units.grouped
    assert made.scores_CRn.shape == (len(SETTINGS), 2, len(made.units.of_case))
    assert len(seen) >= len(SETTINGS) * 2 * FOLDS
    assert not any(seen)


def test_configurations_that_are_alike_are_the_same_settings():
    assert all(SETTINGS[a] == SETTINGS[b] for a, b in ALIKE)
    same = {(a, b) for b in range(len(SETTINGS)) for a in range(b) if SETTINGS[a] == SETTINGS[b]}
    assert same == set(ALIKE)


def test_a_part_of_a_study_is_its_first_repeats(pictures):
    known = Truth(*(np.linspace(0, 1, len(SETTINGS)) for _ in range(3)))
    whole = trained(pictures["gels"].alone(), known, images=20, repeats=2, rng=np.random.default_rng(0))
    first = part(whole, 1, len(SETTINGS))
    assert np.array_equal(first.scores_CRn, whole.scores_CRn[:, :1])
    two = part(whole, 2, 2)
    assert np.array_equal(two.scores_CRn, whole.scores_CRn[[0, 5]])
    assert two.truth_C.tolist() == [whole.truth_C[0], whole.truth_C[5]]


def test_a_batch_is_done_once_and_the_same_when_done_again(tmp_path):
    job = Drawing(Plan("dice", 22, 1, 2, identical=True), 4)
    path = done(job, 0, tmp_path)
    written = path.read_text()
    path.write_text(json.dumps({"judge": "kept", "rows": []}))
    assert done(job, 0, tmp_path).read_text() != written  # what is there is not done again
    path.unlink()
    assert done(job, 0, tmp_path).read_text() == written
    assert done(job, 1, tmp_path).read_text() != written


def test_a_training_cell_gives_a_row_for_every_number_of_repeats(tmp_path):
    job = Training("gels", 22, 1, repeats=(1, 2), pictures=480, training_sets=8)
    done(job, 0, tmp_path)
    rows = summaries([job], tmp_path)
    assert [(row["about"]["repeats"], row["about"]["configurations"]) for row in rows] == [
        (1, 8), (1, 2), (2, 8), (2, 2),
    ]  # fmt: skip
    assert all("foldwise: pair" in row["found"] for row in rows)


def one_row(measure, mean, error, samples=200):
    about = {"source": "drawn", "kind": "dice", "images": 92, "repeats": 3, "configurations": 24}
    about |= {"grouped": False, "identical": True, "shared": 0.2}
    return [{"about": about, "found": {measure: (mean, error, samples)}}]


@pytest.mark.parametrize(
    ("mean", "error", "state"),
    [
        (0.95, 0.01, "kept"),
        (0.92, 0.005, "kept within chance"),
        (0.90, 0.005, "BROKEN in 1 of 1 cells"),
        (0.999, 0.002, "kept, too wide in 1"),
    ],
)
def test_a_promise_is_broken_only_beyond_chance(mean, error, state):
    assert [tables.state(one) for one in verdicts(one_row("foldwise: pair", mean, error))] == [state]


def test_an_interval_that_is_too_wide_breaks_no_promise_and_too_many_alarms_do():
    assert not broken(one_row("foldwise: pair", 0.999, 0.002))
    assert broken(one_row("foldwise: alarm", 0.2, 0.002)) == {"foldwise: alarm"}


def test_few_samples_break_nothing():
    assert not broken(one_row("foldwise: alarm", 0.2, 0.03, samples=3))
    assert broken(one_row("foldwise: alarm", 0.2, 0.03)) == {"foldwise: alarm"}


def test_the_whole_has_every_size_repeat_and_kind_of_the_promise():
    plans = [job.plan for job in all_jobs() if isinstance(job, Drawing)]
    names = [job.name for job in all_jobs()]
    assert len(set(names)) == len(names)
    for identical in (True, False):
        covered = {
            (p.images, p.repeats, p.grouped)
            for p in plans
            if p.configurations == 24 and p.identical == identical
        }
        assert {(n, R, g) for n in (22, 92, 300, 3000) for R in (1, 3, 5) for g in (True, False)} <= covered
    assert any(p.images == 30_000 and p.identical and p.configurations == 24 for p in plans)


def test_the_page_is_written_between_its_marks_only(tmp_path, monkeypatch):
    page = tmp_path / "statistics.md"
    page.write_text(f"before\n{tables.BEGIN}\nthe former table\n{tables.END}\nafter\n", encoding="utf-8")
    monkeypatch.setattr(tables, "PAGE", page)
    monkeypatch.setattr(tables, "PICTURES", tmp_path / "pictures")
    rows = rows_of(Plan("dice", 22, 1), 2, tmp_path)
    tables.publish(rows, verdicts(rows))
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{tables.BEGIN}\n\n1 cell of 2 studies")
    assert "\n| promise |" in text
    assert text.endswith(f"{tables.END}\nafter\n")
    assert "the former table" not in text
    assert "| drawn, images alone | 22 | 1 |" in text
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {
        "coverage.svg", "false-alarms.svg", "luck.svg", "repeats.svg",
    }  # fmt: skip


def test_pictures_are_drawn_from_whatever_is_done(tmp_path):
    draw_all([], tmp_path)
    assert all("nan" not in path.read_text() for path in Path(tmp_path).glob("*.svg"))


def test_the_page_shows_every_promise_and_picture():
    text = tables.PAGE.read_text(encoding="utf-8")
    shown = text.partition(tables.BEGIN)[2].partition(tables.END)[0]
    assert not [one.sentence for one in PROMISES if f"| {one.sentence} |" not in shown]
    drawn_here = {path.name for path in tables.PICTURES.glob("*.svg")}
    assert set(re.findall(r"\]\(pictures/([\w-]+\.svg)\)", text)) == drawn_here == {
        "coverage.svg", "false-alarms.svg", "luck.svg", "repeats.svg",
    }  # fmt: skip
