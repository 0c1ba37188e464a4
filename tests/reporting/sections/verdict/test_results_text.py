"""The results paragraph: every sentence of it is found to be so, and what is changed in it is found."""

import re
from dataclasses import replace
from functools import cache

import pytest
from make_run import RUNS, Wanted, make_run

from foldwise.judging.claim_check.check import check, sentences
from foldwise.judging.claim_check.table import open_report
from foldwise.judging.wording import LIMITS, results, show
from foldwise.reporting.report import write_report

FACTORS = {"model": ["conv", "vit"], "optimizer": [{"adam": {"lr": 0.001}}, {"sgd": {"lr": 0.01}}]}
MADE = {
    "several_tied": Wanted(
        "cells", {"loss": ["dice", "focal", "cross_entropy"]}, (1.5, 1.5, 0.3), "Two are alike", folds=4
    ),
    "clear_winner": Wanted("cells", {"loss": ["dice", "focal"]}, (1.6, 0.5), "One is better", folds=4),
    "factors": Wanted("gels", FACTORS, (2.5, 2.4, 0.4, 0.5), "Two factors", images=80, folds=4),
    "many": replace(RUNS["classification24"], images=40),
}


SHARED = {
    "single_configuration": "single",
    "too_few_images": "trivial",
    "incomplete": "incomplete",
    "labels": "multilabel",
}


@pytest.fixture(scope="module")
def run_of(tmp_path_factory, runs):
    """Makes the folder of a run by its name, each once."""

    @cache
    def make(name):
        if name in SHARED:
            return runs[SHARED[name]]
        return make_run(tmp_path_factory.mktemp(name) / "run", MADE[name])[0]

    return make


@pytest.fixture(params=[*MADE, *SHARED])
def made(request, run_of):
    """The kind of run, its table and its paragraphs."""
    table = open_report(run_of(request.param).root)
    return request.param, table, results(table.verdict)


def test_every_sentence_is_found_to_be_so(made):
    kind, table, paragraphs = made
    assert kind in (table.verdict.state, "factors", "labels", "many")
    text = "\n\n".join(paragraphs)
    checked = check(table, text)
    assert [one for one in checked.findings if one.verdict != "true"] == []
    assert [one.sentence for one in checked.findings] == [sentence for _, sentence in sentences(text)]


def test_who_is_best_and_what_factors_do_is_read_by_forms(run_of):
    """Not only compared with the same text: the numbers of these sentences are looked up."""
    table = open_report(run_of("factors").root)
    findings = check(table, "\n\n".join(results(table.verdict))).findings
    kinds = [statement.kind for one in findings for statement in one.checks]
    assert [kind for kind in kinds if kind != "own words"] == ["best", "comparison", "equivalent"]


def test_what_no_form_reads_has_the_numbers_of_the_verdict(run_of):
    verdict = open_report(run_of("several_tied").root).verdict
    text, answer = " ".join(results(verdict)), verdict.answer
    assert f"{answer.num_tied} of the {answer.num_tied + answer.num_ruled_out} other" in text
    assert f"{answer.num_ruled_out} was ruled out, with {verdict.confidence} confidence" in text
    assert f"A difference below about {show(answer.minimal_detectable_difference)} would" in text
    assert f"its score was about {verdict.selection.corrected:.2f} (" in text
    over = open_report(run_of("too_few_images").root).verdict
    (trust,) = [
        one.before.overconfidence
        for one in over.calibration.configurations
        if one.id == over.answer.configuration
    ]
    assert f"were {trust.conclusion} by {show(trust.estimate)} (" in " ".join(results(over))


def changed(sentence):
    """The sentence with one number after another changed in its second digit, a mutant each."""
    for number in re.finditer(r"(?<![\w.(,-])\d\.\d+", sentence):
        digits = list(number[0])
        digits[2] = str((int(digits[2]) + 4) % 10)
        yield sentence[: number.start()] + "".join(digits) + sentence[number.end() :]


def test_a_changed_number_is_found(made):
    _, table, paragraphs = made
    text = "\n\n".join(paragraphs)
    true = [one.sentence for one in check(table, text).findings]
    names = [row.name for row in table.rows]
    mutants = [
        mutant
        for sentence in true
        for mutant in changed(sentence)
        if all(mutant.count(name) == sentence.count(name) for name in names)  # no name was changed
        and all(level in mutant for levels in table.factors.values() for level in levels if level in sentence)
    ]
    assert mutants
    unseen = [one for one in mutants if not any(f.verdict == "false" for f in check(table, one).findings)]
    assert unseen == []


def test_swapped_names_are_found(made):
    _, table, paragraphs = made
    best, *others = (row.name for row in table.compared)
    if not others:
        pytest.skip("there is nothing to swap")
    last = others[-1]
    first = check(table, "\n\n".join(paragraphs)).findings[0].sentence
    assert best in first
    (found,) = check(table, first.replace(best, last)).findings
    assert found.verdict in ("false", "not supported")


def test_a_comparison_turned_round_is_found(run_of):
    table = open_report(run_of("factors").root)
    (told,) = [one for part in results(table.verdict) for one in part.split(". ") if "was better than" in one]
    assert re.match(r"Of model, conv(?: \(.*\))? was better than vit", told)
    (found,) = check(table, told.replace("better", "worse")).findings
    assert found.verdict == "false"


def test_paragraphs_name_who_is_tied_and_who_is_ruled_out(run_of):
    verdict = open_report(run_of("several_tied").root).verdict
    first = results(verdict)[0]
    for one in verdict.configurations:
        assert one.name in first
    assert "Freed from the luck of the choice" in first
    warned = [one.message for one in verdict.warnings if one.code in LIMITS]
    assert results(verdict)[-1] == " ".join(warned)


def test_without_an_answer_there_is_no_paragraph(run_of):
    verdict = open_report(run_of("labels").root).verdict
    assert results(verdict.model_copy(update={"answer": None})) == []


def test_the_report_shows_it_escaped(run_of):
    folder = run_of("labels")
    html = write_report(folder).read_text(encoding="utf-8")
    section = html[html.index('<section id="results">') :].partition("</section>")[0]
    verdict = open_report(folder.root).verdict
    assert verdict.answer.name in section
    assert "<script>" not in section
