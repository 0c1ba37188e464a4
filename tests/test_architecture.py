"""The architecture as tests: what may be imported, and at what price."""

import os
import subprocess
import sys

import pytest

from foldwise.runs.folder import RunFolder
from foldwise.runs.plan import Plan

TORCH_FREE = [
    "foldwise",
    "foldwise.interface.cli",
    "foldwise.interface.commands.run",
    "foldwise.interface.commands.judge",
    "foldwise.interface.commands.claims",
    "foldwise.interface.api",
    "foldwise.pipeline.pipeline",
    "foldwise.pipeline.preparing",
    "foldwise.pipeline.worker",
    "foldwise.reporting.report",
    "foldwise.judging.verdict",
    "foldwise.data.audit.audit",
    "foldwise.data.folds.splits",
    "foldwise.data.cache.packed",
    "foldwise.data.cache.packing",
    "foldwise.runs.launchers.table",
    "foldwise.runs.plan",
]


def first_with_torch(modules):
    """Which of the modules, imported one after the other in one process, is the first that imports torch."""
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n importlib.import_module(name)\n if 'torch' in sys.modules: sys.exit(name)"
    ended = subprocess.run(
        [sys.executable, "-c", code, *modules], capture_output=True, text=True, check=False
    )
    return ended.stderr.strip()


def test_thinking_needs_no_torch():
    assert first_with_torch(TORCH_FREE) == ""


def test_the_check_above_can_fail(tmp_path, monkeypatch):
    (tmp_path / "torch.py").touch()  # by that name; it takes 2 s less than the real one
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    assert first_with_torch(["foldwise", "foldwise.learning.options", "torch", "json"]) == "torch"


def test_help_needs_no_pydantic():
    """It is a third of what the command line takes to begin, and only studies and verdicts are made of it."""
    code = "import sys\nimport foldwise.interface.cli\nsys.exit(','.join({'pydantic', 'numpy'} & set(sys.modules)))"
    assert not subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).stderr.strip()


def test_networks_of_its_own_load_no_library_of_networks():
    """timm, torchvision and segmentation-models-pytorch take 2 s of CPU time and 200 MB in every worker that has them."""
    code = (
        "import sys\n"
        "from foldwise.learning.networks.models import build\n"
        "from foldwise.learning.networks.network import DataShape\n"
        "from foldwise.study.training import Choice, Training\n"
        "for name in sys.argv[1:]:\n"
        "    build(Training(model=Choice(name=name)), DataShape('binary', 1, 2, (32, 32)), seed=0)\n"
        "    loaded = {'timm', 'torchvision', 'segmentation_models_pytorch'} & set(sys.modules)\n"
        "    print(name, *sorted(loaded))"
    )
    names = ["conv", "resnet", "vit", "timm:resnet10t"]
    ended = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == [*names[:3], "timm:resnet10t timm torchvision"]


def test_help_and_who_looks_at_a_finished_run_need_no_torch(tmp_path):
    folder = str(tmp_path)
    RunFolder(tmp_path).save_plan(Plan((), ()))
    every = [["--help"], ["status", folder], ["stop", folder], ["work", folder, "--device", "cpu"]]
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from foldwise.interface.cli import app\n"
        f"for words in {every}:\n"
        "    print(words[0], CliRunner().invoke(app, words).exit_code, 'torch' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == [f"{words[0]} 0 False" for words in every]


def test_no_floor_hides_a_public_name():
    """Importing a module puts it on its package: a floor called `run` would take the place of the function `run`."""
    code = (
        "import foldwise, importlib, pkgutil\n"
        "[importlib.import_module(f'foldwise.{m.name}') for m in pkgutil.iter_modules(foldwise.__path__) if m.name != '__main__']\n"
        "assert all(callable(getattr(foldwise, name)) for name in foldwise.__all__)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_public_names_are_there():
    import foldwise

    for name in foldwise.__all__:
        assert getattr(foldwise, name) is not None
    with pytest.raises(AttributeError, match=r"it has ClaimsFalse, DataError, .*, run"):
        _ = foldwise.nothing
