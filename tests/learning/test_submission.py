"""Decisions of the winner on new images: by the thresholds of the verdict, and as a submission of class indices."""

import csv
import json

import numpy as np
import pytest
from fits_to_try import SPLIT, fit, tiny
from PIL import Image

from foldwise.errors import SpecError
from foldwise.learning.checkpoints.winner import Decision, make_winner
from foldwise.learning.predict import predict_images
from foldwise.learning.prediction_files import write_submission

TASK = "multilabel_classification"


def save_images(folder, packed):
    folder.mkdir()
    for case in SPLIT.test:
        pixels = packed.image(case)
        Image.fromarray(np.moveaxis(pixels, 0, -1) if len(pixels) == 3 else pixels[0]).save(
            folder / f"case_{case}.png"
        )
    return folder


def winner_of(tmp_path, packed, means, **training):
    decision = Decision(thresholds={"method": "prevalence", "values": list(means)})
    _, scores = fit(tmp_path / "fit", TASK, packed=packed, **training)
    return make_winner([tmp_path / "fit"], tmp_path / "winner", decision=decision), scores["probabilities"]


@pytest.mark.parametrize("label_groups", [1, [[2], [0, 1]]])
def test_a_submission_has_the_indices_of_all_classes_also_where_groups_have_models_of_their_own(
    tmp_path, label_groups
):
    packed = tiny(TASK)
    _, scores = fit(tmp_path / "before", TASK, packed=packed, label_groups=label_groups)
    limits = [*np.median(scores["probabilities"], axis=0)[:2].tolist(), None]  # the last is never said
    winner, wanted = winner_of(tmp_path, packed, limits, label_groups=label_groups)
    record = json.loads((winner / "model.json").read_text())
    assert record["thresholds"] == {"method": "prevalence", "values": limits}
    images = save_images(tmp_path / "new", packed)
    predict_images(winner, images, tmp_path / "out", device="cpu", submission=tmp_path / "there" / "mine.csv")
    with (tmp_path / "there" / "mine.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["Id", "Predicted"]
    assert [row[0] for row in rows[1:]] == [f"case_{case}" for case in SPLIT.test]
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        told = list(csv.DictReader(file))
    for row, p, names in zip(rows[1:], wanted, told, strict=True):
        clear = [k for k in range(2) if abs(p[k] - limits[k]) > 1e-4]
        said = {int(place) for place in row[1].split()}
        assert {k for k in clear if p[k] >= limits[k]} == said & set(clear)
        assert 2 not in said
        assert names["predicted"] == "; ".join(f"class {k}" for k in sorted(said))
    assert len({row[1] for row in rows[1:]}) > 1


def test_of_no_label_nothing_is_written_and_alike_names_keep_their_suffix(tmp_path):
    write_submission(tmp_path / "s.csv", {"a/x.png": [], "a/x.tif": [27], "b.png": [0, 25]})
    assert (tmp_path / "s.csv").read_text().split() == ["Id,Predicted", "a/x.png,", "a/x.tif,27", "b,0", "25"]


def test_a_submission_of_one_label_is_refused(tmp_path):
    packed = tiny("multiclass_classification")
    fit(tmp_path / "fit", "multiclass_classification", packed=packed)
    winner = make_winner([tmp_path / "fit"], tmp_path / "winner")
    images = save_images(tmp_path / "new", packed)
    with pytest.raises(SpecError) as raised:
        predict_images(winner, images, tmp_path / "out", device="cpu", submission=tmp_path / "s.csv")
    assert str(raised.value) == (
        "--submission: a submission lists several labels, and this winner's task is multiclass classification\n"
        "  → Leave it out; predictions.csv has the decisions."
    )
