"""What launchers have in common."""

import pytest

from foldwise.processes import HungUp
from foldwise.runs.folder import RunFolder
from foldwise.runs.launchers.launcher import last_lines, quoted, teardown, watch


@pytest.mark.parametrize(
    ("error", "outlived", "called"),
    [
        (None, False, ["end"]),
        (ValueError, True, ["end"]),
        (KeyboardInterrupt, True, ["stopping", "end"]),
        (HungUp, False, ["stopping", "end"]),
        (HungUp, True, []),
    ],
)
def test_workers_are_ended_unless_they_outlive_a_closed_terminal(tmp_path, error, outlived, called):
    calls = []

    def stopping(folder):
        calls.append("stopping")

    def block():
        with teardown(RunFolder(tmp_path), lambda: calls.append("end"), stopping=stopping, outlived=outlived):
            if error:
                raise error

    if error:
        with pytest.raises(error):
            block()
    else:
        block()
    assert calls == called


def test_an_error_while_stopping_still_ends_the_workers(tmp_path):
    calls = []

    def stopping(folder):
        raise OSError

    with (
        pytest.raises(OSError),  # noqa: PT011
        teardown(RunFolder(tmp_path), lambda: calls.append("end"), stopping=stopping),
    ):
        raise KeyboardInterrupt
    assert calls == ["end"]


def test_looks_are_rarer_than_ticks_and_the_last_tick_sees_the_end(tmp_path):
    folder, looks, ticks = RunFolder(tmp_path), [], []
    watch(
        folder,
        lambda: looks.append(len(ticks)),
        finished=lambda: len(ticks) >= 20,
        tick=ticks.append,
        look_s=1000,
        poll_s=0,
    )
    assert looks == [0]
    assert ticks == [folder] * 21


def test_the_last_lines_of_the_newest_log_are_shown(tmp_path):
    folder = RunFolder(tmp_path)
    assert last_lines(folder, "ray-*.txt") == quoted("") == "  | (they said nothing)"
    folder.logs.mkdir()
    folder.log("ray-1").write_text("old\n")
    folder.log("ray-2").write_bytes(b"".join(b"line %d\n" % n for n in range(20)) + b"\xff\n")
    lines = last_lines(folder, "ray-*.txt").splitlines()
    assert len(lines) == 12
    assert lines[0] == "  | line 9"
    assert lines[-1].startswith("  | ")
