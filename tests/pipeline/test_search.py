"""A search from its first proposals to the fits that are judged: whoever works on it, however often it is interrupted."""

import json
from dataclasses import dataclass, replace

import pytest
from searches import (
    failing,
    laid_out,
    proposals,
    trial,
    value_of,
    without_training,
    write_study,
)

from foldwise.errors import SpecError
from foldwise.interface.checked import _first_proposals, _fits
from foldwise.interface.commands.status import say_status
from foldwise.interface.observer import say_planned
from foldwise.judging.judge import judge
from foldwise.judging.scores.rows import read_rows
from foldwise.judging.sections.search import search_edge, search_section, search_short
from foldwise.pipeline.devices import all_settled
from foldwise.pipeline.preflight import Costs
from foldwise.pipeline.preparing import prepare
from foldwise.pipeline.worker import work
from foldwise.runs.folder import RunFolder, write_json
from foldwise.runs.items import Rates
from foldwise.runs.launchers.packing import FolderState, _State
from foldwise.runs.searching.search import Outdated, advance
from foldwise.study.reading import open_study

ONE_ARM = (
    "compare.model=[conv]",
)  # of 13 trials, of which three are proposed from results and not at random


@pytest.fixture(autouse=True)
def _worked_out(monkeypatch):
    without_training(monkeypatch)


@dataclass(frozen=True)
class Named:
    """A job of an item, as far as `trial` asks."""

    item: object

    @property
    def settings(self):
        return self.item.settings


def quiet(line):
    """Nothing."""


def test_a_plan_begins_with_the_first_trial_of_every_arm_in_every_fold(tmp_path):
    folder = laid_out(write_study(tmp_path), tmp_path / "run")
    plan = folder.load_plan()
    assert [item.title for item in plan.items if item.kind == "trial"] == [
        f"{arm} · trial 1 · fold {fold} of 2" for fold in (1, 2) for arm in ("conv", "resnet")
    ]
    assert [len(search.trials) for search in plan.searches] == [1] * 4
    assert plan.num_to_come == 4 * (3 + 1)
    assert not all_settled(folder, plan)


def test_a_worker_does_all_trials_and_then_the_fit_that_was_best_on_the_validation_part(tmp_path):
    folder = laid_out(write_study(tmp_path), tmp_path / "run")
    assert work(folder, log=quiet) == 4 * 5
    plan = folder.load_plan()
    assert all_settled(folder, plan)
    by_id = {item.id: item for item in plan.items}
    for search in plan.searches:
        tried = [by_id[trial.item].settings for trial in search.trials]
        best = min(tried, key=value_of)
        assert by_id[search.fit].kind == "fit"
        assert by_id[search.fit].settings["training"] == best["training"]
        assert by_id[search.fit].settings["configuration"] == search.configuration
        assert by_id[search.fit].settings["seed"] == best["seed"]
        assert search.has_ended
    assert not advance(folder)


def test_proposals_are_written_down_before_they_are_done_and_are_the_same_after_any_interrupt(tmp_path):
    path = write_study(tmp_path)
    whole = laid_out(path, tmp_path / "whole")
    work(whole, log=quiet)
    broken = laid_out(path, tmp_path / "broken")
    for _ in range(100):  # a worker that is killed after every item, and a run that is called again
        done = []

        def log(line, done=done):
            if line.startswith("done"):
                done.append(line)
                raise KeyboardInterrupt

        try:
            if work(broken, log=log) == 0:
                break
        except KeyboardInterrupt:
            laid_out(path, tmp_path / "broken")
    assert proposals(broken) == proposals(whole)
    assert broken.settled() == whole.settled()


@pytest.mark.parametrize("halving", [False, True])
def test_what_is_proposed_follows_from_the_results_also_where_files_are_gone_or_damaged(tmp_path, halving):
    folder = laid_out(write_study(tmp_path, halving=halving), tmp_path / "run")
    work(folder, log=quiet)
    plan, files = folder.load_plan(), sorted((folder.root / "search").rglob("*.json"))
    for lost in range(3):  # another third of them each time: proposals, promotions and ends
        for number, path in enumerate(files):
            if number % 3 == lost:
                path.unlink()
            elif number % 5 == lost:
                path.write_bytes(path.read_bytes()[:-20])
        read_rows(folder)
        search_section(folder.load_study(), read_rows(folder))
        assert work(folder, log=quiet) == 0  # everything was done already
        assert folder.load_plan().searches == plan.searches


