"""Score against a cost: every configuration with its interval, the front that nothing beats in both, and letters on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from foldwise.judging.verdict import CostFront
from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.reporting.drawing import svg
from foldwise.reporting.drawing.rows import SHAPE_OF, standing

WIDTH, HEIGHT = 330, 270
LOG_FROM = 8  # times as much at the most as at the least: a logarithmic axis
HOPELESS = 4  # times the range of those that could be best: who is further off stands at the edge
LETTER_PX, TALL_PX = 8.0, 11.0
MAX_WHISKERS = 40  # more configurations have intervals on the front only
# Where a letter may stand beside its mark.
AROUND = ((8, 4), (-16, 4), (6, -8), (6, 15), (-14, -8), (-14, 15), (-4, -12), (-4, 20))


@dataclass(frozen=True)
class Spot:
    """A configuration in the drawing: where its mark is, whether nothing beats it, and whether a cheaper one may be as good."""

    result: ConfigurationResult
    x: float
    y: float
    on_front: bool
    not_better: bool


def front_panel(
    front: CostFront,
    results: Mapping[str, ConfigurationResult],
    letters: Mapping[str, str],
    *,
    axis: str,
    score: str,
    words: Mapping[str, str],
    heights: Sequence[float],
) -> Markup:
    """One panel.

    Args:
        letters: by id; those on the front and the winner show theirs.
        axis, score: titles of the axes.
        words: by id, what is said of a point.
        heights: scores over which the upright axis reaches, the same of all panels; see `heights_of`.
    """
    costs = front.values
    members = {member.id: member for member in front.members}
    x = svg.scale_over(
        costs.values(), 40, WIDTH - 14, margin=0.08, log=max(costs.values()) > LOG_FROM * min(costs.values())
    )
    named = [id for id in costs if id in members or results[id].verdict == "winner"]
    y = svg.scale_over(heights, HEIGHT - 38, 26, margin=0.08)
    spots = [  # the best last, on top of all others
        Spot(
            result,
            x(costs[id]),
            y.clamped(result.estimate or 0.0),
            id in members,
            id in members and members[id].not_better_than is not None,
        )
        for id, result in reversed([*results.items()])
        if id in costs
    ]
    spots.sort(key=lambda spot: spot.on_front)
    parts = [svg.axes(x, y, x_title=f"{axis} →", y_title=score, count=4)]
    parts.append(svg.line(_steps([spot for spot in spots if spot.on_front], y), "frontline"))
    for spot in spots:
        parts += _point(spot, y, few=len(spots) <= MAX_WHISKERS, title=words[spot.result.id])
    lettered = [
        (letters[spot.result.id], spot) for spot in spots if spot.result.id in {*named} & letters.keys()
    ]
    parts += _letters(lettered, spots)
    rows = [_numbers(result, letters, costs, members) for id, result in results.items() if id in costs]
    columns = ("configuration", "letter", axis, score.strip("↑↓ "), "low", "high", "on the front")
    numbers = svg.Numbers(columns, rows)
    return svg.drawing(*parts, width=WIDTH, height=HEIGHT, title=f"Score against {axis}", numbers=numbers)


def _numbers(
    result: ConfigurationResult,
    letters: Mapping[str, str],
    costs: Mapping[str, float],
    members: Collection[str],
) -> tuple[str | float | None, ...]:
    on_front = "yes" if result.id in members else "no"
    scored = result.estimate, result.low, result.high
    return (result.name, letters.get(result.id), costs[result.id], *scored, on_front)


def heights_of(fronts: Sequence[CostFront], results: Mapping[str, ConfigurationResult]) -> list[float]:
    """Ends of the intervals of those that could be best and of those on a front, but of hopeless ones: these stand at the edge."""
    drawn = {id for front in fronts for id in front.values}
    best = _ends(
        [r for id, r in results.items() if id in drawn and (r.could_be_best or r.verdict == "winner")]
    )
    members = [results[member.id] for front in fronts for member in front.members]
    far = HOPELESS * (max(best) - min(best)) if best else 0.0
    near = [r for r in members if not best or min(best) - far <= (r.estimate or 0.0) <= max(best) + far]
    return best + _ends(near)


def _ends(results: Sequence[ConfigurationResult]) -> list[float]:
    ends = (value for result in results for value in (result.estimate, result.low, result.high))
    return [value for value in ends if value is not None]


def _steps(front: Sequence[Spot], y: svg.Scale) -> list[tuple[float, float]]:
    """What can be had for at most so much: up at every configuration of the front, and level to the next."""
    points: list[tuple[float, float]] = []
    for spot in sorted(front, key=lambda spot: spot.x):
        if points:
            points.append((spot.x, points[-1][1]))
        points.append((spot.x, spot.y))
    return [*points, (WIDTH - 14, points[-1][1])] if points else []


def _point(spot: Spot, y: svg.Scale, *, few: bool, title: str) -> list[Markup]:
    result, kind = spot.result, standing(spot.result)
    faint = "" if spot.on_front or result.could_be_best else " faint"
    parts = []
    if (few or not faint) and result.interval and y.inside(result.estimate or 0.0):
        low, high = map(y.clamped, result.interval)
        class_ = f"whisk {kind}" + ("" if spot.on_front else " faint")
        parts.append(svg.upright(spot.x, low, high, class_))
    shape = SHAPE_OF[kind] if y.inside(result.estimate or 0.0) else "triangle"
    hollow = " hollow" if spot.not_better else ""
    mark = {
        "shape": shape,
        "class_": f"mark {kind}{faint}{hollow}",
        "title": title,
        "configuration": result.id,
    }
    return [*parts, svg.marker(spot.x, spot.y, size=5.2, **mark)]


def _letters(lettered: Sequence[tuple[str, Spot]], spots: Sequence[Spot]) -> list[Markup]:
    """Each letter at the first place around its mark where it covers neither a mark nor a letter; else where it covers least."""
    taken = [(spot.x - 6, spot.y - 6, spot.x + 6, spot.y + 6) for spot in spots]
    parts = []
    for letter, spot in reversed(lettered):  # the best first
        boxes = []
        for right, down in AROUND:
            left, base = spot.x + right, spot.y + down
            boxes.append((left, base - TALL_PX + 2, left + LETTER_PX * len(letter), base + 1))
        inside = [
            box for box in boxes if box[0] > 40 and box[2] < WIDTH and box[1] > 12 and box[3] < HEIGHT - 38
        ]
        box = min(inside or boxes, key=lambda box: sum(_overlap(box, other) for other in taken))
        taken.append(box)
        parts.append(svg.text(letter, box[0], box[3] - 1, class_="name strong letter"))
    return parts


def _overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """The area that two boxes share."""
    wide = min(first[2], second[2]) - max(first[0], second[0])
    tall = min(first[3], second[3]) - max(first[1], second[1])
    return max(wide, 0.0) * max(tall, 0.0)
