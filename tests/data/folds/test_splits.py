import csv

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from small_packed import SmallPacked, dataset, segmentation, texture

from foldwise.data.folds.splits import (
    Split,
    check_splits,
    make_splits,
    read_splits,
    split_digest,
    unscored_classes,
    write_splits,
)
from foldwise.data.folds.strata import class_presence, deal, foreground_shares, make_strata
from foldwise.errors import DataError, RunError
from foldwise.study.spec import Validation

NO_PIXELS = None  # a classification never looks at them
MULTILABEL = "multilabel_classification"


def names_of(data):
    return [case.name for case in data.cases]


def cut(data, groups=None, seed=0, packed=NO_PIXELS, **validation):
    return make_splits(
        data, packed, groups=groups or names_of(data), validation=Validation(**validation), seed=seed
    )


def classes_of(count):
    return tuple(f"c{k}" for k in range(count))


def same(first, second):
    parts = ("train", "validation", "test")
    return all(
        np.array_equal(getattr(a, p), getattr(b, p))
        for a, b in zip(first, second, strict=True)
        for p in parts
    )


# ---- properties


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_groups_stay_together_and_every_case_is_tested_once_per_repeat(data):
    folds, repeats = data.draw(st.integers(2, 5)), data.draw(st.integers(1, 3))
    num_groups = data.draw(st.integers(2 * folds, 30))
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=num_groups, max_size=num_groups))
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    labels = [tuple(np.flatnonzero(rng.random(4) < (0.7, 0.4, 0.2, 0.1)).tolist()) for _ in groups]
    cases = dataset(labels, classes_of(4), MULTILABEL)
    held = class_presence(cases, NO_PIXELS)
    assume(max(len({groups[row] for row in np.flatnonzero(held[:, k])}) for k in range(4)) >= folds)
    splits = cut(cases, groups, folds=folds, repeats=repeats)
    assert [(split.repeat, split.fold) for split in splits] == [
        (r, f) for r in range(repeats) for f in range(folds)
    ]
    check_splits(splits, groups, {})
    for repeat in range(repeats):
        tested = np.concatenate([split.test for split in splits if split.repeat == repeat])
        assert sorted(tested) == list(range(len(groups)))
    for split in splits:
        held = [{groups[index] for index in part} for part in (split.train, split.validation, split.test)]
        assert all(held)
        assert not held[0] & (held[1] | held[2])
        assert not held[1] & held[2]
        for part in (split.train, split.validation, split.test):
            assert part.dtype == np.int64
            assert (np.diff(part) > 0).all()


def test_a_fold_never_takes_all_groups_but_one():
    # By size alone, two folds of three images each would leave one group to train on and none to watch.
    groups = ["a", "b", "c", "d", "d", "d"]
    cases = dataset([(0,), (1,), (0,), (1,), (0,), (1,)], classes_of(2), MULTILABEL)
    for seed in range(20):
        for split in make_splits(cases, NO_PIXELS, groups=groups, validation=Validation(folds=2), seed=seed):
            parts = [
                {groups[index] for index in part} for part in (split.train, split.validation, split.test)
            ]
            assert all(parts)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 7), st.integers(1, 5), st.integers(0, 2**32))
def test_single_images_of_the_rarest_class_differ_by_one_at_most(folds, num_classes, seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 2, (folds * 8, num_classes)) * rng.integers(0, 2, (folds * 8, num_classes))
    part = deal(counts, np.ones(len(counts), int), shares=[1 / folds] * folds, rng=rng)
    totals = np.where(counts.sum(0) > 0, counts.sum(0), 10**6)
    rarest = counts[:, totals.argmin()]
    assert np.ptp(np.bincount(part, rarest, minlength=folds)) <= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 5), st.integers(2, 5), st.integers(0, 2**32))
def test_single_labels_are_level_in_every_class_and_in_size(folds, num_classes, seed):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.repeat(np.arange(num_classes), folds), rng.integers(0, num_classes, 37)])
    splits = cut(dataset(labels, classes_of(num_classes)), folds=folds, seed=seed)
    for k in range(num_classes):
        assert np.ptp([(labels[split.test] == k).sum() for split in splits]) <= 1
    assert np.ptp([len(split.test) for split in splits]) <= 1


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(40)))
def test_the_order_on_disk_does_not_matter(order):
    rng = np.random.default_rng(5)
    labels, numbers = rng.integers(0, 3, 40), rng.integers(0, 15, 40)
    names, groups = [f"n{place:02d}" for place in range(40)], [f"g{number}" for number in numbers]
    plain = cut(dataset(labels, classes_of(3), names=names), groups, folds=3, repeats=2)
    mixed_data = dataset(labels[order], classes_of(3), names=[names[k] for k in order])
    mixed = cut(mixed_data, [groups[k] for k in order], folds=3, repeats=2)
    for one, two in zip(plain, mixed, strict=True):
        for part in ("train", "validation", "test"):
            listed = {names[order[index]] for index in getattr(two, part)}
            assert listed == {names[index] for index in getattr(one, part)}


