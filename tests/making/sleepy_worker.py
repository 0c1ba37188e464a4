"""`foldwise work` as it is, but for its fits, which sleep instead of learning: what a cluster does to workers needs no more.

Called with a run folder, as a command, in a job of Slurm or a task of Ray; further words are options of `foldwise work`.
"""

import os
import sys
import time
from pathlib import Path

from foldwise.runs.folder import RunFolder
from foldwise.runs.items import Item
from foldwise.runs.plan import Plan

STEP_S = 0.1


def sleepy_run(root, *, items, seconds, **settings):
    """A run folder with items that take so long each; with `until`, they also wait for a file of that name in it."""
    folder = RunFolder(root)
    folder.logs.mkdir(parents=True)
    settings |= {"seconds": seconds}
    plan = Plan(tuple(Item(f"fit-{n:02}", "fit", (), f"fit {n}", settings) for n in range(items)), ())
    folder.save_plan(plan)
    return folder


def command(root):
    """What a job does."""
    return [sys.executable, str(Path(__file__).resolve()), str(root)]


def begun(folder):
    """The items that were begun, in order; those that were begun again come again."""
    path = folder.root / "begun.txt"
    return path.read_text().split() if path.exists() else []


def fit(job):
    """Sleep, or take memory; what it makes says which item it is."""
    with (job.folder.root / "begun.txt").open("a") as file:
        file.write(f"{job.item.id}\n")
    hoard = []
    for step in range(int(job.item.settings["seconds"] / STEP_S)):
        job.beat({"epoch": step, "epochs": 100})
        hoard.append(bytearray(job.item.settings.get("mb_a_step", 0) * 2**20))
        time.sleep(STEP_S)
    while (until := job.item.settings.get("until")) and not (job.folder.root / until).exists():
        job.beat({"epoch": 100, "epochs": 100})
        time.sleep(STEP_S)
    (job.scratch / "made.txt").write_text(job.item.id)
    return {"seconds": time.time(), "job": os.environ.get("SLURM_JOB_ID", "")}


def assert_whole(folder):
    """Every item is done, once, and by its own hand; nothing is left of those that were lost."""
    items = [item.id for item in folder.load_plan().items]
    assert folder.settled() == (set(items), set())
    assert {item: (folder.done(item) / "made.txt").read_text() for item in items} == {i: i for i in items}
    assert sorted(path.name for path in (folder.root / "done").iterdir()) == sorted(items)
    assert folder.beats() == {}
    assert not list((folder.root / "scratch").glob("*"))


if __name__ == "__main__":
    from foldwise.interface import cli
    from foldwise.pipeline.worker import TASKS

    TASKS["fit"] = fit
    sys.argv = ["foldwise", "work", *sys.argv[1:]]
    cli.main()
