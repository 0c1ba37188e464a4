"""The data of a report with another verdict than the one that was judged."""

from dataclasses import replace

from foldwise.judging.verdict import Verdict


def altered(data, **keys):
    """The same run, with these keys of its verdict.json in place of its own."""
    return replace(data, verdict=Verdict.load(data.verdict.dump() | keys))


def altered_configurations(data, change):
    """The same run, with what `change` makes of each configuration as verdict.json has it."""
    return altered(
        data, configurations=[change(dict(record)) for record in data.verdict.dump()["configurations"]]
    )
