"""A user's own code: every file that it imports counts, nothing is run to find that out, and what cannot be followed is said."""

import sys

import pytest

from foldwise.runs.items import make_item
from foldwise.study.configurations import configurations
from foldwise.study.own_code import is_own, own_code, own_names
from foldwise.study.reading import study_from_dict

MARK = "raise SystemExit('this was run')\n"  # whoever imports one of these files does not come back
TREE = {
    "nets.py": "import blocks\n",
    "blocks.py": "def f():\n    from pkg.deep import layer\n",
    "pkg/__init__.py": "",
    "pkg/deep.py": "from . import leaf\nfrom .below.far import thing as other\nimport torch.nn as nn, json\n",
    "pkg/leaf.py": "import importlib\nplugin = importlib.import_module('plugin')\n",
    "pkg/below/__init__.py": "from .star import *\n",
    "pkg/below/far.py": "from ... import alone\nfrom ..sister import x\n",
    "pkg/below/star.py": "",
    "pkg/sister.py": "from space.inner import y\n",
    "space/inner.py": "y = 1\n",  # a package without __init__.py
    "plugin.py": "",
    "stranger.py": "",
}
COUNTED = sorted(set(TREE) - {"stranger.py"})


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name, text in TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + MARK)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for module in ("nets", "blocks", "pkg", "space", "plugin"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    # A package may not import from above itself: Python refuses that, and it must not confuse what follows it.
    (tmp_path / "pkg/below/far.py").write_text("from ..sister import x\n" + MARK)
    return tmp_path


def test_every_file_counts_that_imports_lead_to_and_none_is_run(tree):
    code = own_code("nets:build")
    assert sorted(str(path.relative_to(tree)) for path in code.files.values()) == COUNTED
    assert code.not_followed == ()
    assert not {"nets", "blocks", "pkg", "space"} & sys.modules.keys()


@pytest.mark.parametrize("edited", TREE)
def test_an_edit_changes_ids_if_and_only_if_the_file_counts(tree, edited):
    study = study_from_dict(
        {"study": "x", "data": {"path": str(tree)}, "train": {"model": "nets:build", "loss": "auto"}}
    )
    settings = {"deep": [{"losses": [{"name": "nets:build", "options": {}}]}]}

    def ids():
        look = make_item("landscape", settings, title="")
        return [row.id for row in configurations(study)] + [look.id, own_code("nets:build").digest]

    before = ids()
    with (tree / edited).open("a") as file:
        file.write("# edited\n")
    assert [a != b for a, b in zip(before, ids(), strict=True)] == [edited in COUNTED] * 3


def test_a_module_that_stands_alone_has_the_digest_of_its_file(tree):
    from hashlib import sha256

    assert own_code("plugin:f").digest == f"sha256:{sha256((tree / 'plugin.py').read_bytes()).hexdigest()}"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import importlib as i\ni.import_module(name)", ":2 (an import with a computed name)"),
        ("from importlib import import_module as get\nget('a' + b)", ":2 (an import with a computed name)"),
        ("__import__(name)", ":1 (an import with a computed name)"),
        ("exec(open('x').read())", ":1 (exec)"),
        ("x = eval('1')", ":1 (eval)"),
        ("import ctypes", " (ctypes)"),
        ("from ctypes import CDLL", " (ctypes)"),
        ("import torch\ntorch.hub.load('a', 'b')", ":2 (torch.hub)"),
        ("from torch.utils import cpp_extension as c\nc.load('x')", ":2 (a compiled extension)"),
        ("import sys\nsys.path.insert(0, '..')", ":2 (a changed sys.path)"),
        ("import importlib.util\nimportlib.util.spec_from_file_location('a', 'b')", ":2 (a module loaded by its path)"),
        ("import runpy\nrunpy.run_path('a.py')", ":2 (runpy)"),
        ("import torch\nw = torch.load('w.pt')", ":2 (a file it opens)"),
        ("from pathlib import Path\nPath('a').read_text()", ":2 (a file it opens)"),
        ("def (", " (no valid Python)"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_said(tree, text, what):
    (tree / "loose.py").write_text(text)
    assert f"loose.py{what}" in own_code("loose:f").not_followed
    assert f"not followed: loose.py{what}" in own_code("loose:f").sentence


def test_what_only_looks_like_it_is_not_said(tree):
    (tree / "plain.py").write_text(
        "import re\nre.compile('x')\nnet.eval()\nmodel.load(1)\nimport sys\nsys.path\n"
    )
    assert own_code("plain:f").not_followed == ()


def test_a_compiled_extension_counts_and_is_said(tree):
    from importlib.machinery import EXTENSION_SUFFIXES

    library = tree / f"fast{EXTENSION_SUFFIXES[0]}"
    library.write_bytes(b"ELF")
    (tree / "loose.py").write_text("import fast")
    before = own_code("loose:f").digest
    assert own_code("loose:f").not_followed == (f"{library.name} (compiled)",)
    library.write_bytes(b"ELF, another")
    assert own_code("loose:f").digest != before


def test_installed_packages_and_python_itself_do_not_count(tree):
    (tree / "alone.py").write_text("import json, numpy.random, foldwise.study.spec\nfrom torch import nn")
    assert list(own_code("alone:f").files) == ["alone"]


@pytest.mark.parametrize("name", ["json:loads", "foldwise.study.spec:Study", "numpy.random:default_rng"])
def test_of_an_installed_module_that_is_named_its_own_file_counts_and_no_more(name):
    module = name.partition(":")[0]
    code = own_code(name)
    assert list(code.files) == [module]
    assert code.not_followed == (f"{module} (installed)",)


def test_a_module_that_is_not_there_is_said(tree):
    assert own_code("nowhere.at_all:f").not_followed == ("nowhere.at_all:f (not found)",)


def test_which_names_are_own():
    written = {"compare": {"model": ["timm:resnet18", {"a.b:c": {"width": 3}}, "unet"]}, "losses": ("m:l",)}
    assert own_names(written, as_written=True) == {"a.b:c", "m:l"}
    chosen = {
        "title": "note:this",
        "losses": [{"name": "m:l", "options": {"of": {"name": "timm:x", "options": {}}}}],
    }
    assert own_names(chosen) == {"m:l"}
    assert not any(
        map(
            is_own,
            (
                "smp:unet/resnet18",
                "torchvision:alexnet",
                "a:b:c",
                "a/b:c",
                ".a:b",
                "a:",
                "a:b c",
                "pattern:^(x)",
            ),
        )
    )
