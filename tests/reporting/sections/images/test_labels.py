"""Which labels come together, against NumPy and against the known numbers of a public table."""

import csv

import numpy as np
import pytest
import sklearn.metrics as oracle
from repository import ROOT

from foldwise.judging.scores.baselines import commonest
from foldwise.reporting.sections.images.data_card import num_sets, per_image, phi, strongest

TABLE = ROOT.parent / "shared/data/hpa_multilabel_mini/train_full_labels_31072.csv"


def test_phi_is_the_correlation_of_numpy_and_the_phi_coefficient():
    labels = np.random.default_rng(0).random((50, 4)) < [0.5, 0.3, 0.1, 0.6]
    assert phi(labels) == pytest.approx(np.corrcoef(labels.T.astype(float)))
    assert phi(labels)[0, 2] == pytest.approx(oracle.matthews_corrcoef(labels[:, 0], labels[:, 2]))


def test_a_label_that_all_or_none_have_correlates_with_nothing():
    labels = np.array([[1, 1, 0, 1], [1, 0, 0, 0], [1, 1, 0, 1]], dtype=bool)
    assert np.isnan(phi(labels)[0]).all()
    assert np.isnan(phi(labels)[:, 2]).all()
    together, apart = strongest(labels, 5)
    assert [(pair.a, pair.b, pair.together) for pair in together] == [(1, 3, 2)]
    assert together[0].phi == pytest.approx(1)
    assert apart == []


def test_sets_and_numbers_of_labels():
    labels = np.array([[1, 1, 0], [0, 0, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)
    assert num_sets(labels) == 3
    assert per_image(labels).tolist() == [1, 1, 2]


@pytest.mark.skipif(not TABLE.exists(), reason="the public table is not here")
def test_the_labels_of_the_human_protein_atlas():
    with TABLE.open(newline="") as file:
        targets = [[int(k) for k in row["Target"].split()] for row in csv.DictReader(file)]
    labels = np.zeros((31_072, 28), dtype=bool)
    for place, target in enumerate(targets):
        labels[place, target] = True
    correlation = phi(labels)
    known = {(9, 10): 0.789, (16, 17): 0.223, (0, 4): -0.186, (23, 25): -0.146}
    assert {pair: round(correlation[pair], 3) for pair in known} == known
    assert labels.sum(axis=1).mean() == pytest.approx(1.634, abs=5e-4)
    assert num_sets(labels) == 577
    assert per_image(labels).tolist() == [0, 15126, 12485, 3160, 299, 2]
    assert [(pair.a, pair.b) for pair in strongest(labels, 1)[0]] == [(9, 10)]
    share = labels.mean(axis=0)
    assert np.flatnonzero(commonest(share)).tolist() == [0, 25]
    for said, macro in ((np.ones_like(labels), 0.0996), (np.tile(commonest(share) > 0, (31_072, 1)), 0.036)):
        found = oracle.f1_score(labels, said, average="macro", zero_division=0)
        assert found == pytest.approx(macro, abs=5e-4)
