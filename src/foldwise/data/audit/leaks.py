"""Checks for ways to the answer that are not in the picture: the kind of file, and images that belong together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from foldwise.data.audit.likeness import Likeness
from foldwise.data.cases import Dataset, Finding, Severity
from foldwise.data.folds.strata import class_presence, is_segmentation, is_single_label
from foldwise.data.layouts.files import part_named
from foldwise.study.spec import Validation
from foldwise.text import some

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Measure, Packed

_MIN_SKILL = 0.4  # of the way from chance to always right
_MIN_DEVIATIONS = 4.0  # above chance; with a few dozen images less than that is luck
# Fewer images of a label than this cannot give a share that means anything in five parts.
_MIN_POSITIVES = 10


class _Property(NamedTuple):
    """Something a file says about itself, whatever it shows."""

    code: str
    title: str
    value: Callable[[Measure], str | float]
    cure: str


ANOTHER_SOURCE = "a model can learn the source of a file in place of what it shows"
_MODE = "Decode all to gray (data.channels: gray); in colour, files that are gray inside stand out."
_FORMAT = "JPEG leaves traces in the pixels: take the originals of all, or save all in one format and size."
_SIZE = "Sharpness tells the original size even after resizing: cut all from one magnification."
_PROPORTIONS = "Cut all to the same proportions before they are resized."
_PROPERTIES = (
    _Property("mode", "colour mode", lambda measure: measure.mode, _MODE),
    _Property("format", "format", lambda measure: measure.format, _FORMAT),
    _Property(
        "bit_depth", "bit depth", lambda measure: f"{measure.bit_depth} bit", "Export all at one depth."
    ),
    _Property("size", "width", lambda measure: float(measure.original_width), _SIZE),
    _Property("size", "height", lambda measure: float(measure.original_height), _SIZE),
    _Property(
        "size",
        "ratio of width to height",
        lambda measure: round(measure.original_width / measure.original_height, 2),
        _PROPORTIONS,
    ),
)


def property_findings(dataset: Dataset, packed: Packed) -> list[Finding]:
    """Properties of the files that alone tell the classes apart, far better than chance, in a cross-fitted rule."""
    if is_segmentation(dataset):
        return []
    strongest: dict[str, tuple[float, Finding]] = {}
    presence_NK = class_presence(dataset, packed)
    for kind in _PROPERTIES:
        values = [kind.value(measure) for measure in packed.measures]
        if len(set(values)) == 1:
            continue
        bins = _bins(values)
        for title, class_N in _questions(dataset, presence_NK):
            accuracy, skill, deviations = _rule(bins, class_N)
            best = strongest.get(kind.code, (_MIN_SKILL, None))[0]
            if skill >= best and deviations >= _MIN_DEVIATIONS:
                message = _property_message(kind, values, class_N, title=title, accuracy=accuracy)
                strongest[kind.code] = (skill, _property_finding(kind, message, packed))
    return [finding for _, finding in strongest.values()]


def _questions(dataset: Dataset, presence_NK: np.ndarray) -> list[tuple[tuple[str, ...], np.ndarray]]:
    """(class names, class of every image): one question, or of several labels one each that is not too rare."""
    if is_single_label(dataset):
        return [(dataset.classes, presence_NK.argmax(axis=1))]
    counts_K = presence_NK.sum(axis=0)
    common = [k for k, n in enumerate(counts_K) if _MIN_POSITIVES <= n <= len(presence_NK) - _MIN_POSITIVES]
    names = [dataset.classes[k] for k in common]
    return [
        ((f"not {name}", name), presence_NK[:, k].astype(int)) for k, name in zip(common, names, strict=True)
    ]


def _bins(values: Sequence[str | float]) -> np.ndarray:
    """(n,) the values as small numbers; measured ones in at most eight stretches of equally many images."""
    if isinstance(values[0], str):
        return np.unique(np.asarray(values), return_inverse=True)[1]
    numbers = np.asarray(values, float)
    edges = np.unique(np.quantile(numbers, np.arange(1, 8) / 8))
    return np.searchsorted(edges, numbers, side="right")


def _rule(bins_N: np.ndarray, class_N: np.ndarray) -> tuple[float, float, float]:
    """(balanced accuracy, skill, standard deviations above chance) of "the class that is most frequent in this bin".

    Five-fold cross-fitted, or a property with a value of its own for every file would seem to know everything.
    """
    kinds, class_N = np.unique(class_N, return_inverse=True)
    num_classes = len(kinds)
    # A seed of its own, so that the audit says the same whatever the study's seed is.
    fold_N = np.random.default_rng(0).permutation(len(class_N)) % 5
    right_N = np.zeros(len(class_N), bool)
    for fold in range(5):
        learn, ask = fold_N != fold, fold_N == fold
        table = np.zeros((bins_N.max() + 1, num_classes))
        np.add.at(table, (bins_N[learn], class_N[learn]), 1)
        table /= np.maximum(table.sum(axis=0), 1)
        answers, was_seen = table.argmax(axis=1)[bins_N[ask]], table.max(axis=1)[bins_N[ask]] > 0
        right_N[ask] = (answers == class_N[ask]) & was_seen
    counts_K = np.bincount(class_N)
    accuracy = float((np.bincount(class_N, right_N) / counts_K).mean())
    chance = 1 / num_classes
    error = float(np.sqrt(chance * (1 - chance) * (1 / counts_K).sum()) / num_classes)
    above = accuracy - chance
    return accuracy, above / max(1 - chance, 1e-9), above / max(error, 1e-9)


def told_apart(bins_N: np.ndarray, class_N: np.ndarray) -> bool:
    """Whether something that is (N,) this of every image tells its class far better than chance."""
    _, skill, deviations = _rule(bins_N, class_N)
    return skill >= _MIN_SKILL and deviations >= _MIN_DEVIATIONS


def _property_message(
    kind: _Property,
    values: Sequence[str | float],
    class_N: np.ndarray,
    *,
    title: tuple[str, ...],
    accuracy: float,
) -> str:
    by_class = []
    for k, name in list(enumerate(title))[:4]:
        own = [value for value, label in zip(values, class_N.tolist(), strict=True) if label == k]
        by_class.append(f"{name}: {_described(own)}")
    chance = 1 / len(np.unique(class_N))
    return (
        f"The {kind.title} of a file alone tells the classes apart with a balanced accuracy of {accuracy:.2f} "
        f"(chance {chance:.2f}, n = {len(values)}): {'; '.join(by_class)}."
    )


def _property_finding(kind: _Property, message: str, packed: Packed) -> Finding:
    code, cure = f"{kind.code}_gives_class_away", f"{kind.cure} Otherwise {ANOTHER_SOURCE}."
    # Decoded to grey, the mode itself is gone from the pixels; only its cause may be left.
    if kind.code != "mode" or packed.num_channels > 1:
        choices = ("data.channels=gray",) if kind.code == "mode" else ()
        return Finding(code, "warning", message, (), cure, choices=choices)
    cure = (
        "Nothing more to do for the mode: all are decoded to gray. It shows that the classes come from different "
        f"sources, and by sharpness or compression {ANOTHER_SOURCE}."
    )
    return Finding(code, "note", message, (), cure)


def _described(values: Sequence[str | float]) -> str:
    if values and not isinstance(values[0], str):
        low, middle, high = np.quantile(np.asarray(values, float), [0.1, 0.5, 0.9])
        return f"mostly {low:g} to {high:g}, median {middle:g}"
    return ", ".join(f"{value} {count}" for value, count in Counter(values).most_common(3))


# What a file name often says about where an image comes from, the surest first; each has one group in parentheses.
_SIDES = r"^(.+?)[ _-]?(?:[Ll]eft|[Rr]ight|LEFT|RIGHT|[LR]|O[DS])\.[^.]+$"
_BEARERS = (
    r"(?i)((?:patient|subject|subj|animal|mouse|donor|child|embryo|slide|sub|pat|pt|p)[ _-]?\d+)(?=[ _-])"
)
_PREFIX = r"^(.*?\d[^ _-]*)[ _-]"
# Pattern, the fewest groups that it must make, and how grave it is if these are not stated.
_SUGGESTIONS: tuple[tuple[str, int, Severity], ...] = (
    (_SIDES, 2, "warning"),
    (_BEARERS, 2, "warning"),
    (_PREFIX, 5, "note"),
)


def name_findings(dataset: Dataset, validation: Validation) -> list[Finding]:
    """Groups that the file names suggest, where none are stated; they are never applied without being asked for."""
    if validation.group == "none" or any(case.group is not None for case in dataset.cases):
        return []
    if any(column.kind == "bearer" for column in dataset.columns):
        return []  # a table says it better
    if folders := _folders_of_a_table(dataset):
        message = f"The images lie in {len(folders)} folders ({some(folders)}), and there are no groups."
        cure = (
            "If images of one patient, animal, slide or place share a folder, keep them in one fold: state validate.group:"
            " folders. If not: validate.group: none."
        )
        choices = "validate.group=folders", "validate.group=none"
        return [Finding("groups_in_names", "warning", message, (), cure, choices=choices)]
    names = [PurePosixPath(case.name).name for case in dataset.cases]
    for pattern, min_groups, severity in _SUGGESTIONS:
        keys = [match[1] for match in (re.search(pattern, name) for name in names) if match]
        num_groups = len(set(keys))
        if len(keys) < len(names) or not min_groups <= num_groups <= len(names) / 1.5:
            continue
        largest = Counter(keys).most_common(1)[0][0]
        examples = [name for name, key in zip(names, keys, strict=True) if key == largest][:3]
        message = f"The file names suggest {num_groups} groups: {', '.join(examples)} would be one."
        cure = (
            "If images of one patient, animal, slide or place share that part of the name, keep them in one fold: "
            f"state validate.group: 'pattern:{pattern}'. If not: validate.group: none."
        )
        choices = f"validate.group='pattern:{pattern}'", "validate.group=none"
        return [Finding("groups_in_names", severity, message, (), cure, choices=choices)]
    return []


def _folders_of_a_table(dataset: Dataset) -> list[str]:
    """The folders in which the images of a table lie, as many as are to be groups; none where they may be the classes."""
    if dataset.layout != "table":
        return []
    folders = [PurePosixPath(case.name).parts[:-1] for case in dataset.cases]
    depth = next((k for k, names in enumerate(zip(*folders, strict=False)) if len(set(names)) > 1), 0)
    outermost = [own[depth] for own in folders if own[depth:]]
    labels_of: dict[str, set[tuple[int, ...]]] = {}
    for name, case in zip(outermost, dataset.cases, strict=False):
        labels_of.setdefault(name, set()).add(case.labels)
    are_classes = len(labels_of) <= len(dataset.classes) and all(len(own) == 1 for own in labels_of.values())
    if are_classes or any(map(part_named, labels_of)) or len(outermost) < len(folders):
        return []
    return list(labels_of) if 2 <= len(labels_of) <= len(folders) / 1.5 else []


# The last number of a name is that of the slice or frame; what stands before it names the series.
_NUMBERED = re.compile(r"^(.*?)(\d+)(?:\.[^.]+|\])?$")
_MIN_SERIES, _MAX_PAIRS = 8, 200
# Consecutive sections of a nerve cord: 0.5 against 0.1 far apart; single blood cells in the order of their files:
# within 0.1 of each other.
_MIN_NEIGHBOUR, _MIN_CLOSER = 0.3, 0.2


def series_findings(dataset: Dataset, packed: Packed, validation: Validation) -> list[Finding]:
    """Numbered images of which neighbours look more alike than others do, as slices and frames, and no groups."""
    if validation.group == "none" or any(case.group is not None for case in dataset.cases):
        return []
    series: dict[str, list[tuple[int, int]]] = {}
    for case in dataset.cases:
        match = _NUMBERED.match(case.name)
        if match:
            series.setdefault(match[1], []).append((int(match[2]), case.index))
    runs = {prefix: sorted(run) for prefix, run in series.items() if len(run) >= _MIN_SERIES}
    near, far = _neighbour_correlations(list(runs.values()), Likeness(packed)) if runs else (0.0, 0.0)
    if near < _MIN_NEIGHBOUR or near - far < _MIN_CLOSER:
        return []
    concerned = tuple(dataset.cases[index].name for run in runs.values() for _, index in run)
    message = (
        f"Images with consecutive numbers look alike (mean correlation {near:.2f}, {far:.2f} between images far apart), "
        f"as slices of a volume or frames of a film do: {concerned[0]}, {concerned[1]}, … There are no groups, so "
        "neighbours of a test image are trained on and the scores are too good."
    )
    advice, stated = _series_advice(dataset, len(runs))
    cure = f"Keep neighbours in one fold: {advice}. If they are no series: validate.group: none."
    choices = stated, "validate.group=none"
    return [Finding("neighbours_alike", "warning", message, concerned, cure, choices=choices)]


def _series_advice(dataset: Dataset, num_runs: int) -> tuple[str, str]:
    """Groups for numbered images, in words and as stated: one per series, or blocks of ten where there are only one or two."""
    names = [PurePosixPath(case.name).name for case in dataset.cases]
    pattern = r"^(.*\D)\d+\.[^.]+$" if num_runs >= 3 else r"(\d+)\d\.[^.]+$"
    matches = [match[1] for match in (re.search(pattern, name) for name in names) if match]
    if len(matches) < len(names) or len(set(matches)) < 3:
        advice = "state data.slices_per_group: the number of images of one volume or film, or of blocks of it such as 10"
        return advice, "data.slices_per_group=10"
    advice = f"state validate.group: 'pattern:{pattern}', which makes {len(set(matches))} groups"
    blocks = "" if num_runs >= 3 else " of up to ten in a row"
    return f"{advice}{blocks} (and allows as many folds)", f"validate.group='pattern:{pattern}'"


def _neighbour_correlations(
    runs: Sequence[Sequence[tuple[int, int]]], likeness: Likeness
) -> tuple[float, float]:
    """Mean correlation of 32 × 32 thumbnails: of consecutive numbers, and of images half a series apart."""
    near, far = [], []
    for run in runs:
        half = len(run) // 2
        for k, (number, index) in enumerate(run[:-1]):
            if run[k + 1][0] == number + 1:
                near.append((index, run[k + 1][1]))
            far.append((index, run[(k + half) % len(run)][1]))
    if len(near) < _MIN_SERIES - 1:
        return 0.0, 0.0
    means = []
    for pairs in (near, far):
        chosen = [pairs[k] for k in np.unique(np.linspace(0, len(pairs) - 1, _MAX_PAIRS).astype(int))]
        means.append(float(np.mean([(likeness.whole(i) * likeness.whole(j)).mean() for i, j in chosen])))
    return means[0], means[1]
