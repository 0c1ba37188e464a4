"""The reliability diagram: predicted probabilities against how often they came true, and below how many there are."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from foldwise.judging.verdict_sections import ReliabilityBin
from foldwise.reporting.drawing.svg import Numbers, Scale, axes, drawing, element, line, marker, text
from foldwise.reporting.wording import amount, interval, score

WIDTH, HEIGHT = 250, 308
TALLEST = 34.0  # pixels of the highest bar below


def reliability_panel(title: str, bins: Sequence[ReliabilityBin], *, num_bins: int, axis: str) -> Markup:
    """Points with their intervals, the diagonal of a perfect model, and bars of counts under the same axis.

    Args:
        title: for those who cannot see it.
        bins: of the verdict, those that hold something.
        num_bins: how many there are between 0 and 1, also those that hold nothing.
        axis: its title: what the probabilities are of.
    """
    x, y = Scale(0, 1, 38, 240), Scale(0, 1, 216, 22)
    parts = [axes(x, y, x_title=f"{axis} →", y_title="↑ share that came true", count=4)]
    parts.append(line([(x(0), y(0)), (x(1), y(1))], "chance"))
    points = [(x(group.mean), y(group.share)) for group in bins]
    parts.append(line(points, "curve winner"))
    for group, (left, top) in zip(bins, points, strict=True):
        words = f"predicted {score(group.mean, 2)}, came true {score(group.share, 2)}"
        if group.low is not None and group.high is not None:
            ends = {"y1": y(group.low), "y2": y(group.high)}
            parts.append(element("line", x1=left, x2=left, **ends, class_="bar winner"))
            words += f" ({interval(group.low, group.high)})"
        words += f"; {amount(group.count)} times"
        parts.append(marker(left, top, shape="circle", class_="mark winner", size=3.4, title=words))
    parts += _bars(bins, x, num_bins)
    rows = [(group.mean, group.share, group.low, group.high, group.count) for group in bins]
    numbers = Numbers((axis, "share that came true", "low", "high", "count"), rows)
    return drawing(*parts, width=WIDTH, height=HEIGHT, title=title, numbers=numbers)


def _bars(bins: Sequence[ReliabilityBin], x: Scale, num_bins: int) -> list[Markup]:
    most = max((group.count for group in bins), default=1)
    width, parts = (x.end - x.start) / num_bins, []
    for group in bins:
        place = min(int(group.mean * num_bins), num_bins - 1)
        tall = max(TALLEST * group.count / most, 1.0)
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
