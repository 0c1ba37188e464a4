"""Drawings of how numbers are spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from foldwise.reporting.drawing.svg import Numbers, Scale, axes, drawing, element, line


def histogram(title: str, shares: Sequence[NDArray[np.float64]], reach: float, highest: float) -> Markup:
    """The share of numbers in every bin from -`reach` to `reach`: the first filled, others as thin outlines.

    Args:
        title: for those who cannot see it.
        shares: one array of equally wide bins for each set of numbers.
        reach: end of the scale, on both sides.
        highest: share at the upper end of the scale.
    """
    x, y = Scale(-reach, reach, 40, 268), Scale(0, highest * 1.04 or 1.0, 108, 16)
    parts = [axes(x, y, x_title="weight →", y_title="↑ share of the weights", count=4)]
    first, *others = shares
    corners = [(x(-reach), y(0)), *_steps(first, x, y, reach), (x(reach), y(0))]
    listed = " ".join(f"{left:.1f},{top:.1f}" for left, top in corners)
    parts.append(element("polygon", points=listed, class_="filled"))
    parts += [line(_steps(other, x, y, reach), "outline") for other in others]
    edges = np.linspace(-reach, reach, len(first) + 1)
    folds = [f"fold {k}" for k in range(1, len(shares) + 1)]
    told = np.column_stack([edges[:-1], edges[1:], *shares]).tolist()
    numbers = Numbers(("from", "to", *folds), told)
    return drawing(*parts, width=280, height=142, title=title, numbers=numbers)


def _steps(shares: NDArray[np.float64], x: Scale, y: Scale, reach: float) -> list[tuple[float, float]]:
    edges = np.linspace(-reach, reach, len(shares) + 1)
    return [
        point
        for left, right, share in zip(edges[:-1], edges[1:], shares, strict=True)
        for point in ((x(float(left)), y(float(share))), (x(float(right)), y(float(share))))
    ]
