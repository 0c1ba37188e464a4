"""What a reader must know before believing the answer: a code for machines, a sentence, and a cure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.rows import Rows
from foldwise.judging.scores.scoring import Scored
from foldwise.judging.sections import fit_warnings
from foldwise.judging.sections.threshold_report import scarce
from foldwise.judging.verdict import TRIVIAL_UNBEATEN, State, VerdictWarning
from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.judging.verdict_sections import FactorsSection
from foldwise.judging.wording import digits_of, fixed, rounded, show, unseen
from foldwise.metrics.ranking import MIN_POSITIVES
from foldwise.text import count, some

MIN_LEVELS = 3  # of a numeric factor: of two, each is at an end
MAX_TIMES = 1000  # times as many images: nobody has them
# Fewer images or groups are warned of; so is accuracy where a class has less than this share.
MIN_UNITS, MIN_GROUPS, SKEWED = 30, 10, 0.2


def run_warnings(
    rows: Rows,
    judgement: Judgement,
    state: State,
    configurations: Sequence[ConfigurationResult],
    factors: FactorsSection | None,
) -> Iterator[VerdictWarning | None]:
    """Every warning about the comparison, the gravest kind first; None for those that do not apply."""
    yield trivial(rows, judgement, state, configurations)
    yield fit_warnings.missing(rows, configurations)
    yield not_distinguishable(judgement, configurations)
    yield small(judgement)
    yield fit_warnings.seeds(rows)
    yield fit_warnings.folds_apart(judgement)
    yield fit_warnings.unstable(judgement, configurations)
    yield fit_warnings.one_class(rows, judgement, configurations)
    yield fit_warnings.brief_training(rows, judgement)
    yield fit_warnings.unequal_budget(rows, judgement)
    yield rare(rows)
    yield degenerate(rows, judgement)
    yield uncertain_thresholds(rows)
    yield fit_warnings.undertrained(rows, judgement, configurations)
    yield from edge(configurations)
    yield optimism(judgement, configurations)
    yield confounded(factors)


def trivial(
    rows: Rows, judgement: Judgement, state: State, configurations: Sequence[ConfigurationResult]
) -> VerdictWarning | None:
    """Where the best is not shown to be better than a predictor that never looks at the image."""
    if state not in TRIVIAL_UNBEATEN:
        return None
    shown = "is no better" if state == "no_better_than_trivial" else "is not shown to be better"
    message = f"The best configuration, {configurations[0].name}, {shown} than a predictor that never looks at the image."
    cure = fit_warnings.unbeaten_cure(rows, judgement, state)
    return VerdictWarning(code="TRIVIAL_BASELINE", message=message, cure=cure)


def not_distinguishable(
    judgement: Judgement, configurations: Sequence[ConfigurationResult]
) -> VerdictWarning | None:
    """Where more than half could be the best: what would have been seen, and what it takes to see more."""
    could, comparison = sum(result.could_be_best for result in configurations), judgement.comparison
    judged = sum(result.compared or result.verdict == "ruled out early" for result in configurations)
    # Where most are ruled out, the study has told them apart.
    if comparison is None or could <= max(1, judged / 2):
        return None
    nothing = unseen(comparison.minimal_detectable_difference, bounded=judgement.metric.bounded)
    units = count(judgement.units.count, *judgement.noun)
    message = f"{could} of {judged} configurations could be the best; {nothing} with {units}."
    cure = f"Take the cheapest of those that could be best, add repeats, or add {judgement.noun[1]}."
    return VerdictWarning(code="NOT_DISTINGUISHABLE", message=message, cure=cure + _needed(judgement))


def _needed(judgement: Judgement) -> str:
    """How many units it takes to see the difference that is just of consequence."""
    comparison, target, kind = judgement.comparison, judgement.judge.equivalent_within, judgement.noun[1]
    assert comparison is not None
    if not 0 < target < comparison.minimal_detectable_difference:
        return ""
    times = comparison.times_as_many(target)
    # Luck with runs does not shrink with images, so that some differences no number of them shows.
    if times > MAX_TIMES:
        return f" A difference of {target:g} is out of reach of more {kind} alone: equal runs differ by about as much."
    if times < 2:
        return ""
    number = rounded(times * judgement.units.count)
    return f" To see a difference of {target:g} takes about {number} {kind}, {rounded(times)} times as many."


def confounded(factors: FactorsSection | None) -> VerdictWarning | None:
    """Where two factors always change together, so that nothing can be said of either."""
    effects = factors.factors if factors else ()
    mixed = [own.factor for own in effects if any(pair.conclusion == "not estimable" for pair in own.pairs)]
    if not mixed:
        return None
    message = (
        f"What {some(dict.fromkeys(mixed), 3)} did cannot be told from what changed with it: some levels are in no two "
        "configurations that differ in it alone."
    )
    cure = "Add the combinations that are missing, or draw no conclusion about it."
    return VerdictWarning(code="CONFOUNDED", message=message, cure=cure)


WITHOUT_EDGE = ("cache_views",)  # of which 0 stands for more than any number, and fewer only cost less


def edge(configurations: Sequence[ConfigurationResult]) -> Iterator[VerdictWarning]:
    """Where the winner's level of a numeric factor is the lowest or highest tried."""
    if not configurations or configurations[0].verdict != "winner":
        return
    for factor, level in configurations[0].levels.items():
        kind, value = _numeric(level)
        tried = [_numeric(configuration.levels.get(factor, "")) for configuration in configurations]
        values = sorted({number for other, number in tried if other == kind and number is not None})
        if factor in WITHOUT_EDGE:
            continue
        if value is not None and len(values) >= MIN_LEVELS and value in (values[0], values[-1]):
            side = "lowest" if value == values[0] else "highest"
            message = f"The winner has {factor} {level}, the {side} that was tried: a value beyond it may be better."
            cure = f"Add a level of {factor} beyond {level}."
            yield VerdictWarning(code="EDGE_OF_GRID", message=message, cure=cure)


