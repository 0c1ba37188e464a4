"""The run folder: written whole or not at all, committed once, and able to say how far a run is."""

import json
import os
import subprocess
import sys

import pytest

from foldwise.errors import RunError
from foldwise.runs.folder import ItemCounts, RunFolder, write_json
from foldwise.runs.items import Item
from foldwise.runs.leases import clean_up
from foldwise.runs.plan import Plan
from foldwise.sealed import Damaged

FEATURES = Item("features-1", "features", (), "features", {})
FITS = tuple(Item(f"fit-{n}", "fit", ("features-1",), f"fit {n}", {}) for n in range(3))
PLAN = Plan((FEATURES, *FITS), ())


def committed(folder, item_id, status="done", nonce="n", **more):
    scratch = folder.scratch(item_id, nonce)
    write_json(scratch / "result.json", {"status": status, **more})
    return folder.commit(scratch, item_id)


def test_the_first_commit_wins_and_the_second_changes_nothing(tmp_path):
    folder = RunFolder(tmp_path)
    assert committed(folder, "fit-1", nonce="a", by="first")
    assert not committed(folder, "fit-1", nonce="b", by="second")
    assert folder.result("fit-1")["by"] == "first"
    assert folder.scratch("fit-1", "b").exists()
    clean_up(folder)
    assert not folder.scratch("fit-1", "b").exists()


def test_an_item_without_a_result_is_not_committed(tmp_path):
    folder = RunFolder(tmp_path)
    folder.scratch("fit-1", "a").mkdir(parents=True)
    with pytest.raises(RunError, match="an item must leave a result"):
        folder.commit(folder.scratch("fit-1", "a"), "fit-1")
    assert not folder.done("fit-1").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_may_not_be_written_is_no_lost_race(tmp_path):
    folder = RunFolder(tmp_path)
    (tmp_path / "done").mkdir(mode=0o500)
    with pytest.raises(PermissionError):
        committed(folder, "fit-1")


def test_an_item_whose_damaged_result_was_deleted_is_done_again(tmp_path):
    folder = RunFolder(tmp_path)
    (folder.done("fit-1")).mkdir(parents=True)
    (folder.done("fit-1") / "scores.npz").write_text("what is left of it")
    scratch = folder.scratch("fit-1", "a")
    write_json(scratch / "result.json", {"status": "done"})
    assert folder.commit(scratch, "fit-1")
    assert folder.result("fit-1") == {"status": "done"}
    assert not (folder.done("fit-1") / "scores.npz").exists()


