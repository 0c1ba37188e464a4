"""A training that is killed at any step, and gone on with, is the undisturbed one bit for bit; what is damaged is named."""

import json
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fits_to_try import SPLIT, share_features
from jobs import job
from killed_fits import Killed, Killing, assert_same, read, to_fit, undisturbed
from networks_to_try import SMALL
from torch import nn

from foldwise.learning.checkpoints.unfinished import read_unfinished, write_unfinished
from foldwise.learning.training import resuming, setup, train
from foldwise.learning.training.fit import fit_item
from foldwise.learning.training.pretrain import pretrain_item
from foldwise.runs.checkpoints import Checkpoints
from foldwise.runs.folder import RunFolder
from foldwise.runs.leases import acquire
from foldwise.runs.planning import pretraining
from foldwise.sealed_arrays import read_head
from foldwise.study.training import Training

CLASSES, MASKS = "multiclass_classification", "multiclass_segmentation"
MLP = {"mlp": {"hidden": [8], "dropout": [0.5]}}
SGD = {"sgd": {"lr": 0.02, "momentum": 0.9, "nesterov": True}}


def own(name):
    return {name: SMALL[name]}


# Every network of our own and one of each library; every optimiser and schedule; whatever draws, sorts or is frozen.
FITS = {
    "conv, dropout, adamw, early stop": (
        CLASSES,
        {"model": own("conv"), "head": MLP, "patience_epochs": 1, "epochs": 6, "schedule": "cosine"},
    ),
    "unet, momentum, balanced crops": (
        MASKS,
        {
            "model": own("unet"),
            "optimizer": SGD,
            "schedule": {"cosine": {"warmup": 0.2}},
            "augment": "strong",
            "sampling": "balanced",
            "crop_px": 8,
            "steps_per_epoch": 3,
        },
    ),
    "resnet, rmsprop, steps": (
        CLASSES,
        {
            "model": own("resnet"),
            "optimizer": {"rmsprop": {"momentum": 0.5}},
            "schedule": "step",
            "augment": "flips",
        },
    ),
    "resnet masks, bf16": ("binary_segmentation", {"model": own("resnet"), "precision": "bf16"}),
    "vit, dropout, adam": (
        CLASSES,
        {
            "model": {"vit": SMALL["vit"] | {"dropout": 0.3}},
            "optimizer": {"adam": {"weight_decay": 0.01}},
            "schedule": {"polynomial": {"warmup": 0.3}},
        },
    ),
    "unet, chosen by boundaries": (
        "binary_segmentation",
        {"model": own("unet"), "select": "nsd", "tolerance_px": 1.0},
    ),
    "vim masks": (MASKS, {"model": own("vim"), "augment": "strong"}),
    "haltuf, several labels": (
        "multilabel_classification",
        {"model": own("haltuf"), "sampling": "balanced", "sizes": ((32, 32),) * 24},
    ),
    "timm, channels last": (
        CLASSES,
        {"model": "timm:test_resnet", "num_channels": 3, "sizes": ((32, 32),) * 24, "augment": "strong"},
    ),
    "timm, frozen encoder": (
        CLASSES,
        {"model": "timm:test_resnet", "freeze": "encoder", "head": MLP, "num_channels": 3},
    ),
    "smp, sizes mixed": (
        "binary_segmentation",
        {
            "model": "smp:linknet/tu-test_resnet",
            "num_channels": 3,
            "sizes": ((32, 32), (64, 32)) * 12,
            "crop_px": 32,
        },
    ),
}


@pytest.fixture
def kill(monkeypatch):
    return lambda **how: Killing(monkeypatch, **how)


@pytest.mark.parametrize("name", FITS)
def test_a_fit_killed_after_every_step_is_the_undisturbed_fit(tmp_path, kill, name):
    task, asked = FITS[name]
    asked, packed = to_fit(task, **{"epochs": 2, **asked})
    whole = undisturbed(tmp_path / "whole", asked, packed=packed)
    killing = kill()
    # Batches that are asked about count, too; of images of two sizes there are two.
    death = 2 if "mixed" in name else 1
    made = killing.until_done(tmp_path / "run", [death] * 11, asked, packed=packed)
    assert_same(whole, made)
    assert sum("goes on in epoch" in line for line in killing.lines) > 6
    assert not list((tmp_path / "run" / "scratch").glob("*checkpoint*"))


