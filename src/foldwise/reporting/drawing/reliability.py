"""The reliability diagram: what was said against how often it came true, and below it how often it was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from foldwise.reporting.drawing.svg import Numbers, Scale, axes, drawing, element, line, marker, text
from foldwise.reporting.wording import amount, interval, number, score

WIDTH, HEIGHT = 250, 308
TALLEST = 34.0  # pixels of the highest bar below


def reliability_panel(title: str, bins: Sequence[Mapping[str, Any]], *, num_bins: int, named: str) -> Markup:
    """Points with their intervals, the diagonal of a perfect model, and bars of counts under the same axis.

    Args:
        title: for those who cannot see it.
        bins: of the verdict, each with ``mean``, ``share``, ``low``, ``high`` and ``count``.
        num_bins: how many there are between 0 and 1, also those that hold nothing.
        named: what is said, for the axis.
    """
    x, y = Scale(0, 1, 38, 240), Scale(0, 1, 216, 22)
    parts = [axes(x, y, x_title=f"{named} →", y_title="↑ share that came true", count=4)]
    parts.append(line([(x(0), y(0)), (x(1), y(1))], "chance"))
    points = [(x(float(one["mean"])), y(float(one["share"]))) for one in bins]
    parts.append(line(points, "curve winner"))
    for one, (left, top) in zip(bins, points, strict=True):
        low, high = number(one["low"]), number(one["high"])
        said = f"said {score(one['mean'], 2)}, came true {score(one['share'], 2)}"
        if low is not None and high is not None:
            parts.append(element("line", x1=left, x2=left, y1=y(low), y2=y(high), class_="bar winner"))
            said += f" ({interval(low, high)})"
        said += f"; {amount(one['count'])} times"
        parts.append(marker(left, top, shape="circle", class_="mark winner", size=3.4, title=said))
    parts += _bars(bins, x, num_bins)
    keys = ("mean", "share", "low", "high", "count")
    told = [[number(one[key]) for key in keys] for one in bins]
    numbers = Numbers((named, "share that came true", "low", "high", "count"), told)
    return drawing(*parts, width=WIDTH, height=HEIGHT, title=title, numbers=numbers)


def _bars(bins: Sequence[Mapping[str, Any]], x: Scale, num_bins: int) -> list[Markup]:
    most = max((int(one["count"]) for one in bins), default=1)
    width, parts = (x.end - x.start) / num_bins, []
    for one in bins:
        place = min(int(float(one["mean"]) * num_bins), num_bins - 1)
        tall = max(TALLEST * int(one["count"]) / most, 1.0)
        parts.append(
            element(
                "rect",
                x=x.start + width * place + 0.5,
                y=HEIGHT - 4 - tall,
                width=width - 1,
                height=tall,
                class_="filled",
            )
        )
    return [
        *parts,
        text(f"how often, up to {amount(most)}", x.start, HEIGHT - 11 - TALLEST, class_="tick title"),
    ]
