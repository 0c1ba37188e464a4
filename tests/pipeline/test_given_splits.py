"""Studies with a split that people already have, and with an external set, from their file to verdict and page."""

import given_splits as sets
import numpy as np
import pytest
import torch

from foldwise.errors import FoldwiseError
from foldwise.judging.judge import verdict_now
from foldwise.learning.checkpoints.saved import load_winner
from foldwise.learning.runtimes import TorchRuntime
from foldwise.pipeline.options import RunOptions, Silent
from foldwise.pipeline.pipeline import run
from foldwise.pipeline.preparing import prepare
from foldwise.study.reading import open_study

TRAIN = "train: {model: conv, epochs: 2, batch_size: 8}\n"


def study(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(f"study: given\n{text}")
    return open_study(path)


def done(tmp_path, text):
    return run(study(tmp_path, text), RunOptions(out=tmp_path / "run", launcher="inline"), Silent())


def codes(verdict):
    return {warning.code for warning in verdict.warnings}


def test_radiographs_are_tested_on_their_own_test_images(tmp_path):
    sets.chests(tmp_path / "chest")
    compare = "compare: {optimizer: [adam, {sgd: {lr: 0.05}}]}\n"
    folder, verdict = done(tmp_path, f"data: {{path: chest}}\n{compare}{TRAIN}validate: {{split: folders}}\n")
    assert (verdict.split, verdict.folds, verdict.repeats) == ("given_split", 1, 1)
    assert verdict.num_images == 16
    assert "NO_RUN_VARIANCE" in codes(verdict)
    assert verdict.reach == "these trained weights only, on images like these 16"
    assert "unseen images (16 images)" in verdict.answer.sentence
    assert all(len(result.folds) == 1 for result in verdict.configurations)
    page = folder.report.read_text()
    assert "one split that was given (20 train, 8 validation, 16 test)" in page
    assert "cross-validation" not in page.split("Methods")[-1].split("</section>")[0]


def test_repeats_train_again_on_the_same_split(tmp_path):
    data = "data: {path: fives, images: Original, masks: Ground truth}\n"
    sets.retinas(tmp_path / "fives")
    train = "train: {model: {unet: {width: 4, depth: 2}}, epochs: 1, batch_size: 4}\n"
    folder, verdict = done(tmp_path, f"{data}{train}validate: {{split: folders, repeats: 2}}\n")
    assert (verdict.split, verdict.folds, verdict.repeats) == ("given_split", 1, 2)
    assert verdict.num_images == 5
    assert "ONE_TRAINING_SET" in codes(verdict)
    assert "NO_RUN_VARIANCE" not in codes(verdict)
    seeds = {item.settings["seed"] for item in folder.load_plan().items if item.kind == "fit"}
    assert len(seeds) == 2


def test_normalisation_sees_the_training_part_only(tmp_path):
    root = sets.chests(tmp_path / "chest")
    before = prepare(study(tmp_path, f"data: {{path: chest}}\n{TRAIN}validate: {{split: folders}}\n"))
    (split,) = before.splits
    mean, _ = before.packed.channel_stats(split.train)
    rng = np.random.default_rng(9)
    for path in (root / "test").rglob("*.png"):
        sets.picture(path, rng, bright=9)
    after = prepare(study(tmp_path, f"data: {{path: chest}}\n{TRAIN}validate: {{split: folders}}\n"))
    assert np.array_equal(after.splits[0].train, split.train)
    assert np.array_equal(after.packed.channel_stats(after.splits[0].train)[0], mean)


# ---- the external set


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    root = tmp_path_factory.mktemp("external")
    sets.listed(root / "ours", [""] * 24)
    sets.listed(root / "theirs", [""] * 14, seed=5)
    text = f"data: {{path: ours, external: theirs}}\n{TRAIN}validate: {{folds: 3}}\n"
    return root, *done(root, text)


def test_the_models_of_the_winner_are_asked_together(scored):
    root, folder, verdict = scored
    external = verdict.external
    assert (external.num_models, external.num_images, external.num_groups) == (3, 14, None)
    winner = load_winner(folder.winner, torch.device("cpu"))
    packed = prepare(open_study(root / "study.yaml")).external.packed
    device = torch.device("cpu")
    decided = [TorchRuntime(winner, device)(packed.image(k)[None]).argmax() for k in range(14)]
    truth = np.array([k % 2 for k in range(14)])
    recalls = [np.mean(np.array(decided)[truth == k] == k) for k in range(2)]
    assert external.metrics["balanced_accuracy"].estimate == pytest.approx(np.mean(recalls), abs=1e-12)
    assert (
        external.metrics["balanced_accuracy"].low
        <= np.mean(recalls)
        <= external.metrics["balanced_accuracy"].high
    )
    assert len(external.by_model) == 3
    assert "On the external set (14 images), scored once" in external.sentence


def test_the_interval_counts_the_luck_of_the_models(scored):
    from foldwise.judging.scores.scoring import table_of
    from foldwise.judging.sections import external_set as section

    _, folder, verdict = scored
    _, rows = verdict_now(folder)
    fits = rows.done(verdict.external.configuration, 0)
    external = section._External.of(folder.external, rows)
    asked = folder.external_scores(fit.item for fit in fits)
    from foldwise.metrics.table import METRICS

    metric = METRICS["log_loss"]
    one = section.score(
        [(0, external.outputs(asked / "together.npz", rows, fits))],
        external.units,
        decides=metric,
        classes=rows.classes,
    )
    (low, high), own = (
        table_of(metric, [one], external.units, num_cases=14, alpha=0.05).intervals[0],
        verdict.external,
    )
    assert own.metrics["log_loss"].high - own.metrics["log_loss"].low > high - low


def test_the_set_is_scored_once_and_judged_again_without_the_models(scored):
    root, folder, verdict = scored
    kept = {path: path.stat().st_mtime_ns for path in folder.external.rglob("*.npz")}
    assert len(kept) == 4
    again, _ = verdict_now(folder)
    assert again.external == verdict.external
    run(open_study(root / "study.yaml"), RunOptions(out=root / "run", launcher="inline"), Silent())
    assert {path: path.stat().st_mtime_ns for path in folder.external.rglob("*.npz")} == kept
    assert "External set" in folder.report.read_text()


def test_masks_of_an_external_set_are_scored_too(tmp_path):
    sets.retinas(tmp_path / "ours", test=6)
    sets.retinas(tmp_path / "theirs", seed=3, size=40)
    data = "data: {path: ours/train, images: Original, masks: Ground truth, external: theirs/test}\n"
    train = "train: {model: {unet: {width: 4, depth: 2}}, epochs: 1, batch_size: 4}\n"
    text = f"{data}{train}validate: {{folds: 3}}\n".replace(
        "theirs/test}", "{path: theirs/test, images: Original, masks: Ground truth}}"
    )
    _, verdict = done(tmp_path, text)
    assert verdict.external.num_images == 5
    assert 0 <= verdict.external.metrics["dice_img_macro"].estimate <= 1


def test_what_is_in_both_sets_is_refused(tmp_path):
    sets.listed(tmp_path / "ours", [""] * 24, groups=[f"p{k}" for k in range(24)])
    sets.listed(tmp_path / "theirs", [""] * 24, groups=[f"p{k + 20}" for k in range(24)], seed=5)
    (tmp_path / "theirs/images/7.png").write_bytes((tmp_path / "ours/images/3.png").read_bytes())
    text = (
        "data: {path: ours, group_column: patient, external: {path: theirs, group_column: patient}}\n" + TRAIN
    )
    with pytest.raises(FoldwiseError) as caught:
        prepare(study(tmp_path, text))
    assert "data.external: 4 groups are in the study as well: p20, p21, p22, p23" in str(caught.value)
    assert "data.external: 1 picture is in the study as well: images/3.png = images/7.png" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"classes": ("a", "c")}, "classes"),
        ({"size": 30}, "its images are 30 x 30 pixels, and those of the study 24 x 24"),
    ],
)
def test_other_classes_and_sizes_are_refused(tmp_path, change, problem):
    sets.listed(tmp_path / "ours", [""] * 24)
    sets.listed(tmp_path / "theirs", [""] * 12, seed=5, **change)
    with pytest.raises(FoldwiseError, match=problem):
        prepare(study(tmp_path, f"data: {{path: ours, external: theirs}}\n{TRAIN}"))
