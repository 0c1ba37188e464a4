"""Warnings about the data: too little of it, too little of a class, or a metric that says little of it."""

from __future__ import annotations

from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.rows import Rows
from foldwise.judging.scores.scoring import Scored
from foldwise.judging.sections.threshold_report import scarce
from foldwise.judging.verdict import VerdictWarning
from foldwise.metrics.ranking import MIN_POSITIVES
from foldwise.text import count, some

MIN_UNITS, MIN_GROUPS, SKEWED = 30, 10, 0.2


def small(judgement: Judgement) -> VerdictWarning | None:
    """Where there are few groups, or few units of any kind."""
    number, kind = judgement.units.count, judgement.noun[1]
    units = count(number, *judgement.noun)
    if judgement.units.grouped and number < MIN_GROUPS:
        message = f"Only {units}: intervals rest on groups, and on so few they are rough."
        cure = f"Add more groups (patients, slides, sources), at least {MIN_GROUPS}."
        return VerdictWarning(code="FEW_GROUPS", message=message, cure=cure)
    if number >= MIN_UNITS:
        return None
    message = f"Only {units}: intervals are wide, and may still be too narrow if rare failures exist."
    cure = f"Add {kind}; below {MIN_UNITS} only large differences can be seen."
    return VerdictWarning(code="N_SMALL", message=message, cure=cure)


def rare(rows: Rows) -> VerdictWarning | None:
    """Where classes are in too few images to be learned, tested or ranked."""
    absent = [rows.classes[k] for k in rows.unscored]
    pairs = zip(rows.classes, rows.num_having, strict=False)
    few = [name for name, number in pairs if number < MIN_POSITIVES]
    sentences = []
    if absent:
        verb = count(len(absent), "class cannot", "classes cannot")
        whole = len(absent) >= len(rows.classes) - (rows.family == "segmentation")
        effect = "no class can" if whole else "averages over classes leave them out"
        sentences.append(f"{verb} be learned and tested in every fold ({some(absent, 12)}): {effect}.")
    if few:
        verb = count(len(few), "class has", "classes have")
        sentences.append(
            f"{verb} fewer than {MIN_POSITIVES} images or groups with it, or without it ({some(few, 12)}): "
            "what is said of them is a description, not a test."
        )
    cure = "Add images of them, merge classes, or state fewer folds."
    return VerdictWarning(code="RARE_CLASS", message=" ".join(sentences), cure=cure) if sentences else None


def degenerate(rows: Rows, judgement: Judgement) -> VerdictWarning | None:
    """Where the metric that decides says little about what it is asked for."""
    name, scored = judgement.metric.name, judgement.scored.values()
    message = cure = ""
    if name == "auroc" and scored and all(_hard(own) for own in scored):
        message = "AUROC equals balanced accuracy in every configuration: the scores are hard labels, not probabilities."
        cure = "Judge by balanced_accuracy."
    elif name == "accuracy" and rows.truth is not None and rows.family == "binary":
        share = rows.truth.mean(axis=0)
        if not SKEWED <= share[1] <= 1 - SKEWED:
            message = f"Accuracy decides, but {100 * share.max():.0f} % of the images are of one class, so it mostly says how common that class is."
            cure = "Judge by balanced_accuracy or average_precision."
    elif name.startswith("pixel_accuracy"):
        message = "Pixel accuracy decides; where the background is large, it hardly sees the objects."
        cure = "Judge by dice_img_macro."
    return VerdictWarning(code="DEGENERATE_METRIC", message=message, cure=cure) if message else None


def _hard(scored: Scored) -> bool:
    area, balanced = scored.estimates["auroc"], scored.estimates["balanced_accuracy"]
    return abs(area - balanced) < 1e-9 and area < 1 - 1e-9  # a perfect model reaches 1 in both


def uncertain_thresholds(rows: Rows) -> VerdictWarning | None:
    """Where thresholds are set on too few images of a label."""
    names = scarce(rows)
    if not names:
        return None
    message = (
        f"Thresholds are the best of each label's own sample, and {some(names, 3)} {'has' if len(names) == 1 else 'have'} "
        "fewer than 100 images in a validation part: the best threshold of so few is mostly luck."
    )
    cure = "Leave judge.thresholds out, or set it to shrunk; nothing is trained anew."
    return VerdictWarning(code="SCARCE_THRESHOLDS", message=message, cure=cure)
