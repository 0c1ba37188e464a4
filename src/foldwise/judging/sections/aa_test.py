"""The A/A test: one configuration again under other seeds, judged as if it were others.

Equal configurations should be called different as rarely as the test promises, and how far their scores lie apart is
what seeds alone can do. Nothing of it enters the comparison of the configurations.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from foldwise.judging.scores.rows import Rows, fit_of
from foldwise.judging.scores.scoring import Scored, judged, score
from foldwise.judging.sections.configurations import Judgement
from foldwise.judging.statistics.inference import compare
from foldwise.judging.statistics.pairs import all_pairs
from foldwise.judging.verdict import VerdictWarning
from foldwise.judging.wording import show
from foldwise.study.spec import Study
from foldwise.text import count

Record = dict[str, Any]


def again_record(study: Study, rows: Rows, known: Judgement) -> Record | None:
    """``again`` of the verdict; None where no A/A test was asked for, or nothing of it can be judged yet.

    The pairs are those of the study's own test: copies are further rows beside all configurations, so that the
    variance between runs, and the number of pairs that hold together, are what the leaderboard has and a little more.
    """
    copies = _scored_copies(rows, known)
    original = known.scored.get(_configuration(rows) or "")
    if original is None or not copies or _configuration(rows) not in known.comparable:
        return None
    others = [known.scored[one] for one in known.comparable if one != _configuration(rows)]
    equals = [original, *copies.values()]
    alpha, metric = study.judge.alpha, known.metric
    together = judged(metric, [*equals, *others], rows.units, num_cases=len(rows.names), alpha=alpha)
    estimates = [one.estimates[metric.name] for one in equals]
    record: Record = {
        "configuration": _configuration(rows),
        "estimates": estimates,
        "num_planned": study.validate_.num_copies,
        "largest_difference": max(estimates) - min(estimates),
        "sd": float(np.std(estimates, ddof=1)),
        "pairs": None,
    }
    if together.known is not None:
        comparison = compare(together.known, seed=study.seed, alpha=alpha)
        pairs = all_pairs(together.known, comparison, alpha=alpha, margin=study.judge.equivalent_within)
        own = [pair for pair in pairs if max(pair.a, pair.b) < len(equals)]
        record["pairs"] = {
            "num": len(own),
            "num_alarms": sum(pair.p <= alpha for pair in own),
            "num_alarms_all": sum(pair.p_all <= alpha for pair in own),
            "smallest_p": min(pair.p for pair in own),
            "smallest_p_all": min(pair.p_all for pair in own),
        }
    return record | {"sentence": _sentence(study, record)}


def again_caution(record: Record | None) -> VerdictWarning | None:
    """The caution that the test calls equals different, which it promises to do rarely; none where it does not."""
    if record is None or not record["pairs"] or not record["pairs"]["num_alarms_all"]:
        return None
    num = record["pairs"]["num_alarms_all"]
    message = (
        f"The A/A test calls {num} of {count(record['pairs']['num'], 'pair')} of one and the same configuration "
        "different: here seeds matter more than the test allows for."
    )
    cure = "Do not rely on differences below the largest between equals; add repeats (validate.repeats)."
    return VerdictWarning(code="EQUALS_DIFFER", message=message, cure=cure)


def _configuration(rows: Rows) -> str | None:
    return next((str(one.settings["configuration"]) for one in rows.beside if one.kind == "aa_test"), None)


def _scored_copies(rows: Rows, known: Judgement) -> dict[int, Scored]:
    """Every copy that has all its folds and whose score is known, by its number."""
    own = [one for one in rows.beside if one.kind == "aa_test"]
    fits = tuple(fit_of(one, _name(one.settings["copy"])) for one in own)
    theirs = replace(rows, fits=fits)
    found = {}
    for copy in sorted({int(one.settings["copy"]) for one in own}):
        name = _name(copy)
        if not theirs.complete(name):
            continue
        scored = score(theirs.said(name), rows.units, decides=known.metric, classes=rows.classes)
        if np.isfinite(scored.values[known.metric.name]).all():
            found[copy] = scored
    return found


def _name(copy: int) -> str:
    return f"again {copy}"


def _sentence(study: Study, record: Record) -> str:
    num = len(record["estimates"])
    apart = (
        f"The first configuration was trained {num - 1} more times under other seeds. The scores of these {num} equals "
        f"differ by up to {show(record['largest_difference'])} (standard deviation {show(record['sd'])}): what seeds alone can do."
    )
    if not record["pairs"]:
        return f"{apart} The data is too small to test them."
    of = record["pairs"]
    promised = f"{100 * study.judge.alpha:g} %"
    return (
        f"{apart} Of their {count(of['num'], 'pair')}, the test of a single pair calls {of['num_alarms']} different "
        f"(it promises to do so for at most {promised} of equal pairs), and the test of all pairs, by which pairs are told "
        f"apart here, {of['num_alarms_all']} (it promises none in {100 - 100 * study.judge.alpha:g} % of studies)."
    )
