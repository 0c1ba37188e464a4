"""How scores fall on blurred and noisy test images: heat maps, bars, and one image in every condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from foldwise.data.corruptions import as_stored, corrupted, key_of
from foldwise.data.overlays import Pixels
from foldwise.judging.verdict_configurations import (
    Condition,
    ConfigurationRobustness,
    RobustnessSection,
    ScoreEstimate,
)
from foldwise.metrics.table import METRICS
from foldwise.reporting.drawing.pictures import data_uri, displayed, enlarged, grey, outlined, tinted
from foldwise.reporting.drawing.rows import standing
from foldwise.reporting.drawing.svg import Scale, drawing, element, text
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.images.gallery import Picture, legend
from foldwise.reporting.wording import percent, score
from foldwise.runs.auxiliary import AuxiliaryItem
from foldwise.sealed_arrays import Arrays

MAX_MAPS, MAX_BARS = 24, 6  # configurations
MAX_STRENGTHS = 4  # of blur, and of noise, in the bars; the pictures have one less
WINDOW_PX = 128  # of an example: blur and noise are to be seen pixel by pixel
MIN_PX = 160  # of its picture, so that outlines are thin lines
CELL = (66, 58)  # of the bars of one condition, with the air around them
USUAL = ("accuracy", "sensitivity", "recall", "specificity", "auroc")


def section(data: ReportData) -> dict[str, Any] | None:
    """Heat maps of the deciding metric, bars of the usual ones, and an example; None where nothing was asked."""
    robustness = data.verdict.robustness
    if robustness is None:
        return None
    shown, usual = robustness.configurations, _usual(robustness)
    return {
        "robustness": {
            "metric": METRICS[robustness.metrics[0]].title,
            "maps": _maps(data, robustness),
            "left_out": max(0, len(shown) - MAX_MAPS),
            "bars": [
                {
                    "name": result.name,
                    "standing": standing(data.verdict.configuration(result.id)),
                    "drawing": _bars(robustness, result, usual),
                }
                for result in shown[:MAX_BARS]
            ],
            "measures": [(hue, METRICS[name].title) for hue, name in enumerate(usual)],
            "example": _example(data, robustness),
            "legend": legend(data),
        }
    }


def _maps(data: ReportData, robustness: RobustnessSection) -> list[dict[str, Any]]:
    """Per configuration a table, blur by noise; the same colour is the same score in all of them."""
    name, shown = robustness.metrics[0], robustness.configurations[:MAX_MAPS]
    scores = [condition.metrics[name].estimate for result in shown for condition in result.conditions]
    measured = [value for value in scores if value is not None]
    # One scale over all configurations: by scales of their own, a poor one would look as robust as a good one.
    ends = min(measured, default=0.0), max(measured, default=1.0)
    if not METRICS[name].higher_is_better:
        ends = ends[::-1]
    return [
        {
            "name": result.name,
            "standing": standing(data.verdict.configuration(result.id)),
            "noise": [f"{noise:g}" for noise in robustness.noise],
            "rows": [
                (
                    f"{blur:g}",
                    [_heat(condition.metrics[name], ends, data.confidence) for condition in conditions],
                )
                for blur, conditions in zip(robustness.blur_px, _by_blur(robustness, result), strict=True)
            ],
        }
        for result in shown
    ]


def _by_blur(robustness: RobustnessSection, result: ConfigurationRobustness) -> list[Sequence[Condition]]:
    """The conditions of every blur, each in the order of the noise."""
    width = len(robustness.noise)
    return [result.conditions[start : start + width] for start in range(0, len(result.conditions), width)]


def _heat(metric: ScoreEstimate, ends: tuple[float, float], confidence: str) -> dict[str, Any]:
    worst, best = ends
    value = metric.estimate
    share = 0.0 if value is None else (value - worst) / ((best - worst) or 1.0)
    low, high = score(metric.low, 2), score(metric.high, 2)
    return {
        "value": value,
        "ends": [metric.low, metric.high],
        "shown": score(value, 2),
        "share": f"{0.08 + 0.92 * share:.3f}",
        "whole": f"{score(value)}, {confidence} interval {low} to {high}",
    }


def _usual(robustness: RobustnessSection) -> list[str]:
    """Accuracy, sensitivity, specificity and AUROC, as the task has them."""
    return [
        name
        for name in robustness.metrics
        if any(part in USUAL for part in name.removeprefix("balanced_accuracy").split("_"))
    ]


def few(strengths: Sequence[float], most: int) -> list[int]:
    """The places of at most `most` strengths, evenly from the weakest to the strongest."""
    places = np.linspace(0, len(strengths) - 1, min(most, len(strengths)))
    return [int(index) for index in places.round()]


def _bars(robustness: RobustnessSection, result: ConfigurationRobustness, names: Sequence[str]) -> Markup:
    """A grid, blur down and noise across; in each cell a bar for every usual metric, with its interval."""
    blurs, noises = (few(values, MAX_STRENGTHS) for values in (robustness.blur_px, robustness.noise))
    wide, tall = CELL
    left, top = 34.0, 26.0
    parts = [text("noise →", left + wide * len(noises), 10, anchor="end", class_="tick title")]
    parts.append(text("blur, px ↓", 0, 10, class_="tick title"))
    for column, x in enumerate(noises):
        parts.append(text(f"{robustness.noise[x]:g}", left + wide * (column + 0.5) - 4, 22, anchor="middle"))
    for row, b in enumerate(blurs):
        base = top + tall * (row + 1) - 8
        parts.append(text(f"{robustness.blur_px[b]:g}", left - 8, base - tall / 2 + 10, anchor="end"))
        for column, x in enumerate(noises):
            metrics = result.conditions[b * len(robustness.noise) + x].metrics
            parts += _cell([metrics[name] for name in names], names, left + wide * column, base)
    return drawing(
        *parts,
        width=left + wide * len(noises),
        height=top + tall * len(blurs) + 2,
        title=f"{', '.join(METRICS[name].title for name in names)} of {result.name} by blur and noise",
    )


def _cell(metrics: Sequence[ScoreEstimate], names: Sequence[str], left: float, base: float) -> list[Markup]:
    wide, y = (CELL[0] - 10) / max(len(names), 1), Scale(0, 1, base, base - CELL[1] + 14)
    parts = [
        element("line", x1=left, x2=left + CELL[0] - 10, y1=y(level), y2=y(level), class_="grid")
        for level in (0.5, 1)
    ]
    for hue, (metric, name) in enumerate(zip(metrics, names, strict=True)):
        if metric.estimate is None:
            continue
        x, top = left + wide * hue, y(metric.estimate)
        words = element("title", f"{METRICS[name].title}: {score(metric.estimate)}")
        size = {"x": x, "y": top, "width": wide - 2, "height": base - top}
        parts.append(element("rect", words, **size, class_=f"level hue{hue}"))
        if metric.interval:
            middle, (y1, y2) = x + wide / 2 - 1, map(y, metric.interval)
            parts.append(element("line", x1=middle, x2=middle, y1=y1, y2=y2, class_="whisker"))
    return [*parts, element("line", x1=left, x2=left + CELL[0] - 10, y1=base, y2=base, class_="axis")]


def _example(data: ReportData, robustness: RobustnessSection) -> dict[str, Any] | None:
    """One test image under few conditions, with the prediction of the winner; None where the images are gone."""
    winner = data.winner
    if winner is None or data.images is None:
        return None
    first = {"configuration": winner.id, "repeat": 0, "fold": 0}
    items = (
        item
        for item in data.auxiliary
        if item.kind == "robustness" and first.items() <= item.settings.items()
    )
    item = next(items, None)
    if item is None:
        return None
    draw = _segmented if data.segmentation else _classified
    blurs, noises = (few(values, MAX_STRENGTHS - 1) for values in (robustness.blur_px, robustness.noise))
    case, cells = draw(data, item, [(b, x) for b in blurs for x in noises])
    rows = [
        (f"{robustness.blur_px[b]:g}", cells[row * len(noises) : (row + 1) * len(noises)])
        for row, b in enumerate(blurs)
    ]
    noise = [f"{robustness.noise[x]:g}" for x in noises]
    return {"file": data.cases[case].name, "name": winner.name, "noise": noise, "rows": rows}


def _segmented(
    data: ReportData, item: AuxiliaryItem, places: Sequence[tuple[int, int]]
) -> tuple[int, list[Picture]]:
    assert data.images is not None
    with Arrays(item.path / "example.npz") as arrays:
        case, maps = int(arrays["case"]), arrays["maps"]
    truth = np.asarray(data.images.target(case))
    window = _window(truth)
    pictures = []
    for b, x in places:
        picture = tinted(grey(_corrupted(data, item, case, (b, x))[window]), maps[b, x][window])
        picture, true = enlarged(picture, MIN_PX), enlarged(truth[window], MIN_PX)
        wrong = (maps[b, x] != truth)[truth != 255]
        words = f"{percent(float(wrong.mean()) if wrong.size else None)} of pixels wrong"
        drawn = outlined(picture, true, coloured=False)
        pictures.append(Picture(data_uri(drawn, longest_px=2 * MIN_PX), words))
    return case, pictures


def _classified(
    data: ReportData, item: AuxiliaryItem, places: Sequence[tuple[int, int]]
) -> tuple[int, list[Picture]]:
    """The image whose truth has the median probability where nothing is blurred or noisy."""
    with Arrays(item.path / "scores.npz") as arrays:
        cases, probabilities = arrays["case"].tolist(), arrays["probabilities"]
    true = np.zeros(probabilities.shape[2:], dtype=bool)
    for row, case in enumerate(cases):
        true[row, list(data.cases[case].labels)] = True
    of_truth = np.where(true, probabilities, 1 - probabilities if data.multilabel else 0.0)
    of_truth = of_truth.mean(axis=3) if data.multilabel else of_truth.sum(axis=3)
    row = int(np.argsort(of_truth[0, 0], kind="stable")[len(cases) // 2])
    pictures = [
        Picture(
            data_uri(_corrupted(data, item, cases[row], index), longest_px=WINDOW_PX + 32),
            f"{percent(float(of_truth[index][row]))} given to the truth",
        )
        for index in places
    ]
    return cases[row], pictures


def _corrupted(data: ReportData, item: AuxiliaryItem, case: int, condition: tuple[int, int]) -> Pixels:
    """The image as the network was shown it, in one condition."""
    assert data.images is not None
    image = np.asarray(data.images.image(case))
    blur_px, noise = item.settings["blur_px"][condition[0]], item.settings["noise"][condition[1]]
    key = key_of(item.settings["seed"], case, blur_px, noise)
    return displayed(as_stored(corrupted(image, blur_px=blur_px, noise=noise, key=key), image.dtype))


def _window(truth_HW: NDArray[np.uint8]) -> tuple[slice, slice]:
    """A part of the picture around its foreground, small enough to see single pixels."""
    places = np.argwhere((truth_HW != 0) & (truth_HW != 255))
    middle = np.median(places, axis=0) if len(places) else np.array(truth_HW.shape) / 2
    starts = [
        int(np.clip(at - WINDOW_PX // 2, 0, max(0, side - WINDOW_PX)))
        for at, side in zip(middle.tolist(), truth_HW.shape, strict=True)
    ]
    return slice(starts[0], starts[0] + WINDOW_PX), slice(starts[1], starts[1] + WINDOW_PX)
