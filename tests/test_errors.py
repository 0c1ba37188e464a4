import ast
import re
import resource
import signal
from pathlib import Path

import pytest
import torch

from foldwise.errors import (
    DataError,
    FoldwiseError,
    MissingExtra,
    RunError,
    SpecError,
    choose,
    need,
    of_machine,
)

# What a cure can ask of its reader, as it begins a sentence or a part of one; or a command, or the values that are allowed.
ACTIONS = (
    "add ask begin bring build call change check choose compare compute connect copy correct cut decide decompress delete"
    " do download draw end export fetch fill finish get give install judge keep label lay leave let list look lower make"
    " mend mount move name number open point predict put quote read register remove rename replace report return run save say see"
    " separate set shorten split stack start state take train transpose try turn unpack unset use wait widen write"
)
ACTION = re.compile(
    rf"(?:^ ?|[.;:,] |\b(?:or|and|else|please|then|to|all|first|yourself) )(?:{ACTIONS.replace(' ', '|')})\b",
    re.I,
)
COMMAND = re.compile(
    r"(?<![a-z])(?:foldwise|pip|kubectl|chmod|cd|sudo|conda) |--[a-z]|\b[a-z_]+\.[a-z_]+: |^data\.classes"
)
ALLOWED = re.compile(r"(?:known|there are|for example|keys are|such as|did you mean)\b", re.I)

# What is a cure by its name, and by its place among the arguments.
CURE = ("cure", "advice")
PLACED = {"Finding": (4, 5), "_finding_of": (4, 5), "Invalid": (2, 3)}


def cures():
    """(file and line, text) of every cure that is written down; what is put in is {}."""
    for path in sorted((Path(__file__).parents[1] / "src/foldwise").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            written = []
            if isinstance(node, ast.Call):
                written = [word.value for word in node.keywords if word.arg in CURE]
                written += node.args[slice(*PLACED.get(ast.unparse(node.func).split(".")[-1], (0, 0)))]
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
                target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
                name = target.id if isinstance(target, ast.Name) else ""
                table = node.value.values if isinstance(node.value, ast.Dict) else []
                written = [node.value] if name in CURE else table if name == "CURES" else []
            for value in written:
                parts = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
                for part in parts:
                    if isinstance(part, ast.Constant | ast.JoinedStr):
                        yield f"{path.name}:{part.lineno}", text_of(part)


def text_of(node):
    pieces = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(piece.value or "") if isinstance(piece, ast.Constant) else "{}" for piece in pieces)


def test_every_cure_names_something_to_do():
    """What merely says how things are leaves the reader where he was."""
    every = list(cures())
    assert len(every) > 400
    patterns = (ACTION, COMMAND, ALLOWED)
    told = {
        place: text
        for place, text in every
        if len(text) > 1 and not text.startswith("{}") and not any(p.search(text) for p in patterns)
    }
    assert told == {}
    assert not ACTION.search("As data.decoding.alpha states.")
    assert not ACTION.search("Masks bear the names of their images.")


# What says itself what is allowed, or hands on what another error said.
OF_ITSELF = ("must be", "needs the option", "reasons", "message", "error or", "cures stand above")


def test_no_error_is_raised_without_a_cure():
    kinds = {
        "SpecError",
        "DataError",
        "MissingExtra",
        "RunError",
        "ItemsFailed",
        "ClaimsFalse",
        "FoldwiseError",
    }
    bare = {}
    for path in sorted((Path(__file__).parents[1] / "src/foldwise").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in kinds:
                text, words = ast.unparse(node), {word.arg for word in node.keywords}
                if not words & {"cure", None} and not any(part in text for part in OF_ITSELF):
                    bare[f"{path.name}:{node.lineno}"] = text
    assert bare == {}


def test_an_error_says_what_where_and_the_cure():
    error = SpecError("no loss is called 'dise'", where="study.yaml:4", cure="Did you mean 'dice'?")
    assert str(error) == "study.yaml:4: no loss is called 'dise'\n  → Did you mean 'dice'?"


def test_several_errors_are_said_together():
    both = DataError.together([DataError("a.png is empty"), DataError("b.png is empty", cure="Delete it.")])
    assert str(both) == "2 problems:\n1. a.png is empty\n2. b.png is empty\n  → Delete it."
    assert str(DataError.together([DataError("alone")])) == "alone"


def test_the_same_of_many_files_is_said_once_with_the_first_of_them():
    same = [DataError("the file is empty", where=f"{k}.png", cure="Delete it.") for k in range(7)]
    places = "0.png, 1.png, 2.png, 3.png, 4.png and 2 more"
    assert str(DataError.together(same)) == f"{places}: the file is empty\n  → Delete it."
    other = DataError("the file is empty", where="x.tif", cure="Copy it again.")
    assert str(DataError.together([*same, other])).startswith(f"2 problems:\n1. {places}: the file is empty")


def test_a_file_with_many_places_is_named_once():
    same = [DataError("no such label", where=f"a.csv, row {k}") for k in (2, 5)]
    assert str(DataError.together(same)) == "a.csv, row 2, row 5: no such label"
    assert str(DataError.together([*same, DataError("no such label", where="b.csv")])).startswith(
        "a.csv, row 2, a.csv, row 5"
    )


def test_no_more_problems_are_listed_than_anybody_reads():
    text = str(DataError.together([DataError(f"problem {k}") for k in range(30)]))
    assert text.startswith("30 problems:\n1. problem 0\n")
    assert text.endswith("20. problem 19\n... and 10 more")


def test_choose_suggests_the_nearest():
    assert choose({"dice": 1}, "dice", "loss") == 1
    with pytest.raises(SpecError) as caught:
        choose({"dice": 1, "focal": 2}, "dise", "loss")
    assert str(caught.value) == "no loss is called 'dise'\n  → Did you mean 'dice'? Known: dice, focal."


def test_a_missing_extra_names_its_cure():
    with pytest.raises(MissingExtra, match="is not installed") as caught:
        need("no_such_package_at_all", "export")
    assert caught.value.cure == "pip install 'foldwise[export]'"


def test_every_error_has_its_own_exit_code():
    kinds = [FoldwiseError, *FoldwiseError.__subclasses__()]
    assert len({kind.exit_code for kind in kinds}) == len(kinds)
    assert 0 not in {kind.exit_code for kind in kinds}


def test_what_a_library_says_of_a_full_disk_in_words_is_the_machines_too(tmp_path):
    """safetensors is written in Rust, and what it raises is no OSError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 12, hard))
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(SafetensorError) as raised:
            save_file({"weight": torch.zeros(1 << 14)}, tmp_path / "weights.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    error = of_machine(raised.value)
    assert isinstance(error, RunError)
    assert "File too large" in error.what
    assert of_machine(ValueError("a bug")) is None
