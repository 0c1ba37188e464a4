"""What is tried in a process of its own answers, or it is said how it ended; this one goes on in any case."""

import pytest

from foldwise.processes import try_apart


def test_it_answers_with_what_it_was_given_and_finds_the_same_modules(tmp_path, monkeypatch):
    (tmp_path / "of_mine_apart.py").write_text("number = 7\nprint('what it prints is no answer')\n")
    monkeypatch.syspath_prepend(tmp_path)
    code = "import of_mine_apart\nfor value in given:\n    answer([value, of_mine_apart.number])"
    got = try_apart(code, ["é\n", None], seconds=60)
    assert (got.lines, got.ending) == ((["é\n", 7], [None, 7]), "")


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("import os; os._exit(3)", "ended the program (exit code 3)"),
        ("raise SystemExit", "ended the program (exit code 0)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was ended by signal 9"),
    ],
)
def test_however_it_ends_that_is_said(code, ending):
    got = try_apart(f"answer(1)\n{code}", None, seconds=200)
    assert (got.lines, got.ending) == ((1,), ending)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import re; re.match('(a+)+b', 'a' * 60)",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(99)",
    ],
)
def test_what_does_not_end_is_ended(code):
    got = try_apart(f"answer(1)\n{code}", None, seconds=1)
    assert got.ending == "took longer than 1 s"
    assert got.lines in ((1,), ())  # on a machine that is busy it is still starting
