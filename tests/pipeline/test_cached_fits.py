"""Where the pixels come from changes no loss and no score: whole fits, by a worker, from the run folder alone."""

import json

import numpy as np
import pytest
from judged import judge

from foldwise.data.phantoms.catalogue import make
from foldwise.errors import SpecError
from foldwise.pipeline.preflight import preflight
from foldwise.pipeline.preparing import lay_out, prepare
from foldwise.pipeline.worker import do_item
from foldwise.runs.folder import RunFolder
from foldwise.study.reading import open_study

CLASSES = """
study: cached
data: {phantom: {kind: gels, images: 24, size: 32}, size: 24}
compare: {cache: [disk, memory, none]}
train: {model: {conv: {width: 4, depth: 2}}, epochs: 2, batch_size: 4, steps_per_epoch: 2, augment: strong}
validate: {folds: 2}
"""
MASKS = """
study: cached
data: {phantom: {kind: bacteria, images: 12, size: 32}}
compare: {cache: [disk, memory, none]}
train: {model: {unet: {width: 4, depth: 2}}, epochs: 2, batch_size: 3, crop_px: 16, augment: flips}
validate: {folds: 2}
"""
LABELS = """
study: cached
data: {phantom: {kind: proteins, images: 24, size: 32}}
compare: {cache: [disk, memory, none]}
train: {model: {conv: {width: 4, depth: 2}}, epochs: 1, batch_size: 4, normalize: image}
validate: {folds: 2}
"""  # of files for each channel


def laid_out(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    prepared = prepare(open_study(path))
    return prepared, lay_out(prepared, tmp_path / "run")


@pytest.mark.parametrize("text", [CLASSES, MASKS, LABELS], ids=["classes", "masks", "labels"])
def test_losses_scores_and_weights_are_equal_to_the_last_bit(tmp_path, text):
    prepared, folder = laid_out(tmp_path, text)
    fits = [item for item in prepared.plan.items if item.kind == "fit" and item.settings["fold"] == 0]
    assert len({item.id for item in fits}) == 3
    told = {}
    for item in fits:
        result = do_item(folder, item, device="cpu")
        assert result["status"] == "done", result["error"]
        told[result["cost"]["cache"]] = result, folder.done(item.id)
    assert set(told) == {"disk", "memory", "none"}
    first, done = told.pop("disk")
    for result, other in told.values():
        for one, same in zip(first["epochs"], result["epochs"], strict=True):
            assert one | {"seconds": 0} == same | {"seconds": 0}
        assert (other / "weights.safetensors").read_bytes() == (done / "weights.safetensors").read_bytes()
        with np.load(done / "scores.npz") as expected, np.load(other / "scores.npz") as found:
            assert set(expected) == set(found)
            for key in expected:
                np.testing.assert_array_equal(expected[key], found[key])


def test_equal_scores_are_judged_to_be_equal(tmp_path):
    prepared, folder = laid_out(tmp_path, CLASSES)
    for item in prepared.plan.items:
        if item.kind == "fit":
            do_item(folder, item, device="cpu")
    verdict = judge(folder)
    assert len({one["estimate"] for one in verdict["configurations"]}) == 1
    assert all(one["could_be_best"] for one in verdict["configurations"])
    assert {one["cost"]["cache"] for one in verdict["configurations"]} == {"disk", "memory", "none"}


def test_a_worker_finds_the_files_of_a_study_in_another_folder(tmp_path, monkeypatch):
    make("gels", tmp_path / "pictures", images=24, size=32, difficulty=0.5, seed=0)
    text = CLASSES.replace("phantom: {kind: gels, images: 24, size: 32}", "path: pictures")
    prepared, folder = laid_out(tmp_path, text)
    assert folder.load_study().data.path == str((tmp_path / "pictures").resolve())
    item = next(item for item in prepared.plan.items if item.settings["training"]["cache"] == "none")
    monkeypatch.chdir(tmp_path / "run")
    assert do_item(folder, item, device="cpu")["error"] is None


def test_a_file_that_changes_during_the_run_fails_the_fit_with_its_name(tmp_path):
    make("gels", tmp_path / "pictures", images=24, size=32, difficulty=0.5, seed=0)
    text = CLASSES.replace("phantom: {kind: gels, images: 24, size: 32}", "path: pictures")
    prepared, folder = laid_out(tmp_path, text)
    files = sorted((tmp_path / "pictures").rglob("gels_*.png"))
    for path in files[1:]:
        path.write_bytes(files[0].read_bytes())
    item = next(item for item in prepared.plan.items if item.settings["training"]["cache"] == "none")
    error = do_item(folder, item, device="cpu")["error"]
    assert error["type"] == "DataError"
    assert "has changed since it was packed" in error["message"]


MEASURED = CLASSES + "measure: {batch_sizes: [2, 4], seconds: 0.01, caches: [memory, none]}\n"


def test_speed_is_measured_told_in_the_verdict_and_decides_nothing(tmp_path):
    prepared, folder = laid_out(tmp_path, MEASURED)
    measures = [item for item in prepared.plan.items if item.kind == "measure"]
    assert [item.title for item in measures] == [
        "speed of conv (width 4, depth 2), cache memory",
        "speed of conv (width 4, depth 2), cache none",
    ]
    for item in measures:
        assert do_item(folder, item, device="cpu")["error"] is None
    verdict = judge(folder)
    assert verdict["state"] == "nothing_done"
    assert (verdict["num_done"], verdict["num_planned"]) == (0, 6)
    assert [(row["cache"], row["cache_used"], row["error"]) for row in verdict["throughput"]] == [
        ("memory", "memory", None),
        ("none", "none", None),
    ]
    for row in verdict["throughput"]:
        assert [point["batch_size"] for point in row["points"]] == [2, 4]
    assert json.loads(folder.verdict.read_text())["throughput"] == verdict["throughput"]


def test_what_is_measured_counts_in_the_estimate(tmp_path):
    prepared, _ = laid_out(tmp_path, MEASURED)
    costs = preflight(prepared)
    fits = sum(costs.of[item.settings["configuration"]].seconds_per_fit for item in prepared.plan.items[:6])
    assert costs.seconds(prepared.plan) == pytest.approx(fits + 2 * 2 * 3 * 0.01)


def test_a_model_to_be_measured_that_does_not_exist_is_refused_by_check(tmp_path):
    prepared, _ = laid_out(tmp_path, MEASURED.replace("seconds", "models: [conv, unett], seconds"))
    with pytest.raises(SpecError) as told:
        preflight(prepared)
    assert str(told.value).startswith(f"{tmp_path / 'study.yaml'}:")
    assert "'unett'" in str(told.value)
    assert RunFolder(tmp_path / "run").plan.is_file()
