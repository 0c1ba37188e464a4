"""The ceilings of tools/house.toml: what no measure may exceed, each changeable by whoever says for what."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.house.measures import Shape, Size

PATH = "tools/house.toml"

# What each ceiling is on, in words, and what mends a breach.
FLOOR_CEILINGS = {
    "files": ("files", "Merge modules that are read together, or move one to the floor where it belongs."),
    "lines": ("lines of Python", "Take out what repeats or is not used; move what belongs to another floor."),
    "p90": (
        "lines in nine of ten functions",
        "Split the longest functions, or let a table say what branches do.",
    ),
    "longest": ("lines in the longest function", "Split it: one function, one step."),
}
WHOLE_CEILINGS = {
    **FLOOR_CEILINGS,
    "chain": (
        "modules in the longest chain of imports",
        "Let the upper module take the value, not its maker.",
    ),
    "arrows": ("arrows between rooms", "Move the module to the room that uses it, or hand the value in."),
    "small_one_importer": (
        "modules under 80 lines with one importer, rows of tables aside",
        "Merge the new one into its importer.",
    ),
    "repeated_classes": ("names of classes defined in more than one module", "Name each for what it is."),
    "vague_names": (
        "names and arguments that say nothing of their value",
        "Name the value: configuration, device.",
    ),
    "long_files": ("files over 320 lines", "Split the file where its subjects part."),
    "crowded_folders": (
        "folders with more than 20 files beside each other",
        "Merge modules, or make a room.",
    ),
}

HEADER = """\
# Ceilings of the house: `make check` fails where `make house` measures more than stands here.
# Lower one whenever you can. Raise one only with a comment behind it that says for what.
# `python -m tools.house --propose` prints this file from what stands today: lengths of functions up to the next five,
# lines up to the next fifty, everything else as it is.
"""


@dataclass(frozen=True)
class Breach:
    """A measure above its ceiling, or a ceiling that does not fit the house; `str` is one line for people."""

    what: str
    cure: str

    def __str__(self) -> str:
        """What, measured, ceiling and cure in one line."""
        return f"{self.what}. Cure: {self.cure}"


def read_ceilings(root: Path) -> dict[str, dict[str, dict[str, int]]]:
    """The tables of tools/house.toml: ``whole``, and ``floors`` with one table per floor."""
    tables = tomllib.loads((root / PATH).read_text(encoding="utf-8"))
    return {"whole": {"whole": tables.get("whole", {})}, "floors": tables.get("floors", {})}


def measured_floors(sizes: Mapping[str, Size]) -> dict[str, dict[str, int]]:
    """What is held to a ceiling on each floor, by the key of the ceiling."""
    return {floor: {key: getattr(size, key) for key in FLOOR_CEILINGS} for floor, size in sizes.items()}


def measured_whole(size: Size, shape: Shape) -> dict[str, int]:
    """What is held to a ceiling of the whole, by the key of the ceiling."""
    values = {key: getattr(size, key) for key in FLOOR_CEILINGS}
    for key in WHOLE_CEILINGS.keys() - FLOOR_CEILINGS.keys():
        value = getattr(shape, key)
        values[key] = sum(value.values()) if key == "vague_names" else len(value)
    return {key: values[key] for key in WHOLE_CEILINGS}


def breaches(root: Path, floors: Mapping[str, Mapping[str, int]], whole: Mapping[str, int]) -> list[Breach]:
    """Every breach: of the whole first, then floor by floor; empty where the house stands below its ceilings."""
    ceilings = read_ceilings(root)
    missing = [
        Breach(f"{floor}: no floor has this name, but a ceiling", f"Take it out of {PATH}.")
        for floor in ceilings["floors"]
        if floor not in floors
    ]
    of_whole = _compared("the whole", whole, ceilings["whole"]["whole"], WHOLE_CEILINGS)
    of_floors = [
        breach
        for floor, values in floors.items()
        for breach in _compared(floor, values, ceilings["floors"].get(floor, {}), FLOOR_CEILINGS)
    ]
    return [*of_whole, *of_floors, *missing]


def _compared(
    where: str,
    values: Mapping[str, int],
    ceilings: Mapping[str, int],
    words: Mapping[str, tuple[str, str]],
) -> list[Breach]:
    breached = [
        Breach(f"{where}: nothing measured is called {key!r}", f"Use one of: {', '.join(words)}.")
        for key in ceilings
        if key not in words
    ]
    for key, (what, cure) in words.items():
        if key not in ceilings:
            breached.append(
                Breach(f"{where}: no ceiling for {key}, measured {values[key]:,}", f"Add it to {PATH}.")
            )
        elif values[key] > ceilings[key]:
            raised = f"Else raise {key!r} in {PATH}, with a comment that says for what."
            breached.append(
                Breach(f"{where}: {values[key]:,} {what}, ceiling {ceilings[key]:,}", f"{cure} {raised}")
            )
    return breached


def proposed(floors: Mapping[str, Mapping[str, int]], whole: Mapping[str, int]) -> str:
    """The text of tools/house.toml that holds the house to what stands today."""
    lines = [HEADER, "[whole]"]
    lines += [f"{key} = {_rounded(key, value)}" for key, value in whole.items()]
    lines += ["", "[floors]"]
    for floor, values in floors.items():
        row = ", ".join(f"{key} = {_rounded(key, value)}" for key, value in values.items())
        lines.append(f"{floor} = {{ {row} }}")
    return "\n".join(lines) + "\n"


def _rounded(key: str, value: int) -> int:
    step = {"lines": 50, "p90": 5, "longest": 5}.get(key, 1)
    return math.ceil(value / step) * step
