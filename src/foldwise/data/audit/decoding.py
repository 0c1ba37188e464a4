"""What decoding did to the files, told in one line for each kind; an error where it may not be what was meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from foldwise.data.audit.leaks import told_apart
from foldwise.data.cases import Dataset, Finding, Severity
from foldwise.data.folds.strata import class_presence, is_single_label
from foldwise.data.formats.pixels import Step
from foldwise.data.formats.steps import STEPS, StepKind, done_to, doubts
from foldwise.text import count, some

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Measure, Packed

# By which a class could be told that has them and another has not.
_CHANGES_VALUES = "turned", "inverted", "palette"
_MIN_EACH = 3  # images with and without a step, from which on a perfect separation is none by luck


def decoding_findings(dataset: Dataset, packed: Packed) -> list[Finding]:
    """A finding for every kind of step that was done with any image or mask.

    It is a note; and an error, unless the study states what is meant, where a file leaves it open, where images and
    their masks differ in it, or where it differs by class.
    """
    return [
        _finding(name, dataset, packed)
        for name in STEPS
        if any(
            step.kind == name for measure in packed.measures for step in (*measure.steps, *_of_mask(measure))
        )
    ]


def _finding(name: str, dataset: Dataset, packed: Packed) -> Finding:
    kind = STEPS[name]
    images = [_of_kind(name, measure.steps) for measure in packed.measures]
    masks = [_of_kind(name, _of_mask(measure)) for measure in packed.measures]
    concerned = [
        case.name for case, own, mask in zip(dataset.cases, images, masks, strict=True) if own or mask
    ]
    totals = [(sum(map(bool, steps)), noun) for steps, noun in ((images, "image"), (masks, "mask"))]
    done = [done_to(name, number, len(images), noun) for number, noun in totals if number]
    details = f" ({some(_details(images), 3)})" if name == "pages" else ""
    message = f"{' and '.join(done)} {kind.why}{details}: {some(concerned)}."
    reason = _reason(name, images, masks, dataset=dataset, packed=packed)
    stated = bool(kind.key) and getattr(dataset.decoding, kind.key) is not None
    if reason is None or stated:
        return Finding(f"decoding_{name}", "note", message, tuple(concerned), _right_if(kind, stated=stated))
    severity: Severity = "error" if kind.key else "warning"
    message = f"{message[:-1]}; but {reason}."
    answers = ("drop", "keep") if kind.key == "alpha" else ("apply", "ignore")
    choices = tuple(f"data.decoding.{kind.key}={answer}" for answer in answers if kind.key)
    return Finding(f"decoding_{name}", severity, message, tuple(concerned), kind.cure(), choices=choices)


def _of_mask(measure: Measure) -> list[Step]:
    """The steps of a mask. Palette and alpha are none: the first is part of what its values mean, the second is constant."""
    return [step for step in measure.mask_steps if step.kind not in ("palette", "alpha")]


def _details(steps: Sequence[tuple[Step, ...]]) -> list[str]:
    """What the steps say of their files, each once, the commonest first."""
    return [detail for detail, _ in Counter(step.detail for own in steps for step in own).most_common()]


def _of_kind(name: str, steps: Sequence[Step]) -> tuple[Step, ...]:
    return tuple(step for step in steps if step.kind == name)


def _right_if(kind: StepKind, *, stated: bool) -> str:
    if stated:
        return f"Leave it as it is if you meant what data.decoding.{kind.key} says. Else: {kind.cure()}"
    if not kind.key:
        return kind.advice
    return f"Right if that is what you see in a viewer. {kind.cure()}"


def _reason(
    name: str,
    images: Sequence[tuple[Step, ...]],
    masks: Sequence[tuple[Step, ...]],
    *,
    dataset: Dataset,
    packed: Packed,
) -> str | None:
    """Why a step may not be what was meant; None where nothing speaks against it."""
    for step in sorted({step for own in images for step in own}, key=lambda step: step.detail):
        if reason := doubts(step):
            return reason
    if name == "inverted" and any(masks):
        return "for masks that decides what is object and what is background"
    if name == "turned" and dataset.mask_values is not None and list(images) != list(masks):
        number = sum(own != mask for own, mask in zip(images, masks, strict=True))
        return f"{count(number, 'image')} and {'its mask' if number == 1 else 'their masks'} were not turned alike"
    if name == "alpha" and len(values := Counter(own for own in images if own)) > 1:
        return f"what is dropped differs from file to file ({some(step.detail for own in values for step in own)})"
    if name in _CHANGES_VALUES and _differs_by_class(images, dataset, packed):
        return "it differs by class, so a model could learn it in place of what the images show"
    return None


def _differs_by_class(images: Sequence[tuple[Step, ...]], dataset: Dataset, packed: Packed) -> bool:
    """Whether the classes can be told apart by who has the step; never where all have it or none has."""
    details_N = np.unique(
        [" ".join(step.detail for step in own) or "none" for own in images], return_inverse=True
    )[1]
    if details_N.max() == 0 or not is_single_label(dataset):
        return False
    class_N = class_presence(dataset, packed).argmax(axis=1)
    with_N = np.array([bool(own) for own in images])
    shares = [with_N[class_N == k].mean() for k in np.unique(class_N)]
    is_perfect = set(shares) == {0.0, 1.0} and min(with_N.sum(), (~with_N).sum()) >= _MIN_EACH
    return is_perfect or told_apart(details_N, class_N)
