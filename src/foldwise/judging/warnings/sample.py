"""Cautions about the data: too little of it, too little of a class, or a metric that says little of it."""

from __future__ import annotations

from foldwise.judging.scores.scoring import Scored
from foldwise.judging.sections.threshold_report import scarce
from foldwise.judging.verdict import VerdictWarning
from foldwise.judging.warnings.facts import Compared, Facts, listed
from foldwise.metrics.ranking import MIN_POSITIVES
from foldwise.text import count

SMALL, FEW, SKEWED = 30, 10, 0.2


def small(facts: Compared) -> VerdictWarning | None:
    """Where there are few groups, or few units of any kind."""
    number, grouped, kind = facts.units.count, facts.units.grouped, facts.noun[1]
    if grouped and number < FEW:
        message = (
            f"Only {count(number, *facts.noun)}: intervals rest on groups, and on so few they are rough."
        )
        return VerdictWarning(
            code="FEW_GROUPS",
            message=message,
            cure=f"Add more groups (patients, slides, sources), at least {FEW}.",
        )
    if number >= SMALL:
        return None
    message = f"Only {count(number, *facts.noun)}: intervals are wide, and may still be too narrow if rare failures exist."
    return VerdictWarning(
        code="N_SMALL", message=message, cure=f"Add {kind}; below {SMALL} only large differences can be seen."
    )


def rare(facts: Facts) -> VerdictWarning | None:
    """Where classes are in too few images to be learned, tested or ranked."""
    classes, cure = facts.rows.classes, "Add images of them, merge classes, or state fewer folds."
    absent = [classes[k] for k in facts.rows.unscored]
    rare = [
        name for name, number in zip(classes, facts.rows.num_having, strict=False) if number < MIN_POSITIVES
    ]
    told = []
    if absent:
        verb = count(len(absent), "class cannot", "classes cannot")
        whole = len(absent) >= len(classes) - (facts.rows.family == "segmentation")
        effect = "no class can" if whole else "averages over classes leave them out"
        told.append(f"{verb} be learned and tested in every fold ({listed(absent, 12)}): {effect}.")
    if rare:
        verb = count(len(rare), "class has", "classes have")
        told.append(
            f"{verb} fewer than {MIN_POSITIVES} images or groups with it, or without it ({listed(rare, 12)}): "
            "what is said of them is a description, not a test."
        )
    return VerdictWarning(code="RARE_CLASS", message=" ".join(told), cure=cure) if told else None


def degenerate(facts: Facts) -> VerdictWarning | None:
    """Where the metric that decides says little about what it is asked for."""
    rows, name = facts.rows, facts.known.metric.name
    if (
        name == "auroc"
        and facts.known.scored
        and all(_hard(scored) for scored in facts.known.scored.values())
    ):
        message = "AUROC equals balanced accuracy in every configuration: the scores are hard labels, not probabilities."
        return VerdictWarning(code="DEGENERATE_METRIC", message=message, cure="Judge by balanced_accuracy.")
    if name == "accuracy" and rows.truth is not None:
        share = rows.truth.mean(axis=0)
        if rows.family == "binary" and not SKEWED <= share[1] <= 1 - SKEWED:
            message = f"Accuracy decides, but {100 * share.max():.0f} % of the images are of one class, so it mostly says how common that class is."
            return VerdictWarning(
                code="DEGENERATE_METRIC",
                message=message,
                cure="Judge by balanced_accuracy or average_precision.",
            )
    if name.startswith("pixel_accuracy"):
        return VerdictWarning(
            code="DEGENERATE_METRIC",
            message="Pixel accuracy decides; where the background is large, it hardly sees the objects.",
            cure="Judge by dice_img_macro.",
        )
    return None


def _hard(scored: Scored) -> bool:
    area, balanced = scored.estimates["auroc"], scored.estimates["balanced_accuracy"]
    return abs(area - balanced) < 1e-9 and area < 1 - 1e-9  # a perfect model reaches 1 in both


def uncertain_thresholds(facts: Facts) -> VerdictWarning | None:
    """Where thresholds are set on too few images of a label."""
    names = scarce(facts.rows)
    if not names:
        return None
    message = f"Thresholds are the best of each label's own sample, and {listed(names, 3)} {'has' if len(names) == 1 else 'have'} fewer than 100 images in an inner validation: the best threshold of so few is mostly luck."
    return VerdictWarning(
        code="SCARCE_THRESHOLDS",
        message=message,
        cure="Leave judge.thresholds out, or set it to shrunk; nothing is trained anew.",
    )
