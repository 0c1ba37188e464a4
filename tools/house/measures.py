"""What is counted of the house, floor by floor and of the whole."""

from __future__ import annotations

import ast
import io
import math
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from tools.house.tables import is_row
from tools.house.tree import House, Module

MAX_FILE_LINES = 320
MAX_FUNCTION_LINES = 50
MAX_FOLDER_FILES = 20
MIN_LINES_WITH_ONE_IMPORTER = 80

# Words that say nothing of the value that they name.
VAGUE = ("told", "asked", "known", "found", "said", "held", "one", "place", "kept", "given")


@dataclass(frozen=True)
class Function:
    """A function or method: its place, and its lines from ``def`` to its end."""

    name: str
    num_lines: int


@dataclass(frozen=True)
class Size:
    """The size of one floor, or of the whole.

    Attributes:
        files: number of them.
        lines: of Python, docstrings, comments and empty ones included.
        functions: number of functions, methods and inner functions.
        p50, p90, longest: lines of a function, from ``def`` to its end; 0 where there is none.
        comments: share of the lines that hold nothing but a comment.
    """

    files: int
    lines: int
    functions: int
    p50: int
    p90: int
    longest: int
    comments: float


@dataclass(frozen=True)
class Shape:
    """What only the whole has; each a list, so that whoever asks sees which.

    Attributes:
        chain: the longest path of imports, first the module that imports.
        arrows: pairs (A, B) of rooms where a module of A imports one of B; imports for type checkers count, as a
            reader follows them too. A room is a floor; the single modules on which all floors stand are one together.
        one_importer: modules that exactly one other imports.
        small_one_importer: those of them under 80 lines that are no row of a table.
        repeated_classes: names of classes defined in more than one module, and where.
        vague_names: words that say nothing of their value, where one is a stored name or an argument: how often.
        long_files: over 320 lines.
        long_functions: over 50 lines.
        crowded_folders: over 20 files of Python beside each other.
    """

    chain: tuple[str, ...]
    arrows: tuple[tuple[str, str], ...]
    one_importer: tuple[str, ...]
    small_one_importer: tuple[str, ...]
    repeated_classes: dict[str, list[str]]
    vague_names: dict[str, int]
    long_files: tuple[str, ...]
    long_functions: tuple[Function, ...]
    crowded_folders: tuple[str, ...]


def measure_size(modules: Sequence[Module]) -> Size:
    """The size of these modules together."""
    lines = sum(module.num_lines for module in modules)
    lengths = sorted(function.num_lines for function in functions(modules))
    return Size(
        files=len(modules),
        lines=lines,
        functions=len(lengths),
        p50=quantile(lengths, 0.5),
        p90=quantile(lengths, 0.9),
        longest=lengths[-1] if lengths else 0,
        comments=sum(comment_lines(module.source) for module in modules) / lines if lines else 0.0,
    )


def measure_sizes(house: House) -> dict[str, Size]:
    """The size of every floor, from the top down."""
    return {floor: measure_size(house.on_floor(floor)) for floor in house.floors}


def measure_shape(house: House) -> Shape:
    """What only the whole has.

    Raises:
        ValueError: modules import each other in a circle, so that no chain is the longest.
    """
    modules = list(house.modules.values())
    lonely = one_importer(house)
    return Shape(
        chain=longest_chain(house),
        arrows=arrows(house, rooms(house)),
        one_importer=tuple(lonely),
        small_one_importer=tuple(name for name in lonely if is_small_and_no_row(house, name)),
        repeated_classes=repeated_classes(modules),
        vague_names=vague_names(modules),
        long_files=tuple(module.name for module in modules if module.num_lines > MAX_FILE_LINES),
        long_functions=tuple(f for f in functions(modules) if f.num_lines > MAX_FUNCTION_LINES),
        crowded_folders=crowded_folders(modules),
    )


def functions(modules: Iterable[Module]) -> list[Function]:
    """Every function of these modules, methods and inner ones included."""
    return [
        Function(f"{module.name}.{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def quantile(lengths: Sequence[int], share: float) -> int:
    """The smallest of the sorted lengths that at least `share` of them do not exceed; 0 of none."""
    return lengths[math.ceil(share * len(lengths)) - 1] if lengths else 0


def comment_lines(source: str) -> int:
    """Lines that hold nothing but a comment."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sum(token.type == tokenize.COMMENT and token.line.lstrip().startswith("#") for token in tokens)


def longest_chain(house: House) -> tuple[str, ...]:
    """The longest path of imports, function-level ones included; of equally long ones the first by name.

    Raises:
        ValueError: modules import each other in a circle.
    """
    graph = {name: sorted(module.runtime_imports) for name, module in house.modules.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise ValueError(f"Modules import each other in a circle: {' > '.join(error.args[1])}") from None
    chains: dict[str, tuple[str, ...]] = {}
    for name in order:  # what is imported comes before what imports it
        below = sorted((chains[imported] for imported in graph[name]), key=lambda chain: (-len(chain), chain))
        chains[name] = (name, *(below[0] if below else ()))
    return min(chains.values(), key=lambda chain: (-len(chain), chain), default=())


def rooms(house: House) -> dict[str, str]:
    """The room of every module: its floor, or `foundations` for the single modules below the lowest folder."""
    folders = {module.floor for module in house.modules.values() if module.name.count(".") > 1}
    lowest = max((place for place, floor in enumerate(house.floors) if floor in folders), default=-1)
    foundations = set(house.floors[lowest + 1 :])
    return {
        module.name: "foundations" if module.floor in foundations else module.floor
        for module in house.modules.values()
    }


def arrows(house: House, rooms: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Pairs of different rooms where a module of the first imports one of the second; `rooms` by module."""
    pairs = {
        (rooms[module.name], rooms[imported])
        for module in house.modules.values()
        for imported in module.imports
    }
    return tuple(sorted((first, second) for first, second in pairs if first != second))


def one_importer(house: House) -> list[str]:
    """Modules, packages left out, that exactly one other module imports."""
    return [
        name
        for name, importers in house.importers.items()
        if len(importers) == 1 and not house.modules[name].is_package
    ]


def is_small_and_no_row(house: House, name: str) -> bool:
    """Whether a module with one importer is under 80 lines, and no row of a table there."""
    (importer,) = house.importers[name]
    small = house.modules[name].num_lines < MIN_LINES_WITH_ONE_IMPORTER
    return small and not is_row(name, house.modules[importer], house.modules.keys())


def repeated_classes(modules: Iterable[Module]) -> dict[str, list[str]]:
    """Names of classes that more than one module defines, with those modules."""
    places: dict[str, set[str]] = defaultdict(set)
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].add(module.name)
    return {name: sorted(where) for name, where in sorted(places.items()) if len(where) > 1}


def vague_names(modules: Iterable[Module]) -> dict[str, int]:
    """How often each word of `VAGUE` is an argument, or a name, field or attribute that is stored."""
    counts: Counter[str] = Counter()
    for module in modules:
        counts.update(name for node in ast.walk(module.tree) if (name := _stored_name(node)) in VAGUE)
    return {word: counts[word] for word in VAGUE}


def _stored_name(node: ast.AST) -> str:
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return node.attr
    return ""


def crowded_folders(modules: Iterable[Module]) -> tuple[str, ...]:
    """Folders with more than 20 files of Python beside each other, ``__init__.py`` included."""
    counts = Counter(module.folder for module in modules)
    return tuple(sorted(folder for folder, number in counts.items() if number > MAX_FOLDER_FILES))
