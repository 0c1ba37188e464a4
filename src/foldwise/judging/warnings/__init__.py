"""What a reader must know before believing the answer: a code for machines, a sentence, and a cure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.rows import Rows
from foldwise.judging.verdict import State, VerdictWarning
from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.judging.verdict_sections import FactorsSection
from foldwise.judging.warnings import choice, runs, sample


def run_warnings(
    rows: Rows,
    judgement: Judgement,
    state: State,
    configurations: Sequence[ConfigurationResult],
    factors: FactorsSection | None,
) -> Iterator[VerdictWarning | None]:
    """Every warning about the comparison, the gravest kind first; None for those that do not apply."""
    yield choice.trivial(state, configurations)
    yield runs.missing(rows, configurations)
    yield choice.not_distinguishable(judgement, configurations)
    yield sample.small(judgement)
    yield runs.seeds(rows)
    yield runs.unstable(judgement, configurations)
    yield runs.unequal_budget(rows, judgement)
    yield sample.rare(rows)
    yield sample.degenerate(rows, judgement)
    yield sample.uncertain_thresholds(rows)
    yield runs.undertrained(rows, judgement, configurations)
    yield from choice.edge(configurations)
    yield choice.optimism(judgement, configurations)
    yield choice.confounded(factors)
