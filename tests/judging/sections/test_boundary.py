"""Boundary scores of a run: kept beside it, judged as a metric, and computed only where they are asked for."""

import csv
import shutil

import numpy as np
import pytest
from auxiliary_items import asked_about_worse_images, with_baselines
from judged import judge
from scipy.stats import binom
from tiny_run import SIDE, Wanted, make_run

import foldwise.judging.sections.boundary as outlines
from foldwise.errors import RunError, SpecError
from foldwise.judging.scores.rows import read_rows
from foldwise.judging.sections.boundary import check_boundary, median_interval, with_boundaries
from foldwise.metrics.boundary import of_image
from foldwise.metrics.table import choose_metric
from foldwise.study.spec import Judging

K = 3


class Masks:
    """The true masks, as the packed images give them."""

    classes = ("background", "nucleus", "cytoplasm")

    def __init__(self, masks):
        self.masks = masks

    def target(self, case):
        return self.masks[case]


def drawn(seed, n=24):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    masks = np.zeros((n, SIDE, SIDE), dtype=np.uint8)
    for i in range(1, n):  # image 0 is empty
        away = np.hypot(y - rng.uniform(5, 11), x - rng.uniform(5, 11))
        masks[i][away < 5], masks[i][away < 2] = 1, 2
    return masks


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose predictions are the true masks moved by one pixel (first configuration) or by three."""

    def make(judging, **wanted):
        folder = make_run(
            tmp_path / "run", Wanted("multiclass_segmentation", num_cases=24, judge=judging, **wanted)
        )
        truth = drawn(0)
        monkeypatch.setattr(outlines, "open_packed", lambda digest: Masks(truth))
        for fit in (rows := read_rows(folder)).fits:
            if fit.status == "done":
                step = 1 if fit.configuration == rows.configurations[0].id else 3
                said = {str(case): np.roll(truth[case], step, axis=1) for case in cases_of(fit)}
                np.savez_compressed(fit.path / "predictions.npz", **said)
                count_anew(fit, truth, said)
        return folder, truth

    return make


def cases_of(fit):
    return np.load(fit.path / "scores.npz")["case"].tolist()


def count_anew(fit, truth, said):
    arrays = dict(np.load(fit.path / "scores.npz"))
    for place, case in enumerate(cases_of(fit)):
        arrays["confusion"][place] = 0
        np.add.at(arrays["confusion"][place], (truth[case].ravel(), said[str(case)].ravel()), 1)
    np.savez(fit.path / "scores.npz", **arrays)


def test_the_metric_is_the_mean_over_images_of_the_mean_over_classes(run):
    folder, truth = run("{metric: nsd, tolerance_px: 1}")
    verdict = judge(folder)
    assert verdict["metric"]["name"] == "nsd_img_macro"
    assert "within 1 pixels" in verdict["metric"]["averaging"]
    for step, one in zip((1, 3), verdict["configurations"], strict=True):
        scores = [of_image(mask, np.roll(mask, step, axis=1), K, tolerance_px=1)[0] for mask in truth[1:]]
        assert one["estimate"] == pytest.approx(np.mean([np.nanmean(row) for row in scores]))
        assert one["low"] <= one["estimate"] <= one["high"]
        assert one["metrics"]["nsd_img_macro"]["num_undefined"] == 1  # the empty image
    background = next(one for one in verdict["baselines"] if one["id"] == "all_background")
    assert background["estimate"] == 0
    with folder.scores.open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if (row["case"], row["class"]) == ("5", "nucleus"))
    assert float(row["hd95"]) >= 1


def test_distances_are_medians_with_the_capped_counted(run):
    folder, truth = run("{boundary: true}", group_size=2, repeats=2)
    fits = read_rows(folder).fits
    for fit in fits[::2]:  # the first configuration, which misses everything in image 3
        saved = dict(np.load(fit.path / "predictions.npz"))
        if "3" in saved:
            saved["3"][:] = 0
            np.savez_compressed(fit.path / "predictions.npz", **saved)
            count_anew(fit, truth, saved)
    verdict = judge(folder)
    first, second = (
        next(one for one in verdict["boundary"]["configurations"] if one["id"] == fits[place].configuration)
        for place in (0, 1)
    )
    assert verdict["metric"]["name"] == "dice_img_macro"
    assert verdict["metrics"].keys() >= {"nsd_img_macro"}
    for k, name in ((1, "nucleus"), (2, "cytoplasm")):
        far = np.array([of_image(mask, np.roll(mask, 3, axis=1), K, tolerance_px=2)[1][k] for mask in truth])
        pairs = far.reshape(-1, 2)
        groups = np.array([np.median(pair[~np.isnan(pair)]) for pair in pairs])
        held = second["hd95"][name]
        assert held["median"] == pytest.approx(np.median(groups))
        assert held["low"] <= held["median"] <= held["high"]
        assert (held["num_images"], held["num_capped"]) == (23, 0)
        assert (first["hd95"][name]["num_images"], first["hd95"][name]["num_capped"]) == (23, 1)


def test_scores_are_kept_and_a_new_tolerance_computes_them_anew(run, monkeypatch):
    folder, _ = run("{boundary: true}", repeats=1)
    study = folder.load_study()
    first = with_boundaries(study, read_rows(folder), folder)
    assert len(list(folder.boundaries.iterdir())) == len(first.fits)
    calls = []
    monkeypatch.setattr(
        outlines, "score_masks", lambda *a, **k: calls.append(a) or {"nsd": np.ones(1), "hd95": np.ones(1)}
    )
    again = with_boundaries(study, read_rows(folder), folder)
    assert not calls
    item = first.fits[0].item
    np.testing.assert_array_equal(first.boundaries.of[item]["nsd"], again.boundaries.of[item]["nsd"])
    wider = study.model_copy(update={"judge": Judging(boundary=True, tolerance_px=3)})
    with_boundaries(wider, read_rows(folder), folder)
    assert len(calls) == len(first.fits)


def test_a_damaged_file_is_made_again_and_a_damaged_prediction_is_said(run):
    folder, _ = run("{boundary: true}")
    study, rows = folder.load_study(), read_rows(folder)
    whole = with_boundaries(study, rows, folder)
    kept = next(folder.boundaries.glob(f"{rows.fits[0].item}*"))
    kept.write_bytes(b"cut")
    again = with_boundaries(study, rows, folder)
    np.testing.assert_array_equal(
        again.boundaries.of[rows.fits[0].item]["hd95"], whole.boundaries.of[rows.fits[0].item]["hd95"]
    )
    shutil.rmtree(folder.boundaries)
    np.savez_compressed(
        rows.fits[0].path / "predictions.npz",
        **{str(case): np.zeros((4, 5), np.uint8) for case in cases_of(rows.fits[0])},
    )
    with pytest.raises(RunError, match="has 5×4 pixels, the true one 16×16"):
        with_boundaries(study, rows, folder)


def test_a_study_that_does_not_ask_pays_nothing(run):
    folder, _ = run("{}")
    shutil.rmtree(folder.boundaries, ignore_errors=True)
    verdict = judge(folder)
    assert verdict["boundary"] is None
    assert "nsd_img_macro" not in verdict["metrics"] | verdict["configurations"][0]["metrics"]
    assert not folder.boundaries.exists()


def test_disturbed_images_are_told_by_dice_and_not_by_boundaries_of_others(run):
    folder, _ = run("{metric: nsd}")
    told = judge(asked_about_worse_images(folder))["robustness"]
    assert told["metrics"][0] == "dice_img_macro"
    assert "nsd_img_macro" not in told["metrics"]
    scores = [
        cell["metrics"]["dice_img_macro"]["estimate"] for cell in told["configurations"][0]["conditions"]
    ]
    assert scores[-1] < scores[0]


def test_baselines_have_boundary_scores_too(run):
    folder, _ = run("{metric: nsd}")
    rows = read_rows(with_baselines(folder, like=0))
    for fit, one in zip(rows.done(rows.configurations[0].id), rows.auxiliary, strict=True):
        shutil.copy(fit.path / "predictions.npz", one.path)
    verdict = judge(folder)
    like = next(one for one in verdict["configurations"] if one["id"] == rows.configurations[0].id)
    assert verdict["baselines"][0]["kind"] == "shallow"
    assert verdict["baselines"][0]["estimate"] == pytest.approx(like["estimate"])


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(SpecError, match="this task has none"):
        check_boundary(Judging(boundary=True), "binary")
    with pytest.raises(SpecError, match="it decides nothing"):
        choose_metric("hd95", "segmentation")
    assert choose_metric("nsd", "segmentation").name == "nsd_img_macro"


@pytest.mark.parametrize(("n", "low", "high"), [(6, 1, 6), (10, 2, 9), (25, 8, 18), (100, 40, 61)])
def test_the_interval_of_a_median_by_ranks(n, low, high):
    """The ranks of the usual tables for 95 %."""
    values = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
    assert median_interval(values, alpha=0.05) == (low, high)
    assert 1 - 2 * binom.cdf(low - 1, n, 0.5) >= 0.95
    assert 1 - 2 * binom.cdf(low, n, 0.5) < 0.95


def test_too_few_values_have_no_interval():
    assert np.isnan(median_interval(np.arange(5.0), alpha=0.05)).all()
    assert np.isnan(median_interval(np.array([]), alpha=0.05)).all()
