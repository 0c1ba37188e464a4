"""Images as files: with a table that has a row for each, or with a folder of masks beside them."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from foldwise.data.cases import Case, Dataset
from foldwise.data.class_names import tidy
from foldwise.data.layouts.channel_files import (
    JoinedImages,
    images_at,
    suspected_channels,
    with_channels,
)
from foldwise.data.layouts.files import (
    PICKLE,
    Finder,
    errors_about,
    ignored,
    image_files,
    image_files_below,
    misplaced_in,
    one_per_stem,
    other_files,
    stem,
    subfolders,
    unused,
)
from foldwise.data.layouts.groups import ask_for_groups, grouped_by
from foldwise.data.layouts.labels import read_labels
from foldwise.data.layouts.listing import Listing
from foldwise.data.layouts.masks_beside import about_masks, images_and_masks_of, pairing_errors, without_kinds
from foldwise.data.layouts.pairing import (
    channel_words,
    channels_cure,
    common_ending,
    match,
)
from foldwise.data.layouts.tables import image_column, match_rows, read_table, unlisted
from foldwise.data.masks.meaning import read_meaning
from foldwise.errors import DataError, FoldwiseError, SpecError
from foldwise.text import natural, some


def fits_table(listing: Listing) -> str | None:
    """The table and the images it may speak of: those of ``images/``, of other folders, or beside it."""
    if listing.table is None:
        return None
    name = listing.table.name
    if listing.images is not None:
        return f"{listing.images}/ with {name}"
    if listing.class_folders:
        return f"{listing.class_folders[0]}/ with {name}"
    if listing.loose_images and listing.has_nested_images:
        return None
    where = "beside" if listing.loose_images else "in folders beside"
    return f"images {where} {name}" if listing.loose_images or listing.has_nested_images else None


def read_labelled(listing: Listing) -> Dataset:
    """The data set of images and a table of their labels; every image has one row and every row one image."""
    root, data = listing.root, listing.data
    if listing.table is None:
        cure = "Add labels.csv with the columns image and label, or state data.table."
        raise DataError("there is no table of labels", where=str(root), cure=cure)
    table, folder = read_table(listing.table), (listing.images or "").removeprefix(".")
    names = image_column(table, data.image_column)
    paths = [f"{folder}/{name}" if folder else name for name in image_files_below(root / folder)]
    joined = images_at(paths, data, where=str(root))
    finder = Finder(list(joined.names.values()), folder)
    labels = read_labels(table, data, names, split=listing.split)
    rows, errors = match_rows(table, names, finder)
    errors += unlisted(table, rows, finder)
    if errors and data.channels == "native" and (words := suspected_channels(paths)):
        cure = f"State data.channels: [{', '.join(words)}], in the order that they are to have."
        errors = [DataError(f"the file names end in {', '.join(words)}, as channels do", cure=cure), *errors]
    if errors:
        raise DataError.together(errors)
    cases = tuple(
        Case(i, name, image, None, labels.rows[rows[name]])
        for i, (image, name) in enumerate(joined.names.items())
    )
    cases = grouped_by(cases, listing.group, lambda name: listing.folders_of(name.removeprefix(f"{folder}/")))
    idle = [name for name in subfolders(root) if folder and name != folder.split("/")[0]]
    statements = (*labels.statements, *unused(idle))
    dataset = Dataset(root, labels.task, labels.classes, cases, "table", statements, None)
    return with_channels(dataset, data, [joined])


def difference_to_folders(listing: Listing) -> str | None:
    """None if a table beside class folders says the same as the folders; else how it differs, in words."""
    assert listing.table is not None
    try:
        table = read_table(listing.table)
        column = image_column(table, listing.data.image_column)
        files = [
            f"{name}/{file}" for name in listing.class_folders for file in image_files(listing.root / name)
        ]
        finder = Finder(files)
        labels = read_labels(table, listing.data, column, split=listing.split)
        rows, errors = match_rows(table, column, finder)
    except FoldwiseError as error:
        return f"it cannot be taken as labels ({error.what})"
    if errors:
        return f"its rows do not fit the files ({errors[0].what})"
    if labels.task == "multilabel_classification":
        return "it gives several labels per image"
    for path, row in rows.items():
        name = labels.classes[labels.rows[row][0]]
        if name != tidy(path.split("/")[0]):
            return f"it calls {path} {name!r} (line {table.lines[row]})"
    return None


def fits_masks(listing: Listing) -> str | None:
    """The two folders, where both are there; masks without images are something else only if they are no class."""
    if listing.masks is None:
        return None
    if listing.images is not None:
        return f"{listing.images}/ with {listing.masks}/"
    alone = listing.masks in listing.class_folders and not listing.loose_images
    return f"{listing.masks}/" if alone else None


def read_masks(listing: Listing) -> Dataset:
    """The data set of `images/` and `masks/`, paired by file name without suffix.

    Raises:
        SpecError: a stated folder, class or task does not fit.
        DataError: a folder is missing; images and masks do not pair up; mask values are unclear.
    """
    root, data = listing.root, listing.data
    read = [_paired(part, start, root) for start, part in listing.parts.items()]
    if errors := [error for own in read for error in own.errors]:
        raise DataError.together(errors)
    pairs = [pair for own in read for pair in own.pairs]
    statements = [line for own in read for line in own.statements]
    dataset = _segmented(listing, "image_mask", pairs, statements)
    return with_channels(dataset, data, [own.joined for own in read])


def read_masks_beside(listing: Listing) -> Dataset:
    """The data set of images with masks beside them, or in folders of patients or the like.

    Raises:
        SpecError: the study names channel files, or classes or a task that do not fit.
        DataError: images and masks do not pair up; folders of which the study does not say what they are; mask values are
            unclear.
    """
    root, both = listing.root, images_and_masks_of(listing.folders_of_images)
    if isinstance(listing.data.channels, tuple):
        problem = "images of channel files cannot have their masks beside them"
        raise SpecError(problem, where="data.channels", cure="Put images into images/ and masks into masks/.")
    if errors := pairing_errors(both, str(root)):
        raise DataError.together(errors)
    depths = {1: both.folders} if both.folders[1:] else {}
    if both.folders and not listing.is_grouped:
        raise ask_for_groups(f"images and masks lie in folders ({some(both.folders)})", depths, root)
    paths = sorted(
        ((both.images[name], both.masks[name]) for name in both.pairs), key=lambda pair: natural(pair[0])
    )
    called = f", called as they are with {both.ending} at the end" if both.ending else ""
    paired = f"{len(paths)} images were paired with the masks beside them{called}."
    folders = dict.fromkeys(PurePosixPath(path).parent for pair in paths for path in pair)
    strange = [path for path in listing.folders_of_images if path.endswith(PICKLE)]
    strange += [(folder / name).as_posix() for folder in folders for name in other_files(root / folder)]
    pairs = [(image, image, mask) for image, mask in paths]
    dataset = _segmented(listing, "masks_beside", pairs, [paired, *ignored(strange)])
    cases = grouped_by(dataset.cases, listing.group, lambda name: without_kinds(listing.folders_of(name)))
    return replace(dataset, cases=cases)


def _segmented(
    listing: Listing, layout: str, pairs: Sequence[tuple[str, str, str]], statements: Sequence[str]
) -> Dataset:
    """The data set of images and masks: (name, image, mask) of each case."""
    meaning = read_meaning(listing.root, [mask for _, _, mask in pairs], listing.data)
    cases = tuple(Case(i, name, image, mask, ()) for i, (name, image, mask) in enumerate(pairs))
    about, values = (*statements, *meaning.statements), meaning.values
    dataset = Dataset(listing.root, meaning.task, meaning.classes, cases, layout, about, values)
    return replace(dataset, decoded_masks=meaning.decoded)


@dataclass(frozen=True)
class _Paired:
    """The (name, image, mask) of one folder of images and one of masks, by paths from the root; and what is wrong."""

    pairs: list[tuple[str, str, str]]
    joined: JoinedImages
    statements: list[str]
    errors: list[DataError]


def _paired(listing: Listing, start: str, whole: Path) -> _Paired:
    """The pairs of one part of a whole set, from the root of which paths begin with `start`."""
    root, data, images, masks = listing.root, listing.data, listing.images, listing.masks
    if images is None or masks is None:
        missing, key = ("images", "data.images") if images is None else ("masks", "data.masks")
        cure = f"State {key}: one of {', '.join(subfolders(root)) or '(no folders)'}."
        raise DataError(f"there is no folder of {missing}", where=str(root), cure=cure)
    # The root itself may be stated, or hold a folder per channel, and then has the masks below it.
    by_channel = isinstance(data.channels, tuple)
    paths = _directly_in(root, images)
    if by_channel:
        below = ((PurePosixPath(images) / name).as_posix() for name in image_files_below(root / images))
        paths = [path for path in below if not path.startswith(f"{masks}/")]
    joined = images_at([f"{start}{path}" for path in paths], data, where=str(root))
    shown = posixpath.normpath(f"{start}{masks}")
    if (whole / shown).resolve() != (root / masks).resolve():  # the folder of the part is a link
        shown = f"{start}{masks}"
    names, mask_of = list(joined.names.values()), [f"{shown}/{name}" for name in image_files(root / masks)]
    errors = misplaced_in(root, None if by_channel else images, masks)
    if errors and (question := about_masks(f"{images}/ and {masks}/ hold folders", listing)).choices:
        raise question
    errors += one_per_stem(names, "images") + one_per_stem(mask_of, "masks")
    matched = match(names, mask_of)
    if matched is None:
        errors += _unpaired(names, mask_of, shown, may_be_channels=not by_channel)
    by_stem = matched.masks if matched else {}
    pairs = [(name, image, by_stem.get(stem(name), "")) for image, name in joined.names.items()]
    folder = f"{start}{images}/" if images != "." else start or "the folder itself"
    same = "the same name" if not (words := matched.words if matched else "") else f"their names ({words})"
    pairing = f"{len(pairs)} images of {folder} were paired with masks of {same} in {shown}/."
    if listing.masks_by_content:
        pairing += f" What is in {shown}/ has few values and no colour; state data.layout: class_folders if it is a class."
    used = {path.split("/")[0] for path in (images, masks, *listing.labels)}
    idle = [f"{start}{name}" for name in subfolders(root) if name not in used]
    others = [
        (PurePosixPath(name) / file).as_posix()
        for name in (images, masks)
        for file in other_files(root / name)
    ]
    strange = [f"{start}{file}" for file in others if file not in listing.labels]
    about = [] if listing.labels else [pairing]  # of drawn ones it is said already
    return _Paired(pairs, joined, [*about, *unused(idle), *ignored(strange)], errors)


def _directly_in(root: Path, folder: str) -> list[str]:
    """Paths from the root of the images that lie directly in a folder, in natural order."""
    names = image_files(root / folder)
    return sorted(((PurePosixPath(folder) / name).as_posix() for name in names), key=natural)


def _unpaired(images: list[str], masks: list[str], folder: str, *, may_be_channels: bool) -> list[DataError]:
    """Errors for images without a mask, and masks without an image."""
    if may_be_channels and (words := channel_words(images, masks)):
        problem = f"the names of the images are those of masks and {', '.join(words)}, as channels of one image have"
        return [DataError(problem, where=folder, cure=channels_cure(words))]
    image_stems, mask_stems = {stem(path) for path in images}, {stem(path) for path in masks}
    endings = common_ending(image_stems, mask_stems), common_ending(mask_stems, image_stems)
    bare_images = {stem(path).removesuffix(endings[0]): path for path in images}
    bare_masks = {stem(path).removesuffix(endings[1]): path for path in masks}
    lonely = [path for name, path in bare_images.items() if name not in bare_masks]
    idle = [path for name, path in bare_masks.items() if name not in bare_images]
    ending = endings[0] or endings[1]
    same = (
        "of the same name"
        + f" (without {ending!r} at the end of {'images' if endings[0] else 'masks'})" * bool(ending)
    )
    if not lonely and not idle:
        some_have = [path for path in (images if endings[0] else masks) if stem(path).endswith(ending)]
        rest = f"a name that ends in {ending!r}, and the others have none"
        cure = "Rename them, so that every mask has the name of its image."
        return errors_about(some_have, "file has", "files have", rest, where=folder, cure=cure)
    # A disk that ignores case hides this until the data are copied to one that does not.
    by_case = {stem(path).casefold() for path in lonely} & {stem(path).casefold() for path in idle}
    hint = " Some names differ only in upper and lower case." if by_case else ""
    finder = Finder(idle)
    if not by_case and (near := [f"{path} and {mask}" for path in lonely if (mask := finder.near(path))]):
        hint = f" Some names differ only in zeros before a number: {some(near, 2)}."
    cure = f"Give every image a mask {same} in {folder}/, or take it out.{hint}"
    errors = errors_about(lonely, "image has", "images have", f"no mask {same}", cure=cure)
    cure = f"Give every mask its image, or take it out.{hint}"
    return errors + errors_about(idle, "mask has", "masks have", f"no image {same}", cure=cure)
