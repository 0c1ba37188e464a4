"""Code that a folder names is run only where the user says so; a study that the user hands over runs its own."""

import html
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typed import foldwise

from foldwise.data.phantoms.catalogue import make
from foldwise.errors import RunError
from foldwise.interface import api, models, working
from foldwise.reporting.report_data import OwnFile, gather
from foldwise.reporting.sections.verdict.methods import reproduce_section
from foldwise.runs.folder import RunFolder
from foldwise.sealed import seal
from foldwise.study.own_code import content_of

NET = """
import pathlib, torch
pathlib.Path(__file__).with_name("was_run").touch()
def net(in_channels, num_classes):
    return torch.nn.Conv2d(in_channels, num_classes, 3, padding=1)
"""
STUDY = """
study: own
data: {phantom: {kind: bacteria, images: 12, size: 32, difficulty: 0.3}}
compare: {model: [MODEL, {conv: {width: 2, depth: 1}}]}
train: {epochs: 1, batch_size: 4}
validate: {folds: 2}
"""
OUTSIDE = "code that did not come with foldwise is named, and was not run: mine:net would run"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with own code, where it was made."""
    root = tmp_path_factory.mktemp("own")
    (root / "mine.py").write_text(NET)
    (root / "study.yaml").write_text(STUDY.replace("MODEL", '"mine:net"'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLDWISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        checked = foldwise("check", "study.yaml", cwd=root).out
        assert "own code mine: mine.py counts, so that an edit trains anew; not followed" not in checked
        assert "own code mine: mine.py counts, so that an edit trains anew" in checked
        foldwise("run", "study.yaml", "--launcher", "inline", cwd=root)
    assert "<dt>own code</dt><dd>mine: mine.py counts, so that" in (root / "runs/own/report.html").read_text()
    make("bacteria", root / "new", images=3, size=32, difficulty=0.3, seed=9)
    sys.modules.pop("mine")
    return root


@pytest.fixture
def foreign(made, tmp_path):
    """The same folder as somebody else gets it, with its code beside it; its winner is that of the own network."""
    for name in ("runs", "mine.py", "new"):
        (shutil.copytree if (made / name).is_dir() else shutil.copyfile)(made / name, tmp_path / name)
    folder = RunFolder(tmp_path / "runs/own")
    own = next(i for i in folder.load_plan().items if i.settings["training"]["model"]["name"] == "mine:net")
    record = json.loads((folder.winner / "model.json").read_text())
    for member in record["members"]:
        member["model"]["training"]["model"] = own.settings["training"]["model"]
    (folder.winner / "model.json").write_text(json.dumps(record))
    sys.modules.pop("mine", None)
    yield tmp_path, own
    sys.modules.pop("mine", None)


def sealed_again(record):
    """A record with the digests of what lies beside it now, as whoever forges a folder will write it."""
    value = json.loads(record.read_bytes())
    value = {key: part for key, part in value.items() if key not in ("digest", "files")}
    seal(record, value, (path for path in record.parent.iterdir() if path != record))


def commands(own):
    return {
        "work": ("work", "runs/own"),
        "by hand": ("work", "runs/own", own.id),
        "predict": ("predict", "runs/own", "new/images", "--out", "out"),
        "model": ("predict", "runs/own/winner", "new/images", "--out", "out"),
        "export": ("export", "runs/own", "--format", "torchscript", "--out", "out"),
        "look": ("look", "runs/own", "--fit", own.id, "--epochs", "2", "--points", "5", "--directions", "1", "--images", "2"),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["work", "by hand", "predict", "model", "export", "look"])
def test_own_code_of_a_folder_is_run_only_where_the_user_says_so(foreign, name):
    root, own = foreign
    if name in ("work", "by hand"):
        shutil.rmtree(root / "runs/own/done" / own.id)
    command = commands(own)[name]
    refused = foldwise(*command, cwd=root, code=5).errors
    assert f"{OUTSIDE} {root / 'mine.py'}" in refused
    assert "add --trust-code." in refused
    assert not (root / "was_run").exists()
    trusted = (
        None if name in ("predict", "model", "export") else 0
    )  # the weights are those of the other network
    foldwise(*command, "--trust-code", cwd=root, code=5 if trusted is None else 0)
    assert (root / "was_run").exists()


def test_predictions_need_no_loss(foreign):
    root, _ = foreign
    path = root / "runs/own/winner/model.json"
    record = json.loads(path.read_text())
    for member in record["members"]:
        member["model"]["training"] |= {"model": {"name": "conv", "options": {"width": 2, "depth": 1}}}
        member["model"]["training"] |= {"loss": {"name": "mine:loss", "options": {}}}
    path.write_text(json.dumps(record))
    foldwise("predict", "runs/own", "new/images", "--out", "out", cwd=root, code=None)
    assert not (root / "was_run").exists()


def test_judging_and_reporting_run_no_code(foreign):
    root, _ = foreign
    for command in (
        ("report", "runs/own", "--figures", "figures"),
        ("status", "runs/own"),
        ("claims", "runs/own", "text.md"),
    ):
        (root / "text.md").write_text("All is well.")
        foldwise(*command, cwd=root)
    assert not (root / "was_run").exists()


def test_the_python_api_says_it_by_an_argument(foreign, monkeypatch):
    root, own = foreign
    monkeypatch.chdir(root)
    with pytest.raises(RunError, match=OUTSIDE):
        models.predict("runs/own", "new/images", out="out")
    with pytest.raises(RunError, match=OUTSIDE):
        api.open("runs/own").predict("new/images", "out")
    with pytest.raises(RunError, match=OUTSIDE):
        working.look("runs/own", fit=own.id)
    assert not (root / "was_run").exists()
    with pytest.raises(RunError, match="do not fit"):
        api.open("runs/own", trust_code=True).predict("new/images", "out")
    assert (root / "was_run").exists()


def test_a_study_without_code_runs_none_that_a_folder_slipped_in(tmp_path):
    """Whatever lies in its run folder: the models of fits that are done are named there, and a check of them loads these."""
    study = (
        STUDY.replace("MODEL", "{conv: {width: 3, depth: 1}}") + "robustness: {blur_px: [0, 1], noise: [0]}\n"
    )
    (tmp_path / "study.yaml").write_text(study)
    (tmp_path / "mine.py").write_text(NET)
    foldwise("run", "study.yaml", "--launcher", "inline", cwd=tmp_path)
    folder = RunFolder(tmp_path / "runs/own")
    for item in folder.load_plan().items:
        if item.kind == "robustness":
            shutil.rmtree(folder.done(item.id))
        if item.kind == "fit":
            path = folder.done(item.id) / "model.json"
            record = json.loads(path.read_text())
            record["training"]["model"]["name"] = "mine:net"
            path.write_text(json.dumps(record))
            sealed_again(folder.done(item.id) / "result.json")
    ended = foldwise("run", "study.yaml", "--launcher", "inline", cwd=tmp_path, code=5)
    assert "mine:net would run" in ended.errors
    assert not (tmp_path / "was_run").exists()


def test_nothing_in_the_current_folder_passes_for_a_library(tmp_path):
    for library in ("pandas", "jinja2", "sklearn", "torch"):
        (tmp_path / f"{library}.py").write_text("raise SystemExit('this was run')")
    rows = "".join(f"{case},{0.5 + case / 100},{0.6 + case % 3 / 50}\n" for case in range(12))
    (tmp_path / "scores.csv").write_text("case,a_dice,b_dice\n" + rows)
    command = [sys.executable, "-m", "foldwise", "judge", "scores.csv", "--out", "judged"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert "this was run" not in ended.stdout + ended.stderr
    assert (tmp_path / "judged").is_dir(), ended.stderr


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("plan.json", lambda v: v["items"][0].update(id="../../etc"), "the item '../../etc' is no name that foldwise gives"),
        ("plan.json", lambda v: v["items"][0].update(needs=["/etc"]), "the item '/etc' is no name"),
        ("plan.json", lambda v: v["configurations"][0].update(id="a\0b"), r"the configuration 'a\x00b' is no name"),
        ("winner/model.json", lambda v: v.update(files={"../../secret": [1, "0"]}), "states what '../../secret' is, which is no file beside it"),
        ("winner/model.json", lambda v: v["members"][0].update(weights=["../../secret.safetensors"]), "the .safetensors file '../../secret.safetensors' is no name"),
        ("winner/model.json", lambda v: v["members"][0].update(weights=["NUL.safetensors"]), "the .safetensors file 'NUL.safetensors' is no name"),
    ],
)  # fmt: skip
def test_a_name_in_a_file_of_a_folder_is_never_a_path(foreign, file, change, message):
    root, _ = foreign
    path = root / "runs/own" / file
    value = json.loads(path.read_text())
    value.pop("digest", None)  # whoever changes a file leaves it out, as older versions did
    change(value)
    path.write_text(json.dumps(value))
    command = (
        ("predict", "runs/own", "new/images", "--out", "out", "--trust-code")
        if "winner" in file
        else ("report", "runs/own")
    )
    ended = foldwise(*command, cwd=root, code=5)
    assert message in ended.errors


@pytest.mark.parametrize("command", ["report", "status", "predict", "look", "run", "claims", "judge"])
def test_links_are_not_followed_out_of_a_folder(foreign, made, command):
    root, own = foreign
    secret = root / "secret"
    secret.write_text("a key")
    weights = root / "runs/own/done" / own.id / "weights.safetensors"
    weights.unlink()
    weights.symlink_to(os.path.relpath(secret, weights.parent))
    words = {
        "predict": ("predict", "runs/own", "new/images", "--out", "out"),
        "run": ("run", "study.yaml"),
        "claims": ("claims", "runs/own", "text.md"),
    }
    shutil.copyfile(made / "study.yaml", root / "study.yaml")
    (root / "text.md").write_text("All is well.")
    ended = foldwise(*words.get(command, (command, "runs/own")), cwd=root, code=5)
    assert "weights.safetensors is a link that leads out of the folder" in ended.errors
    # A worker looks into an item when it first reads its result, which it does only of what others need.
    foldwise("work", "runs/own", cwd=root, code=5)
    assert not list(Path(root / "runs/own/winner").rglob("*key*"))


@pytest.fixture
def handed_over(made, tmp_path, monkeypatch):
    """The winner of a study of own code alone, as somebody else gets it, without the file of its author."""
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "author").mkdir()
    (tmp_path / "author/mine.py").write_text(NET)
    (tmp_path / "author/study.yaml").write_text(
        STUDY.replace(", {conv: {width: 2, depth: 1}}", "").replace("MODEL", '"mine:net"')
    )
    foldwise("run", "study.yaml", "--launcher", "inline", cwd=tmp_path / "author")
    shutil.copytree(tmp_path / "author/runs/own/winner", tmp_path / "model")
    shutil.copytree(made / "new", tmp_path / "new")
    sys.modules.pop("mine", None)
    yield tmp_path
    sys.modules.pop("mine", None)


def test_the_report_lists_the_own_code_that_travels_and_shows_it_as_text(handed_over):
    root = handed_over / "author"
    page = (root / "runs/own/report.html").read_text()
    shown = html.unescape(
        page.partition('aria-label="winner/code/mine.py"><code>')[2].partition("</code>")[0]
    )
    assert shown == NET
    lines = len(NET.splitlines())
    assert f'<summary>winner/code/mine.py <span class="muted">({lines} lines)</span></summary>' in page
    assert content_of(root / "runs/own/winner/code/mine.py") in page
    folder = RunFolder.open(root / "runs/own")
    (folder.winner / "code/more.py").write_text("")  # which nobody copied
    assert [file.path for file in gather(folder).own_code] == ["winner/code/mine.py"]
    text = "a = 1  # \u202e<script>\x00\r\n"
    data = replace(gather(folder), own_code=[OwnFile("winner/code/x.py", "sha256:0", text)])
    (file,) = reproduce_section(data)["reproduce"]["own_code"]
    assert file["text"] == "a = 1  # \\u202e<script>\\u0000\n"


def test_own_code_travels_with_the_winner_and_is_run_only_where_trusted(handed_over):
    copy = handed_over / "model/code/mine.py"
    assert copy.read_text() == NET
    command = ("predict", "model", "new/images", "--out", "out")
    refused = foldwise(*command, cwd=handed_over, code=5).errors
    assert f"{OUTSIDE} {copy}" in refused
    assert not copy.with_name("was_run").exists()
    # Another file of that name is not what the model was trained with.
    (handed_over / "mine.py").write_text("raise RuntimeError('edited since')")
    foldwise(*command, "--trust-code", cwd=handed_over)
    assert copy.with_name("was_run").exists()
    assert sorted(path.name for path in copy.parent.iterdir()) == [
        "mine.py",
        "was_run",
    ]  # no compiled form of it


def test_own_code_that_was_changed_on_its_way_is_not_run(handed_over):
    copy = handed_over / "model/code/mine.py"
    copy.write_text(NET + "#")
    command = ("predict", "model", "new/images", "--out", "out", "--trust-code")
    assert "is not what was copied when it was made" in foldwise(*command, cwd=handed_over, code=5).errors
    copy.write_text(NET)
    copy.with_name("numpy.py").write_text("")
    assert "is not what was copied when it was made" in foldwise(*command, cwd=handed_over, code=5).errors
    record = json.loads((handed_over / "model/model.json").read_text())
    record["code"]["numpy.py"] = content_of(copy.with_name("numpy.py"))
    (handed_over / "model/model.json").write_text(json.dumps(record))
    seal((handed_over / "model/model.json"), {k: v for k, v in record.items() if k not in ("digest", "files")}, (handed_over / "model").glob("*.safetensors"))  # fmt: skip
    assert "would take the place of the module 'numpy'" in foldwise(*command, cwd=handed_over, code=5).errors
    assert not copy.with_name("was_run").exists()
