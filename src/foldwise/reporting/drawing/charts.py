"""Drawings of configurations: their standing, and intervals in table rows."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from foldwise.judging.verdict import ConfigurationResult, ShallowBaseline
from foldwise.reporting.drawing.svg import (
    Scale,
    drawing,
    element,
    marker,
    scale_over,
    text,
    tick_text,
)
from foldwise.reporting.wording import estimate as estimate_words
from foldwise.reporting.wording import interval, shown

ROW_WIDTH, ROW_HEIGHT = 208, 24
STANDING = {"winner": "winner", "could be best": "tied", "worse": "worse"}
Trained = ConfigurationResult | ShallowBaseline
SHAPE_OF = {"winner": "diamond", "tied": "circle", "worse": "circle", "unsure": "square"}


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
    half = spans[: max(4, -(-len(spans) // 2))]
    low, high = min(min(ends) for ends in half), max(max(ends) for ends in half)
    room = 1.5 * (high - low)
    near = [value for ends in spans for value in ends if low - room <= value <= high + room]
    return scale_over(near, 10, ROW_WIDTH - 10, margin=0.04)


def _ends(result: Trained) -> list[float]:
    values = [result.low, result.high, result.estimate, *(fold.score for fold in result.folds)]
    return [value for value in values if value is not None]


def scale_head(scale: Scale) -> Markup:
    """The ticks above the rows."""
    ticks = scale.ticks(4)
    labels = [text(tick_text(value, ticks), scale(value), 13, anchor="middle") for value in ticks]
    return element(
        "svg",
        *labels,
        viewBox=f"0 0 {ROW_WIDTH} 18",
        width=ROW_WIDTH,
        height=18,
        class_="rowchart",
        aria_hidden="true",
    )


def interval_row(result: Trained, winner: ConfigurationResult | None, scale: Scale) -> Markup:
    """One configuration: bar from low to high, mark at the estimate, a ring per fold; shaded, the winner's interval."""
    middle, parts = ROW_HEIGHT / 2, _grid(scale)
    if winner is not None and winner.low is not None and winner.high is not None:
        left, right = scale.clamped(winner.low), scale.clamped(winner.high)
        parts.append(
            element("rect", x=left, width=max(right - left, 1), y=2, height=ROW_HEIGHT - 4, class_="shade")
        )
    kind, estimate, low, high = standing(result), result.estimate, result.low, result.high
    if low is not None and high is not None:
        parts.append(
            element(
                "line",
                x1=scale.clamped(low),
                x2=scale.clamped(high),
                y1=middle,
                y2=middle,
                class_=f"bar {kind}",
            )
        )
    for fold in result.folds:
        if fold.score is not None:
            parts.append(element("circle", cx=scale.clamped(fold.score), cy=middle, r=2.4, class_="ring"))
    if estimate is not None and scale.inside(estimate):
        parts.append(marker(scale(estimate), middle, shape=SHAPE_OF[kind], class_=f"mark {kind}", size=4.8))
    elif estimate is not None:
        parts = [*_grid(scale), _beyond(estimate, scale)]
    span = f", interval {interval(low, high)}" if low is not None else ""
    title = f"{result.name}: {estimate_words(result)}{span}"
    return drawing(*parts, width=ROW_WIDTH, height=ROW_HEIGHT, title=title, class_="rowchart")


def stacked(rows: Sequence[tuple[str, str, Markup]], *, head: Markup, title: str) -> Markup:
    """Drawings of rows below each other, each with a name to its left and words to its right, under the ticks."""
    left = 16 + 6.4 * max((len(name) for name, *_ in rows), default=1)
    parts = [_moved(head, left, 0)]
    for place, (name, words, drawn) in enumerate(rows):
        top = 18.0 + ROW_HEIGHT * place
        parts.append(text(name, left - 10, top + 16, class_="name", anchor="end"))
        parts.append(text(words, left + ROW_WIDTH + 10, top + 16, class_="name"))
        parts.append(_moved(drawn, left, top))
    return drawing(*parts, width=left + ROW_WIDTH + 70, height=22 + ROW_HEIGHT * len(rows), title=title)


def _moved(drawn: Markup, x: float, y: float) -> Markup:
    return Markup(str(drawn).replace("<svg", f'<svg x="{x:.1f}" y="{y:.1f}"', 1))


def baseline_row(estimate: float | None, scale: Scale) -> Markup:
    """A trivial predictor: a cross, or an arrow at the edge when it is off the scale."""
    middle, parts = ROW_HEIGHT / 2, _grid(scale)
    if estimate is None:
        return Markup("")
    if scale.inside(estimate):
        x = scale(estimate)
        parts.append(element("path", d=f"M{x - 4:.1f},{middle - 4}l8,8m0,-8l-8,8", class_="cross"))
    else:
        parts.append(_beyond(estimate, scale))
    return drawing(*parts, width=ROW_WIDTH, height=ROW_HEIGHT, title=shown(estimate), class_="rowchart")


def _beyond(estimate: float, scale: Scale) -> Markup:
    left = estimate < scale.low
    words = f"◂ {shown(estimate)}" if left else f"{shown(estimate)} ▸"
    return text(
        words,
        4 if left else ROW_WIDTH - 4,
        ROW_HEIGHT / 2 + 3.5,
        anchor="start" if left else "end",
        class_="tick",
    )


def _grid(scale: Scale) -> list[Markup]:
    return [
        element("line", x1=scale(value), x2=scale(value), y1=0, y2=ROW_HEIGHT, class_="grid")
        for value in scale.ticks(4)
    ]
