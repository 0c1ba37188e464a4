"""What was decided on the way: what a search chose in every fold, and what a race ruled out at every look."""

from __future__ import annotations

from typing import Any

from foldwise.judging.verdict_sections import SearchArm, SearchChoice
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import score, selecting_title
from foldwise.text import count, duration


def section(data: ReportData) -> dict[str, Any] | None:
    """A table for every configuration, one row a fold; None where nothing was searched."""
    search = data.verdict.search
    if search is None:
        return None
    again = (
        "The same study proposes the same again"
        if search.reproducible
        else "Hours end this search by the clock, so that the same study may propose less or more another time"
    )
    return {
        "search": {
            "sentence": search.sentence,
            "proposed": f"Proposed by {search.sampler}. {again}.",
            "chosen_by": selecting_title(search.chosen_by or "score"),
            "arms": [_arm(arm, several=data.verdict.repeats > 1) for arm in search.arms],
        }
    }


def race_section(data: ReportData) -> dict[str, Any] | None:
    """A row for every look that was made; None where nothing raced."""
    race, verdict = data.verdict.race, data.verdict
    if race is None:
        return None
    unit = "image" if verdict.num_groups is None else "group"
    rows = [
        {
            "after": look.after,
            "compared": look.num_compared,
            "units": count(look.num_units, unit),
            "out": ", ".join(verdict.configuration(name).name for name in look.ruled_out) or "none",
        }
        for look in race.looks
    ]
    spared = count(race.num_spared, "fit")
    hours = f", about {duration(race.seconds_spared)} of training" if race.seconds_spared else ""
    legend = f"Spared: {spared}{hours}. Each look may be wrong in {100 * race.alpha:.2g} % of studies."
    return {"race": {"sentence": race.sentence, "rows": rows, "legend": legend}}


def _arm(arm: SearchArm, *, several: bool) -> dict[str, Any]:
    parameters = list(dict.fromkeys(name for choice in arm.chosen for name in choice.values))
    tried = f"{count(arm.num_tried, 'trial')} in {duration(arm.seconds)} of training"
    failed = f"; {arm.num_failed} failed and were not evaluated" if arm.num_failed else ""
    failed += f"; {arm.num_stopped} stopped early and not evaluated" if arm.num_stopped else ""
    to_come = f"; {arm.num_to_come} still to come" if arm.num_to_come else ""
    return {
        "name": arm.name,
        "tried": f"{tried}{failed}{to_come}.",
        "parameters": parameters,
        "rows": [_row(choice, parameters, several=several) for choice in arm.chosen],
        "at_edge": any(choice.at_edge for choice in arm.chosen),
    }


def _row(choice: SearchChoice, parameters: list[str], *, several: bool) -> dict[str, Any]:
    repeat = f" of repeat {choice.repeat + 1}" if several else ""
    return {
        "fold": f"fold {choice.fold + 1}{repeat}",
        "trial": choice.trial + 1,
        "validation": score(choice.validation),
        # A dash where a parameter belongs to another choice than the one that was made.
        "cells": [
            choice.values.get(name, "–") + (" ⊣" if name in choice.at_edge else "") for name in parameters
        ],
    }
