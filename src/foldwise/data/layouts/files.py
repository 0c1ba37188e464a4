"""Which files of a folder are images, which were meant as images but cannot be read, and which of them a written name means."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from foldwise.data.formats.formats import has_image_name, is_image, is_unreadable_image
from foldwise.errors import DataError, SpecError
from foldwise.text import composed, listed, natural, some

INNER_SUFFIXES = (".ome", ".nii")  # before the last one, as in a.ome.tif and a.nii.gz
MARKS = "_-. "  # what may stand between the name of an image and the word of a channel, or an ending such as _mask
# What the parts of a split are called, by what people call them.
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "holdout"), "test"),
}
SHORT_PARTS = {"Tr": "train", "Ts": "test"}  # within a name only: imagesTr of nnU-Net
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "img_dir")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "segmentations", "segmentation", "ann_dir")
PICKLE = "_seg.npy"  # is what Cellpose writes, which is no array
# Kept by systems and version control beside what people hand over; nothing in them was meant as data.
SYSTEM_FOLDERS = frozenset(
    {"__MACOSX", "@eaDir", "__pycache__", ".git", ".svn", ".hg", ".Trashes", ".Spotlight-V100", ".fseventsd"}
)


def require_folder(
    root: Path, *, where: str | None = None, cure: str = "Name a folder that is there."
) -> None:
    """Refuse a data folder that is none.

    Args:
        root: the folder.
        where: how it was stated, unless it is what was typed.
        cure: where there is nothing of its name.
    """
    if os.path.isdir(root):
        return
    problem = (
        f"the data folder {root} {'is a file, not a folder' if os.path.exists(root) else 'does not exist'}"
    )
    if os.path.exists(root):
        cure = "Name the folder that it is in (a study has data.table for a table), or unpack it if it is an archive."
    raise SpecError(problem, where=where, cure=cure)


def part_named(folder: str) -> str | None:
    """The part of a split that a folder is called after, as ``val`` or ``val2017``; None where it is none."""
    return PARTS.get(re.sub(r"[ _-]?(19|20)\d\d$", "", folder.casefold()))


def part_in(path: str) -> str | None:
    """The only part that a folder is called after, or one above it, or a word of their names; None where there is none."""
    folders = PurePosixPath(path).parts
    words = (PARTS.get(word.casefold()) or SHORT_PARTS.get(word) for word in words_of(path))
    for parts in ({part_named(folder) for folder in folders}, set(words)):
        if len(named := parts - {None}) == 1:
            return named.pop()
    return None


def words_of(path: str) -> list[str]:
    """The words of a path: of ``imagesTr/a_mask`` they are ``images``, ``Tr``, ``a`` and ``mask``."""
    return re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", path)


def image_files(folder: Path) -> list[str]:
    """Names of the images that lie directly in a folder, in natural order; hidden files are left out."""
    return sorted((path.name for path in _inside(folder) if is_image(path)), key=natural)


def image_files_below(folder: Path) -> list[str]:
    """POSIX paths, relative to a folder, of all images in it at any depth, in natural order."""
    paths = (path for path in _below(folder) if is_image(path))
    return sorted((path.relative_to(folder).as_posix() for path in paths), key=natural)


def unreadable_files(folder: Path) -> list[str]:
    """Paths, relative to a folder, of all images at any depth that are of kinds that are not read."""
    paths = (path for path in _below(folder) if is_unreadable_image(path))
    return sorted((path.relative_to(folder).as_posix() for path in paths), key=natural)


def other_files(folder: Path) -> list[str]:
    """Names of the files directly in a folder that are no images of any kind."""
    files = (path for path in _inside(folder) if path.is_file())
    others = (path for path in files if not is_image(path) and not is_unreadable_image(path))
    return sorted((path.name for path in others), key=natural)


def subfolders(folder: Path) -> list[str]:
    """Names of the visible folders in a folder, in natural order; an image that is a folder is none."""
    paths = (path for path in _inside(folder) if path.is_dir() and not _is_image_folder(path))
    return sorted((path.name for path in paths), key=natural)


def broken_links(folder: Path) -> list[str]:
    """Paths, relative to a folder, of links at any depth that lead nowhere and may have been images or folders of them."""
    links = (path for path in _below(folder) if path.is_symlink() and not path.exists())
    meant = (path for path in links if not path.suffix or has_image_name(path))
    return sorted((path.relative_to(folder).as_posix() for path in meant), key=natural)


def refuse_broken_links(folder: Path) -> None:
    """Raise DataError where links in a folder lead nowhere: the images behind them were meant and are not there."""
    cure = "Fetch what they point to (git annex get, git lfs pull, or mount the disk), or take the links out."
    if links := broken_links(folder):
        what = listed(links, "link leads", "links lead", "nowhere")
        raise DataError(what, where=str(folder), cure=cure)


def hidden_images(folder: Path) -> list[str]:
    """Paths, relative to a folder, of images at any depth that are hidden, or lie in a hidden folder."""
    visible = set(_below(folder))
    hidden = (path for path in _below(folder, hidden=True) if path not in visible and is_image(path))
    return sorted((path.relative_to(folder).as_posix() for path in hidden), key=natural)


def about_hidden(names: Collection[str]) -> list[str]:
    """A sentence about hidden images, for the user; none where there are none."""
    words = "image was", "images were", "passed over, since a name that begins with a dot is hidden"
    return [f"{listed(names, *words)}."] if names else []


def _inside(folder: Path, *, hidden: bool = False) -> list[Path]:
    """What lies directly in a folder; files and folders of the system are left out, and what is hidden if not asked for.

    Raises:
        DataError: the folder cannot be listed; what is in it would be missing without a word.
    """
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        problem = f"the folder cannot be read ({error.strerror})"
        raise DataError(problem, where=str(folder), cure="Check that it may be read.") from None
    named = (path for path in paths if path.name not in SYSTEM_FOLDERS and not path.name.startswith("._"))
    return [path for path in named if hidden or not path.name.startswith(".")]


def _below(folder: Path, *, hidden: bool = False, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """What lies in a folder at any depth, through links to folders as well; none is entered from within itself."""
    above = (*above, os.path.realpath(folder))
    for path in _inside(folder, hidden=hidden):
        yield path
        if path.is_dir() and not _is_image_folder(path) and os.path.realpath(path) not in above:
            yield from _below(path, hidden=hidden, above=above)


def _is_image_folder(path: Path) -> bool:
    """Whether a folder is an image, as those of OME-Zarr are."""
    return is_image(path) or is_unreadable_image(path)


def stem(path: str) -> str:
    """The last part of a path without its suffix (``.ome.tif``, ``.nii.gz``), in the form in which names are compared."""
    name = PurePosixPath(path).stem
    return composed(next((name[: -len(end)] for end in INNER_SUFFIXES if name.lower().endswith(end)), name))


def on_disk(root: Path, written: str) -> Path:
    """What is written, below `root`, as it is spelled on the disk: parts that are there in another form of Unicode count."""
    path = root
    for part in PurePosixPath(written).parts:
        step = path / part
        if not os.path.exists(step) and path.is_dir():  # of a name that no disk takes, too
            step = next((child for child in path.iterdir() if composed(child.name) == composed(part)), step)
        path = step
    return path


def errors_about(
    names: Collection[str], noun: str, plural: str, rest: str, *, cure: str, where: str | None = None
) -> list[DataError]:
    """The error that lists some names, as `text.listed` does; none where there are none."""
    return [DataError(listed(names, noun, plural, rest), where=where, cure=cure)] if names else []


def one_per_stem(paths: Sequence[str], kind: str) -> list[DataError]:
    """An error for every stem that two files share, and for stems that differ only in case."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_stem[stem(path).casefold()].append(path)
    return [
        DataError(
            f"{len(same)} {kind} share the name {stem(same[0])!r} but for case or suffix: {some(same)}",
            cure="Keep one of them, or rename the others.",
        )
        for same in by_stem.values()
        if len(same) > 1
    ]


