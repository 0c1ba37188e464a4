"""What may befall a run, one row each: how it is done, and how it is undone.

A fault is a function of a scene and a random generator. It gives what undoes it, which is called a moment later, or
None where there is nothing to undo or nothing to befall. A scene that lacks one of its needs is spared it.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import small_disk
from damage import DAMAGES
from scene import files_below

OTHERS = "epochs: 13"  # of the study, as it is edited
HOURS = 3600


class Fault(NamedTuple):
    """A row of the table; `needs` are attributes of a scene that it must have."""

    befall: Callable
    needs: tuple[str, ...]


def signalled(*numbers, of="workers"):
    """One of these processes gets these signals, at once."""

    def befall(scene, rng):
        alive = scene.alive(getattr(scene, of))
        if alive:
            pid = rng.choice(alive)
            for number in numbers:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    return Fault(befall, (of,))


def freeze(scene, rng):
    alive = scene.alive(scene.workers)
    if not alive:
        return None
    pid = rng.choice(alive)
    os.kill(pid, signal.SIGSTOP)

    def wake():
        time.sleep(1.5 * scene.lease_s)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    return wake


def started(*before, of="worker"):
    """Another one joins, for whom something is amiss."""

    def befall(scene, rng):
        join = scene.start_driver if of == "driver" else scene.start_worker
        if len(scene.alive(scene.drivers)) + len(scene.alive(scene.workers)) < 5:
            join(before=before)

    return Fault(befall, (f"{of}s", f"start_{of}"))


def steal_lease(scene, rng):
    """Another machine, which says nothing any more, has what somebody here is working on."""
    for item in scene.folder.beats():
        number = max(int(attempt.name) for attempt in scene.folder.attempts(item)) + 1
        draft = scene.folder.attempts_of(item) / f"draft{number}"
        draft.mkdir()
        (draft / "owner.json").write_text(
            json.dumps({"host": "elsewhere", "name": "elsewhere", "pid": 1, "started": "1"})
        )
        with suppress(OSError):
            draft.rename(draft.with_name(str(number)))
        shutil.rmtree(draft, ignore_errors=True)


def lose_leases(scene, rng):
    shutil.rmtree(scene.folder.root / "leases", ignore_errors=True)


def edit_study(scene, rng):
    text = scene.study.read_text()
    scene.study.write_text(text.replace("epochs: 12", OTHERS))
    scene.plan()

    def undo():
        scene.study.write_text(text)
        scene.plan()

    return undo


def rot(of, *skipped):
    """A file of these is damaged."""

    def befall(scene, rng):
        root = scene.cache if of == "cache" else scene.folder.root
        files = [path for path in files_below(root) if not {*path.relative_to(root).parts} & {*skipped}]
        if files:
            with suppress(OSError, IndexError):  # gone or emptied meanwhile
                DAMAGES[rng.choice(sorted(DAMAGES))](rng.choice(files))

    return Fault(befall, (of, "study"))


def delete_item(scene, rng):
    done = list((scene.folder.root / "done").glob("*"))
    if done:
        shutil.rmtree(rng.choice(done), ignore_errors=True)


def move_folder(scene, rng):
    root = scene.folder.root
    away = root.with_name("run, elsewhere")
    with suppress(OSError):
        root.rename(away)

    def undo():
        if away.exists():
            if root.exists():  # only a driver that began meanwhile makes it anew, and no worker
                made = sorted(path.name for path in root.iterdir())
                assert "plan.json" in made or not {"leases", "scratch", "done"} & {*made}, made
                shutil.rmtree(root)
            away.rename(root)

    return undo


def of_disk(do):
    return Fault(lambda scene, rng: do(scene.disk), ("disk",))


def of_cluster(name):
    """A method of the cluster's scene."""
    return Fault(lambda scene, rng: getattr(scene, name)(), ("cluster",))


def of_ray(name):
    """A method of a scene with Ray; no scene has it yet."""
    return Fault(lambda scene, rng: getattr(scene, name)(), ("ray",))


FAULTS = {
    "kill a worker": signalled(signal.SIGKILL),
    "stop a worker": signalled(signal.SIGTERM),
    "its time is up": signalled(signal.SIGUSR1),
    "hang up": signalled(signal.SIGHUP),
    "Ctrl-C, twice": signalled(signal.SIGINT, signal.SIGINT),
    "stop and kill": signalled(signal.SIGTERM, signal.SIGKILL),
    "kill a driver": signalled(signal.SIGKILL, of="drivers"),
    "stop a driver": signalled(signal.SIGTERM, of="drivers"),
    "Ctrl-C of a driver, twice": signalled(signal.SIGINT, signal.SIGINT, of="drivers"),
    "freeze a worker past its lease": Fault(freeze, ("workers", "lease_s")),
    "a second driver": started(of="driver"),
    "a driver whom nobody reads": started(("scene", "print_to", [""]), of="driver"),
    "a driver that prints to a full disk": started(("scene", "print_to", ["/dev/full"]), of="driver"),
    "a worker whose clock is hours ahead": started(("scene", "shift_clock", [5 * HOURS])),
    "a worker whose clock is days behind": started(("scene", "shift_clock", [-50 * HOURS])),
    "a worker with little memory": started(("scene", "limit_memory", [4])),
    "a stolen lease": Fault(steal_lease, ("workers", "lease_s")),
    "leases are deleted": Fault(lose_leases, ("workers", "lease_s")),
    "an edited study": Fault(edit_study, ("study",)),
    # What a worker is writing has no digest yet.
    "bit rot in the run": rot("folder", "scratch"),
    "bit rot in the cache": rot("cache"),
    "an item is deleted": Fault(delete_item, ("folder", "study")),
    "the folder is moved and comes back": Fault(move_folder, ("folder", "study")),
    "the disk is full": of_disk(small_disk.fill),
    "no names are left on the disk": of_disk(small_disk.take_all_names),
    "the disk is read-only": of_disk(small_disk.make_read_only),
    "a job is cancelled": of_cluster("cancel"),
    "a job is requeued": of_cluster("requeue"),
    "a job is preempted": of_cluster("preempt"),
    "a node is lost": of_cluster("lose_node"),
    "the controller is lost": of_cluster("lose_controller"),
    "a node of Ray is lost": of_ray("lose_node"),
}


def faults_of(scene):
    """The rows that may befall this scene."""
    return {
        name: fault
        for name, fault in FAULTS.items()
        if all(getattr(scene, need, None) is not None for need in fault.needs)
    }


def befall(scene, rng, number, *, rest, say=print):
    """So many faults in a random order, each undone after a rest of up to `rest` seconds; how often each came."""
    names = []
    for count in range(number):
        if not names:  # all of them once, then all of them again
            names = rng.sample(sorted(faults_of(scene)), len(faults_of(scene)))
        scene.tend()
        time.sleep(rng.uniform(0, rest))
        name = names.pop()
        undo = FAULTS[name].befall(scene, rng)
        time.sleep(rng.uniform(0, rest))
        if undo:
            undo()
        say(f"{count + 1} of {number}: {name}", flush=True)
