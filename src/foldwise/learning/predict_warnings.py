"""Why not to rely on a prediction: of one image in a few words, of all of them in a sentence each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foldwise.learning.checkpoints.saved import Winner
from foldwise.text import count

RESCALED = "resized by another scale than in training"
UNPROVEN = "not shown to be better than a trivial predictor"
MAX_ODDS = 2.0  # of a decision against its alternative, below which it is of low certainty: 2 to 1
MAX_RESCALED = 1.25  # beyond the sizes of the training images, as both are resized to one size


def warnings_of(winner: Winner, probabilities: np.ndarray, size_hw: tuple[int, ...]) -> list[str]:
    """Why not to rely on the prediction of one image of this size, in a few words each."""
    reasons = [UNPROVEN] if winner.caution else []
    if probabilities.ndim == 1 and (doubtful := _doubtful(winner, probabilities)):
        reasons.append(f"low certainty: {' or '.join(doubtful) if len(doubtful) > 1 else doubtful[0]}")
    return reasons + ([RESCALED] if _rescaled(winner, size_hw) else [])


def _doubtful(winner: Winner, p_K: np.ndarray) -> list[str]:
    """The classes between which the decision is not 2 to 1; of several labels those that are near their threshold."""
    classes, calibrated = winner.model.classes, winner.calibrated(p_K)
    p_K = p_K.astype(np.float64) if calibrated is None else calibrated
    if winner.model.task != "multilabel_classification":
        best = float(p_K.max())
        near = np.flatnonzero(p_K * MAX_ODDS > best)
        return [classes[k] for k in near] if len(near) > 1 else []
    can_be = np.isfinite(winner.thresholds)
    from_K = np.where(can_be, winner.thresholds, 0.5)
    if (moved := winner.calibrated(from_K)) is not None:
        from_K = moved
    odds_K = (p_K / (1 - p_K).clip(1e-12)) / (from_K / (1 - from_K).clip(1e-12)).clip(1e-12)
    return [classes[k] for k in np.flatnonzero(can_be & (odds_K < MAX_ODDS) & (odds_K > 1 / MAX_ODDS))]


def _rescaled(winner: Winner, size_hw: tuple[int, ...]) -> bool:
    """Whether the image is brought to the size of the model from another size than any of the training images."""
    if not winner.model.resized or winner.sizes_px is None:
        return False
    return any(
        not least / MAX_RESCALED <= side <= most * MAX_RESCALED
        for side, (least, most) in zip(size_hw, winner.sizes_px, strict=True)
    )


def summary(winner: Winner, warnings: Sequence[Sequence[str]]) -> list[str]:
    """What all warnings come to, a sentence each."""
    sentences = [winner.caution] if winner.caution else []
    unsure = sum(any(word.startswith("low certainty") for word in words) for words in warnings)
    if unsure:
        sentences.append(
            f"{_of_all(unsure, warnings)} a label that is less certain than {MAX_ODDS:g} to 1: see the column 'warning'."
        )
    rescaled = sum(RESCALED in words for words in warnings)
    if rescaled:
        assert winner.sizes_px is not None and winner.model.size_hw is not None  # noqa: PT018
        (low, high), (left, right) = winner.sizes_px
        sizes = f"{left} × {low}" if (low, left) == (high, right) else f"{left} × {low} to {right} × {high}"
        to = f"{winner.model.size_hw[1]} × {winner.model.size_hw[0]}"
        sentences.append(
            f"{_of_all(rescaled, warnings)} another size than the training images ({sizes} pixels). "
            f"All are resized to {to}, so what they show is larger or smaller than in training, and the predictions "
            "may be wrong: bring them to the size of the training images first, by cutting or by a matching zoom."
        )
    return sentences


def _of_all(number: int, warnings: Sequence[Sequence[str]]) -> str:
    """``3 of 10 images have``."""
    return f"{number:,} of {count(len(warnings), 'image')} {'has' if number == 1 else 'have'}"
