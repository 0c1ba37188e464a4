"""Which images are the hardest, and how far configurations differ at every pixel of a watched image."""

from itertools import combinations

import numpy as np
import pytest
from judged import judge
from tiny_run import Wanted, make_run
from trained_runs import trained

from foldwise.judging.curves import read_curves
from foldwise.judging.judge import verdict_now
from foldwise.judging.scores import image_comparison
from foldwise.judging.scores.curve_scores import curves_of, decisions
from foldwise.judging.scores.image_comparison import compare_images, disagreement, minority, through_training


def judged(root, task, skills=(1.0, 0.9, 0.8), **changes):
    """The verdict, the rows, and for every configuration what it predicts of every image."""
    folder = make_run(root / "run", Wanted(task, skills, **changes))
    verdict, rows = verdict_now(folder)
    return verdict, rows, [result.id for result in verdict.configurations]


def test_images_that_most_get_wrong_come_first(tmp_path):
    verdict, rows, ids = judged(tmp_path, "multiclass_classification", skills=(0.5, 0.4, 0.3))
    compared = curves_of(rows, verdict).images
    predicted = np.array([[rows.probabilities(id)[case].argmax() for case in range(48)] for id in ids])
    right = (predicted == rows.truth.argmax(axis=1)).mean(axis=0)
    leading = sum(result.could_be_best for result in verdict.configurations)
    assert (compared.num, compared.num_leading) == (3, leading)
    assert leading > 1
    assert {image.case for image in compared.hardest} == set(np.flatnonzero(right < 1).tolist())
    assert [image.ease for image in compared.hardest] == sorted(right[right < 1].tolist())
    for image in (*compared.hardest, *compared.disputed):
        counts = np.bincount(predicted[:, image.case], minlength=3)
        assert image.apart == pytest.approx(1 - counts.max() / 3)
        assert dict(image.votes) == {k: num for k, num in enumerate(counts.tolist()) if num}
        assert image.ends is None
    assert all(image.apart > 0 for image in compared.disputed)
    apart = [image.apart for image in compared.disputed]
    assert apart == sorted(apart, reverse=True)


def test_where_all_are_right_no_image_is_hard(tmp_path):
    verdict, rows, ids = judged(tmp_path, "binary_classification")
    perfect = dict(enumerate(rows.truth))
    compared = compare_images(rows, verdict, {}, dict.fromkeys(ids, perfect))
    assert (compared.hardest, compared.disputed) == ((), ())


def test_masks_are_ordered_by_their_median_and_by_the_spread_of_those_that_could_be_best(tmp_path):
    verdict, rows, ids = judged(tmp_path, "binary_segmentation")
    words = ("winner", "worse", "could be best")
    records = verdict.dump()["configurations"]
    named = [record | {"verdict": word} for record, word in zip(records, words, strict=True)]
    verdict = type(verdict).load(verdict.dump() | {"configurations": named})
    curves = curves_of(rows, verdict)
    scores = np.array([[curves.image_scores[id].get(case, np.nan) for case in range(48)] for id in ids])
    medians, compared = np.median(scores, axis=0), curves.images
    assert [image.ease for image in compared.hardest] == sorted(medians[np.isfinite(medians)].tolist())
    first = compared.hardest[0]
    assert first.ends == (scores[:, first.case].min(), scores[:, first.case].max())
    assert (first.votes, compared.num_leading) == ((), 2)
    far = np.abs(scores[0] - scores[2])
    assert [image.apart for image in compared.disputed] == sorted(far[far > 0].tolist(), reverse=True)[:12]


def test_of_several_labels_it_counts_who_says_what(tmp_path):
    verdict, rows, ids = judged(tmp_path, "multilabel_classification", skills=(0.5, 0.4, 0.3))
    compared = curves_of(rows, verdict).images
    for image in compared.hardest:
        decided = np.array([decisions(rows, id)[image.case] for id in ids])
        assert dict(image.votes) == {k: num for k, num in enumerate(decided.sum(axis=0).tolist()) if num}
        assert [num for _, num in image.votes] == sorted((num for _, num in image.votes), reverse=True)
        counts = decided.sum(axis=0)
        assert image.apart == pytest.approx(np.mean(1 - np.maximum(counts, 3 - counts) / 3))


