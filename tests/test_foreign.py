"""What others made: names in their folders are ids and never paths, and links do not lead out of them."""

import os
import socket

import pytest

from foldwise.errors import RunError
from foldwise.foreign import checked_file, checked_id, is_id, refuse_strange

HOSTILE = [
    "", ".", "..", "../x", "a/../../b", "/etc/passwd", "\\\\server\\x", "C:\\x", "c:x", "a\\b", "a/b", "a\0b", "fit-1\n", "~",
    "~root", "NUL", "con", "Com1", "lpt9", "aux", "a.json", ".hidden", "-rf", "a b", "a" * 121, "ä", "a\u202eb", "%2e%2e", "$HOME",
    None, 7, ["a"], {"a": 1}, True,
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_what_could_lead_elsewhere_is_no_id(name):
    assert not is_id(name)
    for check in (checked_id, lambda name, what, where: checked_file(name, ".safetensors", where=where)):
        with pytest.raises(RunError) as refused:
            check(name, "item", where="plan.json")
        assert str(refused.value).startswith("plan.json: the ")
        assert len(str(refused.value)) < 350
        assert "\n" not in refused.value.what


@pytest.mark.parametrize("name", ["fit-0123456789abcdef", "aa_test-1", "c-0123456789", "a" * 120, "3f2c"])
def test_what_foldwise_gives_is_one(name):
    assert checked_id(name, "item") == name
    assert checked_file(f"{name}.safetensors", ".safetensors") == f"{name}.safetensors"
    for other in (name, f"../{name}.safetensors", f"{name}.npz", f"{name}.safetensors/x"):
        with pytest.raises(RunError):
            checked_file(other, ".safetensors")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "run"
    (root / "done" / "fit-1").mkdir(parents=True)
    (root / "done" / "fit-1" / "result.json").write_text("{}")
    (tmp_path / "secret").write_text("a key")
    return root


def test_a_folder_of_files_is_taken_and_links_within_it_are(folder):
    (folder / "again").symlink_to("done")
    (folder / "done" / "fit-1" / "same.json").symlink_to(folder / "done" / "fit-1" / "result.json")
    refuse_strange(folder)
    refuse_strange(folder / "not there")


def test_the_folder_itself_may_be_a_link(folder, tmp_path):
    (tmp_path / "scratch_disk").symlink_to(folder)
    (folder / "again").symlink_to("done")
    refuse_strange(tmp_path / "scratch_disk")


@pytest.mark.parametrize(
    "target", ["../../../secret", "{outside}/secret", "/etc/passwd", "..", "../../..", "/no/such/file"]
)
def test_a_link_that_leads_out_is_refused_and_named(folder, tmp_path, target):
    (folder / "done" / "fit-1" / "weights.safetensors").symlink_to(target.format(outside=tmp_path))
    if target == "..":  # that is still within
        return refuse_strange(folder)
    with pytest.raises(RunError, match=r"fit-1/weights\.safetensors is a link that leads out of the folder"):
        refuse_strange(folder)
    return None


def test_what_would_never_end_to_be_read_is_refused(folder):
    os.mkfifo(folder / "verdict.json")
    with pytest.raises(RunError, match=r"verdict\.json is neither a file nor a folder"):
        refuse_strange(folder)
    os.remove(folder / "verdict.json")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(folder)  # the path of a socket may only be short
        listening.bind("s")
        os.chdir(here)
        with pytest.raises(RunError, match="s is neither a file nor a folder"):
            refuse_strange(folder)
