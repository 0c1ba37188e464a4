"""`foldwise look`: what it refuses before anything is trained, what it leaves, and that nothing is done twice."""

import shutil
import sys

import pytest

from foldwise.errors import ItemsFailed
from foldwise.interface import cli, working
from foldwise.pipeline import by_hand, pipeline, preparing
from foldwise.runs.auxiliary import read_auxiliary
from foldwise.runs.folder import RunFolder, read_json
from foldwise.study.reading import open_study

STUDY = """
study: tiny
data:
  phantom: {kind: gels, images: 24, size: 32, difficulty: 0.3}
train: {model: {conv: {width: 4}}, epochs: 2}
validate: {folds: 2}
look: {points: 5, directions: 1, images: 4, epochs: 2}
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run of two fits, done and judged, with the look that its study asks for still to do."""
    root = tmp_path_factory.mktemp("done")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLDWISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        (root / "study.yaml").write_text(STUDY, encoding="utf-8")
        folder = preparing.lay_out(preparing.prepare(open_study(root / "study.yaml")), root / "run")
        for item in folder.load_plan().items:
            if item.kind == "fit":
                by_hand.do_item(folder, item)
        pipeline.finish(folder)
    return folder


@pytest.fixture
def run(done, tmp_path):
    """A copy of it."""
    shutil.copytree(done.root, tmp_path / "run")
    return RunFolder(tmp_path / "run")


