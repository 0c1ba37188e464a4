"""Drawings in the cells of tables: the standing of a configuration, intervals on one scale, and bars from zero."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from foldwise.judging.verdict_configurations import ConfigurationResult, ShallowBaseline
from foldwise.reporting.drawing.svg import (
    Scale,
    drawing,
    element,
    grid,
    marker,
    scale_over,
    text,
    tick_labels,
    tick_text,
)
from foldwise.reporting.wording import estimate as estimate_words
from foldwise.reporting.wording import interval, shown

ROW_WIDTH, ROW_HEIGHT = 208, 24
STANDING = {"winner": "winner", "could be best": "tied", "worse": "worse", "ruled out early": "worse"}
# Not by colour alone: shapes remain on paper and for those who see few colours.
SHAPE_OF = {"winner": "diamond", "tied": "circle", "worse": "circle", "unsure": "square"}
Trained = ConfigurationResult | ShallowBaseline
BAR_HEIGHT, ROOM = 20, 48  # room for the number after the longest bar


def standing(result: Trained) -> str:
    """The class name that gives a configuration its colour: winner, tied, worse or unsure."""
    return STANDING.get(result.verdict, "unsure") if isinstance(result, ConfigurationResult) else "unsure"


def score_scale(results: Sequence[Trained]) -> Scale:
    """One scale for every row of the leaderboard: intervals and folds of its better half, and what is near them.

    A few hopeless configurations must not squeeze all others into a corner: beyond half as much again as the
    better half spans, the scale ends, and a row shows an arrow there.
    """
    spans = [_ends(result) for result in results if result.estimate is not None]
    if not spans:
        return scale_over([], 10, ROW_WIDTH - 10)
    # Four at least: half of two or three would be one configuration.
    half = spans[: max(4, -(-len(spans) // 2))]
    low, high = min(map(min, half)), max(map(max, half))
    room = 1.5 * (high - low)
    near = [value for ends in spans for value in ends if low - room <= value <= high + room]
    return scale_over(near, 10, ROW_WIDTH - 10, margin=0.04)


def _ends(result: Trained) -> list[float]:
    values = [result.low, result.high, result.estimate, *(fold.score for fold in result.folds)]
    return [value for value in values if value is not None]


def scale_head(scale: Scale) -> Markup:
    """The ticks above the rows."""
    return _head(tick_labels(scale, 13, 4), ROW_WIDTH, 18, "rowchart")


def _head(labels: Sequence[Markup], width: float, height: int, class_: str) -> Markup:
    """It repeats what the cells say, so that it is hidden from those who hear the page."""
    box = f"0 0 {width:g} {height}"
    return element("svg", *labels, viewBox=box, width=width, height=height, class_=class_, aria_hidden="true")


def interval_row(result: Trained, winner: ConfigurationResult | None, scale: Scale) -> Markup:
    """One configuration: bar from low to high, mark at the estimate, a ring per fold; shaded, the winner's interval."""
    middle, parts = ROW_HEIGHT / 2, grid(scale, 0, ROW_HEIGHT, 4)
    if winner is not None and winner.interval:
        left, right = map(scale.clamped, winner.interval)
        parts.append(
            element("rect", x=left, width=max(right - left, 1), y=2, height=ROW_HEIGHT - 4, class_="shade")
        )
    kind, estimate, ends = standing(result), result.estimate, result.interval
    if ends:
        x1, x2 = map(scale.clamped, ends)
        parts.append(element("line", x1=x1, x2=x2, y1=middle, y2=middle, class_=f"bar {kind}"))
    parts += [
        element("circle", cx=scale.clamped(fold.score), cy=middle, r=2.4, class_="ring")
        for fold in result.folds
        if fold.score is not None
    ]
    if estimate is not None and scale.inside(estimate):
        parts.append(marker(scale(estimate), middle, shape=SHAPE_OF[kind], class_=f"mark {kind}", size=4.8))
    elif estimate is not None:
        # The arrow alone: bar and rings would pile up at the edge as if they ended there.
        parts = [*grid(scale, 0, ROW_HEIGHT, 4), _beyond(estimate, scale)]
    span = f", interval {interval(*ends)}" if ends else ""
    title = f"{result.name}: {estimate_words(result)}{span}"
    return drawing(*parts, width=ROW_WIDTH, height=ROW_HEIGHT, title=title, class_="rowchart")


