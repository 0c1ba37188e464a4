"""What to do first where the networks have not learned enough: what the study itself shows to be the likeliest cause."""

from __future__ import annotations

from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.rows import Rows
from foldwise.judging.sections.fit_warnings import MIN_STEPS, num_steps, still_improving
from foldwise.judging.verdict import State
from foldwise.study.training import NO_PRETRAINING
from foldwise.text import count, some

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
