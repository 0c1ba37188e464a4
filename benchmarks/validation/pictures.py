"""The pictures of docs/statistics.md, from the numbers of the simulation: on a white card, so that any page suits them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from benchmarks.validation.promises import PROMISES
from foldwise.reporting.drawing.svg import Scale, element, line, text
from foldwise.storage import written_whole

Row = dict[str, Any]
Wanted = Callable[[Row], bool]
WIDTH, HEIGHT = 640, 300
STYLE = """
svg { font: 13px system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }
.tick { fill: #56657a; font-size: 12px; } .title { fill: #16202c; font-weight: 600; font-size: 15px; }
.grid { stroke: #e3e8ee; } .promise { fill: #d9f2e6; } .promised { stroke: #00734f; stroke-dasharray: 4 3; }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
"""
# Okabe and Ito's colours, which people with any colour vision tell apart.
COLOURS = {
    "foldwise": "#00734f",
    "t on images": "#d55e00",
    "t on folds": "#cc79a7",
    "corrected t on folds": "#0072b2",
    "intervals overlap": "#8792a1",
    "normal on images": "#d55e00",
    1: "#d55e00",
    3: "#0072b2",
    5: "#00734f",
    "best score": "#d55e00",
    "corrected": "#00734f",
}
SIZES = (22, 92, 300, 3000, 30_000)


def draw_all(rows: Sequence[Row], folder: Path) -> None:
    """Four SVG files."""
    made = {
        "false-alarms": false_alarms(rows),
        "coverage": coverage(rows),
        "repeats": repeats(rows),
        "luck": luck(rows),
    }
    for name, drawing in made.items():
        with written_whole(folder / f"{name}.svg") as scratch:
            scratch.write_text(f"{drawing}\n", encoding="utf-8")


def mean_of(rows: Sequence[Row], wanted: Wanted, measure: str) -> float:
    """The mean of a measure over the cells wanted; nan where none has it."""
    known = [row["found"][measure][0] for row in rows if wanted(row["about"]) and measure in row["found"]]
    return float(np.mean(known)) if known else float("nan")


def _plain(about: Row, images: int) -> bool:
    """24 configurations drawn with images that stand alone, of this number."""
    whole = about["source"] == "drawn" and about["configurations"] == 24 and about.get("shared") != 0
    return whole and not about["grouped"] and about["images"] == images


def false_alarms(rows: Sequence[Row]) -> Markup:
    """How often two identical configurations are called different, by the number of images."""
    tests = ("t on images", "t on folds", "corrected t on folds", "foldwise")
    series = [
        (
            test,
            COLOURS[test],
            [
                mean_of(rows, lambda a, n=n: _plain(a, n) and a["repeats"] == 1, f"{test}: alarm")
                for n in SIZES
            ],
        )
        for test in tests
    ]
    return _lines(
        "Two identical networks, called different",
        series,
        y=Scale(0, 1, HEIGHT - 46, 46),
        ticks=[(share, f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 1)],
        promise=(0.0, 0.05),
    )


def repeats(rows: Sequence[Row]) -> Markup:
    """How wide the interval of a difference is, by images and repeats."""
    series = [
        (
            f"{R} repeat{'s' * (R > 1)}",
            COLOURS[R],
            [
                mean_of(
                    rows,
                    lambda a, n=n, R=R: _plain(a, n) and a["repeats"] == R and not a["identical"],
                    "foldwise: pair width",
                )
                for n in SIZES[:-1]
            ],
        )
        for R in (1, 3, 5)
    ]
    highest = max((value for _, _, own in series for value in own if np.isfinite(value)), default=0.5)
    return _lines(
        "Width of the 95 % interval of a difference",
        series,
        y=Scale(0, highest * 1.08, HEIGHT - 46, 46),
        ticks=[(value, f"{value:g}") for value in (0, 0.1, 0.2, 0.3, 0.4, 0.5) if value <= highest * 1.08],
    )


def luck(rows: Sequence[Row]) -> Markup:
    """How far the best of 24 scores lies above what its configuration really scores, before and after the correction."""
    series = [
        (
            name,
            colour,
            [mean_of(rows, lambda a, n=n: _plain(a, n) and not a["identical"], measure) for n in SIZES[:-1]],
        )
        for name, colour, measure in (
            ("best score of 24", COLOURS["best score"], "foldwise: best score bias"),
            ("corrected", COLOURS["corrected"], "foldwise: corrected bias"),
        )
    ]
    known = [value for _, _, own in series for value in own if np.isfinite(value)]
    low, high = min([-0.025, *known]), max([0.06, *known])
    return _lines(
        "How much too good the winner's score is",
        series,
        y=Scale(low, high * 1.08, HEIGHT - 46, 46),
        ticks=[
            (value, f"{value:+.2f}" if value else "0")
            for value in (-0.02, 0, 0.02, 0.04, 0.06, 0.08, 0.1)
            if value < high * 1.08
        ],
        promise=(-0.02, 0.02),
    )


def _lines(
    title: str,
    series: Sequence[tuple[str, str, Sequence[float]]],
    *,
    y: Scale,
    ticks: Sequence[tuple[float, str]],
    promise: tuple[float, float] | None = None,
) -> Markup:
    """Lines over numbers of images, each named at its end; what is promised is shaded."""
    number = max(len(own) for _, _, own in series)
    x = Scale(0, number - 1, 60, WIDTH - 170)
    parts = [] if promise is None else [_band(x.start - 10, x.end + 10, y(promise[1]), y(promise[0]))]
    for value, label in ticks:
        parts.append(element("line", class_="grid", x1=x.start - 10, x2=x.end + 10, y1=y(value), y2=y(value)))
        parts.append(text(label, x.start - 16, y(value) + 4, anchor="end"))
    for place, images in enumerate(SIZES[:number]):
        parts.append(text(f"{images:,}", x(place), y.start + 20, anchor="middle"))
    parts.append(text("images →", x.end + 30, y.start + 20))
    ends = _apart([(own[-1], name) for name, _, own in series if np.isfinite(own[-1])], y)
    for name, colour, own in series:
        points = [(x(place), y(value)) for place, value in enumerate(own) if np.isfinite(value)]
        parts.append(Markup(str(line(points, "")).replace("<polyline", f'<polyline stroke="{colour}"')))
        parts += [element("circle", cx=a, cy=b, r=3.5, fill=colour) for a, b in points]
        if name in ends:
            parts.append(
                element("text", name, x=x.end + 16, y=ends[name] + 4, fill=colour, font_weight="600")
            )
    return _card(title, parts, HEIGHT)


def _band(left: float, right: float, top: float, bottom: float) -> Markup:
    return element("rect", class_="promise", x=left, y=top, width=right - left, height=bottom - top)


def _apart(ends: Sequence[tuple[float, str]], y: Scale) -> dict[str, float]:
    """Heights of the names at the ends of lines, far enough from each other to be read."""
    placed: dict[str, float] = {}
    last = float("-inf")
    for value, name in sorted(ends, reverse=True):
        last = max(y(value), last + 17)
        placed[name] = last
    over = max(0.0, last - y.start)
    return {name: height - over for name, height in placed.items()}


STRIPS = (
    ("One score", "foldwise", "foldwise: single"),
    ("", "normal on images", "normal on images: single"),
    ("", "t on folds", "t on folds: single"),
    ("A difference", "foldwise", "foldwise: pair"),
    ("", "t on images", "t on images: pair"),
    ("", "t on folds", "t on folds: pair"),
    ("", "corrected t on folds", "corrected t on folds: pair"),
)


def coverage(rows: Sequence[Row]) -> Markup:
    """Every kind of study a dot: how often 95 % intervals hold the truth, ours and others'; trained networks are rings."""
    step, top = 27, 52
    x = Scale(0.4, 1.0, 230, WIDTH - 24)
    low, high = PROMISES[0].low, PROMISES[0].high
    bottom = top + step * len(STRIPS)
    parts = [_band(x(low), x(high), top - 10, bottom - 8)]
    for value in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        parts.append(element("line", class_="grid", x1=x(value), x2=x(value), y1=top - 10, y2=bottom - 8))
        parts.append(text(f"{value:.0%}", x(value), bottom + 10, anchor="middle"))
    for place, (title, name, measure) in enumerate(STRIPS):
        y = top + step * place + 4
        parts.append(element("text", title, x=20, y=y + 4, fill="#16202c", font_weight="600"))
        parts.append(element("text", name, x=218, y=y + 4, fill=COLOURS[name], text_anchor="end"))
        for number, (source, value) in enumerate(_studies(rows, measure)):
            at = {"cx": x.clamped(value), "cy": y + 7 * (number % 3 - 1) / 2}
            ink = {"fill": COLOURS[name], "fill_opacity": 0.5}
            if source == "trained":
                ink = {"fill": "#ffffff", "stroke": COLOURS[name], "stroke_width": 1.5}
            parts.append(element("circle", r=3.5, **at, **ink))
    parts.append(text("shaded: 93 to 98 %; rings: networks that were really trained", 230, bottom + 28))
    return _card("How often 95 % intervals hold the truth", parts, bottom + 44)


def _studies(rows: Sequence[Row], measure: str) -> list[tuple[str, float]]:
    """(source, mean) of every kind of study: so many images, so many repeats, in groups or not; drawn ones first."""
    values: dict[tuple, list[float]] = {}
    for row in rows:
        if measure in row["found"] and row["about"]["configurations"] > 2:
            kind = tuple(row["about"][name] for name in ("source", "images", "repeats", "grouped"))
            values.setdefault(kind, []).append(row["found"][measure][0])
    return [(kind[0], float(np.mean(values[kind]))) for kind in sorted(values)]


def _card(title: str, parts: Sequence[Markup], height: float) -> Markup:
    return element(
        "svg",
        element("title", title),
        element("style", Markup(" ".join(STYLE.split()))),
        element(
            "rect", x=0.5, y=0.5, width=WIDTH - 1, height=height - 1, rx=8, fill="#ffffff", stroke="#d0d7de"
        ),
        text(title, 20, 26, class_="title"),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height:g}",
        width=WIDTH,
        height=height,
        role="img",
    )
