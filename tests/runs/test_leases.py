"""Leases: one holder at a time, taken over from the dead at once and from the silent after a lease."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from foldwise.runs import leases as leasing
from foldwise.runs.folder import RunFolder, read_json, write_json
from foldwise.runs.items import Item
from foldwise.runs.leases import MAX_ATTEMPTS, Sightings, acquire, release_all_of, release_dead
from foldwise.runs.plan import Plan

HOLD = """
import sys, time
from pathlib import Path
from foldwise.runs.leases import acquire
held = acquire(RunFolder(Path(sys.argv[1])), "fit-1")
print("held" if held else "refused", flush=True)
if held:
    held.beat("epoch 3")
    time.sleep(1000)
""".replace(
    "from foldwise.runs.leases", "from foldwise.runs.folder import RunFolder\nfrom foldwise.runs.leases"
)


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path)
    settings = {"configuration": "c-1", "repeat": 0, "fold": 2, "seed": 7, "training": {}}
    made.save_plan(Plan((Item("fit-1", "fit", (), "unet · fold 3 of 5", settings),), ()))
    return made


@pytest.fixture
def holder(folder):
    """Starts a process that takes the lease of the item and holds it."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder.root)], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process, first_line(process)

    yield start
    for process in started:
        process.kill()
        process.communicate()


def first_line(process, seconds=200):
    """What a process says first; one that says nothing for so long is killed, and the test fails instead of waiting."""
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.start()
    said = process.stdout.readline().strip()
    watchdog.cancel()
    assert said, f"the process said nothing within {seconds} s, or ended: {process.args[2]}"
    return said


def committed(folder, nonce="n", status="done"):
    scratch = folder.scratch("fit-1", nonce)
    write_json(scratch / "result.json", {"status": status, "by": nonce})
    return scratch


def another_host(attempt):
    """Make a lease look like one of another machine, whose processes we cannot see."""
    owner = read_json(attempt / "owner.json")
    write_json(attempt / "owner.json", owner | {"host": "elsewhere"})


def test_an_item_is_held_by_one(folder):
    held = acquire(folder, "fit-1")
    assert acquire(folder, "fit-1") is None
    held.release()
    again = acquire(folder, "fit-1")
    assert again.attempt.name == "2"
    again.release()


def test_what_is_done_is_leased_by_nobody(folder):
    held = acquire(folder, "fit-1")
    assert folder.commit(committed(folder), "fit-1")
    held.release()
    assert acquire(folder, "fit-1") is None
    assert folder.beats() == {}


def test_progress_is_shown_while_an_item_is_held(folder):
    held = acquire(folder, "fit-1")
    assert folder.beats() == {"fit-1": ""}
    held.beat('{"epoch": 3}\nsecond line')
    assert folder.beats() == {"fit-1": '{"epoch": 3}\nsecond line'}
    held.release()
    assert folder.beats() == {}


def test_a_lease_beats_by_itself(folder, monkeypatch):
    monkeypatch.setattr(leasing, "BEAT_S", 0.02)
    held = acquire(folder, "fit-1")
    first = (held.attempt / "beat").read_text()
    deadline = time.monotonic() + 200
    while (held.attempt / "beat").read_text() == first:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    held.release()


def test_two_processes_get_one_lease(folder, holder):
    assert sorted(said for _, said in (holder(), holder())) == ["held", "refused"]


