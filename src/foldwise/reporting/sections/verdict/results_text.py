"""The results paragraph of a paper, every sentence from the verdict; `foldwise claims` finds each of them to be so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from foldwise.judging.wording import (
    all_others,
    capital,
    digits_of,
    has_interval,
    in_text,
    show,
    unseen,
    with_interval,
)
from foldwise.reporting.report_data import ReportData
from foldwise.text import count

Record = Mapping[str, Any]
MAX_NAMED, MAX_OPEN = 6, 3
# What a reader of the numbers must know; the rest of the warnings is said in the sentences above them, or is advice.
LIMITS = (
    "MISSING_RUNS", "EQUALS_DIFFER", "N_SMALL", "FEW_GROUPS", "RARE_CLASS", "SCARCE_THRESHOLDS", "DEGENERATE_METRIC",
    "ONE_SEED", "NO_RUN_VARIANCE", "UNSTABLE_CONFIG", "UNEQUAL_BUDGET", "UNDERTRAINED",
)  # fmt: skip


def section(data: ReportData) -> Record | None:
    """The paragraphs, for the page; None while no configuration is complete."""
    paragraphs = results(data.verdict)
    return {"results": paragraphs} if paragraphs else None


def results(verdict: Record) -> list[str]:
    """Paragraphs in the past tense: who was best and how sure that is, what mattered, and what limits it.

    Args:
        verdict: of a run or of `foldwise judge`; empty where no configuration is complete.
    """
    if not verdict.get("answer"):
        return []
    ranked = [
        one for one in verdict["configurations"] if one["verdict"] in ("winner", "could be best", "worse")
    ]
    first = [
        *_best(verdict, ranked),
        *_others(verdict, ranked),
        *_corrected(verdict, ranked),
        *_beside(verdict, ranked),
    ]
    more = [*_factors(verdict), *_calibration(verdict, ranked)]
    limits = [str(one["message"]) for one in verdict.get("warnings", ()) if one["code"] in LIMITS]
    return [" ".join(part) for part in (first, more, limits) if part]


def _sure(verdict: Record) -> str:
    return f"{100 * (1 - float(verdict.get('alpha') or 0.05)):g} %"


def _best(verdict: Record, ranked: Sequence[Record]) -> Iterator[str]:
    metric, winner = verdict["metric"], ranked[0]
    images = count(verdict["num_images"], "image")
    groups = f" in {count(verdict['num_groups'], 'group')}" if verdict.get("num_groups") else ""
    reached = f"{in_text(metric['title'])} {with_interval(winner, _sure(verdict))} on unseen images ({images}{groups})"
    if verdict["state"] == "incomplete":
        done, planned = verdict["num_done"], verdict["num_planned"]
        yield f"The study was not finished ({done} of {planned} fits were done)."
    if len(ranked) == 1:
        yield f"{winner['name']} reached {reached}; it was compared with no other configuration."
    else:
        yield f"Of {len(ranked)} configurations, {winner['name']} had the best estimate: {reached}."


def _others(verdict: Record, ranked: Sequence[Record]) -> Iterator[str]:
    """Who is tied and who is ruled out; what nobody could have seen."""
    answer, others = verdict["answer"], ranked[1:]
    if verdict["state"] == "not_better_than_trivial":
        yield "Nothing was shown to be better than a trivial predictor."
    if not others or answer["minimal_detectable_difference"] is None:
        return
    tied = [one for one in others if one["could_be_best"]]
    out = [one for one in others if not one["could_be_best"]]
    confident = f"with {_sure(verdict)} confidence"
    if not tied:
        who = all_others(len(out))
        yield f"{capital(who)} {'was' if len(out) == 1 else 'were'} worse beyond chance, {confident}."
    else:
        some = f"{len(tied)} of the {len(others)} other configurations"
        many = all_others(len(others)) if len(tied) == len(others) else some
        yield f"{capital(many)} could be the best as well{_listed(tied)}."
        if out:
            yield f"{len(out)} {'was' if len(out) == 1 else 'were'} ruled out, {confident}{_listed(out)}."
        nothing = unseen(
            answer["minimal_detectable_difference"], bounded=bool(verdict["metric"].get("bounded"))
        )
        yield f"{capital(nothing)} with this data."


def _listed(records: Sequence[Record]) -> str:
    """``: a, b and c``; nothing where they are too many to name."""
    return f": {_and([str(one['name']) for one in records])}" if len(records) <= MAX_NAMED else ""


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def _corrected(verdict: Record, ranked: Sequence[Record]) -> Iterator[str]:
    known = verdict.get("selection")
    if known and len(ranked) > 1:
        digits = digits_of(ranked[0])
        shown = {key: f"{known[key]:.{digits}f}" for key in ("corrected", "low", "high")}
        yield (
            f"Freed from the luck of the choice, its score was about {shown['corrected']} "
            f"({_sure(verdict)} interval {shown['low']} to {shown['high']})."
        )


def _beside(verdict: Record, ranked: Sequence[Record]) -> Iterator[str]:
    """The best baseline of each kind with its estimate, and a shallow one that was not beaten."""
    title, alpha = in_text(verdict["metric"]["title"]), float(verdict.get("alpha") or 0.05)
    sign = 1 if verdict["metric"]["higher_is_better"] else -1
    for kind, words in (("shallow", "shallow baseline"), ("trivial", "trivial predictor")):
        of = [
            one for one in verdict.get("baselines", ()) if one["kind"] == kind and one["estimate"] is not None
        ]
        if not of:
            continue
        best = max(of, key=lambda one: sign * one["estimate"])
        yield f"The {words} {best['name']} reached {title} {show(best['estimate'])}."
        if kind == "shallow" and best["beaten"] is False:
            lost = best["p_winner"] is not None and best["p_winner"] <= alpha
            relation = "was worse beyond chance than" if lost else "was not shown to be better than"
            yield f"{ranked[0]['name']} {relation} {best['name']}."


def _factors(verdict: Record) -> Iterator[str]:
    """Of every factor what was told apart, what is equivalent, and what stays open."""
    mattered = verdict.get("factors") or {}
    for told in mattered.get("factors", ()):
        only = (
            len(told["levels"]) == mattered["num_compared"]
        )  # then its levels are the configurations of above
        if only or told["covariate"] or told["view"] == "as tuned":
            continue
        pairs = [pair for pair in told["pairs"] if pair["difference"] is not None]
        yield from (_pair(told["factor"], pair, verdict) for pair in pairs if pair["conclusion"] == "better")
        yield from (
            _alike(told["factor"], pair, verdict) for pair in pairs if pair["conclusion"] == "equivalent"
        )
        left = [pair for pair in pairs if pair["conclusion"] == "not distinguishable"]
        if len(left) <= MAX_OPEN:
            yield from (_alike(told["factor"], pair, verdict) for pair in left)
        else:
            yield f"Of {told['factor']}, {len(left)} of {len(told['pairs'])} pairs could not be told apart."


def _pair(factor: str, pair: Record, verdict: Record) -> str:
    agree = f", and in {pair['agree']} of {pair['matched']} matched pairs" if pair["matched"] > 1 else ""
    words = f"Of {factor}, {pair['a']} was better than {pair['b']} by {show(abs(pair['difference']))}"
    return f"{words}{_bounds(pair, verdict)}{agree}."


def _alike(factor: str, pair: Record, verdict: Record) -> str:
    said = "were equivalent" if pair["conclusion"] == "equivalent" else "could not be told apart"
    apart = f"they differed by {show(abs(pair['difference']))}{_bounds(pair, verdict)}"
    return f"Of {factor}, {pair['a']} and {pair['b']} {said}: {apart}."


def _bounds(pair: Record, verdict: Record) -> str:
    """The interval of a difference that is printed without a sign."""
    if pair["low"] is None or pair["high"] is None:
        return ""
    ends = (pair["low"], pair["high"]) if pair["difference"] >= 0 else (-pair["high"], -pair["low"])
    return f" ({_sure(verdict)} interval {show(ends[0])} to {show(ends[1])})"


def _calibration(verdict: Record, ranked: Sequence[Record]) -> Iterator[str]:
    known = {one["id"]: one for one in (verdict.get("calibration") or {}).get("configurations", ())}
    trust = (known.get(ranked[0]["id"], {}).get("before") or {}).get("overconfidence")
    if not trust or trust["conclusion"] == "undecided" or not has_interval(trust):
        return
    sign = 1 if trust["conclusion"] == "over-confident" else -1
    low, high = sorted((sign * trust["low"], sign * trust["high"]))
    yield (
        f"The probabilities of {ranked[0]['name']} were {trust['conclusion']} by {show(sign * trust['estimate'])} "
        f"({_sure(verdict)} interval {show(low)} to {show(high)})."
    )
