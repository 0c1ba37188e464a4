"""What any launcher must pass: a new one is a row of the table, and a class that says how its workers are faked."""

import json
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from foldwise.errors import RunError
from foldwise.runs.folder import RunFolder, write_json
from foldwise.runs.items import Item
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.leases import acquire
from foldwise.runs.plan import Plan

NUM_ITEMS = 5


def pull(root, behaviour, log=print):
    """A worker that does items without any learning; or one that fails, or that hangs while it holds an item."""
    folder = RunFolder(Path(root))
    for item in folder.load_plan().items:
        lease = acquire(folder, item.id)
        if lease is None:
            continue
        try:
            log(f"start {item.title}")
            if behaviour == "fail":
                raise RunError("no such device here")
            if behaviour == "hang":
                lease.beat("hanging")
                time.sleep(1000)
            scratch = folder.scratch(item.id, str(os.getpid()))
            write_json(scratch / "result.json", {"status": "done", "error": None})
            with (folder.root / "done.txt").open("a") as file:
                file.write(f"{item.id}\n")
            folder.commit(scratch, item.id)
        finally:
            lease.release()


def command(root, behaviour, *, with_parent=False):
    """The same worker as a process of its own; one that ends when its standard input does, if so asked."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import launcher_contract; launcher_contract.pull({str(root)!r}, {behaviour!r})"
    if with_parent:
        code = f"from foldwise.processes import end_with_parent; end_with_parent(); {code}"
    return [sys.executable, "-c", code]


class LauncherContract:
    """Tests of a launcher; a subclass says how it is made."""

    def make(self, crew, behaviour):
        """The launcher of `crew`, whose workers are `pull` with this behaviour."""
        raise NotImplementedError

    @pytest.fixture
    def folder(self, tmp_path):
        folder = RunFolder(tmp_path / "run")
        items = tuple(Item(f"fit-{n}", "fit", (), f"fit {n}", {}) for n in range(NUM_ITEMS))
        folder.save_plan(Plan(items, ()))
        return folder

    @staticmethod
    def finished(folder):
        return lambda: len(folder.settled()[0]) == NUM_ITEMS

    @pytest.fixture(autouse=True)
    def _beside(self):
        """Processes that other tests of this session keep, such as one that tests are forked from."""
        self.beside = {child.pid for child in psutil.Process().children(recursive=True)}

    def nothing_is_left(self, folder):
        assert folder.beats() == {}
        assert not list(folder.root.glob("scratch/*"))
        assert not {child.pid for child in psutil.Process().children(recursive=True)} - self.beside

    def test_every_item_is_finished_once(self, folder):
        seen = []
        self.make(Crew(folder, workers=2), "work").run(finished=self.finished(folder), tick=seen.append)
        assert sorted((folder.root / "done.txt").read_text().split()) == [
            f"fit-{n}" for n in range(NUM_ITEMS)
        ]
        assert all(looked is folder for looked in seen)
        assert seen
        self.nothing_is_left(folder)

    def test_what_is_done_already_is_not_done_again(self, folder):
        pull(folder.root, "work")
        before = (folder.root / "done.txt").read_text()
        self.make(Crew(folder), "work").run(finished=self.finished(folder))
        assert (folder.root / "done.txt").read_text() == before

    def test_a_worker_that_fails_is_noticed(self, folder):
        with pytest.raises(RunError) as raised:
            self.make(Crew(folder), "fail").run(finished=self.finished(folder))
        assert "no such device here" in str(raised.value)
        assert folder.settled() == (set(), set())
        self.nothing_is_left(folder)

    def test_a_worker_that_ends_while_work_is_left_is_noticed(self, folder):
        with pytest.raises(RunError, match="ended while work was left"):
            self.make(Crew(folder), "work").run(finished=lambda: False)
        self.nothing_is_left(folder)

    def test_stopped_it_says_so_and_gives_back_what_was_in_progress(self, folder):
        stopped = []

        def tick(folder):
            if folder.beats():
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.make(Crew(folder), "hang").run(
                finished=self.finished(folder), tick=tick, stopping=stopped.append
            )
        assert stopped == [folder]
        self.nothing_is_left(folder)
        assert json.loads(folder.plan.read_text())["items"]
        pull(folder.root, "work")  # whoever comes next goes on
        assert self.finished(folder)()
