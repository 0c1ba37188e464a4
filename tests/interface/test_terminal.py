"""What the terminal says: words, widths, and how often."""

import io
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.text import Text

from foldwise.interface import checked, observer, terminal
from foldwise.interface.commands import status
from foldwise.learning.training.costs import Estimate
from foldwise.pipeline.preflight import Costs
from foldwise.runs.folder import RunFolder
from foldwise.runs.items import Item, Rates
from foldwise.runs.plan import Plan
from foldwise.study.spec import Study
from foldwise.text import broken, count, duration


def shown(width, paint):
    out = Console(file=io.StringIO(), force_terminal=False, width=width, highlight=False)
    paint(out)
    return out.file.getvalue().splitlines()


def test_counts_and_times_in_words():
    assert [count(1, "pass"), count(2, "pass"), count(2, "fold")] == ["1 pass", "2 passes", "2 folds"]
    assert [count(0, "image"), count(12000, "image has", "images have")] == ["0 images", "12,000 images have"]
    spoken = {0.42: "0.4 s", 59.6: "1 min", 61: "1 min 1 s", 754: "13 min", 7200: "2 h", 7500: "2 h 5 min"}
    assert {seconds: duration(seconds) for seconds in spoken} == spoken
    assert [duration(86399), duration(90000)] == ["1 d", "1 d 1 h"]


def test_a_message_hangs_under_its_first_line_with_its_code_at_the_end():
    lines = shown(
        40,
        lambda out: terminal.say_message(out, ("!", ""), "word " * 12 + "end", code="A_CODE", cure="do it"),
    )
    assert lines[0].startswith("  ! word")
    assert all(line.startswith("    word") for line in lines[1:-2])
    assert lines[-2].endswith("end A_CODE")
    assert lines[-1] == "    → do it"
    assert max(map(len, lines)) <= 40


def test_a_very_long_message_is_cut_and_brackets_are_no_markup():
    lines = shown(
        80, lambda out: terminal.say_message(out, ("!", ""), "[bold] a.png, " * 200, code="X", cure=None)
    )
    assert len(lines) < 10
    assert lines[0].startswith("  ! [bold] a.png")
    assert lines[-1].endswith("... X")


def test_outside_a_terminal_no_line_is_broken(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO())
    out = terminal.console()
    terminal.hang(out, Text("  "), Text("word " * 60))
    assert len(out.file.getvalue().splitlines()) == 1


def test_long_names_break_between_their_levels():
    name = "conv (width 4) · dice_cross_entropy · sgd (lr 0.01)"
    assert broken(name, 80) == name
    assert broken(name, 36).split("\n") == ["conv (width 4) · dice_cross_entropy", "  · sgd (lr 0.01)"]


def plan_of(number):
    return Plan(
        tuple(Item(f"fit-{n}", "fit", (), f"x · fold {n}", {"configuration": "x"}) for n in range(number)), ()
    )


def test_the_estimate_is_divided_by_the_workers_that_will_run():
    def said(core_s, memory_mb, workers, plan, **where):
        of = {"x": Estimate(core_s / len(plan.items), 0.0, memory_mb, 1)}
        rates = Rates(seconds_per_fit={"x": core_s / len(plan.items)})
        return checked._estimate(Costs(of, (), rates, frozenset(), **where), workers, plan)

    text = said(720, 350, 2, plan_of(6))
    assert text.startswith("about 6 min with 2 workers on this machine (12 min of one core); 350 MB")
    assert "2 workers on machines like this one (" in said(720, 350, 2, plan_of(6), elsewhere=True)
    assert "with 1 worker on" in said(720, 350, 8, plan_of(1))
    assert said(3, 8, 2, plan_of(6)).startswith("less than a minute with 2 workers")
    race = replace(plan_of(6), race=SimpleNamespace(later=()))  # by how much it shortens a run nobody knows
    assert said(720, 350, 2, race).startswith("at most 6 min with 2 workers")


def finish(folder, number, status="done"):
    scratch = folder.scratch(f"fit-{number}", "n")
    scratch.mkdir(parents=True)
    error = (
        '{"type": "ValueError", "message": "too [dark]", "traceback": ""}' if status == "failed" else "null"
    )
    (scratch / "result.json").write_text(f'{{"status": "{status}", "error": {error}}}')
    folder.commit(scratch, f"fit-{number}")


def test_done_already_names_what_failed(tmp_path, capsys):
    folder, plan = RunFolder(tmp_path), plan_of(2)
    study = Study.model_validate({"study": "tiny", "data": {"path": "x"}})
    prepared = SimpleNamespace(study=study, plan=plan)
    finish(folder, 0)
    finish(folder, 1, "failed")
    observer.say_done_already(prepared, folder)
    assert capsys.readouterr().out == "tiny\nAll 2 items were done already (1 failed).\n"


