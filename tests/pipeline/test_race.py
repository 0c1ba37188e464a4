"""A race from its first block of fits to the verdict: whoever works on it, in whatever order, however often it is interrupted."""

import csv
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from judged import judge
from races import SKILLS, failing, laid_out, rulings, without_training, write_study

from foldwise.errors import SpecError
from foldwise.interface.checked import _race
from foldwise.interface.commands.status import say_status
from foldwise.interface.observer import say_planned
from foldwise.judging.judge import verdict_now
from foldwise.judging.race import look, ruling_on, up_to
from foldwise.judging.scores.rows import read_rows
from foldwise.judging.statistics.power import GRADED, Design
from foldwise.judging.statistics.racing import expected_share
from foldwise.pipeline.devices import all_settled
from foldwise.pipeline.preparing import prepare
from foldwise.pipeline.worker import work
from foldwise.reporting.report import write_report
from foldwise.runs.agenda import Agenda
from foldwise.runs.folder import RunFolder
from foldwise.runs.launchers.packing import FolderState, _State
from foldwise.runs.racing import Race, looks_of
from foldwise.study.reading import open_study

EARLY = "ruled out early"
NUM_FITS = 6 * 5 * 2


@pytest.fixture(autouse=True)
def _worked_out(monkeypatch):
    without_training(monkeypatch)


def quiet(line):
    """Nothing."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A race that was run to its end; not to be changed."""
    root = tmp_path_factory.mktemp("race")
    with pytest.MonkeyPatch.context() as patch:
        without_training(patch)
        folder = laid_out(write_study(root), root / "run")
        work(folder, log=quiet)
    return folder


@pytest.fixture
def raced(whole, tmp_path):
    """The same with its study in a folder of the test."""
    shutil.copytree(whole.root.parent, tmp_path, dirs_exist_ok=True)
    return RunFolder(tmp_path / "run")


def rate_of(item):
    return item.settings["training"]["optimizer"]["options"]["lr"]


def fits_by_rate(folder):
    """How many fits of every learning rate were done."""
    plan, (done, _) = folder.load_plan(), folder.settled()
    every = [*plan.items, *plan.race.later, *plan.race.spared]
    return {
        rate: sum(rate_of(item) == rate and item.id in done for item in every if item.kind == "fit")
        for rate in SKILLS
    }


@pytest.mark.parametrize(
    ("units", "repeats", "looks"),
    [
        ([40, 80, 120, 160, 200], 3, [(0, 1), (0, 2), (0, 4), (1, 4)]),
        ([40, 80, 120, 160, 200], 1, [(0, 1), (0, 2)]),
        ([30 * (k + 1) for k in range(10)], 1, [(0, 1), (0, 2), (0, 4), (0, 7)]),
        ([30, 60, 90], 3, [(0, 1), (0, 2), (1, 2)]),
        ([30, 60], 3, [(0, 1), (1, 1)]),
        ([30, 60], 1, []),
        ([30], 1, []),
        ([30], 3, [(1, 0)]),  # a given split: two trainings of it tell of the luck of a run
        ([4, 8, 12, 16, 20], 3, [(0, 4), (1, 4)]),  # not before 20 images are tested
        ([2, 4, 6, 8, 10], 3, []),
        ([k + 1 for k in range(40)], 1, [(0, 26)]),  # a group is left out at a time
    ],
)
def test_it_is_looked_after_ever_larger_parts_and_never_at_the_end(units, repeats, looks):
    assert list(looks_of(units, repeats)) == looks


def test_a_plan_opens_look_by_look(tmp_path):
    folder = laid_out(write_study(tmp_path), tmp_path / "run")
    plan = folder.load_plan()
    assert len(plan.items) == 6 * 2
    assert {item.settings["fold"] for item in plan.items} == {0, 1}
    assert plan.num_to_come == NUM_FITS - 12
    assert not all_settled(folder, plan)
    assert not look(folder)  # nothing is done


def test_those_shown_not_to_be_best_are_trained_no_further_and_all_others_in_full(raced):
    plan = raced.load_plan()
    assert all_settled(raced, plan)
    assert plan.num_to_come == 0
    trained = fits_by_rate(raced)
    assert [trained[rate] for rate in (0.001, 0.002)] == [10, 10]
    assert trained[0.006] < 10
    stopped = {name for ruling in rulings(raced) for name in ruling}
    assert len(plan.race.spared) == NUM_FITS - sum(trained.values())
    assert {item.settings["configuration"] for item in plan.race.spared} == stopped
    assert not look(raced)


