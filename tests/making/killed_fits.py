"""Trainings that are killed at steps that a test chooses, and gone on with by the next attempt, as another worker would."""

import json

import numpy as np
from fits_to_try import SPLIT, settings, tiny
from jobs import job

from foldwise.learning.training import resuming, train
from foldwise.learning.training.fit import fit_item
from foldwise.runs.checkpoints import Checkpoints
from foldwise.runs.folder import RunFolder
from foldwise.runs.leases import acquire

# Of a result: what a clock or a meter says.
MEASURED = {"seconds", "train_s", "evaluate_s", "pretrain_s", "latency_ms", "energy_j", "reserved_memory_mb"}
MEASURED |= {
    "peak_memory_mb",
    "shared_pretrain_s",
    "shared_features_s",
    "shared_energy_j",
    "shared_peak_memory_mb",
    "finished",
    "digest",
    "files",
}


class Killed(BaseException):
    """As a SIGKILL: nothing that is done on the way out may help."""


class Killing:
    """Steps and looks at batches of an attempt, after so many of which it dies; a checkpoint every so many steps."""

    def __init__(self, monkeypatch, *, every=1):
        self.every, self.left, self.number, self.lines = every, None, 0, []
        step, at, each = train.step, resuming.ResumedTraining.at, resuming.ResumedTraining.each
        self.written = 0

        def counted_step(learner, batch):
            self.count()
            self.number += 1
            return step(learner, batch)

        def counted_each(this, parts):
            for part in each(this, parts):
                self.count()
                yield part

        def counted_at(this, position):
            at(this, position)
            self.written += 1

        def due(this, *, between_epochs):
            return this.interrupts.is_pending or self.number % self.every == 0

        monkeypatch.setattr(train, "step", counted_step)
        monkeypatch.setattr(resuming.ResumedTraining, "each", counted_each)
        monkeypatch.setattr(resuming.ResumedTraining, "at", counted_at)
        monkeypatch.setattr(Checkpoints, "due", due)

    def count(self):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed

    def until_done(self, root, deaths, asked, *, task=fit_item, item="fit-1", **more):
        """The folder that the last attempt made; one attempt dies after each number of `deaths`, unless it is done before; the last does not."""
        folder = RunFolder(root)
        root.mkdir(parents=True, exist_ok=True)
        for number, death in enumerate([*deaths, None], 1):
            lease = acquire(folder, item)
            scratch = folder.scratch(item, str(number))
            scratch.mkdir(parents=True)
            self.left, self.number = death, 0
            work = job(
                asked,
                scratch,
                **{"split": SPLIT, **more},
                checkpoints=Checkpoints(folder, item, lease, self.lines.append),
            )
            try:
                result = task(work)
            except Killed:
                lease.release()  # what `kill -9` leaves is not told apart within one process
                continue
            self.left = None
            (scratch / "result.json").write_text(json.dumps(result))
            folder.commit(scratch, item)
            lease.release()
            return folder.done(item)
        raise AssertionError("the last attempt dies of nothing")


def undisturbed(folder, asked, *, task=fit_item, **more):
    """The folder of a fit that nobody kills and that writes no checkpoint."""
    folder.mkdir(parents=True)
    result = task(job(asked, folder, **{"split": SPLIT, **more}))
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def assert_same(one, other):
    """Two folders of an item hold the same files, equal bit for bit but for what clocks and meters say."""
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    for name in names:
        if name == "result.json":
            assert unmeasured(read(one / name)) == unmeasured(read(other / name))
        elif name == "log.txt":
            lines = [(folder / name).read_text().splitlines() for folder in (one, other)]
            a, b = ([unmeasured(json.loads(x)) if x[:1] == "{" else x for x in part] for part in lines)
            assert a == b
        elif name.endswith(".npz"):
            with np.load(one / name) as a, np.load(other / name) as b:
                assert a.files == b.files
                for key in a.files:
                    assert a[key].dtype == b[key].dtype
                    assert a[key].tobytes() == b[key].tobytes(), (name, key)
        else:
            assert (one / name).read_bytes() == (other / name).read_bytes(), name


def read(path):
    return json.loads(path.read_text())


def unmeasured(value):
    if isinstance(value, dict):
        return {key: unmeasured(part) for key, part in value.items() if key not in MEASURED}
    return [unmeasured(part) for part in value] if isinstance(value, list) else value


def to_fit(task, **training):
    """Settings of a fit, and its images."""
    sizes = training.pop("sizes", ((16, 16),) * 24)
    channels = training.pop("num_channels", 1)
    named = {key: training.pop(key) for key in ("select", "tolerance_px") if key in training}
    return settings(task, **training) | named, tiny(task, sizes=sizes, num_channels=channels)
