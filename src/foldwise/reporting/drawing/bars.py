"""Bars in the cells of a table: numbers on an axis that begins at zero, with an interval where there is one."""

from __future__ import annotations

from markupsafe import Markup

from foldwise.reporting.drawing.svg import Scale, drawing, element, text, tick_text

HEIGHT, ROOM = 20, 48  # room for the number after the longest bar


def bar_head(scale: Scale) -> Markup:
    """The ticks above a column of bars: zero, the middle and the end of the axis."""
    ticks = [value for value in scale.ticks(2) if scale.inside(value)]
    labels = [
        text(tick_text(value, ticks), scale(value), 11, anchor="start" if value == 0 else "middle")
        for value in ticks
    ]
    width = scale.end + ROOM
    return element(
        "svg",
        *labels,
        viewBox=f"0 0 {width:g} 14",
        width=width,
        height=14,
        class_="barcell",
        aria_hidden="true",
    )


def bar_cell(
    value: float | None, scale: Scale, *, words: str, low: float | None = None, high: float | None = None
) -> Markup:
    """One number as a bar from zero, its words after it; a value below zero has none."""
    middle = HEIGHT / 2
    parts = [
        element("line", x1=scale(tick), x2=scale(tick), y1=0, y2=HEIGHT, class_="grid")
        for tick in scale.ticks(2)
    ]
    end = scale.start
    if value is not None:
        end = scale.clamped(value)
        parts.append(
            element(
                "rect", x=scale.start, y=4, width=max(end - scale.start, 0), height=HEIGHT - 8, class_="count"
            )
        )
    if low is not None and high is not None:
        ends = scale.clamped(low), scale.clamped(high)
        parts.append(element("line", x1=ends[0], x2=ends[1], y1=middle, y2=middle, class_="whisker"))
        end = max(end, ends[1])
    parts.append(text(words, end + 5, middle + 4, class_="name"))
    return drawing(*parts, width=scale.end + ROOM, height=HEIGHT, title=words, class_="barcell")