def test_the_order_in_which_workers_end_changes_no_proposal(tmp_path, monkeypatch):
    path = write_study(tmp_path, configurations=13, in_flight=3)
    straight = laid_out(path, tmp_path / "straight", ONE_ARM)
    work(straight, log=quiet)
    mixed = laid_out(path, tmp_path / "mixed", ONE_ARM)
    for name in ("FIRST_WINDOW", "NARROWER"):  # any item may be the next, not only the first
        monkeypatch.setattr(f"foldwise.runs.agenda.{name}", 1.0)
    work(mixed, log=quiet)
    assert proposals(mixed) == proposals(straight)


def test_no_more_than_asked_for_are_in_flight_in_one_search(tmp_path, monkeypatch):
    folder, most = laid_out(write_study(tmp_path, configurations=9, in_flight=3), tmp_path / "run"), []

    def counted(job):
        done, failed = folder.settled()
        settled = done | failed
        most.extend(
            sum(trial.item not in settled for trial in search.trials)
            for search in folder.load_plan().searches
        )
        return trial(job)

    without_training(monkeypatch, counted)
    work(folder, log=quiet)
    assert max(most) == 3


def test_two_that_propose_at_once_write_the_same_and_no_more_than_the_budget(tmp_path):
    folder = laid_out(write_study(tmp_path), tmp_path / "run")
    stale = folder.load_plan()
    work(folder, log=quiet)
    before = proposals(folder)
    # A second one that has looked before anything was proposed.
    late = RunFolder(folder.root)
    object.__setattr__(late, "load_plan", lambda: stale)
    advance(late)
    assert proposals(folder) == before
    assert sum(len(rows) for rows in before.values()) == 4 * 4


def test_what_searches_will_propose_counts_as_work_for_which_workers_are_kept(tmp_path):
    folder = laid_out(write_study(tmp_path, in_flight=2), tmp_path / "run")
    plan = folder.load_plan()
    trials = {trial.item for search in plan.searches for trial in search.trials}
    outcomes = {name: {"status": "done"} for name in trials}
    assert plan.coming(()) == []
    assert len(plan.coming(trials)) == 4 * 2
    for results, left, free in (({}, 8, 8), (outcomes, 8, 8)):
        state = _State.of(plan, "cuda", {}, FolderState(results, {}, {}, {}))
        assert (state.left["accelerator"], state.free["accelerator"]) == (left, free)
    work(folder, log=quiet)
    plan = folder.load_plan()
    assert plan.coming({item.id for item in plan.items}) == []


def test_failed_trials_are_no_end_and_are_never_chosen(tmp_path, monkeypatch):
    without_training(monkeypatch, failing(1, 3))
    folder = laid_out(write_study(tmp_path), tmp_path / "run")
    assert work(folder, log=quiet) == 4 * 5
    plan = folder.load_plan()
    done, failed = folder.settled()
    for search in plan.searches:
        assert [trial.item in failed for trial in search.trials] == [True, False, True, False]
        assert search.fit in done


def test_where_all_trials_fail_the_fit_is_failed_and_says_why_and_a_retry_mends_it(tmp_path, monkeypatch):
    without_training(monkeypatch, failing(1, 2, 3, 4))
    folder = laid_out(write_study(tmp_path), tmp_path / "run")
    work(folder, log=quiet)
    assert all_settled(folder, folder.load_plan())
    fits = read_rows(folder).fits
    assert [fit.status for fit in fits] == ["failed"] * 4
    assert fits[0].result["error"]["message"] == "all 4 trials of its search failed; the first says: it broke"
    without_training(monkeypatch)
    folder.retry()
    assert work(folder, log=quiet) == 4 * 5
    assert all(search.fit for search in folder.load_plan().searches)


