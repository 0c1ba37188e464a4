"""`foldwise evaluate`: a finished run on labelled images elsewhere gives what the same set gives as `data.external`."""

import csv
import json
import shutil
import sys
from pathlib import Path

import given_splits as sets
import numpy as np
import pytest
from PIL import Image

import foldwise
from foldwise.data.novelty import NONE, TrainingImages
from foldwise.data.phantoms.catalogue import make
from foldwise.errors import DataError, RunError, SpecError
from foldwise.interface import cli
from foldwise.learning.checkpoints.winner import why_unknown
from foldwise.learning.predict import predict_images
from foldwise.learning.prediction_files import OTHER_PIXELS
from foldwise.pipeline import evaluating as module
from foldwise.pipeline.evaluating import UNCHECKED, evaluate
from foldwise.sealed import read_table

TRAIN = {"threads": 1, "train": {"epochs": 1, "batch_size": 4}, "validate": {"folds": 2}}
MODELS = {
    "labels": {"model": [{"conv": {"width": 2, "depth": 1}}, {"conv": {"width": 4, "depth": 1}}]},
    "masks": {"model": [{"unet": {"width": 2, "depth": 1}}, {"unet": {"width": 4, "depth": 1}}]},
}


@pytest.fixture(scope="module", params=list(MODELS))
def stated(request, tmp_path_factory):
    """A folder with a run whose study states an external set, and that set in `theirs`."""
    root, kind = tmp_path_factory.mktemp(f"stated-{request.param}"), request.param
    if kind == "labels":
        sets.listed(root / "ours", [""] * 16)
        sets.listed(root / "theirs", [""] * 12, seed=5)
    else:
        make("nuclei", root / "ours", images=12, size=32, difficulty=0.2, seed=0)
        make("nuclei", root / "theirs", images=8, size=32, difficulty=0.2, seed=5)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FOLDWISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        patched.chdir(root)
        study = {
            "study": kind,
            "data": {"path": "ours", "external": "theirs"},
            "compare": MODELS[kind],
            **TRAIN,
        }
        return root, foldwise.run(study, out=root / "run", launcher="inline", device="cpu", quiet=True)


