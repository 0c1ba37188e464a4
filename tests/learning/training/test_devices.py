"""The device asked for, or an error; the same numbers; what was spent."""

import platform
import resource

import numpy as np
import pytest
import torch

from foldwise.errors import MissingExtra, SpecError
from foldwise.learning.training.devices import (
    MemoryPeak,
    Stopwatch,
    pick_device,
    precision_for,
    steady,
)
from foldwise.runs.device_memory import is_out_of_memory

CPU = torch.device("cpu")


def test_auto_is_the_fastest_that_is_here(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto").type == "cuda"
    assert pick_device("cpu").type == "cpu"


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_here_is_never_replaced(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(
        MissingExtra, match=f"the device '{device}' was asked for, but torch .* finds none here"
    ):
        pick_device(device)


def test_an_unknown_device_is_refused():
    with pytest.raises(SpecError, match="no device is called 'gpu'"):
        pick_device("gpu")


def test_precision_follows_a_rule():
    assert precision_for("auto", CPU) == "fp32"
    assert precision_for("bf16", CPU) == "bf16"
    assert precision_for("fp32", CPU) == "fp32"


def test_steady_gives_the_same_numbers_and_leaves_everything_as_it_was():
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    drawn = []
    for _ in range(2):
        torch.rand(3)
        with steady(2**63 + 11, 1, CPU):
            drawn.append(torch.rand(4))
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.get_num_threads() == 1
    assert torch.equal(*drawn)
    assert (torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()) == before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_memory_is_kept_between_steps():
    def faults():
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    added = []
    with steady(0, 1, torch.device("cpu")):
        for _ in range(20):
            before = faults()
            torch.ones(2**24)  # 64 MB: 16,384 pages of 4 kB
            added.append(faults() - before)
    # Given back, all of them would cost pages. Something small that takes the beginning of what was freed
    # makes the heap grow anew, up to six times when this was written: how often is no matter of ours.
    assert sum(pages > 1000 for pages in added) <= 10, added


def test_memory_is_measured_as_growth():
    peak = MemoryPeak(CPU)
    if peak.mb() is None:
        pytest.skip("this system does not tell the memory of a process")
    block = np.ones(64 * 2**20, np.uint8)
    assert 60 < peak.mb() < 120
    del block
    assert peak.mb() > 60
    assert MemoryPeak(CPU).mb() < 40
    assert peak.kind == "growth of process memory"


def test_a_stopwatch_adds_its_laps():
    watch = Stopwatch(CPU)
    for _ in range(2):
        with watch.lap():
            sum(range(10_000))
    assert 0 < watch.seconds < 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 18 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected
