"""Doing the items.

An item is a function from settings, the folders it needs and a seed to one new folder. It is worked in a scratch
folder and committed by one rename, so it is done whole or not at all, whoever does it and however often they are
killed. Workers pull: each takes the lease of an item that is ready, does it, commits it and takes the next.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
import traceback
import uuid
from collections.abc import Callable
from functools import partial
from pkgutil import resolve_name
from typing import Any

from foldwise.errors import FoldwiseError, MissingExtra, RunError, machine_number
from foldwise.learning.job import Job, Superseded
from foldwise.pipeline.devices import Agendas
from foldwise.pipeline.mending import Mending, files_of
from foldwise.processes import host
from foldwise.runs.agenda import DRIVER_SHARE, Agenda, rest_s
from foldwise.runs.checkpoints import Checkpoints
from foldwise.runs.device_memory import crowded, is_out_of_memory, note_crowded, workers_here
from foldwise.runs.folder import RunFolder
from foldwise.runs.items import Item, failure, label
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.local import LocalWorkers, bearable_workers, default_workers
from foldwise.runs.leases import Beat, Lease, acquire
from foldwise.runs.plan import Lane
from foldwise.runs.searching.search import Outdated, advance
from foldwise.runs.slurm_queue import job_here
from foldwise.runs.stopping import end_if_stopped
from foldwise.sealed import Damaged
from foldwise.storage import is_on_network
from foldwise.study.own_code import own_names, refuse_untrusted, trusted

PATIENCE_S = 60.0  # for the plan of a study that is being laid over a folder; decoding is done before that
FOLDER_GONE = "Mount it, or put it back; what is done in it stays done, and the same command goes on."
BEAT_EVERY_S, SHARED_BEAT_S = 2.0, 10.0  # on a network folder, whose server hears all workers
GRACE_S = 60.0  # of workers in one job that is told to stop: clusters give it as long, and a checkpoint may be large
# What a program asked for wrongly, as a user's network that opens a file which is not there. All other errors of the
# operating system are the machine's, such as a disk that is full, gone or read-only: recorded as failed items, they
# would fail all items one by one.
ASKED_WRONGLY = frozenset(
    (errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ENAMETOOLONG)
)


class Crowded(Exception):
    """Memory ran out while so many workers shared a device, which says nothing of the item: it is done again alone."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        super().__init__(f"memory ran out while {workers} workers shared a device")


def _imported(task: str, job: Job) -> dict[str, Any]:
    """What a task gives, which is imported only now: a worker that does no such item need not load its libraries."""
    job.check()
    result: dict[str, Any] = resolve_name(task)(job.checked_again())
    return result


# What does an item of each kind, one row for each of `foldwise.runs.items.KINDS`: it gets a `Job`, gives the content of
# the item's ``result.json``, and writes what it makes into the scratch folder of the job.
TASKS: dict[str, Callable[[Job], dict[str, Any]]] = {
    kind: partial(_imported, task)
    for kind, task in {
        "fit": "foldwise.learning.training.fit:fit_item",
        "trial": "foldwise.learning.training.fit:trial_item",
        "features": "foldwise.learning.training.features:features_item",
        "pretrain": "foldwise.learning.training.pretrain:pretrain_item",
        "shallow": "foldwise.insight.shallow_baselines:shallow_item",
        "aa_test": "foldwise.learning.training.fit:fit_item",
        "robustness": "foldwise.insight.robustness:robustness_item",
        "landscape": "foldwise.insight.landscape_item:landscape_item",
        "preview": "foldwise.insight.preview:preview_item",
        "measure": "foldwise.insight.throughput:measure_item",
    }.items()
}


