"""The same number is written the same way everywhere."""

import re

import pytest
from judged import judge
from tiny_run import CLASSES, Wanted, make_run

from foldwise.judging.verdict_configurations import ScoreEstimate
from foldwise.judging.wording import decimals, ends_of, fixed, rounded, show, with_interval, written
from foldwise.reporting.wording import NOTHING, interval
from foldwise.text import count, in_text


@pytest.mark.parametrize(("half", "digits"), [(0.05, 2), (0.005, 3), (0.3, 2), (0.0004, 4), (0.0, 3)])
def test_digits_follow_the_interval(half, digits):
    assert decimals(half) == digits


@pytest.mark.parametrize(
    ("estimate", "said"), [(0.9964, "0.996"), (1.0, "1.00"), (0.99999, "1.0000"), (0.99, "0.99")]
)
def test_what_is_not_perfect_does_not_read_as_1(estimate, said):
    record = ScoreEstimate(estimate=estimate, low=0.9, high=1.0)
    assert with_interval(record, "95 %").split()[0] == said


def test_small_differences_keep_two_digits():
    shown = [show(value) for value in (0.5, 0.1, 0.0999, 0.043, 0.027, 0.0031, 0.00001, 0.0, -0.021)]
    assert shown == ["0.50", "0.10", "0.10", "0.043", "0.027", "0.0031", "0.00001", "0.00", "−0.021"]


def test_rough_counts():
    assert [rounded(value) for value in (3.4, 19.2, 1748, 99_500)] == ["3", "19", "1,700", "100,000"]
    assert (count(1, "image"), count(30_000, "image")) == ("1 image", "30,000 images")


@pytest.mark.parametrize(
    ("title", "wanted"),
    [
        ("IoU per image", "IoU per image"),
        ("Dice, pooled", "Dice, pooled"),
        ("AUROC", "AUROC"),
        ("F1", "F1"),
        ("Pixel AUROC per image", "pixel AUROC per image"),
        ("Log-loss", "log-loss"),
        ("Matthews correlation", "Matthews correlation"),
        ("Cohen's kappa", "Cohen's kappa"),
    ],
)
def test_titles_within_a_sentence_keep_names_and_abbreviations(title, wanted):
    assert in_text(title) == wanted


def test_a_predictor_that_never_varies_has_no_interval():
    record = ScoreEstimate(estimate=0.5, low=0.5, high=0.5)
    assert with_interval(record, "95 %") == "0.50 (no interval: constant)"
    assert ends_of(record) == ""
    assert interval(0.5, 0.5) == NOTHING


def test_no_interval_is_said():
    record = ScoreEstimate(estimate=0.75, low=None, high=None)
    assert with_interval(record, "95 %") == "0.75 (no interval: too few images)"


@pytest.mark.parametrize("task", CLASSES)
def test_sentence_and_warnings_agree(tmp_path, task):
    verdict = judge(make_run(tmp_path / "run", Wanted(task=task, skills=(0.9, 0.9, 0.9, 0.9))))
    told = {caution["code"]: caution["message"] for caution in verdict["warnings"]}
    sentence = verdict["answer"]["sentence"]
    detectable = re.search(r"below about ([\d.]+\d)", sentence)[1]
    assert f"below about {detectable} would probably have been missed (80 % power)" in told.get(
        "NOT_DISTINGUISHABLE", sentence
    )
    if "SELECTION_OPTIMISM" in told:
        estimate = re.search(r"([\d.]+) \(95 % interval", sentence)[1]
        freed = re.search(
            rf"the choice, {estimate} (?:becomes about ([\d.]+)|is about [\d.]+ too good) \(",
            told["SELECTION_OPTIMISM"],
        )[1]
        assert freed != estimate


@pytest.mark.parametrize("value", [0.275, 0.27499999999999997, 0.275 + 1e-16])
def test_a_score_is_written_in_one_way_whatever_its_last_digits(value):
    """The estimate of a leaderboard and the same score before its correction differ by rounding alone."""
    score = ScoreEstimate(estimate=value, low=0.2, high=0.35)
    assert (written(score), fixed(value, 2), ends_of(score)) == ("0.28", "0.28", "0.20 to 0.35")
    assert with_interval(score, "95 %") == "0.28 (95 % interval 0.20 to 0.35)"


def test_without_an_interval_a_table_and_a_sentence_have_the_same_digits():
    score = ScoreEstimate(estimate=0.0812, low=None, high=None)
    assert written(score) == "0.081"
    assert with_interval(score, "95 %").startswith("0.081 (")


@pytest.mark.parametrize("low", [0.03, 0.0004, 0.00004, 0.0000004])
def test_no_end_that_is_not_0_reads_as_0(low):
    assert float(show(low)) > 0


@pytest.mark.parametrize(
    ("estimate", "low", "high", "said"),
    [
        (1e-5, 8e-6, 1.3e-5, "0.000010 (95 % interval 0.000008 to 0.000013)"),
        (4.2e-7, 4.1e-7, 4.4e-7, "0.00000042 (95 % interval 0.00000041 to 0.00000044)"),
        (0.0004, 0.0003, 0.0005, "0.0004 (95 % interval 0.0003 to 0.0005)"),
        (0.0, -0.1, 0.1, "0.00 (95 % interval −0.10 to 0.10)"),
    ],
)
def test_a_tiny_error_is_not_written_as_0(estimate, low, high, said):
    assert with_interval(ScoreEstimate(estimate=estimate, low=low, high=high), "95 %") == said
