"""Images on which configurations err or differ: the hardest ones, and where they disagree through training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.judging.curves import MAX_COMPARED, ComparedImage, Disagreement, ImageComparison
from foldwise.judging.scores.rows import Rows
from foldwise.judging.verdict import Verdict
from foldwise.metrics.outputs import Bools, Floats
from foldwise.sealed_arrays import read_arrays

MIN_CONFIGURATIONS = 2  # that have to have seen an image
MAX_HARDEST = 50
MAX_DISPUTED = 12  # twice as many as a page shows: it shows none that is among the hardest as well
MAX_WATCHED = 40  # configurations whose watched images are compared
COULD_BE_BEST = ("winner", "could be best")

Scores = Mapping[str, Mapping[int, float]]
Decisions = Mapping[str, Mapping[int, Bools]]


def compare_images(
    rows: Rows, verdict: Verdict, scores: Scores, decisions: Decisions
) -> ImageComparison | None:
    """The images that most configurations get wrong, and those on which they differ most.

    Args:
        rows: with the truth.
        verdict: which configurations have a score, the best first, and which could be best.
        scores: by configuration, of every image; of a single label, which is right or wrong, they are not used.
        decisions: by configuration, case index -> (K,) what is predicted in the first repeat; empty for masks.

    Returns:
        None where fewer than two configurations can be compared.
    """
    ids = [result.id for result in verdict.configurations if result.estimate is not None][:MAX_COMPARED]
    could_be_best = {result.id for result in verdict.configurations if result.verdict in COULD_BE_BEST}
    leading = [configuration for configuration in ids if configuration in could_be_best]
    leading = leading if len(leading) >= MIN_CONFIGURATIONS else ids
    images = []
    for case in range(len(rows.names)):
        scored, decided = _of_case(scores, ids, case), _of_case(decisions, ids, case)
        if rows.family in ("segmentation", "multilabel"):
            if len(scored) >= MIN_CONFIGURATIONS:
                apart = (
                    _apart(decided) if decided else float(np.ptp(_of_case(scores, leading, case) or [0.0]))
                )
                votes = _votes(np.sum(decided, axis=0)) if decided else ()
                ease, ends = float(np.median(scored)), (float(min(scored)), float(max(scored)))
                images.append(ComparedImage(case, ease, apart, votes, ends))
        elif len(decided) >= MIN_CONFIGURATIONS:
            assert rows.truth is not None
            images.append(_classified(case, decided, int(rows.truth[case].argmax())))
    if len(ids) < MIN_CONFIGURATIONS or not images:
        return None
    # Ties by number of the image: the same run gives the same page.
    hardest = sorted(images, key=lambda image: (image.ease, -image.apart, image.case))
    disputed = sorted(images, key=lambda image: (-image.apart, image.ease, image.case))
    return ImageComparison(
        len(ids),
        len(leading),
        # Only of single labels is an image that all get right of no interest.
        tuple(image for image in hardest if image.ends or image.ease < 1)[:MAX_HARDEST],
        tuple(image for image in disputed if image.apart > 0)[:MAX_DISPUTED],
    )


def _of_case(by_configuration: Mapping[str, Mapping[int, Any]], ids: Sequence[str], case: int) -> list[Any]:
    by_case = (by_configuration.get(configuration, {}) for configuration in ids)
    return [values[case] for values in by_case if case in values]


def _apart(decided: Sequence[Bools]) -> float:
    """The mean over labels of the share of configurations that do not say what most say."""
    return float(minority(np.stack(decided)).mean()) if len(decided) >= MIN_CONFIGURATIONS else 0.0


def _votes(num_K: NDArray[Any]) -> tuple[tuple[int, int], ...]:
    """Label and the number of configurations that predict it, most first; none that nobody predicts."""
    return tuple((int(k), int(num_K[k])) for k in np.argsort(-num_K, kind="stable") if num_K[k])


def _classified(case: int, decided: Sequence[Bools], true: int) -> ComparedImage:
    """One label: the share of configurations that are right, and the share that does not predict what most do."""
    predicted = np.array([int(decided_K.argmax()) for decided_K in decided])
    # Of equal counts the answer of the better configuration comes first.
    votes = tuple(Counter(predicted.tolist()).most_common())
    return ComparedImage(case, float((predicted == true).mean()), float(minority(predicted)), votes)


def minority(predicted_N: NDArray[Any]) -> Floats:
    """The share of the first axis that does not predict what most predict, for every other place.

    Args:
        predicted_N: (N, ...) classes, as whole numbers from 0; N of 1 or more.
    """
    classes = np.unique(predicted_N)
    counts = np.stack([(predicted_N == label).sum(axis=0) for label in classes])
    return np.asarray(1 - counts.max(axis=0) / len(predicted_N))


def disagreement(rows: Rows, verdict: Verdict) -> dict[int, Disagreement]:
    """Case index -> where configurations disagree; of the images that fits of the first fold watched."""
    paths = (_watched(rows, result.id) for result in verdict.configurations)
    files = [_predicted(path) for path in islice((path for path in paths if path), MAX_WATCHED)]
    cases = list(files[0]) if files else []
    by_case = {case: through_training([file[case] for file in files if case in file]) for case in cases}
    return {case: compared for case, compared in by_case.items() if compared is not None}


def _watched(rows: Rows, configuration: str) -> Path | None:
    """``watched.npz`` of its first fold; None where that did not end well, or watched nothing."""
    first = (fit for fit in rows.fits_of(configuration) if fit.repeat == fit.fold == 0)
    paths = (fit.path / "watched.npz" for fit in first if fit.result.get("best_epoch") is not None)
    return next((path for path in paths if path.exists()), None)


def _predicted(path: Path) -> dict[int, dict[int, NDArray[np.uint8]]]:
    """By case and epoch, the class of every pixel."""
    watched = read_arrays(path, ("epochs", "cases"))
    cases, epochs = watched["cases"].tolist(), watched["epochs"].tolist()
    p_EKHW = read_arrays(path, [str(case) for case in cases])
    classes_EHW = {case: p_EKHW[str(case)].argmax(axis=1).astype(np.uint8) for case in cases}
    return {case: dict(zip(epochs, classes_EHW[case], strict=True)) for case in cases}


def through_training(predictions: Sequence[Mapping[int, NDArray[np.uint8]]]) -> Disagreement | None:
    """How far networks differ at one image, epoch by epoch.

    Args:
        predictions: of each network, by epoch, the class (h, w) of every pixel; those of another size than the first
            are left out.

    Returns:
        Of epochs at which half of them were watched, and of the last. The others count with what they predicted
        before, as those do that stopped earlier. None where fewer than two can be compared.
    """
    shapes = [next(iter(by_epoch.values())).shape for by_epoch in predictions]
    alike = [by_epoch for by_epoch, shape in zip(predictions, shapes, strict=True) if shape == shapes[0]]
    if len(alike) < MIN_CONFIGURATIONS:
        return None
    # Before, one of them has not predicted anything yet that could count.
    begun = max(min(by_epoch) for by_epoch in alike)
    num_watched = Counter(epoch for by_epoch in alike for epoch in by_epoch if epoch >= begun)
    epochs = sorted(
        epoch for epoch, num in num_watched.items() if 2 * num >= len(alike) or epoch == max(num_watched)
    )
    latest = [
        np.stack([by_epoch[max(e for e in by_epoch if e <= epoch)] for by_epoch in alike]) for epoch in epochs
    ]
    return Disagreement(
        len(alike), tuple(epochs), np.stack([minority(classes_NHW) for classes_NHW in latest])
    )