def stacked(rows: Sequence[tuple[str, str, Markup]], *, head: Markup, title: str) -> Markup:
    """Drawings of rows below each other, each with a name to its left and words to its right, under the ticks."""
    left = 16 + 6.4 * max((len(name) for name, *_ in rows), default=1)
    parts = [_moved(head, left, 0)]
    for index, (name, words, drawn) in enumerate(rows):
        top = 18.0 + ROW_HEIGHT * index
        parts.append(text(name, left - 10, top + 16, class_="name", anchor="end"))
        parts.append(text(words, left + ROW_WIDTH + 10, top + 16, class_="name"))
        parts.append(_moved(drawn, left, top))
    return drawing(*parts, width=left + ROW_WIDTH + 70, height=22 + ROW_HEIGHT * len(rows), title=title)


def _moved(drawn: Markup, x: float, y: float) -> Markup:
    return Markup(str(drawn).replace("<svg", f'<svg x="{x:.1f}" y="{y:.1f}"', 1))


def baseline_row(estimate: float | None, scale: Scale) -> Markup:
    """A trivial predictor: a cross, or an arrow at the edge when it is off the scale."""
    middle, parts = ROW_HEIGHT / 2, grid(scale, 0, ROW_HEIGHT, 4)
    if estimate is None:
        return Markup("")
    if scale.inside(estimate):
        x = scale(estimate)
        parts.append(element("path", d=f"M{x - 4:.1f},{middle - 4}l8,8m0,-8l-8,8", class_="cross"))
    else:
        parts.append(_beyond(estimate, scale))
    return drawing(*parts, width=ROW_WIDTH, height=ROW_HEIGHT, title=shown(estimate), class_="rowchart")


def _beyond(estimate: float, scale: Scale) -> Markup:
    """An arrow and the number at the edge that it lies behind."""
    y = ROW_HEIGHT / 2 + 3.5
    if estimate < scale.low:
        return text(f"◂ {shown(estimate)}", 4, y)
    return text(f"{shown(estimate)} ▸", ROW_WIDTH - 4, y, anchor="end")


def bar_head(scale: Scale) -> Markup:
    """The ticks above a column of bars: zero, the middle and the end of the axis."""
    ticks = [value for value in scale.ticks(2) if scale.inside(value)]
    labels = [
        text(tick_text(value, ticks), scale(value), 11, anchor="start" if value == 0 else "middle")
        for value in ticks
    ]
    return _head(labels, scale.end + ROOM, 14, "barcell")


def bar_cell(
    value: float | None, scale: Scale, *, words: str, low: float | None = None, high: float | None = None
) -> Markup:
    """One number as a bar from zero, its words after it; a value below zero has none."""
    middle, parts, end = BAR_HEIGHT / 2, grid(scale, 0, BAR_HEIGHT, 2), scale.start
    if value is not None:
        end = scale.clamped(value)
        width = max(end - scale.start, 0)
        parts.append(element("rect", x=scale.start, y=4, width=width, height=BAR_HEIGHT - 8, class_="count"))
    if low is not None and high is not None:
        ends = scale.clamped(low), scale.clamped(high)
        parts.append(element("line", x1=ends[0], x2=ends[1], y1=middle, y2=middle, class_="whisker"))
        end = max(end, ends[1])
    parts.append(text(words, end + 5, middle + 4, class_="name"))
    return drawing(*parts, width=scale.end + ROOM, height=BAR_HEIGHT, title=words, class_="barcell")
