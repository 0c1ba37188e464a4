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
from foldwise.reporting.sections.images.disagreement import minority
from foldwise.reporting.sections.images.gallery import legend
from foldwise.reporting.wording import percent, score
from foldwise.study.spec import IGNORE

EACH = 6  # images of a kind
MAX_LISTED = 50
MAX_SAID = 3  # different answers below an image
PICTURE_PX, MASK_PX = 192, 144
FEWEST = 2  # configurations that have to have seen an image
COULD_BE_BEST = ("winner", "could be best")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Hard:
    """How one image went.

    Attributes:
        case: its number.
        ease: higher is easier: the share of configurations that are right, or the median of their scores.
        apart: 0 where all say the same, or score the same.
        said: what was said and how often, or the lowest and highest score.
    """

    case: int
    ease: float
    apart: float
    said: str


def section(data: ReportData) -> dict[str, Any] | None:
    """Two galleries and a table of the hardest images; None where fewer than two configurations can be compared."""
    ids = [one.id for one in data.configurations if one.estimate is not None]
    ids = ids[:MAX_COMPARED]
    if len(ids) < FEWEST:
        return None
    hard = _images(data, ids) if data.segmentation or data.multilabel else _labelled(data, ids)
    if not hard:
        return None
    wrong = sorted(hard, key=lambda one: (one.ease, -one.apart, one.case))
    scored = data.segmentation or data.multilabel
    worst = [one for one in wrong if scored or one.ease < 0.5][:EACH]
    shown = {one.case for one in worst}
    apart = sorted(hard, key=lambda one: (-one.apart, one.ease, one.case))
    differing = [one for one in apart if one.apart > 0 and one.case not in shown][:EACH]
    listed = [one for one in wrong if scored or one.ease < 1][:MAX_LISTED]
    findings = _findings(data)
    return {
        "hardest": {
            "num": len(ids),
            "left_out": sum(one.estimate is not None for one in data.configurations) - len(ids),
            "leading": len(_leading(data, ids)),
            "galleries": [
                (title, [_shown(data, one, ids, findings) for one in chosen])
                for title, chosen in (
                    ("Lowest scores" if scored else "Wrong in most configurations", worst),
                    ("Configurations differ most", differing),
                )
                if chosen
            ],
            "rows": [_listed(data, one, findings) for one in listed],
            "bar": scale_bar(HeatScale(1.0), "share of configurations", open_ended=False),
            "legend": legend(data),
            "easy": not worst,
        }
    }


def _labelled(data: ReportData, ids: Sequence[str]) -> list[Hard]:
    """One label: the share of configurations that say it, and the share that does not say what most say."""
    found = []
    for row in data.cases:
        told = [data.probabilities.get(one, {}).get(row.index) for one in ids]
        said = np.array([int(np.argmax(shares)) for shares in told if shares is not None])
        if len(said) >= FEWEST:
            ease = float((said == row.labels[0]).mean())
            names = Counter(data.classes[k] for k in said.tolist())
            found.append(Hard(row.index, ease, float(minority(said)), _counted(names)))
    return found


def _counted(names: Counter[str]) -> str:
    """Gel 9, other 15; of many answers the commonest."""
    common = names.most_common()
    words = [f"{name}\u00a0{num}" for name, num in common[:MAX_SAID]]
    rest = sum(num for _, num in common[MAX_SAID:])
    return ", ".join([*words, *([f"others\u00a0{rest}"] if rest else [])])


def _images(data: ReportData, ids: Sequence[str]) -> list[Hard]:
    """Masks and several labels: the median of the image scores, and how far they are spread.

    Of masks the spread is over the configurations that could be best, of labels it is what they say that differs.
    """
    found = []
    leading = _leading(data, ids)
    for row in data.cases:
        scores = _scores(data, ids, row.index)
        if len(scores) < FEWEST:
            continue
        few = _scores(data, leading, row.index)
        apart = _labels_apart(data, ids, row.index) if data.multilabel else float(np.ptp(few or [0.0]))
        ends = f"{score(min(scores), 2)} to {score(max(scores), 2)}"
        found.append(Hard(row.index, float(np.median(scores)), apart, ends))
    return found


