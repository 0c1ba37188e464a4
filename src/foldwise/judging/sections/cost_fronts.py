"""Score against cost: which configurations nothing beats in both, and which cheaper one may be as good."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from foldwise.judging.verdict import CostFront, CostName, FrontMember, MetricFacts, Pair, State
from foldwise.judging.verdict_configurations import TIMED, ConfigurationResult, Cost, ModelThroughput
from foldwise.judging.wording import series, show, written
from foldwise.study.configurations import Configuration
from foldwise.text import in_text

SPREAD = 1.1  # costs that are nearer together than this are no reason to choose
NO_CACHE = "none"


@dataclass(frozen=True)
class Price:
    """What a configuration takes.

    Attributes:
        of: the cost; None where it was not measured.
        words: what a cheaper configuration does, by a factor: ``trains 4.2 times faster``.
        less: the same of none: ``trains faster``.
    """

    of: Callable[[Cost], float | None]
    words: str
    less: str


PRICES: dict[CostName, Price] = {
    "latency_ms": Price(lambda cost: cost.latency_ms, "answers {} times faster, image by image", "answers faster"),
    "batched_ms": Price(lambda cost: None, "answers {} times faster in batches", "answers faster in batches"),
    "train_s": Price(lambda cost: cost.train_s, "trains {} times faster", "trains faster"),
    "memory_mb": Price(lambda cost: cost.most_memory_mb, "takes {} times less memory", "takes less memory"),
    "parameters": Price(lambda cost: cost.parameters, "has {} times fewer parameters", "has fewer parameters"),
    "energy_j": Price(lambda cost: cost.energy_j, "trains with {} times less energy", "trains with less energy"),
}  # fmt: skip


def cost_fronts(
    configurations: Sequence[ConfigurationResult],
    pairs: Sequence[Pair[str]],
    *,
    batched_ms: Mapping[str, float],
) -> tuple[CostFront, ...]:
    """Of every cost that was measured and differs by a tenth at least, its front.

    Times and energy that were measured beside others on the same device are no reason to choose, and have none.

    Args:
        configurations: best first.
        pairs: what is known of two of them, by which a better score is told from a lucky one.
        batched_ms: of one image in the fastest batches, by id, where it was measured.
    """
    compared = [result for result in configurations if result.compared and result.estimate is not None]
    better = {(pair.a, pair.b) for pair in pairs if pair.conclusion == "better"}
    shared = any(result.cost.sharers for result in compared)
    fronts = []
    for name, price in PRICES.items():
        if shared and name in TIMED:
            continue
        values = {result.id: price.of(result.cost) for result in compared}
        values = values if name != "batched_ms" else dict(batched_ms)
        measured = {id: value for id, value in values.items() if value is not None and value > 0}
        if len(measured) < 2 or max(measured.values()) < SPREAD * min(measured.values()):
            continue
        rows = [result for result in compared if result.id in measured]
        fronts.append(
            CostFront(
                cost=name,
                values=measured,
                members=_members(rows, measured, better),
                cheapest_rival=_cheapest_rival(rows, measured),
            )
        )
    return tuple(fronts)


def _members(
    rows: Sequence[ConfigurationResult], costs: Mapping[str, float], better: set[tuple[str, str]]
) -> tuple[FrontMember, ...]:
    """Those that no other beats in both by the estimates, the cheapest first.

    Each with the cheapest of them from which its better score is not told apart: of that one it is no reason to pay more.
    """
    front: list[ConfigurationResult] = []
    # The best first, and of equals the cheapest: what follows must be cheaper than all before.
    equals = sorted(rows, key=lambda result: costs[result.id])
    ranks = {estimate: rank for rank, estimate in enumerate(dict.fromkeys(row.estimate for row in rows))}
    for result in sorted(equals, key=lambda result: ranks[result.estimate]):
        if not front or costs[result.id] < costs[front[0].id]:
            front.insert(0, result)
    members = []
    for index, result in enumerate(front):
        cheaper = [
            other.id
            for other in front[:index]
            if SPREAD * costs[other.id] <= costs[result.id] and not _is_told_apart(result, other, better)
        ]
        members.append(
            FrontMember(id=result.id, cost=costs[result.id], not_better_than=cheaper[0] if cheaper else None)
        )
    return tuple(members)


def _cheapest_rival(rows: Sequence[ConfigurationResult], costs: Mapping[str, float]) -> str | None:
    """The cheapest that could be the best and costs less than the winner; None where there is none, or no winner."""
    winner = rows[0]
    rivals = [
        result.id for result in rows if result.could_be_best and SPREAD * costs[result.id] <= costs[winner.id]
    ]
    return min(rivals, key=lambda id: costs[id]) if rivals and winner.verdict == "winner" else None


def _is_told_apart(
    result: ConfigurationResult, other: ConfigurationResult, better: set[tuple[str, str]]
) -> bool:
    """Whether a score is better beyond chance: of the winner by the test of the best, else by that of all pairs."""
    if result.verdict == "winner":
        return not other.could_be_best
    return (result.id, other.id) in better


def cost_sentences(
    fronts: Sequence[CostFront],
    configurations: Sequence[ConfigurationResult],
    metric: MetricFacts,
    state: State,
) -> tuple[str, ...]:
    """Of every cheaper configuration that could be the best how much cheaper it is than the winner; and where none could be.

    Empty while it is not known which could be the best.
    """
    of = {result.id: result for result in configurations}
    winner = next((result for result in configurations if result.verdict == "winner"), None)
    if state not in ("several_tied", "clear_winner") or winner is None:
        return ()
    cheaper: dict[str, list[str]] = {}
    nothing: list[str] = []
    for front in fronts:
        values, price = front.values, PRICES[front.cost]
        if winner.id not in values:
            continue
        if front.cheapest_rival is not None:
            factor = values[winner.id] / values[front.cheapest_rival]
            by = price.words.format(f"{factor:.{1 if factor < 9.95 else 0}f}")
            cheaper.setdefault(front.cheapest_rival, []).append(by)
        elif SPREAD * min(values.values()) <= values[winner.id]:
            nothing.append(price.less)
    sentences = [_may_be_as_good(of[id], winner, series(words), metric) for id, words in cheaper.items()]
    if nothing:
        what = f"Nothing that {series(nothing, 'or')} than {winner.name}"
        sentences.append(f"{what} could be the best as well.")
    return tuple(sentences)


def _may_be_as_good(
    result: ConfigurationResult, winner: ConfigurationResult, cheaper: str, metric: MetricFacts
) -> str:
    good = "is as good, as far as it matters" if result.equivalent else "may be as good"
    about = f"{in_text(metric.title)} {written(result)} against {written(winner)}"
    if result.difference_low is not None and result.difference_high is not None:
        about += (
            f"; the difference is between {show(result.difference_low)} and {show(result.difference_high)}"
        )
    return f"{result.name} {cheaper} than {winner.name}, and {good} ({about})."


def batched_times(
    configurations: Sequence[Configuration],
    results: Sequence[ConfigurationResult],
    throughput: Sequence[ModelThroughput],
) -> dict[str, float]:
    """Milliseconds of an image in the fastest batches, by configuration: those of its model on its device, where measured."""
    best: dict[tuple[str, str | None], float] = {}
    for row in throughput:
        speeds = [point.inference.median for point in row.points or () if point.inference]
        if speeds and row.cache != NO_CACHE:
            key = row.model, row.device
            best[key] = min(1000 / max(speeds), best.get(key, float("inf")))
    models = {row.id: str(row.training.model) for row in configurations}
    keys = {result.id: (models[result.id], result.cost.device) for result in results}
    return {id: best[key] for id, key in keys.items() if key in best}
