"""Texts as sentences, and the numbers in them by what they are said to be."""

import pytest

from foldwise.judging.claim_check.reading import quantities, sentences


def test_headings_tables_pictures_and_code_are_no_sentences():
    text = "# A 90 % title\n\n| a | 0.9 |\n|---|---|\n\n![x](y.png)\n\n```\nfoldwise run\n```\nOne. Two!\n"
    assert [(one.line, one.text) for one in sentences(text)] == [(11, "One."), (11, "Two!")]


def test_lines_of_a_paragraph_belong_together_and_items_do_not():
    text = "First line of a\nsentence. Second one.\n* An item\n* Another item, e.g. with vs. in it"
    assert [(one.line, one.text) for one in sentences(text)] == [
        (1, "First line of a sentence."),
        (2, "Second one."),
        (3, "An item"),
        (4, "Another item, e.g. with vs. in it"),
    ]


def test_links_and_emphasis_leave_their_words():
    (one,) = sentences("The **best** `resnet18` of [this page](https://a.b) has a_long_name and −0.5.")
    assert one.text == "The best resnet18 of this page has a_long_name and -0.5."


def test_a_sentence_may_begin_with_a_small_letter():
    assert [one.text for one in sentences("It is so (0.91). adam (lr 0.1) leads.")] == [
        "It is so (0.91).",
        "adam (lr 0.1) leads.",
    ]


@pytest.mark.parametrize(
    ("said", "kind", "low", "high", "percent"),
    [
        ("reached 86.4 %", "score", 86.4, 86.4, True),
        ("reached 86 percent", "score", 86, 86, True),
        ("reached 0.864", "score", 0.864, 0.864, False),
        ("from 77.27-86.36%", "score", 77.27, 86.36, True),
        ("from 0.77 to 0.86", "score", 0.77, 0.86, False),
        ("better by 3 points", "difference", 3, 3, True),
        ("better by about 0.03", "difference", 0.03, 0.03, False),
        ("improvements of 3-15%", "difference", 3, 15, True),
        ("a difference in accuracy of 4.5 %", "difference", 4.5, 4.5, True),
        ("(95 % interval 0.87 to 0.94)", "interval", 0.87, 0.94, False),
        ("(95% CI: 87.1–94.0 %)", "interval", 87.1, 94.0, True),
        ("95 % confidence interval [0.87, 0.94]", "interval", 0.87, 0.94, False),
        ("took 38-44 mins", "score", 38, 44, False),
    ],
)
def test_numbers_by_what_they_are(said, kind, low, high, percent):
    (one,) = quantities(said)
    assert (one.kind, one.low, one.high, one.percent) == (kind, low, high, percent)


@pytest.mark.parametrize(
    "said",
    [
        "p = 0.03",
        "with 95 % confidence",
        "in 8 of 12 pairs",
        "24 models",
        "a learning rate of 0.001",
        "within 0.01",
        "46 % of the images",
        "a difference below about 0.03",
        "version 2.5",
        "the 3rd run",
    ],
)
def test_what_is_no_score_is_left_out(said):
    assert quantities(said) == []


def test_an_interval_belongs_to_its_number():
    score, interval = quantities("Dice 0.91 (95 % interval 0.87 to 0.94) on new images")
    assert (score.kind, interval.kind) == ("score", "interval")
    assert interval.start - score.end < 8


@pytest.mark.parametrize(
    ("said", "value", "is_so"),
    [("0.91", 0.914, True), ("0.91", 0.9151, False), ("about 0.91", 0.92, True), ("about 0.91", 0.93, False)],
)
def test_a_number_stands_for_all_that_round_to_it(said, value, is_so):
    (one,) = quantities(f"it was {said}")
    assert (abs(value - one.low) <= one.tolerance(one.low)) == is_so


def test_each_end_of_an_interval_has_its_own_digits():
    (one,) = quantities("(95 % interval 0.0018 to 0.23)")
    assert one.digits == (4, 2)
    assert one.tolerance(one.low) < one.tolerance(one.high)