@pytest.mark.parametrize("death", range(1, 26, 3))
def test_whenever_it_is_killed_and_however_long_ago_it_was_written(tmp_path, kill, death):
    asked, packed = to_fit(MASKS, model=own("unet"), augment="strong", epochs=3, optimizer=SGD)
    whole = undisturbed(tmp_path / "whole", asked, packed=packed)
    assert_same(whole, kill(every=3).until_done(tmp_path / "run", [death, death], asked, packed=packed))


def test_what_would_not_be_put_back_is_noticed(tmp_path, kill, monkeypatch):
    """The comparison itself: each part of the state, were it lost, would give another fit."""
    asked, packed = to_fit(CLASSES, model=own("conv"), head=MLP, optimizer=SGD, schedule="cosine", epochs=3)
    whole = undisturbed(tmp_path / "whole", asked, packed=packed)
    put_back = resuming._restore_learner
    for lost in ("modules", "optimizer", "schedule"):

        def forgetful(learner, state, lost=lost):
            put_back(learner, state | {lost: resuming._state_of(learner)[lost]})

        monkeypatch.setattr(resuming, "_restore_learner", forgetful)
        with pytest.raises(AssertionError):
            assert_same(whole, kill().until_done(tmp_path / lost, [6], asked, packed=packed))


def test_a_head_on_shared_features_is_gone_on_with(tmp_path, kill):
    asked, packed = to_fit(
        CLASSES,
        model="timm:test_resnet",
        freeze="encoder",
        normalize="imagenet",
        head=MLP,
        num_channels=3,
        sizes=((32, 32),) * 24,
        epochs=3,
    )
    shared = tmp_path / "features-1"
    share_features(shared, packed, model="timm:test_resnet")
    about = {"packed": packed, "inputs": {"features-1": shared}}
    whole = undisturbed(tmp_path / "whole", asked, **about)
    assert_same(whole, kill().until_done(tmp_path / "run", [2] * 9, asked, **about))


@pytest.mark.parametrize("how", ["denoise", "mask"])
def test_a_pretraining_is_gone_on_with(tmp_path, kill, how):
    training = Training.model_validate(
        {"model": own("unet"), "batch_size": 4, "pretrain": {how: {"epochs": 3}}, "augment": "flips"}
    )
    asked, packed = to_fit("binary_segmentation")
    asked |= {"training": pretraining(training).model_dump(mode="json")}
    about = {"packed": packed, "task": pretrain_item}
    whole = undisturbed(tmp_path / "whole", asked, **about)
    assert_same(whole, kill().until_done(tmp_path / "run", [1] * 14, asked, item="pretrain-1", **about))


class Drawing(nn.Module):
    """A user's own network: a buffer in no state, numpy's stream, and dropout."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.body = nn.Linear(in_channels, num_classes)
        self.register_buffer("count", torch.zeros(()), persistent=False)

    def forward(self, x_NCHW):
        x_NC = x_NCHW.mean((2, 3))
        if self.training:
            self.count += 1
            x_NC = x_NC * (1 + 0.1 * float(np.random.rand()) + 0.01 * self.count)
        return self.body(nn.functional.dropout(x_NC, 0.5, self.training))


class Growing(nn.Module):
    """A user's own loss, which grows as it is asked."""

    def __init__(self):
        super().__init__()
        self.register_buffer("asked", torch.zeros(()))

    def forward(self, logits, targets):
        self.asked += 1
        return nn.functional.cross_entropy(logits, targets) * (1 + self.asked.item() / 100)


