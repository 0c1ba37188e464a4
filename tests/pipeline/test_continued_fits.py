"""Workers that are killed, or asked to stop, in the middle of a fit, and others that go on where they were."""

import os
import signal
import time

from killed_fits import assert_same

from foldwise.runs.folder import RunFolder
from foldwise.sealed_arrays import read_head

STUDY = """
study: long
data:
  phantom: {kind: bacteria, images: 12, size: 48, difficulty: 0.3}
train:
  model: {unet: {width: 4, depth: 2}}
  epochs: 40
  batch_size: 4
  augment: strong
  optimizer: {sgd: {lr: 0.02}}
  schedule: cosine
validate: {folds: 2}
"""
# A checkpoint after every step, so that kills in the middle of one are met, too.
OFTEN = [("foldwise.runs.checkpoints", name, value) for name, value in (("EVERY_S", 0), ("WITHIN_S", 0))]
OFTEN += [("foldwise.runs.checkpoints", name, 1e12) for name in ("MAX_SHARE", "BYTES_PER_S")]


def wait_for(what, seconds=300):
    deadline = time.monotonic() + seconds
    while not (seen := what()):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return seen


def furthest(folder):
    """(attempt, epoch, step) of the newest checkpoint of any item."""
    heads = []
    for paths in folder.checkpoints().values():
        for number, path in paths:
            try:
                heads.append((number, *read_head(path).at))
            except FileNotFoundError:  # superseded meanwhile
                continue
    return max(heads, default=(0, 0, 0))


def test_fits_of_killed_and_stopped_workers_are_those_of_an_undisturbed_run(tmp_path, forked):
    study = tmp_path / "study.yaml"
    study.write_text(STUDY)
    assert (
        forked.wait(forked.start("run", study, "--launcher", "inline", "--out", "whole", cwd=tmp_path)) == 0
    )
    assert not (tmp_path / "whole" / "scratch").exists() or not any((tmp_path / "whole/scratch").iterdir())
    folder = RunFolder(tmp_path / "killed")

    def begin(*command):
        return forked.start(*command, cwd=tmp_path, changed=OFTEN)

    pid, before = begin("run", study, "--launcher", "inline", "--out", "killed"), (0, 0, 0)
    for ending in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        # Two steps and more beyond where the last one was, of an attempt of its own.
        goal = (before[0] + 1, before[1], before[2] + 1)
        wait_for(lambda goal=goal: furthest(folder) > goal)
        os.kill(pid, ending)
        assert forked.wait(pid) == (-signal.SIGKILL if ending == signal.SIGKILL else 130)
        after = furthest(folder)
        assert after[1:] > before[1:]
        before = after
        if ending == signal.SIGTERM:  # given back, and nobody died of it
            (item,) = folder.checkpoints()
            assert (folder.attempts(item)[-1] / "released").exists()
            assert folder.beats() == {}
        pid = begin("work", "killed")
    assert forked.wait(pid) == 0
    done = sorted(path.name for path in (tmp_path / "whole" / "done").iterdir())
    assert done == sorted(path.name for path in (folder.root / "done").iterdir())
    for name in done:
        assert_same(tmp_path / "whole" / "done" / name, folder.done(name))
    assert folder.checkpoints() == {}
