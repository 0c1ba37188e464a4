"""What kills leave behind is swept away, and nothing that somebody still needs."""

from foldwise.runs.folder import RunFolder
from foldwise.runs.leases import clean_up
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