def test_streams_and_buffers_of_a_users_own_network_and_loss_are_gone_on_with(tmp_path, kill, monkeypatch):
    asked, packed = to_fit(CLASSES, num_channels=3, epochs=3)
    monkeypatch.setattr(setup, "loss_of", lambda *_: Growing())
    monkeypatch.setattr(setup, "_network", lambda request: (seeded(Drawing, request.seed), ()))
    monkeypatch.setattr("foldwise.learning.training.fit_files.write_network", lambda *_: {})
    whole = undisturbed(tmp_path / "whole", asked, packed=packed)
    made = kill().until_done(tmp_path / "run", [1] * 14, asked, packed=packed)
    assert_same(whole, made)


def seeded(network, seed):
    torch.manual_seed(seed % 2**63)
    return network(3, 3)


def test_a_fit_that_ran_out_of_memory_goes_on_with_the_parts_it_had(tmp_path, kill, monkeypatch):
    asked, packed = to_fit(CLASSES, model=own("conv"), epochs=3)
    step = train.step

    def too_large(learner, batch):
        if learner.passes == 1:
            raise torch.OutOfMemoryError("out of memory")
        return step(learner, batch)

    monkeypatch.setattr(train, "step", too_large)
    whole = undisturbed(tmp_path / "whole", asked, packed=packed)
    assert read(whole / "result.json")["cost"]["batch_halvings"] == 1
    killing = kill()
    # Each attempt that begins anew asks for the whole batch first; those that go on do not.
    assert_same(whole, killing.until_done(tmp_path / "run", [3] * 9, asked, packed=packed))


def killed_once(tmp_path, kill, *, death=9, **asked):
    """A run whose fit was killed, its settings and images, and its checkpoint."""
    asked, packed = to_fit(CLASSES, model=own("conv"), **{"epochs": 3, **asked})
    killing = kill()
    with pytest.raises(Killed):
        begin(killing, tmp_path, asked, packed, death)
    (path,) = (tmp_path / "scratch").glob("*.checkpoint-1")
    return killing, asked, packed, path


def begin(killing, root, asked, packed, death):
    folder = RunFolder(root)
    root.mkdir(parents=True, exist_ok=True)
    lease = acquire(folder, "fit-1")
    scratch = folder.scratch("fit-1", f"attempt{lease.attempt.name}")
    scratch.mkdir(parents=True)
    killing.left, killing.number = death, 0
    try:
        checkpoints = Checkpoints(folder, "fit-1", lease, killing.lines.append)
        fit_item(job(asked, scratch, packed=packed, split=SPLIT, checkpoints=checkpoints))
    finally:
        killing.left = None
        lease.release()


DAMAGES = {
    "a bit": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "a bit of the head": lambda data: data.replace(b'"best_epoch', b'"best_epoco', 1),
    "a number of the head": lambda data: data.replace(b'\\"epochs\\": 3', b'\\"epochs\\": 2', 1),
    "cut": lambda data: data[: len(data) // 2],
    "cut in the head": lambda data: data[:40],
    "longer": lambda data: data + b"\0",
    "empty": lambda data: b"",
    "no digest": lambda data: data.replace(b"sha256", b"sha257", 1),
    "another file": lambda data: b"PK\x03\x04" + data,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_left_and_the_fit_begins_anew(tmp_path, kill, damage):
    killing, asked, packed, path = killed_once(tmp_path / "run", kill)
    data = path.read_bytes()
    damaged = DAMAGES[damage](data)
    assert damaged != data
    path.write_bytes(damaged)
    killing.lines.clear()
    with pytest.raises(Killed):
        begin(killing, tmp_path / "run", asked, packed, 3)
    assert killing.lines[0].startswith(f"the checkpoint {path} is not used: it is damaged (")
    assert path.read_bytes() == damaged
    whole = undisturbed(tmp_path / "whole", asked, packed=packed)
    assert_same(whole, killing.until_done(tmp_path / "run", [], asked, packed=packed))
    assert not path.exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("item", "fit-2"),
        ("versions", {"torch": "1.0"}),
        ("device", "cuda"),
        ("precision", "bf16"),
        ("form", 0),
    ],
)
def test_a_foreign_checkpoint_is_named_and_left(tmp_path, kill, key, value):
    killing, asked, packed, path = killed_once(tmp_path / "run", kill)
    record, state = read_unfinished(path)
    record["made_by"][key] = value
    write_unfinished(path, record, state)
    killing.lines.clear()
    whole = undisturbed(tmp_path / "whole", asked, packed=packed)
    assert_same(whole, killing.until_done(tmp_path / "run", [], asked, packed=packed))
    assert killing.lines == [f"the checkpoint {path} is not used: it was made with another {key}"]


