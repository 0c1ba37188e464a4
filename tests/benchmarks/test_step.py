from queue import SimpleQueue
from threading import Barrier

import torch

from benchmarks import step
from benchmarks.step import CASES, _alone, main, steps

NAME = next(iter(CASES))


def test_the_loop_is_the_bare_one_to_the_last_bit_and_all_ways_are_measured(monkeypatch):
    monkeypatch.setattr(step, "LEAST_S", 0.01)
    rows = steps([NAME], rounds=2)
    assert [row.way for row in rows] == ["bare", "ready", "map", "flips", "warps", "strong"]
    assert rows[0].ratio == (1.0, 1.0, 1.0)
    assert all(row.difference == 0 and row.step_ms > 0 for row in rows)
    assert len(rows[0].cells) == len(step.HEAD)


def test_a_process_counts_what_it_trains_once_all_have_begun():
    speeds = SimpleQueue()
    _alone(NAME, "cpu", 0.3, Barrier(1), speeds)
    assert speeds.get() > 0


def test_without_a_gpu_nothing_is_measured_and_that_is_said(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["step", "--device", "cuda"])
    assert main() == 0
    assert "no GPU here" in capsys.readouterr().out
