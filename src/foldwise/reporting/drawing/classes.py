"""Drawings of classes: a line of dots for each, counts as bars, and which labels come together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from foldwise.reporting.drawing import svg
from foldwise.reporting.wording import score

MAX_DRAWN = 40  # classes
CELL_PX, ROOMY_PX, ROOMY = 20, 40, 10  # a matrix of at most ROOMY labels has room for its numbers
MAX_NAME = 28
WEAKEST_SCALE = 0.3  # the scale never ends below, so that what is nearly independent looks like it
STEPS = (-1.0, -0.5, -0.1, 0.1, 0.5, 1.0)  # of the legend, in shares of the strongest correlation


@dataclass(frozen=True)
class Dot:
    """One configuration in a line of dots."""

    value: float
    name: str
    configuration: str | None = None


# Of a class its name, the value of the winner, and the dots of the others.
StripRow = tuple[str, float | None, Sequence[Dot]]


def class_strip(
    rows: Sequence[StripRow], *, title: str, width: int = 880, winner: Dot | None = None
) -> Markup:
    """One line per class: every configuration a faint dot, the winner a diamond with its number.

    Args:
        rows: of every class.
        title: what the values are.
        winner: its id and name; its value is not read.
    """
    values = [dot.value for _, _, others in rows for dot in others]
    values += [value for _, value, _ in rows if value is not None]
    left = min(240, 24 + 7 * max(len(name) for name, *_ in rows))
    x = svg.scale_over(values, left, width - 30)
    bottom = 18 + 30 * len(rows)
    parts = [*svg.grid(x, 10, bottom, 6), *svg.tick_labels(x, bottom + 14, 6)]
    for index, row in enumerate(rows):
        parts += _line(row, x, 26.0 + 30 * index, winner)
    parts.append(svg.text(f"{title} →", width - 30, bottom + 28, anchor="end", class_="tick title"))
    named, numbers = f"{title} of every class", _strip_numbers(rows, winner)
    return svg.drawing(
        *parts, width=width, height=bottom + 34, title=named, class_="chart wide", numbers=numbers
    )


def _line(row: StripRow, x: svg.Scale, middle: float, winner: Dot | None) -> list[Markup]:
    """The name of a class, the dots of the others, and the winner with its number."""
    name, value, others = row
    parts = [svg.text(svg.fitted(name, 32), x.start - 14, middle + 4, class_="name", anchor="end")]
    for number, dot in enumerate(others):
        # In three lanes, so that equal values can be told apart.
        lane = middle + (number % 3 - 1) * 3
        owner = dot.configuration
        parts.append(
            svg.element("circle", cx=x(dot.value), cy=lane, r=3.4, class_="dot", data_configuration=owner)
        )
    if value is not None:
        owner, left = winner.configuration if winner else None, x(value)
        kind = "mark winner"
        parts.append(svg.marker(left, middle, shape="diamond", class_=kind, size=6, configuration=owner))
        parts.append(svg.text(score(value), left, middle - 9, class_="name strong", anchor="middle"))
    return parts


def _strip_numbers(rows: Sequence[StripRow], winner: Dot | None) -> svg.Numbers:
    """A row for each class; a column for each configuration, the winner first."""
    names = dict.fromkeys(dot.name for _, _, others in rows for dot in others)
    table = []
    for name, value, others in rows:
        values = {dot.name: dot.value for dot in others}
        table.append((name, *((value,) if winner else ()), *(values.get(other) for other in names)))
    return svg.Numbers(("", *((winner.name,) if winner else ()), *names), table)


def commonest(rows: Sequence[Any], numbers: Sequence[float]) -> tuple[list[Any], int]:
    """The rows of the largest numbers, in their order, as many as are drawn; and how many are left over."""
    order = sorted(range(len(rows)), key=lambda index: -numbers[index])[:MAX_DRAWN]
    return [rows[index] for index in sorted(order)], len(rows) - len(order)


def bars(rows: Sequence[tuple[str, int]], *, title: str, width: int = 420) -> Markup:
    """Counts as bars with their numbers."""
    most = max((value for _, value in rows), default=1) or 1
    left = min(220, 20 + 7 * max((len(name) for name, _ in rows), default=1))
    x = svg.Scale(0, most, left, width - 60)
    parts = []
    for index, (name, value) in enumerate(rows):
        top, end = 4.0 + 24 * index, x(value)
        parts.append(svg.text(svg.fitted(name, 30), left - 8, top + 13, class_="name", anchor="end"))
        parts.append(
            svg.element("rect", x=left, y=top, width=max(end - left, 1), height=17, rx=2, class_="count")
        )
        parts.append(svg.text(str(value), end + 6, top + 13, class_="name"))
    numbers = svg.Numbers(("", title), rows)
    return svg.drawing(*parts, width=width, height=8 + 24 * len(rows), title=title, numbers=numbers)


def correlation_matrix(names: Sequence[str], phi: Any, together: Any, *, title: str) -> Markup:
    """The lower triangle of a matrix of correlations, each cell with its labels and numbers for a pointer.

    Args:
        phi: (K, K); nan is drawn empty.
        together: (K, K) images that have both.
    """
    K = len(names)
    side = ROOMY_PX if K <= ROOMY else CELL_PX
    left = 34 + 6.3 * max(min(len(name), MAX_NAME) for name in names)
    pairs = [(a, b) for b in range(K) for a in range(b)]
    strongest = max([WEAKEST_SCALE, *(abs(float(phi[pair])) for pair in pairs if math.isfinite(phi[pair]))])
    parts = []
    for b, name in enumerate(names):
        top = 4.0 + side * b
        words = f"{svg.fitted(name, MAX_NAME)}  {b + 1}"
        parts.append(svg.text(words, left - 6, top + side / 2 + 4, class_="name", anchor="end"))
        for a in range(b):
            if math.isfinite(phi[a, b]):
                words = f"{names[a]} and {name}: {phi[a, b]:.3f}, together in {int(together[a, b])}"
                parts += _cell((left + side * a, top), side, float(phi[a, b]), strongest, words)
        parts.append(svg.text(str(b + 1), left + side * (b + 0.5), top + side / 2 + 4, anchor="middle"))
    below = 4.0 + side * K
    parts += _legend(left, below + 18, strongest)
    # The legend is 240 pixels wide, even below a small matrix.
    width = max(left + side * K + 6, left + 250)
    rows = [(names[a], names[b], float(phi[a, b]), int(together[a, b])) for a, b in pairs]
    numbers = svg.Numbers(("label", "other", "correlation", "images with both"), rows)
    # A wide one is scrolled on a phone, where it could not be read otherwise.
    kind = "chart wide" if width > 560 else "chart"
    return svg.drawing(*parts, width=width, height=below + 52, title=title, class_=kind, numbers=numbers)


def _cell(corner: tuple[float, float], side: int, value: float, strongest: float, words: str) -> list[Markup]:
    """A square whose depth of colour is the correlation; with its number where there is room."""
    x, y = corner
    cell = svg.element(
        "rect",
        svg.element("title", words.replace("-", "−")),
        x=x + 0.5,
        y=y + 0.5,
        width=side - 1,
        height=side - 1,
        class_=_sign(value),
        fill_opacity=_depth(value, strongest),
    )
    if side < ROOMY_PX:
        return [cell]
    written = f"{value:+.2f}".replace("-", "−").replace("0.", ".").removeprefix("+")
    written = written if abs(value) >= 0.005 else "0"
    return [cell, svg.text(written, x + side / 2, y + side / 2 + 4, class_="name phinumber", anchor="middle")]


def _sign(value: float) -> str:
    return "phi plus" if value >= 0 else "phi minus"


def _depth(value: float, strongest: float) -> str:
    """Weak correlations are the rule, so colours follow the root: half the depth is a quarter of the strongest."""
    return f"{math.sqrt(min(abs(value) / strongest, 1.0)):.2f}" if strongest else "0"


def _legend(left: float, top: float, strongest: float) -> list[Markup]:
    parts = []
    for index, share in enumerate(STEPS):
        x, depth = left + 40.0 * index, _depth(share, 1.0)
        parts.append(
            svg.element("rect", x=x, y=top, width=38, height=10, class_=_sign(share), fill_opacity=depth)
        )
        written = f"{share * strongest:.2f}".replace("-", "−")
        parts.append(svg.text(written, x + 19, top + 23, anchor="middle"))
    return parts