def test_where_the_last_one_is_damaged_the_one_before_it_is_gone_on_with(tmp_path, kill):
    killing, asked, packed, path = killed_once(tmp_path / "run", kill, death=5)
    data = path.read_bytes()
    with pytest.raises(Killed):
        begin(killing, tmp_path / "run", asked, packed, 4)
    second = path.with_name("fit-1.checkpoint-2")
    assert not path.exists()  # the second one is further
    assert read_head(second).at > (1, 4)
    path.write_bytes(data)
    second.write_bytes(b"damaged")
    killing.lines.clear()
    whole = undisturbed(tmp_path / "whole", asked, packed=packed)
    assert_same(whole, killing.until_done(tmp_path / "run", [], asked, packed=packed))
    assert [line.partition(":")[0] for line in killing.lines] == [
        f"the checkpoint {second} is not used",
        "  goes on in epoch 2 of 3, step 1",
    ]


def test_another_device_of_the_same_kind_goes_on_and_says_so_ever_after(tmp_path, kill, monkeypatch):
    killing, asked, packed, _ = killed_once(tmp_path / "run", kill, death=3)
    first = resuming.device_name(torch.device("cpu"))
    monkeypatch.setattr(resuming, "device_name", lambda _: "another")
    made = killing.until_done(tmp_path / "run", [3, 3], asked, packed=packed)
    (warning,) = read(made / "result.json")["warnings"]
    assert warning.startswith(f"it was trained on {first}, then on another: its numbers")


def test_a_fit_that_begins_anew_for_want_of_memory_says_nothing_of_what_was_before(
    tmp_path, kill, monkeypatch
):
    killing, asked, packed, _ = killed_once(tmp_path / "run", kill)
    monkeypatch.setattr(resuming, "device_name", lambda _: "a smaller one")
    step, heard = train.step, []

    def too_large(learner, batch):
        if learner.passes == 1:
            raise torch.OutOfMemoryError("out of memory")
        return step(learner, batch)

    monkeypatch.setattr(train, "step", too_large)
    whole = undisturbed(tmp_path / "whole", asked, packed=packed)
    made = killing.until_done(tmp_path / "run", [], asked, packed=packed, beat=heard.append)
    assert_same(whole, made)
    assert "from_epoch" not in heard[-1]


def test_who_lost_the_lease_writes_no_more_and_takes_nothing(tmp_path, kill):
    """A worker that was frozen past its lease, and wakes up while another does the item."""
    kill()
    folder = RunFolder(tmp_path)
    frozen = acquire(folder, "fit-1")
    checkpoints = Checkpoints(folder, "fit-1", frozen)
    assert checkpoints.own == folder.checkpoint("fit-1", 1)
    frozen.release()
    acquire(folder, "fit-1")
    assert checkpoints.own is None
    folder.checkpoint("fit-1", 2).parent.mkdir(exist_ok=True)
    folder.checkpoint("fit-1", 2).touch()
    assert checkpoints.earlier() == []


def test_where_an_item_is_done_by_hand_none_is_read_or_written(tmp_path, kill):
    killing, asked, packed, path = killed_once(tmp_path / "run", kill)
    before = path.read_bytes()
    killing.lines.clear()
    undisturbed(tmp_path / "by hand", asked, packed=packed)
    assert path.read_bytes() == before
    assert killing.lines == []


@pytest.mark.parametrize("where", ["write_unfinished", "own"])
def test_a_full_disk_or_a_lost_mount_ends_no_training(tmp_path, kill, monkeypatch, where):
    def full(*_):
        raise OSError(28, "No space left on device")

    if where == "own":
        monkeypatch.setattr(Checkpoints, "own", property(full))
    else:
        monkeypatch.setattr(resuming, where, full)
    asked, packed = to_fit(CLASSES, model=own("conv"))
    whole = undisturbed(tmp_path / "whole", asked, packed=packed)
    killing = kill()
    assert_same(whole, killing.until_done(tmp_path / "run", [], asked, packed=packed))
    assert "could not be written ([Errno 28] No space left on device)" in killing.lines[0]


