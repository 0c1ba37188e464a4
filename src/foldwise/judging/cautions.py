"""What a reader must know before believing the answer: a code for machines, a sentence, and a cure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foldwise.judging.inference import Comparison
from foldwise.judging.metrics import Metric
from foldwise.judging.ranking import MIN_POSITIVES
from foldwise.judging.rows import Rows
from foldwise.judging.scoring import Scored
from foldwise.judging.selection import Selected
from foldwise.study.spec import Study

Record = dict[str, Any]
Caution = tuple[str, str, str]  # code, message, cure
SMALL, FEW, LATE, SKEWED, GRID = 30, 10, 0.95, 0.2, 3


@dataclass(frozen=True)
class Facts:
    """What the answer and the cautions are made from."""

    study: Study
    rows: Rows
    metric: Metric
    scored: dict[str, Scored]
    comparison: Comparison | None
    selected: Selected | None


def counted(number: int, one: str, many: str) -> str:
    """``1 image``, ``3 images``."""
    return f"{number} {one if number == 1 else many}"


def cautions(facts: Facts, told: str, records: Sequence[Record], baselines: Sequence[Record]) -> list[Record]:
    """Every caution that applies, the gravest kind first."""
    told_apart = [
        _trivial(facts, told, records),
        *_missing(facts, records),
        _not_distinguishable(facts, records),
    ]
    found = [*told_apart, *(rule(facts) for rule in RULES), *_training(facts, records), _optimism(facts)]
    return [
        {"code": code, "message": message, "cure": cure}
        for one in found
        if one
        for code, message, cure in [one]
    ]


def _trivial(facts: Facts, told: str, records: Sequence[Record]) -> Caution | None:
    if told != "not_better_than_trivial":
        return None
    message = f"The interval of the best configuration, {records[0]['name']}, includes what a predictor reaches that never looks at the image."
    return (
        "TRIVIAL_BASELINE",
        message,
        "Look at the learning curves and the pictures: train longer, change the learning rate, or check the labels.",
    )


def _missing(facts: Facts, records: Sequence[Record]) -> Iterator[Caution]:
    short = [record for record in records if record["num_done"] < record["num_planned"]]
    if not short:
        return
    failed = sum(len(record["failures"]) for record in short)
    names = ", ".join(record["name"] for record in short[:3]) + (" ..." if len(short) > 3 else "")
    message = (
        f"{counted(len(short), 'configuration lacks', 'configurations lack')} fits ({names}; {failed} failed) "
        f"and {'is' if len(short) == 1 else 'are'} left out of the comparison."
    )
    yield (
        "MISSING_RUNS",
        message,
        "Read the causes under failures, mend them, and run the study again; what is done is kept.",
    )


def _not_distinguishable(facts: Facts, records: Sequence[Record]) -> Caution | None:
    could = sum(record["could_be_best"] for record in records)
    if facts.comparison is None or could <= max(1, len(facts.comparison.p) / 2):
        return None
    detectable, target = facts.comparison.minimal_detectable_difference, facts.study.judge.equivalent_within
    message = (
        f"{could} of {len(facts.comparison.p)} configurations could be the best; a difference below "
        f"about {detectable:.2g} could not have been seen with {_units(facts.rows)}."
    )
    needed = ""
    if 0 < target < detectable:
        factor = (detectable / target) ** 2
        if factor >= 2:
            needed = f" To see a difference of {target:g} takes about {factor:.0f} times as many images."
    return (
        "NOT_DISTINGUISHABLE",
        message,
        f"Take the cheapest of those that could be best, add repeats, or add images.{needed}",
    )


def _units(rows: Rows) -> str:
    kind = ("group", "groups") if rows.units.grouped else ("image", "images")
    return counted(rows.units.count, *kind)


def _small(facts: Facts) -> Caution | None:
    count, grouped = facts.rows.units.count, facts.rows.units.grouped
    if grouped and count < FEW:
        message = f"Only {counted(count, 'group', 'groups')} of images: intervals rest on groups, and on so few they are rough."
        return (
            "FEW_GROUPS",
            message,
            f"Add images of more groups (patients, slides, sources), at least {FEW}.",
        )
    if count >= SMALL:
        return None
    message = (
        f"Only {_units(facts.rows)}: intervals are wide, and may still be too narrow if rare failures exist."
    )
    return "N_SMALL", message, f"Add images; below {SMALL} only large differences can be seen."


def _seeds(facts: Facts) -> Caution | None:
    if len(facts.rows.repeats) > 1:
        return None
    message = (
        "Every fold was trained once: how much seeds and splits matter is estimated from the folds alone."
    )
    return "ONE_SEED", message, "Set validate.repeats to 3 before you rely on small differences."


def _rare(facts: Facts) -> Caution | None:
    truth, units = facts.rows.truth, facts.rows.units
    if truth is None:
        return None
    having = [np.count_nonzero(units.sums(column.astype(float), np.arange(len(truth)))) for column in truth.T]
    rare = [name for name, number in zip(facts.rows.classes, having, strict=True) if number < MIN_POSITIVES]
    if not rare:
        return None
    listed = ", ".join(rare[:5]) + (" ..." if len(rare) > 5 else "")
    message = f"{counted(len(rare), 'class has', 'classes have')} fewer than {MIN_POSITIVES} images or groups ({listed}): what is said of them is a description, not a test."
    return "RARE_CLASS", message, "Add images of them, or merge classes."


def _degenerate(facts: Facts) -> Caution | None:
    rows, name = facts.rows, facts.metric.name
    if name == "auroc" and facts.scored and all(_hard(scored) for scored in facts.scored.values()):
        message = "AUROC equals balanced accuracy in every configuration: the scores are hard labels, not probabilities."
        return "DEGENERATE_METRIC", message, "Judge by balanced_accuracy."
    if name == "accuracy" and rows.truth is not None:
        share = rows.truth.mean(axis=0)
        if rows.family == "binary" and not SKEWED <= share[1] <= 1 - SKEWED:
            message = f"Accuracy decides, but {100 * share.max():.0f} % of the images are of one class, so it mostly says how common that class is."
            return "DEGENERATE_METRIC", message, "Judge by balanced_accuracy or average_precision."
    if name.startswith("pixel_accuracy"):
        return (
            "DEGENERATE_METRIC",
            "Pixel accuracy decides; where the background is large, it hardly sees the objects.",
            "Judge by dice_img_macro.",
        )
    return None


def _hard(scored: Scored) -> bool:
    return abs(scored.estimates.get("auroc", 0.0) - scored.estimates.get("balanced_accuracy", 1.0)) < 1e-9


RULES: tuple[Callable[[Facts], Caution | None], ...] = (_small, _seeds, _rare, _degenerate)


def _training(facts: Facts, records: Sequence[Record]) -> Iterator[Caution]:
    late = [record["name"] for record in records if _undertrained(facts, record["id"])]
    if late:
        listed = ", ".join(late[:3]) + (" ..." if len(late) > 3 else "")
        message = (
            f"In most fits of {listed} the best epoch is among the last 5 %: training was still improving."
        )
        yield (
            "UNDERTRAINED",
            message,
            "Set train.epochs higher; every configuration should have stopped improving.",
        )
    yield from _edge(records)


def _undertrained(facts: Facts, configuration: str) -> bool:
    done = [
        fit for fit in facts.rows.done(configuration) if fit.epochs_planned and fit.result.get("best_epoch")
    ]
    late = [fit.result["best_epoch"] > LATE * (fit.epochs_planned or 0) for fit in done]
    return bool(sum(late) > len(late) / 2)


def _edge(records: Sequence[Record]) -> Iterator[Caution]:
    """Where the winner's level of a numeric factor is the lowest or highest tried."""
    if not records or records[0]["verdict"] != "winner":
        return
    for factor, level in records[0]["levels"].items():
        kind, value = _numeric(level)
        tried = [_numeric(record["levels"].get(factor, "")) for record in records]
        values = sorted({number for other, number in tried if other == kind and number is not None})
        if value is not None and len(values) >= GRID and value in (values[0], values[-1]):
            side = "lowest" if value == values[0] else "highest"
            message = f"The winner has {factor} {level}, the {side} that was tried: a value beyond it may be better."
            yield "EDGE_OF_GRID", message, f"Add a level of {factor} beyond {level}."


def _numeric(level: str) -> tuple[str, float | None]:
    """``0.01`` -> ("", 0.01); ``adam (lr 0.01)`` -> ("adam (lr )", 0.01); no number, or more than one, -> None."""
    numbers = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])", level)
    if len(numbers) != 1:
        return level, None
    return level.replace(numbers[0], "", 1), float(numbers[0])


def _optimism(facts: Facts) -> Caution | None:
    chosen = facts.selected
    if chosen is None or chosen.optimism < 0.005:
        return None
    sign = 1 if facts.metric.higher_is_better else -1
    message = (
        f"The winner was chosen by the score it is quoted with: {sign * chosen.naive:.3f} is likely {chosen.optimism:.3f} too good; "
        f"expect about {sign * chosen.corrected:.3f} ({min(sign * chosen.low, sign * chosen.high):.3f} to {max(sign * chosen.low, sign * chosen.high):.3f})."
    )
    return (
        "SELECTION_OPTIMISM",
        message,
        "Quote the corrected score, or score the winner once on images kept apart.",
    )
