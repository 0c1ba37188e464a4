"""Every form of sentence: its answers on a made verdict, and that no sentence is answered by half of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_run import Wanted, make_run

from foldwise.judging.claim_check.check import KNOWN, check
from foldwise.judging.claim_check.check import sentences as split
from foldwise.judging.claim_check.grammar import compiled, read
from foldwise.judging.claim_check.lookups import FORMS
from foldwise.judging.claim_check.names import SPELT, lexicon_of, tokens_of
from foldwise.judging.claim_check.table import of_verdict, open_report
from foldwise.judging.verdict import VerdictWarning

GRID = {"model": ["conv", "vit"], "optimizer": [{"adam": {"lr": 0.001}}, {"sgd": {"lr": 0.01}}]}
# By form: sentences that are true, that are false, and that cannot be checked though the form reads them.
CASES = {
    "comparison": (
        ["Conv is significantly better than ViT in all settings.", "Of model, conv was better than vit by {conv:.2f}.", "However, ViT was worse than conv in 2 of 2 settings."],
        ["ViT outperforms conv.", "Conv is better than ViT by 0.9.", "Conv is not better than ViT."],
        ["Conv with Adam is better than Adam.", "Conv has a higher Dice than ViT."],
    ),
    "equivalent": (
        ["SGD and Adam cannot be told apart.", "There was no significant difference between Adam and SGD."],
        ["Conv and ViT are equivalent.", "Conv and ViT could not be told apart in balanced accuracy."],
        ["Conv is comparable to conv."],
    ),
    "all others": (
        ["Conv outperforms all others.", "ViT is worse than all other models."],
        ["ViT is better than all other models."],
        ["Conv and ViT outperform all others."],
    ),
    "best": (
        ["Conv is the best model.", "{best} had the best estimate.", "Conv had the highest balanced accuracy, {score:.3f}."],
        ["ViT performed best.", "Conv had the highest balanced accuracy, 0.123."],
        ["Conv had the highest Dice."],
    ),
    "score": (
        ["{best} reached a balanced accuracy of {score:.3f} (95 % interval {low:.3f} to {high:.3f}).", "The mean balanced accuracy of conv was {mean:.3f}."],
        ["{best} reached 12.3 % (95 % interval {low:.3f} to {high:.3f}).", "{best} reached {score:.3f} (90 % interval {low:.3f} to {high:.3f})."],
        ["{best} reached a Dice of 0.9.", "ViT reached {third:.3f}."],
    ),
}  # fmt: skip
QUALIFIERS = [
    "on every image",
    "of rare patients",
    "p < 0.05",
    "(n = 3)",
    "except vit",
    "twice",
    "probably",
    "≈",
    "in mice",
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two networks of which one is better beyond chance, and two optimisers that cannot be told apart."""
    wanted = Wanted("gels", GRID, (2.5, 2.4, 0.4, 0.5), "Two factors", images=80, folds=4)
    return open_report(make_run(tmp_path_factory.mktemp("grid") / "run", wanted)[0].root)


@pytest.fixture(scope="module")
def numbers(table):
    """What stands for the names in braces."""
    verdict = table.verdict
    first, second, *_, last = verdict.configurations
    model = next(effect for effect in verdict.factors.factors if effect.factor == "model")
    conv = [one.estimate for one in verdict.configurations if one.levels["model"] == "conv"]
    return {
        "best": first.name,
        "second": second.name,
        "last": last.name,
        "third": verdict.configurations[2].estimate,
        "score": first.estimate,
        "low": first.low,
        "high": first.high,
        "mean": sum(conv) / len(conv),
        "conv": model.pairs[0].difference,
    }


def answer(table, sentence):
    """The answer to a sentence, and the forms that read it; None where it claims nothing."""
    findings = check(table, sentence).findings
    return (findings[0].verdict, {one.kind for one in findings[0].checks}) if findings else (None, set())


