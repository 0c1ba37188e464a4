"""Which training images a model takes to be most like a new one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from foldwise.learning.predict import as_fed
from foldwise.learning.runtimes import TorchRuntime

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed

COMPARED_S = 20.0  # what the start of a page may take; as many images as can be in that time
SHOWN = 6


@dataclass(frozen=True)
class Near:
    """A training image: its index among the cases, and its similarity, up to 1."""

    case: int
    similarity: float


class Neighbours:
    """Training images by what a model makes of them.

    By the features that the head of the first network is given, whose similarity is a cosine; or, of networks that have
    none, by probabilities, of masks by their mean over the image: 1 minus half the sum of their differences.

    Attributes:
        total: how many training images there are.
        cases: those that are compared, evenly drawn where there was no time for all.
    """

    def __init__(self, runtime: TorchRuntime, packed: Packed, *, seconds: float = COMPARED_S) -> None:
        self.runtime, self.packed, self.total = runtime, packed, len(packed)
        self.by_features = False
        vectors: list[np.ndarray] = []
        until = time.monotonic() + seconds
        order = np.random.default_rng(0).permutation(self.total)
        for case in order:
            vectors.append(self._vector(packed.image(int(case))))
            if time.monotonic() > until:
                break
        self.cases = [int(case) for case in order[: len(vectors)]]
        self.vectors_NF = np.stack(vectors)

    def nearest(self, image_CHW: np.ndarray) -> list[Near]:
        """The most similar ones, the most similar first, to an image as the model knows them."""
        vector_F = self._vector(image_CHW)
        if self.by_features:
            similarity_N = self.vectors_NF @ vector_F
        else:
            several = self.runtime.winner.model.task.startswith("multilabel")
            scale = (
                len(vector_F) if several else 2
            )  # several labels differ by 1 each at most, shares by 2 together
            similarity_N = 1 - np.abs(self.vectors_NF - vector_F).sum(1) / scale
        order = np.argsort(-similarity_N, kind="stable")[:SHOWN]
        return [Near(self.cases[row], float(similarity_N[row])) for row in order]

    def sentence(self) -> str:
        """Among how many, and by what."""
        among = (
            f"all {self.total:,}"
            if len(self.cases) == self.total
            else f"{len(self.cases):,} of {self.total:,}"
        )
        what = (
            "the features of the first network (cosine)"
            if self.by_features
            else "the predicted probabilities"
        )
        return f"Among {among} training images, by {what}; 1 is alike."

    def _vector(self, image_CHW: np.ndarray) -> np.ndarray:
        image_1CHW = as_fed(self.runtime.winner, image_CHW)[None]
        features = self.runtime.features(image_1CHW)
        if features is None:
            p = self.runtime(image_1CHW)[0]
            return np.asarray(p.reshape(len(p), -1).mean(1), np.float64)
        self.by_features = True
        vector_F = features[0].astype(np.float64)
        return np.asarray(vector_F / max(float(np.linalg.norm(vector_F)), 1e-12))
