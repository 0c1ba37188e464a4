"""Predicting goes on where it was stopped; what is predicted already, by image, model and settings, is not asked again."""

import csv
import shutil

import numpy as np
import pytest
from fits_to_try import SPLIT, fit, tiny
from PIL import Image

from foldwise.learning.checkpoints.winner import Decision, make_winner
from foldwise.learning.predict import predict_images
from foldwise.learning.prediction_files import images_to_predict
from foldwise.learning.resuming import JOURNAL
from foldwise.learning.runtimes import TorchRuntime

CASES = [int(case) for case in SPLIT.test]


@pytest.fixture(scope="module", params=["multiclass_segmentation", "multilabel_classification"])
def made(request, tmp_path_factory):
    root, packed = tmp_path_factory.mktemp("again"), tiny(request.param)
    fit(root / "done" / "fit-3", request.param, packed=packed, epochs=2)
    winner = make_winner([root / "done" / "fit-3"], root / "winner", decision=Decision())
    (root / "new").mkdir()
    for case in CASES:
        image = packed.image(case)
        pixels = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
        Image.fromarray(pixels).save(root / "new" / f"{case}.png")
    return winner, root / "new"


@pytest.fixture
def asked(monkeypatch):
    """The numbers of images that networks were asked about, batch by batch; `stop` ends it at the second batch."""
    counts, plain = [], TorchRuntime.__call__

    def counting(self, images):
        if counts and counts[0] == "stop":
            counts.append(len(images))
            if len(counts) > 2:
                raise KeyboardInterrupt
        else:
            counts.append(len(images))
        return plain(self, images)

    monkeypatch.setattr(TorchRuntime, "__call__", counting)
    monkeypatch.setattr("foldwise.learning.predict.BATCH_IMAGES", 2)
    return counts


def written(out):
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != JOURNAL
    }


def rows(out):
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return [row["image"] for row in csv.DictReader(file)]


def test_a_stopped_command_goes_on_and_ends_as_one_that_was_not(made, asked, tmp_path):
    winner, images = made
    predict_images(winner, images, tmp_path / "whole", device="cpu")
    asked[:] = ["stop"]
    with pytest.raises(KeyboardInterrupt):
        predict_images(winner, images, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out/predictions.csv").exists()
    # The last line was cut while it was written.
    journal = tmp_path / "out" / JOURNAL
    journal.write_text(journal.read_text()[:-20])
    asked.clear()
    seen = []
    predict_images(winner, images, tmp_path / "out", device="cpu", progress=lambda *at: seen.append(at))
    assert sum(asked) == len(CASES) - 1
    assert seen[0] == (1, len(CASES))
    assert seen[-1] == (len(CASES), len(CASES))
    assert written(tmp_path / "out") == written(tmp_path / "whole")


def test_only_what_is_another_is_asked_again(made, asked, tmp_path):
    winner, images = made
    mine, out = tmp_path / "mine", tmp_path / "out"
    shutil.copytree(images, mine)

    def again(**how):
        asked.clear()
        predict_images(winner, mine, out, device="cpu", **how)
        return sum(asked)

    assert again() == len(CASES)
    assert again() == 0
    first = mine / f"{CASES[0]}.png"
    shutil.copyfile(mine / f"{CASES[1]}.png", first)
    assert again() == 1
    first.unlink()
    assert again() == 0
    assert len(rows(out)) == len(CASES) - 1
    if (masks := sorted((out / "masks").rglob("*.png"))) and masks[-1].stem in map(str, CASES[1:]):
        masks[-1].unlink()
        assert again() == 1
    assert again(flips=True) == 4 * (len(CASES) - 1)
    assert again() == len(CASES) - 1  # those of the flips are not those without


def test_what_a_stopped_command_left_is_no_image(made, asked, tmp_path):
    winner, images = made
    mine = tmp_path / "mine"
    shutil.copytree(images, mine)
    asked[:] = ["stop"]
    with pytest.raises(KeyboardInterrupt):
        predict_images(winner, mine, mine / "out", device="cpu")
    names, problems = images_to_predict(mine)
    assert sorted(names) == sorted(f"{case}.png" for case in CASES)
    assert not problems
