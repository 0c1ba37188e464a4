"""Every launcher of the table keeps the contract."""

import pytest
from launcher_contract import LauncherContract, command, pull

from foldwise.runs.launchers import local
from foldwise.runs.launchers.inline import Inline
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.local import LocalWorkers
from foldwise.runs.launchers.table import LAUNCHERS


class TestLocalWorkers(LauncherContract):
    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch):
        monkeypatch.setattr(local, "POLL_S", 0.02)

    def make(self, crew, behaviour):
        return LocalWorkers(crew, command=lambda number: command(crew.folder.root, behaviour), grace_s=5)


class TestInline(LauncherContract):
    def make(self, crew, behaviour):
        return Inline(crew, lambda log: pull(crew.folder.root, behaviour, log))


def test_every_row_of_the_table_keeps_it(tmp_path):
    made = {name: type(row(Crew(tmp_path), print)) for name, row in LAUNCHERS.items()}
    assert made == {"local": LocalWorkers, "inline": Inline}, "a new launcher needs a class above"
