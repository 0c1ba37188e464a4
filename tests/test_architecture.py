"""The architecture as tests: what may be imported, and at what price."""

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


def loads_torch(code):
    """The exit code of a process that runs `code`: 1 where torch is imported afterwards."""
    ended = f"import sys; {code}; sys.exit('torch' in sys.modules)"
    return subprocess.run([sys.executable, "-c", ended], capture_output=True, check=False).returncode


def first_with_torch(modules):
    """Which of the modules, imported one after the other in one process, is the first that imports torch."""
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n importlib.import_module(name)\n if 'torch' in sys.modules: sys.exit(name)"
    ended = subprocess.run(
        [sys.executable, "-c", code, *modules], capture_output=True, text=True, check=False
    )
    return ended.stderr.strip()


def test_thinking_needs_no_torch():
    assert first_with_torch(TORCH_FREE) == ""


def test_the_check_above_can_fail():
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
        "loaded = {'timm', 'torchvision', 'segmentation_models_pytorch'} & set(sys.modules)\n"
        "sys.exit(str(sorted(loaded)))"
    )
    for names, loaded in ((["conv", "resnet", "vit"], "[]"), (["timm:resnet10t"], "['timm', 'torchvision']")):
        ended = subprocess.run(
            [sys.executable, "-c", code, *names], capture_output=True, text=True, check=False
        )
        assert ended.stderr.strip().splitlines()[-1] == loaded


@pytest.mark.parametrize("words", [("status",), ("stop",), ("work", "--device", "cpu")])
def test_who_looks_at_a_finished_run_needs_no_torch(words, tmp_path):
    folder = RunFolder(tmp_path)
    folder.save_plan(Plan((), ()))
    asked = [words[0], str(tmp_path), *words[1:]]
    code = f"from typer.testing import CliRunner; from foldwise.interface.cli import app; r = CliRunner().invoke(app, {asked}); r.exit_code and sys.exit(2)"
    assert loads_torch(code) == 0


def test_help_needs_no_torch():
    code = "from typer.testing import CliRunner; from foldwise.interface.cli import app; CliRunner().invoke(app, ['--help'])"
    assert loads_torch(code) == 0


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
