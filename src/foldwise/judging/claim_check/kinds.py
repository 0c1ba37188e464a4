"""Every kind of claim is a row: a function that reads it in a sentence and looks it up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from foldwise.judging.claim_check.alike import likenesses
from foldwise.judging.claim_check.beyond import beyond
from foldwise.judging.claim_check.comparing import comparisons
from foldwise.judging.claim_check.contenders import could_be_best, ranks
from foldwise.judging.claim_check.corrected import calibrated, corrected, detectable, size, unbeaten
from foldwise.judging.claim_check.finding import Check
from foldwise.judging.claim_check.mentions import Told
from foldwise.judging.claim_check.numbers import numbers
from foldwise.judging.claim_check.standing import places

Read = Callable[[Told, set[int]], list[Check]]


@dataclass(frozen=True)
class Kind:
    """A kind of claim.

    Attributes:
        name: of it.
        read: from a sentence, and the places of words and numbers that other kinds have used, to which it adds its
            own; empty where the sentence claims nothing of the kind.
        example: a sentence with such a claim, for people.
    """

    name: str
    read: Read
    example: str


KINDS = (  # in the order in which they look at a sentence: what is read by one is not read again by the next
    Kind("size", size, "It was tested on unseen images (92 images)."),
    Kind("trivial predictor", unbeaten, "Nothing was shown to be better than a trivial predictor."),
    Kind("corrected score", corrected, "Corrected for selection, the accuracy was 0.85."),
    Kind("detectable difference", detectable, "A difference below about 0.03 could not have been seen."),
    Kind("calibration", calibrated, "The probabilities of ResNet18 were over-confident by 0.04."),
    Kind("could be best", could_be_best, "VGG16 could be the best as well; 3 were ruled out."),
    Kind("rank", ranks, "VGG16 ranked second."),
    Kind("alike", likenesses, "ResNet18 and VGG16 are equivalent. Adam and SGD cannot be told apart."),
    Kind("best", places, "ResNet18 had the highest accuracy. ResNet18 outperforms all others."),
    Kind(
        "comparison", comparisons, "ResNet18 is significantly better than VGG16 in all settings, by 3 points."
    ),
    Kind("beyond", beyond, "The optimizer had the largest effect. ResNet18 is twice as fast as VGG16."),
    Kind("number", numbers, "ResNet18 reached an accuracy of 86.4 %."),
)
