"""Drawings for several labels: their correlations, and F1 against the threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from foldwise.judging.curves import Line, ThresholdCurve
from foldwise.reporting.drawing.svg import Numbers, Scale, axes, drawing, element, line, text

CELL_PX, ROOMY_PX, ROOMY = 20, 40, 10  # a matrix of at most ROOMY labels has room for its numbers
NAME_LENGTH = 28
WEAKEST_SCALE = 0.3  # the scale never ends below, so that what is nearly independent looks like it
STEPS = (-1.0, -0.5, -0.1, 0.1, 0.5, 1.0)  # of the legend, in shares of the strongest correlation


def correlation_matrix(names: Sequence[str], phi: Any, together: Any, *, title: str) -> Markup:
    """The lower triangle of a matrix of correlations, each cell with its labels and numbers for a pointer.

    Args:
        names: K labels.
        phi: (K, K); nan is drawn empty.
        together: (K, K) images that have both.
        title: of the picture.
    """
    K = len(names)
    side = ROOMY_PX if K <= ROOMY else CELL_PX
    left = 34 + 6.3 * max(min(len(name), NAME_LENGTH) for name in names)
    pairs = [abs(float(phi[a, b])) for b in range(K) for a in range(b) if _known(phi[a, b])]
    strongest = max([WEAKEST_SCALE, *pairs])
    parts = []
    for b in range(K):
        top = 4.0 + side * b
        short = names[b] if len(names[b]) <= NAME_LENGTH else names[b][: NAME_LENGTH - 1] + "…"
        parts.append(text(f"{short}  {b + 1}", left - 6, top + side / 2 + 4, class_="name", anchor="end"))
        for a in range(b):
            if _known(phi[a, b]):
                told = f"{names[a]} and {names[b]}: {phi[a, b]:.3f}, together in {int(together[a, b])}"
                parts += _cell((left + side * a, top), side, float(phi[a, b]), strongest, told)
        parts.append(text(str(b + 1), left + side * (b + 0.5), top + side / 2 + 4, anchor="middle"))
    below = 4.0 + side * K
    parts += _legend(left, below + 18, strongest)
    width = max(left + side * K + 6, left + 250)
    wide = "chart wide" if width > 560 else "chart"  # to be scrolled on a phone, where it could not be read
    shown = [(names[a], names[b], float(phi[a, b]), int(together[a, b])) for b in range(K) for a in range(b)]
    numbers = Numbers(("label", "other", "correlation", "images with both"), shown)
    return drawing(*parts, width=width, height=below + 52, title=title, class_=wide, numbers=numbers)


def _known(value: Any) -> bool:
    return math.isfinite(float(value))


def _cell(corner: tuple[float, float], side: int, value: float, strongest: float, told: str) -> list[Markup]:
    x, y = corner
    cell = element(
        "rect",
        element("title", told.replace("-", "−")),
        x=x + 0.5,
        y=y + 0.5,
        width=side - 1,
        height=side - 1,
        class_="phi plus" if value >= 0 else "phi minus",
        fill_opacity=_depth(value, strongest),
    )
    if side < ROOMY_PX:
        return [cell]
    written = (
        f"{value:+.2f}".replace("-", "−").replace("0.", ".").removeprefix("+") if abs(value) >= 0.005 else "0"
    )
    return [cell, text(written, x + side / 2, y + side / 2 + 4, class_="name phinumber", anchor="middle")]


def _depth(value: float, strongest: float) -> str:
    """Weak correlations are the rule, so colours follow the root: half the depth is a quarter of the strongest."""
    return f"{math.sqrt(min(abs(value) / strongest, 1.0)):.2f}" if strongest else "0"


def _legend(left: float, top: float, strongest: float) -> list[Markup]:
    parts = []
    for place, share in enumerate(STEPS):
        x = left + 40.0 * place
        sign = "phi plus" if share >= 0 else "phi minus"
        parts.append(
            element("rect", x=x, y=top, width=38, height=10, class_=sign, fill_opacity=_depth(share, 1.0))
        )
        written = f"{share * strongest:.2f}".replace("-", "−")
        parts.append(text(written, x + 19, top + 23, anchor="middle"))
    return parts


def threshold_panel(title: str, curve: ThresholdCurve) -> Markup:
    """F1 of one label against its threshold: every fit thin, their mean thick, and a mark at each threshold chosen.

    Args:
        title: the label.
        curve: of its F1.
    """
    x, y = Scale(0.001, 1, 30, 216, log=True), Scale(0, 1, 110, 14)
    parts = [axes(x, y, x_title="threshold →", y_title="↑ F1", count=2)]
    parts += [_line(fold, x, y, "curve fold") for fold in curve.folds]
    if curve.mean is not None:
        parts.append(_line(curve.mean, x, y, "curve winner"))
    parts += [
        element("line", x1=x.clamped(limit), x2=x.clamped(limit), y1=y.start, y2=y.start - 12, class_="limit")
        for limit in curve.chosen
    ]
    lines: list[tuple[str | int, Line]] = [*enumerate(curve.folds, 1)]
    lines += [("mean", curve.mean)] if curve.mean is not None else []
    told = [(fit, float(a), float(b)) for fit, points in lines for a, b in zip(*points, strict=True)]
    numbers = Numbers(("fit", "threshold", "F1"), told)
    return drawing(*parts, width=226, height=142, title=title, numbers=numbers)


def _line(points: Line, x: Scale, y: Scale, class_: str) -> Markup:
    return line([(x(float(a)), y(float(b))) for a, b in zip(*points, strict=True)], class_)