def test_the_same_is_ruled_after_any_interrupt_and_in_any_order(raced, tmp_path, monkeypatch):
    path = tmp_path / "study.yaml"
    for name in ("FIRST_WINDOW", "NARROWER"):  # any item may be the next, not only the first
        monkeypatch.setattr(f"foldwise.runs.agenda.{name}", 1.0)
    broken = laid_out(path, tmp_path / "broken")
    for _ in range(50):  # a worker that is killed after every few items, and a run that is called again
        done = []

        def log(line, done=done):
            done += [line] * line.startswith("done")
            if len(done) == 5:
                raise KeyboardInterrupt

        try:
            if work(broken, log=log) == 0:
                break
        except KeyboardInterrupt:
            laid_out(path, tmp_path / "broken")
    assert rulings(broken) == rulings(raced)
    assert broken.settled() == raced.settled()
    assert judge(broken)["race"] == judge(raced)["race"]


def test_the_order_of_the_study_changes_no_ruling(whole, tmp_path):
    turned = laid_out(write_study(tmp_path, list(reversed(SKILLS))), tmp_path / "run")
    for item in [*turned.load_plan().items, *turned.load_plan().race.later]:
        shutil.copytree(whole.done(item.id), turned.done(item.id)) if whole.done(item.id).is_dir() else None
    work(turned, log=quiet)
    assert rulings(turned) == rulings(whole)


def test_rulings_that_are_gone_or_damaged_are_made_again_and_are_the_same(raced):
    before = rulings(raced)
    files = sorted((raced.root / "search").rglob("*.json"))
    assert len(files) == len(before)
    for number, path in enumerate(files):
        if number % 2:
            path.write_bytes(path.read_bytes()[:-20])
        else:
            path.unlink()
    assert rulings(raced) == []
    assert raced.load_plan().num_to_come > 0
    read_rows(raced)
    assert work(raced, log=quiet) == 0  # everything was done already
    assert rulings(raced) == before


def test_no_look_is_made_before_all_of_its_fits_are_settled(tmp_path):
    folder = laid_out(write_study(tmp_path), tmp_path / "run")
    seen = []

    def log(line):
        done = len(folder.settled()[0])
        seen.append((done, len(folder.load_plan().race.rulings)))

    work(folder, log=log)
    assert max(made for done, made in seen if done < 12) == 0


def test_a_failed_fit_rules_nothing_out_and_a_retry_is_ruled_on_anew(tmp_path, monkeypatch, whole):
    bad = (0.006, 0, 1)
    without_training(monkeypatch, failing(bad))
    folder = laid_out(write_study(tmp_path), tmp_path / "run")
    work(folder, log=quiet)
    assert fits_by_rate(folder)[0.006] == 9  # all but the one that failed
    row = next(row for row in judge(folder)["configurations"] if "0.006" in row["name"])
    assert (row["verdict"], row["num_done"], row["num_spared"]) == ("incomplete", 9, 0)
    without_training(monkeypatch)
    assert folder.retry() == 1
    assert rulings(folder) == []  # made without the fit that failed
    work(folder, log=quiet)
    assert rulings(folder) == rulings(whole)
    again, once = judge(folder), judge(whole)
    assert again["race"] == once["race"]
    assert again["configurations"][-1]["num_done"] == once["configurations"][-1]["num_done"] < 9


def balanced(outputs):
    """The balanced accuracy of all of these together, by hand."""
    every = [(one.truth[:, 1], one.probabilities[:, 1] > 0.5) for one in outputs]
    true, said = (np.concatenate(column) for column in zip(*every, strict=True))
    return np.mean([(said == true)[true == label].mean() for label in (True, False)])


def test_what_is_known_of_one_ruled_out_is_of_the_fits_it_has(raced):
    verdict, rows = verdict_now(raced)
    early = [row for row in verdict.configurations if row.verdict == EARLY]
    winner = verdict.answer.configuration
    assert early
    for row in early:
        assert not row.compared
        assert row.rank_low is row.rank_high is row.p_wins is None
        assert not row.could_be_best
        assert row.num_done == row.num_planned == 10 - row.num_spared
        done = rows.done(row.id)
        mine = {(fit.repeat, fit.fold): rows.fold_outputs(fit) for fit in done}
        theirs = {(fit.repeat, fit.fold): rows.fold_outputs(fit) for fit in rows.done(winner)}
        assert mine.keys() < theirs.keys()

        own, other = balanced(mine.values()), balanced(theirs[key] for key in mine)
        assert row.estimate == pytest.approx(own)
        assert row.difference == pytest.approx(own - other)
        assert row.low < row.estimate < row.high
        assert row.difference_low <= row.difference <= row.difference_high < 0
        assert row.p <= verdict.race.alpha
    assert [row.verdict for row in verdict.configurations] == sorted(
        (row.verdict for row in verdict.configurations), key=lambda rank: rank == EARLY
    )


