"""Which image goes with which mask, by their names; and which two folders are images and masks, by what lies in them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from foldwise.data.formats.formats import decode, holds_slices, open_stack
from foldwise.data.formats.label_files import LABEL_SUFFIXES
from foldwise.data.layouts.files import MARKS, PARTS, image_files, part_in, stem, subfolders, words_of
from foldwise.errors import DataError

# What those who draw masks call them, anywhere in a name.
MASK_WORDS = ("mask", "label", "lbl", "seg", "annot", "truth", "manual", "gt", "roi")
IMAGE_WORDS = {"images", "image", "imgs", "img"}
LABEL_WORDS = {
    "masks",
    "mask",
    "labels",
    "label",
    "annotations",
    "annotation",
    "ann",
    "segmentations",
    "segmentation",
}
MIN_FOLDERS = 5  # with the same names in each, from which on they are no classes
MAX_FOLDERS = 12  # beyond so many, folders with the same names in them are classes
SAMPLED = 6  # images of a folder, by which it is told whether it holds masks
MAX_VALUES = 32  # of a mask; pictures of cameras, scanners and microscopes have more
MIN_FLAT = 0.9  # share of the pixels of a mask, of many objects too, that are as their neighbour is


@dataclass(frozen=True)
class Match:
    """Images and masks, one to one.

    Attributes:
        masks: stem of an image -> its mask.
        words: what the names are, for the user, where they are not the same: ``images are called *_0000, masks *``.
        is_close: whether the names are the same, or those of one kind have an ending such as ``_mask`` besides.
    """

    masks: dict[str, str]
    words: str = ""
    is_close: bool = True


def match(images: Sequence[str], masks: Sequence[str]) -> Match | None:
    """Each image with its mask, where their names are the same but for what all images, or all masks, begin or end with.

    Args:
        images, masks: paths, each with a stem of its own among its kind.

    Returns:
        None where an image or a mask would be left over, or there are none.
    """
    mask_of = {stem(path): path for path in masks}
    stems = [stem(path) for path in images]
    if not stems or len(stems) != len(mask_of):
        return None
    if set(stems) == mask_of.keys():
        return Match(mask_of)
    image_form, image_keys = _bare(stems, mask_of)
    mask_form, mask_keys = _bare(list(mask_of), stems)
    named = {key: mask_of[name] for name, key in mask_keys.items()}
    if set(image_keys.values()) != named.keys() or len(named) != len(stems):
        return None
    pairs = {name: named[key] for name, key in image_keys.items()}
    is_close = any(all(stem(row[k]).startswith(stem(row[1 - k])) for row in pairs.items()) for k in (0, 1))
    return Match(pairs, f"images are called {image_form}, masks {mask_form}", is_close)


def _bare(stems: Sequence[str], others: Collection[str]) -> tuple[str, dict[str, str]]:
    """What all stems look like (``case_*_0000``), and of each what stands for the star."""
    if len(stems) == 1:
        # All of a single name is what all have in common, so that the other's name must be its beginning.
        name, other = stems[0], next(iter(others))
        ending = name.removeprefix(other) if name.startswith(other) else ""
        ending = ending if ending.startswith(tuple(MARKS)) else ""
        return f"*{ending}", {name: name.removesuffix(ending)}
    ending = _common_start([name[::-1] for name in stems])[::-1]
    # It is cut where a word ends, never within a number: 10 and 20 do not end in 0.
    while ending and not _is_word(ending[0], [name.removesuffix(ending)[-1:] for name in stems]):
        ending = ending[1:]
    rest = {name: name.removesuffix(ending) for name in stems}
    start = _common_start(list(rest.values()))
    while start and not _is_word(start[-1], [name.removeprefix(start)[:1] for name in rest.values()]):
        start = start[:-1]
    return f"{start}*{ending}", {name: text.removeprefix(start) for name, text in rest.items()}


def _common_start(texts: Sequence[str]) -> str:
    alike = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
    return "".join(letters[0] for letters in alike)


def _is_word(edge: str, beside: Sequence[str]) -> bool:
    """Whether a word ends at the letter `edge`, beside which these letters stand: it is a mark, or they are digits."""
    return edge in MARKS or (not edge.isdigit() and all(letter.isdigit() for letter in beside))


def common_ending(stems: Collection[str], others: Collection[str]) -> str:
    """What most stems end in that are not among the others, and would be without it: ``_mask``; empty where nothing is."""
    alone = set(stems) - set(others)
    ending, number = commonest_ending(alone, set(others))
    return ending if 2 * number > len(alone) else ""


def commonest_ending(stems: Collection[str], others: Collection[str]) -> tuple[str, int]:
    """What most of some stems have behind a whole other one, from a mark on, and how many; empty and 0 where none has.

    Of those that are as frequent, one that masks are called by.
    """
    ends = (name[k:] for name in stems for k, mark in enumerate(name) if mark in MARKS and name[:k] in others)
    counts = Counter(ends)
    return max(counts.items(), key=lambda row: (row[1], is_called_mask(row[0]), row[0]), default=("", 0))


def channel_words(images: Sequence[str], masks: Sequence[str]) -> tuple[str, ...]:
    """What the several files of a mask end in: ``0000`` and ``0001`` of nnU-Net; none where each has one file.

    Every image has such a word after the name of a mask, and most masks have a file of each.
    """
    stems = {stem(path) for path in masks}
    words: Counter[str] = Counter()
    for name in map(stem, images):
        cut = max((k for k, letter in enumerate(name) if letter in MARKS and name[:k] in stems), default=None)
        if cut is None or cut == len(name) - 1:
            return ()
        words[name[cut + 1 :]] += 1
    are_usual = all(2 * number > len(stems) for number in words.values())
    return tuple(sorted(words)) if are_usual and len(words) > 1 else ()


def channels_cure(words: Sequence[str]) -> str:
    """How a study states that files are channels of one image; in quotes, since 0000 is a number in YAML."""
    listed = ", ".join(f'"{word}"' for word in words)
    return f"State data.channels: [{listed}], in the order that they are to have."


def sides_of_parts(root: Path) -> dict[str, str]:
    """Of a set whose parts lie within images and masks: the folder of images of each part, and that of its masks or labels.

    Both are told by words of their names: ``images/train`` with ``labels/train``, ``train_images`` with ``train_masks``,
    ``imagesTr`` with ``labelsTr``. They are in the order of the parts; of a part without labels the second is empty.
    None are listed where a part has two folders of one kind. Of class folders, thousands perhaps, none is looked into.
    """
    tops = [name for name in subfolders(root) if part_in(name) or _words(name) & (IMAGE_WORDS | LABEL_WORDS)]
    outer = [top for top in tops if not image_files(root / top)]
    nested = [f"{top}/{name}" for top in outer for name in subfolders(root / top)]
    sides: dict[tuple[str, bool], str] = {}
    for path in (*tops, *nested):
        is_images, is_masks = (bool(_words(path) & words) for words in (IMAGE_WORDS, LABEL_WORDS))
        part = part_in(path)
        if part is None or is_images == is_masks or not _holds_any(root / path, labels=is_masks):
            continue
        if (part, is_images) in sides:
            return {}
        sides[part, is_images] = path
    parts = (part for part in dict.fromkeys(PARTS.values()) if (part, True) in sides)
    return {sides[part, True]: sides.get((part, False), "") for part in parts}


def _words(path: str) -> set[str]:
    return {word.casefold() for word in words_of(path)}


def _holds_any(folder: Path, *, labels: bool) -> bool:
    """Whether images lie directly in a folder, or, where these count, files that may be labels."""
    files = (path.name.lower() for path in folder.iterdir()) if labels else ()
    return bool(image_files(folder)) or any(name.endswith(LABEL_SUFFIXES) for name in files)


def images_and_masks(
    root: Path, folders: Sequence[str], *, channels: Collection[str] = (), may_ask: bool = True
) -> tuple[str, str] | None:
    """The folder of images and that of masks, where of some folders two are; None where they are classes.

    Their names pair one to one, and what is in one of them looks like masks: it has few values and no colour.

    Args:
        root: where the folders are.
        folders: their names; each has images directly in it.
        channels: words of channel files; masks have none.
        may_ask: whether nothing else tells what the folders are, as a table does.

    Raises:
        DataError: names pair one to one, and nothing tells what that means; the cure states either.
    """
    if len(folders) > MAX_FOLDERS:
        return None
    files = {folder: image_files(root / folder) for folder in folders}
    look = cache(lambda folder: holds_masks(root / folder, files[folder]))
    borne_out: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    unclear = []
    for pair in itertools.combinations(files, 2):
        images, masks = sorted(pair, key=lambda name: (is_called_mask(name, files[name]), -len(files[name])))
        pairing = _how_they_pair(files[images], files[masks])
        by_channel = all(stem(name).endswith(tuple(channels)) for folder in pair for name in files[folder])
        if channels and by_channel:
            continue
        if pairing is None:
            # Names do not pair, yet nobody compares pictures with a folder of masks as two classes.
            if is_called_mask(masks) and look(masks) and not look(images):
                unclear.append((images, masks))
        elif look(images) != look(masks):
            borne_out[pairing].append((masks, images) if look(images) else (images, masks))
        elif pairing or is_called_mask(masks, files[masks]):
            unclear.append((images, masks))
    # Pairs of the very same names come before those that only share a part.
    likely = borne_out[True] or borne_out[False]
    if likely and len(folders) == 2:
        return likely[0]
    # Of many folders with the same names in them, only what looks like masks tells that they are not all classes.
    doubtful = likely or (unclear if len(folders) == 2 else [])
    if doubtful and may_ask:
        raise _question(root, folders, doubtful)
    return None


def refuse_masks_among(root: Path, folders: Sequence[str]) -> None:
    """Raise where images and their masks lie in one folder, called alike but for an ending: ``a.png`` and ``a_mask.png``."""
    for folder in folders:
        files = image_files(root / folder)
        stems = {stem(name) for name in files}
        ending, number = commonest_ending(stems, stems)
        if 2 * number <= len(files) - number:
            continue
        masks = [name for name in files if stem(name).endswith(ending)]
        images = [name for name in files if not stem(name).endswith(ending)]
        if holds_masks(root / folder, masks) and not holds_masks(root / folder, images):
            problem = f"{number} files in {folder}/ are called as others are, with {ending!r} at the end, and look like their masks"
            cure = (
                "State data.layout: masks_beside if they are; take them out, if the folders are classes. If all are images,"
                " state data.layout: class_folders."
            )
            raise DataError(problem, where=str(root), cure=cure, choices=["data.layout=masks_beside"])


def refuse_folder_per_image(root: Path, folders: Sequence[str]) -> None:
    """Raise where every folder holds files of the same few names without numbers, as labelme writes an image and its label."""
    stems = [frozenset(map(stem, image_files(root / folder))) for folder in folders]
    if len(folders) < MIN_FOLDERS or len(set(stems)) > 1 or len(stems[0]) >= len(folders):
        return
    if any(letter.isdigit() for name in stems[0] for letter in name):
        return
    problem = f"each of {len(folders)} folders holds the same names ({', '.join(sorted(stems[0]))}): is it a folder an image, or a class?"
    cure = (
        "Put images into images/ and their masks into masks/, each with the name of its folder; or, if the folders are"
        " classes, state data.layout: class_folders."
    )
    raise DataError(problem, where=str(root), cure=cure)


def _how_they_pair(images: list[str], masks: list[str]) -> bool | None:
    """True where names pair one to one, so that they mean it; False where only what is in the files can tell; else None."""
    matched = match(images, masks)
    if matched is not None:
        return matched.is_close
    if channel_words(images, masks) or channel_words(masks, images):
        return True
    return False if _have_partners(images, masks) or _have_partners(masks, images) else None


def _have_partners(longer: Sequence[str], names: Sequence[str]) -> bool:
    """Whether more than half of the names are those of other files, in any case, or what these begin with up to a mark."""
    wholes = [stem(name).casefold() for name in longer]
    starts = {name[:k] for name in wholes for k in range(len(name) + 1) if name[k : k + 1] in MARKS}
    return 2 * len({stem(name).casefold() for name in names} & starts) > len(names)


def is_called_mask(folder: str, files: Sequence[str] = ()) -> bool:
    """Whether a folder, some of its files, or an ending has a word in its name by which masks are called."""
    names = (folder, *(stem(name) for name in files[:SAMPLED]))
    return any(word in name.casefold() for name in names for word in MASK_WORDS)


def holds_masks(folder: Path, files: Sequence[str]) -> bool:
    """Whether all images of a sample look like masks."""
    step = max(1, len(files) // SAMPLED)
    return all(_looks_like_mask(folder / name) for name in files[::step][:SAMPLED])


def _looks_like_mask(path: Path) -> bool:
    """Whether a picture has no colour, and few values or large areas of one; False for what cannot be read."""
    try:
        pixels = open_stack(path).slice(-1) if holds_slices(path) else decode(path)
    except DataError:
        return False
    values = pixels.values[:-1] if pixels.mode in {"LA", "RGBA"} else pixels.values
    if (values != values[:1]).any() or (values.dtype.kind == "f" and (values != np.rint(values)).any()):
        return False
    if len(np.unique(values)) <= MAX_VALUES:
        return True
    return bool((values[0, :, 1:] == values[0, :, :-1]).mean() >= MIN_FLAT)


def _question(root: Path, folders: Sequence[str], pairs: Sequence[tuple[str, str]]) -> DataError:
    images, masks = pairs[0]
    others = [f"{name}/" for name in folders if name not in pairs[0]]
    problem = (
        f"are {images}/ and {masks}/ images and their masks, or classes? Their files go together by name"
    )
    beside = f", and there {'is' if len(others) == 1 else 'are'} {', '.join(others)}" if others else ""
    stated = " or ".join(
        f"data.images: {of_images} with data.masks: {of_masks}" for of_images, of_masks in pairs[:3]
    )
    around = "" if others else " (or the other way round)"
    cure = f"State {stated}{around}, or data.layout: class_folders."
    choices = ["data.layout=class_folders"]
    return DataError(problem + beside, where=str(root), cure=cure, choices=choices)
