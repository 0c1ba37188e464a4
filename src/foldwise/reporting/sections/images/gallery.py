"""Which images the report shows, and what is said of them: worst, median and best, side by side, and a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.reporting.drawing.pictures import (
    best_median_worst,
    class_colour,
    data_uri,
    displayed,
    error_picture,
    mask_picture,
    spread_out,
)
from foldwise.reporting.report_data import CaseRow, ReportData
from foldwise.reporting.wording import percent, score

EACH = 3  # images of a kind for the winner
SIDE_BY_SIDE = 24  # configurations
COMPARED_PX = 160
SAMPLE = 12
COPIED = 4  # pictures that are shown with their copies, and at most so many of each
MAX_BARS = 5
MAX_SAID = 3


@dataclass(frozen=True)
class Picture:
    """An image with the words below it."""

    source: str
    words: str


@dataclass(frozen=True)
class Bar:
    """The probability of one class; `true` where the image has it, `said` where the model says so."""

    name: str
    share: float
    true: bool
    said: bool


@dataclass(frozen=True)
class Shown:
    """One case with everything below it."""

    name: str
    note: str
    pictures: list[Picture]
    bars: list[Bar] = field(default_factory=list)
    right: bool | None = None
    truth: str = ""
    said: str = ""


def winner_section(evidence: ReportData) -> dict[str, Any] | None:
    """Pictures of the winner; where the images are gone, why there are none."""
    shown, gone = winner_gallery(evidence), evidence.images is None
    if not shown and not gone:
        return None
    return {"gallery": shown, "legend": legend(evidence), "pictures_gone": gone}


def compared_section(evidence: ReportData) -> dict[str, Any] | None:
    """The same images for every configuration."""
    cases, rows = side_by_side(evidence)
    return {"compared": {"cases": cases, "rows": rows}} if rows else None


def winner_gallery(evidence: ReportData) -> dict[str, list[Shown]]:
    """Worst, median and best images of the winner; empty without images or scores."""
    chosen = _chosen(evidence, EACH)
    winner = evidence.winner
    if winner is None:
        return {}
    show = _segmented if evidence.segmentation else _classified
    return {
        kind: [show(evidence, winner["id"], case) for case in cases]
        for kind, cases in chosen.items()
        if cases
    }


def side_by_side(evidence: ReportData) -> tuple[list[Shown], list[tuple[str, list[Shown | None]]]]:
    """The worst, median and best image, and what every configuration made of them.

    Returns:
        The images with their truth, and by configuration what it made of each, None where a fold is missing. Of a
        segmentation the errors come first and the prediction second, to stand below the image and the truth.
    """
    chosen = [
        case for cases in _chosen(evidence, 1 if evidence.segmentation else 2).values() for case in cases
    ]
    scored = [one for one in evidence.configurations if one.get("estimate") is not None][:SIDE_BY_SIDE]
    scored += [one for one in evidence.verdict.get("baselines", []) if one["id"] in evidence.predictions]
    if not chosen or len(scored) < 2:
        return [], []
    cell = _mask_cell if evidence.segmentation else _label_cell
    rows = [(str(one["name"]), [cell(evidence, one["id"], case) for case in chosen]) for one in scored]
    return [_plain(evidence, case) for case in chosen], rows


def sample(evidence: ReportData) -> list[Picture]:
    """A few images of every class (or of different groups), so that a reader sees what the data are."""
    if evidence.images is None or not evidence.cases:
        return []
    keys = [str(case.labels[:1]) if case.labels else case.group for case in evidence.cases]
    chosen = spread_out([case.index for case in evidence.cases], keys, SAMPLE)
    return [
        Picture(
            data_uri(displayed(evidence.images.image(case)), longest_px=144),
            _truth(evidence, _case(evidence, case)) or _case(evidence, case).name,
        )
        for case in chosen
    ]


def copies(evidence: ReportData) -> tuple[list[list[Picture]], int]:
    """The first pictures that are in the data more than once, each with its copies, and how many there are of them."""
    findings = evidence.audit.get("findings", [])
    alike = [names for finding in findings for names in finding.get("alike", ())]
    if evidence.images is None or not alike:
        return [], 0
    numbers = {case.name: case.index for case in evidence.cases}
    shown = [
        [
            Picture(data_uri(displayed(evidence.images.image(numbers[name])), longest_px=144), name)
            for name in names[:COPIED]
        ]
        for names in alike[:COPIED]
    ]
    return shown, len(alike)


def legend(evidence: ReportData) -> list[tuple[str, str]]:
    """Colour and name of every foreground class, where masks are drawn in class colours."""
    if not evidence.segmentation or len(evidence.classes) <= 2:
        return []
    named = enumerate(evidence.classes[1:], 1)
    return [("#{:02x}{:02x}{:02x}".format(*class_colour(index)), name) for index, name in named]


def _chosen(evidence: ReportData, each: int) -> dict[str, list[int]]:
    winner = evidence.winner
    if winner is None or evidence.images is None:
        return {}
    if evidence.segmentation:
        masks = evidence.predictions.get(winner["id"], {})
        scores = {
            case: value
            for case, value in evidence.image_scores.get(winner["id"], {}).items()
            if case in masks
        }
    else:
        told = evidence.probabilities.get(winner["id"], {})
        scores = {case: _sureness(evidence, case, shares) for case, shares in told.items()}
    return best_median_worst(scores, each)


def _sureness(evidence: ReportData, case: int, shares: NDArray[Any]) -> float:
    """The probability given to the truth: of the true class, or the mean over all labels there and not there."""
    true = np.zeros(len(shares), dtype=bool)
    true[list(_case(evidence, case).labels)] = True
    return float(np.where(true, shares, 1 - shares).mean() if evidence.multilabel else shares[true].sum())


def _case(evidence: ReportData, index: int) -> CaseRow:
    return evidence.cases[index]


def _truth(evidence: ReportData, case: CaseRow) -> str:
    if evidence.segmentation:
        return ""
    return ", ".join(evidence.classes[label] for label in case.labels) or "no label"


def _image(evidence: ReportData, case: int) -> NDArray[np.uint8]:
    assert evidence.images is not None
    return displayed(evidence.images.image(case))


def _mask(evidence: ReportData, configuration: str, case: int) -> NDArray[np.uint8] | None:
    path = evidence.predictions.get(configuration, {}).get(case)
    if path is None:
        return None
    with np.load(path, allow_pickle=False) as masks:
        return np.asarray(masks[str(case)], dtype=np.uint8) if str(case) in masks else None


def _segmented(evidence: ReportData, configuration: str, case: int) -> Shown:
    assert evidence.images is not None
    image, truth = _image(evidence, case), np.asarray(evidence.images.target(case))
    mask, binary = _mask(evidence, configuration, case), len(evidence.classes) == 2
    pictures = [
        Picture(data_uri(image), "image"),
        Picture(data_uri(mask_picture(truth, binary=binary), flat=True), "truth"),
    ]
    if mask is not None:
        pictures.append(Picture(data_uri(mask_picture(mask, binary=binary), flat=True), "prediction"))
        pictures.append(Picture(data_uri(error_picture(image, truth, mask)), "errors"))
    value = evidence.image_scores[configuration].get(case)
    return Shown(_case(evidence, case).name, f"Dice {score(value, 2)}", pictures)


def _mask_cell(evidence: ReportData, configuration: str, case: int) -> Shown | None:
    assert evidence.images is not None
    mask = _mask(evidence, configuration, case)
    if mask is None:
        return None
    truth = np.asarray(evidence.images.target(case))
    counted = truth != 255
    wrong = float((mask != truth)[counted].mean()) if counted.any() else 0.0
    errors = error_picture(_image(evidence, case), truth, mask)
    said = mask_picture(mask, binary=len(evidence.classes) == 2)
    pictures = [
        Picture(data_uri(errors, longest_px=COMPARED_PX), "errors"),
        Picture(data_uri(said, longest_px=COMPARED_PX, flat=True), "prediction"),
    ]
    return Shown(_case(evidence, case).name, f"{wrong * 100:.1f} % of pixels wrong", pictures)


def _classified(evidence: ReportData, configuration: str, case: int) -> Shown:
    plain, cell = _plain(evidence, case), _label_cell(evidence, configuration, case)
    if cell is None:
        return plain
    return Shown(plain.name, cell.note, plain.pictures, cell.bars, cell.right, cell.truth, cell.said)


def _label_cell(evidence: ReportData, configuration: str, case: int) -> Shown | None:
    shares = evidence.probabilities.get(configuration, {}).get(case)
    if shares is None:
        return None
    row, classes = _case(evidence, case), evidence.classes
    if evidence.multilabel:
        said = np.flatnonzero(evidence.decided[configuration][case]).tolist()
        misses = len(set(said) ^ set(row.labels))
        note = f"{misses} of {len(classes)} labels wrong"
    else:
        said = [int(np.argmax(shares))]
        misses = int(said != list(row.labels))
        note = percent(shares[row.labels[0]])
    order = sorted(range(len(classes)), key=lambda k: (k not in row.labels and k not in said, -shares[k]))[
        :MAX_BARS
    ]
    bars = [
        Bar(classes[k], float(shares[k]), k in row.labels, k in said)
        for k in sorted(order, key=lambda k: -shares[k])
    ]
    return Shown(
        row.name,
        note,
        [],
        bars,
        not misses,
        _truth(evidence, row),
        names_said(said, shares, classes),
    )


def names_said(said: Sequence[int], shares: Sequence[float] | NDArray[Any], classes: Sequence[str]) -> str:
    """The classes that are said, in their order; of many only the most probable, and how many more there are."""
    if len(said) <= MAX_SAID + 1:
        return ", ".join(classes[k] for k in said) or "no label"
    likely = sorted(sorted(said, key=lambda k: -shares[k])[:MAX_SAID])
    return f"{', '.join(classes[k] for k in likely)} and {len(said) - MAX_SAID} more"


def _plain(evidence: ReportData, case: int) -> Shown:
    row = _case(evidence, case)
    pictures = [Picture(data_uri(_image(evidence, case), longest_px=200), "image")]
    if evidence.segmentation:
        assert evidence.images is not None
        truth = mask_picture(np.asarray(evidence.images.target(case)), binary=len(evidence.classes) == 2)
        pictures.append(Picture(data_uri(truth, longest_px=COMPARED_PX, flat=True), "truth"))
    return Shown(row.name, "", pictures, truth=_truth(evidence, row))
