"""The reading list of docs/map.md: about twenty files in order, that show one study from its file to its report.

The section is called "A newcomer's evening". Each file is a line of a numbered list: its path, below src/foldwise or
below the repository, in backticks, a dash, and what it shows. One sentence gives the total of lines::

    1. `study/spec.py` — what a study may ask for.
    2. `interface/api.py` — the same from Python.

    Together 4,000 lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.house.drawing import PATH
from tools.house.tree import House

HEADING = "A newcomer's evening"
MIN_FILES, MAX_FILES = 15, 25
MAX_LINES = 4400
TOLERANCE = 0.05


@dataclass(frozen=True)
class Evening:
    """The reading list as it is written: its paths in order, and the total that it states; None where it has none."""

    paths: tuple[str, ...]
    stated_lines: int | None


def read_evening(page: str) -> Evening | None:
    """The reading list of a page; None where the page has no such section."""
    match = re.search(rf"^## {re.escape(HEADING)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    if match is None:
        return None
    paths = re.findall(r"^\d+\. `([^`]+)` [—–-] \S", match[1], re.MULTILINE)
    total = re.search(r"Together ([\d,]+) lines", match[1])
    return Evening(tuple(paths), int(total[1].replace(",", "")) if total else None)


def evening_problems(house: House) -> list[str]:
    """A line for everything that is not true of the reading list, with its cure; empty where all is."""
    evening = read_evening((house.root / PATH).read_text(encoding="utf-8"))
    where = f"{PATH}, {HEADING!r}"
    if evening is None:
        return [
            f"{where}: there is no such section. Cure: write it; tools/house/evening.py says in which form."
        ]
    files = {path: _file(house, path) for path in evening.paths}
    problems = [
        f"{where}: there is no file {path}. Cure: name the file that shows this now."
        for path, file in files.items()
        if file is None
    ]
    if not MIN_FILES <= len(evening.paths) <= MAX_FILES:
        problems.append(
            f"{where}: {len(evening.paths)} files, not {MIN_FILES} to {MAX_FILES}. Cure: list what shows one study."
        )
    true_lines = _num_lines([file for file in files.values() if file is not None])
    return problems if problems else _problems_of_total(where, evening.stated_lines, true_lines)


def _problems_of_total(where: str, stated: int | None, true: int) -> list[str]:
    if stated is None:
        return [f"{where}: no total is stated. Cure: write 'Together {true:,} lines'."]
    problems = []
    if abs(stated - true) > TOLERANCE * true:
        problems.append(
            f"{where}: together {stated:,} lines are stated, {true:,} counted. Cure: state {true:,}."
        )
    if true > MAX_LINES:
        problems.append(f"{where}: {true:,} lines, more than {MAX_LINES:,}. Cure: leave out what can wait.")
    return problems


def _file(house: House, path: str) -> Path | None:
    """The file of the list: below src/foldwise, else below the repository; None where it is in neither."""
    return next((file for file in (house.source / path, house.root / path) if file.is_file()), None)


def _num_lines(files: Sequence[Path]) -> int:
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