def test_status_says_why_and_what_to_do(tmp_path, capsys):
    folder = RunFolder(tmp_path)
    folder.save_plan(plan_of(3))
    finish(folder, 1, "failed")
    status.say_status(folder)
    said = capsys.readouterr().out
    assert "3 items: 2 waiting, 1 failed" in said
    assert "failed   x · fold 1: too [dark]" in said
    assert f"by hand: foldwise work {tmp_path} fit-1" in said


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 0.0

    monkeypatch.setattr(terminal.time, "monotonic", lambda: Clock.now)
    return Clock


def test_a_log_grows_slowly(tmp_path, capsys, clock):
    folder = RunFolder(tmp_path)
    folder.save_plan(plan_of(3))
    finish(folder, 0)
    progress = terminal.RunProgress(folder)
    for clock.now in range(0, 4 * 3600, 10):
        if clock.now == 3600:
            finish(folder, 1)
        progress.show()
    finish(folder, 2)
    progress.show()
    progress.stopping()
    progress.stop()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 40
    assert any(line.startswith("2 of 3 items done, 1 h") for line in lines)
    assert lines[-1].endswith("; stopping, what is in progress is given back")


def test_the_time_to_go_is_not_guessed_from_the_first_items(tmp_path, capsys, clock):
    folder = RunFolder(tmp_path)
    folder.save_plan(plan_of(60))
    progress = terminal.RunProgress(folder)
    for clock.now, place in ((35, 0), (60, 1), (90, 2)):
        finish(folder, place)
        progress.show()
    progress.stop()
    lines = capsys.readouterr().out.splitlines()
    assert ["to go" in line for line in lines] == [False, False, True]
    assert "about 28 min" in lines[2]  # 57 more at 30 s each


@pytest.fixture
def soon(monkeypatch):
    """Lines after hundredths of seconds in place of seconds."""
    monkeypatch.setattr(terminal, "LINE_AFTER_S", 0.02)


def printed(capsys, words, least=1):
    """What is printed, once so many lines hold these words."""
    text, until = "", time.monotonic() + 20
    while sum(words in line for line in text.splitlines()) < least and time.monotonic() < until:
        time.sleep(0.01)
        text += capsys.readouterr().out
    return text.splitlines()


def test_where_no_bar_can_move_a_line_says_where_it_is_and_how_long_it_will_take(soon, capsys):
    with terminal.PredictingBar() as bar:
        assert printed(capsys, "Predicting", 0) == []
        bar.say("slide.tif: tile 3 of 16")
        bar.show(0, 2)
        bar.show(0.2, 2)
        # By a clock of its own: nothing comes from one tile that takes minutes.
        line = printed(capsys, "to go", 2)[-1]
    assert line.startswith("Predicting images (slide.tif: tile 3 of 16): 0 of 2, about ")
    assert line.endswith(" s so far")
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("kind", "words"), [
    (terminal.DecodingBar, "Decoding images: 3 of 9"), (terminal.Trying, "Trying configurations: 2 of 9"),
    (terminal.PredictingBar, "Predicting images: 3 of 9"),
])  # fmt: skip
def test_every_bar_has_its_line(soon, capsys, kind, words):
    with kind() as bar:
        bar.show(3, 9)
        assert printed(capsys, words)[-1].startswith(f"{words}, ")


def test_a_short_task_leaves_no_line_and_a_long_one_ever_fewer(capsys, monkeypatch):
    now = [0.0]

    class SixHours:
        def wait(self, seconds):
            now[0] += seconds
            return now[0] > 6 * 3600

    def at_once(target, daemon):
        return SimpleNamespace(start=target)

    monkeypatch.setattr(terminal, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(terminal, "threading", SimpleNamespace(Event=SixHours, Thread=at_once))
    terminal.Lines(lambda: "Proving onnx")
    said = capsys.readouterr().out.splitlines()
    assert said[:4] == [f"Proving onnx, {after} so far" for after in ("10 s", "20 s", "30 s", "45 s")]
    assert 40 < len(said) < 50  # every 10 minutes in the end


def test_what_is_being_done_is_said_step_by_step(soon, capsys):
    with observer.Doing() as doing:
        doing.say("Scoring images")
        doing.show(2, 40)
        doing.show(4, 40)
        assert printed(capsys, "Scoring images: 4 of 40, about ")
        doing.say("Drawing")
        assert printed(capsys, "Drawing, ")
    with observer.Doing(silent=True) as doing:
        doing.say("Nothing of it")
        time.sleep(0.1)
    assert "Nothing" not in capsys.readouterr().out