def test_the_comparison_at_the_end_has_the_error_that_the_looks_left(raced):
    race, verdict = raced.load_plan().race, judge(raced)
    assert verdict["race"]["spent"] == pytest.approx(0.2 * 0.05)
    assert race.alpha * len(race.looks) == pytest.approx(0.2 * 0.05)
    assert verdict["num_planned"] == verdict["num_done"] == NUM_FITS - verdict["race"]["num_spared"]
    worse = [row for row in verdict["configurations"] if row["verdict"] == "worse"]
    assert worse
    assert all(0.2 * 0.05 < row["p"] <= 0.05 for row in worse)  # what the looks may have used is counted
    assert verdict["answer"]["num_ruled_out"] == len(worse) + verdict["race"]["num_ruled_out"]
    assert f"{verdict['race']['num_ruled_out']} more" in verdict["answer"]["sentence"]


def test_factors_are_compared_by_what_all_configurations_have(raced):
    verdict, rows = verdict_now(raced)
    at = min(raced.load_plan().race.stopped.values())
    assert verdict.factors.num_compared == 6
    assert verdict.factors.full
    by_name = {level.level: level.mean for level in verdict.factors.factors[0].levels}
    part = up_to(rows, at)
    for row in verdict.configurations:
        if row.verdict == EARLY and raced.load_plan().race.stopped[row.id] == at:
            assert by_name[row.name] == pytest.approx(row.estimate)
    assert part.complete(verdict.configurations[0].id)
    assert verdict.factors.sentence.startswith("Factors are compared by ")


def test_the_one_that_the_aa_test_trains_again_is_trained_in_full(tmp_path):
    rates = {rate: SKILLS[rate] for rate in (0.006, 0.001, 0.002, 0.003)}
    folder = laid_out(write_study(tmp_path, rates, aa_test=2), tmp_path / "run")
    work(folder, log=quiet)
    assert fits_by_rate(folder)[0.006] == 10
    verdict = judge(folder)
    assert next(row for row in verdict["configurations"] if "0.006" in row["name"])["verdict"] == "worse"
    assert len(verdict["aa_test"]["estimates"]) == 3


def test_what_belongs_to_one_ruled_out_is_not_done_and_speed_is_measured_at_the_end(tmp_path):
    more = "robustness: {blur_px: [0, 1], noise: [0]}\nmeasure: {models: [], batch_sizes: [2], caches: [memory]}\n"
    folder = laid_out(write_study(tmp_path, more=more), tmp_path / "run")
    assert {item.kind for item in folder.load_plan().items} == {"fit"}
    later = {item.kind for item in folder.load_plan().race.later}
    assert later == {"fit", "robustness", "measure"}
    fits = [item for item in folder.load_plan().items if item.kind == "fit"]
    for number in range(4):
        for item in fits:
            if folder.result(item.id) is None:
                _commit(folder, item)
        look(folder)
        fits = [item for item in folder.load_plan().items if item.kind == "fit"]
        assert number < 3 or folder.load_plan().num_to_come == 0
    plan = folder.load_plan()
    stopped = plan.race.stopped
    assert stopped
    checks = [item for item in plan.items if item.kind == "robustness"]
    assert len(checks) == (6 - len(stopped)) * 10
    assert not {item.settings["configuration"] for item in checks} & set(stopped)
    assert sum(item.kind == "measure" for item in plan.items) == 1


def _commit(folder, item):
    """As a worker does it, without the other items."""
    from foldwise.pipeline.worker import do_item

    do_item(folder, item, device="cpu")


def test_two_always_stay_so_that_the_winner_is_compared_with_something(tmp_path):
    rates = {0.001: 2.5, 0.005: 0.3, 0.006: 0.0}
    folder = laid_out(write_study(tmp_path, rates, folds=5, repeats=3), tmp_path / "run")
    work(folder, log=quiet)
    assert sum(trained == 15 for trained in fits_by_rate(folder).values()) == 2
    assert judge(folder)["state"] == "clear_winner"


