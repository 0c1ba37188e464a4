import pytest

from foldwise.judging.verdict_configurations import ScoreEstimate
from foldwise.reporting import wording as words


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.score(0.8577), "0.858"),
        (words.score(-0.2), "−0.200"),
        (words.score(None), "–"),
        (words.score(float("nan")), "–"),
        (words.score(True), "–"),
        (words.difference(0.0041), "+0.0041"),
        (words.difference(-0.0214), "−0.021"),
        (words.difference(-0.00001), "−0.00001"),
        (words.difference(-1e-12), "0.00"),
        (words.interval(0.8, 0.9), "0.80 to 0.90"),
        (words.interval(0.8, 0.804), "0.800 to 0.804"),
        (words.difference_interval(-0.26, 0.12), "−0.26 to +0.12"),
        (words.difference_interval(None, None), "–"),
        (words.shown(0.0213), "0.021"),
        (words.estimate(ScoreEstimate(estimate=0.6559, low=0.44, high=0.82)), "0.66"),
        (words.estimate(ScoreEstimate(estimate=0.6559, low=None, high=None)), "0.66"),
        (words.estimate(ScoreEstimate(estimate=None, low=None, high=None)), "–"),
        (words.interval(None, 0.9), "–"),
        (words.percent(0.712), "71\u00a0%"),
        (words.percent(0.001), "<1\u00a0%"),
        (words.percent(0.999), ">99\u00a0%"),
        (words.percent(1.0), "100\u00a0%"),
        (words.p_value(0.0391), "p = 0.039"),
        (words.p_value(0.21), "p = 0.21"),
        (words.p_value(0.0001), "p < 0.001"),
        (words.duration(0.42), "0.4\u00a0s"),
        (words.duration(59.6), "1\u00a0min"),
        (words.duration(200), "3\u00a0min 20\u00a0s"),
        (words.duration(7500), "2\u00a0h 5\u00a0min"),
        (words.brief_duration(92), "92\u00a0s"),
        (words.brief_duration(156), "2.6\u00a0min"),
        (words.brief_duration(7200), "2.0\u00a0h"),
        (words.milliseconds(12.26), "12"),
        (words.milliseconds(4.24), "4.2"),
        (words.milliseconds(0.424), "0.42"),
        (words.memory(1710), "1.7\u00a0GB"),
        (words.energy(1.8), "0.50\u00a0mWh"),
        (words.energy(90), "25\u00a0mWh"),
        (words.energy(3060), "0.85\u00a0Wh"),
        (words.energy(43_200), "12\u00a0Wh"),
        (words.energy(5.04e6), "1.4\u00a0kWh"),
        (words.energy(None), "–"),
        (words.memory(420), "420\u00a0MB"),
        (words.amount(5_100_000), "5.1\u00a0M"),
        (words.amount(850), "850"),
        (words.day("2026-11-20T10:00:00+00:00"), "20 Nov 2026"),
        (words.plain("dice_img"), "Dice per image"),
        (words.in_text("Balanced accuracy"), "balanced accuracy"),
        (words.in_text("AUROC"), "AUROC"),
        (words.in_text("Dice per image"), "Dice per image"),
    ],
)
def test_numbers_are_written_for_a_reader(said, expected):
    assert said == expected


def test_a_long_sentence_is_cut_at_a_clause_or_a_word():
    assert words.clipped("Short. And more.", 40) == "Short"
    assert (
        words.clipped("Only twelve groups were there: intervals are wide", 40)
        == "Only twelve groups were there"
    )
    assert words.clipped("word " * 30, 20) == "word word word…"


def test_a_name_may_be_broken_and_is_escaped():
    assert words.breakable("smp:unet/<b>") == "smp:<wbr>unet/&lt;b&gt;"
