"""The textbook tests of the winner against the others, and the A/A test of the comparison itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.judging.verdict_sections import (
    AdjustedP,
    FriedmanTest,
    McNemarTest,
    PosteriorShares,
    TextbookPair,
    TextbookSection,
)
from foldwise.reporting.drawing.classes import Dot, class_strip
from foldwise.reporting.drawing.rows import standing
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import Cell, cell, count, difference, p_value, percent, score

MAX_ROWS = 60
WITH_P = ("corrected_t", "paired_t", "wilcoxon", "mcnemar")


def textbook_section(data: ReportData) -> dict[str, Any] | None:
    """A row for every configuration against the winner, the best first; None where the tests were not asked for."""
    verdict = data.verdict
    textbook = verdict.textbook
    if textbook is None:
        return None
    columns = [name for name in WITH_P if any(getattr(pair, name) for pair in textbook.pairs)]
    ranks, bayes = textbook.friedman, any(pair.correlated_t for pair in textbook.pairs)
    used = [*columns, *(["correlated_t"] if bayes else []), *(["friedman"] if ranks else [])]
    scores = count(textbook.num_fold_scores, "score of a fold", "scores of folds")
    return {
        "textbook": {
            "winner": verdict.configuration(textbook.against).name,
            "margin": f"{verdict.metric.equivalent_within:g}",
            "size": f"{count(textbook.num_units, 'image' if verdict.num_groups is None else 'group')} and {scores}",
            "columns": [textbook.tests[name].title for name in columns],
            "bayes": bayes,
            "ranks": None if ranks is None else _all_ranks(ranks, textbook.against),
            "rows": [
                _row(pair, verdict.configuration(pair.id), columns, textbook)
                for pair in textbook.pairs[:MAX_ROWS]
            ],
            "left_out": max(0, len(textbook.pairs) - MAX_ROWS),
            "tests": [textbook.tests[name] for name in used],
        }
    }


def _row(
    pair: TextbookPair, result: ConfigurationResult, columns: Sequence[str], textbook: TextbookSection
) -> dict[str, Any]:
    cells = [cell(difference(pair.difference), pair.difference)]
    cells += [_p(getattr(pair, name)) for name in columns]
    if any(other.correlated_t for other in textbook.pairs):
        cells.append(_shares(pair.correlated_t))
    if textbook.friedman is not None:
        rank = textbook.friedman.mean_ranks[pair.id]
        cells.append(cell(score(rank, 2), rank))
    return {"name": result.name, "standing": standing(result), "cells": cells}


def _p(test: AdjustedP | None) -> Cell:
    if test is None:
        return cell(score(None))
    note = f"Holm {p_value(test.p_holm)}"
    if isinstance(test, McNemarTest):
        note = f"{test.only_winner} : {test.only_other}; {note}"
    return cell(p_value(test.p), test.p, note)


def _shares(posterior: PosteriorShares | None) -> Cell:
    if posterior is None:
        return cell(score(None))
    note = f"within {percent(posterior.equivalent)}, worse {percent(posterior.worse)}"
    return cell(percent(posterior.better), posterior.better, note)


def _all_ranks(ranks: FriedmanTest, winner: str) -> dict[str, Any]:
    """The Friedman test, and how many have a mean rank beyond the critical difference from the winner's."""
    own, far = ranks.mean_ranks[winner], ranks.critical_difference
    return {
        "chi2": f"{ranks.chi2:.1f}",
        "p": p_value(ranks.p),
        "p_F": p_value(ranks.p_F),
        "own": score(own, 2),
        "far": score(far, 2),
        "beyond": sum(rank - own > far for rank in ranks.mean_ranks.values()),
        "of": len(ranks.mean_ranks) - 1,
    }


def aa_test_section(data: ReportData) -> dict[str, Any] | None:
    """How far copies of one configuration lie apart, above all configurations; None where no A/A test was made."""
    test = data.verdict.aa_test
    if test is None:
        return None
    scores = [
        Dot(result.estimate, result.name, result.id)
        for result in data.configurations
        if result.estimate is not None
    ]
    copies = [Dot(value, str(number)) for number, value in enumerate(test.estimates, start=1)]
    rows = [
        (f"the same, {len(copies)} times", None, copies),
        (count(len(scores), "configuration"), None, scores),
    ]
    return {
        "aa_test": {
            "name": data.verdict.configuration(test.configuration).name,
            "sentence": test.sentence,
            "missing": test.num_planned - len(copies) + 1,
            "drawing": class_strip(rows, title=data.verdict.metric.title),
        }
    }
