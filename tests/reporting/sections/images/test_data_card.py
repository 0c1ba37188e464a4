"""The data card: splits of the folds as medians with ranges, copies, a sample, and which labels come together."""

import csv
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.metrics as oracle
from repository import ROOT

from foldwise.judging.scores.baselines import commonest
from foldwise.reporting.report_data import CaseRow, ReportData
from foldwise.reporting.sections.images.data_card import (
    _statistics,
    copies,
    num_sets,
    per_image,
    phi,
    spread_out,
    strongest,
)

TABLE = ROOT.parent / "shared/data/hpa_multilabel_mini/train_full_labels_31072.csv"


def row(part, fold, images, pixels, mean):
    counts = {"pixels ground": pixels[0], "pixels cell": pixels[1]}
    told = {"repeat": "0", "fold": fold, "part": part, "images": images, "groups": images, **counts}
    return {key: str(value) for key, value in (told | {"mean 1": mean, "std 1": 2.5}).items()}


ROWS = [
    row("all", "", 30, (9_000_000, 1_000_000), 100.123),
    *(row("train", k, 18 + k, (5000 + k, 500), 90.0 + k) for k in range(3)),
    *(row("validation", k, 3, (700, 300), 80.0) for k in range(3)),
    *(row("test", k, 9 - k, (12_345, 10), 2000.0) for k in range(3)),
]


def table(rows):
    return _statistics(SimpleNamespace(statistics=rows))


def test_every_cell_is_the_median_of_the_folds_with_its_range():
    made = table(ROWS)
    assert made["splits"] == ["all", "training", "validation", "test"]
    assert made["folds"] == 3
    cells = {row["name"]: row["cells"] for row in made["rows"]}
    assert cells == {
        "images": ["30", "19 (18–20)", "3", "8 (7–9)"],
        "groups": ["30", "19 (18–20)", "3", "8 (7–9)"],
        "pixels of ground": ["9\u00a0M", "5001 (5000–5002)", "700", "12.3\u00a0k"],
        "pixels of cell": ["1\u00a0M", "500", "300", "10"],
        "intensity": ["100 ± 2.5", "91 (90–92) ± 2.5", "80 ± 2.5", "2000 ± 2.5"],
    }


def test_a_share_is_of_all_pixels():
    shares = {row["name"]: row["share"] for row in table(ROWS)["rows"]}
    assert shares == {
        "images": "",
        "groups": "",
        "pixels of ground": "90.0\u00a0%",
        "pixels of cell": "10.0\u00a0%",
        "intensity": "",
    }


def test_a_run_without_numbers_has_no_table():
    assert table([]) is None
    assert table(ROWS[:4]) is None


def test_a_sample_takes_turns_over_classes():
    chosen = spread_out(range(20), ["a"] * 18 + ["b"] * 2, 4)
    assert len(chosen) == 4
    assert len(set(chosen) & {18, 19}) == 2
    assert spread_out([0], ["a"], 12) == [0]
    assert spread_out([], [], 12) == []


def test_pictures_that_are_in_the_data_more_than_once_are_shown_together():
    class Images:
        def image(self, index):
            return np.full((1, 8, 8), 20 * index, np.uint8)

    cases = [CaseRow(n, f"{n}.png", (0,), "", 8, 8, "L", "PNG") for n in range(12)]
    finding = {
        "alike": [["0.png", "3.png"], ["1.png", "5.png", "6.png"], *(["2.png", "4.png"] for _ in range(4))]
    }
    data = ReportData(None, None, cases, {"findings": [{}, finding]}, {}, "", images=Images())
    shown, number = copies(data)
    assert [[picture.words for picture in one] for one in shown[:2]] == [
        ["0.png", "3.png"],
        ["1.png", "5.png", "6.png"],
    ]
    assert (len(shown), number) == (4, 6)
    assert len({picture.source for one in shown[:2] for picture in one}) == 5
    assert copies(replace(data, images=None)) == copies(replace(data, audit={})) == ([], 0)


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