# ---- seeds, repeats, inner validation


def test_the_same_seed_makes_the_same_splits_and_another_seed_others():
    data = dataset([place % 2 for place in range(60)])
    assert same(cut(data, repeats=2), cut(data, repeats=2))
    assert not same(cut(data), cut(data, seed=1))
    first, second = np.array_split(np.array(cut(data, repeats=2), dtype=object), 2)
    assert not same(first, second)


def test_more_repeats_leave_the_first_ones_as_they_were():
    data = dataset([place % 2 for place in range(60)])
    assert same(cut(data), cut(data, repeats=3)[:5])


def test_splits_are_the_same_on_every_machine():
    data = dataset([place % 2 for place in range(12)], names=[f"{place}.png" for place in range(12)])
    split = cut(data, folds=3, seed=7)[0]
    assert split_digest(split, "packed") == "8254bf6527ff7144"


@pytest.mark.parametrize("inner", [0.1, 0.2, 0.33])
def test_inner_validation_is_cut_the_same_way(inner):
    labels = np.array([0] * 150 + [1] * 100 + [2] * 50)
    for split in cut(dataset(labels, classes_of(3)), inner=inner):
        for k in range(3):
            rest = (labels[split.train] == k).sum() + (labels[split.validation] == k).sum()
            assert abs((labels[split.validation] == k).sum() - inner * rest) <= 1


@pytest.mark.parametrize("sizes", [(9, 9, 9), (40, 2, 2), (2, 2, 30, 4)])
def test_few_large_groups_still_have_an_inner_validation(sizes):
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    data = dataset([place % 2 for place in range(len(groups))])
    for split in cut(data, groups, folds=len(sizes)):
        assert len(split.validation)
        assert len(split.train)


def test_the_only_group_of_a_class_stays_in_training():
    groups = ["a", "a", "b", "b", "c", "c", "d", "d"]
    labels = np.array([0, 1, 0, 0, 1, 0, 0, 0])  # class 1 in groups a and c
    for split in cut(dataset(labels), groups, folds=2):
        assert set(labels[split.train]) == {0, 1}
        assert set(labels[split.test]) == {0, 1}


# ---- strata


def test_segmentation_is_level_in_foreground_and_in_classes():
    targets = []
    for place in range(60):
        target = np.zeros((64, 64), np.uint8)
        target[: 1 + place, :32] = 1
        if place % 6 == 0:
            target[:4, 40:] = 2
        targets.append(target)
    packed = SmallPacked([texture(0)] * 60, targets, 3)
    data = segmentation(60, classes=("background", "cell", "nucleus"))
    splits = cut(data, packed=packed)
    share, presence = foreground_shares(packed), class_presence(data, packed)
    assert np.ptp([share[split.test].mean() for split in splits]) < 0.05
    assert [int(presence[split.test, 2].sum()) for split in splits] == [2] * 5
    unstratified = cut(data, packed=packed, stratify=False, seed=2)
    assert np.ptp([share[split.test].mean() for split in unstratified]) > 0.05


def test_foreground_bins_hold_two_images_per_fold_at_least():
    targets = [np.full((8, 8), place % 2, np.uint8) for place in range(12)]
    packed = SmallPacked([texture(0, (8, 8))] * 12, targets, 2)
    strata = make_strata(segmentation(12), packed, folds=5)
    assert strata.shape == (12, 2)
    assert set(strata.sum(axis=1)) <= {1, 2}


def test_images_without_any_label_are_dealt_evenly():
    labels = [()] * 10 + [(0,)] * 25 + [(0, 1)] * 15
    splits = cut(dataset(labels, classes_of(2), MULTILABEL))
    assert [int((split.test < 10).sum()) for split in splits] == [2] * 5


# ---- against an independent implementation


def deviation(labels, tests):
    """Mean over folds of the largest deviation of a class share."""
    whole = np.bincount(labels) / len(labels)
    shares = [np.bincount(labels[test], minlength=len(whole)) / len(test) for test in tests]
    return float(np.mean([np.abs(share - whole).max() for share in shares]))


