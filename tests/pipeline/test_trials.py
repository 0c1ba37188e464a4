"""A configuration that was tried before, on the same images by the same program, is not tried again."""

import json
import subprocess
import sys

import pytest

from foldwise.learning.training.costs import Estimate
from foldwise.pipeline import preflight, trials
from foldwise.pipeline.preparing import prepare
from foldwise.pipeline.trials import EarlierTrials, Trial
from foldwise.runs.encoder_passes import advice_on_passes
from foldwise.study.reading import open_study

STUDY = """
study: again
data: {phantom: {kind: gels, images: 12, size: 32, difficulty: 0.3}, channels: gray}
compare: {model: [{conv: {width: 4}}, {resnet: {width: 4}}]}
train: {epochs: 1, batch_size: 4, MORE}
validate: {folds: 2}
"""
TRIAL = Trial(Estimate(1.5, 0.0, 20.0, 1234), ("a note",))


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))

    def prepared(more="device: auto", **changes):
        text = STUDY.replace("MORE", more)
        for before, after in changes.values():
            text = text.replace(before, after)
        (tmp_path / "study.yaml").write_text(text)
        return prepare(open_study(tmp_path / "study.yaml"))

    return prepared


def test_a_second_check_tries_nothing_foretells_the_same_and_needs_no_torch(study, tmp_path, monkeypatch):
    first = preflight.preflight(study())
    tried = []
    monkeypatch.setattr(preflight, "_try", lambda *arguments: tried.append(arguments))
    again = preflight.preflight(study())
    assert not tried
    assert again == first
    checked(tmp_path, without="torch")


