"""Images that are in the data set more than once: exactly, or flipped, turned, resized or saved anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from foldwise.data.audit.findings import Finding, Severity
from foldwise.data.audit.likeness import Likeness
from foldwise.data.cache.measures import NUM_TURNS
from foldwise.data.cases import Dataset
from foldwise.data.folds.strata import is_segmentation, is_single_label
from foldwise.text import count, some

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed

LIMITS = "Copies that were turned by other angles, cut or recoloured are not recognised."

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
HashArray = npt.NDArray[np.uint64]
# (first, second, turn) of candidate pairs -> which of them are copies; `turn` is what `measures.turned` takes.
Confirm = Callable[[IntArray, IntArray, IntArray], BoolArray]

# Nineteen known pairs of gel photographs lie within 7 bits (15 at 2 or less), the nearest other pair at 16.
WITHIN_BITS = 8
_PAIRS_AT_ONCE = 1 << 21


@dataclass(frozen=True)
class Copies:
    """Which images are copies of which; indices of cases, in increasing order.

    Attributes:
        exact: clusters of two and more images with the same pixels before any resizing.
        near: pairs (i, j), i < j, of images that show the same picture; the exact ones are not among them.
    """

    exact: tuple[tuple[int, ...], ...]
    near: tuple[tuple[int, int], ...]

    def links(self) -> Iterator[tuple[int, int]]:
        """Pairs that join all images of one picture."""
        for cluster in self.exact:
            yield from ((cluster[0], other) for other in cluster[1:])
        yield from self.near


def find_copies(packed: Packed) -> Copies:
    """All copies in a packed data set; images without any structure are copies only where they are exactly equal."""
    by_digest: dict[str, list[int]] = {}
    for index, measure in enumerate(packed.measures):
        by_digest.setdefault(measure.pixel_digest, []).append(index)
    # One image stands for its exact copies, else a thousand of them would be half a million pairs.
    distinct = [indices[0] for indices in by_digest.values()]
    likeness = Likeness(packed)
    numbers = np.array(distinct, np.int64)
    pairs = near_duplicates(
        [packed.measures[index].fingerprints for index in distinct],
        confirm=lambda first, second, turn: likeness.same(numbers[first], numbers[second], turn),
    )
    exact = tuple(tuple(indices) for indices in by_digest.values() if len(indices) > 1)
    near = sorted((min(distinct[i], distinct[j]), max(distinct[i], distinct[j])) for i, j in pairs)
    return Copies(exact, tuple(near))


def clusters(links: Iterable[tuple[int, int]], *, total: int) -> list[list[int]]:
    """The sets of two and more of ``range(total)`` that the links join, each in order, by their first (union-find)."""
    parent = list(range(total))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for first, second in links:
        parent[root(first)] = root(second)
    members: dict[int, list[int]] = {}
    for item in range(total):
        members.setdefault(root(item), []).append(item)
    return [items for items in members.values() if len(items) > 1]


def copy_findings(dataset: Dataset, packed: Packed, copies: Copies, *, grouped: bool) -> list[Finding]:
    """What to say about the copies, with the severity that follows from whether their labels agree.

    Args:
        dataset: whose cases the indices of `copies` are.
        packed: for the masks of copies.
        copies: as `find_copies` gives them.
        grouped: whether copies are put into one group, so that they cannot leak.
    """
    names = [case.name for case in dataset.cases]
    consequence = (
        "They are kept in one fold, so that no model is tested on what it was trained on."
        if grouped
        else "They can be in training and test at once, which makes every score too good: state "
        "validate.near_duplicates: group."
    )
    findings = []
    if copies.exact:
        examples = some([" = ".join(_first(cluster, names)) for cluster in copies.exact])
        message = f"{count(len(copies.exact), 'picture is', 'pictures are')} in the data more than once, pixel for pixel: {examples}."
        cure = f"{consequence} Take the extra files out all the same, since they count more than once."
        concerned, alike = _concerned(copies.exact, names), _named(copies.exact, names)
        findings.append(Finding("exact_duplicates", "warning", message, concerned, cure, alike))
    if copies.near:
        examples = some([f"{names[i]} ~ {names[j]}" for i, j in copies.near])
        message = f"{count(len(copies.near), 'pair of images shows', 'pairs of images show')} the same picture: {examples}."
        cure = f"{consequence} {LIMITS}"
        severity: Severity = "note" if grouped else "warning"
        concerned = _concerned(copies.near, names)
        alike = _named(clusters(copies.near, total=len(names)), names)
        findings.append(Finding("near_duplicates", severity, message, concerned, cure, alike))
    return [*findings, *_contradictions(dataset, packed, copies)]


def _first(cluster: Sequence[int], names: Sequence[str]) -> list[str]:
    first = [names[index] for index in cluster[:3]]
    return [*first, f"{len(cluster) - 3} more"] if len(cluster) > 3 else first


def _named(sets: Iterable[Sequence[int]], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names[index] for index in indices) for indices in sets)


def _concerned(sets: Iterable[Sequence[int]], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(names[index] for index in sorted({index for indices in sets for index in indices}))


def _contradictions(dataset: Dataset, packed: Packed, copies: Copies) -> list[Finding]:
    """Copies with different labels or masks: at most one of them is right."""
    names = [case.name for case in dataset.cases]
    exact = [(cluster[0], other) for cluster in copies.exact for other in cluster[1:]]
    # Masks are compared for exact copies only: those of a turned copy are turned as well.
    if is_segmentation(dataset):
        pairs = [(i, j) for i, j in exact if not np.array_equal(packed.target(i), packed.target(j))]
        return _disagreeing("warning", "exact", pairs, names=names, labels=())
    differ = [
        [pair for pair in pairs if dataset.cases[pair[0]].labels != dataset.cases[pair[1]].labels]
        for pairs in (exact, list(copies.near))
    ]
    labels = [
        " ".join(dataset.classes[label] for label in case.labels) or "no label" for case in dataset.cases
    ]
    # The same pixels cannot be of two classes that exclude each other; with several labels, or with another cut of
    # the picture, a rater may have had reasons.
    severity: Severity = "error" if is_single_label(dataset) else "warning"
    return [
        *_disagreeing(severity, "exact", differ[0], names=names, labels=labels),
        *_disagreeing("warning", "near", differ[1], names=names, labels=labels),
    ]


def _disagreeing(
    severity: Severity,
    kind: str,
    pairs: Sequence[tuple[int, int]],
    *,
    names: Sequence[str],
    labels: Sequence[str],
) -> list[Finding]:
    """The finding for pairs that disagree; `labels` is empty where it is masks that differ."""
    if not pairs:
        return []
    described = [f"{name} ({label})" for name, label in zip(names, labels, strict=True)] if labels else names
    truth = "labels" if labels else "masks"
    masks_cure = "Keep one of each pair, with the mask that you trust; two observers make two data sets."
    cure = "Correct the labels, or take all but one of each out." if labels else masks_cure
    exact = kind == "exact"
    singular, plural, same = (
        ("has", "have", "the same pixels") if exact else ("shows", "show", "the same picture")
    )
    examples = some([f"{described[i]} and {described[j]}" for i, j in pairs])
    number = count(len(pairs), f"pair of images {singular}", f"pairs of images {plural}")
    message = f"{number} {same} but different {truth}: {examples}."
    return [Finding(f"{kind}_duplicates_disagree", severity, message, _concerned(pairs, names), cure)]


def near_duplicates(
    fingerprints: Sequence[tuple[str, ...]], *, within_bits: int = WITHIN_BITS, confirm: Confirm | None = None
) -> list[tuple[int, int]]:
    """The pairs (i, j), i < j, where some turn of image j has a hash within `within_bits` of that of image i.

    Args:
        fingerprints: of every image, as `fingerprint` gives them; `FLAT` ones are linked to nothing.
        within_bits: largest number of differing bits, from 0 to 15.
        confirm: looks at the candidates, many at a time, and keeps those that are copies; None keeps all.
    """
    if not fingerprints:
        return []
    hashes_NT = np.array([[int(digits, 16) for digits in row] for row in fingerprints], dtype=np.uint64)
    num_images = len(hashes_NT)
    codes = _close_pairs(hashes_NT, within_bits)
    first, rest = np.divmod(codes, num_images * NUM_TURNS)
    second, turn = np.divmod(rest, NUM_TURNS)
    if confirm is not None:
        confirmed = confirm(first, second, turn)
        first, second = first[confirmed], second[confirmed]
    pairs = np.unique(first * num_images + second)
    return [(int(pair // num_images), int(pair % num_images)) for pair in pairs]


def _close_pairs(hashes_NT: HashArray, within_bits: int) -> IntArray:
    """Codes ``(i * num_images + j) * 8 + turn`` of all close pairs i < j, each once, sorted.

    The 64 bits are cut into bands, so many that two close hashes differ by at most one bit in some band: only images
    that share a band, or all but one bit of it, are compared.
    """
    num_images = len(hashes_NT)
    num_bands = max(4, within_bits // 2 + 1)  # at most 16 bits each: a bucket for every value fits in memory
    edges = np.linspace(0, 64, num_bands + 1).astype(int)
    codes = [np.empty(0, np.int64)]
    for low, high in pairwise(edges):
        for owner, flat in _sharing(hashes_NT, int(low), int(high - low)):
            other, turn = np.divmod(flat, NUM_TURNS)
            later = other > owner
            owner, other, turn = owner[later], other[later], turn[later]
            distance = np.bitwise_count(hashes_NT[owner, 0] ^ hashes_NT[other, turn])
            near = distance <= within_bits
            codes.append((owner[near] * num_images + other[near]) * NUM_TURNS + turn[near])
    return np.unique(np.concatenate(codes))


def _sharing(hashes_NT: HashArray, low: int, width: int) -> Iterator[tuple[IntArray, IntArray]]:
    """(i, 8 * j + turn) of hashes that agree in bits low .. low + width but for at most one, in blocks."""
    structured = np.flatnonzero(hashes_NT[:, 0] != 0)
    width_mask = np.uint64((1 << width) - 1)
    bands_NT = ((hashes_NT >> np.uint64(low)) & width_mask).astype(np.int64)
    bands_NT[hashes_NT[:, 0] == 0] = 1 << width  # a bucket of their own, which nothing asks for
    flat = bands_NT.ravel()
    by_band = np.argsort(flat, kind="stable")
    starts = np.searchsorted(flat[by_band], np.arange((1 << width) + 1))
    for probe in [0, *(1 << bit for bit in range(width))]:
        bands = bands_NT[structured, 0] ^ probe
        counts = starts[bands + 1] - starts[bands]
        ends = np.cumsum(counts)
        begin = 0
        while begin < len(structured):
            done = ends[begin - 1] if begin else 0
            # At least one image a block, however full its bucket is.
            end = max(begin + 1, int(np.searchsorted(ends, done + _PAIRS_AT_ONCE, side="right")))
            block = counts[begin:end]
            owner = np.repeat(structured[begin:end], block)
            within = np.arange(len(owner)) - np.repeat(np.cumsum(block) - block, block)
            yield owner, by_band[np.repeat(starts[bands[begin:end]], block) + within]
            begin = end