def _scores(data: ReportData, ids: Sequence[str], case: int) -> list[float]:
    told = (data.curves.image_scores.get(one, {}).get(case) for one in ids)
    return [float(value) for value in told if value is not None]


def _leading(data: ReportData, ids: Sequence[str]) -> list[str]:
    """Those that could be best; all where fewer than two are known to be."""
    standing = {one.id: one.verdict for one in data.configurations}
    chosen = [one for one in ids if standing[one] in COULD_BE_BEST]
    return chosen if len(chosen) >= FEWEST else list(ids)


def _labels_apart(data: ReportData, ids: Sequence[str], case: int) -> float:
    said = [data.curves.decisions[one][case] for one in ids if case in data.curves.decisions.get(one, {})]
    return float(minority(np.stack(said)).mean()) if len(said) >= FEWEST else 0.0


def _findings(data: ReportData) -> Mapping[str, list[str]]:
    """By image, the findings of the audit that name it; those that name half of all images say nothing of one."""
    found: dict[str, list[str]] = {}
    for finding in data.audit.get("findings", []):
        names = set(finding.get("cases", []))
        if 2 * len(names) <= max(len(data.cases), 2):
            for name in names:
                found.setdefault(name, []).append(str(finding["code"]).replace("_", " "))
    return found


def _truth(data: ReportData, row: CaseRow) -> str:
    return "" if data.segmentation else ", ".join(data.classes[k] for k in row.labels) or "no label"


def _shown(
    data: ReportData, one: Hard, ids: Sequence[str], findings: Mapping[str, list[str]]
) -> dict[str, Any]:
    """The pictures of one image, and the words below them."""
    row = data.cases[one.case]
    return {
        "name": row.name,
        "pictures": _pictures(data, one.case, ids),
        "words": _words(data, one, row, ids),
        "findings": findings.get(row.name, []),
    }


def _words(data: ReportData, one: Hard, row: CaseRow, ids: Sequence[str]) -> list[tuple[str, str]]:
    """What is said below an image: what it is about, and the words."""
    if data.segmentation:
        return [("median Dice", score(one.ease, 2)), ("lowest to highest", one.said)]
    if not data.multilabel:
        return [("truth", _truth(data, row)), ("wrong", percent(1 - one.ease)), ("said", one.said)]
    said = [
        data.curves.decisions[known][row.index]
        for known in ids
        if row.index in data.curves.decisions.get(known, {})
    ]
    num_K = np.sum(said, axis=0) if said else np.zeros(len(data.classes))
    others = [int(k) for k in np.argsort(-num_K, kind="stable") if num_K[k] and k not in row.labels]
    truth, also = (
        ", ".join(f"{data.classes[k]}\u00a0{int(num_K[k])}" for k in listed)
        for listed in (row.labels, others[:MAX_SAID])
    )
    return [
        ("truth, and how many say so", truth or "no label"),
        ("said most, but not so", also or "nothing"),
        ("median probability of what is so", percent(one.ease)),
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
    for one in ids:
        path = data.predictions.get(one, {}).get(case)
        if path is not None:
            with np.load(path, allow_pickle=False) as arrays:
                masks.append(arrays[str(case)] != truth)
    return np.where(truth == IGNORE, np.nan, np.mean(masks, axis=0)) if masks else None


def _listed(data: ReportData, one: Hard, findings: Mapping[str, list[str]]) -> dict[str, Any]:
    """A row of the table."""
    row = data.cases[one.case]
    scored = data.segmentation or data.multilabel
    return {
        "name": row.name,
        "truth": _truth(data, row),
        "ease": one.ease if scored else 1 - one.ease,
        "ease_shown": score(one.ease, 2) if scored else percent(1 - one.ease),
        "apart": one.apart,
        "apart_shown": score(one.apart, 2) if data.segmentation else percent(one.apart),
        "said": one.said,
        "findings": ", ".join(findings.get(row.name, [])) or "none",
    }
