"""How scores fall on blurred and noisy test images: heat maps, bars, and one image in every condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from foldwise.data.corruptions import as_stored, corrupted, key_of
from foldwise.metrics.table import METRICS
from foldwise.reporting.drawing.charts import standing
from foldwise.reporting.drawing.outlines import enlarged, grey, outlined, tinted
from foldwise.reporting.drawing.pictures import Pixels, data_uri, displayed
from foldwise.reporting.drawing.svg import Scale, drawing, element, text
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.images.gallery import Picture, legend
from foldwise.reporting.wording import number, percent, score
from foldwise.run.auxiliary_results import AuxiliaryItem

MAX_MAPS, MAX_BARS = 24, 6  # configurations
MAX_STRENGTHS = 4  # of blur, and of noise, in the bars; the pictures have one less
WINDOW_PX = 128  # of an example: blur and noise are to be seen pixel by pixel
LEAST_PX = 160  # of its picture, so that outlines are thin lines
CELL = (66, 58)  # of the bars of one condition, with the air around them
SHORT = {"accuracy": "ACC", "sensitivity": "SENS", "recall": "SENS", "specificity": "SPEC", "auroc": "AUC"}


def section(data: ReportData) -> dict[str, Any] | None:
    """Heat maps of the deciding metric, bars of the usual ones, and an example; None where nothing was asked."""
    told = data.verdict.get("robustness")
    if not told:
        return None
    records = {one["id"]: one for one in data.configurations}
    shown = told["configurations"]
    held = {
        "metric": METRICS[told["metrics"][0]].title,
        "maps": _maps(data, told, records),
        "left_out": max(0, len(shown) - MAX_MAPS),
        "bars": [
            {"name": one["name"], "standing": standing(records[one["id"]]), "drawing": _bars(told, one)}
            for one in shown[:MAX_BARS]
        ],
        "measures": [(place, METRICS[name].title) for place, name in enumerate(_usual(told))],
        "example": _example(data, told),
        "legend": legend(data),
    }
    return {"robustness": held}


def _maps(
    data: ReportData, told: Mapping[str, Any], records: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Per configuration a table, blur by noise; the same colour is the same score in all of them."""
    name, shown = told["metrics"][0], told["configurations"][:MAX_MAPS]
    known = [
        value
        for one in shown
        for cell in one["conditions"]
        if (value := number(cell["metrics"][name]["estimate"])) is not None
    ]
    low, high = min(known, default=0.0), max(known, default=1.0)

    def cell(held: Mapping[str, Any]) -> dict[str, Any]:
        one = held["metrics"][name]
        value = number(one["estimate"])
        share = 0.0 if value is None else (value - low) / ((high - low) or 1.0)
        share = share if METRICS[name].higher_is_better else 1 - share
        ends = [score(one[end], 2) for end in ("low", "high")]
        return {
            "value": value,
            "ends": [number(one[end]) for end in ("low", "high")],
            "shown": score(value, 2),
            "share": f"{0.08 + 0.92 * share:.3f}",
            "whole": f"{score(value)}, {data.confidence} interval {ends[0]} to {ends[1]}",
        }

    width = len(told["noise"])
    return [
        {
            "name": one["name"],
            "standing": standing(records[one["id"]]),
            "noise": [f"{noise:g}" for noise in told["noise"]],
            "rows": [
                (f"{blur:g}", [cell(held) for held in one["conditions"][place * width : (place + 1) * width]])
                for place, blur in enumerate(told["blur_px"])
            ],
        }
        for one in shown
    ]


def _usual(told: Mapping[str, Any]) -> list[str]:
    """Accuracy, sensitivity, specificity and AUROC, as the task has them."""
    return [
        name
        for name in told["metrics"]
        if any(part in SHORT for part in name.removeprefix("balanced_accuracy").split("_"))
    ]


def few(strengths: Sequence[float], most: int) -> list[int]:
    """The places of at most `most` strengths, evenly from the weakest to the strongest."""
    places = np.linspace(0, len(strengths) - 1, min(most, len(strengths)))
    return [int(place) for place in places.round()]


def _bars(told: Mapping[str, Any], one: Mapping[str, Any]) -> Markup:
    """A grid, blur down and noise across; in each cell a bar for every usual metric, with its interval."""
    blurs, noises = (few(told[key], MAX_STRENGTHS) for key in ("blur_px", "noise"))
    names, (wide, tall) = _usual(told), CELL
    left, top = 34.0, 26.0
    parts = [text("noise →", left + wide * len(noises), 10, anchor="end", class_="tick title")]
    parts.append(text("blur, px ↓", 0, 10, class_="tick title"))
    for column, x in enumerate(noises):
        parts.append(text(f"{told['noise'][x]:g}", left + wide * (column + 0.5) - 4, 22, anchor="middle"))
    for row, b in enumerate(blurs):
        base = top + tall * (row + 1) - 8
        parts.append(text(f"{told['blur_px'][b]:g}", left - 8, base - tall / 2 + 10, anchor="end"))
        for column, x in enumerate(noises):
            held = one["conditions"][b * len(told["noise"]) + x]["metrics"]
            parts += _cell([held[name] for name in names], names, left + wide * column, base)
    return drawing(
        *parts,
        width=left + wide * len(noises),
        height=top + tall * len(blurs) + 2,
        title=f"{', '.join(METRICS[name].title for name in names)} of {one['name']} by blur and noise",
    )


