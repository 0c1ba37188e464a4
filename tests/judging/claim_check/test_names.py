"""Texts as sentences, and sentences as tokens: names, metrics and numbers of the report, and words."""

import pytest
from results_to_claim import seed_table

from foldwise.judging.claim_check.check import sentences
from foldwise.judging.claim_check.names import Name, Number, lexicon_of, tokens_of
from foldwise.judging.claim_check.table import open_report


@pytest.fixture(scope="module")
def lexicon(tmp_path_factory):
    path = tmp_path_factory.mktemp("seed") / "results.csv"
    path.write_text(seed_table(), encoding="utf-8")
    return lexicon_of(open_report(path), {"TPU": "gpu"})


def test_headings_tables_pictures_and_code_are_no_sentences():
    text = "# A 90 % title\n\n| a | 0.9 |\n|---|---|\n\n![x](y.png)\n\n```\nfoldwise run\n```\nOne. Two!\n"
    assert list(sentences(text)) == [(11, "One."), (11, "Two!")]


def test_lines_of_a_paragraph_belong_together_and_items_do_not():
    text = "First line of a\nsentence. Second one.\n* An item\n* Another item, e.g. with vs. in it"
    assert list(sentences(text)) == [
        (1, "First line of a sentence."),
        (2, "Second one."),
        (3, "An item"),
        (4, "Another item, e.g. with vs. in it"),
    ]


def test_links_and_emphasis_leave_their_words():
    ((_, sentence),) = sentences(
        "The **best** `resnet18` of [this page](https://a.b) has a_long_name and −0.5."
    )
    assert sentence == "The best resnet18 of this page has a_long_name and -0.5."


def test_signs_of_html_and_indentation_are_text():
    ((_, sentence),) = sentences("    The <script>alert(1)</script> & b < c of it.")
    assert sentence == "The <script>alert(1)</script> & b < c of it."


def test_a_sentence_may_begin_with_a_small_letter():
    assert [text for _, text in sentences("It is so (0.91). adam (lr 0.1) leads.")] == [
        "It is so (0.91).",
        "adam (lr 0.1) leads.",
    ]


@pytest.mark.parametrize(
    ("sentence", "tokens"),
    [
        ("The ResNet-18 is better than VGG16.", "N is better than N"),
        ("ResNet18s and vgg-16", "N and N"),
        ("Multi-layer heads beat single layers", "N beat N"),
        ("models 7, 8 and 20", "N , N and N"),
        ("Model ID 16 (#4)", "N « N »"),
        ("the TPU of the opt_alg", "N of F"),
        ("an accuracy of 77.27-86.36%", "M of D to D"),
        ("better by 3 points", "better by D"),
        ("accuracies cannot be 1,024", "M could not be D"),
        ("VGG16-large", "N - large"),
        ("vgg, 16 and resnet ≈ 18", "vgg , D and resnet ≈ D"),
        ("mobilenet v3", "N"),
        ("a Dice of p<0.05", "M of p < D"),
    ],
)
def test_what_a_sentence_names(lexicon, sentence, tokens):
    read = tokens_of(sentence, lexicon)
    assert " ".join(word[0] if word in read.slots else word for word in read.words) == tokens


def test_a_common_word_is_a_name_only_beside_its_factor(tmp_path):
    rows = "model,augment,depth,accuracy\na,no,18,90%\na,all,18,91%\nb,no,34,92%\nb,all,34,93%\n"
    (tmp_path / "t.csv").write_text(rows, encoding="utf-8")
    lexicon = lexicon_of(open_report(tmp_path / "t.csv"), {})
    for sentence, num in (
        ("no beats all", 0),
        ("augment no beats augment all", 2),
        ("depth 18 is", 1),
        ("18 is", 0),
    ):
        assert sum(isinstance(value, Name) for value in tokens_of(sentence, lexicon).slots.values()) == num


@pytest.mark.parametrize(
    ("printed", "value", "is_so"),
    [
        ("0.91", 0.914, True),
        ("0.91", 0.9151, False),
        ("91 %", 0.9149, True),
        ("91.0 percent", 0.9151, False),
        ("91", 0.9149, True),
        ("-0.036", -0.0361, True),
    ],
)
def test_a_number_stands_for_all_that_round_to_it(lexicon, printed, value, is_so):
    (number,) = tokens_of(printed, lexicon).slots.values()
    assert isinstance(number, Number)
    (measure,) = lexicon["accuracy"]
    assert number.agrees(measure, value) == is_so


def test_roughly_allows_one_in_the_last_digit(lexicon):
    (number,) = tokens_of("0.91", lexicon).slots.values()
    (measure,) = lexicon["accuracy"]
    assert number.agrees(measure, 0.92, roughly=True)
    assert not number.agrees(measure, 0.93, roughly=True)


def test_the_ends_of_a_range_share_their_unit_and_keep_their_digits(lexicon):
    low, high = tokens_of("77-86.36 %", lexicon).slots.values()
    assert (low.percent, high.percent, low.digits, high.digits) == (True, True, 0, 2)