def test_short_fits_write_none_and_long_ones_by_time(tmp_path, monkeypatch):
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr(time, "monotonic", lambda: now.s)
    checkpoints = Checkpoints(RunFolder(tmp_path), "fit-1", acquire(RunFolder(tmp_path), "fit-1"))

    def due_at(seconds):
        now.s += seconds
        return checkpoints.due(between_epochs=True), checkpoints.due(between_epochs=False)

    checkpoints.begin(num_bytes=1_000)
    assert [due_at(s) for s in (29, 2, 150)] == [(False, False), (True, False), (True, True)]
    checkpoints.wrote(5.0)  # a slow disk: at most one hundredth of the time goes into writing
    assert [due_at(s) for s in (490, 20)] == [(False, False), (True, True)]
    checkpoints.begin(num_bytes=100_000_000)  # before the first, by what it would take
    assert [due_at(s) for s in (90, 20, 80)] == [(False, False), (True, False), (True, True)]
    assert not Checkpoints().due(between_epochs=True)


def test_who_is_asked_to_stop_writes_at_the_next_step_and_the_next_one_goes_on(tmp_path, monkeypatch):
    asked, packed = to_fit(CLASSES, model=own("conv"), epochs=3)
    whole = undisturbed(tmp_path / "whole", asked, packed=packed)
    root, step, steps = tmp_path / "run", train.step, []

    def signalled(learner, batch):
        steps.append(1)
        if len(steps) in (3, 6, 9):
            signal.raise_signal(signal.SIGINT)
        return step(learner, batch)

    monkeypatch.setattr(train, "step", signalled)
    killing = SimpleNamespace(left=None, number=0, lines=[])
    for at in ((1, 3), (2, 2), (3, 1)):
        with pytest.raises(KeyboardInterrupt):
            begin(killing, root, asked, packed, None)
        (path,) = (root / "scratch").glob("*.checkpoint-*")
        assert read_head(path).at == at
    monkeypatch.setattr(train, "step", step)
    folder = RunFolder(root)
    root.mkdir(parents=True, exist_ok=True)
    lease = acquire(folder, "fit-1")
    scratch = folder.scratch("fit-1", "last")
    scratch.mkdir()
    checkpoints = Checkpoints(folder, "fit-1", lease, killing.lines.append)
    result = fit_item(job(asked, scratch, packed=packed, split=SPLIT, checkpoints=checkpoints))
    (scratch / "result.json").write_text(json.dumps(result))
    assert_same(whole, scratch)


def test_who_is_asked_to_stop_between_epochs_goes_on_before_the_validation(tmp_path, monkeypatch):
    asked, packed = to_fit(MASKS, model=own("unet"))
    whole = undisturbed(tmp_path / "whole", asked, packed=packed)
    killing = SimpleNamespace(left=None, number=0, lines=[])
    each = resuming.ResumedTraining.each

    def signalled(this, parts):
        signal.raise_signal(signal.SIGINT)
        yield from each(this, parts)

    monkeypatch.setattr(resuming.ResumedTraining, "each", signalled)
    with pytest.raises(KeyboardInterrupt):
        begin(killing, tmp_path / "run", asked, packed, None)
    monkeypatch.setattr(resuming.ResumedTraining, "each", each)
    folder = RunFolder(tmp_path / "run")
    assert read_head(folder.checkpoint("fit-1", 1)).at == (1, 4)
    lease = acquire(folder, "fit-1")
    scratch = folder.scratch("fit-1", "last")
    scratch.mkdir()
    checkpoints = Checkpoints(folder, "fit-1", lease, killing.lines.append)
    result = fit_item(job(asked, scratch, packed=packed, split=SPLIT, checkpoints=checkpoints))
    (scratch / "result.json").write_text(json.dumps(result))
    assert_same(whole, scratch)
