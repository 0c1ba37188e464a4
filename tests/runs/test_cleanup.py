"""What kills leave behind is swept away, and nothing that somebody still needs."""

import os
import shutil

from foldwise.runs.folder import RunFolder
from foldwise.runs.leases import clean_up, progress
from foldwise.storage import write_json, written_whole


def test_sweeping_takes_what_kills_left_of_settled_items_and_nothing_else(tmp_path):
    folder = RunFolder(tmp_path)
    for item in ("fit-done", "fit-open"):
        folder.scratch(item, "a1").mkdir(parents=True)
        (folder.attempts_of(item) / ".1.b2").mkdir(parents=True)
        (folder.attempts_of(item) / "1").mkdir()
        for name in ("beat", ".beat.c3"):
            (folder.attempts_of(item) / "1" / name).touch()
    write_json(folder.done("fit-done") / "result.json", {"status": "done"})
    clean_up(folder)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert not {"leases/fit-done/.1.b2", "leases/fit-done/1/.beat.c3", "scratch/fit-done.a1"} & left
    assert {"leases/fit-done/1/beat", "leases/fit-open/.1.b2", "leases/fit-open/1/.beat.c3"} <= left
    assert "scratch/fit-open.a1" in left


def test_sweeping_takes_half_written_files_of_the_dead_and_none_of_the_living(tmp_path, killed_while_writing):
    folder = RunFolder(tmp_path)
    folder.boundaries.mkdir()
    for path in (folder.plan, folder.boundaries / "fit.npz"):
        killed_while_writing(path)
    (tmp_path / ".hidden").touch()  # somebody's own
    with written_whole(folder.verdict) as being_written:
        being_written.touch()
        assert len(list(tmp_path.rglob(".*"))) == 4
        clean_up(folder)
        assert set(tmp_path.rglob(".*")) == {being_written, tmp_path / ".hidden"}


class Listed(list):
    """The entries of a folder that were listed, as `os.scandir` gives them."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def test_leases_that_another_run_removes_meanwhile_are_no_error(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    (folder.attempts_of("fit-gone") / "1").mkdir(parents=True)
    listed, looked = os.scandir, []

    def removed_after_it_was_listed(place="."):
        entries = listed(place)
        if str(place) == str(tmp_path / "leases"):
            looked.append(place)
            names = list(entries)
            shutil.rmtree(folder.attempts_of("fit-gone"), ignore_errors=True)
            entries.close()
            return Listed(names)
        return entries

    for sweep in (clean_up, progress, RunFolder.beats):
        monkeypatch.setattr(os, "scandir", removed_after_it_was_listed)
        sweep(folder)
        monkeypatch.undo()
        (folder.attempts_of("fit-gone") / "1").mkdir(parents=True, exist_ok=True)
    assert len(looked) >= 3
