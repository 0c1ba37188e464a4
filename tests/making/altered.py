"""The data of a report with another verdict than the one that was judged."""

from dataclasses import replace

from foldwise.judging.sections.cost_fronts import cost_fronts
from foldwise.judging.verdict import Verdict


def altered(data, **keys):
    """The same run, with these keys of its verdict.json in place of its own."""
    return replace(data, verdict=Verdict.load(data.verdict.dump() | keys))


def altered_configurations(data, change):
    """The same run, with what `change` makes of each configuration as verdict.json has it, and the fronts that follow."""
    records = [change(dict(record)) for record in data.verdict.dump()["configurations"]]
    verdict = altered(data, configurations=records).verdict
    fronts = cost_fronts(verdict.configurations, verdict.pairs, batched_ms={})
    return altered(data, configurations=records, cost_fronts=[front.model_dump() for front in fronts])
