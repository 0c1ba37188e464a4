"""Cautions about the fits: missing, too few, unsteady, or ended too early."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

import numpy as np

from foldwise.judging.scores.rows import Fit
from foldwise.judging.statistics.run_variance import OWN_FROM, STEADY_ENOUGH, unsteady
from foldwise.judging.verdict import VerdictWarning
from foldwise.judging.warnings.facts import Compared, Facts, Record, listed
from foldwise.study.spec import Training
from foldwise.text import count

BUDGET, MORE = {"epochs", "steps_per_epoch", "batch_size"}, 1.1
LATE, TAIL, GAIN = 0.95, 0.8, 0.05  # see `_still_improving`


def missing(facts: Facts, records: Sequence[Record]) -> Iterator[VerdictWarning]:
    """Where configurations lack fits, and so take no part."""
    short = [record for record in records if record["num_done"] < record["num_planned"]]
    if not short:
        return
    failed = sum(len(record["failures"]) for record in short)
    names = ", ".join(record["name"] for record in short[:3]) + (" ..." if len(short) > 3 else "")
    message = (
        f"{count(len(short), 'configuration lacks', 'configurations lack')} fits ({names}; {failed} failed) "
        f"and {'is' if len(short) == 1 else 'are'} left out of the comparison."
    )
    first = "Read the causes under failures, mend them, and run" if failed else "Run"
    devices = {
        row.training.device for row in facts.rows.configurations if row.id in {one["id"] for one in short}
    }
    where = f" on a machine that has {' and '.join(sorted(devices))}" if not devices & {"auto", "cpu"} else ""
    yield VerdictWarning(
        code="MISSING_RUNS", message=message, cure=f"{first} the study again{where}; what is done is kept."
    )


def seeds(facts: Facts) -> VerdictWarning | None:
    """Where every fold was trained once."""
    if len(facts.rows.repeats) > 1:
        return None
    message = (
        "Every fold was trained once: how much seeds and splits matter is estimated from the folds alone."
    )
    return VerdictWarning(
        code="ONE_SEED",
        message=message,
        cure="Set validate.repeats to 3 before you rely on small differences.",
    )


def unstable(facts: Compared, records: Sequence[Record]) -> VerdictWarning | None:
    """Where the scores of some configurations jump from run to run far more than those of the others."""
    known = facts.known
    decisive = known.tables.get(known.metric.name)
    if decisive is None or decisive.known is None:
        return None
    folds = known.scored[known.comparable[0]].unit_folds
    assert folds is not None
    of_consequence = np.sqrt(decisive.known.run) > facts.judge.equivalent_within
    odd = unsteady(decisive.values, folds) & of_consequence
    names = [record["name"] for record, is_odd in zip(records, odd, strict=False) if is_odd]
    if not names:
        return None
    message = f"From run to run, scores differ far more than those of the others: {listed(names, 3)}."
    if len(odd) < OWN_FROM and (~odd).sum() < STEADY_ENOUGH:
        message += " So few configurations share one variance between runs, and this widens every interval."
    cure = "Look at the scores of its folds and at its learning curves: train it more gently or longer, or leave it out."
    return VerdictWarning(code="UNSTABLE_CONFIG", message=message, cure=cure)


def unequal_budget(facts: Facts) -> VerdictWarning | None:
    """Where some configurations were allowed more steps than others, and the study does not compare that."""
    rows = [row for row in facts.rows.configurations if row.id in facts.known.comparable]
    if not rows or BUDGET & {factor for row in rows for factor in row.levels}:
        return None
    num_train = len(facts.rows.splits[0].train)
    steps = {row.name: _steps(row.training, num_train) for row in rows}
    least, most = min(steps, key=lambda name: steps[name]), max(steps, key=lambda name: steps[name])
    if steps[most] <= MORE * steps[least]:
        return None
    message = (
        f"Configurations had unequal numbers of training steps: {most} {steps[most]:,}, {least} {steps[least]:,}. "
        "What looks better may only have been trained longer."
    )
    return VerdictWarning(
        code="UNEQUAL_BUDGET",
        message=message,
        cure="State the same epochs and batch_size for all, or name epochs as a factor.",
    )


def _steps(training: Training, num_train: int) -> int:
    """Steps of the optimiser that a fit may take."""
    return training.epochs * (training.steps_per_epoch or ceil(num_train / training.batch_size))


def undertrained(facts: Facts, records: Sequence[Record]) -> VerdictWarning | None:
    """Where the best epoch of most fits is among the last, and training was still improving."""
    late = [record["name"] for record in records if _undertrained(facts, record)]
    if not late:
        return None
    message = f"In most fits of {listed(late, 3)} the best epoch is among the last 5 %, and training was still improving."
    return VerdictWarning(
        code="UNDERTRAINED",
        message=message,
        cure="Set train.epochs higher; every configuration should have stopped improving.",
    )


def _undertrained(facts: Facts, record: Record) -> bool:
    metric = facts.known.metric
    if metric.bounded and metric.higher_is_better and (record["estimate"] or 0) > 1 - 1e-9:
        return False  # nothing is left to gain
    done = [
        fit for fit in facts.rows.done(record["id"]) if fit.epochs_planned and fit.result.get("best_epoch")
    ]
    return sum(_still_improving(fit) for fit in done) > len(done) / 2


def _still_improving(fit: Fit) -> bool:
    """Whether the best epoch is among the last 5 %, and the last fifth of the epochs was worth it.

    Worth it is a gain in the score that chooses the epoch of more than 5 % of what the whole training gained, or of
    a tenth of the first score where the whole training gained less: a log-loss that falls by a hair is no reason.
    """
    planned = fit.epochs_planned or 0
    if fit.result["best_epoch"] <= LATE * planned:
        return False
    scores = {
        epoch["epoch"]: epoch.get("val_steady", epoch.get("val_score"))
        for epoch in fit.result.get("epochs", [])
    }
    known = {number: score for number, score in scores.items() if score is not None}
    best, before = known.get(fit.result["best_epoch"]), [s for n, s in known.items() if n <= TAIL * planned]
    if best is None or not before:
        return True
    gain = min(
        abs(best - score) for score in before
    )  # the best epoch is the best of all, whichever way is better
    whole = max(abs(best - before[0]), abs(before[0]) / 10)
    return bool(gain > GAIN * whole)
