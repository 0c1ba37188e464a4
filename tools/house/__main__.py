"""Measures the house, holds it to its ceilings, or draws its map: ``python -m tools.house``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tools.house import ceilings, drawing
from tools.house.dotted_names import name_problems
from tools.house.evening import evening_problems
from tools.house.measures import Shape, Size, measure_shape, measure_size, measure_sizes
from tools.house.tree import House, read_house


def main(arguments: Sequence[str] | None = None, root: Path | None = None) -> int:
    """The exit code: 1 where a check fails."""
    options = _parser().parse_args(arguments)
    house = read_house(root or Path(__file__).parents[2])
    try:
        if options.map:
            return _map(house, check=options.check)
        return _measures(house, check=options.check, propose=options.propose, verbose=options.verbose)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.house", description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="show which modules, not only how many")
    parser.add_argument(
        "--propose", action="store_true", help=f"print {ceilings.PATH} from what stands today"
    )
    parser.add_argument("--map", action="store_true", help=f"draw the house in {drawing.PATH}")
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit 1 at a breached ceiling or a stale name; with --map, at a stale page",
    )
    return parser


def _map(house: House, *, check: bool) -> int:
    picture = drawing.draw(house)
    if check:
        return _report([*drawing.map_problems(house.root, picture), *evening_problems(house)])
    page = drawing.map_with_drawing(house.root, picture)
    (house.root / drawing.PATH).write_text(page, encoding="utf-8")
    return 0


def _measures(house: House, *, check: bool, propose: bool, verbose: bool) -> int:
    sizes, shape = measure_sizes(house), measure_shape(house)
    whole = measure_size(list(house.modules.values()))
    measured = ceilings.measured_floors(sizes), ceilings.measured_whole(whole, shape)
    if propose:
        print(ceilings.proposed(*measured), end="")
        return 0
    if check:
        return _report([*ceilings.breaches(house.root, *measured), *name_problems(house)])
    print(size_table({**sizes, "the whole": whole}))
    print()
    print(shape_lines(shape, verbose=verbose))
    return 0


def _report(problems: Iterable[object]) -> int:
    lines = [str(problem) for problem in problems]
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if lines else 0


def size_table(sizes: dict[str, Size]) -> str:
    """A line a floor, in columns."""
    width = max(len(floor) for floor in sizes)
    lines = [f"{'':<{width}}  files   lines  functions  p50  p90  longest  comments"]
    lines += [
        f"{floor:<{width}}  {size.files:>5}  {size.lines:>6,}  {size.functions:>9,}  {size.p50:>3}  {size.p90:>3}"
        f"  {size.longest:>7}  {size.comments:>7.1%}"
        for floor, size in sizes.items()
    ]
    return "\n".join(lines)


def shape_lines(shape: Shape, *, verbose: bool) -> str:
    """A line for each measure of the whole; where `verbose`, below it what was counted."""
    words = shape.vague_names
    counted: list[tuple[str, int, list[str]]] = [
        ("modules in the longest chain of imports", len(shape.chain), list(shape.chain)),
        ("arrows between rooms", len(shape.arrows), _pairs(shape.arrows)),
        ("modules with one importer", len(shape.one_importer), list(shape.one_importer)),
        (
            "of them under 80 lines, no row of a table",
            len(shape.small_one_importer),
            list(shape.small_one_importer),
        ),
        (
            "class names in more than one module",
            len(shape.repeated_classes),
            [f"{name}: {', '.join(modules)}" for name, modules in shape.repeated_classes.items()],
        ),
        ("vague names and arguments", sum(words.values()), [f"{word}: {words[word]}" for word in words]),
        ("files over 320 lines", len(shape.long_files), list(shape.long_files)),
        (
            "functions over 50 lines",
            len(shape.long_functions),
            [f"{function.name}: {function.num_lines}" for function in shape.long_functions],
        ),
        ("folders with more than 20 files", len(shape.crowded_folders), list(shape.crowded_folders)),
    ]
    lines = []
    for what, number, items in counted:
        lines.append(f"{number:>5,}  {what}")
        lines += [f"         {item}" for item in items] if verbose else []
    return "\n".join(lines)


def _pairs(arrows: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{first} > {second}" for first, second in arrows]


if __name__ == "__main__":
    sys.exit(main())