def _numeric(level: str) -> tuple[str, float | None]:
    """``0.01`` -> ("", 0.01); ``adam (lr 0.01)`` -> ("adam (lr )", 0.01); no number, or more than one, -> None."""
    numbers = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])", level)
    if len(numbers) != 1:
        return level, None
    return level.replace(numbers[0], "", 1), float(numbers[0])


def optimism(judgement: Judgement, configurations: Sequence[ConfigurationResult]) -> VerdictWarning | None:
    """Where the winner's score flatters it by more than half of what is of consequence."""
    selected, sign = judgement.selected, judgement.sign
    if selected is None or selected.optimism <= judgement.judge.equivalent_within / 2:
        return None
    digits = digits_of(configurations[0])
    naive, corrected = fixed(sign * selected.naive, digits), fixed(sign * selected.corrected, digits)
    becomes = (
        f"becomes about {corrected}" if corrected != naive else f"is about {show(selected.optimism)} too good"
    )
    low, high = sorted((sign * selected.low, sign * selected.high))
    among = sum(result.compared or result.verdict == "ruled out early" for result in configurations)
    message = (
        f"The winner was chosen among {among} by the same score that it is quoted with, "
        f"which flatters it: freed from the luck of the choice, {naive} {becomes} "
        f"({judgement.confidence} interval {fixed(low, digits)} to {fixed(high, digits)})."
    )
    cure = "Quote the corrected score, or score the winner once on images kept apart."
    return VerdictWarning(code="SELECTION_OPTIMISM", message=message, cure=cure)


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
    few = [k for k, number in enumerate(rows.num_having) if number < MIN_POSITIVES]
    # A class that nearly all images have lacks images without it: more images of it would change nothing.
    common = [rows.classes[k] for k in few if rows.presence[:, k].mean() > 0.5]
    rarest = [rows.classes[k] for k in few if rows.classes[k] not in common]
    sentences, cures = [], []
    if absent:
        verb = count(len(absent), "class cannot", "classes cannot")
        where = "in every fold" if rows.num_folds > 1 else "in the split"
        whole = len(absent) >= len(rows.classes) - (rows.family == "segmentation")
        effect = "no class can" if whole else "averages over classes leave them out"
        sentences.append(f"{verb} be learned and tested {where} ({some(absent, 12)}): {effect}.")
        # Of a single split there are no fewer folds: both of its parts want images of them.
        fold_cure = "Add images of them, merge classes, or state fewer folds."
        split_cure = "Put images of them into the training part and the test part, or merge classes."
        cures.append(fold_cure if rows.num_folds > 1 else split_cure)
    for names, relation in ((rarest, "with"), (common, "without")):
        if not names:
            continue
        verb, whom = count(len(names), "class has", "classes have"), "it" if len(names) == 1 else "them"
        sentences.append(
            f"{verb} fewer than {MIN_POSITIVES} images or groups {relation} {whom} ({some(names, 12)}): "
            f"what is said of {whom} is a description, not a test."
        )
        cures.append(f"Add images {relation} {some(names, 3)}.")
    cure = " ".join(dict.fromkeys(cures))
    return VerdictWarning(code="RARE_CLASS", message=" ".join(sentences), cure=cure) if sentences else None


def degenerate(rows: Rows, judgement: Judgement) -> VerdictWarning | None:
    """Where the metric that decides says little about what it is asked for."""
    name, scored = judgement.metric.name, judgement.scored.values()
    message = cure = ""
    if name == "auroc" and scored and all(_hard(own) for own in scored):
        message = "AUROC equals balanced accuracy in every configuration: the scores are hard labels, not probabilities."
        cure = "Judge by balanced_accuracy."
    elif name == "accuracy" and rows.truth is not None and rows.family == "binary":
        share = rows.truth[rows.tested].mean(axis=0)
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
