"""Libraries of networks come without the compiler of torch, and it is whole for whoever asks for it; in processes of their own."""

import subprocess
import sys

import pytest

NAMES = ("timm:resnet10t", "smp:unet/resnet18", "torchvision:resnet18")

TRAINED = """
import sys, torch
from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import DataShape
from foldwise.study.training import Training
name = sys.argv[1]
shape = DataShape("binary_segmentation" if name.startswith("smp") else "binary_classification", 3, 2, (32, 32))
network = build(Training.model_validate({"model": name, "weights": "none"}), shape, seed=0)
network(torch.rand(2, 3, 32, 32)).sum().backward()
assert not [module for module in sys.modules if module.startswith(("torch._dynamo", "torch._inductor"))]
"""

COMPILED = """
import sys, torch
from foldwise.learning.networks.lean_imports import library
timm, ops = library("timm"), library("torchvision").ops
assert "torch._dynamo" not in sys.modules
assert timm.models.naflexvit.NaFlexRopeIterator
boxes = torch.tensor([[0.0, 0.0, 0.0, 3.0, 3.0]])
assert ops.roi_align(torch.ones(1, 1, 4, 4), boxes, 2).tolist() == [[[[1.0, 1.0], [1.0, 1.0]]]]
torch.use_deterministic_algorithms(True, warn_only=True)
ops.roi_align(torch.ones(1, 1, 4, 4), boxes, 2)
import torch._dynamo
assert torch._dynamo.__file__ and torch._dynamo.utils.__file__ and torch._dynamo.explain
assert torch.compile(lambda x: 2 * x, backend="eager")(torch.ones(2)).tolist() == [2, 2]
assert library("timm") is timm
"""

ASKED_FOR_MORE = """
import sys
from pathlib import Path
Path("library.py").write_text(sys.argv[1])
sys.path.insert(0, "")
from foldwise.learning.networks.lean_imports import library
assert library("library").asked is not None
import torch._dynamo
assert torch._dynamo.explain and torch._dynamo.utils.counters is not None
"""


# The meta device marks its arithmetic in `torch._refs`; afterwards a compiler marks it itself.
DESCRIBED = """
import sys, torch
from foldwise.learning.networks.describing import describe
from foldwise.learning.networks.lean_imports import without_compiler
from foldwise.learning.networks.network import DataShape
from foldwise.study.training import Training
with without_compiler():
    training = Training.model_validate({"model": "conv", "weights": "none"})
    describe(training, DataShape("binary_classification", 3, 2, (32, 32)))
    assert sys.modules["torch._dynamo"].__class__.__name__ == "_Later"
assert "torch._dynamo" not in sys.modules
import torch._refs
assert not [name for name, made in vars(torch._refs).items() if "__dynamo_disable" in getattr(made, "__dict__", {})]
import torch._dynamo
assert torch.compile(torch._refs.normal, backend="eager")(0.0, 1.0, (3,)).shape == (3,)
"""


def ran(code):
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def ran_forked(forked, tmp_path):
    """Run code in a process that has imported torch, and nothing of what is looked for here, when it begins."""

    def ran(code, *words):
        assert forked.run(code, *words, cwd=tmp_path, out=tmp_path / "out.txt") == 0, (
            tmp_path / "out.txt"
        ).read_text()

    ran("import sys; assert not {'timm', 'torchvision', 'torch._dynamo'} & sys.modules.keys()")
    return ran


@pytest.mark.parametrize("name", NAMES)
def test_networks_are_built_and_trained_without_it(ran_forked, name):
    ran_forked(TRAINED, name)


def test_networks_are_described_without_it():
    ran(DESCRIBED)


def test_it_is_whole_for_whoever_imports_it_afterwards():
    ran(COMPILED)


@pytest.mark.parametrize(
    "line",
    [
        "from torch._dynamo.utils import counters as asked",
        "import torch._dynamo.config; asked = torch._dynamo.config",
        "import torch; asked = torch._dynamo.explain",
        "from torch._dynamo import explain as asked",
        "import torch\n@torch.compiler.disable\ndef asked(): pass",
        "import torch\n@torch.compiler.disable(recursive=False)\ndef asked(): pass",
    ],
)
def test_a_library_that_asks_for_more_gets_it(ran_forked, line):
    ran_forked(ASKED_FOR_MORE, line)


def test_a_library_that_is_not_there_leaves_nothing_behind():
    ran("""
import sys
from foldwise.learning.networks.lean_imports import library
try:
    library("no_such_library")
except ModuleNotFoundError:
    pass
assert "torch._dynamo" not in sys.modules and "torch._dynamo.utils" not in sys.modules
""")
