"""Whatever becomes of what is printed, and wherever it is called, a command ends with its exit code and no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foldwise.errors import RunError
from foldwise.storage import cache_root, from_home

FOLDWISE = f"{sys.executable} -m foldwise"
SCORES = "image,unet,vit\n" + "".join(f"c{i},0.8{i % 9},0.7{i % 7}\n" for i in range(12))
ASCII = {"PYTHONIOENCODING": "ascii"}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

CASES = {
    "a terminal of ASCII": ("{foldwise} judge s.csv", ASCII, 0, "-> Add cases"),
    "errors in ASCII": ("{foldwise} check ü→.yaml 2>&1", ASCII, 2, "-> Name a study file"),
    "the locale C": ("{foldwise} check ü→.yaml 2>&1", C_LOCALE, 2, "-> Name a study file"),
    "names of other bytes": ("{foldwise} check $'\\xff.yaml' 2>&1", {}, 2, "\\udcff.yaml"),
    "output closed": ("{foldwise} data list >&-", {}, 0, ""),
    "output closed, an error": ("{foldwise} check no.yaml 2>&1 >&-", {}, 2, "there is no file no.yaml"),
    "errors closed": ("{foldwise} check no.yaml 2>&-", {}, 2, ""),
    "all closed, and files written": ("{foldwise} judge s.csv --out o <&- >&- 2>&- && cat o/verdict.json", {}, 0, '"unet"'),
    "output to a full disk": ("{foldwise} data list 2>&1 >/dev/full", {}, 5, "No space left on device"),
    "help to a full disk": ("{foldwise} --help 2>&1 >/dev/full", {}, 5, "No space left on device"),
    "errors to a full disk": ("{foldwise} check no.yaml 2>/dev/full", {}, 2, ""),
    "a reader who has gone": ("set -o pipefail; {foldwise} data list | head -0", {}, 1, ""),
    "no environment": ("env -i {foldwise} data list", {}, 0, "gels"),
    "a folder that is gone": ("mkdir gone; cd gone; rmdir ../gone; {foldwise} data list 2>&1", {}, 1, "the current folder is not there"),
    "an output that is a file": ("{foldwise} judge s.csv --out s.csv 2>&1", {}, 5, "s.csv"),
    "a cache below a device": ("{foldwise} check study.yaml 2>&1", {"FOLDWISE_CACHE": "/dev/null/x"}, 5, "cannot be written"),
    "links in a circle": ("ln -s b a; ln -s a b; {foldwise} check study.yaml --set 'data={{path: a/x}}' 2>&1", {}, 2, "Mend the links"),
    "a home of nobody": ("{foldwise} check study.yaml --set 'data={{path: ~nobody.at.all/x}}' 2>&1", {}, 2, "does not exist"),
    "a name too long for a disk": ("{foldwise} check study.yaml --set data={{path: " + "x" * 300 + "}} 2>&1", {}, 2, "does not exist"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_command_ends_in_a_message_and_its_exit_code(name, tmp_path):
    command, environment, code, words = CASES[name]
    (tmp_path / "s.csv").write_text(SCORES)
    (tmp_path / "study.yaml").write_text(
        "study: s\ndata: {phantom: {kind: cells}}\ntrain: {model: unet}\n", encoding="utf-8"
    )
    written = command.format(foldwise=FOLDWISE).replace("data={path: xxx", "'data={path: xxx")
    written = written.replace("x} 2>&1", "x}' 2>&1") if "xxx" in written else written
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        ["bash", "-c", written.replace("env -i", f"env -i PYTHONPATH={path['PYTHONPATH']}")],
        cwd=tmp_path,
        env=os.environ | path | environment,
        capture_output=True,
        check=False,
        timeout=100,
    )
    printed = ended.stdout.decode("utf-8", "replace")
    everything = printed + ended.stderr.decode("utf-8", "replace")
    assert ended.returncode == code, everything
    assert words in printed, everything
    assert "Traceback" not in everything
    assert "Exception ignored" not in everything


def test_without_a_home_it_is_said_that_there_is_no_place_for_the_cache(monkeypatch):
    monkeypatch.delenv("FOLDWISE_CACHE")
    for answer in (RuntimeError("no home"), "~/.cache/foldwise"):

        def no_home(name, answer=answer):
            if isinstance(answer, str):
                return answer
            raise answer

        monkeypatch.setattr("foldwise.storage.user_cache_dir", no_home)
        with pytest.raises(RunError, match="no home folder"):
            cache_root()


def test_a_home_that_nobody_has_is_left_as_it_was_written():
    assert from_home("~nobody.at.all/x") == Path("~nobody.at.all/x")
    assert from_home("~/x") == Path.home() / "x"


def test_a_check_that_imports_torch_prints_nothing_to_standard_error(tmp_path):
    """Compilers that torch brings print a page where garbage is left to them as Python ends."""
    (tmp_path / "study.yaml").write_text(
        "study: quiet\ndata: {phantom: {kind: gels, images: 12, size: 32}, channels: gray}\n"
        'train: {model: "timm:test_resnet", epochs: 1}\nvalidate: {folds: 2}\n'
    )
    command = [sys.executable, "-m", "foldwise", "check", "study.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
