"""A folder of images for each class; in it, or around it, there may be a folder for each patient, animal or slide."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from foldwise.data.cases import Case, Dataset
from foldwise.data.class_names import sameness, tidy
from foldwise.data.layouts.channel_files import images_at, with_channels
from foldwise.data.layouts.files import MASK_FOLDERS, ignored, other_files, part_named, subfolders
from foldwise.data.layouts.groups import ask_for_groups, depth_of, grouped_by
from foldwise.data.layouts.labels import stated_task
from foldwise.data.layouts.listing import Listing
from foldwise.data.layouts.masks_beside import about_masks
from foldwise.data.layouts.pairing import refuse_folder_per_image, refuse_masks_among
from foldwise.errors import DataError, SpecError
from foldwise.text import composed, listed, natural, some


@dataclass(frozen=True)
class Placed:
    """An image, the folder that is its class, and those around and within it that may be groups, the outermost first."""

    path: str
    class_folder: str
    others: tuple[str, ...]

    @property
    def label(self) -> str:
        """Its class."""
        return tidy(self.class_folder)

    @property
    def folder(self) -> str:
        """The path of the folder in which it lies."""
        return self.path.rpartition("/")[0]


def fits_folders(listing: Listing) -> str | None:
    """That folders hold images, where none of them is called ``images``."""
    folders = listing.images is None and (listing.class_folders or listing.has_nested_images)
    return "folders that hold images" if folders else None


def read_folders(listing: Listing) -> Dataset:
    """The data set of a folder of class folders.

    What lies in folders within them is grouped by these with ``validate.group: folders``. Where the classes that a study names
    are what only folders within folders are called, those around them are the groups.

    Raises:
        SpecError: a class in data.classes has no folder, or the stated task does not fit.
        DataError: fewer than two classes; folders within folders, and the study does not say what they are.
    """
    root, data = listing.root, listing.data
    level = _level(listing)
    placed = _placed(listing, level)
    if errors := _unclear_folders(listing, placed, level) + _split_names(listing):
        raise DataError.together(errors)
    folders = sorted({image.label for image in placed}, key=natural)
    stated = data.classes and tuple(map(tidy, data.classes))
    if absent := [name for name in stated or () if name not in folders]:
        problem = f"no folder of images is called {some(absent)}"
        raise SpecError(problem, where="data.classes", cure=f"Name some of: {', '.join(folders)}.")
    classes = stated or tuple(folders)
    if data.layout != "class_folders" and stated is None:
        holding = list(dict.fromkeys(image.folder for image in placed))
        if _tell_nothing(placed):
            refuse_folder_per_image(root, holding)
        refuse_masks_among(root, holding)
    if len(classes) < 2:
        problem = f"one class only: {', '.join(classes) or 'no folder holds images'}"
        cure = "Put the images of every class into a folder of its own."
        raise DataError(problem, where=str(root), cure=cure)
    task = stated_task(data, "binary_classification" if len(classes) == 2 else "multiclass_classification")
    of_class = {name: [image.path for image in placed if image.label == name] for name in classes}
    joined = [images_at(paths, data, where=str(root)) for paths in of_class.values()]
    images = [(image, name, k) for k, own in enumerate(joined) for image, name in own.names.items()]
    cases = tuple(Case(i, name, image, None, (k,)) for i, (image, name, k) in enumerate(images))
    cases = grouped_by(cases, listing.group, lambda name: _others(listing.folders_of(name), level))
    counts = ", ".join(f"{name} {len(own.names)}" for name, own in zip(classes, joined, strict=True))
    about = [*_about_depth(listing.group, placed), *_passed_over(listing, placed, classes)]
    statements = (f"One folder per class was recognised: {counts}.", *about)
    return with_channels(Dataset(root, task, classes, cases, "class_folders", statements, None), data, joined)


def _level(listing: Listing) -> int:
    """How many folders lie around those of the classes: 1 where only folders within folders are called as they are stated."""
    stated = set(map(tidy, listing.data.classes or ()))
    every = listing.folders_of_images.values()
    outer, inner = ({tidy(folders[k]) for folders in every if folders[k:]} for k in (0, 1))
    return 1 if stated and stated <= inner and not stated & outer else 0


def _placed(listing: Listing, level: int) -> list[Placed]:
    """The images that lie in folders of classes, part by part."""
    return [
        Placed(path, folders[level], _others(folders, level))
        for path, folders in listing.folders_of_images.items()
        if folders[level:]
    ]


def _others(folders: tuple[str, ...], level: int) -> tuple[str, ...]:
    """The folders of an image but for that of its class."""
    return folders[:level] + folders[level + 1 :]


def _names_by_depth(placed: Sequence[Placed]) -> dict[int, list[str]]:
    """The names of the folders that may be groups, by how deep they lie: 1 are the outermost."""
    depths = range(max((len(image.others) for image in placed), default=0))
    return {
        k + 1: list(dict.fromkeys(image.others[k] for image in placed if image.others[k:])) for k in depths
    }


def _tell_nothing(placed: Sequence[Placed]) -> bool:
    """Whether the folders that may be groups are called the same for all images: ``cat/images/`` and ``dog/images/``."""
    return len({image.others for image in placed}) == 1


def _unclear_folders(listing: Listing, placed: Sequence[Placed], level: int) -> list[DataError]:
    """The question what folders within folders are, or around those of the classes, where the study does not say it."""
    depths = _names_by_depth(placed)
    classes = list(dict.fromkeys(image.class_folder for image in placed))
    outer, inner = (depths.get(1, []), classes) if level else (classes, depths.get(1, []))
    holds = (
        f"{some(f'{name}/' for name in outer)} {'hold' if outer[1:] else 'holds'} images in further folders"
    )
    where = str(listing.root)
    for names in depths.values():
        if listing.data.layout != "class_folders" and {*map(str.casefold, names)} & {*MASK_FOLDERS}:
            return [about_masks(f"{holds} ({some(names)})", listing)]
        if listing.split == "auto" and all(map(part_named, names)):
            choices = ["validate.split=folders", "validate.split=pooled_folders"]
            cure = "State validate.split: folders to train and test by these, or pooled_folders to make new folds of all images."
            return [DataError(f"{holds} ({some(names)})", where=where, cure=cure, choices=choices)]
    if not depths or listing.is_grouped:
        return []
    problem = f"{holds} ({some(inner)})"
    if len(classes) == 1 and not level:
        cure = f"If these are the classes, point data.path at {classes[0]}/."
        return [DataError(problem, where=where, cure=cure)]
    if _tell_nothing(placed):
        return []
    return [_which_are_groups(problem, listing, placed, may_be_classes=not level)]


def _which_are_groups(
    problem: str, listing: Listing, placed: Sequence[Placed], *, may_be_classes: bool
) -> DataError:
    """The question which folders are of patients or the like, or else the classes."""
    depths = _names_by_depth(placed)
    groups = depths[1]
    folders_of: dict[str, set[tuple[str, ...]]] = {}
    for image in placed:
        folders_of.setdefault(image.class_folder, set()).add(image.others)
    places = {(name, each[0]) for name, own in folders_of.items() for each in own if each}
    in_several = all(num > 1 for num in Counter(group for _, group in places).values())
    may_be_classes = may_be_classes and 1 < len(groups) <= len(folders_of) and in_several
    others = {f"data.classes: {json.dumps(groups)}": "these are the classes"} if may_be_classes else {}
    more = (
        " If the classes lie deeper, point data.path at the folder that holds them; or add labels.csv with the columns image"
        " (the path from here) and label."
    )
    one_each = all(len(own) == 1 for own in folders_of.values())
    if one_each:
        more = f" (A class of one patient cannot be both learned and tested.){more}"
    several = {depth: names for depth, names in depths.items() if names[1:]}
    return ask_for_groups(problem, several, listing.root, others=others, none_first=one_each, more=more)


def _split_names(listing: Listing) -> list[DataError]:
    """An error where the folders are named like a split and nothing states that they are classes."""
    folders = listing.class_folders
    stated = listing.data.layout == "class_folders" or listing.data.classes is not None or listing.divided
    if stated or not folders or not all(map(part_named, folders)):
        return []
    problem = f"the folders {', '.join(folders)} are named like parts of a split, not like classes"
    cure = (
        "Make one folder per class, in each part, and state validate.split: folders; or state data.layout:"
        " class_folders."
    )
    return [DataError(problem, where=str(listing.root), cure=cure)]


def _about_depth(group: str, placed: Sequence[Placed]) -> list[str]:
    """What became of the folders within folders that are no groups, in sentences."""
    depths, depth = _names_by_depth(placed), depth_of(group)
    if depths and _tell_nothing(placed):
        return [f"All images lie in folders called {'/'.join(placed[0].others)}/, which tell no groups."]
    if depth is None or depth + 1 not in depths:
        return []
    within = some(depths[depth + 1])
    groups_of: dict[str, set[str]] = {}
    for image in placed:
        if image.others[depth:]:
            groups_of.setdefault(sameness(image.others[depth]), set()).add(image.others[depth - 1])
    if all(len(groups) == 1 for groups in groups_of.values()):
        return [f"Folders within those of groups are parts of these: {within}."]
    cure = f"if each name is of one patient or the like, state validate.group: folders:{depth + 1}"
    return [f"Folders called {within} lie in several groups and may go to different folds; {cure}."]


def _passed_over(listing: Listing, placed: Sequence[Placed], classes: Sequence[str]) -> list[str]:
    """What was passed over in a folder of class folders, in sentences."""
    statements = []
    if left := list(dict.fromkeys(image.folder for image in placed if image.label not in classes)):
        statements.append(f"Folders left out because data.classes does not name them: {some(left)}.")
    names = dict.fromkeys(image.class_folder for image in placed)
    if odd := [f"{name!r} is {tidy(name)!r}" for name in names if composed(name) != tidy(name)]:
        statements.append(f"Quotes and spaces are no part of a class name, nor of its folder's: {some(odd)}.")
    holding = {path.rpartition("/")[0] for path in listing.folders_of_images}
    used = {above for folder in holding for above in (folder, *map(str, PurePosixPath(folder).parents))}
    every = [f"{start}{name}" for start, part in listing.parts.items() for name in subfolders(part.root)]
    if idle := [name for name in every if name not in used]:
        statements.append(f"Folders without images were ignored: {', '.join(idle)}.")
    inside = {image.path for image in placed}
    if loose := [path for path in listing.folders_of_images if path not in inside]:
        nouns = "image beside the class folders was", "images beside the class folders were"
        statements.append(f"{listed(loose, *nouns, 'ignored')}.")
    read = dict.fromkeys(image.folder for image in placed if image.label in classes)
    strange = [f"{name}/{file}" for name in read for file in other_files(listing.root / name)]
    return statements + ignored(strange)
