"""The A/A test: one configuration again under other seeds, judged as if it were others.

Equal configurations should be called different as rarely as the test promises, and how far their scores lie apart is
what seeds alone can do. Nothing of it enters the comparison of the configurations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.rows import Rows, fit_of
from foldwise.judging.scores.scoring import Scored, score, table_of
from foldwise.judging.statistics.inference import compare
from foldwise.judging.statistics.pairs import all_pairs
from foldwise.judging.verdict import VerdictWarning
from foldwise.judging.verdict_requested import AATestPairs, AATestSection
from foldwise.judging.wording import show
from foldwise.text import count


def aa_test_section(rows: Rows, judgement: Judgement, *, num_planned: int) -> AATestSection | None:
    """None where no A/A test was asked for, or nothing of it can be judged yet."""
    configuration = _configuration(rows)
    copies = _scored_copies(rows, judgement)
    if configuration is None or configuration not in judgement.comparable or not copies:
        return None
    equals = [judgement.scored[configuration], *copies]
    estimates = [scored.estimates[judgement.metric.name] for scored in equals]
    pairs = _pairs(judgement, configuration, equals)
    apart, sd = max(estimates) - min(estimates), float(np.std(estimates, ddof=1))
    return AATestSection(
        configuration=configuration,
        estimates=tuple(estimates),
        num_planned=num_planned,
        largest_difference=apart,
        sd=sd,
        pairs=pairs,
        sentence=_sentence(judgement, len(equals), apart, sd, pairs),
    )


def aa_test_warning(section: AATestSection | None) -> VerdictWarning | None:
    """That the test calls equals different, which it promises to do rarely; None where it does not."""
    if section is None or section.pairs is None or not section.pairs.num_alarms_all:
        return None
    message = (
        f"The A/A test calls {section.pairs.num_alarms_all} of {count(section.pairs.num, 'pair', 'pairs')} of one and "
        "the same configuration different: here seeds matter more than the test allows for."
    )
    cure = "Do not rely on differences below the largest between equals; add repeats (validate.repeats)."
    return VerdictWarning(code="EQUALS_DIFFER", message=message, cure=cure)


def _configuration(rows: Rows) -> str | None:
    """The configuration that was copied."""
    copied = (str(item.settings["configuration"]) for item in rows.auxiliary if item.kind == "aa_test")
    return next(copied, None)


def _scored_copies(rows: Rows, judgement: Judgement) -> list[Scored]:
    """Every copy that has all its folds and a defined score, by its number."""
    items = [item for item in rows.auxiliary if item.kind == "aa_test"]
    copies = sorted({int(item.settings["copy"]) for item in items})
    # Read as fits of configurations that are called by their numbers, so that they are scored like any other.
    as_fits = replace(rows, fits=tuple(fit_of(item, str(item.settings["copy"])) for item in items))
    complete = [str(copy) for copy in copies if as_fits.complete(str(copy))]
    scored = [
        score(as_fits.outputs_by_repeat(copy), rows.units, decides=judgement.metric, classes=rows.classes)
        for copy in complete
    ]
    return [copy for copy in scored if np.isfinite(copy.values[judgement.metric.name]).all()]


def _pairs(judgement: Judgement, configuration: str, equals: Sequence[Scored]) -> AATestPairs | None:
    """How the study's own test judges pairs of equals; None where nothing can be tested.

    Copies are further rows of the table of all configurations, so that the variance between runs, and the number of
    pairs that hold together, are those of the leaderboard and a little more.
    """
    others = [judgement.scored[id] for id in judgement.comparable if id != configuration]
    alpha, margin = judgement.judge.alpha, judgement.judge.equivalent_within
    table = table_of(
        judgement.metric, [*equals, *others], judgement.units, num_cases=judgement.num_cases, alpha=alpha
    )
    if table.variance is None:
        return None
    comparison = compare(table.variance, seed=judgement.seed, alpha=alpha)
    # Adjusted for all pairs of the whole table, as the leaderboard is: among equals alone alarms would be likelier.
    every = all_pairs(table.variance, comparison, alpha=alpha, margin=margin)
    pairs = [pair for pair in every if max(pair.a, pair.b) < len(equals)]
    return AATestPairs(
        num=len(pairs),
        num_alarms=sum(pair.p <= alpha for pair in pairs),
        num_alarms_all=sum(pair.p_all <= alpha for pair in pairs),
        smallest_p=min(pair.p for pair in pairs),
        smallest_p_all=min(pair.p_all for pair in pairs),
    )


def _sentence(judgement: Judgement, num: int, apart: float, sd: float, pairs: AATestPairs | None) -> str:
    scores = (
        f"The first configuration was trained {num - 1} more times under other seeds. The scores of these {num} equals "
        f"differ by up to {show(apart)} (standard deviation {show(sd)}): what seeds alone can do."
    )
    if pairs is None:
        return f"{scores} The data is too small to test them."
    alpha = judgement.judge.alpha
    return (
        f"{scores} Of their {count(pairs.num, 'pair', 'pairs')}, the test of a single pair calls {pairs.num_alarms} "
        f"different (it promises to do so for at most {100 * alpha:g} % of equal pairs), and the test of all pairs, by "
        f"which pairs are told apart here, {pairs.num_alarms_all} (it promises none in {100 - 100 * alpha:g} % of studies)."
    )
