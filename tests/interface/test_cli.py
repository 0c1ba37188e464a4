"""What the command line refuses, with which words and which exit code; and how it ends when it is stopped."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from foldwise.errors import FoldwiseError, MissingExtra, RunError, SpecError
from foldwise.interface import api, cli, models
from foldwise.learning.training import devices
from foldwise.pipeline import pipeline
from foldwise.runs.folder import RunFolder, write_json
from foldwise.runs.items import Item
from foldwise.runs.plan import Plan

STUDY = "study: tiny\ndata:\n  phantom: {kind: bacteria, images: 12, size: 64}\ntrain: {model: unet}\n"


@pytest.fixture
def said(monkeypatch, capsys, tmp_path):
    """Runs a command in a folder with a study: (exit code, standard error)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["foldwise", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("chekc study.yaml", 2, "Did you mean 'check'?"),
        ("train study.yaml", 2, "no command is called 'train'\n  → Did you mean 'run'? foldwise run -h"),
        ("frobnicate", 2, "no command is called 'frobnicate'\n  → Known: app, check,"),
        ("check no.yaml", 2, "there is no file no.yaml"),
        ("check .", 2, "is a folder"),
        ("check", 2, "Missing argument"),
        ("run study.yaml --workers 0", 2, "greater than or equal to 1"),
        ("run study.yaml --launcher slrum", 2, "no launcher is called 'slrum'"),
        ("run study.yaml --device gpu", 2, "Write cuda for an NVIDIA GPU"),
        ("work . --device nvidia", 2, "Known: auto, cpu, cuda, mps."),
        ("check study.yaml --set epochs", 2, "a change is written KEY=VALUE"),
        ("check study.yaml --set train.epcohs=2", 2, "Did you mean 'epochs'?"),
        ("check study.yaml --quick", 2, "--variant quick: the study has no variants"),
        ("run study.yaml --variant small", 2, "--variant small: the study has no variants"),
        ('check study.yaml --set data={"source":"gels"}', 3, "foldwise data get gels"),
        ('run study.yaml --no-fetch --set data={"source":"optic_disc"}', 4, "It cannot be downloaded"),
        ("status .", 5, "is not the folder of a run"),
        ("report nowhere", 5, "there is no folder nowhere"),
        ("work study.yaml", 5, "study.yaml is a file"),
        ("predict . x --out y", 5, "is not the folder of a run"),
    ],
)
def test_what_cannot_be_is_refused_with_a_cure(said, command, code, words):
    ended, error = said(*command.split())
    assert ended == code, error
    assert words in error
    assert "Traceback" not in error


def test_synonyms_are_of_commands_that_there_are_and_are_no_commands():
    names = {command.__name__ for command in cli.COMMANDS} | {"data"}
    words = [word for of in cli.SYNONYMS.values() for word in of.split()]
    assert cli.SYNONYMS.keys() <= names
    assert not names & set(words)
    assert len(set(words)) == len(words)


