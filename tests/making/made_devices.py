"""Devices that are made up: a ledger in a folder says who has how much of whose memory, and refuses what is not there.

Called with a run folder, as a command, it is `foldwise work` whose fits take memory of such a device instead of learning.
"""

import fcntl
import json
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from foldwise.runs.device_memory import DeviceMemory, workers_here

CONTEXT_MB = 500.0  # that a process takes of a device when it first uses it
STEP_S = 0.05
WAIT_S = 200  # at most, for what others do: a machine that is busy takes long to start them


class Ledger:
    """Who has how much of every device; read and written under a lock."""

    def __init__(self, root, capacity_mb, *, tells=True):
        self.root, self.capacity_mb, self.tells = Path(root), capacity_mb, tells
        self.root.mkdir(exist_ok=True)

    def devices(self):
        return tuple(self.capacity_mb)

    def memory(self, device):
        with self._taken() as taken:
            used = {int(pid): mb for pid, mb in taken.get(device, {}).items()}
        total = self.capacity_mb[device]
        return DeviceMemory(total, total - sum(used.values()), used if self.tells else {})

    def take(self, device, mb):
        """Have so much of a device and no more, or raise as torch does."""
        with self._taken() as taken:
            here = taken.setdefault(device, {})
            me, others = str(os.getpid()), sum(mb for pid, mb in here.items() if pid != str(os.getpid()))
            if others + mb > self.capacity_mb[device]:
                raise RuntimeError(f"CUDA out of memory. Tried to allocate {mb:.0f} MiB.")
            here[me] = mb

    @contextmanager
    def _taken(self):
        with (self.root / "ledger.json").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            taken = json.loads(file.read() or "{}")
            for users in taken.values():  # what the dead had is free
                for pid in [pid for pid in users if not Path(f"/proc/{pid}").exists()]:
                    del users[pid]
            yield taken
            file.seek(0)
            file.truncate()
            json.dump(taken, file)


def note(folder, *words):
    """Write down what happened, and when."""
    with (folder.root / "happened.txt").open("a") as file:
        file.write(" ".join(map(str, (time.time(), *words))) + "\n")


def happened(folder):
    """Everything that was noted: (time, words)."""
    lines = (folder.root / "happened.txt").read_text().splitlines()
    return [(float(line.split()[0]), line.split()[1:]) for line in lines]


def counts(events, device):
    """Of the items on a device: how many were being done at last, the most at a time, how many have ended or were refused."""
    seen = dict.fromkeys(("now", "most", "ended", "refused"), 0)
    for _, (what, _, where, _) in events:
        if where == device:
            seen["now"] += 1 if what == "begun" else -1
            seen["most"] = max(seen["most"], seen["now"])
            if what != "begun":
                seen[what] += 1
    return seen


def wait(job, beat, waits):
    """Go on only when others are so far, however long they take to start: each (device, count, number)."""
    until = time.monotonic() + WAIT_S
    while any(counts(happened(job.folder), device)[count] < number for device, count, number in waits):
        assert time.monotonic() < until, f"{waits} did not come"
        job.beat(beat)
        time.sleep(STEP_S)


def fit(job):
    """Take memory of the device step by step, as the settings say; done for the first time, wait after a step where they say so."""
    settings, device = job.item.settings, os.environ.get("CUDA_VISIBLE_DEVICES", "")
    again = (job.folder.root / "happened.txt").exists() and any(
        words[1] == job.item.id for _, words in happened(job.folder)
    )
    note(job.folder, "begun", job.item.id, device or "cpu", workers_here())
    ledger = Ledger(settings["ledger"], settings["capacity_mb"]) if device else None
    most = 0.0
    for epoch, mb in enumerate(settings["curve"]):
        most = max(most, mb)
        if ledger:
            try:
                ledger.take(device, CONTEXT_MB + mb)
            except RuntimeError:
                note(job.folder, "refused", job.item.id, device, workers_here())
                ledger.take(device, CONTEXT_MB)
                raise
        # Of a processor no memory of a device is stated, as a real fit does it: it would pass for the need of fits.
        beat = {"epoch": epoch, "epochs": 9} | ({"device_mb": most} if device else {})
        job.beat(beat)
        time.sleep(STEP_S)
        wait(job, beat, () if again else settings.get("waits", {}).get(str(epoch), ()))
    if ledger:
        ledger.take(device, CONTEXT_MB)
    note(job.folder, "ended", job.item.id, device or "cpu", workers_here())
    return {"cost": {"reserved_memory_mb": most if device else None}}


if __name__ == "__main__":
    from foldwise.interface import cli
    from foldwise.pipeline import worker

    worker.BEAT_EVERY_S = 0.0
    worker.TASKS |= {"fit": fit, "shallow": fit}
    sys.argv = ["foldwise", "work", *sys.argv[1:]]
    cli.main()
