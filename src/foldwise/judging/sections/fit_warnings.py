"""What the fits of a run warn of: unstable or unfinished training, too little of it; and what to do first against it."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t

from foldwise.judging.scores.fits import PlannedFit
from foldwise.judging.scores.rows import Rows
from foldwise.judging.statistics.run_moments import PRIOR_DF
from foldwise.judging.statistics.run_variance import OWN_FROM, STEADY_ENOUGH, unsteady
from foldwise.judging.verdict import State, VerdictWarning
from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.judging.wording import show
from foldwise.study.configurations import Configuration
from foldwise.study.training import NO_PRETRAINING, Training
from foldwise.text import count, some

if TYPE_CHECKING:
    from foldwise.judging.judgement import Judgement

BUDGET, MAX_RATIO = {"epochs", "steps_per_epoch", "batch_size"}, 1.1
LATE, TAIL, GAIN = 0.95, 0.8, 0.05  # see `_improving_at_the_end`
# An epoch is chosen by the median of three neighbours: of fewer than eight, hardly any choice is left. And no
# optimiser gets a network anywhere in a few dozen steps.
MIN_EPOCHS, MIN_STEPS = 8, 50


def missing(rows: Rows, configurations: Sequence[ConfigurationResult]) -> VerdictWarning | None:
    """Where configurations lack fits, and so take no part."""
    short = [result for result in configurations if result.num_done < result.num_planned]
    if not short:
        return None
    failed = sum(len(configuration.failures) for configuration in short)
    names = ", ".join(configuration.name for configuration in short[:3]) + (" ..." if len(short) > 3 else "")
    message = (
        f"{count(len(short), 'configuration lacks', 'configurations lack')} fits ({names}; {failed} failed) "
        f"and {'is' if len(short) == 1 else 'are'} left out of the comparison."
    )
    first = "Read the causes under failures, mend them, and run" if failed else "Run"
    devices = {rows.by_id[configuration.id].training.device for configuration in short}
    # Any machine can finish what needs no device of its own.
    where = f" on a machine that has {' and '.join(sorted(devices))}" if not devices & {"auto", "cpu"} else ""
    cure = f"{first} the study again{where}; what is done is kept."
    return VerdictWarning(code="MISSING_RUNS", message=message, cure=cure)


def seeds(rows: Rows) -> VerdictWarning | None:
    """Where every fold was trained once, or all runs on the images of one split."""
    if rows.num_folds == 1:
        return _single_split(len(rows.repeats))
    if len(rows.repeats) > 1:
        return None
    message = (
        "Every fold was trained once: how much seeds and splits matter is estimated from the folds alone."
    )
    cure = "Set validate.repeats to 3 before you rely on small differences."
    return VerdictWarning(code="ONE_SEED", message=message, cure=cure)


def _single_split(repeats: int) -> VerdictWarning:
    """What one split cannot tell: luck of the training images, and where it was trained once, of the seed too."""
    if repeats > 1:
        message = (
            "All runs have learned from the same images: intervals know the luck of seeds and of test images, and not that "
            "of which images were trained on."
        )
        cure = "Cross-validation of all images (leave validate.split out, or state pooled_folders) counts that too."
        return VerdictWarning(code="ONE_TRAINING_SET", message=message, cure=cure)
    message = (
        "A single split was trained once: what is said holds for these trained weights only. Trained again, with another "
        "seed or on other images, the same configuration may come out elsewhere, and equals may look different."
    )
    cure = "Set validate.repeats to 5 or more: each trains again with another seed on the same split."
    return VerdictWarning(code="NO_RUN_VARIANCE", message=message, cure=cure)


def unstable(judgement: Judgement, configurations: Sequence[ConfigurationResult]) -> VerdictWarning | None:
    """Where the scores of some configurations jump from run to run far more than those of the others."""
    decisive = judgement.decisive
    if decisive is None or decisive.variance is None:
        return None
    folds = judgement.scored[judgement.comparable[0]].unit_folds
    assert folds is not None
    of_consequence = np.sqrt(decisive.variance.run) > judgement.judge.equivalent_within
    odd = unsteady(decisive.values, folds) & of_consequence
    names = [configuration.name for configuration, is_odd in zip(configurations, odd, strict=False) if is_odd]
    if not names:
        return None
    message = f"From run to run, scores differ far more than those of the others: {some(names, 3)}."
    if len(odd) < OWN_FROM and (~odd).sum() < STEADY_ENOUGH:
        message += " So few configurations share one variance between runs, and this widens every interval."
    cure = "Look at the scores of its folds and at its learning curves: train it more gently (a lower learning rate), or leave it out."
    return VerdictWarning(code="UNSTABLE_CONFIG", message=message, cure=cure)


def folds_apart(judgement: Judgement) -> VerdictWarning | None:
    """Where scores of folds differ more than the prior of the variance between runs can believe."""
    decisive = judgement.decisive
    if decisive is None or decisive.variance is None or not decisive.variance.score_runs.conflict:
        return None
    variance, winner = decisive.variance, judgement.scored[judgement.comparable[0]]
    scores = [score for _, _, score in winner.folds]
    runs, image = variance.score_runs, float(variance.image[0, 0])
    half = t.ppf(1 - judgement.judge.alpha / 2, runs.df - PRIOR_DF) * np.sqrt(
        image + runs.by_folds * variance.in_mean
    )
    low, high = judgement.metric.bounds
    estimate = winner.estimates[judgement.metric.name]
    ends = f"{show(max(estimate - half, low))} to {show(min(estimate + half, high))}"
    message = (
        f"Scores of folds lie far apart: those of the winner from {show(min(scores))} to {show(max(scores))}, and all "
        "configurations share much of that. Intervals are wide for it, and rest on what is usual in other studies, too; "
        f"by these folds alone the {judgement.confidence} interval of the winner is {ends}."
    )
    cure = "Look at what is in the fold that is worst, and set validate.repeats to 3 or validate.folds to 5 or more."
    return VerdictWarning(code="FOLDS_APART", message=message, cure=cure)


def one_class(
    rows: Rows, judgement: Judgement, configurations: Sequence[ConfigurationResult]
) -> VerdictWarning | None:
    """Where configurations predict one and the same class always, so that nothing was learned."""
    names = []
    for configuration in configurations:
        predicted = np.array(configuration.confusion or ()).sum(axis=0)
        if np.count_nonzero(predicted) == 1:
            names.append(f"{configuration.name} ({rows.classes[int(predicted.argmax())]})")
    if not names:
        return None
    verb = "predicts" if len(names) == 1 else "predict"
    where = "at every pixel" if rows.family == "segmentation" else "for every image"
    message = f"{some(names, 3)} {verb} one class {where}: every other class is missed."
    cure = "Look at the learning curves: change the learning rate or the loss, or sample the classes alike (train.sampling: balanced)."
    return VerdictWarning(code="ONE_CLASS", message=message, cure=cure)


def brief_training(rows: Rows, judgement: Judgement) -> VerdictWarning | None:
    """Where a fit has too few epochs to choose one, or too few steps to learn anything."""
    compared = _compared(rows, judgement)
    num_train = len(rows.splits[0].train)
    epochs = [each.name for each in compared if each.training.epochs < MIN_EPOCHS]
    steps = [each.name for each in compared if num_steps(each.training, num_train) < MIN_STEPS]
    sentences = []
    if epochs:
        fewest = min(configuration.training.epochs for configuration in compared)
        sentences.append(
            f"{_all_or(epochs, compared)} had fewer than {MIN_EPOCHS} epochs (the fewest: {fewest}), so that the chosen "
            "epoch is hardly a choice."
        )
    if steps:
        fewest = min(num_steps(configuration.training, num_train) for configuration in compared)
        sentences.append(
            f"{_all_or(steps, compared)} had fewer than {MIN_STEPS} steps of the optimiser (the fewest: {fewest}), in "
            "which networks learn little."
        )
    cure = "Set train.epochs higher, or train.batch_size lower; scores of so brief a training say little of a network."
    return (
        VerdictWarning(code="BRIEF_TRAINING", message=" ".join(sentences), cure=cure) if sentences else None
    )


def _compared(rows: Rows, judgement: Judgement) -> list[Configuration]:
    """The configurations that are compared, in the order of the study."""
    return [
        configuration for configuration in rows.configurations if configuration.id in judgement.comparable
    ]


def _all_or(names: Sequence[str], compared: Sequence[Configuration]) -> str:
    """``All configurations``, or some of the names."""
    return "All configurations" if len(names) == len(compared) > 1 else some(names, 3)


def unequal_budget(rows: Rows, judgement: Judgement) -> VerdictWarning | None:
    """Where some configurations were allowed more steps than others, and the study does not compare that."""
    compared = _compared(rows, judgement)
    # A search chooses steps by what they are worth, fold by fold.
    if (
        not compared
        or rows.searches
        or BUDGET & {factor for configuration in compared for factor in configuration.levels}
    ):
        return None
    num_train = len(rows.splits[0].train)
    steps = {configuration.name: num_steps(configuration.training, num_train) for configuration in compared}
    least, most = min(steps, key=lambda name: steps[name]), max(steps, key=lambda name: steps[name])
    if steps[most] <= MAX_RATIO * steps[least]:
        return None
    message = (
        f"Configurations had unequal numbers of training steps: {most} {steps[most]:,}, {least} {steps[least]:,}. "
        "What looks better may only have been trained longer."
    )
    cure = "State the same epochs and batch_size for all, or name epochs as a factor."
    return VerdictWarning(code="UNEQUAL_BUDGET", message=message, cure=cure)


def num_steps(training: Training, num_train: int) -> int:
    """Steps of the optimiser that a fit may take."""
    return training.epochs * (training.steps_per_epoch or ceil(num_train / training.batch_size))


def undertrained(
    rows: Rows, judgement: Judgement, configurations: Sequence[ConfigurationResult]
) -> VerdictWarning | None:
    """Where the best epoch of most fits is among the last, and training was still improving."""
    metric = judgement.metric
    perfect = metric.bounds[1] - 1e-9 if metric.higher_is_better else float("inf")
    late = [
        configuration.name
        for configuration in configurations
        # Of a perfect score nothing is left to gain.
        if (configuration.estimate or 0) <= perfect and still_improving(rows.done(configuration.id))
    ]
    if not late:
        return None
    message = f"In most fits of {some(late, 3)}, the best epoch is among the last 5 %, and training was still improving."
    cure = "Set train.epochs higher; every configuration should have stopped improving."
    return VerdictWarning(code="UNDERTRAINED", message=message, cure=cure)


def still_improving(fits: Sequence[PlannedFit]) -> bool:
    """Whether most fits were still improving when they ended."""
    with_epochs = [fit for fit in fits if fit.epochs_planned and fit.result.get("best_epoch")]
    return sum(_improving_at_the_end(fit) for fit in with_epochs) > len(with_epochs) / 2


def _improving_at_the_end(fit: PlannedFit) -> bool:
    """Whether the best epoch is among the last 5 %, and the last fifth of the epochs was worth it.

    Worth it is a gain in the score that chooses the epoch of more than 5 % of what the whole training gained, or of
    a tenth of the first score where the whole training gained less: a log-loss that falls by a hair is no reason.
    """
    planned = fit.epochs_planned or 0
    if fit.result["best_epoch"] <= LATE * planned or planned < 2:
        return False
    epochs = {
        epoch["epoch"]: epoch.get("val_steady", epoch.get("val_score"))
        for epoch in fit.result.get("epochs", [])
    }
    scores = {number: score for number, score in epochs.items() if score is not None}
    best, before = scores.get(fit.result["best_epoch"]), [s for n, s in scores.items() if n <= TAIL * planned]
    if best is None or not before:
        return True
    # No epoch is better than the chosen one, so the distance needs no direction.
    gain = min(abs(best - score) for score in before)
    whole = max(abs(best - before[0]), abs(before[0]) / 10)
    return bool(gain > GAIN * whole)


MIN_FROM_SCRATCH = 1000  # images to train on, below which classifiers with random weights learn little


def advice(rows: Rows, judgement: Judgement) -> str:
    """What to do against the causes that show; where to look if none does."""
    shown = causes(rows, judgement)
    return " ".join(
        shown
        or ["Look at the learning curves and the pictures: check the labels, and change the learning rate."]
    )


def causes(rows: Rows, judgement: Judgement) -> list[str]:
    """A sentence against each cause that shows in the fits of what is compared, the likeliest first."""
    compared = [rows.by_id[id] for id in judgement.comparable]
    trainings, num_train = [each.training for each in compared], len(rows.splits[0].train)
    sentences = []
    blank = all(each.weights == "none" and each.pretrain == NO_PRETRAINING for each in trainings)
    # Every pixel of a mask is an example, so that a few images are enough there.
    if blank and rows.family != "segmentation" and num_train < MIN_FROM_SCRATCH:
        sentences.append(
            f"Start from pretrained weights, the likeliest cure: {count(num_train, 'training image')} teach a network with random "
            "weights little (model: timm:resnet18, weights: imagenet, freeze: encoder)."
        )
    steps = max(num_steps(training, num_train) for training in trainings)
    if steps < MIN_STEPS:
        sentences.append(
            f"Take more steps of the optimiser than {steps}: set train.epochs higher or train.batch_size lower."
        )
    elif late := [each.name for each in compared if still_improving(rows.done(each.id))]:
        sentences.append(f"Train longer (train.epochs): {some(late, 3)} improved to the end.")
    return sentences


def unbeaten_cure(rows: Rows, judgement: Judgement, state: State) -> str:
    """What to do where no trivial predictor is beaten: against what shows in training, or what it takes to tell."""
    if state == "no_better_than_trivial":
        return advice(rows, judgement)
    more = f"Add {judgement.noun[1]}: with so few, luck with them explains the difference."
    if state == "too_few_runs":
        more = "Set validate.repeats to 3 or more: equal trainings show how much of it is the luck of a run."
    return more if _has_learned(judgement) else " ".join([*causes(rows, judgement)[:1], more])


def _has_learned(judgement: Judgement) -> bool:
    """Whether the best estimate is more than a quarter of the way from the best trivial predictor's to a perfect one."""
    assert judgement.best_trivial is not None
    metric, name = judgement.metric, judgement.metric.name
    perfect = metric.bounds[1] if metric.higher_is_better else metric.bounds[0]
    trivial = judgement.best_trivial[1].estimates[name]
    best = judgement.scored[judgement.comparable[0]].estimates[name]
    return bool(judgement.sign * (best - trivial) > abs(perfect - trivial) / 4)
