"""A fit asked about worse images: on images as they are it says what it said, on all others the same every time."""

import json

import numpy as np
import pytest
from fits_to_try import SPLIT, TASKS, fit, share_features, tiny
from jobs import job

from foldwise.insight.robustness import example, robustness_item

SETTINGS = {"blur_px": [0, 2], "noise": [0, 0.1, 0.3], "seed": 7, "threads": 1, "repeat": 0, "fold": 0}


def ask(folder, packed, inputs):
    folder.mkdir()
    said = []
    result = robustness_item(
        job(SETTINGS, folder, packed=packed, split=SPLIT, inputs=inputs, beat=said.append)
    )
    assert said[-1] == {"doing": "6 of 6 conditions"}
    with np.load(folder / "scores.npz", allow_pickle=False) as arrays:
        return result, dict(arrays)


def finished(folder, task, **training):
    packed = training.pop("packed", None) or tiny(task)
    result, scores = fit(folder, task, packed=packed, **training)
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return packed, scores


@pytest.mark.parametrize("task", TASKS)
def test_unchanged_images_give_the_scores_of_the_fit_bit_for_bit(tmp_path, task):
    packed, own = finished(tmp_path / "fit", task, batch_size=3)
    _, scores = ask(tmp_path / "asked", packed, {"fit-1": tmp_path / "fit"})
    names = set(scores) & set(own)
    assert {"case", "probabilities"} <= names or {"case", "confusion", "histogram", "brier_sum"} <= names
    for name in names - {"case"}:
        assert scores[name].shape == (2, 3, *own[name].shape)
        assert np.array_equal(scores[name][0, 0], own[name]), name
        if name in ("probabilities", "brier_sum"):
            assert not np.array_equal(scores[name][1, 2], own[name]), name
    assert np.array_equal(scores["case"], own["case"])


def test_the_same_question_has_the_same_answer(tmp_path):
    packed, _ = finished(tmp_path / "fit", "binary_segmentation")
    _, first = ask(tmp_path / "a", packed, {"fit-1": tmp_path / "fit"})
    _, again = ask(tmp_path / "b", packed, {"fit-1": tmp_path / "fit"})
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_a_head_is_asked_together_with_its_shared_encoder(tmp_path):
    packed = tiny("binary_classification", num_channels=3, sizes=((32, 32),) * 24)
    model = {"name": "timm:test_resnet", "options": {}}
    share_features(tmp_path / "features-1", packed, model="timm:test_resnet")
    _, own = finished(
        tmp_path / "fit",
        "binary_classification",
        packed=packed,
        inputs={"features-1": tmp_path / "features-1"},
        model=model["name"],
        freeze="encoder",
        normalize="imagenet",
    )
    inputs = {"fit-1": tmp_path / "fit", "features-1": tmp_path / "features-1"}
    _, scores = ask(tmp_path / "asked", packed, inputs)
    np.testing.assert_allclose(scores["probabilities"][0, 0], own["probabilities"], atol=1e-5)
    assert not np.allclose(scores["probabilities"][1, 2], own["probabilities"], atol=1e-5)


def test_one_case_of_the_first_fold_is_kept_to_be_looked_at(tmp_path):
    packed, _ = finished(tmp_path / "fit", "multiclass_segmentation")
    ask(tmp_path / "asked", packed, {"fit-1": tmp_path / "fit"})
    with (
        np.load(tmp_path / "asked/example.npz", allow_pickle=False) as kept,
        np.load(tmp_path / "fit/predictions.npz", allow_pickle=False) as own,
    ):
        case = int(kept["case"])
        assert case == example(packed, SPLIT.test)
        assert kept["maps"].shape == (2, 3, 16, 16)
        assert np.array_equal(kept["maps"][0, 0], own[str(case)])
    covered = [sum(packed.measures[case].class_pixels[1:]) for case in SPLIT.test]
    assert sum(packed.measures[case].class_pixels[1:]) == sorted(covered)[len(covered) // 2]


def test_a_classification_keeps_no_map(tmp_path):
    packed, _ = finished(tmp_path / "fit", "binary_classification")
    ask(tmp_path / "asked", packed, {"fit-1": tmp_path / "fit"})
    assert sorted(path.name for path in (tmp_path / "asked").iterdir()) == ["scores.npz"]
