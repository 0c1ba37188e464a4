"""A run and the processes that work on it, for what may befall them; and the judge of what became of it.

Processes are forked from one that has everything imported, so that they begin at once.
"""

import csv
import json
import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
from killed_fits import MEASURED

from foldwise.runs.folder import RunFolder
from foldwise.sealed import Damaged, verified

LEASE_S = 1.5
# A checkpoint after every step, so that kills in the middle of one are met; leases that run out while one looks on.
QUICK = [("foldwise.runs.checkpoints", name, value) for name, value in (("EVERY_S", 0), ("WITHIN_S", 0))]
QUICK += [("foldwise.runs.checkpoints", name, 1e12) for name in ("MAX_SHARE", "BYTES_PER_S")]
QUICK += [("foldwise.runs.leases", "BEAT_S", 0.3), ("foldwise.pipeline.worker", "BEAT_EVERY_S", 0.05)]
QUICK += [("foldwise.pipeline.worker", "PATIENCE_S", 2.0)]
# The codes that the documentation names for what is no fault of foldwise; and signals that came before there was a command.
CODES = {
    0,
    1,
    5,
    75,
    130,
    *(-number for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT)),
}
STUDY = """
study: tiny
data: {phantom: {kind: bacteria, images: 12, size: 32, difficulty: 0.3}}
train: {model: {conv: {width: 4, depth: 2}}, epochs: 12, batch_size: 4, augment: flips}
compare: {pretrain: [none, denoise], optimizer: [{adam: {lr: 0.01}}, {sgd: {lr: 0.1}}]}
validate: {folds: 2, inner: 0.3}
"""
CLOCKS = re.compile(
    r".*(_s|_ms|_mb|_j|_s_low|_s_high)|finished|packages|commit|digest|files|cost_fronts|cost_sentences"
)


def short_leases():
    """In the process that is to be: others take over after `LEASE_S`."""
    from foldwise.runs import leases

    leases.acquire.__kwdefaults__["lease_s"] = LEASE_S


def shift_clock(seconds):
    """In the process that is to be: its clock is wrong by so many seconds; those of the files are not."""
    true, true_ns = time.time, time.time_ns
    time.time = lambda: true() + seconds
    time.time_ns = lambda: true_ns() + int(seconds * 1e9)