def ignored(files: Collection[str]) -> list[str]:
    """A sentence about files that were passed over, for the user; none where there are none."""
    nouns = "file that is no image was", "files that are no images were"
    return [f"{listed(files, *nouns, 'ignored')}."] if files else []


def unused(folders: Collection[str]) -> list[str]:
    """A sentence about folders that were passed over; none where there are none."""
    return [f"Folders that were not used: {', '.join(folders)}."] if folders else []


def misplaced_in(root: Path, images: str | None, masks: str) -> list[DataError]:
    """Errors for images and masks that would be passed over, in folders deeper down; images None where these may be."""
    errors: list[DataError] = []
    for folder in filter(None, (images, masks)):
        deep = [path for path in image_files_below(root / folder) if "/" in path and folder != "."]
        below = sorted({path.split("/")[0] for path in deep})
        in_folders, names = f"in folders below {folder}/", [stem(path) for path in deep]
        if below and all(map(part_named, below)):
            cure = f"Make it {below[0]}/{folder}/ and so on, for images and masks, and state validate.split: folders."
        elif folder == masks and len(set(names)) < len(names):
            cure = f"Draw the masks of one image ({some(below)}) into one file in {folder}/, with a value for each class."
        else:
            cure = f"Put them directly into {folder}/, each under a name of its own."
        errors += errors_about(deep, "image lies", "images lie", in_folders, where=str(root), cure=cure)
    return errors