def test_an_evaluation_is_the_external_set_of_the_study(stated, tmp_path):
    root, run = stated
    given = run.evaluate(root / "theirs", tmp_path / "out", device="cpu")
    wanted = run.verdict.external
    assert given.section == wanted
    assert given.notes == ()
    written = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert written["sentence"] == wanted.sentence
    page = given.page.read_text()
    assert wanted.sentence in page
    assert "The worst images" in page
    with (tmp_path / "out/images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores = [float(row["score"]) for row in rows]
    assert len(rows) == wanted.num_images
    assert scores == sorted(scores)
    assert all(0 <= score <= 1 for score in scores)
    if "dice_img_macro" in wanted.metrics:
        assert np.mean(scores) == pytest.approx(wanted.metrics["dice_img_macro"].estimate, abs=0.05)


def test_any_configuration_is_evaluated(stated, tmp_path):
    root, run = stated
    other = next(row for row in run.verdict.configurations if row.id != run.verdict.answer.configuration)
    given = run.evaluate(root / "theirs", tmp_path / "out", configuration=other.name, device="cpu")
    assert given.section.configuration == other.id
    assert other.name in given.section.sentence


def test_images_that_were_trained_on_are_refused(stated, tmp_path):
    root, run = stated
    with pytest.raises(DataError, match="in the study as well"):
        run.evaluate(root / "ours", tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_without_the_images_of_the_study_it_says_what_was_not_checked(stated, tmp_path, monkeypatch):
    root, run = stated
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    (root / "ours").rename(root / "away")
    try:
        given = run.evaluate(root / "theirs", tmp_path / "out", device="cpu")
    finally:
        (root / "away").rename(root / "ours")
    assert given.notes == (UNCHECKED,)
    assert UNCHECKED in given.page.read_text()
    for name, wanted in run.verdict.external.metrics.items():
        assert given.section.metrics[name].estimate == pytest.approx(wanted.estimate, abs=1e-6)


def test_what_cannot_be_is_refused(stated, tmp_path):
    root, run = stated
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(SpecError, match="no evaluation, and would be lost"):
        run.evaluate(root / "theirs", tmp_path / "mine")
    with pytest.raises(SpecError, match="no setting of labelled images is called 'mask'"):
        run.evaluate(root / "theirs", tmp_path / "out", mask="labels")
    with pytest.raises(RunError, match="handed over"):
        evaluate(run.folder.winner, root / "theirs", tmp_path / "out")


def test_the_command_says_the_score_and_where_the_page_is(stated, tmp_path, monkeypatch, capsys):
    root, run = stated
    shutil.copytree(root / "theirs", tmp_path / "hospital b")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["foldwise", "evaluate", str(run.folder.root), "hospital b", "--device", "cpu"]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0, said
    assert run.verdict.external.sentence in said
    assert "evaluation: run-on-hospital b/evaluation.html" in said


def test_pixels_of_another_size_are_said_as_predict_says_it(stated, tmp_path, monkeypatch):
    """Of some of the images; those of the study are 0.5 µm, as the model remembers."""
    root, run = stated
    theirs = shutil.copytree(root / "theirs", tmp_path / "theirs")
    model = shutil.copytree(run.folder.winner, tmp_path / "winner")
    record = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(record | {"pixel_um": [0.5, 0.5]}))
    monkeypatch.setattr(module, "model_of", lambda *_: model)
    files = sorted(path for path in theirs.rglob("*.png") if "mask" not in path.parent.name)
    for number, file in enumerate(files[:3]):
        with Image.open(file) as image:
            image.load()
        image.save(file, dpi=(25400 / (0.5 if number == 2 else 0.25),) * 2)
    given = run.evaluate(theirs, tmp_path / "out", device="cpu")
    number = len(run.verdict.external.metrics) and run.verdict.external.num_images
    assert given.notes[0].startswith(
        f"2 of {number} images have pixels of another size than the training images"
    )
    rows = read_table(tmp_path / "out/images.csv")
    warned = {row["image"] for row in rows if OTHER_PIXELS in row["warning"]}
    assert {Path(name).stem for name in warned} == {file.stem for file in files[:2]}
    assert OTHER_PIXELS in given.page.read_text()
    images = tmp_path / "images"
    images.mkdir()
    for file in files[:3]:
        shutil.copy(file, images)
    said = []
    predict_images(model, images, tmp_path / "predicted", device="cpu", warn=said.append)
    assert [each for each in said if "pixels of" in each] == [
        given.notes[0].replace(f"of {number} ", "of 3 ")
    ]


def test_each_step_of_an_evaluation_is_said(stated, tmp_path):
    root, run = stated
    seen = []

    class Watching:
        def say(self, what):
            seen.append(what)

        def show(self, done, total):
            seen.append((done, total))

    evaluate(run.folder.root, root / "theirs", tmp_path / "out", device="cpu", watch=Watching())
    steps = [each for each in seen if isinstance(each, str)]
    assert steps == [
        "Reading the images",
        "Scoring images",
        "Comparing the images with those of the training",
    ]
    total = run.verdict.external.num_images
    assert (0, total) in seen
    assert (total - 1, total) in seen


def test_where_nobody_knows_what_is_unlike_it_is_said_why():
    few = TrainingImages(np.zeros((9, 4)), np.arange(9))
    assert why_unknown(TrainingImages(np.zeros((10, 4)), np.arange(10))) == []
    assert why_unknown(few) == [
        "Whether an image is unlike the training images is not known, and tables have no unlike_training_p: 9 groups of them "
        "(or images, where none are grouped) are too few to say what is usual: at least 10."
    ]
    assert "foldwise report RUN" in why_unknown(NONE)[0]