def test_in_the_middle_what_is_ruled_out_is_said_and_nobody_has_won(tmp_path, capsys):
    folder = laid_out(write_study(tmp_path), tmp_path / "run")

    def log(line):
        if len(folder.load_plan().race.stopped):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(folder, log=log)
    verdict = judge(folder)
    assert verdict["state"] == "incomplete"
    assert verdict["answer"] is None
    early = [row for row in verdict["configurations"] if row["verdict"] == EARLY]
    assert early
    assert all(row["estimate"] is not None and row["low"] is not None for row in early)
    assert verdict["configurations"][-len(early) :] == early  # after those that still race
    assert verdict["num_planned"] == NUM_FITS - verdict["race"]["num_spared"] > verdict["num_done"]
    say_status(folder)
    said = capsys.readouterr().out
    assert f"{len(early)} of 6 configurations ruled out early, which spares" in said
    assert "come after the next look, unless it spares them" in said


def test_what_a_race_will_release_counts_as_work_for_which_workers_are_kept(tmp_path):
    folder = laid_out(write_study(tmp_path), tmp_path / "run")
    plan = folder.load_plan()
    outcomes = {item.id: {"status": "done"} for item in plan.items}
    assert plan.coming(()) == []
    assert _State.of(plan, "cuda", {}, FolderState(outcomes, {}, {}, {})).left["accelerator"] == 48


def test_who_lacks_a_device_ends_where_a_look_needs_fits_of_others(tmp_path):
    folder = laid_out(write_study(tmp_path), tmp_path / "run")
    plan = folder.load_plan()
    theirs = {item.id for item in plan.items if rate_of(item) == 0.001}
    agenda = Agenda(folder, plan, waits=theirs)
    agenda.look(now=True)
    assert not agenda.is_done()
    for item in plan.items:
        if item.id not in theirs:
            _commit(folder, item)
    agenda.look(now=True)
    assert agenda.is_done()
    assert not look(folder)
    for item in plan.items:
        if item.id in theirs:
            _commit(folder, item)
    agenda.look(now=True)
    assert not agenda.is_done()  # now there is something to look at
    assert look(folder)


def test_an_edit_of_what_is_judged_is_ruled_on_anew_and_trains_nothing_twice(raced, tmp_path):
    before = raced.load_plan().race.id
    again = laid_out(tmp_path / "study.yaml", tmp_path / "run", ["judge.metric=accuracy"])
    assert again.load_plan().race.id != before
    done = again.settled()[0]
    work(again, log=quiet)
    assert done <= again.settled()[0]
    off = laid_out(tmp_path / "study.yaml", tmp_path / "run", ["validate.race=false"])
    assert off.load_plan().race is None
    assert len(off.load_plan().items) == NUM_FITS
    assert "race" not in json.loads(off.plan.read_text())


def test_fits_that_were_done_before_the_race_count_no_more_than_in_it(raced, tmp_path):
    whole = laid_out(tmp_path / "study.yaml", tmp_path / "whole", ["validate.race=false"])
    assert work(whole, log=quiet) == NUM_FITS
    then = laid_out(tmp_path / "study.yaml", tmp_path / "whole")
    assert not all_settled(then, then.load_plan())
    assert work(then, log=quiet) == 0
    assert rulings(then) == rulings(raced)
    mine, theirs = judge(then), judge(raced)
    for part in ("race", "configurations", "pairs", "answer"):
        assert mine[part] == theirs[part]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["compare.optimizer=[adam, sgd]"], "a race of 2 configurations can rule none out"),
        (["validate.folds=2", "validate.repeats=1"], "and here nothing comes after that"),
        (["data.phantom.images=14", "validate.folds=2"], "all folds together test 10"),
    ],
)
def test_a_race_that_can_save_nothing_is_refused_with_the_cure(tmp_path, change, message):
    with pytest.raises(SpecError, match=message):
        prepare(open_study(write_study(tmp_path), change))


def test_a_race_beside_a_search_is_refused(tmp_path):
    path = write_study(tmp_path, more="search: {space: {batch_size: [4, 8]}}\n")
    with pytest.raises(SpecError, match=r"validate\.race"):
        open_study(path)