def test_of_very_many_the_best_are_compared_and_one_is_not(tmp_path, monkeypatch):
    verdict, rows, _ = judged(tmp_path, "binary_classification")
    monkeypatch.setattr(image_comparison, "MAX_COMPARED", 2)
    assert curves_of(rows, verdict).images.num == 2
    verdict, rows, _ = judged(tmp_path / "single", "binary_classification", skills=(1.0,))
    assert curves_of(rows, verdict).images is None


def test_the_minority_is_who_does_not_say_what_most_say():
    predicted = np.array([[0, 1, 2], [0, 1, 1], [0, 0, 0], [0, 1, 2]])
    assert minority(predicted).tolist() == [0, 0.25, 0.5]
    every = np.random.default_rng(0).integers(0, 3, (7, 40))
    counted = [1 - max(column.tolist().count(k) for k in range(3)) / 7 for column in every.T]
    assert minority(every) == pytest.approx(np.array(counted))


def by_epoch(epochs, classes_EHW):
    return dict(zip(epochs, np.array(classes_EHW, np.uint8), strict=True))


def test_a_network_that_stopped_says_what_it_said():
    compared = through_training([
        by_epoch([1, 2, 4], [[[0, 0], [0, 0]], [[0, 1], [0, 0]], [[0, 1], [1, 1]]]),
        by_epoch([1, 2], [[[1, 0], [0, 0]], [[0, 0], [0, 1]]]),
    ])  # fmt: skip
    assert (compared.num, compared.epochs) == (2, (1, 2, 4))
    wanted = ([[0.5, 0], [0, 0]], [[0, 0.5], [0, 0.5]], [[0, 0.5], [0.5, 0]])
    np.testing.assert_array_equal(compared.shares_EHW, wanted)


def test_epochs_that_few_watched_are_left_out_but_not_the_last():
    networks = [by_epoch(epochs, [[[0]], [[0]]]) for epochs in ((1, 5), (1, 6), (1, 9))]
    assert through_training(networks).epochs == (1, 9)


def test_a_single_network_and_other_sizes_are_not_compared():
    small, wide = by_epoch([1], [[[0, 1]]]), by_epoch([1], [[[0, 1, 1]]])
    assert through_training([small]) is None
    assert through_training([small, wide]) is None
    assert through_training([small, wide, small]).num == 2


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run of three configurations whose first folds watched two images; of one of them they see noise."""
    from make_run import Wanted as Pictured
    from make_run import make_run as pictured

    root = tmp_path_factory.mktemp("disagreement")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLDWISE_CACHE", str(root / "cache"))
        wanted = Pictured("cells", {"loss": ["dice", "focal", "cross_entropy"]}, (0.5, 1.6, 1.0), "Apart", images=10, size=40, folds=2)  # fmt: skip
        folder, packed = pictured(root / "run", wanted)
        trained(folder, packed, strides={3: 1, 1: 1})
    rng = np.random.default_rng(5)
    for path in sorted(folder.root.glob("done/*/watched.npz")):
        with np.load(path) as arrays:
            noisy = dict(arrays)
        np.savez(path, **noisy | {"1": rng.random(noisy["1"].shape).astype(np.float16)})
    return folder


def test_all_configurations_that_were_watched_are_compared_and_written(watched):
    judge(watched)
    compared = read_curves(watched.curves).disagreement
    predicted = []
    for path in sorted(watched.root.glob("done/*/watched.npz")):
        with np.load(path) as arrays:
            predicted.append(arrays["1"].argmax(axis=1))
    pairs = np.sum([a != b for a, b in combinations(predicted, 2)], axis=0)
    share = np.choose(pairs, [0, np.nan, 1 / 3, 2 / 3])  # of 3: all alike, two alike, or none
    assert set(compared) == {1, 3}
    assert (compared[1].num, compared[1].epochs) == (3, (1, 2, 4, 5))
    np.testing.assert_allclose(compared[1].shares_EHW, share)


def test_a_configuration_whose_fold_failed_is_not_counted(watched):
    verdict, rows = verdict_now(watched)
    first = verdict.configurations[0].id
    for fit in rows.fits_of(first):
        fit.result["best_epoch"] = None
    assert {compared.num for compared in disagreement(rows, verdict).values()} == {2}