def _cell(held: Sequence[Mapping[str, Any]], names: Sequence[str], left: float, base: float) -> list[Markup]:
    wide, y = (CELL[0] - 10) / max(len(names), 1), Scale(0, 1, base, base - CELL[1] + 14)
    parts = [
        element("line", x1=left, x2=left + CELL[0] - 10, y1=y(level), y2=y(level), class_="grid")
        for level in (0.5, 1)
    ]
    for place, (one, name) in enumerate(zip(held, names, strict=True)):
        value, low, high = (number(one[key]) for key in ("estimate", "low", "high"))
        if value is None:
            continue
        x = left + wide * place
        said = element("title", f"{METRICS[name].title}: {score(value)}")
        parts.append(
            element(
                "rect",
                said,
                x=x,
                y=y(value),
                width=wide - 2,
                height=base - y(value),
                class_=f"level hue{place}",
            )
        )
        if low is not None and high is not None:
            middle = x + wide / 2 - 1
            parts.append(element("line", x1=middle, x2=middle, y1=y(low), y2=y(high), class_="whisker"))
    return [*parts, element("line", x1=left, x2=left + CELL[0] - 10, y1=base, y2=base, class_="axis")]


def _example(data: ReportData, told: Mapping[str, Any]) -> dict[str, Any] | None:
    """One test image under few conditions, with what the winner says of it; None where the images are gone."""
    winner = data.winner
    if winner is None or data.images is None:
        return None
    item = next((one for one in data.auxiliary if _is_first(one, winner["id"])), None)
    if item is None:
        return None
    draw = _segmented if data.segmentation else _classified
    blurs, noises = (few(told[key], MAX_STRENGTHS - 1) for key in ("blur_px", "noise"))
    case, cells = draw(data, item, [(b, x) for b in blurs for x in noises])
    rows = [
        (f"{told['blur_px'][b]:g}", cells[place * len(noises) : (place + 1) * len(noises)])
        for place, b in enumerate(blurs)
    ]
    noise = [f"{told['noise'][x]:g}" for x in noises]
    return {"file": data.cases[case].name, "name": winner["name"], "noise": noise, "rows": rows}


def _is_first(one: AuxiliaryItem, configuration: str) -> bool:
    asked = one.settings
    return (
        one.kind == "robustness"
        and asked["configuration"] == configuration
        and asked["repeat"] == asked["fold"] == 0
    )


def _segmented(
    data: ReportData, item: AuxiliaryItem, places: Sequence[tuple[int, int]]
) -> tuple[int, list[Picture]]:
    assert data.images is not None
    with np.load(item.path / "example.npz", allow_pickle=False) as arrays:
        case, maps = int(arrays["case"]), arrays["maps"]
    truth = np.asarray(data.images.target(case))
    window = _window(truth)
    made = []
    for b, x in places:
        picture = tinted(grey(_worse(data, item, case, (b, x))[window]), maps[b, x][window])
        picture, true = enlarged(picture, LEAST_PX), enlarged(truth[window], LEAST_PX)
        wrong = (maps[b, x] != truth)[truth != 255]
        words = f"{percent(float(wrong.mean()) if wrong.size else None)} of pixels wrong"
        drawn = outlined(picture, true, coloured=False)
        made.append(Picture(data_uri(drawn, longest_px=2 * LEAST_PX), words))
    return case, made


def _classified(
    data: ReportData, item: AuxiliaryItem, places: Sequence[tuple[int, int]]
) -> tuple[int, list[Picture]]:
    """The image with the median probability of what is true, where nothing is blurred or noisy."""
    with np.load(item.path / "scores.npz", allow_pickle=False) as arrays:
        cases, said = arrays["case"].tolist(), arrays["probabilities"]
    true = np.zeros(said.shape[2:], dtype=bool)
    for row, case in enumerate(cases):
        true[row, list(data.cases[case].labels)] = True
    given = np.where(true, said, 1 - said if data.multilabel else 0.0)
    given = given.mean(axis=3) if data.multilabel else given.sum(axis=3)
    row = int(np.argsort(given[0, 0], kind="stable")[len(cases) // 2])
    pictures = [
        Picture(
            data_uri(_worse(data, item, cases[row], place), longest_px=WINDOW_PX + 32),
            f"{percent(float(given[place][row]))} given to the truth",
        )
        for place in places
    ]
    return cases[row], pictures


def _worse(data: ReportData, item: AuxiliaryItem, case: int, place: tuple[int, int]) -> Pixels:
    """The image as the network was shown it, in one condition."""
    assert data.images is not None
    image = np.asarray(data.images.image(case))
    blur_px, noise = item.settings["blur_px"][place[0]], item.settings["noise"][place[1]]
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
