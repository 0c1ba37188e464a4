"""Workers that share devices, as real processes: the devices are made up, and refuse memory as a GPU does."""

import sys
from pathlib import Path

import pytest
from made_devices import Ledger, counts, happened

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
    """A run folder with fits (configuration, memory by step, for what to wait after which), and what needs a processor only."""
    folder, ledger = RunFolder(root / "run"), Ledger(root / "ledger", capacity_mb, tells=tells)
    about = {"ledger": str(root / "ledger"), "capacity_mb": capacity_mb}
    fits = [
        Item(
            f"fit-{n}",
            "fit",
            (),
            f"fit {n}",
            about
            | {
                "curve": curve,
                "configuration": name,
                "waits": {str(step): what for step, what in waits.items()},
            },
        )
        for n, (name, curve, waits) in enumerate(curves)
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


@pytest.mark.parametrize("tells", [True, False])
def test_one_begins_is_measured_and_as_many_more_come_as_memory_bears(tmp_path, tells):
    # (2,000 + 600) MB each: three take 7,800 of 9,000, four would take more than all of it.
    # Each waits until three have been there at a time, and the first one for all that needs a processor only.
    curve, waits = [100.0] + [2000.0] * 8, [("GPU-0", "most", 3)]
    curves = [("a", curve, {2: waits, 3: [("cpu", "ended", 3)] if n == 0 else []}) for n in range(9)]
    folder, ledger = laid_out(tmp_path, {"GPU-0": 9000.0}, curves, cpu=3, tells=tells)
    events = run(folder, ledger, most=6)
    assert folder.settled()[1] == set()
    assert counts(events, "GPU-0") == {"now": 0, "most": 3, "ended": 9, "refused": 0}
    first = next(words[1] for _, words in events if words[0] == "begun" and words[2] == "GPU-0")
    assert [words[3] for _, words in events if words[:2] == ["begun", first]] == ["1"]
    # What needs no accelerator was done by others, and waited for none.
    assert {words[2] for _, words in events if words[1].startswith("shallow")} == {"cpu"}


def test_what_did_not_fit_beside_others_is_done_alone_and_is_no_failure(tmp_path):
    # The second configuration grows late to nearly all of the device; one of the third is too large for any.
    small, large = [1000.0] * 5, [1000.0] * 4 + [7100.0] * 3
    # Two of the first are there at a time; what grows does so beside another one, and once more alone.
    together, beside = {4: [("GPU-0", "most", 2)]}, {3: [("GPU-0", "now", 2)]}
    curves = [("a", small, together)] * 4 + [("b", large, beside)] * 2 + [("a", small, {})] * 2
    curves.append(("c", [9000.0], {}))
    folder, ledger = laid_out(tmp_path, {"GPU-0": 8000.0}, curves)
    events = run(folder, ledger)
    done, failed = folder.settled()
    assert failed == {"fit-8"}, [folder.result(item)["error"] for item in failed - {"fit-8"}]
    assert "out of memory" in folder.result("fit-8")["error"]["message"]
    assert len(done) == 8
    assert counts(events, "GPU-0")["most"] > 1
    again = {words[1] for _, words in events if words[0] == "refused"}
    assert again
    for item in again:  # the last time it had the device for itself
        assert [words[3] for _, words in events if words[:2] == ["begun", item]][-1] == "1"


def test_workers_are_spread_over_devices_and_a_number_that_is_stated_is_there_at_once(tmp_path):
    everywhere = [("GPU-0", "most", 2), ("GPU-1", "most", 2)]
    curves = [("a", [1000.0] * 4, {1: everywhere})] * 8
    folder, ledger = laid_out(tmp_path, {"GPU-0": 8000.0, "GPU-1": 8000.0}, curves, cpu=1)
    events = run(folder, ledger, workers=5, most=None)
    assert {words[2] for _, words in events} == {"GPU-0", "GPU-1", "cpu"}
    assert 2 <= counts(events, "GPU-0")["most"] <= 3
    assert 2 <= counts(events, "GPU-1")["most"] <= 3
