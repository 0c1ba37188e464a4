"""Whether a folder can hold a run, as it is tried; and that a folder which cannot is found out."""

import errno
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from sleepy_worker import assert_whole, command, sleepy_run
from two_views import CACHE_S, two_views, why_not

from foldwise.pipeline.doctor.machine import _tried as tried
from foldwise.runs import share
from foldwise.runs.folder import RunFolder
from foldwise.runs.share import try_folder


def test_a_disk_of_this_machine_holds_all_that_a_run_needs_and_nothing_is_left_of_the_trial(tmp_path):
    trials = try_folder([tmp_path])
    assert [trial.holds for trial in trials] == [True, True, True]
    assert trials[0].what == "one winner in each of 100 races to rename a folder into place"
    assert list(tmp_path.iterdir()) == []


def test_two_paths_of_one_folder_are_tried_against_each_other(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").symlink_to("one")
    trials = try_folder([tmp_path / "one", tmp_path / "two"])
    assert all(trial.holds for trial in trials)
    assert late_s(trials[-1]) < share.VISIBLE_S


def late_s(trial):
    """How late a path is, as a trial says it."""
    return float(re.match(r"a change is seen by the other path after ([\d.]+) s", trial.what)[1])


def test_two_folders_are_not_taken_for_one(tmp_path, monkeypatch):
    monkeypatch.setattr(share, "VISIBLE_S", 0.1)
    for name in "ab":
        (tmp_path / name).mkdir()
    (trial,) = try_folder([tmp_path / "a", tmp_path / "b"])
    assert not trial.holds
    assert trial.what == f"{tmp_path / 'b'} is not the same folder as {tmp_path / 'a'}"


def test_a_file_system_that_renames_over_what_is_there_is_found_out(tmp_path, monkeypatch):
    def over(self, target):
        if target.exists():
            for file in target.iterdir():
                file.unlink()
            target.rmdir()
        os.rename(self, target)

    monkeypatch.setattr(Path, "rename", over)
    first = try_folder([tmp_path])[0]
    assert not first.holds
    assert "had none or two winners" in first.what


def test_a_file_system_that_shows_half_a_file_is_found_out(tmp_path, monkeypatch):
    def copied(self, target):
        target.write_text("")
        target.write_text(self.read_text())

    monkeypatch.setattr(Path, "replace", copied)
    assert "torn or missing" in try_folder([tmp_path])[1].what


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        try_folder([tmp_path / "no"])


@pytest.mark.parametrize("whose", ["owner", ".draft-3"])
def test_a_disk_that_fills_during_the_trial_is_an_error_of_the_system_too(tmp_path, monkeypatch, whose):
    write = Path.write_text

    def full(self, text, *args, **options):
        if self.name == whose:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, text, *args, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(
        OSError, match="No space left"
    ):  # and no thread ends with a traceback, or waits for ever
        try_folder([tmp_path])
    (symptom,) = tried([tmp_path])
    assert symptom.message == f"{tmp_path}: nothing can be written in it (No space left on device)"
    assert symptom.cure == "Make room there."


@pytest.fixture
def views(tmp_path):
    if reason := why_not():
        pytest.skip(reason)
    with two_views(tmp_path) as mounts:
        yield mounts


def test_two_clients_that_remember_what_they_saw_hold_a_run_and_tell_how_late_they_are(views):
    trials = try_folder(views)
    assert [trial.holds for trial in trials] == [True] * 4, trials
    assert 0.5 < late_s(trials[-1]) < share.VISIBLE_S  # what was asked for before is remembered for a while
    assert "a name that is" in trials[-1].what


def test_workers_of_two_such_clients_do_every_item_once(views):
    sleepy_run(views[0] / "run", items=12, seconds=0.3)
    share._appears(views[1] / "run" / "plan.json", Path.is_file)
    workers = [
        subprocess.Popen(command(view / "run"), stdout=subprocess.DEVNULL) for view in [*views, *views]
    ]
    for worker in workers:
        assert worker.wait(timeout=200) == 0
    time.sleep(CACHE_S + 1)
    assert_whole(RunFolder(views[1] / "run"))
