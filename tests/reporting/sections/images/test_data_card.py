"""The data card: splits of the folds as medians with ranges, copies, and a sample."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from foldwise.reporting.report_data import CaseRow, ReportData
from foldwise.reporting.sections.images.data_card import _statistics, copies, spread_out


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
