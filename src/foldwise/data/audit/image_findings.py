"""The checks of single images, labels and masks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from foldwise.data.cases import Dataset, Finding, Severity
from foldwise.data.class_names import alike
from foldwise.data.folds import strata
from foldwise.data.layouts.channel_files import suspected_channels
from foldwise.study.ranges import IGNORE
from foldwise.study.spec import Validation
from foldwise.text import count, listed, some

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed

_MIN_SIDE_PX = 16
_MANY = 0.9  # images of the usual size, from which on the others are exceptions
_MISLEADING = 0.8  # a share of one class from which on accuracy says little
_TINY_FOREGROUND = 0.02  # of the pixels: of a class that has less, a network may never find any
_ALONG_EDGE = 0.8  # of the pixels of the edges: an object that fills a picture leaves more of its corners
_FAR = 16  # brightness of floats above which they are not scaled to 1
MIN_FOLDS = 3  # that are advised: with two, half of the images are left to train on
_NEAR_CONSTANT = 0.05  # of the images: a label that fewer have, or fewer lack


def value_findings(dataset: Dataset, packed: Packed) -> list[Finding]:
    """NaN or infinite pixels, and images that are one colour all over."""
    names = [case.name for case in dataset.cases]
    broken = _where(
        names, [m.num_nan > 0 or not math.isfinite(m.minimum + m.maximum) for m in packed.measures]
    )
    flat = _where(names, [m.minimum == m.maximum and not m.num_nan for m in packed.measures])
    nan = "image has", "images have", "pixels that are NaN or infinite"
    constant = "image has", "images have", "the same value in every pixel"
    cure = "Write a number there (0, or what the instrument saw), or take the images out."
    findings = _finding_of("nan_pixels", "error", broken, nan, cure)
    cure = "Look at them; take them out, or export them again."
    findings += _scale_finding(names, packed)
    return findings + _finding_of("constant_images", "warning", flat, constant, cure)


def _scale_finding(names: Sequence[str], packed: Packed) -> list[Finding]:
    """Floats of which some files reach from 0 to 1 and others far beyond: the same picture on two scales."""
    # Whole numbers have one scale. A float holds what a program makes of it: shares, or the numbers of the camera.
    floats = [m.bit_depth >= 32 and m.minimum >= 0 for m in packed.measures]
    small = [own and 0 < m.maximum <= 1 for own, m in zip(floats, packed.measures, strict=True)]
    large = [m.maximum for own, m in zip(floats, packed.measures, strict=True) if own and m.maximum >= _FAR]
    if not any(small) or not large:
        return []
    concerned = _where(names, small)
    message = f"{listed(concerned, 'image has', 'images have', 'values from 0 to 1')}, and {len(large)} others reach up to {max(large):g}."
    cure = "Export all on one scale: else a network sees some of them as black, or learns which program wrote a file."
    return [Finding("scales_differ", "warning", message, concerned, cure)]


def _finding_of(
    code: str, severity: Severity, names: Sequence[str], words: tuple[str, str, str], cure: str
) -> list[Finding]:
    """The finding that lists some images in the `words` of `text.listed`; none where there are none."""
    return [Finding(code, severity, f"{listed(names, *words)}.", tuple(names), cure)] if names else []


def size_findings(dataset: Dataset, packed: Packed) -> list[Finding]:
    """Images whose size is an exception, that are tiny, or that lose their proportions."""
    sizes = [(m.original_width, m.original_height) for m in packed.measures]
    names = [case.name for case in dataset.cases]
    (width, height), number = Counter(sizes).most_common(1)[0]
    findings = []
    odd = [
        f"{name} ({w} × {h})" for name, (w, h) in zip(names, sizes, strict=True) if (w, h) != (width, height)
    ]
    # Where sizes vary freely, as of photographs, none is an exception.
    if odd and number >= _MANY * len(sizes):
        others = f"not {width} × {height} as the other {number} are"
        concerned = _where(names, [size != (width, height) for size in sizes])
        cure = "Check that they are images of the same kind, not previews, montages or cuts."
        message = f"{listed(odd, 'image is', 'images are', others)}."
        findings.append(Finding("unexpected_sizes", "warning", message, concerned, cure))
    tiny = _where(names, [min(size) < _MIN_SIDE_PX for size in sizes])
    words = "image has", "images have", f"a side of less than {_MIN_SIDE_PX} pixels"
    findings += _finding_of("tiny_images", "warning", tiny, words, "Take them out, or use the originals.")
    stretches = [m.width * m.original_height / (m.height * m.original_width) for m in packed.measures]
    squeezed = _where(names, [abs(math.log(stretch)) > math.log(1.2) for stretch in stretches])
    loss = "their proportions by more than a fifth when they are resized to data.size"
    cure = "State data.size as [height, width] in the usual proportions, or cut the images alike beforehand."
    words = "image loses", "images lose", loss
    return findings + _finding_of("squeezed_images", "note", squeezed, words, cure)


def _where(names: Sequence[str], chosen: Sequence[bool]) -> tuple[str, ...]:
    return tuple(name for name, is_chosen in zip(names, chosen, strict=True) if is_chosen)


def class_findings(
    dataset: Dataset, packed: Packed, groups: Sequence[str], validation: Validation
) -> list[Finding]:
    """Class names that are one name, classes that are missing or too rare, and folds that cannot be made."""
    findings = _name_findings(dataset)
    presence_NK = strata.class_presence(dataset, packed)
    if validation.is_given:  # its folds are checked as they are
        return (
            findings + _prevalence_findings(dataset, presence_NK) + _constant_findings(dataset, presence_NK)
        )
    impossible = strata.impossible_folds(dataset, presence_NK, groups, folds=validation.folds)
    findings += [
        Finding("impossible_folds", "error", f"{error.what}.", (), error.cure or "", choices=error.choices)
        for error in impossible
    ]
    if impossible:
        return findings
    findings += _rare_findings(dataset, presence_NK, groups, validation.folds)
    return findings + _prevalence_findings(dataset, presence_NK) + _constant_findings(dataset, presence_NK)


def _rare_findings(
    dataset: Dataset, presence_NK: np.ndarray, groups: Sequence[str], folds: int
) -> list[Finding]:
    rare = list(strata.rare_classes(dataset, presence_NK, groups, folds=folds))
    if not rare:
        return []
    counts_K, images_K = strata.groups_per_class(presence_NK, groups), presence_NK.sum(axis=0)
    noun = "image" if np.array_equal(counts_K[rare], images_K[rare]) else "group"
    kind = f"{noun}s"
    examples = some([f"{dataset.classes[k]} ({count(int(counts_K[k]), noun)})" for k in rare], limit=8)
    it = "it" if len(rare) == 1 else "them"
    subject = "class is" if len(rare) == 1 else "classes are"
    message = (
        f"{len(rare)} {subject} in fewer {kind} than there are folds ({folds}): {examples}. Some fold cannot test "
        f"{it}, so no score counts {it}."
    )
    concerned = _where(
        [case.name for case in dataset.cases], [bool(row.any()) for row in presence_NK[:, rare]]
    )
    enough = [k for k in rare if counts_K[k] >= MIN_FOLDS]
    fewer = min((int(counts_K[k]) for k in enough), default=0)
    others = [dataset.classes[k] for k in rare if k not in enough]
    rest = f"{some(others) if enough and others else it} with another class, leave {'it' if len(others) == 1 else it} out"
    cure = f"Merge {rest}, or add images."
    if enough:
        served = f" for {some([dataset.classes[k] for k in enough])}; and" if others else ","
        cure = f"State validate.folds: {fewer}{served} merge {rest}, or add images."
    choices = (f"validate.folds={fewer}",) if enough else ()
    return [Finding("rare_class", "warning", message, concerned, cure, choices=choices)]


def _name_findings(dataset: Dataset) -> list[Finding]:
    """Folders that are one class by their names; where a table or a study names classes, this is asked while reading."""
    if dataset.layout != "class_folders":
        return []
    cure = "Give the folders one name if they are one class, else names that differ."
    messages = [
        f"The classes {', '.join(map(repr, names))} differ in spelling only."
        for names in alike(dataset.classes)
    ]
    return [Finding("class_names_alike", "error", message, (), cure) for message in messages]


def _prevalence_findings(dataset: Dataset, presence_NK: np.ndarray) -> list[Finding]:
    if not strata.is_single_label(dataset):
        return []
    shares_K = presence_NK.mean(axis=0)
    top = int(shares_K.argmax())
    if shares_K[top] < _MISLEADING:
        return []
    share = f"{shares_K[top]:.0%}"
    message = f"{share} of the images are {dataset.classes[top]!r}: answering that always has an accuracy of {share}."
    cure = "Judge by balanced accuracy, AUROC or F1, not by accuracy."
    return [Finding("accuracy_misleads", "note", message, (), cure)]


def _constant_findings(dataset: Dataset, presence_NK: np.ndarray) -> list[Finding]:
    """Of several labels those that nearly all images have, or nearly none."""
    if not dataset.task.startswith("multilabel"):
        return []
    shares_K = presence_NK.mean(axis=0)
    ends = (shares_K > 1 - _NEAR_CONSTANT, "nearly all"), (shares_K < _NEAR_CONSTANT, "nearly no")
    sentences = []
    for at_end_K, how_many in ends:
        labels = [f"{dataset.classes[k]} ({shares_K[k]:.1%})" for k in np.flatnonzero(at_end_K)]
        if labels:
            sentences.append(
                f"{how_many} image{'s have' if how_many == 'nearly all' else ' has'} {some(labels, 8)}"
            )
    if not sentences:
        return []
    message = f"Some labels hardly vary: {'; '.join(sentences)}. Saying the same of every image is right for nearly all of them."
    cure = "Judge by average precision or F1 of each label, not by accuracy; for such a label only images of its rarer side count."
    return [Finding("near_constant_labels", "note", message, (), cure)]


def mask_findings(dataset: Dataset, packed: Packed) -> list[Finding]:
    """Masks that are empty, full or count nowhere, and foreground so small that pixel accuracy says nothing."""
    if not strata.is_segmentation(dataset):
        return []
    names = [case.name for case in dataset.cases]
    pixels_NK = np.array([m.class_pixels for m in packed.measures], np.int64)
    counted_N, foreground_N = pixels_NK.sum(axis=1), pixels_NK[:, 1:].sum(axis=1)
    uncounted = _where(names, (counted_N == 0).tolist())
    cure = "Take these images out, or mend data.ignore_value and data.mask_values."
    words = "mask has", "masks have", "no pixel that counts"
    findings = _finding_of("uncounted_masks", "error", uncounted, words, cure)
    empty = _where(names, ((foreground_N == 0) & (counted_N > 0)).tolist())
    if empty:
        message = f"{len(empty)} of {len(names)} masks are all background: {some(empty)}."
        cure = (
            "Right where there is nothing to find (there a score asks that nothing be found), else draw them."
        )
        findings.append(Finding("empty_masks", "note", message, empty, cure))
    filled_NK = (pixels_NK[:, 1:] == counted_N[:, None]) & (counted_N > 0)[:, None]
    full = _where(names, filled_NK.any(1).tolist())
    cure = "Look at them: a mask may be inverted, or be saved as a picture of something else."
    words = "mask is", "masks are", "one foreground class all over"
    findings += _finding_of("full_masks", "warning", full, words, cure) + _share_findings(packed)
    return findings + _inverted_finding(dataset, packed, pixels_NK) + _rare_pixel_findings(dataset, pixels_NK)


def _inverted_finding(dataset: Dataset, packed: Packed, pixels_NK: np.ndarray) -> list[Finding]:
    """Masks of two classes whose foreground is the larger part and lies along the edges, as a background does."""
    if pixels_NK.shape[1] != 2:
        return []
    names = [case.name for case in dataset.cases]
    # Only these are opened. Those that are foreground all over have a finding of their own.
    large = np.flatnonzero((pixels_NK[:, 1] > pixels_NK[:, 0]) & (pixels_NK[:, 0] > 0)).tolist()
    inverted = tuple(names[k] for k in large if _edge_share(packed.target(k)) > _ALONG_EDGE)
    if not inverted:
        return []
    message = f"{len(inverted)} of {len(names)} masks are foreground for the most part, and along their edges: {some(inverted)}."
    cure = (
        "Look at them: are objects black on white? Of all masks, state data.mask_values with the larger value first "
        '({"255": background, "0": foreground}); of some, save these inverted.'
    )
    if dataset.decoding.white_is_zero == "apply":
        cure += " Files that say that white is 0 are inverted as stated; data.decoding.white_is_zero: ignore takes what is stored."
    return [Finding("inverted_masks", "warning", message, inverted, cure)]


def _edge_share(target_HW: np.ndarray) -> float:
    """The share of foreground among the counted pixels of the four edges of a mask of 0, 1 and 255; 0 where none counts."""
    edge = np.concatenate([target_HW[0], target_HW[-1], target_HW[:, 0], target_HW[:, -1]])
    counted = edge[edge != IGNORE]
    return float((counted == 1).mean()) if counted.size else 0.0


def _rare_pixel_findings(dataset: Dataset, pixels_NK: np.ndarray) -> list[Finding]:
    """Of several foreground classes those that have hardly any pixels."""
    pixels_K = pixels_NK.sum(axis=0)
    if len(pixels_K) < 3 or not pixels_K.sum():
        return []
    shares_K, images_K = pixels_K / pixels_K.sum(), (pixels_NK > 0).sum(axis=0)
    rare = [k for k in range(1, len(pixels_K)) if 0 < shares_K[k] < _TINY_FOREGROUND]
    if not rare:
        return []
    examples = [
        f"{dataset.classes[k]} ({shares_K[k]:.2%} of them, in {images_K[k]} of {len(pixels_NK)} images)"
        for k in rare
    ]
    message = f"Hardly any pixels are {some(examples, 8)}: a network that never finds one is hardly ever wrong by pixels."
    cure = "Judge by a Dice that averages over classes; train with a Dice loss, on crops (crop_px) and with sampling: balanced."
    return [Finding("rare_mask_classes", "warning", message, (), cure)]


def _share_findings(packed: Packed) -> list[Finding]:
    share = float(strata.foreground_shares(packed).mean())
    if share > 1 - _MISLEADING:
        return []
    all_background = f"a mask that is all background is {1 - share:.2%} accurate"
    message = f"Foreground is {share:.2%} of the pixels: {all_background}."
    if share >= _TINY_FOREGROUND:
        cure = "Judge by Dice or IoU, not by pixel accuracy."
        return [Finding("accuracy_misleads", "note", message, (), cure)]
    cure = "Judge by Dice or IoU; train on crops (crop_px) and with a Dice loss, else nothing may be found."
    return [Finding("tiny_foreground", "warning", message, (), cure)]


def channel_findings(dataset: Dataset) -> list[Finding]:
    """Files of channels that were left out, and images that are the channels of one picture by their names."""
    if dataset.channels_left_out:
        words = ", ".join(dataset.channels_left_out)
        message = f"There are files of channels that no network will see: {words}."
        message += f" Read are {', '.join(dataset.channels)}, in this order."
        cure = "Add them to data.channels; or move the files elsewhere if what they show is not asked for."
        return [Finding("channels_left_out", "warning", message, (), cure)]
    names = tuple(case.name for case in dataset.cases)
    words = ", ".join(() if dataset.channels else suspected_channels(names))
    if not words:
        return []
    message = f"The file names end in {words}, as the channels of one picture do: {names[0]}, {names[1]}, …"
    cure = f"State data.channels: [{words}], and they become channels of one image each."
    return [Finding("channels_in_names", "warning", message, names, cure)]
