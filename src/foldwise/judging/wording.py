"""The words of a verdict: numbers in sentences, rounded the same way everywhere, and the results paragraph of a paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10

from foldwise.judging.verdict import TRIVIAL_UNBEATEN, Answer, Verdict
from foldwise.judging.verdict_configurations import ConfigurationResult, ScoreEstimate, ShallowBaseline
from foldwise.judging.verdict_sections import LevelPair
from foldwise.text import count, in_text

WithInterval = Answer | ConfigurationResult | ScoreEstimate | ShallowBaseline
MAX_NAMED, MAX_OPEN = 6, 3
# What a reader of the numbers must know; the rest of the warnings is said in the sentences above them, or is advice.
LIMITS = (
    "EQUALS_DIFFER", "N_SMALL", "FEW_GROUPS", "RARE_CLASS", "SCARCE_THRESHOLDS", "DEGENERATE_METRIC",
    "ONE_SEED", "ONE_TRAINING_SET", "NO_RUN_VARIANCE", "FOLDS_APART", "UNSTABLE_CONFIG", "ONE_CLASS", "BRIEF_TRAINING",
    "UNEQUAL_BUDGET", "UNDERTRAINED", "SHORT_SEARCH",
)  # fmt: skip


def results(verdict: Verdict) -> list[str]:
    """Paragraphs in the past tense: who was best and how sure that is, what mattered, and what limits it.

    Empty where no configuration is complete. `foldwise claims` knows these sentences, too: one with another number is
    found in a text.
    """
    if verdict.answer is None:
        return []
    ranked = [result for result in verdict.configurations if result.compared]
    first = [
        *(warning.message for warning in verdict.left_out),
        *_best(verdict, ranked),
        *_others(verdict, ranked[1:]),
        *_corrected(verdict, ranked),
        *_baselines(verdict, ranked[0]),
    ]
    more = [*_factors(verdict), *_calibration(verdict, ranked[0])]
    limits = [warning.message for warning in verdict.warnings if warning.code in LIMITS]
    return [" ".join(part) for part in (first, more, limits) if part]


def _best(verdict: Verdict, ranked: Sequence[ConfigurationResult]) -> Iterator[str]:
    winner = ranked[0]
    groups = f" in {count(verdict.num_groups, 'group')}" if verdict.num_groups else ""
    score = f"{in_text(verdict.metric.title)} {with_interval(winner, verdict.confidence)}"
    reached = f"{score} on unseen images ({count(verdict.num_images, 'image')}{groups})"
    if verdict.task is None:  # of scores from elsewhere, nobody knows what the cases are
        reached = f"{score} on {count(verdict.num_images, 'case')}{groups}"
    if verdict.state == "incomplete":
        yield f"The study was not finished ({verdict.num_done} of {verdict.num_planned} fits were done)."
    if len(ranked) == 1:
        yield f"{winner.name} reached {reached}; it was compared with no other configuration."
    else:
        yield f"Of {len(ranked)} configurations, {winner.name} had the best estimate: {reached}."


def _others(verdict: Verdict, others: Sequence[ConfigurationResult]) -> Iterator[str]:
    """Who is tied and who is ruled out; what nobody could have seen."""
    if verdict.race and verdict.race.num_ruled_out:
        early = count(verdict.race.num_ruled_out, "more was", "more were")
        yield f"{early} shown not to be best and trained no further."
    if verdict.state == "no_better_than_trivial":
        yield "Nothing was better than a trivial predictor."
    elif verdict.state in TRIVIAL_UNBEATEN:
        few = "runs" if verdict.state == "too_few_runs" else "images"
        yield f"Nothing was shown to be better than a trivial predictor, for which there were too few {few}."
    detectable = verdict.answer.minimal_detectable_difference if verdict.answer else None
    if not others or detectable is None:
        return
    tied = [result for result in others if result.could_be_best]
    out = [result for result in others if not result.could_be_best]
    if not tied:
        sign = verdict.metric.sign
        yield f"{worse_than_winner(out, sign=sign, confidence=verdict.confidence, past=True)}."
        return
    some = f"{len(tied)} of the {len(others)} other configurations"
    rivals = some if out else all_others(len(others))
    yield f"{capital(rivals)} could be the best as well{_listed(tied)}."
    if out:
        were = "was" if len(out) == 1 else "were"
        yield f"{len(out)} {were} ruled out, with {verdict.confidence} confidence{_listed(out)}."
    yield f"{capital(unseen(detectable, bounded=verdict.metric.bounded))} with this data."


def _listed(configurations: Sequence[ConfigurationResult]) -> str:
    """``: a, b and c``; nothing where they are too many to name."""
    named = [result.name for result in configurations]
    return f": {series(named)}" if len(named) <= MAX_NAMED else ""


def _corrected(verdict: Verdict, ranked: Sequence[ConfigurationResult]) -> Iterator[str]:
    selection, digits = verdict.selection, digits_of(ranked[0])
    if selection is None or not selection.interval or len(ranked) < 2:
        return
    score, low, high = (fixed(x, digits) for x in (selection.corrected, *selection.interval))
    span = f"{verdict.confidence} interval {low} to {high}"
    yield f"Freed from the luck of the choice, its score was about {score} ({span})."


def _baselines(verdict: Verdict, winner: ConfigurationResult) -> Iterator[str]:
    """The best baseline of each kind with its estimate, and a shallow one that was not beaten."""
    for kind, words in (("shallow", "shallow baseline"), ("trivial", "trivial predictor")):
        of = [
            (baseline.estimate, baseline)
            for baseline in verdict.baselines
            if baseline.kind == kind and baseline.estimate is not None
        ]
        if not of:
            continue
        estimate, best = max(of, key=lambda scored: verdict.metric.sign * scored[0])
        reached = written(best) if best.kind == "shallow" else show(estimate)
        yield f"The {words} {best.name} reached {in_text(verdict.metric.title)} {reached}."
        if best.kind == "shallow" and best.beaten is False:
            lost = best.p_winner is not None and best.p_winner <= verdict.alpha
            relation = "was worse beyond chance than" if lost else "was not shown to be better than"
            yield f"{winner.name} {relation} {best.name}."


def _factors(verdict: Verdict) -> Iterator[str]:
    """Of every factor what was told apart, what is equivalent, and what stays open."""
    for effect in verdict.factors.factors if verdict.factors else ():
        # Of a single factor the levels are the configurations, which are named already.
        only = verdict.factors is not None and len(effect.levels) == verdict.factors.num_compared
        if only or effect.covariate or effect.view == "as tuned":
            continue
        tested = [(pair, pair.difference) for pair in effect.pairs if pair.difference is not None]
        of = {
            conclusion: [
                _pair(verdict, effect.factor, *of) for of in tested if of[0].conclusion == conclusion
            ]
            for conclusion in ("better", "equivalent", "not distinguishable")
        }
        # Last, and counted where they are many: they say least.
        still_open = of.pop("not distinguishable")
        yield from (sentence for sentences in of.values() for sentence in sentences)
        if len(still_open) <= MAX_OPEN:
            yield from still_open
        else:
            yield f"Of {effect.factor}, {len(still_open)} of {len(effect.pairs)} pairs could not be told apart."


def _pair(verdict: Verdict, factor: str, pair: LevelPair, difference: float) -> str:
    """What is known of two levels; their difference, and its interval, are printed without a sign."""
    by = f"by {show(abs(difference))}"
    if pair.interval:
        low, high = sorted(end if difference >= 0 else -end for end in pair.interval)
        by += f" ({verdict.confidence} interval {show(low)} to {show(high)})"
    if pair.conclusion == "better":
        agree = f", and in {pair.agree} of {pair.matched} matched pairs" if pair.matched > 1 else ""
        return f"Of {factor}, {pair.a} was better than {pair.b} {by}{agree}."
    alike = "were equivalent" if pair.conclusion == "equivalent" else "could not be told apart"
    return f"Of {factor}, {pair.a} and {pair.b} {alike}: they differed {by}."


def _calibration(verdict: Verdict, winner: ConfigurationResult) -> Iterator[str]:
    every = verdict.calibration.configurations if verdict.calibration else ()
    for trust in (record.before.overconfidence for record in every if record.id == winner.id):
        if trust is None or trust.estimate is None or not trust.interval or trust.conclusion == "undecided":
            continue
        sign = 1 if trust.conclusion == "over-confident" else -1
        low, high = sorted(sign * end for end in trust.interval)
        yield (
            f"The probabilities of {winner.name} were {trust.conclusion} by {show(sign * trust.estimate)} "
            f"({verdict.confidence} interval {show(low)} to {show(high)})."
        )


def capital(words: str) -> str:
    """As a sentence begins."""
    return f"{words[:1].upper()}{words[1:]}"


def series(words: Sequence[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, end = words
    return f"{', '.join(first)} {last} {end}" if first else end


def all_others(number: int) -> str:
    """``the other configuration``, ``both other configurations``, ``all 8 other configurations``."""
    few = {1: "the other configuration", 2: "both other configurations"}
    return few.get(number, f"all {number} other configurations")


def decimals(half_width: float) -> int:
    """Digits after the point that an interval of this half width leaves worth printing: 2 to 4."""
    return min(max(ceil(-log10(half_width)), 2), 4) if half_width > 0 else 3


def unseen(detectable: float, *, bounded: bool) -> str:
    """``a difference below about 0.03 would probably have been missed (80 % power)``; of bounded scores perhaps any."""
    which = (
        "any difference" if bounded and detectable >= 1 else f"a difference below about {show(detectable)}"
    )
    return f"{which} would probably have been missed (80 % power)"


def worse_than_winner(
    others: Sequence[ConfigurationResult], *, sign: int, confidence: str, past: bool = False
) -> str:
    """``All 3 other configurations are worse beyond chance: the nearest, B, by 0.025 (95 % interval 0.004 to 0.046)``.

    Where a difference is of no consequence all the same, that is said, too.

    Args:
        others: those that the winner is shown to be better than, best first.
        sign: of the metric.
        confidence: of the interval.
        past: whether it is told in the past tense.
    """
    be = ("was" if past else "is") if len(others) == 1 else ("were" if past else "are")
    nearest = f": the nearest, {others[0].name}, " if len(others) > 1 else ", "
    words = f"{capital(all_others(len(others)))} {be} worse beyond chance{nearest}"
    words += _behind(others[0], sign, confidence)
    within = sum(bool(other.equivalent) for other in others)
    if not within:
        return words
    which = "this" if len(others) == 1 else f"for {within} of them this"
    return f"{words}; {which} {'was' if past else 'is'} of no consequence"


def _behind(other: ConfigurationResult, sign: int, confidence: str) -> str:
    """``by 0.025 (95 % interval 0.004 to 0.046)``: how far the winner is ahead, by the interval that decides."""
    away = (other.difference, other.difference_low, other.difference_high)
    low, by, high = sorted(-sign * end for end in away if end is not None)
    return f"by {show(by)} ({confidence} interval {show(low)} to {show(high)})"


def fixed(value: float, digits: int) -> str:
    """A number with so many digits after the point and a true minus; 0.275 and 0.27499999999999997 are written alike."""
    return f"{round(value, 9) + 0.0:.{digits}f}".replace("-", "−")  # and -0.0 is 0


def show(value: float) -> str:
    """A score or a difference of scores, by its size: see `digits_by_size`."""
    return fixed(value, digits_by_size(value))


def digits_by_size(value: float) -> int:
    """Two digits after the point, and below 0.1 two that count, four at most; but nothing reads as 0 that is not."""
    size = round(abs(value), 9)
    if not 0 < size < 0.0995:
        return 2
    first = -floor(log10(size))
    return first if first > 4 else min(first + 1, 4)


def digits_of(score: WithInterval) -> int:
    """Digits after the point of a score and its interval, wherever they are written: what the interval is worth.

    More where a score that is nearly perfect would read as 1.00; at most four, but for tiny ones, of which two count.
    Without an interval, by its size.
    """
    digits = 2 if score.estimate is None else digits_by_size(score.estimate)
    low, high = score.interval or (0.0, 0.0)
    if low < high:
        digits = decimals((high - low) / 2)
    while score.estimate is not None and score.estimate < 1 == round(score.estimate, digits) and digits < 4:
        digits += 1
    return max(digits, digits_of_tiny(score.estimate))


def digits_of_tiny(value: float | None) -> int:
    """Digits after the point of a value that four of them would write as 0, so that two count; 0 of every other."""
    if value is None or not 1e-9 < abs(value) < 5e-5:
        return 0
    return 1 - floor(log10(abs(value)))


def written(score: WithInterval) -> str:
    """The score alone, as everywhere on a screen."""
    assert score.estimate is not None
    return fixed(score.estimate, digits_of(score))


def ends_of(score: WithInterval) -> str:
    """``0.87 to 0.94``, with the digits of the score; empty where there is no interval.

    A predictor that says the same of every image scores the same whatever images there are: 0.5 to 0.5 is no interval.
    """
    if not score.interval or score.low == score.high:
        return ""
    digits = digits_of(score)
    return " to ".join(fixed(end, digits) for end in score.interval)


def with_interval(score: WithInterval, confidence: str) -> str:
    """``0.91 (95 % interval 0.87 to 0.94)``."""
    ends = ends_of(score)
    why_none = "constant" if score.interval else "too few images"
    return f"{written(score)} ({f'{confidence} interval {ends}' if ends else f'no interval: {why_none}'})"


def reached_by(verdict: Verdict, configuration: str) -> str:
    """What a configuration reached on images that its networks had not seen, in a sentence with its interval."""
    row, title = verdict.configuration(configuration), in_text(verdict.metric.title)
    own = row.metrics.get(verdict.metric.name)
    if own is None or own.estimate is None:
        return f"{row.name}: not scored"
    reached = f"{title} {with_interval(own, verdict.confidence)} on the test images of the study"
    return f"{row.name}: {reached}, each fold's network by itself; their mean was not judged"


def rounded(number: float) -> str:
    """A count that is only roughly known, to two digits that count: ``1,700``."""
    if number < 100:
        return f"{number:.0f}"
    step = 10 ** (floor(log10(number)) - 1)
    return f"{round(number / step) * step:,}"
