"""Which images the report shows, with their predictions: worst, median and best of the winner, and side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.reporting.drawing.pictures import (
    class_colour,
    data_uri,
    displayed,
    error_picture,
    hex_colour,
    mask_picture,
)
from foldwise.reporting.report_data import CaseRow, ReportData
from foldwise.reporting.wording import percent, score
from foldwise.sealed_arrays import Arrays

EACH = 3  # images of a kind for the winner
SIDE_BY_SIDE = 24  # configurations
COMPARED_PX = 160
MAX_BARS = 5
MAX_PREDICTED = 3


@dataclass(frozen=True)
class Picture:
    """An image with the words below it."""

    source: str
    words: str


@dataclass(frozen=True)
class ClassBar:
    """The probability of one class; `true` where the image has it, `predicted` where the model says so."""

    name: str
    share: float
    true: bool
    predicted: bool


@dataclass(frozen=True)
class ShownCase:
    """One case with everything below it."""

    name: str
    note: str
    pictures: list[Picture]
    bars: list[ClassBar] = field(default_factory=list)
    right: bool | None = None
    truth: str = ""
    predicted: str = ""


def winner_section(data: ReportData) -> dict[str, Any] | None:
    """Pictures of the winner; where the images are gone, why there are none."""
    shown, gone = winner_gallery(data), data.images is None
    if not data.cases or (not shown and not gone):
        return None
    return {"gallery": shown, "legend": legend(data), "pictures_gone": gone}


def compared_section(data: ReportData) -> dict[str, Any] | None:
    """The same images for every configuration."""
    cases, rows = side_by_side(data)
    return {"compared": {"cases": cases, "rows": rows}} if rows else None


def winner_gallery(data: ReportData) -> dict[str, list[ShownCase]]:
    """Worst, median and best images of the winner; empty without images or scores."""
    winner, show = data.winner, _segmented if data.segmentation else _classified
    if winner is None:
        return {}
    chosen = _chosen(data, EACH).items()
    return {kind: [show(data, winner.id, case) for case in cases] for kind, cases in chosen if cases}


def side_by_side(data: ReportData) -> tuple[list[ShownCase], list[tuple[str, list[ShownCase | None]]]]:
    """The worst, median and best image, and what every configuration made of them.

    Returns:
        The images with their truth, and by configuration what it made of each, None where a fold is missing. Of a
        segmentation the errors come first and the prediction second, to stand below the image and the truth.
    """
    chosen = [case for cases in _chosen(data, 1 if data.segmentation else 2).values() for case in cases]
    results = [result for result in data.configurations if result.estimate is not None][:SIDE_BY_SIDE]
    scored = [(result.id, result.name) for result in results]
    scored += [
        (baseline.id, baseline.name) for baseline in data.verdict.baselines if baseline.id in data.predictions
    ]
    if not chosen or len(scored) < 2:
        return [], []
    cell = _mask_cell if data.segmentation else _label_cell
    rows = [(name, [cell(data, configuration, case) for case in chosen]) for configuration, name in scored]
    return [_plain(data, case) for case in chosen], rows


def legend(data: ReportData) -> list[tuple[str, str]]:
    """Colour and name of every foreground class, where masks are drawn in class colours."""
    if not data.segmentation or len(data.classes) <= 2:
        return []
    named = enumerate(data.classes[1:], 1)
    return [(hex_colour(class_colour(index)), name) for index, name in named]


def _chosen(data: ReportData, each: int) -> dict[str, list[int]]:
    winner = data.winner
    if winner is None or data.images is None:
        return {}
    if data.segmentation:
        masks = data.predictions.get(winner.id, {})
        image_scores = data.curves.image_scores.get(winner.id, {}).items()
        scores = {case: value for case, value in image_scores if case in masks}
    else:
        shares = data.probabilities(winner.id)
        scores = {case: _certainty(data, case, shares_K) for case, shares_K in shares.items()}
    return best_median_worst(scores, each)


def best_median_worst(scores: dict[int, float], each: int) -> dict[str, list[int]]:
    """Cases of the lowest, middle and highest scores, `each` of a kind and none twice.

    Few cases give fewer of the middle, then fewer of the best.
    """
    ordered = sorted(
        (case for case, value in scores.items() if np.isfinite(value)), key=lambda case: (scores[case], case)
    )
    worst = ordered[:each]
    rest = ordered[len(worst) :]
    best = list(reversed(rest[max(0, len(rest) - each) :]))
    middle = rest[: len(rest) - len(best)]
    start = max(0, min(len(ordered) // 2 - each // 2 - len(worst), len(middle) - each))
    return {"Worst": worst, "Median": middle[start : start + each], "Best": best}


def _certainty(data: ReportData, case: int, shares_K: NDArray[Any]) -> float:
    """The probability given to the truth: of the true class, or the mean over all labels there and not there."""
    true_K = np.zeros(len(shares_K), dtype=bool)
    true_K[list(data.cases[case].labels)] = True
    return float(
        np.where(true_K, shares_K, 1 - shares_K).mean() if data.multilabel else shares_K[true_K].sum()
    )


def truth_of(data: ReportData, case: CaseRow) -> str:
    """The labels of an image; empty for a segmentation."""
    if data.segmentation:
        return ""
    return ", ".join(data.classes[label] for label in case.labels) or "no label"


def _image(data: ReportData, case: int) -> NDArray[np.uint8]:
    assert data.images is not None
    return displayed(data.images.image(case))


def _mask(data: ReportData, configuration: str, case: int) -> NDArray[np.uint8] | None:
    path = data.predictions.get(configuration, {}).get(case)
    if path is None:
        return None
    with Arrays(path) as masks:
        return np.asarray(masks[str(case)], dtype=np.uint8) if str(case) in masks else None


def _segmented(data: ReportData, configuration: str, case: int) -> ShownCase:
    assert data.images is not None
    image, truth = _image(data, case), np.asarray(data.images.target(case))
    mask, binary = _mask(data, configuration, case), len(data.classes) == 2
    pictures = [
        Picture(data_uri(image), "image"),
        Picture(data_uri(mask_picture(truth, binary=binary), flat=True), "truth"),
    ]
    if mask is not None:
        pictures.append(Picture(data_uri(mask_picture(mask, binary=binary), flat=True), "prediction"))
        pictures.append(Picture(data_uri(error_picture(image, truth, mask)), "errors"))
    value = data.curves.image_scores[configuration].get(case)
    return ShownCase(data.cases[case].name, f"Dice {score(value, 2)}", pictures)


def _mask_cell(data: ReportData, configuration: str, case: int) -> ShownCase | None:
    assert data.images is not None
    mask = _mask(data, configuration, case)
    if mask is None:
        return None
    truth = np.asarray(data.images.target(case))
    counted = truth != 255
    # Over the pixels that count: an ignored border would make every mask look better.
    wrong = float((mask != truth)[counted].mean()) if counted.any() else 0.0
    errors = error_picture(_image(data, case), truth, mask)
    prediction = mask_picture(mask, binary=len(data.classes) == 2)
    pictures = [
        Picture(data_uri(errors, longest_px=COMPARED_PX), "errors"),
        Picture(data_uri(prediction, longest_px=COMPARED_PX, flat=True), "prediction"),
    ]
    return ShownCase(data.cases[case].name, f"{wrong * 100:.1f} % of pixels wrong", pictures)


def _classified(data: ReportData, configuration: str, case: int) -> ShownCase:
    plain, cell = _plain(data, case), _label_cell(data, configuration, case)
    return plain if cell is None else replace(cell, pictures=plain.pictures)


def _label_cell(data: ReportData, configuration: str, case: int) -> ShownCase | None:
    shares = data.probabilities(configuration).get(case)
    if shares is None:
        return None
    row, classes = data.cases[case], data.classes
    if data.multilabel:
        predicted = np.flatnonzero(data.curves.decisions[configuration][case]).tolist()
        misses = len(set(predicted) ^ set(row.labels))
        note = f"{misses} of {len(classes)} labels wrong"
    else:
        predicted = [int(np.argmax(shares))]
        misses = int(predicted != list(row.labels))
        note = percent(shares[row.labels[0]])
    # What is true or predicted has a bar even where it is improbable.
    order = sorted(range(len(classes)), key=lambda k: (k not in {*row.labels, *predicted}, -shares[k]))
    bars = [
        ClassBar(classes[k], float(shares[k]), k in row.labels, k in predicted)
        for k in sorted(order[:MAX_BARS], key=lambda k: -shares[k])
    ]
    names = names_of(predicted, shares, classes)
    return ShownCase(row.name, note, [], bars, not misses, truth_of(data, row), names)


def names_of(predicted: Sequence[int], shares: Sequence[float] | NDArray[Any], classes: Sequence[str]) -> str:
    """The classes that are predicted, in their order; of many only the most probable, and how many more there are."""
    if len(predicted) <= MAX_PREDICTED + 1:
        return ", ".join(classes[k] for k in predicted) or "no label"
    likely = sorted(sorted(predicted, key=lambda k: -shares[k])[:MAX_PREDICTED])
    return f"{', '.join(classes[k] for k in likely)} and {len(predicted) - MAX_PREDICTED} more"


def _plain(data: ReportData, case: int) -> ShownCase:
    row = data.cases[case]
    pictures = [Picture(data_uri(_image(data, case), longest_px=200), "image")]
    if data.segmentation:
        assert data.images is not None
        truth = mask_picture(np.asarray(data.images.target(case)), binary=len(data.classes) == 2)
        pictures.append(Picture(data_uri(truth, longest_px=COMPARED_PX, flat=True), "truth"))
    return ShownCase(row.name, "", pictures, truth=truth_of(data, row))