def checked(tmp_path, *, without):
    """Check the study in a process of its own, which ends without this module."""
    code = (
        "import sys; from foldwise.interface.cli import main\n"
        "try: main()\n"
        f"except SystemExit as end: sys.exit({without!r} in sys.modules or end.code)"
    )
    command = [sys.executable, "-c", code, "check", str(tmp_path / "study.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "2 configurations" in ended.stdout


def test_a_first_check_needs_no_compiler_of_torch(study, tmp_path):
    study(models=("{resnet: {width: 4}}", "'timm:test_resnet'"))
    checked(tmp_path, without="torch._dynamo")


def test_own_code_that_compiles_has_all_of_the_compiler(study, tmp_path):
    (tmp_path / "compiles_itself.py").write_text(
        "import torch\n"
        "@torch.compiler.disable\n"
        "def marked(x): return x\n"
        "def net(in_channels, num_classes):\n"
        "    import torch._dynamo\n"
        "    assert torch._dynamo.__file__ and torch._dynamo.is_compiling\n"
        "    assert torch._dynamo.utils.__file__ and hasattr(marked, '_torchdynamo_disable')\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32 * 32 * in_channels, num_classes))\n"
    )
    study(models=("{resnet: {width: 4}}", "'compiles_itself:net'"))
    code = "import sys; sys.path.insert(0, ''); from foldwise.interface.cli import main; main()"
    command = [sys.executable, "-c", code, "check", "study.yaml"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "compiles_itself:net" in ended.stdout


FROZEN = "freeze: encoder, augment: none"


@pytest.mark.parametrize(
    ("more", "folds", "passes"),
    [
        (FROZEN, "folds: 2", 2),
        (FROZEN, "folds: 3, repeats: 2", 6),
        (FROZEN.replace("none", "flips"), "folds: 2, repeats: 2", 4),
        (f"{FROZEN}, normalize: train", "folds: 2", 0),
        (f"{FROZEN}, normalize: image", "folds: 2", 0),
        (f"{FROZEN}, normalize: half", "folds: 2", 0),
        ("augment: none", "folds: 2", 0),
    ],
)
def test_passes_of_each_fold_are_advised_against_where_nobody_asked_for_them(study, more, folds, passes):
    plan = study(more, folds=("folds: 2", folds), epochs=("epochs: 1", "epochs: 8")).plan
    advice = advice_on_passes(plan.items)
    assert len(advice) == bool(passes)
    assert all(
        f"(conv (width 4), resnet (width 4)) once for each of {passes} folds" in line for line in advice
    )


def test_only_what_is_new_is_tried(study, monkeypatch):
    preflight.preflight(study())
    tried = []
    monkeypatch.setattr(
        preflight, "_try", lambda training, *rest: tried.append(training.model.options) or TRIAL
    )
    costs = preflight.preflight(study(wider=("{resnet: {width: 4}}", "{resnet: {width: 8}}")))
    assert tried == [{"width": 8}]
    assert "a note" in costs.notes
    assert TRIAL.estimate in costs.of.values()


@pytest.mark.parametrize(
    "changes",
    [
        {"images": ("images: 12", "images: 14")},
        {"folds": ("folds: 2", "folds: 3")},
        {"seed": ("study: again", "study: again\nseed: 7")},
        {"threads": ("study: again", "study: again\nthreads: 2")},
        {"batch": ("batch_size: 4", "batch_size: 3")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_a_trial_follows_from_is_tried_again(study, changes):
    prepared = study()
    training = prepared.configurations[0].training
    EarlierTrials.of(prepared).keep(training, TRIAL)
    assert EarlierTrials.of(prepared).read(training) == TRIAL
    changed = study(**changes)
    assert EarlierTrials.of(changed).read(changed.configurations[0].training) is None


@pytest.mark.parametrize("what", ["_program", "_machine"])
def test_another_program_or_machine_tries_again(study, monkeypatch, what):
    prepared = study()
    training = prepared.configurations[0].training
    EarlierTrials.of(prepared).keep(training, TRIAL)
    monkeypatch.setattr(trials, what, lambda: ["another"])
    assert EarlierTrials.of(prepared).read(training) is None


def test_the_program_is_all_of_its_source(monkeypatch, tmp_path):
    (tmp_path / "learning").mkdir()
    for name in ("__init__.py", "learning/train.py"):
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(trials, "SOURCE", tmp_path)
    trials._program.cache_clear()
    before = trials._program()
    (tmp_path / "learning" / "train.py").write_text("x = 22\n")
    trials._program.cache_clear()
    assert [name for name, *_ in before] == ["__init__.py", "learning/train.py"]
    assert trials._program() != before
    trials._program.cache_clear()


@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: b"",
        lambda stored: b"[1]",
        lambda stored: b"\xff\xfe",
        lambda stored: json.dumps(stored | {"estimate": {"seconds_per_fit": 1.0}}).encode(),
        lambda stored: json.dumps(stored | {"estimate": stored["estimate"] | {"memory_mb": "9"}}).encode(),
        lambda stored: json.dumps({"estimate": stored["estimate"]}).encode(),
    ],
)
def test_a_damaged_trial_is_tried_again(study, tmp_path, damage):
    prepared = study()
    training = prepared.configurations[0].training
    EarlierTrials.of(prepared).keep(training, TRIAL)
    (path,) = (tmp_path / "cache" / "trials").iterdir()
    path.write_bytes(damage(json.loads(path.read_bytes())))
    assert EarlierTrials.of(prepared).read(training) is None


def test_downloaded_weights_are_looked_for_every_time(study, tmp_path):
    prepared = study(more="weights: imagenet")
    training = prepared.configurations[0].training
    assert training.weights == "imagenet"
    EarlierTrials.of(prepared).keep(training, TRIAL)
    assert not (tmp_path / "cache" / "trials").exists()


def test_a_cache_that_cannot_be_written_keeps_no_trial(study, tmp_path):
    prepared = study()
    (tmp_path / "cache" / "trials").write_text("a file where the folder would be")
    EarlierTrials.of(prepared).keep(prepared.configurations[0].training, TRIAL)
    assert EarlierTrials.of(prepared).read(prepared.configurations[0].training) is None
