"""The bench of differences that are foretold: what is near, and what its table says."""

import pytest

from benchmarks.foretold import ROOT, table
from benchmarks.foretold_difference import HEAD, Row, measure


@pytest.mark.parametrize(
    ("seen", "ratio", "near"),
    [(0.03, 1.0, True), (0.01, 0.5, True), (0.009, 0.45, False), (0.13, 2.6, False)],
)
def test_a_verdict_is_near_within_a_factor_of_two_of_what_lies_between(seen, ratio, near):
    row = Row("demo", "", 0.02, 0.05, seen)
    assert row.ratio == pytest.approx(ratio)
    assert row.is_near == near
    assert (" * |" in table(HEAD, [row])) != near


def test_a_study_is_foretold_run_and_compared():
    row = measure(
        "demo", ROOT / "studies/2-losses.yaml", variants=("quick",), changes=("train.epochs=1", "look=null")
    )
    assert 0 < row.easy < row.middling
    assert row.seen > 0
    assert len(row.cells) == len(HEAD)