@pytest.mark.parametrize(
    ("num_images", "num_groups", "num_classes"), [(300, 60, 2), (1000, 80, 5), (247, 130, 4), (500, 25, 3)]
)
def test_grouped_folds_are_as_level_as_those_of_sklearn(num_images, num_groups, num_classes):
    ours, theirs, our_sizes, their_sizes = [], [], [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        groups = rng.integers(0, num_groups, num_images)
        usual = rng.integers(0, num_classes, num_groups)
        labels = np.where(
            rng.random(num_images) < 0.7, usual[groups], rng.integers(0, num_classes, num_images)
        )
        data = dataset(labels, classes_of(num_classes))
        tests = [split.test for split in cut(data, [f"g{group:03d}" for group in groups], seed=seed)]
        other = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(labels, labels, groups)
        other_tests = [test for _, test in other]
        ours.append(deviation(labels, tests))
        theirs.append(deviation(labels, other_tests))
        our_sizes.append(np.ptp([len(test) for test in tests]))
        their_sizes.append(np.ptp([len(test) for test in other_tests]))
    assert np.mean(ours) <= np.mean(theirs) + 0.002
    assert np.mean(our_sizes) <= np.mean(their_sizes)


def test_single_images_are_as_level_as_those_of_sklearn():
    labels = np.random.default_rng(0).choice(4, 203, p=(0.5, 0.3, 0.15, 0.05))
    ours = deviation(labels, [split.test for split in cut(dataset(labels, classes_of(4)))])
    other = StratifiedKFold(5, shuffle=True, random_state=0).split(labels, labels)
    assert ours <= deviation(labels, [test for _, test in other]) + 0.002


# ---- rare classes and folds that cannot be


def test_too_few_groups():
    with pytest.raises(DataError) as caught:
        cut(dataset([0, 1] * 10), [f"child {place % 4}" for place in range(20)])
    assert str(caught.value) == (
        "validate.folds: 5 folds need at least 5 groups, and there are 4\n"
        "  → State validate.folds: 4, or add images of other groups."
    )


def test_two_groups_leave_no_inner_validation():
    with pytest.raises(DataError, match="leaves 1 group of images to train on"):
        cut(dataset([0, 0, 1, 1] * 5), ["a", "b", "a", "b"] * 5, folds=2)


def test_a_class_in_one_group_stops_a_single_label_study():
    with pytest.raises(DataError) as caught:
        cut(dataset([0, 1] * 9 + [2, 2], classes_of(3)), [*map(str, range(18)), "x", "x"])
    assert str(caught.value) == (
        "data: class 'c2' has 2 image(s), all in one group, and cannot be both learned and tested\n"
        "  → Add images of it, merge it with another class, or leave it out (its folder, or its rows)."
    )


def test_basophils_are_not_scored_and_do_not_stop():
    labels = [0] * 20 + [1] * 20 + [2] * 4
    data = dataset(labels, ("neutrophil", "lymphocyte", "basophil"))
    splits = cut(data, [*map(str, range(40)), "x", "x", "y", "z"])
    assert unscored_classes(splits, class_presence(data, NO_PIXELS), names_of(data)) == (2,)
    assert not unscored_classes(cut(data, folds=4), class_presence(data, NO_PIXELS), names_of(data))


def test_a_comparison_needs_two_classes_that_can_be_tested():
    with pytest.raises(DataError) as caught:
        cut(dataset([0] * 20 + [1] * 3))
    assert str(caught.value) == (
        "validate.folds: fewer than two classes are in 5 groups of images or more; too rare (groups): 'other' (3)\n"
        "  → State validate.folds: 3, or add images."
    )


def test_rare_labels_among_several_do_not_stop():
    labels = [(0,)] * 20 + [(0, 1)] * 20 + [(2,)] * 1 + [(0, 3)] * 3
    data = dataset(labels, classes_of(5), MULTILABEL)
    assert unscored_classes(cut(data), class_presence(data, NO_PIXELS), names_of(data)) == (2, 3, 4)
    with pytest.raises(DataError, match="no class is in as many as 5 groups of images"):
        cut(dataset([(0,)] * 4 + [()] * 20, classes_of(2), MULTILABEL))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_every_class_in_groups_enough_is_in_every_fold(seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 40, 150)
    labels = np.where(np.isin(groups, rng.choice(np.unique(groups), 6, replace=False)), 1, 0)
    splits = cut(dataset(labels), [str(group) for group in groups], repeats=2)
    assert all(set(labels[split.test]) == set(labels[split.train]) == {0, 1} for split in splits)


# ---- the check


def three_folds():
    data = dataset([0, 1] * 6)
    return cut(data, folds=3), names_of(data), {"gel": np.arange(12) % 2 == 0}


def spoiled(splits, **changes):
    return (Split(**{**vars(splits[0]), **changes}), *splits[1:])


def test_the_check_finds_what_is_wrong():
    splits, groups, scored = three_folds()
    check_splits(splits, groups, scored)
    train, validation, test = splits[0].train, splits[0].validation, splits[0].test
    with pytest.raises(DataError, match="repeat 0, fold 0: an image is in no part or in two"):
        check_splits(spoiled(splits, train=train[1:]), groups, scored)
    with pytest.raises(DataError, match="a part has no images"):
        check_splits(
            spoiled(splits, validation=validation[:0], train=np.sort(np.append(train, validation))),
            groups,
            scored,
        )
    swapped = spoiled(splits, test=np.append(test[1:], train[0]), train=np.append(train[1:], test[0]))
    with pytest.raises(DataError, match="does not test each image once"):
        check_splits(swapped, groups, {})
    twins = list(groups)
    twins[test[0]] = twins[train[0]]
    with pytest.raises(DataError, match="a group of images is divided"):
        check_splits(splits, twins, scored)
    with pytest.raises(DataError, match="class 'rare' is missing from the test part of repeat 0, fold 0"):
        check_splits(splits, groups, {"rare": np.isin(np.arange(12), train)})


# ---- files


def test_splits_come_back_from_their_file(tmp_path):
    data = dataset([0, 1] * 10, names=[f"a, b/{place}é.png" for place in range(20)])
    splits = cut(data, repeats=2)
    write_splits(tmp_path / "splits.csv", splits, data)
    again = read_splits(tmp_path / "splits.csv")
    assert same(splits, again)
    assert [(s.repeat, s.fold) for s in again] == [(s.repeat, s.fold) for s in splits]
    assert all(part.dtype == np.int64 for part in (again[0].train, again[0].validation, again[0].test))
    with (tmp_path / "splits.csv").open(newline="", encoding="utf-8") as file:
        header, first, *_ = csv.reader(file)
    assert header[:4] == ["case", "name", "repeat 0 fold 0", "repeat 0 fold 1"]
    assert first[:2] == ["0", "a, b/0é.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["splits.csv"]
    assert read_splits(tmp_path / "splits.csv") is again  # a worker reads them at each of its items
    others = cut(data, repeats=2, seed=9)
    write_splits(tmp_path / "splits.csv", others, data)
    assert same(others, read_splits(tmp_path / "splits.csv"))
    assert not same(others, again)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "damaged"),
        ("case,name,repeat 0 fold 0\n0,a,tset\n", "a part is called 'tset'"),
        ("case,name,repeat 0 fold 0\n1,a,test\n", "its cases are not in order"),
        ("case,name,repeat 0 fold 0\n0,a\n", "damaged"),
        ("case,name,fold\n0,a,test\n", "damaged"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text, reason):
    path = tmp_path / "splits.csv"
    path.write_text(text)
    with pytest.raises(RunError, match=reason):
        read_splits(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RunError, match="the file is gone"):
        read_splits(tmp_path / "splits.csv")


def test_the_digest_is_of_the_images_and_their_division():
    split = three_folds()[0][0]
    digest = split_digest(split, "p")
    assert len(digest) == 16
    assert digest == split_digest(Split(3, 4, split.train, split.validation, split.test), "p")
    assert digest != split_digest(split, "q")
    assert digest != split_digest(Split(0, 0, split.validation, split.train, split.test), "p")


# ---- size


def test_thirty_thousand_images_with_28_labels_are_spread_evenly():
    rng = np.random.default_rng(0)
    chances = np.geomspace(0.4, 0.0005, 28)
    labels = [tuple(row.nonzero()[0].tolist()) for row in rng.random((30_000, 28)) < chances]
    data = dataset(labels, classes_of(28), MULTILABEL)
    splits = cut(data, repeats=3)
    presence = class_presence(data, NO_PIXELS)
    counts = np.array([presence[split.test].sum(axis=0) for split in splits[:5]])
    assert np.ptp(counts, axis=0).max() <= 3
    assert np.ptp(counts[:, -1]) <= 1


def test_the_full_label_table_of_the_protein_atlas(shared_data):
    with (shared_data / "hpa_multilabel_mini" / "train_full_labels_31072.csv").open() as file:
        rows = list(csv.DictReader(file))
    labels = [tuple(sorted(map(int, row["Target"].split()))) for row in rows]
    data = dataset(labels, classes_of(28), MULTILABEL, names=[row["Id"] for row in rows])
    splits = cut(data)
    counts = np.array([class_presence(data, NO_PIXELS)[split.test].sum(axis=0) for split in splits])
    assert np.ptp(counts, axis=0).max() <= 1
    assert sorted(counts[:, 27]) == [2, 2, 2, 2, 3]
