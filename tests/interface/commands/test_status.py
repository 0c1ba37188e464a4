"""`foldwise status` and `stop`: what they print, and that workers and drivers of every engine end."""

import subprocess

import pytest
from damage import DAMAGES
from sleepy_worker import begun, command, sleepy_run

from foldwise.errors import RunError
from foldwise.interface.commands import status
from foldwise.pipeline.pipeline import _finished
from foldwise.pipeline.worker import work
from foldwise.runs import slurm_queue
from foldwise.runs.folder import read_json, write_json
from foldwise.runs.leases import acquire
from foldwise.runs.slurm_queue import QueuedJob, name_of_jobs
from foldwise.runs.stopping import stop_all


@pytest.fixture
def folder(tmp_path):
    return sleepy_run(tmp_path / "run", items=4, seconds=30)


@pytest.fixture(autouse=True)
def queue(monkeypatch):
    """What the queue of a cluster says; None: there is none."""
    jobs = {"jobs": None}
    monkeypatch.setattr(slurm_queue, "jobs_here", lambda name: jobs["jobs"])
    monkeypatch.setattr("shutil.which", lambda name, **_: None)
    return jobs


def take(folder, item, **owner):
    lease = acquire(folder, item)
    lease._over.set()
    lease.beat('{"epoch": 2, "epochs": 5}')
    write_json(lease.attempt / "owner.json", read_json(lease.attempt / "owner.json") | owner)


def test_the_living_and_the_dead_are_told_apart(folder, queue, capsys):
    name = name_of_jobs(folder.root)
    take(folder, "fit-00")
    take(folder, "fit-01", pid=999_999_999)
    take(folder, "fit-02", host="x", slurm={"job": "7_1", "name": name, "node": "n1"})
    take(folder, "fit-03", host="x", slurm={"job": "7_2", "name": name, "node": "n2"})
    queue["jobs"] = [
        QueuedJob("7_1", "RUNNING", node="n1"), QueuedJob("7_2", "OUT_OF_MEMORY", node="n2"), QueuedJob("7_3", "PENDING", "Priority"),
    ]  # fmt: skip
    folder.log("slurm-sent").touch()
    status.say_status(folder)
    assert capsys.readouterr().out == (
        f"{folder.root}: 4 items: 2 running, 2 waiting\n"
        "  running  fit 0, epoch 2 of 5\n"
        "  lost     fit 1: its worker has ended\n"
        "  running  fit 2, epoch 2 of 5, on n1 (Slurm job 7_1)\n"
        "  lost     fit 3: its worker on n2 (Slurm job 7_2) was killed for its memory\n"
        f"  jobs     1 running, 1 pending (Priority); ended lately: 1 was killed for its memory ({name})\n"
    )


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", ["log.txt", "scores.npz", "result.json"])
def test_a_damaged_item_is_named_and_the_rest_is_shown(folder, capsys, name, how):
    for item in ("fit-00", "fit-01"):
        scratch = folder.scratch(item, "x")
        scratch.mkdir(parents=True)
        (scratch / "log.txt").write_text("epoch 1\n")
        (scratch / "scores.npz").write_bytes(b"scores")
        write_json(scratch / "result.json", {"status": "done", "error": None, "item": item})
        assert folder.commit(scratch, item)
    path = folder.done("fit-01") / name
    DAMAGES[how](path)
    status.say_status(folder)
    said = capsys.readouterr().out
    if how == "flip" and name != "result.json":  # of the same size: status reads no file but the results
        assert "2 done, 2 waiting" in said
        return
    assert "1 done, 3 waiting" in said
    assert "damaged  fit 1: " in said
    assert "foldwise run does it again" in " ".join(said.split())


def test_stopping_ends_workers_wherever_they_are_and_gives_back_what_they_had(folder, capsys):
    worker = subprocess.Popen(command(folder.root), stdout=subprocess.PIPE, text=True)
    while not begun(folder):
        assert worker.poll() is None
    status.stop(folder.root)
    assert capsys.readouterr().out == (
        "Workers elsewhere end as soon as they see it, within a minute. `foldwise run` goes on.\n"
    )
    said = worker.communicate(timeout=100)[0]
    assert "stopped, since `foldwise stop` asks for it" in said
    assert worker.returncode == 75
    assert folder.beats() == {}
    assert folder.settled() == (set(), set())


def test_a_run_that_is_stopped_takes_no_more_workers_and_its_driver_ends(folder, capsys):
    finished = _finished(folder)
    assert not finished()
    assert stop_all(folder) == 0
    with pytest.raises(RunError, match="stopped by `foldwise stop`"):
        finished()
    said = []
    assert work(folder, log=said.append) == 0
    assert said == ["ended, since `foldwise stop` asks for it; `foldwise plan` and `foldwise run` go on"]
    status.say_status(folder)
    assert "  stopped  by `foldwise stop`; `foldwise run` goes on\n" in capsys.readouterr().out


def test_a_finished_run_is_not_called_stopped(folder, capsys):
    for item in folder.load_plan().items:
        scratch = folder.scratch(item.id, "x")
        write_json(scratch / "result.json", {"status": "done", "error": None})
        folder.commit(scratch, item.id)
    status.stop(folder.root)
    assert capsys.readouterr().out == "Nothing was left to do, so that nothing had to stop.\n"
    status.say_status(folder)
    assert "stopped" not in capsys.readouterr().out


def test_no_queue_is_asked_for_a_run_that_never_had_jobs(folder, monkeypatch):
    # With the commands of Slurm and no cluster, that would take a minute.
    monkeypatch.setattr(slurm_queue, "jobs_here", lambda name: pytest.fail("it was asked"))
    monkeypatch.setattr("shutil.which", lambda name, **_: pytest.fail("it was looked for"))
    status.say_status(folder)
    assert stop_all(folder) == 0


def test_stopping_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="is not the folder of a run"):
        status.stop(tmp_path)
    assert list(tmp_path.iterdir()) == []