def test_one_of_many_processes_commits(tmp_path):
    code = (
        "import sys; from pathlib import Path; from foldwise.runs.folder import RunFolder, write_json\n"
        "folder, name = RunFolder(Path(sys.argv[1])), sys.argv[2]\n"
        "scratch = folder.scratch('fit-1', name)\n"
        "write_json(scratch / 'result.json', {'status': 'done', 'by': name})\n"
        "sys.stdin.readline()\n"
        "print(folder.commit(scratch, 'fit-1'))\n"
    )
    run = [sys.executable, "-c", code, str(tmp_path)]
    racers = [
        subprocess.Popen([*run, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    answers = [racer.communicate("go\n", timeout=200)[0].strip() for racer in racers]
    assert sorted(answers) == ["False", "False", "False", "True"]
    assert RunFolder(tmp_path).result("fit-1")["by"] == str(answers.index("True"))


def test_a_plan_is_saved_and_found_again(tmp_path):
    folder = RunFolder(tmp_path / "runs" / "gel")
    folder.save_plan(PLAN)
    assert RunFolder.open(folder.root).load_plan() == PLAN
    with pytest.raises(RunError) as refused:
        RunFolder.open(tmp_path / "runs")
    assert str(refused.value).endswith(
        "is not the folder of a run: it has no plan.json\n  → It holds runs: gel."
    )
    with pytest.raises(RunError, match="there is no folder"):
        RunFolder.open(tmp_path / "nowhere")


def test_status_counts_every_item_once(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.settled() == (set(), set())
    assert folder.status(PLAN) == ItemCounts(done=0, running=0, waiting=4, failed=0, skipped=0)
    committed(folder, "features-1")
    committed(folder, "fit-0", "failed")
    (folder.attempts_of("fit-1") / "1").mkdir(parents=True)
    assert folder.status(PLAN) == ItemCounts(done=1, running=1, waiting=1, failed=1, skipped=0)
    assert folder.settled() == ({"features-1"}, {"fit-0"})
    assert set(folder.outcomes()) == {"features-1", "fit-0"}
    assert folder.beats() == {"fit-1": ""}


def test_what_needs_a_failed_item_is_skipped(tmp_path):
    folder = RunFolder(tmp_path)
    committed(folder, "features-1", "failed")
    assert folder.status(PLAN) == ItemCounts(done=0, running=0, waiting=0, failed=1, skipped=3)


def test_failed_items_are_put_away_to_be_tried_again(tmp_path):
    folder = RunFolder(tmp_path)
    committed(folder, "fit-0", "failed")
    committed(folder, "fit-1", "failed")
    committed(folder, "fit-2")
    (folder.attempts_of("fit-0") / "5").mkdir(parents=True)
    assert folder.retry({"fit-0", "fit-2"}) == 1
    assert folder.settled() == ({"fit-2"}, {"fit-1"})
    assert folder.attempts("fit-0") == []
    assert len(list((tmp_path / "retried").iterdir())) == 2  # nothing is thrown away
    assert committed(folder, "fit-0", again=True)
    assert folder.result("fit-0") == {"status": "done", "again": True}


def test_a_result_is_read_again_once_it_is_another(tmp_path):
    folder = RunFolder(tmp_path)
    committed(folder, "fit-0", "failed")
    assert folder.result("fit-0")["status"] == "failed"
    folder.retry()
    assert folder.result("fit-0") is None
    committed(folder, "fit-0")
    os.utime(folder.done("fit-0") / "result.json", ns=(1, 1))
    assert folder.result("fit-0")["status"] == "done"
    assert json.loads((folder.done("fit-0") / "result.json").read_text())["status"] == "done"


def test_each_result_is_read_once_by_a_folder_and_again_where_it_was_done_anew(tmp_path, monkeypatch):
    folder, read = RunFolder(tmp_path), []
    committed(folder, "fit-0")
    committed(folder, "fit-1", "failed")
    status = RunFolder._status_of
    monkeypatch.setattr(RunFolder, "_status_of", lambda self, name: read.append(name) or status(self, name))
    for _ in range(3):
        assert folder.settled() == ({"fit-0"}, {"fit-1"})
    assert sorted(read) == ["fit-0", "fit-1"]
    folder.withdraw("fit-1")
    committed(folder, "fit-1")  # before anybody looked again
    assert folder.settled() == ({"fit-0", "fit-1"}, set())
    folder.withdraw("fit-0")
    assert folder.settled() == ({"fit-1"}, set())


HISTORY = {
    "nested": {"status": "failed", "files": {"x": [1, "y"]}},
    "text": 'line\n "status": "failed",',
    "epochs": [1],
}


def flipped(path):
    path.write_bytes(path.read_bytes().replace(b"epochs", b"epoch5"))


DAMAGE = {
    "nothing": lambda done: None,
    "bytes of the record": lambda done: flipped(done / "result.json"),
    "a file beside it cut short": lambda done: (done / "scores.npz").write_bytes(b"1"),
    "a file beside it gone": lambda done: (done / "scores.npz").unlink(),
    "the record gone": lambda done: (done / "result.json").unlink(),
    "the record of another item": lambda done: done.rename(done.with_name("fit-2")),
    "a record that states nothing, as long ago": lambda done: write_json(
        done / "result.json", {"status": "failed", **HISTORY}
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("status", ["done", "failed"])
def test_what_settled_says_of_an_item_is_what_its_whole_result_says(tmp_path, damage, status):
    folder = RunFolder(tmp_path)
    scratch = folder.scratch("fit-0", "n")
    write_json(scratch / "result.json", {**HISTORY, "item": "fit-0", "status": status})
    (scratch / "scores.npz").write_bytes(b"123")
    folder.commit(scratch, "fit-0")
    DAMAGE[damage](folder.done("fit-0"))
    said = []
    for read in (RunFolder(tmp_path).outcomes, RunFolder(tmp_path).settled):
        try:
            said.append(read())
        except Damaged as error:
            said.append(str(error))
    whole, ends = said
    if isinstance(whole, dict):
        whole = tuple(
            {name for name, own in whole.items() if own["status"] == end} for end in ("done", "failed")
        )
    assert ends == whole


def test_an_empty_folder_in_the_place_of_an_item_is_damage(tmp_path):
    folder = RunFolder(tmp_path)
    folder.done("fit-0").mkdir(parents=True)
    with pytest.raises(Damaged, match="the file is gone"):
        folder.settled()
    assert committed(folder, "fit-0")  # and whoever commits puts its own there
    assert folder.settled() == ({"fit-0"}, set())


def test_a_worker_looks_into_an_item_when_it_first_reads_its_result(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.save_plan(PLAN)
    committed(folder, "fit-0")
    committed(folder, "fit-1")
    (tmp_path / "secret").write_text("secret")
    (folder.done("fit-0") / "more.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(RunError, match="leads out of the folder"):
        RunFolder.open(folder.root)
    opened = RunFolder.open(folder.root, items=False)
    assert opened.result("fit-1")["status"] == "done"
    for _ in range(2):
        with pytest.raises(RunError, match="leads out of the folder"):
            opened.result("fit-0")
    folder.done("fit-2").symlink_to(tmp_path)  # in the place of an item
    with pytest.raises(RunError, match="leads out of the folder"):
        RunFolder.open(folder.root, items=False)