@pytest.mark.parametrize("command", ["run study.yaml", "work run", "predict run images --out out"])
def test_a_device_that_is_not_here_is_refused_before_anything_is_done(said, monkeypatch, tmp_path, command):
    monkeypatch.setattr(devices.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(pipeline, "prepare", lambda *_, **__: pytest.fail("it began"))
    code, error = said(*command.split(), "--device", "cuda")
    assert code == 4
    assert "Ask for --device auto or cpu" in error
    assert not (tmp_path / "runs").exists()


def test_python_refuses_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(devices.torch.cuda, "is_available", lambda: False)
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    with pytest.raises(MissingExtra):
        api.run(tmp_path / "study.yaml", device="cuda")
    with pytest.raises(SpecError, match="no device is called 'gpu'"):
        api.run(tmp_path / "study.yaml", device="gpu")
    with pytest.raises(RunError, match="there is no folder"):
        api.open(tmp_path / "none")
    with pytest.raises(RunError, match="there is no folder"):
        models.predict(tmp_path / "none", tmp_path, out=tmp_path / "out")


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def test_ctrl_c_says_that_the_same_command_goes_on(said, monkeypatch):
    monkeypatch.setattr(pipeline, "prepare", raising(KeyboardInterrupt()))
    code, error = said("run", "study.yaml")
    assert code == 130
    assert error == "\nfoldwise: stopped; the same command goes on from here\n"


def test_ctrl_c_while_the_command_is_imported_is_no_traceback():
    stopped = "import sys\nclass Stop:\n    def find_spec(self, name, *_):\n        if name == 'typer':\n            raise KeyboardInterrupt"
    program = f"{stopped}\nsys.meta_path.insert(0, Stop())\nfrom foldwise.__main__ import main\nmain()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "")


def test_a_disk_that_refuses_is_no_traceback_but_a_bug_is_one(said, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device", "runs/tiny/plan.json")
    monkeypatch.setattr(pipeline, "prepare", raising(full))
    code, error = said("run", "study.yaml")
    assert code == 5
    assert error.startswith("foldwise: No space left on device: runs/tiny/plan.json\n")
    monkeypatch.setattr(pipeline, "prepare", raising(FileNotFoundError(errno.ENOENT, "no such file", "x")))
    assert said("run", "study.yaml")[0] == 5
    monkeypatch.setattr(pipeline, "prepare", raising(MemoryError()))
    code, error = said("run", "study.yaml")
    assert (code, error.partition("\n")[0]) == (1, "foldwise: the memory of this machine is full")
    monkeypatch.setattr(pipeline, "prepare", raising(ZeroDivisionError()))
    monkeypatch.setattr(sys, "argv", ["foldwise", "run", "study.yaml"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.parametrize(
    "words", ["can't start new thread", "DefaultCPUAllocator: can't allocate memory: you tried ..."]
)
def test_memory_that_is_full_by_another_error_is_called_so_too(said, monkeypatch, words):
    def full(*_, **__):
        raise RuntimeError(words)

    monkeypatch.setattr(pipeline, "check", full)
    code, error = said("check", "study.yaml")
    assert (code, error.partition("\n")[0]) == (1, "foldwise: the memory of this machine is full")
    with pytest.raises(FoldwiseError, match="the memory of this machine is full"):
        api.check("study.yaml")


def test_any_other_error_of_a_bug_is_shown_as_it_is(said, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr(pipeline, "check", broken)
    monkeypatch.setattr(sys, "argv", ["foldwise", "check", "study.yaml"])
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main()
    with pytest.raises(RuntimeError, match="a bug"):
        api.check("study.yaml")


def test_a_run_whose_plan_is_changed_by_another_one_says_so(tmp_path):
    folder = RunFolder(tmp_path)
    folder.save_plan(Plan((Item("fit-1", "fit", (), "x", {}),), ()))
    look = pipeline._finished(folder)
    folder.save_plan(folder.load_plan())
    assert look() is False  # the same study twice is allowed
    write_json(folder.plan, Plan((Item("fit-2", "fit", (), "y", {}),), ()).to_json())
    with pytest.raises(RunError, match="another foldwise run has changed the plan"):
        look()


def test_a_users_own_network_is_found_where_the_command_is_called(monkeypatch, capsys, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "def net(in_channels, num_classes):\n"
        "    return torch.nn.Conv2d(in_channels, num_classes, 3, padding=1)\n"
    )
    (tmp_path / "study.yaml").write_text(
        "study: own\n"
        "data: {phantom: {kind: bacteria, images: 12, size: 32, difficulty: 0.3}}\n"
        'train: {model: "mine:net", epochs: 1}\n'
        "validate: {folds: 2}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", ["foldwise", "check", "study.yaml"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert "mine:net" in capsys.readouterr().out


def test_the_command_is_installed():
    command = [Path(sys.executable).parent / "foldwise", "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Which deep-learning model should I use" in ended.stdout
