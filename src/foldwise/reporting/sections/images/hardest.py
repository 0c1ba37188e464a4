"""The hardest images: those that most configurations get wrong, and those on which they differ most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.judging.curves import MAX_COMPARED
from foldwise.reporting.drawing.heat import HeatScale, heat_uri, scale_bar, smaller
from foldwise.reporting.drawing.pictures import data_uri, displayed, mask_picture
from foldwise.reporting.report_data import CaseRow, ReportData
from foldwise.reporting.sections.images.gallery import legend, truth_of
from foldwise.reporting.sections.images.snapshots import minority
from foldwise.reporting.wording import percent, score
from foldwise.study.spec import IGNORE

EACH = 6  # images of a kind
MAX_LISTED = 50
MAX_ANSWERS = 3  # different answers below an image
PICTURE_PX, MASK_PX = 192, 144
MIN_CONFIGURATIONS = 2  # that have to have seen an image
COULD_BE_BEST = ("winner", "could be best")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Hard:
    """How an image went.

    Attributes:
        case: its number.
        ease: higher is easier: the share of configurations that are right, or the median of their scores.
        apart: 0 where all agree, or score the same.
        words: what was predicted and how often, or the lowest and highest score.
    """

    case: int
    ease: float
    apart: float
    words: str


def section(data: ReportData) -> dict[str, Any] | None:
    """Two galleries and a table of the hardest images; None where fewer than two configurations can be compared."""
    scored = [result.id for result in data.configurations if result.estimate is not None]
    ids, by_score = scored[:MAX_COMPARED], data.segmentation or data.multilabel
    if len(ids) < MIN_CONFIGURATIONS:
        return None
    images = _scored(data, ids) if by_score else _labelled(data, ids)
    if not images:
        return None
    # Ties by number of the image: the same run gives the same page.
    hardest = sorted(images, key=lambda image: (image.ease, -image.apart, image.case))
    worst = [image for image in hardest if by_score or image.ease < 0.5][:EACH]
    galleries = {
        "Lowest scores" if by_score else "Wrong in most configurations": worst,
        "Configurations differ most": _differing(images, {image.case for image in worst}),
    }
    findings = _findings(data)
    return {
        "hardest": {
            "num": len(ids),
            "left_out": len(scored) - len(ids),
            "leading": len(_leading(data, ids)),
            "galleries": [
                (title, [_figure(data, image, ids, findings) for image in chosen])
                for title, chosen in galleries.items()
                if chosen
            ],
            "rows": [_row(data, image, findings) for image in hardest if by_score or image.ease < 1][
                :MAX_LISTED
            ],
            "bar": scale_bar(HeatScale(1.0), "share of configurations", open_ended=False),
            "legend": legend(data),
            "easy": not worst,
        }
    }


def _differing(images: Sequence[Hard], shown: set[int]) -> list[Hard]:
    """Those on which configurations differ most, but for those that are shown already."""
    ranked = sorted(images, key=lambda image: (-image.apart, image.ease, image.case))
    return [image for image in ranked if image.apart > 0 and image.case not in shown][:EACH]


def _labelled(data: ReportData, ids: Sequence[str]) -> list[Hard]:
    """One label: the share of configurations that are right, and the share that does not predict what most do."""
    images = []
    for row in data.cases:
        shares = [data.probabilities.get(configuration, {}).get(row.index) for configuration in ids]
        predicted = np.array([int(np.argmax(p_K)) for p_K in shares if p_K is not None])
        if len(predicted) >= MIN_CONFIGURATIONS:
            ease = float((predicted == row.labels[0]).mean())
            answers = Counter(data.classes[k] for k in predicted.tolist())
            images.append(Hard(row.index, ease, float(minority(predicted)), _counted(answers)))
    return images


def _counted(answers: Counter[str]) -> str:
    """Gel 9, other 15; of many answers the commonest."""
    common = answers.most_common()
    words = [f"{name}\u00a0{num}" for name, num in common[:MAX_ANSWERS]]
    rest = sum(num for _, num in common[MAX_ANSWERS:])
    return ", ".join([*words, *([f"others\u00a0{rest}"] if rest else [])])


def _scored(data: ReportData, ids: Sequence[str]) -> list[Hard]:
    """Masks and several labels: the median of the image scores, and how far they are spread.

    Of masks the spread is over the configurations that could be best, of labels it is what they predict that differs.
    """
    images, leading = [], _leading(data, ids)
    for row in data.cases:
        scores = _scores(data, ids, row.index)
        if len(scores) < MIN_CONFIGURATIONS:
            continue
        few = _scores(data, leading, row.index)
        apart = _labels_apart(data, ids, row.index) if data.multilabel else float(np.ptp(few or [0.0]))
        ends = f"{score(min(scores), 2)} to {score(max(scores), 2)}"
        images.append(Hard(row.index, float(np.median(scores)), apart, ends))
    return images


def _scores(data: ReportData, ids: Sequence[str], case: int) -> list[float]:
    scores = (data.curves.image_scores.get(configuration, {}).get(case) for configuration in ids)
    return [float(value) for value in scores if value is not None]


def _leading(data: ReportData, ids: Sequence[str]) -> list[str]:
    """Those that could be best; all where fewer than two are known to be."""
    could_be_best = {result.id for result in data.configurations if result.verdict in COULD_BE_BEST}
    leading = [configuration for configuration in ids if configuration in could_be_best]
    return leading if len(leading) >= MIN_CONFIGURATIONS else list(ids)


def _decisions(data: ReportData, ids: Sequence[str], case: int) -> list[NDArray[np.bool_]]:
    """(K,) which labels each configuration predicts."""
    decisions = (data.curves.decisions.get(configuration, {}) for configuration in ids)
    return [by_case[case] for by_case in decisions if case in by_case]


def _labels_apart(data: ReportData, ids: Sequence[str], case: int) -> float:
    decisions = _decisions(data, ids, case)
    return float(minority(np.stack(decisions)).mean()) if len(decisions) >= MIN_CONFIGURATIONS else 0.0


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
    data: ReportData, image: Hard, ids: Sequence[str], findings: Mapping[str, list[str]]
) -> dict[str, Any]:
    """The pictures of an image, and the words below them."""
    row = data.cases[image.case]
    return {
        "name": row.name,
        "pictures": _pictures(data, image.case, ids),
        "words": _words(data, image, row, ids),
        "findings": findings.get(row.name, []),
    }


def _words(data: ReportData, image: Hard, row: CaseRow, ids: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of what the words below an image are about, and the words."""
    if data.segmentation:
        return [("median Dice", score(image.ease, 2)), ("lowest to highest", image.words)]
    if not data.multilabel:
        return [("truth", truth_of(data, row)), ("wrong", percent(1 - image.ease)), ("said", image.words)]
    decisions = _decisions(data, ids, row.index)
    num_K = np.sum(decisions, axis=0) if decisions else np.zeros(len(data.classes))
    others = [int(k) for k in np.argsort(-num_K, kind="stable") if num_K[k] and k not in row.labels]
    truth, also = (
        ", ".join(f"{data.classes[k]}\u00a0{int(num_K[k])}" for k in labels)
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
            with np.load(path, allow_pickle=False) as arrays:
                masks.append(arrays[str(case)] != truth)
    return np.where(truth == IGNORE, np.nan, np.mean(masks, axis=0)) if masks else None


def _row(data: ReportData, image: Hard, findings: Mapping[str, list[str]]) -> dict[str, Any]:
    """A row of the table."""
    row, by_score = data.cases[image.case], data.segmentation or data.multilabel
    return {
        "name": row.name,
        "truth": truth_of(data, row),
        "ease": image.ease if by_score else 1 - image.ease,
        "ease_shown": score(image.ease, 2) if by_score else percent(1 - image.ease),
        "apart": image.apart,
        "apart_shown": score(image.apart, 2) if data.segmentation else percent(image.apart),
        "words": image.words,
        "findings": ", ".join(findings.get(row.name, [])) or "none",
    }
