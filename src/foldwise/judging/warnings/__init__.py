"""What a reader must know before believing the answer: a code for machines, a sentence, and a cure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from foldwise.judging.verdict import VerdictWarning
from foldwise.judging.warnings import choice, runs, sample
from foldwise.judging.warnings.facts import Facts, Record


def cautions(
    facts: Facts, told: str, records: Sequence[Record], factors: Record | None
) -> Iterator[VerdictWarning | None]:
    """Every caution about the comparison, the gravest kind first; None for those that do not apply."""
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
    yield choice.confounded(factors)
