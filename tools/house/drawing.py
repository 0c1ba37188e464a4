"""The part of docs/map.md between two markers: floors, rooms and modules, drawn from the code."""

from __future__ import annotations

from pathlib import Path

from tools.house.measures import arrows
from tools.house.tree import House

PATH = "docs/map.md"
BEGIN = "<!-- The house, drawn from the code by `make map`: begin. Change the docstrings, not this. -->"
END = "<!-- The house: end. -->"


def draw(house: House) -> str:
    """The picture in Markdown: the arrows between floors, then each floor with its rooms and modules."""
    below = _floors_below(house)
    parts = ["\n".join(["```", *_overview(house, below), "```"])]
    parts += [_floor(house, floor) for floor in house.floors]
    return "\n\n".join(parts)


def map_with_drawing(root: Path, drawing: str) -> str:
    """The text of docs/map.md as it should be.

    Raises:
        ValueError: the page lacks a marker.
    """
    page = (root / PATH).read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PATH} lacks the lines between which the house is drawn:\n{BEGIN}\n{END}")
    return f"{before}{BEGIN}\n\n{drawing}\n\n{END}{after}"


def map_problems(root: Path, drawing: str) -> list[str]:
    """One line where the committed drawing is not that of the code; empty where it is."""
    if (root / PATH).read_text(encoding="utf-8") == map_with_drawing(root, drawing):
        return []
    return [f"{PATH}: the drawing is not that of the code. Cure: `make map`, and commit the page."]


def _floors_below(house: House) -> dict[str, list[str]]:
    """The floors that each floor imports from, from the top down."""
    pairs = set(arrows(house, {name: module.floor for name, module in house.modules.items()}))
    return {floor: [other for other in house.floors if (floor, other) in pairs] for floor in house.floors}


def _overview(house: House, below: dict[str, list[str]]) -> list[str]:
    """A line a floor, with what it imports from; floors of one level are bracketed."""
    named = {floor for level in house.levels for floor in level}
    levels = [[floor] for floor in house.floors if floor not in named]
    levels += [[floor for floor in level if floor in below] for level in house.levels]
    width = max(len(floor) for floor in house.floors)
    lines = []
    for level in levels:
        for position, floor in enumerate(level):
            arrow = f"{floor:<{width}}  ─► {', '.join(below[floor])}" if below[floor] else floor
            lines.append(f"{_bracket(position, len(level))} {arrow}")
    return lines


def _bracket(position: int, siblings: int) -> str:
    if siblings == 1:
        return " "
    return "┌" if position == 0 else "└" if position == siblings - 1 else "│"


def _floor(house: House, floor: str) -> str:
    """A floor: its sentence, then its modules and, below each other, its rooms with theirs."""
    name = house.package if floor == "__init__" else f"{house.package}.{floor}"
    module = house.modules.get(name)
    sentence = module.sentence if module else ""
    if module is not None and (floor == "__init__" or not module.is_package):
        return f"### `{floor}.py`\n\n{sentence}".rstrip()
    folders = sorted({other.folder for other in house.on_floor(floor)})
    items = "\n".join(line for folder in folders for line in _room(house, folder, name))
    return "\n\n".join(part for part in (f"### `{floor}/`", sentence, items) if part)


def _room(house: House, folder: str, floor: str) -> list[str]:
    """An item for each module of a folder; for a room within the floor, one of its own first."""
    modules = [
        module for module in house.modules.values() if module.folder == folder and not module.is_package
    ]
    items = [_item(f"`{module.path.name}`", ":", module.sentence) for module in modules]
    if folder == floor:
        return items
    package = house.modules.get(folder)
    title = folder.removeprefix(f"{floor}.").replace(".", "/")
    return [
        _item(f"**`{title}/`**", "", package.sentence if package else ""),
        *(f"  {item}" for item in items),
    ]


def _item(title: str, mark: str, sentence: str) -> str:
    return f"- {title}{mark} {sentence}" if sentence else f"- {title}"