def do_item(
    folder: RunFolder,
    item: Item,
    *,
    device: str = "auto",
    lease: Lease | None = None,
    beat: Beat | None = None,
    log: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Do one item and commit it; its result, which says `failed` and why where the task raised.

    Args:
        item: an item of its plan whose needs are done.
        device: the device for settings that say `auto`.
        lease: the lease on the item; without one, it is done by hand and whoever commits first wins.
        beat: is told how far it is, in place of the lease.
        log: called with a line where it goes on from a checkpoint, or cannot.

    Raises:
        KeyboardInterrupt: this process was asked to stop; a training was written down, so that another goes on.
    """
    # Each attempt has a folder of its own: whoever does an item by hand may meet a worker that does it, too.
    scratch = folder.scratch(item.id, uuid.uuid4().hex[:8])
    folder.make(scratch)
    try:
        checkpoints = Checkpoints(folder, item.id, lease, log)
        report = beat or _throttled(folder, lease)
        job = Job(item, folder, scratch, device, report, checkpoints, lambda: files_of(folder))
        result = _attempt(job)
        if not scratch.is_dir():
            raise RunError("the folder of this run is gone", where=str(folder.root), cure=FOLDER_GONE)
        folder.commit(scratch, item.id, result)
        checkpoints.interrupts.raise_pending()  # came when the training had ended
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return result


def _attempt(job: Job) -> dict[str, Any]:
    """The result of a job, failed or done; raises what is the fault of the machine and not of the item."""
    workers = workers_here()  # who shared the device may have ended by the time that it is known to be full
    try:
        outcome = {"status": "done", "error": None} | TASKS[job.item.kind](job)
    except (RunError, MissingExtra):
        raise  # this machine cannot do it; another one, or this one once it is mended, can
    except Exception as error:  # a failed item is a result of the study, not its end
        if _is_the_machines(error, job):
            raise
        if (workers := max(workers, workers_here())) > 1 and is_out_of_memory(error):
            raise Crowded(workers) from error
        # Of a failed item only the error stays: a file half made could be taken for its result.
        for half_made in job.scratch.iterdir():
            shutil.rmtree(half_made) if half_made.is_dir() else half_made.unlink()
        outcome = failure(type(error).__name__, str(error), _traceback(error))
    return outcome | label(job.item)


def _is_the_machines(error: Exception, job: Job) -> bool:
    """Whether an error says that this machine cannot do the item now, and nothing of the item."""
    # What states no number is most often a file that is no picture; the folder of the item may be gone.
    is_systems = machine_number(error) not in {None, *ASKED_WRONGLY}
    return is_systems or (isinstance(error, OSError) and not job.scratch.is_dir())


def _traceback(error: Exception) -> str:
    # Our own errors are written for users; a library's traceback is what its developer will ask for.
    return "" if isinstance(error, FoldwiseError) else traceback.format_exc()


def _throttled(folder: RunFolder, lease: Lease | None) -> Beat:
    last, every_s = 0.0, SHARED_BEAT_S if is_on_network(folder.root) else BEAT_EVERY_S

    def beat(progress: dict[str, Any]) -> None:
        nonlocal last
        if lease is not None and time.monotonic() - last >= every_s:
            last = time.monotonic()
            lease.beat(json.dumps(progress))
            end_if_stopped(folder)

    return beat


def code_named(folder: RunFolder) -> frozenset[str]:
    """The own code that the items of a run folder name."""
    plan = folder.load_plan()
    # Of a search also the code that is named in its space, as the items that need it may come later; so may those of a race.
    space = folder.load_study().search if plan.searches else None
    items = (*plan.items, *(plan.race.later if plan.race else ()))
    return own_names([space and space.model_dump(mode="json"), *(item.settings for item in items)])


def work(
    folder: RunFolder, *, device: str = "auto", only: Lane | None = None, log: Callable[[str], object] = print
) -> int:
    """Do ready items until none is left to do; the number of items this worker did.

    Waits while others hold what is left, and takes over from those that died. Failed items are not tried again, and
    those that ask for a device which is not here are left to others. What is damaged on the way is mended, see `mend`.

    Args:
        device: for settings that say `auto`.
        only: the items that it does, of those that need an accelerator and those that do not; all by default.

    Raises:
        RunError: items name own code, and nobody has said that it may be run; or they were planned for other folds,
            settings or code than lie here, and no new plan comes.
    """
    refuse_untrusted(code_named(folder), where=str(folder.root))
    done_here, mending, refused_s = 0, Mending(folder, log), None
    shared, found_s = is_on_network(folder.root), time.monotonic()
    agendas = Agendas(folder, lane=only, device=device)
    while not folder.stop.exists():
        try:
            num = _do_next(folder, agendas, device, log)
            refused_s = None
        except (Superseded, Outdated, Damaged) as error:
            agendas.forget()
            if isinstance(error, Damaged) and mending.mended(error):
                continue
            # A study is being laid over this folder: its plan is written last, and then there is nothing to refuse.
            refused_s = refused_s or time.monotonic()
            if time.monotonic() - refused_s > PATIENCE_S:
                raise
            num = 0
        if num is None:
            if not done_here:  # a terminal that stays empty looks like a failure
                log("nothing is left to do for this worker")
            return done_here
        done_here += num
        if num:
            found_s = time.monotonic()
        else:
            time.sleep(rest_s(time.monotonic() - found_s, shared=shared))
    log("ended, since `foldwise stop` asks for it; `foldwise plan` and `foldwise run` go on")
    return done_here


def _do_next(folder: RunFolder, agendas: Agendas, device: str, log: Callable[[str], object]) -> int | None:
    """Do the first item whose lease is to be had; how many were done, and None where nothing is left to do."""
    agenda = agendas.now()
    agenda.look()
    if not agenda.has_free and agenda.plan.num_to_come and _grown(folder, agenda):
        agenda = agendas.now()
        agenda.look()
    alone = crowded(folder)
    for item in agenda.choices():
        if item.id in alone and workers_here() > 1:
            # It did not fit beside others; the crew will see to it that there are none.
            agenda.put_off(item.id)
            continue
        lease = acquire(folder, item.id)
        if lease is not None:
            agenda.was_free()
            try:
                _do_leased(folder, item, lease, device, log)
            except Crowded as error:
                note_crowded(folder, item.id, error.workers)
                log(f"later {item.title}: {error}; it is done again by one that has the device for itself")
                return 0
            agenda.settled(item)
            return 1
        agenda.was_had(item)
        if folder.result(item.id) is not None:
            agenda.settled(item)
    return None if agenda.is_done(now=True) else 0


def _grown(folder: RunFolder, agenda: Agenda) -> bool:
    """Whether there is more to do now: whoever has nothing to do asks the searches, or has a race look at its fits."""
    items = agenda.plan.items
    if agenda.plan.race is None:
        return advance(folder)
    if any(items[index].kind == "fit" for index in agenda.left):
        return False
    from foldwise.judging.race import (
        look,
    )  # with all that judges, whose import takes others 0.6 s for nothing

    return look(folder)


def _do_leased(
    folder: RunFolder, item: Item, lease: Lease, device: str, log: Callable[[str], object]
) -> None:
    committed = False
    try:
        log(f"start {item.title}")
        result = do_item(folder, item, device=device, lease=lease, log=log)
        committed = True
        log(f"{result['status']:5} {item.title}" + _why(result))
    finally:
        lease.release(committed=committed)
        _release_memory()


def _release_memory() -> None:
    """Give the memory of a GPU back that torch keeps for later: others may need it meanwhile."""
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def work_together(folder: RunFolder, workers: int | None, *, device: str = "auto") -> None:
    """Several workers on this machine, which share its accelerators, until nothing is left that they can do.

    Args:
        workers: how many at a time; as many as processors and measured memory let there be where None.

    Raises:
        RunError: all of them ended, or were killed again and again, while work was left.
    """
    threads = folder.load_study().threads
    begin, most = (
        (workers, None) if workers else (default_workers(device, threads), bearable_workers(threads))
    )
    crew = Crew(folder, begin, device, threads, trust_code=bool(trusted()), most=most)
    plan = folder.load_plan()
    # Their logs lie beside those of other machines and jobs.
    job = job_here()
    log = f"worker-{job['job']}" if job else f"worker-{host()}-{os.getpid()}"
    agendas = Agendas(folder, plan=plan, share=DRIVER_SHARE)
    LocalWorkers(crew, log=log, grace_s=GRACE_S).run(
        finished=lambda: folder.stop.exists() or agendas.now().is_done()
    )


def _why(result: dict[str, Any]) -> str:
    return f": {result['error']['message']}" if result["error"] else ""
