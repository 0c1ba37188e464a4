"""Drawings of speed: images per second against the batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from foldwise.reporting.drawing.svg import Numbers, Scale, axes, drawing, element, line, marker

SHAPES = ("circle", "square", "triangle")
AIR = 1.3  # factor that the scale goes on beyond the sizes
APART = 3.0  # pixels between lines at one batch size, so that no range covers another
Measured = tuple[int, float, float, float]  # batch size; median, slowest and fastest images per second


@dataclass(frozen=True)
class Sizes(Scale):
    """A logarithmic scale whose ticks are the batch sizes that were measured."""

    shown: tuple[int, ...] = ()

    def ticks(self, count: int = 5) -> list[float]:
        """The batch sizes; every second one where they are many."""
        return [float(size) for size in self.shown[:: 1 + len(self.shown) // 9]]


def speed_panel(
    title: str, lines: Mapping[int, Sequence[Measured | None]], limits: Mapping[int, float]
) -> Markup:
    """One model: a line with ranges for each hue, and the limit dashed; the axis of the speeds begins at 0.

    Args:
        title: for those who cannot see it.
        lines: by the number of a hue, what was measured at every batch size; None where it could not be.
        limits: by batch size, images per second of the bare step.
    """
    known = {hue: [one for one in measured if one] for hue, measured in lines.items()}
    sizes = sorted({size for measured in known.values() for size, *_ in measured} | set(limits)) or [1]
    tops = [high for measured in known.values() for *_, high in measured] + list(limits.values())
    x = Sizes(sizes[0] / AIR, sizes[-1] * AIR, 46, 272, log=True, shown=tuple(sizes))
    y = Scale(0, max(tops, default=1.0) * 1.05, 168, 22)
    parts = [axes(x, y, x_title="images in a batch →", y_title="↑ images per second", count=4)]
    parts.append(line([(x(size), y(value)) for size, value in sorted(limits.items())], "chance"))
    for place, (hue, measured) in enumerate(sorted(known.items())):
        aside = (place - (len(known) - 1) / 2) * APART
        points = [(x(size) + aside, y(median)) for size, median, *_ in measured]
        parts.append(line(points, f"series hue{hue}"))
        for (size, median, low, high), (left, top) in zip(measured, points, strict=True):
            parts.append(
                element("line", x1=left, x2=left, y1=y(low), y2=y(high), class_=f"series thin hue{hue}")
            )
            said = f"batches of {size}: {median:.3g} images per second, {low:.3g} to {high:.3g}"
            shape = SHAPES[hue % len(SHAPES)]
            parts.append(marker(left, top, shape=shape, class_=f"speed hue{hue}", size=3.4, title=said))
    told: list[tuple[str | float | None, ...]] = [
        (SHAPES[hue % len(SHAPES)], *one) for hue, measured in sorted(known.items()) for one in measured
    ]
    told += [("limit", size, value, None, None) for size, value in sorted(limits.items())]
    numbers = Numbers(("line", "images in a batch", "images per second", "slowest", "fastest"), told)
    return drawing(*parts, width=280, height=206, title=title, numbers=numbers)