def test_an_unfinished_search_is_judged_as_unfinished(tmp_path):
    folder = laid_out(write_study(tmp_path), tmp_path / "run")
    fits = read_rows(folder).fits
    assert [fit.status for fit in fits] == ["missing"] * 4
    assert judge(folder).state == "nothing_done"


def test_a_larger_budget_goes_on_and_keeps_what_was_done(tmp_path):
    path, root = write_study(tmp_path), tmp_path / "run"
    work(laid_out(path, root), log=quiet)
    before = proposals(RunFolder(root))
    done, _ = RunFolder(root).settled()
    more = laid_out(path, root, ["search.configurations=6"])
    assert not all_settled(more, more.load_plan())
    work(more, log=quiet)
    for search, values in proposals(more).items():
        assert values[:4] == before[search]
        assert len(values) == 6
    assert done < more.settled()[0]
    less = laid_out(path, root, ["search.configurations=2"])
    work(less, log=quiet)
    assert {len(values) for values in proposals(less).values()} == {2}
    fits = {item.id for item in less.load_plan().items if item.kind == "fit"}
    assert len(fits) == 4


def test_an_edit_of_the_space_begins_anew_and_does_nothing_twice(tmp_path):
    path, root = write_study(tmp_path, space={"batch_size": [4, 8]}, configurations=2), tmp_path / "run"
    assert work(laid_out(path, root), log=quiet) == 4 * 3
    # The same two batch sizes and one more: other searches, whose items were partly done.
    edited = laid_out(path, root, ["search.space.batch_size=[4, 8, 16]", "search.configurations=3"])
    # New is one trial of each, and the fit where it is another one that is best now.
    assert 4 <= work(edited, log=quiet) <= 4 * 2
    assert all_settled(edited, edited.load_plan())


@pytest.mark.parametrize(
    "edit",
    [
        "search.space.batch_size=[4, 8]",
        "compare.model=[unet]",
        "seed=1",
        "search={space: {augment: [none, flips]}}",
    ],
)
def test_a_study_that_is_being_laid_over_a_folder_proposes_nothing_for_the_plan_before_it(tmp_path, edit):
    path = write_study(tmp_path)
    folder = laid_out(path, tmp_path / "run")
    for search in folder.load_plan().searches:
        scratch = folder.scratch(search.trials[0].item, "a")
        scratch.mkdir(parents=True)
        write_json(scratch / "result.json", trial_result(folder, search.trials[0].item))
        folder.commit(scratch, search.trials[0].item)
    plan, study = folder.load_plan(), open_study(path, [edit]).study
    late = RunFolder(folder.root)
    object.__setattr__(late, "load_study", lambda: study)
    with pytest.raises(Outdated, match="is not what the searches of this folder were planned with"):
        advance(late)
    assert not (folder.root / "search").exists()
    assert folder.load_plan() == plan
    assert advance(folder)


def trial_result(folder, name):
    item = next(item for item in folder.load_plan().items if item.id == name)
    return {"status": "done", "error": None} | trial(Named(item)) | {"item": name}


def test_hours_end_a_search_after_a_fair_share(tmp_path):
    # 10 s for each of 4 searches; a trial takes 2.5 s by its own account.
    folder = laid_out(write_study(tmp_path, configurations=20, hours=40 / 3600), tmp_path / "run")
    work(folder, log=quiet)
    plan = folder.load_plan()
    assert [len(search.trials) for search in plan.searches] == [4] * 4
    assert all(search.fit for search in plan.searches)


