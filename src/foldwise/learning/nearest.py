"""Which training images a model takes to be most like a new one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from foldwise.learning.model_inputs import as_fed
from foldwise.learning.runtimes import TorchRuntime

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed

COMPARED_S = 20.0  # what the start of a page may take; as many images as can be in that time
SHOWN, NUM_TRIED = 6, 4


@dataclass(frozen=True)
class Near:
    """A training image: its index among the cases, and its similarity, up to 1."""

    case: int
    similarity: float


class Neighbours:
    """Training images by what a model makes of them.

    By the features of the encoder of the first network, whose similarity is a cosine; or, of a network that has none, by
    probabilities, of masks by their mean over the image: 1 minus half the sum of their differences.

    Attributes:
        total: how many training images there are.
        cases: those that are compared, evenly drawn where there was no time for all.
    """

    def __init__(
        self,
        runtime: TorchRuntime,
        packed: Packed,
        *,
        seconds: float = COMPARED_S,
        progress: Callable[[float, int], None] = lambda *_: None,
    ) -> None:
        self.runtime, self.packed, self.total = runtime, packed, len(packed)
        vectors: list[np.ndarray] = []
        until = time.monotonic() + seconds
        order = [int(case) for case in np.random.default_rng(0).permutation(self.total)]
        # An encoder of somebody else may give vectors whose length goes with the size of the image.
        tried = [self._features(packed.image(case)) for case in order[:NUM_TRIED]]
        self.by_features = len({None if vector is None else vector.shape for vector in tried}) == 1
        self.by_features &= tried[0] is not None
        for case in order:
            progress(len(vectors), self.total)
            vectors.append(self._vector(packed.image(case)))
            if time.monotonic() > until:
                break
        self.cases = order[: len(vectors)]
        self.vectors_NF = np.stack(vectors)

    def nearest(self, image_CHW: np.ndarray) -> list[Near]:
        """The most similar ones, the most similar first, to an image as the model knows them."""
        vector_F = self._vector(image_CHW)
        if self.by_features:
            similarity_N = self.vectors_NF @ vector_F
        else:
            several = self.runtime.winner.model.task.startswith("multilabel")
            # Several labels differ by 1 each at most, shares by 2 together.
            scale = len(vector_F) if several else 2
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
        what = "features of the first network (cosine)" if self.by_features else "the predicted probabilities"
        return f"Among {among} training images, by {what}; 1 is alike."

    def _features(self, image_CHW: np.ndarray) -> np.ndarray | None:
        return self.runtime.features(as_fed(self.runtime.winner, image_CHW)[None])

    def _vector(self, image_CHW: np.ndarray) -> np.ndarray:
        """Of length 1 by features; the probabilities else."""
        if self.by_features:
            vector_F = np.asarray(self._features(image_CHW), np.float64)
            return np.asarray(vector_F / max(float(np.linalg.norm(vector_F)), 1e-12))
        p = self.runtime(as_fed(self.runtime.winner, image_CHW)[None])[0]
        return np.asarray(p.reshape(len(p), -1).mean(1), np.float64)
