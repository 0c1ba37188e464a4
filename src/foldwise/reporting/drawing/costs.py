"""Score against what it costs: time, memory and energy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from foldwise.reporting.drawing.charts import SHAPE_OF, standing
from foldwise.reporting.drawing.svg import Numbers, axes, drawing, element, marker, scale_over, text
from foldwise.reporting.wording import brief_duration, energy, memory, milliseconds, number
from foldwise.reporting.wording import estimate as told_estimate

SPREAD = 1.1  # costs that are nearer together than this are no reason to choose
JOULES = 3600.0  # in a watt-hour
LOG_FROM = 8  # times as much at the most as at the least: a logarithmic axis


@dataclass(frozen=True)
class Price:
    """What a configuration takes.

    Attributes:
        title: of the axis.
        name: of the drawing.
        of: the cost, in the unit of the axis; None where it was not measured.
        words: a cost as it is said.
    """

    title: str
    name: str
    of: Callable[[Mapping[str, Any]], float | None]
    words: Callable[[float], str]


def most_memory(cost: Mapping[str, Any]) -> float | None:
    """Megabytes at a time: of the fit, or of the shared pass of a frozen encoder where that needs more."""
    known = (number(cost.get("peak_memory_mb")), number(cost.get("shared_peak_memory_mb")))
    return max((value for value in known if value is not None), default=None)


def watt_hours(cost: Mapping[str, Any]) -> float | None:
    """Of a fit."""
    joules = number(cost.get("energy_j"))
    return None if joules is None else joules / JOULES


TIME = Price("milliseconds per image", "Score against time per image", lambda cost: number(cost.get("latency_ms")), lambda ms: f"{milliseconds(ms)} ms")  # fmt: skip
OTHERS = (
    Price("seconds of training per fold", "Score against training time", lambda cost: number(cost.get("train_s")), brief_duration),
    Price("megabytes at the most", "Score against peak memory", most_memory, memory),
    Price("watt-hours per fold", "Score against energy", watt_hours, lambda hours: energy(hours * JOULES)),
)  # fmt: skip


def cost_chart(
    configurations: Sequence[Mapping[str, Any]], *, title: str, price: Price = TIME, width: int = 880
) -> Markup | None:
    """Score against a cost; None when it was not measured, or where all have nearly the same.

    Costs spread over more than a factor of 8 get a logarithmic axis. Names stand at the winner, at those
    that nothing beats in both score and cost, and nowhere a name would cover another.
    """
    points = [(one, price.of(one.get("cost") or {}), number(one.get("estimate"))) for one in configurations]
    known = [
        (one, paid, value)
        for one, paid, value in points
        if paid is not None and paid > 0 and value is not None
    ]
    costs = [paid for _, paid, _ in known]
    if not known or (len(known) > 1 and max(costs) < SPREAD * min(costs)):
        return None
    x = scale_over(costs, 52, width - 24, margin=0.08, log=max(costs) > LOG_FROM * min(costs))
    band = _winners_interval([one for one, *_ in known])
    y = scale_over([*(value for *_, value in known), *band], 250, 34, margin=0.1)
    shade = {"y": y(band[1]), "height": y(band[0]) - y(band[1])} if band else {}
    parts = [element("rect", x=52, width=width - 76, **shade, class_="shade")] if band else []
    count = 6 if width > 600 else 4
    parts += [axes(x, y, x_title=f"{price.title} →", y_title=title, count=count)]
    parts += [_point(one, x(paid), y(value), price.words(paid)) for one, paid, value in reversed(known)]
    named = [(str(one["name"]), x(paid), y(value)) for one, paid, value in _front(known)]
    parts += _names(named, [(x(paid), y(value)) for _, paid, value in known], width)
    numbers = Numbers(
        ("configuration", "verdict", price.title, title.strip("↑↓ ")),
        [(one["name"], str(one.get("verdict") or ""), paid, value) for one, paid, value in known],
    )
    wide = "chart wide" if width > 600 else "chart"
    return drawing(*parts, width=width, height=286, title=price.name, class_=wide, numbers=numbers)


def _point(one: Mapping[str, Any], x: float, y: float, words: str) -> Markup:
    kind = standing(one)
    said = f"{one['name']}: {told_estimate(one)}, {words}"
    return marker(
        x, y, shape=SHAPE_OF[kind], class_=f"mark {kind}", size=5.5, title=said, configuration=one["id"]
    )


Known = list[tuple[Mapping[str, Any], float, float]]


def _winners_interval(configurations: Sequence[Mapping[str, Any]]) -> list[float]:
    """Low and high of the winner: differences far below that are not drawn as if they were large."""
    first: Mapping[str, Any] = next((one for one in configurations if one.get("verdict") == "winner"), {})
    low, high = number(first.get("low")), number(first.get("high"))
    return [low, high] if low is not None and high is not None else []


def _front(known: Known) -> Known:
    """Those that no other beats in both; the best score first. Scores that are better when lower come ordered."""
    better = {one["id"]: place for place, (one, *_) in enumerate(known)}
    kept = [
        row
        for row in known
        if not any(other[1] <= row[1] and better[other[0]["id"]] < better[row[0]["id"]] for other in known)
    ]
    return kept[:6]


def _names(
    named: Sequence[tuple[str, float, float]], points: Sequence[tuple[float, float]], width: int
) -> list[Markup]:
    """Each name at the first of eight places around its point where it covers neither a point nor another name."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    parts = []
    for name, x, y in named:
        words = name if len(name) <= 44 else name[:43] + "…"
        wide = len(words) * 6.2
        for left, base in (
            (x + 10, y + 4),
            (x - 10 - wide, y + 4),
            (x - wide / 2, y - 10),
            (x - wide / 2, y + 19),
            (x - 6, y - 10),
            (x - 6, y + 19),
            (x + 6 - wide, y - 10),
            (x + 6 - wide, y + 19),
        ):
            box = (left, base - 10, left + wide, base + 3)
            if (
                left > 50
                and box[2] < width - 2
                and base < 246
                and not any(_overlap(box, other) for other in taken)
            ):
                taken.append(box)
                parts.append(text(words, left, base, class_="name"))
                break
    return parts


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