def test_halving_trains_the_best_third_in_full_and_chooses_among_them(tmp_path):
    path = write_study(tmp_path, configurations=7, halving=True)
    folder = laid_out(path, tmp_path / "run", ["train.epochs=8"])
    assert folder.load_plan().num_to_come == 4 * (6 + 3 + 1)
    assert work(folder, log=quiet) == 4 * (7 + 3 + 1)
    plan = folder.load_plan()
    by_id = {item.id: item for item in plan.items}
    for search in plan.searches:
        short = [by_id[trial.item].settings for trial in search.trials]
        assert {settings["training"]["epochs"] for settings in short} == {3}
        assert {settings["part"] for settings in short} == {3 / 8}
        full = [by_id[trial.item] for trial in search.promoted]
        assert {item.settings["training"]["epochs"] for item in full} == {8}
        assert {item.kind for item in full} == {"trial"}
        best = sorted(short, key=value_of)[:3]
        assert [item.settings["training"]["optimizer"] for item in full] == [
            settings["training"]["optimizer"] for settings in best
        ]
        assert (
            by_id[search.fit].settings["training"]
            == min(full, key=lambda item: value_of(item.settings)).settings["training"]
        )
    section = search_section(folder.load_study(), read_rows(folder))
    assert section.halving
    assert "not evaluated, and slow starters" in section.sentence
    assert [(arm.num_tried, arm.num_stopped, arm.num_to_come) for arm in section.arms] == [(14, 8, 0)] * 2


def test_a_space_that_is_used_up_trains_nothing_twice_and_counts_nothing_twice(tmp_path):
    path = write_study(tmp_path, space={"batch_size": [4, 8]}, configurations=5)
    prepared = prepare(open_study(path))
    assert _first_proposals(prepared)[-1] == (
        "the space holds 2 configurations, fewer than 5 trials: what is proposed again is not trained again"
    )
    folder = laid_out(path, tmp_path / "run")
    assert work(folder, log=quiet) == 4 * (2 + 1)
    assert [arm.num_tried for arm in search_section(folder.load_study(), read_rows(folder)).arms] == [4, 4]


def test_halving_goes_on_where_it_was_and_weighs_only_within_one_arm_and_fold(tmp_path):
    path = write_study(tmp_path, halving=True)
    whole, broken = (laid_out(path, tmp_path / name, ["train.epochs=8"]) for name in ("whole", "broken"))
    work(whole, log=quiet)
    for _ in range(100):
        for choice in (broken.root / "search").glob("*/promoted-*"):  # written anew from the results
            choice.unlink()

        def log(line):
            if line.startswith("done"):
                raise KeyboardInterrupt

        try:
            if work(broken, log=log) == 0:
                break
        except KeyboardInterrupt:
            continue
    assert broken.load_plan() == whole.load_plan()
    assert {len(search.promoted) for search in whole.load_plan().searches} == {2}


def test_the_verdict_counts_what_was_tried_what_failed_and_what_may_come(tmp_path, monkeypatch):
    without_training(monkeypatch, failing(2))
    folder = laid_out(write_study(tmp_path), tmp_path / "run")
    section = search_section(folder.load_study(), read_rows(folder))
    assert section.chosen_by is None
    assert [(arm.num_tried, arm.num_to_come, arm.chosen) for arm in section.arms] == [(0, 8, ())] * 2
    work(folder, log=quiet)
    section = search_section(folder.load_study(), read_rows(folder))
    assert section.chosen_by == "log_loss"
    assert "the best by log-loss on the validation part" in section.sentence
    assert [(arm.name, arm.num_tried, arm.num_failed) for arm in section.arms] == [
        ("conv", 6, 2),
        ("resnet", 6, 2),
    ]
    assert section.arms[0].seconds == pytest.approx(6 * 2.5)
    assert {choice.trial for arm in section.arms for choice in arm.chosen} <= {0, 2, 3}
    assert not read_rows(folder).auxiliary  # a failed trial is no failed item of the run
    short = search_short(read_rows(folder))
    assert (short.code, short.message) == (
        "SHORT_SEARCH",
        "Of 16 trials, 4 failed: settings were chosen among fewer.",
    )
    edge = search_edge(at_edges(section), section.arms[0].configuration)
    assert edge.message == (
        "In most folds batch_size of the winner lies at an end of the range that was searched: a value beyond it may be better."
    )
    assert search_edge(at_edges(section, of=0), section.arms[0].configuration) is None


def test_a_search_that_hours_have_ended_says_what_was_not_begun(tmp_path):
    folder = laid_out(write_study(tmp_path, hours=4 * 4 / 3600), tmp_path / "run")
    assert search_short(read_rows(folder)) is None  # it goes on
    work(folder, log=quiet)
    short = search_short(read_rows(folder))
    assert short.message == (
        "Of 16 trials, 8 were not begun before search.hours were over: settings were chosen among fewer."
    )
    assert short.cure == "Set search.hours higher."


