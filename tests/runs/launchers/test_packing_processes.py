"""Workers that share devices, as real processes: the devices are made up, and refuse memory as a GPU does."""

import sys
from pathlib import Path

import pytest
from made_devices import Ledger, happened

from foldwise.runs.folder import RunFolder
from foldwise.runs.items import Item
from foldwise.runs.launchers import local
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.local import LocalWorkers
from foldwise.runs.launchers.packing import Packing
from foldwise.runs.plan import Plan

MADE = Path(__file__).resolve().parents[2] / "making" / "made_devices.py"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(local, "POLL_S", 0.05)
    monkeypatch.setattr(local, "LOOK_S", 0.1)


def laid_out(root, capacity_mb, curves, *, cpu=0, tells=True):
    """A run folder with fits that take such memory, one configuration each name, and what needs a processor only."""
    folder, ledger = RunFolder(root / "run"), Ledger(root / "ledger", capacity_mb, tells=tells)
    about = {"ledger": str(root / "ledger"), "capacity_mb": capacity_mb}
    fits = [
        Item(f"fit-{n}", "fit", (), f"fit {n}", about | {"curve": curve, "configuration": name})
        for n, (name, curve) in enumerate(curves)
    ]
    others = [
        Item(f"shallow-{n}", "shallow", (), f"shallow {n}", about | {"curve": [1] * 3}) for n in range(cpu)
    ]
    folder.save_plan(Plan((*fits, *others), ()))
    return folder, ledger


def run(folder, ledger, *, workers=1, most=4):
    crew = Crew(folder, workers, most=most)
    launcher = LocalWorkers(
        crew,
        command=lambda number: [sys.executable, str(MADE), str(folder.root)],
        staffing=Packing(crew, ledger),
        grace_s=20,
    )
    items = {item.id for item in folder.load_plan().items}
    launcher.run(finished=lambda: items <= set().union(*folder.settled()))
    return happened(folder)


def at_most(events, device):
    """How many items were being done on a device at a time."""
    now = most = 0
    for _, (what, _, where, _) in events:
        if where == device:
            now += {"begun": 1, "ended": -1, "refused": -1}[what]
            most = max(most, now)
    return most


@pytest.mark.parametrize("tells", [True, False])
def test_one_begins_is_measured_and_as_many_more_come_as_memory_bears(tmp_path, tells):
    # (2,000 + 600) MB each: three take 7,800 of 9,000, four would take more than all of it.
    curves = [("a", [100.0, 2000.0, 2000.0] + [2000.0] * 30)] * 9
    folder, ledger = laid_out(tmp_path, {"GPU-0": 9000.0}, curves, cpu=3, tells=tells)
    events = run(folder, ledger, most=6)
    assert folder.settled()[1] == set()
    assert at_most(events, "GPU-0") == 3
    assert not [words for _, words in events if words[0] == "refused"]
    first = next(words[1] for _, words in events if words[0] == "begun" and words[2] == "GPU-0")
    assert [words[3] for _, words in events if words[:2] == ["begun", first]] == ["1"]
    # What needs no accelerator is done by others, and waits for none.
    cpu = [(when, words) for when, words in events if words[1].startswith("shallow")]
    assert {words[2] for _, words in cpu} == {"cpu"}
    fits = [when for when, words in events if words[0] == "ended" and words[1].startswith("fit")]
    assert cpu[-1][0] < fits[-1]


def test_what_did_not_fit_beside_others_is_done_alone_and_is_no_failure(tmp_path):
    # The second configuration grows late to nearly all of the device; one of the third is too large for any.
    small, large = [1000.0] * 10, [1000.0] * 4 + [7000.0] * 3
    curves = [("a", small)] * 4 + [("b", large)] * 2 + [("a", small)] * 2 + [("c", [9000.0])]
    folder, ledger = laid_out(tmp_path, {"GPU-0": 8000.0}, curves)
    events = run(folder, ledger)
    done, failed = folder.settled()
    assert failed == {"fit-8"}
    assert "out of memory" in folder.result("fit-8")["error"]["message"]
    assert len(done) == 8
    assert at_most(events, "GPU-0") > 1
    again = {words[1] for _, words in events if words[0] == "refused"}
    assert again
    for item in again:  # the last time it had the device for itself
        assert [words[3] for _, words in events if words[:2] == ["begun", item]][-1] == "1"


def test_workers_are_spread_over_devices_and_a_number_that_is_stated_is_there_at_once(tmp_path):
    curves = [("a", [1000.0] * 8)] * 8
    folder, ledger = laid_out(tmp_path, {"GPU-0": 8000.0, "GPU-1": 8000.0}, curves, cpu=1)
    events = run(folder, ledger, workers=5, most=None)
    assert {words[2] for _, words in events} == {"GPU-0", "GPU-1", "cpu"}
    assert 2 <= at_most(events, "GPU-0") <= 3
    assert 2 <= at_most(events, "GPU-1") <= 3
