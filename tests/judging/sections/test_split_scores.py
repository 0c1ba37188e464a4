"""Precision, recall and F1 of the three parts against scikit-learn."""

import json

import numpy as np
import pytest
from judged import judge
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix, precision_recall_fscore_support
from tiny_run import CLASSES, Wanted, make_run

from foldwise.judging.scores.rows import read_rows
from foldwise.judging.sections.configurations import precision_recall, scores_by_split

NAMES = ("a", "b", "c", "d")


def measured(counts, classes):
    return precision_recall(counts, classes).model_dump()


def plain(values):
    """None as nan."""
    return [np.nan if value is None else value for value in values]


def drawn(seed, n=60, classes=4):
    """Labels, where some class is likely to be never there or never predicted."""
    rng = np.random.default_rng(seed)
    true = rng.choice(classes, n, p=rng.dirichlet(np.full(classes, 0.4)))
    said = np.where(rng.random(n) < 0.6, true, rng.choice(classes, n, p=rng.dirichlet(np.full(classes, 0.4))))
    return true, said


@pytest.mark.parametrize("seed", range(30))
def test_every_number_is_that_of_scikit_learn(seed):
    true, said = drawn(seed)
    got = measured(confusion_matrix(true, said, labels=range(4)), NAMES)
    wanted = precision_recall_fscore_support(true, said, labels=range(4), zero_division=np.nan)
    for name, *values in zip(NAMES, *wanted, strict=True):
        np.testing.assert_allclose(plain(got["classes"][name].values()), values)
    there = sorted({*true.tolist(), *said.tolist()})
    as_none = precision_recall_fscore_support(true, said, labels=there, average=None, zero_division=np.nan)
    as_0 = precision_recall_fscore_support(true, said, labels=there, average=None, zero_division=0)
    macro = {"precision": as_0[0].mean(), "recall": np.nanmean(as_none[1]), "f1": as_0[2].mean()}
    assert got["macro"] == pytest.approx(macro)
    weighted = precision_recall_fscore_support(true, said, average="weighted", zero_division=0)
    assert got["weighted"] == pytest.approx(
        dict(zip(("precision", "recall", "f1"), weighted[:3], strict=True))
    )


@pytest.mark.parametrize("seed", range(10))
def test_several_labels_are_questions_of_their_own(seed):
    rng = np.random.default_rng(seed)
    true, said = rng.random((30, 4)) < [0.5, 0.2, 0.02, 0.4], rng.random((30, 4)) < [0.5, 0.1, 0.3, 0.02]
    got = measured(multilabel_confusion_matrix(true, said), NAMES)
    wanted = precision_recall_fscore_support(true, said, zero_division=np.nan)
    for name, *values in zip(NAMES, *wanted, strict=True):
        np.testing.assert_allclose(plain(got["classes"][name].values()), values)


def test_what_is_nothing_by_nothing_is_not_known():
    got = measured(np.array([[5, 0, 0], [3, 0, 0], [0, 0, 0]]), ("a", "never said", "nowhere"))
    assert got["classes"]["never said"]["precision"] is None
    assert got["classes"]["never said"]["recall"] == 0
    assert all(got["classes"]["nowhere"][key] is None for key in ("precision", "recall", "f1"))
    assert got["macro"]["precision"] == pytest.approx((5 / 8 + 0) / 2)  # never said of one that is there: 0
    assert measured(np.zeros((2, 2), int), ("a", "b"))["macro"]["f1"] is None


def with_counts(folder, part_of):
    """Add to every fit of a run the counts of the two parts that it was not tested on."""
    for path in folder.root.glob("done/*/scores.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            kept = dict(arrays)
        np.savez(path, **kept, **{f"{part}_confusion": counts for part, counts in part_of.items()})


@pytest.mark.parametrize("task", CLASSES)
def test_the_verdict_pools_every_part_over_folds_and_repeats(tmp_path, task):
    folder = make_run(tmp_path / "run", Wanted(task=task, repeats=2))
    K = len(CLASSES[task])
    several = task == "multilabel_classification"
    rng = np.random.default_rng(0)
    counts = {part: rng.integers(1, 9, (K, 2, 2) if several else (K, K)) for part in ("train", "validation")}
    with_counts(folder, counts)
    rows = read_rows(folder)
    one = json.loads(json.dumps(judge(folder)))["configurations"][0]
    for part, matrix in counts.items():
        assert one["split_scores"][part] == measured(6 * matrix, CLASSES[task])  # 3 folds, 2 repeats
    outputs = [rows.outputs(one["id"], repeat) for repeat in (0, 1)]
    if task.endswith("segmentation"):
        tested = sum(part.confusion.sum(0) for part in outputs)
    elif several:
        tested = sum(multilabel_confusion_matrix(part.truth, part.probabilities >= 0.5) for part in outputs)
    else:
        said = [(part.truth.argmax(1), part.probabilities.argmax(1)) for part in outputs]
        tested = sum(confusion_matrix(*pair, labels=range(K)) for pair in said)
    assert one["split_scores"]["test"] == measured(tested, CLASSES[task])


def test_fits_that_counted_no_other_part_have_none(tmp_path):
    folder = make_run(tmp_path / "run", Wanted())
    rows = read_rows(folder)
    assert scores_by_split(rows, rows.configurations[0].id) is None
    assert judge(folder)["configurations"][0]["split_scores"] is None
