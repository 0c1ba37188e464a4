"""Records and readers: every kind of file that foldwise writes, compared before it is believed."""

import json
import os
import stat

import numpy as np
import pytest
from damage import DAMAGES, FOREIGN

from foldwise.errors import RunError
from foldwise.learning.checkpoints.saved import read_weights, write_tensors
from foldwise.sealed import (
    CURES,
    Damaged,
    check_sizes,
    digest_of_folder,
    read_json,
    read_record,
    read_table,
    read_text,
    seal,
    seal_folder,
    verified,
)
from foldwise.sealed_arrays import read_array, read_arrays
from foldwise.storage import is_foreign, names_in, write_json, write_table


def written(folder):
    """A folder with a file of every kind, and how each is read."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "audit.json", {"a": 1})
    write_table(folder / "cases.csv", [{"name": "a", "group": "=1"}])
    np.save(folder / "features.npy", np.arange(4))
    np.savez(folder / "scores.npz", case=np.arange(3), p=np.ones(3))
    write_tensors(folder / "weights.safetensors", {})
    (folder / "log.txt").write_text("said")
    return {
        "audit.json": read_json,
        "cases.csv": read_table,
        "features.npy": read_array,
        "scores.npz": read_arrays,
        "weights.safetensors": read_weights,
        "log.txt": read_text,
    }


def test_what_was_sealed_is_read_as_it_was(tmp_path):
    readers = written(tmp_path)
    write_json(tmp_path / "result.json", {"status": "done", "number": 1.5})
    seal_folder(tmp_path / "result.json")
    assert read_json(tmp_path / "result.json") == {"status": "done", "number": 1.5}
    assert set(read_record(tmp_path / "result.json")[1]) == set(readers)
    assert readers["audit.json"](tmp_path / "audit.json") == {"a": 1}
    assert readers["cases.csv"](tmp_path / "cases.csv") == [{"name": "a", "group": "=1"}]
    assert readers["scores.npz"](tmp_path / "scores.npz")["case"].tolist() == [0, 1, 2]
    # It is JSON that anybody can read, and whose digests anybody can compare.
    assert len(json.loads((tmp_path / "result.json").read_text())["digest"]) == 64


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "older"])
@pytest.mark.parametrize("how", DAMAGES)
def test_damage_to_a_file_of_any_kind_is_one_error_with_its_cure(tmp_path, how, sealed):
    readers = written(tmp_path)
    write_json(tmp_path / "result.json", {"status": "done"})
    if sealed:
        seal_folder(tmp_path / "result.json")
    for name, read in readers.items():
        path = tmp_path / name
        DAMAGES[how](path)
        # Without a digest a flipped bit is found where the format has a checksum, and text may be empty.
        if not sealed and (how == "flip" or (name in ("log.txt", "cases.csv") and how != "delete")):
            continue
        with pytest.raises(Damaged) as refused:
            read(path)
        assert refused.value.where == str(path)
        assert refused.value.cure == CURES["result.json"]
        assert "pickle" not in str(refused.value)  # a library's advice is none of ours


@pytest.mark.parametrize("record", CURES)
def test_every_bit_of_a_record_counts(tmp_path, record):
    path = tmp_path / record
    seal(path, {"status": "done", "epochs": [1, 2]}, [])
    good = path.read_bytes()
    for at in range(15, len(good)):  # before that stands the name of its digest
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(Damaged) as refused:
            read_json(path)
        assert refused.value.cure == CURES[record]


def test_sizes_are_compared_without_reading(tmp_path):
    written(tmp_path)
    write_json(tmp_path / "result.json", {})
    seal_folder(tmp_path / "result.json")
    _, seals = read_record(tmp_path / "result.json")
    check_sizes(tmp_path / "result.json", seals)
    (tmp_path / "log.txt").write_text("said more")
    with pytest.raises(Damaged, match=r"log\.txt: the file is damaged: it has 9 bytes, and 4 were written"):
        check_sizes(tmp_path / "result.json", seals)


def test_a_digest_is_taken_once_and_again_where_a_file_changes_even_to_the_same_size_and_time(tmp_path):
    written(tmp_path)
    write_json(tmp_path / "result.json", {})
    seal_folder(tmp_path / "result.json")
    path = tmp_path / "log.txt"
    about = path.stat()
    assert verified(path) == path
    path.write_text("Said")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(Damaged, match="its bytes are not those that were written"):
        verified(path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path):
    path = tmp_path / "audit.json"
    write_json(path, {})
    path.chmod(stat.S_IWUSR)
    with pytest.raises(RunError, match="cannot be read"):
        read_json(path)


def test_a_folder_in_the_place_of_a_file_is_not_called_damaged(tmp_path):
    (tmp_path / "scores.npz").mkdir()
    with pytest.raises(RunError, match="the file cannot be read") as refused:
        read_arrays(tmp_path / "scores.npz")
    assert not isinstance(refused.value, Damaged)


def test_foreign_names_are_told_from_ours(tmp_path):
    assert all(map(is_foreign, (*FOREIGN, ".Trashes", "Icon\r", "~$table.xlsx", "scores.npz.tmp")))
    ours = ("result.json", "scores.npz", "fit-0123456789abcdef", "member-0.safetensors", "1", "study.yaml")
    assert not any(map(is_foreign, ours))
    for name in (*FOREIGN, *ours):
        (tmp_path / name).write_text("x")
    assert names_in(tmp_path) == sorted(ours)
    assert names_in(tmp_path / "nowhere") == []
    assert names_in(tmp_path / "1") == []


def test_the_digest_of_a_folder_is_of_its_own_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").write_bytes(b"1")
    first = digest_of_folder(tmp_path)
    (tmp_path / "a" / ".DS_Store").write_bytes(b"2")
    assert digest_of_folder(tmp_path) == first
    (tmp_path / "a" / "b.png").write_bytes(b"2")
    assert digest_of_folder(tmp_path) != first