def test_a_plan_names_no_race_by_a_path(tmp_path):
    folder = laid_out(write_study(tmp_path), tmp_path / "run")
    plan = folder.load_plan()
    record = plan.to_json()
    record["race"]["id"] = "../../elsewhere"
    with pytest.raises(Exception, match="no name that foldwise gives"):
        type(plan).from_json(record)


def test_workers_somewhere_else_find_what_comes_in_the_plan(tmp_path, capsys):
    say_planned(laid_out(write_study(tmp_path), tmp_path / "run"))
    assert "12 items to do, and at most 48 that a race releases look by look" in capsys.readouterr().out


def test_a_metric_that_cannot_be_tested_rules_nothing_out(tmp_path):
    folder = laid_out(write_study(tmp_path), tmp_path / "run", ["judge.metric=auroc"])
    for item in folder.load_plan().items:
        _commit(folder, item)
    study, rows = folder.load_study(), read_rows(folder)
    few = Race("race-x", ((0, 1),), 0.01)  # fewer than ten positives in two folds
    ruling = ruling_on(study, rows, few)
    assert ruling.out == {} or up_to(rows, (0, 1)).num_having[1] >= 10


def foretold(path, seconds, changes=()):
    """What `foldwise check` says of a race, where a fit takes so long."""
    prepared = prepare(open_study(path, changes))
    costs = SimpleNamespace(
        of={row.id: SimpleNamespace(seconds_per_fit=seconds) for row in prepared.configurations}
    )
    return _race(prepared, costs)


def test_a_check_says_what_a_race_spares_and_offers_one_where_that_is_much(tmp_path):
    path, off = write_study(tmp_path, folds=5, repeats=3), "validate.race=false"
    many = ["data.phantom.images=600"]
    offered = foretold(path, 600, [*many, off])
    assert offered.startswith(
        "validate: {race: true} would train what is shown not to be best no further. That spares about"
    )
    assert "of 15 h of training" in offered
    assert offered.endswith("and next to nothing where all are alike. The verdict is as sure.")
    assert foretold(path, 600, many).startswith("it spares about")
    assert foretold(path, 1, [*many, off]) is None  # minutes in all
    assert foretold(path, 600, [off]) is None  # so few images show nothing early
    assert "it is expected to spare nothing where configurations lie evenly" in foretold(path, 600)
    assert foretold(path, 600, [*many, off, "judge.metric=log_loss"]) is None  # of which no scale is known
    assert foretold(path, 600, [*many, off, "compare.optimizer=[adam, sgd]"]) is None


def test_more_is_foretold_where_more_can_be_seen():
    looks, alpha = [(0, 1), (0, 2), (0, 4), (1, 4)], 0.0025
    shares = [
        expected_share(GRADED, Design(n, 5, 3, 24), looks, [n * (k + 1) // 5 for k in range(5)], alpha=alpha)
        for n in (40, 300, 3000)
    ]
    assert 0 <= shares[0] < shares[1] < shares[2] < 0.75


def test_report_and_tables_show_who_was_ruled_out_early_without_a_rank(raced):
    verdict = judge(raced)
    write_report(raced)
    page = raced.report.read_text(encoding="utf-8")
    early = [row for row in verdict["configurations"] if row["verdict"] == EARLY]
    assert page.count("↓ ruled out early</b>") == len(early) + 1  # and in the words above the table
    board = page.partition('id="board"')[2].partition("</table>")[0]
    assert len(re.findall(r'<td class="num place" data-value="\d+"></td>', board)) == len(early)
    assert f"{early[0]['num_done']} of 10 fits" in board
    section = page.partition('<section id="race">')[2].partition("</section>")[0]
    assert verdict["race"]["sentence"] in section
    assert all(row["name"] in section for row in early)
    with raced.results.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["verdict"] == EARLY]
    assert [row["num_spared"] for row in rows] == [str(row["num_spared"]) for row in early]
    assert all(row["could_be_best"] in ("False", "0", "false") for row in rows)


@pytest.mark.parametrize(
    ("change", "kind"), [("train.pretrain=denoise", "pretrain"), ("train.freeze=encoder", "features")]
)
def test_what_fits_of_a_fold_share_comes_with_the_first_of_them(tmp_path, change, kind):
    plan = laid_out(write_study(tmp_path), tmp_path / "run", [change]).load_plan()
    needed = {need for item in plan.items for need in item.needs}
    assert needed == {item.id for item in plan.items if item.kind == kind}
    assert {item.id for item in plan.race.later if item.kind == kind} == {
        need for item in plan.race.later for need in item.needs
    } - needed