ROWS = [
    (form, verdict, sentence)
    for form, by_verdict in CASES.items()
    for verdict, sentences in zip(("true", "false", "cannot check"), by_verdict, strict=True)
    for sentence in sentences
]


def test_every_form_has_cases_and_is_on_no_other_list():
    assert [form.name for form in FORMS] == list(CASES)
    assert all(cases[0] and cases[1] for cases in CASES.values())


@pytest.mark.parametrize(("form", "verdict", "sentence"), ROWS)
def test_the_answer_of_a_form(table, numbers, form, verdict, sentence):
    sentence = sentence.format(**numbers)
    assert answer(table, sentence) == (verdict, {form}), check(table, sentence).findings


@pytest.mark.parametrize(("form", "verdict", "sentence"), [row for row in ROWS if row[1] != "cannot check"])
def test_a_qualifier_behind_it_leaves_it_unchecked(table, numbers, form, verdict, sentence):
    bare = sentence.format(**numbers).rstrip(".")
    text = "\n\n".join(f"{bare} {qualifier}." for qualifier in QUALIFIERS)
    assert {finding.verdict for finding in check(table, text).findings} == {"cannot check"}


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([sentence for _, verdict, sentence in ROWS if verdict != "cannot check"]),
    st.sampled_from(QUALIFIERS) | st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=9),
    st.floats(0, 1),
)
def test_no_unknown_word_anywhere_leaves_an_answer(table, numbers, sentence, qualifier, where):
    if qualifier in KNOWN | set(SPELT) or qualifier in lexicon_of(table, {}):
        return
    words = sentence.format(**numbers).rstrip(".").split()
    place = round(where * len(words))
    changed = " ".join([*words[:place], qualifier, *words[place:]])
    assert answer(table, changed)[0] in (None, "cannot check"), changed


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_form_reads_its_examples_from_the_first_word_to_the_last(form):
    lexicon = lexicon_of(seed_like(), {})
    for _, sentence in split(form.example):
        text = "".join(f"{word} " for word in tokens_of(sentence, lexicon).words)
        assert read(form, text) is not None
        assert not [other for other in FORMS if read(other, f"{text}here ") or read(other, f"here {text}")]


def seed_like():
    """A table with the names of the examples."""
    from foldwise.judging.claim_check.table import ReportedMetric, Row, ScoreTable

    rows = [
        Row(f"{network} · {optimizer}", {"network": network, "optimizer": optimizer}, {"accuracy": 0.9})
        for network in ("ResNet18", "VGG16")
        for optimizer in ("Adam", "SGD")
    ]
    return ScoreTable(
        "t", tuple(rows), {"accuracy": ReportedMetric("accuracy", "accuracy", True, share=True)}, "accuracy"
    )


def test_a_slot_may_stand_in_several_places_of_a_pattern():
    match = compiled("(from {x}|to {x}) done").fullmatch("to D1 done ")
    assert [value for value in match.groupdict().values() if value] == ["D1 "]


def test_an_extent_is_read_once():
    (form,) = (form for form in FORMS if form.name == "comparison")
    assert read(form, "N0 is better than N1 by D2 ") is not None
    assert read(form, "N0 is better than N1 by D2 by D3 ") is None


def test_how_far_what_is_true_reaches(table):
    assert table.limit == "Holds for training as in this study, on images like these 80 in 50 groups."
    weights = VerdictWarning(code="NO_RUN_VARIANCE", message="", cure="")
    verdict = table.verdict.model_copy(update={"warnings": (weights,), "num_groups": None})
    assert of_verdict(verdict).limit == "Holds for these trained weights only, on images like these 80."


@pytest.mark.parametrize(
    "sentence",
    [
        "With Adam, conv is better than ViT with SGD.",
        "Conv is better than ViT in all models in every model.",
        "Conv has a higher balanced accuracy than ViT in accuracy.",
    ],
)
def test_no_slot_is_filled_twice(table, sentence):
    assert answer(table, sentence)[0] == "cannot check"
