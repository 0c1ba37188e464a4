"""What a reader must know before believing the answer: a code for machines, a sentence, and a cure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from foldwise.judging.cautions import choice, runs, sample
from foldwise.judging.cautions.facts import Caution, Facts, Record


def cautions(facts: Facts, told: str, records: Sequence[Record]) -> list[Record]:
    """Every caution that applies, the gravest kind first."""
    return [
        {"code": code, "message": message, "cure": cure}
        for one in _every(facts, told, records)
        if one
        for code, message, cure in [one]
    ]


def _every(facts: Facts, told: str, records: Sequence[Record]) -> Iterator[Caution | None]:
    yield choice.trivial(facts, told, records)
    yield from runs.missing(facts, records)
    yield choice.not_distinguishable(facts, records)
    yield sample.small(facts)
    yield runs.seeds(facts)
    yield runs.unstable(facts, records)
    yield runs.unequal_budget(facts)
    yield sample.rare(facts)
    yield sample.degenerate(facts)
    yield sample.uncertain_thresholds(facts)
    yield runs.undertrained(facts, records)
    yield from choice.edge(records)
    yield choice.optimism(facts, records)