def at_edges(section, of=2):
    """The section as if so many of its two folds had chosen a batch size at an end."""
    arms = [
        arm.model_copy(
            update={
                "chosen": tuple(
                    choice.model_copy(update={"at_edge": ("batch_size",) if place < of else ()})
                    for place, choice in enumerate(arm.chosen)
                )
            }
        )
        for arm in section.arms
    ]
    return section.model_copy(update={"arms": tuple(arms)})


def test_only_the_validation_score_is_told(tmp_path, monkeypatch):
    """Whatever else a trial says, and whatever fits say of test folds, no proposal is another."""
    path = write_study(tmp_path, configurations=13)
    plain = laid_out(path, tmp_path / "plain", ONE_ARM)
    work(plain, log=quiet)
    noise = iter(range(10_000))

    def noisy(job):
        n = next(noise)
        return trial(job) | {"epochs": [{"train_loss": n, "val_score": -n}], "test": n, "best_epoch": n}

    without_training(monkeypatch, noisy, lambda job: {"test": next(noise)})
    other = laid_out(path, tmp_path / "other", ONE_ARM)
    work(other, log=quiet)
    assert proposals(other) == proposals(plain)


def test_a_plan_without_a_search_is_written_as_before(tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text("study: a\ndata: {phantom: {kind: gels, images: 24, size: 24}}\ntrain: {model: conv}\n")
    folder = laid_out(path, tmp_path / "run")
    assert "searches" not in json.loads(folder.plan.read_text())
    plan = folder.load_plan()
    assert plan.searches == ()
    assert replace(plan) == plan


def test_a_sampler_that_is_not_there_is_refused_with_its_place_before_any_image_is_read(tmp_path):
    path = write_study(tmp_path, sampler="bayes")
    with pytest.raises(SpecError) as refused:
        laid_out(path, tmp_path / "run")
    assert str(refused.value).startswith(f"{path.name}:5:") or f"{path}:5:" in str(refused.value)
    assert "no sampler is called 'bayes'" in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_status_says_how_far_searches_are(tmp_path, capsys):
    folder = laid_out(write_study(tmp_path), tmp_path / "run")
    say_status(folder)
    assert "search   4 of 16 trials proposed; 0 of 4 searches have ended" in capsys.readouterr().out
    work(folder, log=quiet)
    say_status(folder)
    assert "search   16 of 16 trials proposed; 4 of 4 searches have ended" in capsys.readouterr().out


def test_what_is_foretold_counts_all_trials_those_in_full_and_the_fits(tmp_path):
    def plan(**search):
        return prepare(open_study(write_study(tmp_path, **search))).plan

    assert _fits(plan()) == ", in each 4 trials and then the fit that was chosen = 16 trials and 4 fits"
    assert _fits(plan(halving=True, hours=1)) == (
        ", in each 4 trials (no more after 15 min of training; the best 2 of them in all of their epochs) and then the "
        "fit that was chosen = 24 trials and 4 fits"
    )

    def seconds(**search):
        made = plan(**search)
        rates = Rates(seconds_per_fit={one.configuration: 30.0 for one in made.searches})
        return Costs({}, (), rates, frozenset()).seconds(made)

    assert seconds() == 4 * (4 + 1) * 30
    assert (
        seconds(hours=4 * 60 / 3600) == 4 * (1 + 2 + 1) * 30
    )  # the first trial, a minute of others, and the fit
    assert seconds(configurations=9, halving=True) == pytest.approx(
        4 * (1 / 2 + 8 / 3 + 3 + 1) * 30
    )  # 1 of 2 epochs first


def test_workers_somewhere_else_find_what_comes_in_the_plan(tmp_path, capsys):
    say_planned(laid_out(write_study(tmp_path), tmp_path / "run"))
    assert "4 items to do, and at most 16 that searches propose on the way" in capsys.readouterr().out