class Finder:
    """Finds the image a table means by a name: a path, a file name, or either without its suffix."""

    def __init__(self, paths: Sequence[str], folder: str = "") -> None:
        """Args: paths: relative to the root; folder: where names may start from as well, e.g. ``images``."""
        self.paths = tuple(paths)
        # From the surest to the loosest: the first form under which a name is known decides.
        self._forms = [
            _by(paths, composed),
            _by(paths, lambda p: composed(p.removeprefix(f"{folder}/"))),
            _by(paths, lambda p: composed(PurePosixPath(p).name)),
            _by(paths, lambda p: composed(str(PurePosixPath(p).with_suffix("")))),
            _by(paths, stem),
        ]

        self._loose = _by(paths, _loosely)

    def find(self, written: str) -> str | None:
        """The path that `written` means; None where there is none.

        Raises:
            DataError: several files could be meant.
        """
        name = composed(written.strip().replace("\\", "/").removeprefix("./"))
        for form in self._forms:
            paths = form.get(name, ())
            if len(paths) == 1:
                return paths[0]
            if paths:
                raise DataError(
                    f"{written!r} could be any of {some(paths)}",
                    cure="Write the path from the data folder, with its suffix.",
                )
        return None

    def near(self, written: str) -> str | None:
        """A path that differs from what is written only in case, space, suffix or zeros, which spreadsheets take from numbers."""
        return self._loose.get(_loosely(written.strip().replace("\\", "/")), (None,))[0]


def _loosely(path: str) -> str:
    return re.sub(r"0*(\d+)", r"\1", stem(path).casefold())


def _by(paths: Sequence[str], form: Callable[[str], str]) -> dict[str, tuple[str, ...]]:
    same: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        same[form(path)].append(path)
    return {key: tuple(group) for key, group in same.items()}


def refuse_pickles(root: Path) -> None:
    """Raise where Cellpose has left its labels as pickles only, and not as images, ``a_cp_masks.png``, beside them too."""
    pickles = [*root.glob(f"*{PICKLE}"), *root.glob(f"*/*{PICKLE}")]
    masks = {path: set(map(stem, image_files(path))) for path in {path.parent for path in pickles}}
    alone = [path for path in pickles if path.name.replace(PICKLE, "_cp_masks") not in masks[path.parent]]
    files = [path.relative_to(root).as_posix() for path in alone]
    if files:
        problem = listed(
            files, "file is", "files are", "pickles of Cellpose, which can run code and are not read"
        )
        cure = "Save the masks as PNG or TIFF in Cellpose: beside the images, or in masks/ with the _seg.npy files elsewhere."
        raise DataError(problem, where=str(root), cure=cure)
