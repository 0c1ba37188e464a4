"""The answer in one breath, written from the numbers and honest in every state a study can be in."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from foldwise.judging.scores.rows import Rows
from foldwise.judging.sections.configurations import Judgement
from foldwise.judging.verdict import VerdictWarning
from foldwise.judging.warnings.facts import Compared, Facts
from foldwise.judging.wording import all_others, capital, in_text, show, unseen, with_interval
from foldwise.study.spec import Judging
from foldwise.text import count

Record = dict[str, Any]


def state(facts: Facts, records: Sequence[Record]) -> str:
    """Which of the answers a study can give; see docs/verdict.md."""
    fits, comparable = facts.rows.fits, facts.known.comparable
    if not any(fit.status == "done" for fit in fits):
        return "nothing_done"
    if not comparable or any(fit.status == "missing" for fit in fits):
        return "incomplete"
    if not beats_trivial(facts, records[0]):
        return "not_better_than_trivial"
    if len(comparable) == 1:
        return "single_configuration"
    return "several_tied" if sum(record["could_be_best"] for record in records) > 1 else "clear_winner"


def beats_trivial(facts: Facts, winner: Record) -> bool:
    """Whether the winner is shown to be better than the best trivial predictor.

    Its interval (its estimate, without one) must not reach that far, and in the test of all configurations together,
    with the trivial predictor as one more, that predictor must be ruled out.
    """
    known, metric = facts.known, facts.known.metric
    if known.best_trivial is None:
        return True
    if known.trivial_p is not None and known.trivial_p > facts.study.judge.alpha:
        return False
    end = winner["low"] if metric.higher_is_better else winner["high"]
    worst = end if end is not None and isfinite(end) else winner["estimate"]
    return bool(known.sign * worst > known.sign * known.best_trivial[1].estimates[metric.name])


def answer(
    told: str, records: Sequence[Record], facts: Facts, unbeaten: VerdictWarning | None = None
) -> Record:
    """The winner, its numbers, and the sentence that says how sure it is, and which baseline it does not beat."""
    ranked = [record for record in records if record["verdict"] in ("winner", "could be best", "worse")]
    said = " ".join([_sentence(told, ranked, facts), *([unbeaten.message] if unbeaten else [])])
    return answer_record(ranked, facts.known, said)


def answer_record(ranked: Sequence[Record], known: Judgement, sentence: str) -> Record:
    """The first of the configurations that are compared, its numbers, and how many others could be the best."""
    winner, compared = ranked[0], known.comparison
    num_tied = sum(record["could_be_best"] for record in ranked) - 1
    return {
        "configuration": winner["id"],
        "name": winner["name"],
        "estimate": winner["estimate"],
        "low": winner["low"],
        "high": winner["high"],
        "sentence": sentence,
        "num_ruled_out": len(ranked) - 1 - num_tied,
        "num_tied": num_tied,
        "minimal_detectable_difference": compared.minimal_detectable_difference if compared else None,
    }


def _sentence(told: str, ranked: Sequence[Record], facts: Facts) -> str:
    winner, metric = ranked[0], facts.known.metric
    reached = f"{in_text(metric.title)} {with_interval(winner, sure(facts.judge))} on {_on(facts.rows)}"
    if told == "not_better_than_trivial":
        assert facts.known.best_trivial is not None
        baseline, scored = facts.known.best_trivial
        return (
            f"Nothing here is shown to be better than a trivial predictor ({baseline.name}, {show(scored.estimates[metric.name])}): "
            f"the best configuration, {winner['name']}, reaches {reached}."
        )
    if told == "incomplete":
        done, planned = sum(fit.status == "done" for fit in facts.rows.fits), len(facts.rows.fits)
        return f"The study is not finished ({done} of {planned} fits are done). So far {winner['name']} leads with {reached}."
    if told == "single_configuration":
        return f"{winner['name']} reaches {reached}. There is nothing it could be compared with."
    return compared_in_words(told, ranked, reached, facts)


def compared_in_words(told: str, ranked: Sequence[Record], reached: str, facts: Compared) -> str:
    """The sentence of a comparison: the winner, what it `reached`, and how many others could be the best."""
    winner, others = ranked[0], len(ranked) - 1
    if facts.known.comparison is None:
        return f"{winner['name']} has the best estimate, {reached}, but the data is too small for a test: no difference is claimed."
    detectable = facts.known.comparison.minimal_detectable_difference
    nothing = unseen(detectable, bounded=facts.known.metric.bounded)
    if told == "clear_winner":
        rivals, are = capital(all_others(others)), "is" if others == 1 else "are"
        return f"Use {winner['name']}: {reached}. {rivals} {are} worse beyond chance, with {sure(facts.judge)} confidence."
    tied = sum(record["could_be_best"] for record in ranked) - 1
    if tied == others:
        rest = f"but {all_others(others)} could be the best as well"
    else:
        out = count(others - tied, "is", "are")
        rest = f"but {tied} of the {others} other configurations could be the best as well; {out} ruled out"
    first = f"No single winner: {winner['name']} has the best estimate, {reached}, {rest}."
    return f"{first} {capital(nothing)} with this data."


def _on(rows: Rows) -> str:
    images = count(len(rows.names), "image")
    if not rows.units.grouped:
        return f"unseen images ({images})"
    return f"images of unseen groups ({images} in {count(rows.units.count, 'group')})"


def sure(judge: Judging) -> str:
    """``95 %``."""
    return f"{100 * (1 - judge.alpha):g} %"