@pytest.fixture
def said(monkeypatch, capsys):
    """Runs the command: (exit code, output, standard error)."""

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["foldwise", "look", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return command


def looks(folder):
    return [one for one in read_auxiliary(folder, folder.load_plan()) if one.kind == "landscape" and one.done]


def test_the_winner_is_looked_into_and_the_same_look_is_not_done_twice(run, said, monkeypatch):
    fits = [item for item in run.load_plan().items if item.kind == "fit"]
    code, out, error = said(run.root)
    assert (code, error) == (0, "")
    (look,) = looks(run)
    assert look.item in {item.id for item in run.load_plan().items}  # what the study asks for, word for word
    assert look.result["fit"] == fits[0].id
    assert {path.name for path in look.path.iterdir()} == {
        "result.json",
        "surfaces.npz",
        "layers.npz",
        "attention.npz",
    }
    assert "Trained again to the same weights, bit for bit (2 epochs)." in out
    assert "4 images of the training part; cross_entropy, focal, 1 - balanced accuracy" in out
    assert str(run.report) in out
    monkeypatch.setattr(by_hand, "do_item", lambda *_, **__: pytest.fail("it was done again"))
    code, out, _ = said(run.root)
    assert code == 0
    assert "It was done already." in out


def test_a_look_that_no_study_asks_for_is_kept_beside_the_plan_and_reported(run, said):
    fit = [item for item in run.load_plan().items if item.kind == "fit"][1]
    code, out, error = said(
        run.root, "--fit", fit.id[:10], "--losses", "{focal: {gamma: 3}}", "--epochs", "1,2", "--images", 3
    )
    assert (code, error) == (0, "")
    (look,) = looks(run)
    assert look.item not in {item.id for item in run.load_plan().items}
    assert look.settings["configuration"] == fit.settings["configuration"]
    assert look.settings["landscape"]["fit"] == fit.id
    assert [one["name"] for one in look.result["criteria"]] == ["focal (gamma 3)", "1 - balanced_accuracy"]
    assert look.result["trained_with"] is None
    assert (look.result["images"], look.settings["landscape"]["points"]) == (3, 5)
    assert [one["epoch"] for one in look.result["curvature"]] == [0, 1, 2]
    assert run.report.is_file()
    assert "look into conv" in out.lower()


def test_it_is_not_reported_once_its_fit_is_no_longer_planned(run, said):
    said(run.root, "--points", 7)
    assert len(looks(run)) == 1
    plan = run.load_plan()
    smaller = plan.__class__(plan.items[1:2], plan.configurations)
    assert [one for one in read_auxiliary(run, smaller) if one.kind == "landscape"] == []


def test_a_look_that_failed_is_tried_again(run, monkeypatch):
    from foldwise.insight import landscape_item as look

    with monkeypatch.context() as patch:
        patch.setattr(look, "curvature", lambda *_, **__: 1 / 0)
        with pytest.raises(ItemsFailed, match="division by zero"):
            working.look(run.root)
    assert looks(run) == []
    told = []
    folder = working.look(run.root, progress=told.append)
    assert read_json(folder / "result.json")["status"] == "done"
    assert told[0] == {"doing": "epoch 1 of 2 trained again"}


def test_without_a_winner_a_fit_must_be_named(run, said):
    run.verdict.unlink()
    code, _, error = said(run.root)
    assert code == 5
    assert (
        f"no winner yet, so no fit to look into is known\n  → Finish the run and foldwise report {run.root}"
        in error
    )


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ("--fit fit-nothing", 5, "no fit of this run begins with 'fit-nothing'\n  → Name one such as: fit-"),
        ("--fit fit-", 5, "2 fits begin with 'fit-'"),
        ("--losses dyce", 2, "look.losses: no loss is called 'dyce'\n  → Did you mean 'dice'?"),
        ("--losses dice", 2, "the loss 'dice' does not fit binary classification"),
        ("--losses [", 2, "losses"),
        ("--epochs 1,9", 2, "look: epochs names 9, and the training ended with epoch 2"),
        ("--epochs many", 2, "--epochs: must be a whole number, or several such as 1,5,20, got 'many'"),
        ("--epochs 1,x", 2, "--epochs: must be whole numbers, got '1,x'"),
        ("--points 8", 2, "look needs an odd number of points, so that one is the network itself, got 8"),
        ("--points 3", 2, "look.points must be at least 5, got 3"),
        ("--directions 0", 2, "look.directions must be at least 1, got 0"),
        ("--images few", 2, "--images: must be a whole number or auto, got 'few'"),
        ("--device gpu", 2, "Write cuda for an NVIDIA GPU"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_before_training(done, said, monkeypatch, options, code, words):
    monkeypatch.setattr(by_hand, "do_item", lambda *_, **__: pytest.fail("it began"))
    ended, _, error = said(done.root, *options.split())
    assert ended == code, error
    assert words in error
    assert "Traceback" not in error


def test_a_fit_that_failed_cannot_be_looked_into(run, said):
    fit = next(item for item in run.load_plan().items if item.kind == "fit")
    path = run.done(fit.id) / "result.json"
    path.write_text('{"status": "failed", "error": {"message": "no"}}', encoding="utf-8")
    code, _, error = said(run.root, "--fit", fit.id)
    assert code == 5
    assert "is not done, so there is no training to look into" in error


def test_a_study_that_asks_for_losses_that_do_not_fit_is_refused_by_the_check(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(
        STUDY.replace("epochs: 2}\n", "epochs: 2}\n", 1).replace(
            "{points: 5,", "{losses: [dice], points: 5,"
        ),
        encoding="utf-8",
    )
    from foldwise.errors import SpecError
    from foldwise.pipeline.preflight import preflight

    with pytest.raises(
        SpecError, match=r"study\.yaml:7:\d+: the loss 'dice' does not fit binary classification"
    ):
        preflight(preparing.prepare(open_study(path)))


def test_the_check_foretells_what_looks_take(tmp_path):
    from foldwise.pipeline.preflight import preflight

    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    prepared = preparing.prepare(open_study(tmp_path / "study.yaml"))
    costs = preflight(prepared)
    alone = prepared.plan.__class__(
        tuple(i for i in prepared.plan.items if i.kind == "fit"), prepared.plan.configurations
    )
    assert costs.seconds(prepared.plan) > costs.seconds(alone)