def test_many_at_the_same_instant_get_one_lease(folder):
    code = HOLD.replace("time.sleep(1000)", "sys.stdin.read()").replace(
        "held = acquire", "sys.stdin.readline()\nheld = acquire"
    )
    run = [sys.executable, "-c", code, str(folder.root)]
    racers = [
        subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [first_line(racer) for racer in racers]
    for racer in racers:
        racer.communicate(timeout=200)
    assert sorted(said) == ["held", "refused", "refused", "refused"]


@pytest.mark.parametrize("reaped", [True, False])
def test_a_killed_holder_is_followed_at_once(folder, holder, reaped):
    process, said = holder()
    assert said == "held"
    assert acquire(folder, "fit-1") is None
    process.send_signal(signal.SIGKILL)
    if reaped:
        process.wait()
    else:  # a zombie still has its process id
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    taken = acquire(folder, "fit-1")
    assert taken is not None
    assert taken.attempt.name == "2"
    taken.release()


def test_a_process_id_that_was_given_again_is_another_process(folder):
    held = acquire(folder, "fit-1")
    owner = read_json(held.attempt / "owner.json")
    write_json(held.attempt / "owner.json", owner | {"started": "long ago"})
    taken = acquire(folder, "fit-1")
    assert taken is not None
    taken.release()
    held.release()


def test_another_machine_is_followed_when_it_was_silent_for_a_lease_by_our_clock(folder):
    held = acquire(folder, "fit-1")
    another_host(held.attempt)
    clock = Clock()
    seen = Sightings(clock)

    def look():
        return acquire(folder, "fit-1", sightings=seen, lease_s=180)

    assert look() is None
    clock.now = 179
    assert look() is None
    held.beat("still here")
    clock.now = 200
    assert look() is None  # the first look at the new beat
    held.beat("still here")  # the same words, but another beat
    clock.now = 379
    assert look() is None
    clock.now = 379 + 180
    taken = look()
    assert taken.attempt.name == "2"
    taken.release()
    held.release()


def test_a_frozen_holder_that_wakes_up_commits_second(folder):
    frozen = acquire(folder, "fit-1")
    another_host(frozen.attempt)
    clock = Clock()
    seen = Sightings(clock)
    acquire(folder, "fit-1", sightings=seen)
    clock.now = 1000
    taken = acquire(folder, "fit-1", sightings=seen)
    assert folder.commit(committed(folder, "second"), "fit-1")
    taken.release()
    assert not folder.commit(committed(folder, "first"), "fit-1")
    frozen.release()
    assert folder.result("fit-1")["by"] == "second"


def test_a_worker_that_dies_again_and_again_makes_the_item_fail(folder):
    for number in range(MAX_ATTEMPTS):
        held = acquire(folder, "fit-1")
        assert held.attempt.name == str(number + 1)
        held.beat(f"epoch {number}")
        owner = read_json(held.attempt / "owner.json")
        write_json(held.attempt / "owner.json", owner | {"started": "long ago"})  # as if it had died
        held._over.set()
    assert acquire(folder, "fit-1") is None
    result = folder.result("fit-1")
    assert result.pop("finished")
    assert result == {
        "item": "fit-1",
        "kind": "fit",
        "title": "unet · fold 3 of 5",
        "configuration": "c-1",
        "repeat": 0,
        "fold": 2,
        "seed": 7,
        "status": "failed",
        "error": {
            "type": "WorkerDied",
            "message": "the worker that did this died 5 times; its last words were epoch 4. Most often the machine was out of memory.",
            "traceback": "",
        },
    }
    folder.retry()
    again = acquire(folder, "fit-1")
    assert again.attempt.name == "1"
    again.release()


def test_a_new_run_forgives_the_deaths_of_those_before_it(folder):
    for _ in range(MAX_ATTEMPTS):
        held = acquire(folder, "fit-1")
        owner = read_json(held.attempt / "owner.json")
        write_json(held.attempt / "owner.json", owner | {"started": "long ago"})  # as after a power cut
        held._over.set()
    release_dead(folder)
    held = acquire(folder, "fit-1")
    assert held is not None
    release_dead(folder)  # one that lives is left alone
    assert acquire(folder, "fit-1") is None
    another_host(held.attempt)
    release_dead(folder)  # and one that cannot be seen
    assert not (held.attempt / "released").exists()
    held.release()


def test_stopping_on_purpose_counts_as_no_death(folder):
    for _ in range(2 * MAX_ATTEMPTS):
        acquire(folder, "fit-1").release()
    held = acquire(folder, "fit-1")
    assert held is not None
    held.release()


def test_what_stopped_workers_held_is_given_back(folder, holder):
    process, _ = holder()
    release_all_of(folder, {process.pid + 1})
    assert folder.beats() in ({"fit-1": "epoch 3"}, {"fit-1": ""})  # it may not have spoken yet
    process.kill()
    process.wait()
    release_all_of(folder, {process.pid})
    assert folder.beats() == {}


def test_a_beat_that_cannot_be_written_ends_no_training(folder):
    held = acquire(folder, "fit-1")
    folder.attempts_of("fit-1").rename(folder.root / "away")
    (folder.root / "leases" / "fit-1").write_text("in the way")
    held.beat("epoch 2")
    held.release()


def test_deaths_count_only_since_an_attempt_last_brought_the_item_further(folder):
    """A fit of days on machines that are taken away again and again dies often, and is nobody's fault."""
    for number in range(1, 3 * MAX_ATTEMPTS):
        lease = acquire(folder, "fit-1", lease_s=0.0)
        assert lease is not None
        assert lease.attempt.name == str(number)
        if number % 4 == 0:
            lease.got_further()
    for _ in range(MAX_ATTEMPTS):
        acquire(folder, "fit-1", lease_s=0.0)
    assert folder.result("fit-1")["error"]["type"] == "WorkerDied"


def test_of_what_is_committed_no_lease_is_left_and_a_late_beat_brings_none_back(folder):
    held = acquire(folder, "fit-1")
    held.got_further()
    held.beat("epoch 1")
    assert folder.commit(committed(folder), "fit-1")
    held.release(committed=True)
    held.beat("epoch 2")
    held.release()
    assert not folder.attempts_of("fit-1").exists()


def test_where_others_had_an_item_before_it_stays_known_what_became_of_them(folder):
    acquire(folder, "fit-1").release()
    held = acquire(folder, "fit-1")
    assert folder.commit(committed(folder), "fit-1")
    held.release(committed=True)
    assert [attempt.name for attempt in folder.attempts("fit-1")] == ["1", "2"]


def test_who_comes_while_a_lease_is_removed_is_refused_and_leaves_nothing_that_counts(folder, monkeypatch):
    held = acquire(folder, "fit-1")
    assert folder.commit(committed(folder), "fit-1")
    seen = [None]  # as one that looked before the commit
    monkeypatch.setattr(RunFolder, "result", lambda self, item_id: seen.pop() if seen else {"status": "done"})
    monkeypatch.setattr(RunFolder, "attempts", lambda self, item_id: [])
    held.release(committed=True)
    assert acquire(folder, "fit-1") is None
    monkeypatch.undo()
    assert folder.beats() == {}
    assert folder.settled() == ({"fit-1"}, set())
