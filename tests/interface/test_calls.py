"""Calls from Python: every wrong argument of every public function is refused in words that a caller can act on."""

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import typer.main
from PIL import Image

import foldwise
from foldwise.interface import calls, cli
from foldwise.interface.calls import as_called

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of predictions of so small a network
STUDY = {
    "study": "tiny",
    "data": {"phantom": {"kind": "gels", "images": 16, "size": 32}, "channels": "gray"},
    "compare": {"model": [{"conv": {"width": 4, "depth": 2}}]},
    "train": {"epochs": 1, "batch_size": 8},
    "validate": {"folds": 2},
}
FUNCTIONS = {
    name: getattr(foldwise, name) for name in foldwise.__all__ if inspect.isfunction(getattr(foldwise, name))
}
# Of each kind of argument, by its annotation: values that are none.
NO_PATHS = [3, None, np.zeros((4, 4)), [], object(), b"runs", "", "a\0b"]
WRONG = {
    "PathLike": NO_PATHS,
    "RunLike": NO_PATHS,
    "StudyLike": NO_PATHS,
    "PathLike | pd.DataFrame": NO_PATHS,
    "str": [3, None, ["a"], Path("a"), np.zeros(2)],
    "bool": [1, "yes", None, []],
    "int": ["3", 2.0, True, [1], np.zeros(2)],
    "float": ["2", None, True, [1.0]],
    "Sequence[str]": [3, [3], {"a": 1}, [None]],
    "Sequence[int]": [3, ["3"], [1.5]],
    "Mapping[str, str]": [3, "TPU=gpu", [("a", "b")], {"a": 1}],
    "Callable": [3, "print", []],
}
# Values of the right kind that name nothing; `file` and `empty` are a file, and a folder that holds nothing.
NOTHING = {
    "run": ["nowhere", "file", "empty"],
    "path": ["nowhere", "file", "empty"],
    "study": ["nowhere", "file", "empty", {}, {"study": "a", "compare": []}],
    "target": ["nowhere", "file", "empty", {}],
    "images": ["nowhere", "file", "empty"],
    "report": ["nowhere", "file", "empty"],
    "scores": ["nowhere", "file", "empty"],
    "out": ["file"],
    "figures": ["file"],
    "tensorboard": ["file"],
    "device": ["gpu", ""],
    "runtime": ["tensorrt"],
    "launcher": ["lsf"],
    "configuration": ["nobody"],
    "fold": [0, 9, -1],
    "fit": ["nobody"],
    "formats": [["onx"], "onx"],
    "probabilities": ["int8"],
    "metric": ["dize"],
    "workers": [0, -1, 10**9],
    "port": [-1, 10**9],
    "examples": [-1, 10**9],
    "pixel_size": [0.0, -1.0, float("nan"), float("inf")],
    "hours": [0.0, -1.0, float("nan")],
    "seconds": [0.0, -1.0, float("nan"), 1e9],
    "caches": [["moon"], [], "moon"],
    "precisions": [["fp8"]],  # of none it is that of the study
    "batch_sizes": [[0], []],
    "overrides": [["train.epochs"], ["train.epocks=2"], "train.epochs=x"],
    "variants": [["quik"], "quik"],
    "options": [{"nobody": 3}, {"nobody": object()}],
    "labels": [{"nobody": 3}, {"masks": 3}, {"mask_values": np.zeros(2)}],
}
OTHER_PROGRAMS = re.compile(
    r"--(force-reinstall|raw|gpus|nv|head|qos|exclude|always|dirty|abbrev|query-gpu|request-timeout|help|version|model|threads|no-|pack-destination|ignore-scripts)"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return foldwise.run(STUDY, out=tmp_path_factory.mktemp("calls") / "run", launcher="inline", quiet=True)


@pytest.fixture
def good(run, tmp_path, monkeypatch):
    """Arguments that each function takes, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("hello\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "new").mkdir()
    Image.fromarray(np.full((32, 32), 9, np.uint8)).save(tmp_path / "new" / "a.png")
    text = {"text": "conv is best.", "scores": run, "out": "out"}
    return {"run": run, "path": run, "study": STUDY, "target": run, "images": "new", "report": run} | text


def called(function, name, value, good):
    """Call it with what it needs, and one argument that is wrong."""
    rows = inspect.signature(function).parameters.values()
    needed = {row.name: good[row.name] for row in rows if row.default is row.empty and row.name in good}
    kind = inspect.signature(function).parameters[name].kind
    if kind is inspect.Parameter.VAR_POSITIONAL:
        return function(value)
    stated = value if kind is inspect.Parameter.VAR_KEYWORD else {name: value}
    return function(**needed | stated)


def refused(function, name, value, good):
    """The message of the error, which is to say what, where or with what, and how to mend it."""
    with pytest.raises(foldwise.FoldwiseError) as error:
        called(function, name, value, good)
    text = str(error.value)
    assert not re.search(r"(?<![\w-])--[a-z]|foldwise [a-z]+ [\w/]", text), text
    assert error.value.cure or "→" in text or re.search(r"must (be|have)|allowed", text), text
    assert "Traceback" not in text
    assert "pydantic" not in text
    return text


def arguments():
    """Every argument of every public function."""
    for name, function in FUNCTIONS.items():
        for row in inspect.signature(function).parameters.values():
            yield name, row


def kind_of(row):
    words = str(row.annotation)
    return "Callable" if words.startswith("Callable") else words.removesuffix(" | None")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_is_checked(name):
    assert FUNCTIONS[name].__wrapped__, "@public is missing"
    for row in inspect.signature(FUNCTIONS[name]).parameters.values():
        assert row.kind is row.VAR_KEYWORD or kind_of(row) in calls.KINDS.keys() & WRONG.keys(), row


@pytest.mark.parametrize(("name", "argument"), [(name, row.name) for name, row in arguments()])
def test_an_argument_of_a_wrong_kind_is_refused(name, argument, good):
    function = FUNCTIONS[name]
    row = inspect.signature(function).parameters[argument]
    for value in WRONG.get(kind_of(row), []) if row.kind is not row.VAR_KEYWORD else []:
        if value is None and str(row.annotation).endswith("None"):
            continue
        text = refused(function, argument, value, good)
        assert f"{argument} of foldwise.{name}: must be" in text
        with pytest.raises(TypeError):  # as it is for who knows nothing of foldwise
            called(function, argument, value, good)


@pytest.mark.parametrize(
    ("name", "argument"), [(name, row.name) for name, row in arguments() if row.name in NOTHING]
)
def test_what_is_not_there_is_refused(name, argument, good):
    for value in NOTHING[argument]:
        if name == "init" and argument == "images" and value == "empty":
            good = good | {"out": "other.yaml"}
        if (name, argument) == ("init", "overrides"):
            good = good | {"images": "new"}
        refused(FUNCTIONS[name], argument, value, good)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_call_that_does_not_fit_says_what_the_function_takes(name):
    function = FUNCTIONS[name]
    rows = inspect.signature(function).parameters
    takes_more = any(row.kind is row.VAR_KEYWORD for row in rows.values())
    if not takes_more:
        with pytest.raises(foldwise.SpecError, match=f"foldwise.{name} has no argument 'trust_kode'"):
            function(trust_kode=True)
    if any(row.default is row.empty and row.kind is row.POSITIONAL_OR_KEYWORD for row in rows.values()):
        with pytest.raises(foldwise.SpecError, match=rf"missing .*\n.*Call foldwise\.{name}\("):
            function()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(5),
        np.zeros((2, 3, 4, 5)),
        np.zeros((0, 0)),
        np.zeros((4, 4, 7)),
        np.array([["a"]]),
        np.zeros((4, 4), object),
        np.zeros((4, 4), complex),
        np.full((32, 32), np.nan),
        "new/a.png",
        None,
        [np.zeros((4, 4)), "a.png"],
        [[1, 2], [3]],
    ],
)
def test_an_array_that_is_no_image_is_refused(run, array):
    with pytest.raises(foldwise.FoldwiseError) as error:
        run.load()(array)
    assert error.value.cure


def test_arrays_and_missing_folders_lead_where_they_belong(run, good):
    text = refused(foldwise.predict, "images", np.zeros((4, 4)), good)
    assert "Arrays go to a model: foldwise.load(run)(array)." in text
    text = refused(foldwise.evaluate, "images", "nowhere", good)
    assert re.search("the data folder .*nowhere does not exist\n  → Name a folder that is there.$", text)
    text = refused(foldwise.init, "images", "nowhere", good)
    assert re.search("the data folder .*nowhere does not exist\n  → Name a folder that is there.$", text)
    text = refused(foldwise.init, "overrides", "data.taks=x", good)
    assert text.startswith('overrides="data.taks=x": no key is called')


OPTIONS = [
    (name, option, row)
    for name, command in typer.main.get_command(cli.app).commands.items()
    if name in FUNCTIONS
    for row in command.params
    for option in (*row.opts, *row.secondary_opts)
    if option.startswith("--")
]


@pytest.mark.parametrize(("name", "option", "row"), OPTIONS, ids=[f"{n} {o}" for n, o, _ in OPTIONS])
def test_an_option_is_named_as_the_call_writes_it(name, option, row):
    rows = inspect.signature(FUNCTIONS[name]).parameters
    spelled = as_called(f"Say it with {option}.", name)
    if option not in calls._options()[name]:
        return  # of the shell only; `test_api` says why
    argument = re.fullmatch(r"Say it with (\w+)=(…|True|False)\.", spelled)
    if (name, option) == ("evaluate", "--set"):
        assert spelled == "Say it with a keyword."
        assert as_called("--set masks=labels", name) == 'masks="labels"'
        return
    assert argument, spelled
    assert argument[1] in rows or any(each.kind is each.VAR_KEYWORD for each in rows.values())
    assert (argument[2] != "…") == row.is_flag
    if not row.is_flag:
        assert as_called(f"{option} dice, or {option} 3", name) == f'{argument[1]}="dice", or {argument[1]}=3'
        assert as_called(f"{option} and", name) == f"{argument[1]}=… and"


@pytest.mark.parametrize(
    ("name", "text", "spelled"),
    [
        ("judge", "--score a --score 'b c'", 'score=["a", "b c"]'),
        ("judge", "Name it: --metric NAME.", "Name it: metric=NAME."),
        ("run", "--no-fetch", "fetch=False"),
        ("run", "--on ray", 'launcher="ray"'),
        ("run", "foldwise run STUDY --retry", "foldwise.run(STUDY, retry=True)"),
        ("run", "then: foldwise report runs/a", 'then: foldwise.report("runs/a")'),
        ("run", "then: foldwise report gel", 'then: foldwise.report("gel")'),
        ("run", "foldwise run goes on", "foldwise run goes on"),
        ("run", "foldwise work RUN", "foldwise work RUN"),
        ("judge", "foldwise judge FILE --out here", "foldwise judge FILE --out here"),
        ("run", "docker run --gpus all", "docker run --gpus all"),
        ("run", "with --local FOLDER.", "with --local FOLDER (of foldwise data get, at a shell)."),
    ],
)
def test_options_and_commands_in_sentences(name, text, spelled):
    assert as_called(text, name) == spelled


def literals():
    """Every text in the source that names an option, its parts that are filled in as NAME."""
    for path in sorted(Path(foldwise.__file__).parent.rglob("*.py")):
        if "commands" in path.parts or "launchers" in path.parts or path.name == "standalone.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                text = "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "NAME" for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            else:
                continue
            if " " in text.strip() and re.search(r"(?<![\w-])--[a-z]", text) and "\n" not in text:
                yield text


def test_no_message_in_the_source_keeps_an_option_of_the_shell():
    left = []
    for text in literals():
        spelled = as_called(text, "run")
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", spelled):
            ours = not OTHER_PROGRAMS.match(option)
            if ours and "foldwise" not in spelled and "sbatch" not in spelled:
                left.append(spelled)
        if re.search(r"\w=(and|or|where|in|is|out|to)\b", spelled):
            left.append(spelled)
    assert left == []