def limit_memory(more_mb):
    """In the process that is to be: it may have so much more memory than it has now."""
    import resource

    limit = psutil.Process().memory_info().vms + int(more_mb * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def print_to(path):
    """In the process that is to be: the output is this file; a pipe that nobody reads where it is empty."""
    if path:
        to = os.open(path, os.O_WRONLY)
    else:
        reader, to = os.pipe()
        os.close(reader)
    os.dup2(to, 1)


class Scene:
    """A study of its own in `root`, and whoever works on it.

    Args:
        forked: starts their processes.
        disk: a disk of its own for run and cache, that faults may fill; a plain folder where `is_small` is False.
    """

    def __init__(self, root, forked, disk, *, is_small):
        self.root, self.forked, self.place, self.is_small = root, forked, disk, is_small
        self.study = root / "study.yaml"
        self.study.write_text(STUDY, encoding="utf-8")
        self.folder, self.cache, self.out = RunFolder(disk / "run"), disk / "cache", root / "out.txt"
        self.out.touch()
        self.workers, self.drivers, self.codes = [], [], []
        self.lease_s = LEASE_S
        self.cluster = self.ray = None  # scenes of their own have them

    @property
    def disk(self):
        return self.place if self.is_small else None

    def start(self, *command, before=()):
        """The process id of a command on this run."""
        os.environ["FOLDWISE_CACHE"] = str(self.cache)
        before = [("scene", "short_leases", []), *before]
        return self.forked.start(*command, cwd=self.root, changed=QUICK, before=before, out=self.out)

    def start_driver(self, *, before=()):
        command = ("run", self.study, "--launcher", "inline", "--out", self.folder.root)
        self.drivers.append(self.start(*command, before=before))

    def start_worker(self, *, before=()):
        self.workers.append(self.start("work", self.folder.root, before=before))

    def plan(self):
        """Lay the study out as it is now."""
        self.codes.append(self.forked.wait(self.start("plan", self.study, "--out", self.folder.root)))

    def alive(self, pids):
        """Those of the processes that have not ended; the codes of the others are noted."""
        for pid in list(pids):
            with suppress(psutil.NoSuchProcess):
                if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                    continue
            self.codes.append(self.forked.wait(pid))
            pids.remove(pid)
        return pids

    def tend(self, *, workers=2):
        """Have somebody work, and something to be done, as a user does who looks after a run now and then."""
        with suppress(OSError, Damaged):
            if len(self.folder.settled()[0]) > 5:
                for item in sorted(self.folder.settled()[0])[:3]:
                    self.folder.withdraw(item)
        if not self.alive(self.drivers):
            self.start_driver()
        while len(self.alive(self.workers)) < workers and self.folder.plan.exists():
            self.start_worker()

    def finish(self):
        """Run to the end, with nothing in the way; what the last run printed."""
        for pid in [*self.drivers, *self.workers]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        deadline = time.monotonic() + 300
        while self.alive(self.drivers) or self.alive(self.workers):
            assert time.monotonic() < deadline, "somebody does not end"
            time.sleep(0.05)
        size = self.out.stat().st_size
        self.start_driver()
        code = self.forked.wait(self.drivers.pop())
        said = self.out.read_bytes()[size:].decode()
        assert code == 0, said
        return said


def traceback_at(said, place):
    """The lines of a traceback from its innermost calls to what it says, for pytest cuts what is long at its end."""
    lines = said[place:].splitlines()
    end = next((num for num, line in enumerate(lines[1:], 1) if line[:1].strip()), len(lines) - 1)
    return lines[max(0, end - 12) : end + 3]


def assert_undisturbed(scene, undisturbed):
    """Everything is as in a run that nothing befell, but for what clocks and meters say; and nothing is left of anybody."""
    said = scene.out.read_text(encoding="utf-8", errors="replace")
    for sign in ("Traceback", "Exception ignored", "Error in sys.excepthook"):
        place = said.find(sign)
        assert place < 0, "\n".join([said[max(0, place - 1500) : place], *traceback_at(said, place)])
    assert set(scene.codes) <= CODES, scene.codes
    assert_same_run(scene.folder, undisturbed)
    left = [str(path) for root in (scene.folder.root, scene.cache) for path in root.rglob(".*")]
    assert not left, left
    assert list((scene.folder.root / "scratch").iterdir()) == []
    assert scene.folder.beats() == {}
    here = str(scene.folder.root)
    alive = [
        process.pid for process in psutil.process_iter(["cmdline"]) if here in (process.info["cmdline"] or [])
    ]
    assert alive == []


def assert_same_run(folder, undisturbed):
    """Every item is committed, none failed, and no file of it that is believed is another; the same tables and verdict."""
    plan = undisturbed.load_plan()
    assert folder.load_plan() == plan
    items = {item.id for item in plan.items}
    done, failed = folder.settled()
    assert items <= done, f"lost: {items - done}"
    assert not failed & items, [folder.result(item)["error"] for item in failed & items]
    for item in items:
        assert_same_item(folder.done(item), undisturbed.done(item))
    for name in ("cases.csv", "splits.csv", "scores.csv", "statistics.csv", "study.yaml"):
        assert (folder.root / name).read_bytes() == (undisturbed.root / name).read_bytes(), name
    rows, expected = (
        list(csv.DictReader(one.results.read_text().splitlines())) for one in (folder, undisturbed)
    )
    assert timeless(rows) == timeless(expected)
    verdict, expected = (json.loads(one.verdict.read_text()) for one in (folder, undisturbed))
    others = differing(timeless(verdict), timeless(expected))
    assert not others, others


def assert_same_item(one, other):
    """The files of an item are those of another run, or are damaged and say so where they are read."""
    names = sorted(path.name for path in other.iterdir())
    assert names == sorted(path.name for path in one.iterdir()), one
    for name in names:
        try:
            bytes_of_one = verified(one / name).read_bytes()
        except Damaged:
            continue
        if name == "result.json":
            assert timeless(json.loads(bytes_of_one)) == timeless(json.loads((other / name).read_bytes())), (
                one
            )
        elif name not in ("log.txt",):
            assert bytes_of_one == (other / name).read_bytes(), one / name


def differing(one, other, at=""):
    """Where two values differ, and in what."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        return [
            part for key in sorted(keys) for part in differing(one.get(key), other.get(key), f"{at}.{key}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [part for place, pair in pairs for part in differing(*pair, f"{at}[{place}]")]
    return [] if one == other else [f"{at}: {one} and not {other}"]


def timeless(value):
    """A value without what clocks and meters say."""
    if isinstance(value, dict):
        kept = {key: part for key, part in value.items() if key not in MEASURED and not CLOCKS.fullmatch(key)}
        return {key: timeless(part) for key, part in kept.items()}
    return [timeless(part) for part in value] if isinstance(value, list) else value


def files_below(root):
    """All files there, as they are at this moment."""
    return [path for path in sorted(Path(root).rglob("*")) if path.is_file()]
