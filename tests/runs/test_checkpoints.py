"""Checkpoints in a run folder: they come and go with their item, status says where it goes on, and signals wait for them."""

import signal
import threading

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from foldwise import processes
from foldwise.interface.commands.status import say_status
from foldwise.learning.checkpoints.unfinished import TYPES, read_unfinished, write_unfinished
from foldwise.processes import HungUp, Interrupts, TimeIsUp, sigterm_as_interrupt
from foldwise.runs.checkpoints import Checkpoints, paused
from foldwise.runs.folder import RunFolder
from foldwise.runs.items import Item
from foldwise.runs.leases import acquire, clean_up
from foldwise.runs.plan import Plan
from foldwise.storage import write_json


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path)
    items = [Item(f"fit-{n}", "fit", (), f"unet · fold {n} of 3", {}) for n in (1, 2, 3)]
    made.save_plan(Plan(tuple(items), ()))
    return made


def leave(folder, item, attempt, epoch, step=0):
    record = {"position": {"epoch": epoch, "step": step}, "epochs": 20}
    folder.make(folder.root / "scratch")
    write_unfinished(folder.checkpoint(item, attempt), record, {"weights": torch.ones(3)})


def test_status_says_in_which_epoch_a_fit_goes_on(folder, capsys):
    leave(folder, "fit-1", 1, 7, 3)
    leave(folder, "fit-1", 2, 6)
    leave(folder, "fit-2", 1, 4)
    lease = acquire(folder, "fit-2")
    lease.beat('{"epoch": 5, "epochs": 20, "from_epoch": 4}')
    folder.checkpoint("fit-3", 1).write_bytes(b"damaged")
    assert list(paused(folder, folder.load_plan())) == [("unet · fold 1 of 3", 7, 20)]
    say_status(folder)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        "  running  unet · fold 2 of 3, epoch 5 of 20, gone on with in epoch 4",
        "  paused   unet · fold 1 of 3: goes on in epoch 7 of 20",
    ]
    lease.release()


def test_those_of_a_committed_item_are_removed_and_of_no_other(folder, killed_while_writing):
    for item in ("fit-1", "fit-2"):
        leave(folder, item, 1, 2)
        leave(folder, item, 2, 3)
    scratch = folder.scratch("fit-1", "n")
    write_json(scratch / "result.json", {"status": "done"})
    folder.commit(scratch, "fit-1")
    assert folder.checkpoints().keys() == {"fit-2"}
    leave(folder, "fit-1", 1, 5)  # by a worker that was frozen, and woke up
    killed_while_writing(folder.checkpoint("fit-2", 3))
    clean_up(folder)
    assert sorted(path.name for path in (folder.root / "scratch").iterdir()) == [
        "fit-2.checkpoint-1",
        "fit-2.checkpoint-2",
    ]


def test_the_furthest_comes_first_behind_what_says_nothing(folder):
    leave(folder, "fit-1", 1, 3, 1)
    leave(folder, "fit-1", 2, 2, 9)
    folder.checkpoint("fit-1", 3).write_bytes(b"damaged")
    leave(folder, "fit-1", 4, 1)
    leave(folder, "fit-1", 9, 9)  # of a life before failed items were put away
    for _ in range(4):
        acquire(folder, "fit-1").release()
    order = [path.name[-1] for path in Checkpoints(folder, "fit-1", acquire(folder, "fit-1")).earlier()]
    assert order == ["3", "1", "2", "4"]
    assert Checkpoints(folder, "fit-1").earlier() == []


def test_whatever_is_written_is_read_back_bit_for_bit_and_by_others(tmp_path):
    torch.manual_seed(0)
    plain = [torch.randint(0, 2, (3, 1, 2)).to(dtype) for dtype in TYPES.values()]
    odd = [
        torch.tensor(1.5),
        torch.empty(0, 3),
        torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    ]
    odd += [torch.rand(4, 6)[::2, 1:], torch.rand(3, 1).expand(3, 4), torch.tensor([float("nan"), -0.0])]
    state = {
        "tensors": plain + odd,
        "by number": {0: (1, 2.5, None, "ü", True), 7: {"a": [float("inf"), 0.1 + 0.2]}},
        "arrays": {3: np.float16([1, 2]), 4: np.arange(6, dtype=np.int32).reshape(2, 3).T},
    }
    write_unfinished(tmp_path / "a", {"position": {"epoch": 1, "step": 0}}, state)
    _, again = read_unfinished(tmp_path / "a")
    for before, after in zip(state["tensors"], again["tensors"], strict=True):
        assert (before.dtype, before.shape) == (after.dtype, after.shape)
        assert (
            before.contiguous().numpy(force=True).tobytes() == after.contiguous().numpy(force=True).tobytes()
            if (before.dtype != torch.bfloat16)
            else torch.equal(before, after)
        )
    assert again["tensors"][len(plain) + 2].stride() == odd[2].stride()
    assert again["by number"] == state["by number"]
    for number, values in state["arrays"].items():
        assert (values.dtype, values.tolist()) == (
            again["arrays"][number].dtype,
            again["arrays"][number].tolist(),
        )
    assert (
        len(load_file(tmp_path / "a")) == len(plain) + len(odd) + 2
    )  # as the library of the format reads it


def test_a_signal_waits_until_it_is_asked_for_and_then_does_what_it_would_have_done():
    for number, error in (
        (signal.SIGTERM, HungUp),
        (signal.SIGUSR1, TimeIsUp),
        (signal.SIGINT, KeyboardInterrupt),
    ):
        interrupts = Interrupts()
        with sigterm_as_interrupt(), interrupts.deferred():
            assert not interrupts.is_pending
            signal.raise_signal(number)
            signal.raise_signal(number)  # a terminal and a launcher both pass it on
            signal.raise_signal(signal.SIGINT)
            assert interrupts.is_pending
            with pytest.raises(KeyboardInterrupt) as raised:
                interrupts.raise_pending()
            assert raised.type is error
            interrupts.raise_pending()  # once


def test_the_same_signal_again_after_a_while_does_not_wait(monkeypatch):
    interrupts = Interrupts()
    monkeypatch.setattr(processes, "AGAIN_S", 0.0)
    with sigterm_as_interrupt(), interrupts.deferred():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_signals_are_as_before_afterwards_and_in_other_threads():
    before = signal.getsignal(signal.SIGINT)
    interrupts = Interrupts()
    with interrupts.deferred():
        assert signal.getsignal(signal.SIGINT) is not before
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL  # Python is not asked: the process ends
    assert signal.getsignal(signal.SIGINT) is before
    ended = []

    def elsewhere():
        with Interrupts().deferred():
            ended.append(signal.getsignal(signal.SIGINT) is before)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert ended == [True]
