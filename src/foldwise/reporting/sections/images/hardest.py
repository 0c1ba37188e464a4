"""The hardest images: those that most configurations get wrong, and those on which they differ most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.judging.curves import ComparedImage
from foldwise.reporting.drawing.pictures import (
    HeatScale,
    data_uri,
    displayed,
    heat_uri,
    mask_picture,
    scale_bar,
    smaller,
)
from foldwise.reporting.report_data import CaseRow, ReportData
from foldwise.reporting.sections.images.gallery import legend, truth_of
from foldwise.reporting.wording import percent, score
from foldwise.sealed_arrays import Arrays
from foldwise.study.ranges import IGNORE

EACH = 6  # images of a kind
MAX_ANSWERS = 3  # different answers below an image
PICTURE_PX, MASK_PX = 192, 144
Floats = NDArray[np.float64]


def section(data: ReportData) -> dict[str, Any] | None:
    """Two galleries and a table of the hardest images; None where fewer than two configurations can be compared."""
    compared, by_score = data.curves.images, data.segmentation or data.multilabel
    if compared is None:
        return None
    # Of single labels more than half of the configurations have to be wrong; a lowest score has no such limit.
    worst = [image for image in compared.hardest if by_score or image.ease < 0.5][:EACH]
    shown = {image.case for image in worst}
    galleries = {
        "Lowest scores" if by_score else "Wrong in most configurations": worst,
        "Configurations differ most": [image for image in compared.disputed if image.case not in shown][
            :EACH
        ],
    }
    scored = [result.id for result in data.configurations if result.estimate is not None]
    ids, findings = scored[: compared.num], _findings(data)
    return {
        "hardest": {
            "num": len(ids),
            "left_out": len(scored) - len(ids),
            "leading": compared.num_leading,
            "galleries": [
                (title, [_figure(data, image, ids, findings) for image in chosen])
                for title, chosen in galleries.items()
                if chosen
            ],
            "rows": [_row(data, image, findings) for image in compared.hardest],
            "bar": scale_bar(HeatScale(1.0), "share of configurations", open_ended=False),
            "legend": legend(data),
            "easy": not worst,
        }
    }


def _answers(data: ReportData, image: ComparedImage) -> str:
    """The lowest and the highest score; or Gel 9, other 15: of many answers the commonest."""
    if image.ends is not None:
        return f"{score(image.ends[0], 2)} to {score(image.ends[1], 2)}"
    words = [f"{data.classes[k]}\u00a0{num}" for k, num in image.votes[:MAX_ANSWERS]]
    rest = sum(num for _, num in image.votes[MAX_ANSWERS:])
    return ", ".join([*words, *([f"others\u00a0{rest}"] if rest else [])])


def _findings(data: ReportData) -> Mapping[str, list[str]]:
    """By image, the findings of the audit that name it; those that name half of all images tell nothing of any."""
    codes: dict[str, list[str]] = {}
    for finding in data.audit.get("findings", []):
        names = set(finding.get("cases", []))
        if 2 * len(names) <= max(len(data.cases), 2):
            for name in names:
                codes.setdefault(name, []).append(str(finding["code"]).replace("_", " "))
    return codes


def _figure(
    data: ReportData, image: ComparedImage, ids: Sequence[str], findings: Mapping[str, list[str]]
) -> dict[str, Any]:
    """The pictures of an image, and the words below them."""
    row = data.cases[image.case]
    return {
        "name": row.name,
        "pictures": _pictures(data, image.case, ids),
        "words": _words(data, image, row),
        "findings": findings.get(row.name, []),
    }


def _words(data: ReportData, image: ComparedImage, row: CaseRow) -> list[tuple[str, str]]:
    """Pairs of what the words below an image are about, and the words."""
    answers = _answers(data, image)
    if data.segmentation:
        return [("median Dice", score(image.ease, 2)), ("lowest to highest", answers)]
    if not data.multilabel:
        return [("truth", truth_of(data, row)), ("wrong", percent(1 - image.ease)), ("said", answers)]
    num = dict(image.votes)
    others = [k for k in num if k not in row.labels]
    truth, also = (
        ", ".join(f"{data.classes[k]}\u00a0{num.get(k, 0)}" for k in labels)
        for labels in (row.labels, others[:MAX_ANSWERS])
    )
    return [
        ("truth, and how many say so", truth or "no label"),
        ("said most, but not so", also or "nothing"),
        ("median probability of what is so", percent(image.ease)),
    ]


def _pictures(data: ReportData, case: int, ids: Sequence[str]) -> list[tuple[str, str]]:
    """Words and pictures: the image; of masks the truth too, and in how many configurations a pixel is wrong."""
    if data.images is None:
        return []
    pictures = [("image", data_uri(displayed(data.images.image(case)), longest_px=PICTURE_PX))]
    if not data.segmentation:
        return pictures
    truth = np.asarray(data.images.target(case))
    shape = mask_picture(truth, binary=len(data.classes) == 2)
    pictures.append(("truth", data_uri(shape, longest_px=MASK_PX, flat=True)))
    wrong = _wrong(data, case, ids, truth)
    if wrong is not None:
        pictures.append(("wrong in", heat_uri(smaller(wrong, MASK_PX), HeatScale(1.0))))
    return pictures


def _wrong(data: ReportData, case: int, ids: Sequence[str], truth: NDArray[np.uint8]) -> Floats | None:
    """(H, W) the share of configurations that are wrong at a pixel, nan where nothing counts; None without masks."""
    masks = []
    for configuration in ids:
        path = data.predictions.get(configuration, {}).get(case)
        if path is not None:
            with Arrays(path) as arrays:
                masks.append(arrays[str(case)] != truth)
    # What counts for nobody is neither right nor wrong, and is drawn grey.
    return np.where(truth == IGNORE, np.nan, np.mean(masks, axis=0)) if masks else None


def _row(data: ReportData, image: ComparedImage, findings: Mapping[str, list[str]]) -> dict[str, Any]:
    """A row of the table."""
    row, by_score = data.cases[image.case], data.segmentation or data.multilabel
    return {
        "name": row.name,
        "truth": truth_of(data, row),
        "ease": image.ease if by_score else 1 - image.ease,
        "ease_shown": score(image.ease, 2) if by_score else percent(1 - image.ease),
        "apart": image.apart,
        "apart_shown": score(image.apart, 2) if data.segmentation else percent(image.apart),
        "words": _answers(data, image),
        "findings": ", ".join(findings.get(row.name, [])) or "none",
    }
