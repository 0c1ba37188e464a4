"""A run put to use: any configuration and fold of it predicts, files and arrays alike, each with what it reached."""

import csv
import json
import shutil
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

import foldwise
from foldwise.data.folds.splits import read_splits
from foldwise.errors import DataError, SpecError
from foldwise.interface import cli
from foldwise.pipeline import trying

STUDY = {
    "threads": 1,
    "compare": {
        "model": [{"conv": {"width": 4, "depth": 1}}, {"resnet": {"width": 4, "stages": 1, "blocks": 1}}]
    },
    "train": {"epochs": 1, "batch_size": 4},
    "validate": {"folds": 2},
}
STUDIES = {
    "masks": STUDY
    | {"study": "masks", "data": {"phantom": {"kind": "nuclei", "images": 12, "size": 32}}}
    | {"compare": {"model": [{"unet": {"width": 2, "depth": 1}}, {"unet": {"width": 4, "depth": 1}}]}},
    "labels": STUDY
    | {"study": "labels", "data": {"phantom": {"kind": "gels", "images": 16, "size": 32}, "size": 24}},
}


@pytest.fixture(scope="module", params=list(STUDIES))
def run(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("used")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FOLDWISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        patched.chdir(root)
        return foldwise.run(
            STUDIES[request.param], out=root / "run", launcher="inline", device="cpu", quiet=True
        )


@pytest.fixture(scope="module")
def images(run, tmp_path_factory):
    """New images as arrays and as files, of three channels or of one as the run's are."""
    folder = tmp_path_factory.mktemp("new")
    rng = np.random.default_rng(3)
    shape = (40, 32, 3) if foldwise.load(run)._winner.model.num_channels == 3 else (40, 32)
    arrays = [rng.integers(0, 255, shape, np.uint8) for _ in range(3)]
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{number}.png")
    return folder, arrays


def rows(out):
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def others(run):
    winner = run.verdict.answer.configuration
    return next(row for row in run.verdict.configurations if row.id != winner)


@pytest.mark.filterwarnings("ignore::UserWarning")  # networks that have learned nothing are warned of
@pytest.mark.parametrize(
    "choice", [{}, {"fold": 2}, {"flips": True}, {"configuration": True}, {"configuration": True, "fold": 1}]
)
def test_arrays_give_what_the_command_gives_of_files(run, images, tmp_path, choice):
    folder, arrays = images
    choice = {key: others(run).name if key == "configuration" else value for key, value in choice.items()}
    out = foldwise.predict(run.folder.root, folder, out=tmp_path / "out", **choice)
    model = foldwise.load(run, **choice)
    for row, given in zip(rows(out), model(arrays), strict=True):
        if given.mask is None:
            wanted = [float(row[f"probability_{name}"]) for name in model.classes]
            np.testing.assert_allclose(given.probabilities, wanted, atol=1e-6)
            assert row["predicted"] == "; ".join(given.labels)
        else:
            assert given.mask.shape == given.probabilities.shape[1:] == (40, 32)
            with Image.open(out / row["mask"]) as mask:
                np.testing.assert_array_equal(np.asarray(mask) // 255, given.mask)
        assert row["warning"] == "; ".join(given.warnings)


def test_the_mean_of_the_folds_is_the_winner(run, images):
    _, arrays = images
    folds = [foldwise.load(run, fold=fold)(arrays[0]).probabilities for fold in (1, 2)]
    np.testing.assert_allclose(np.mean(folds, axis=0), foldwise.load(run)(arrays[0]).probabilities, atol=1e-6)
    assert not np.allclose(*folds, atol=1e-6)


def test_flips_are_the_mean_over_four_images(run, images):
    _, (array, *_) = images
    plain, total = foldwise.load(run), 0.0
    for axes in ((), (0,), (1,), (0, 1)):
        p = plain(np.flip(array, axes)).probabilities
        total = total + (np.flip(p, [axis + 1 for axis in axes]) if p.ndim == 3 else p)
    np.testing.assert_allclose(foldwise.load(run, flips=True)(array).probabilities, total / 4, atol=1e-5)


def test_each_says_what_it_reached(run):
    verdict, other = run.verdict, others(run)
    for name, row in ((None, verdict.configuration(verdict.answer.configuration)), (other.id[:8], other)):
        own = row.metrics[verdict.metric.name]
        score = foldwise.load(run, configuration=name).score
        assert score.startswith(row.name)
        assert "95 % interval" in score or own.low is None
        assert "their mean was not judged" in score
        alone = foldwise.load(run, configuration=name, fold=1).score
        [reached] = [score.score for score in row.folds if score.fold == 0]
        assert "fold 1 alone" in alone
        assert "95 % interval" in alone or "no interval: " in alone
        assert "of its fold; this holds for these trained weights" in alone
        assert float(alone.split(" (95 %")[0].split(" (no ")[0].split()[-1]) == pytest.approx(
            reached, abs=0.006
        )


def test_what_there_is_not_is_refused(run, images):
    with pytest.raises(SpecError, match="no configuration is called 'transformer'"):
        foldwise.load(run, configuration="transformer")
    with pytest.raises(SpecError, match=r"no fold of .* is called '3'"):
        foldwise.load(run, fold=3)
    with pytest.raises(DataError, match="to be an array of numbers"):
        foldwise.load(run)("cell.png")
    with pytest.raises(SpecError, match="handed over"):
        foldwise.load(run.folder.winner, fold=1)
    assert foldwise.load(run.folder.winner).score == foldwise.load(run).score
    model, (_, arrays) = foldwise.load(run), images
    with pytest.raises(DataError, match="shape"):
        model(np.zeros((2, 5, 40, 32), np.uint8))
    with pytest.raises(DataError, match="float32 values"):
        model([arrays[0], arrays[1] / 255])


def test_axes_of_arrays_are_recognised(run, images):
    model, (_, arrays) = foldwise.load(run), images
    array = arrays[0] if arrays[0].ndim == 3 else arrays[0][..., None]
    first, last = model(np.moveaxis(array, -1, 0)), model(array)
    np.testing.assert_array_equal(first.probabilities, last.probabilities)


def test_the_command_names_model_and_score(run, images, tmp_path, monkeypatch, capsys):
    words = [
        "predict",
        run.folder.root,
        images[0],
        "--out",
        tmp_path / "out",
        "--configuration",
        others(run).name,
        "--fold",
        2,
    ]
    monkeypatch.setattr(sys, "argv", ["foldwise", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert f"{others(run).name}, fold 2 alone" in said


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_files_of_probabilities_are_what_arrays_give(run, images, tmp_path, monkeypatch, capsys):
    folder, arrays = images
    command = ["foldwise", "predict", str(run.folder.root), str(folder), "--out", str(tmp_path / "out"), "--probabilities", "uint16"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    if not run.verdict.task.endswith("segmentation"):
        assert ended.value.code == 2
        assert "predictions.csv has the probability of every class" in said.err
        return
    assert "MB; whole numbers, 65,535 for 1)" in said.out
    for row, given in zip(rows(tmp_path / "out"), run.load()(arrays), strict=True):
        stored = tifffile.imread(tmp_path / "out" / row["probabilities"])
        np.testing.assert_allclose(stored / 65535, given.probabilities, atol=1e-5)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A run of images of one kind, each a group of its own, and new ones of that kind."""
    root = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    for folder, number in (("images", 48), ("new", 12)):
        for k in range(number):
            values = 60 + 12 * rng.normal(size=(32, 32)) + rng.uniform(-5, 5)
            values[8:20, 8:20] += 110 if k % 2 else 60
            path = root / folder / ("bright" if k % 2 else "dim") / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(path)
    study = STUDY | {"study": "many", "data": {"path": str(root / "images")}}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FOLDWISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        done = foldwise.run(study, out=root / "run", launcher="inline", device="cpu", quiet=True)
    return done, root / "new"


def negatives(folder, out):
    for path in folder.rglob("*.png"):
        to = out / path.relative_to(folder)
        to.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            Image.fromarray(255 - np.asarray(image)).save(to)
    return out


@pytest.mark.filterwarnings("ignore::UserWarning")  # of a model that has learned nothing
def test_images_unlike_the_training_are_named_with_the_reason(many, tmp_path):
    run, new = many
    out = foldwise.predict(run.folder.root, new, out=tmp_path / "like")
    assert all(float(row["unlike_training_p"]) > 1 / 49 for row in rows(out))
    assert not any("unlike" in row["warning"] for row in rows(out))
    negative = negatives(new, tmp_path / "negative")
    with pytest.warns(
        UserWarning, match="12 of 12 images are unlike the training images: bright/1.png.*negative"
    ):
        out = foldwise.predict(run.folder.root, negative, out=tmp_path / "unlike")
    for row in rows(out):
        assert float(row["unlike_training_p"]) == pytest.approx(1 / 49, abs=1e-4)
        assert "unlike the training images: its negative would be like them" in row["warning"]
    again = (out / "predictions.csv").read_text()
    (out / "predictions.csv").unlink()
    with pytest.warns(UserWarning, match="12 of 12 images are unlike"):
        foldwise.predict(run.folder.root, negative, out=out)
    assert (out / "predictions.csv").read_text() == again
    with Image.open(negative / "dim" / "0.png") as image:
        given = foldwise.load(run)(np.asarray(image))
    assert given.unlike_training_p == pytest.approx(1 / 49)
    assert "its negative" in given.warnings[-1]


def test_the_app_says_so_of_an_image_that_is_dropped(many, tmp_path):
    run, new = many
    path = negatives(new, tmp_path) / "dim" / "0.png"
    tried = trying._made(run.folder.winner, run.folder, "cpu", trying.UNWATCHED)
    warnings = tried.predict(path.read_bytes(), path.name)["warnings"]
    assert warnings[-1] == "unlike the training images: its negative would be like them"


def test_an_evaluation_names_them_too(many, tmp_path):
    run, new = many
    evaluated = run.evaluate(negatives(new, tmp_path / "negative"), out=tmp_path / "out")
    assert any("12 of 12 images are unlike the training images" in note for note in evaluated.notes)
    page = evaluated.page.read_text(encoding="utf-8")
    assert "12 of 12 images are unlike the training images" in page
    assert page.count("unlike the training images: its negative would be like them") >= 12
    with (evaluated.folder / "images.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert all("its negative" in row["warning"] and float(row["unlike_training_p"]) < 0.05 for row in table)


def test_one_fold_is_compared_with_what_it_was_trained_on(many):
    run, _ = many
    foldwise.load(run, fold=1)
    [laid_out] = run.folder.models.glob("*-fold-1")
    [test] = [split.test for split in read_splits(run.folder.splits) if (split.repeat, split.fold) == (0, 0)]
    with (
        np.load(laid_out / "training_images.npz") as own,
        np.load(run.folder.winner / "training_images.npz") as all_of,
    ):
        assert sorted([*own["cases"], *test]) == all_of["cases"].tolist() == list(range(48))
        rows_of = np.searchsorted(all_of["cases"], own["cases"])
        np.testing.assert_array_equal(own["numbers"], all_of["numbers"][rows_of])


@pytest.mark.filterwarnings("ignore::UserWarning")  # of a model that has learned nothing
def test_a_model_without_its_training_images_says_nothing_of_it(many, tmp_path, monkeypatch):
    run, new = many
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "empty"))
    model = shutil.copytree(run.folder.winner, tmp_path / "model")
    record = json.loads((model / "model.json").read_text())
    (model / "training_images.npz").unlink()
    record = {key: value for key, value in record.items() if key != "files"}
    (model / "model.json").write_text(json.dumps(record))
    out = foldwise.predict(model, new, out=tmp_path / "out")
    assert {row["unlike_training_p"] for row in rows(out)} == {""}
