"""Drawings of classes: a line of dots for each, one dot a configuration, and counts as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from foldwise.reporting.drawing.svg import (
    Numbers,
    Scale,
    drawing,
    element,
    marker,
    scale_over,
    text,
    tick_text,
)
from foldwise.reporting.wording import score

MAX_DRAWN = 40  # classes


@dataclass(frozen=True)
class Dot:
    """One configuration in a line of dots."""

    value: float
    name: str
    configuration: str | None = None


def class_strip(
    rows: Sequence[tuple[str, float | None, Sequence[Dot]]],
    *,
    title: str,
    width: int = 880,
    winner: Dot | None = None,
) -> Markup:
    """One line per class: every configuration a faint dot, the winner a diamond with its number.

    Args:
        rows: of each class its name, the value of the winner, and the dots of the others.
        title: what the values are.
        width: in pixels.
        winner: its id and name; its value is not read.
    """
    spoken = [
        value
        for _, own, others in rows
        for value in (*(dot.value for dot in others), own)
        if value is not None
    ]
    left = min(240, 24 + 7 * max(len(name) for name, *_ in rows))
    x = scale_over(spoken, left, width - 30)
    bottom = 18 + 30 * len(rows)
    ticks = x.ticks(6)
    parts = [element("line", x1=x(value), x2=x(value), y1=10, y2=bottom, class_="grid") for value in ticks]
    parts += [text(tick_text(value, ticks), x(value), bottom + 14, anchor="middle") for value in ticks]
    for place, row in enumerate(rows):
        parts += _line(row, x, left, place, winner)
    parts.append(text(f"{title} →", width - 30, bottom + 28, anchor="end", class_="tick title"))
    return drawing(
        *parts,
        width=width,
        height=bottom + 34,
        title=f"{title} of every class",
        class_="chart wide",
        numbers=_strip_numbers(rows, winner),
    )


def _line(
    row: tuple[str, float | None, Sequence[Dot]], x: Scale, left: float, place: int, winner: Dot | None
) -> list[Markup]:
    """The name of a class, the dots of the others, and the winner with its number."""
    name, own, others = row
    middle = 26.0 + 30 * place
    shown = name if len(name) <= 32 else name[:31] + "…"
    parts = [text(shown, left - 14, middle + 4, class_="name", anchor="end")]
    parts += [
        element(
            "circle",
            cx=x(dot.value),
            cy=middle + (number % 3 - 1) * 3,
            r=3.4,
            class_="dot",
            data_configuration=dot.configuration,
        )
        for number, dot in enumerate(others)
    ]
    if own is not None:
        whose = winner.configuration if winner else None
        parts.append(
            marker(x(own), middle, shape="diamond", class_="mark winner", size=6, configuration=whose)
        )
        parts.append(text(score(own), x(own), middle - 9, class_="name strong", anchor="middle"))
    return parts


def _strip_numbers(rows: Sequence[tuple[str, float | None, Sequence[Dot]]], winner: Dot | None) -> Numbers:
    """A row for each class; a column for each configuration, the winner first."""
    names = dict.fromkeys(dot.name for _, _, others in rows for dot in others)
    held = [{dot.name: dot.value for dot in others} for _, _, others in rows]
    first = (winner.name,) if winner else ()
    told = [
        (name, *((own,) if winner else ()), *(values.get(one) for one in names))
        for (name, own, _), values in zip(rows, held, strict=True)
    ]
    return Numbers(("", *first, *names), told)


def commonest(rows: Sequence[Any], numbers: Sequence[float]) -> tuple[list[Any], int]:
    """The rows of the largest numbers, in their order, as many as are drawn; and how many are left over."""
    order = sorted(range(len(rows)), key=lambda index: -numbers[index])[:MAX_DRAWN]
    return [rows[index] for index in sorted(order)], len(rows) - len(order)


def bars(rows: Sequence[tuple[str, int]], *, title: str, width: int = 420) -> Markup:
    """Counts as bars with their numbers."""
    most = max((value for _, value in rows), default=1) or 1
    left = min(220, 20 + 7 * max((len(name) for name, _ in rows), default=1))
    x = Scale(0, most, left, width - 60)
    parts = []
    for place, (name, value) in enumerate(rows):
        top = 4.0 + 24 * place
        parts.append(
            text(
                name if len(name) <= 30 else name[:29] + "…", left - 8, top + 13, class_="name", anchor="end"
            )
        )
        parts.append(
            element("rect", x=left, y=top, width=max(x(value) - left, 1), height=17, rx=2, class_="count")
        )
        parts.append(text(str(value), x(value) + 6, top + 13, class_="name"))
    numbers = Numbers(("", title), rows)
    return drawing(*parts, width=width, height=8 + 24 * len(rows), title=title, numbers=numbers)
