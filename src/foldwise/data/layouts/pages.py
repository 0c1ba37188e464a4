"""Whether files of many pages are pictures with channels or images in a row: one judgement, by axes and what lies beside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from foldwise.data.formats.axes import MAX_CHANNELS
from foldwise.data.formats.formats import Readings, is_stack_file, open_stack, readings, stack_suffixes
from foldwise.data.layouts.files import IMAGE_FOLDERS, MASK_FOLDERS, image_files, stem
from foldwise.data.layouts.listing import Listing
from foldwise.data.layouts.pairing import match
from foldwise.errors import DataError
from foldwise.text import listed, natural


def stacks_recognised(listing: Listing) -> list[str]:
    """The files of a folder, if they hold images in a row; none where they are pictures, or there are none.

    Names of axes tell which they are, or else what lies beside the images: a mask for each page or for each file, a
    table, as many labels as pages. The first file alone decides nothing.

    Raises:
        DataError: files of both kinds, images in a row with a single mask, or slices that may be last.
    """
    root, stacks = listing.root, image_stacks(listing)
    slices = stacks
    # A file called images.tif, and one that is stated, is a stack, even of one slice.
    if stacks and "/" in stacks[0] and listing.data.images != stacks[0]:
        kinds = _kinds(listing, stacks)
        slices = [name for name, kind in kinds.items() if kind == "slices"]
        pictures = [name for name, kind in kinds.items() if kind == "picture"] + other_images(listing, stacks)
        if slices and pictures:
            problem = listed(slices, "file holds", "files hold", "images in a row")
            problem += f"; {listed(pictures, 'file is', 'files are', 'one picture each')}"
            cure = (
                "Take the files of one kind out, or save the slices and their masks as files of their own, with as many"
                " channels as the other images have."
            )
            raise DataError(problem, where=str(root), cure=cure)
    _refuse_slices_last(listing, slices)
    return stacks if slices else []


def stack_files(root: Path, stated: str | None, usual: tuple[str, ...]) -> list[str]:
    """The stacks of a folder, from it: one file, or those of a folder of stacks; none where there are none.

    They are what the study file has `stated`, a file or a folder, or else have a `usual` name such as ``images``.
    """
    # labels.npy holds the labels of images.npy; a folder of that name may hold masks.
    stems = [name for name in usual if not name.startswith("label")]
    file_names = [f"{name}{suffix}" for name in stems for suffix in stack_suffixes()]
    for name in [stated] if stated is not None else file_names:
        if (root / name).is_file():
            return [PurePosixPath(name).as_posix()]
    for name in [stated] if stated is not None else usual:
        if (root / name).is_dir():
            paths = (root / name).iterdir()
            files = [path.name for path in paths if is_stack_file(path) and not path.name.startswith(".")]
            return [(PurePosixPath(name) / file).as_posix() for file in sorted(files, key=natural)]
    return []


def image_stacks(listing: Listing) -> list[str]:
    """The files that can hold many images, of a folder of images; or the one that does in place of a folder."""
    data, root = listing.data, listing.root
    stacks = stack_files(root, data.images, IMAGE_FOLDERS)
    # A folder of another name that goes together with one of masks.
    if stacks or data.images is not None or listing.images in (None, "."):
        return stacks
    return stack_files(root, listing.images, ())


def mask_files(listing: Listing) -> list[str]:
    """The masks of stacks, stacks or not: a file, or those of a folder."""
    data, root = listing.data, listing.root
    stacks = stack_files(root, data.masks, MASK_FOLDERS)
    if len(stacks) == 1 and (data.masks == stacks[0] or "/" not in stacks[0]):
        return stacks
    folder = listing.masks
    return [] if folder is None else [f"{folder}/{name}" for name in image_files(root / folder)]


def other_images(listing: Listing, stacks: list[str]) -> list[str]:
    """Images in the folder of the stacks that are none, and would be lost; a single file has no folder."""
    folder = PurePosixPath(stacks[0]).parent.as_posix()
    if folder == "." or listing.data.images == stacks[0]:
        return []
    paths = [f"{folder}/{name}" for name in image_files(listing.root / folder)]
    return [path for path in paths if path not in stacks]


def _kinds(listing: Listing, stacks: list[str]) -> dict[str, str]:
    """Of each file, what it holds: ``picture`` or ``slices``; ``either`` where nothing tells."""
    root, ways = listing.root, {name: readings(listing.root / name) for name in stacks}
    if not (masks := mask_files(listing)):
        return {name: _by_labels(listing, ways) or _kind(way, None) for name, way in ways.items()}
    matched = match(stacks, masks)
    mask_of = matched.masks if matched is not None else {stem(mask): mask for mask in masks}
    # Only what has several pages needs a look at its mask: sets of thousands of plain pictures are told by half as many.
    many = [name for name in stacks if _num_rows(ways[name]) > 1 and stem(name) in mask_of]
    beside = {name: readings(root / mask_of[stem(name)]) for name in many}
    kinds = {name: _kind(way, beside.get(name)) for name, way in ways.items()}
    single = [name for name, mask in beside.items() if kinds[name] == "slices" and _num_rows(mask) == 1]
    if single:
        problem = listed(single, "file holds", "files hold", "images in a row with one mask")
        raise DataError(
            problem, where=str(root), cure=_cure_of_single_masks(ways[single[0]], set(kinds.values()))
        )
    return kinds


def _cure_of_single_masks(way: Readings, kinds: set[str]) -> str:
    channels = ""
    if way.stack is not None and way.stack.channel is None:
        channels = " If they are channels, save them as a TIFF that names their axis (CYX, in ImageJ or OME)."
    if "picture" in kinds:  # of several channels, beside which slices are of another kind
        return f"The others are one picture each, so take these out ({way.axes}).{channels}"
    return f"Save a mask for each of them, or the one slice that the mask is of ({way.axes}).{channels}"


def _kind(way: Readings, mask: Readings | None) -> str:
    """What a file holds, by its axes and those of its mask. A mask has no channels but colours: its pages are slices'."""
    # What cannot be read decides nothing, and a single picture can be a row of one.
    if _num_rows(way) == 1:
        return "either"
    has_mask_each = mask is not None and (
        _num_rows(mask) == _num_rows(way) or (_num_rows(mask) > 1 and not _is_coloured(mask))
    )
    # Colours last, of images and masks alike, are no slices that are three pixels wide.
    are_colours = mask is not None and _is_coloured(mask, last=True) and way.picture is not None
    if (has_mask_each and not are_colours) or way.picture is None:
        return "slices"
    return "picture" if way.picture.is_named or mask is not None else "either"


def _num_rows(way: Readings) -> int:
    """How many images in a row a file may hold; 1 of a picture, and of what cannot be read."""
    return 1 if way.stack is None else way.stack.num_images


def _is_coloured(way: Readings, *, last: bool = False) -> bool:
    """Whether a file may be a picture of three channels; `last`: (H, W, 3), or (H, W, 1) of grey."""
    if way.picture is None or way.picture.channel is None:
        return False
    num_channels = way.picture.shape[way.picture.channel]
    return (num_channels in (1, 3) and way.picture.channel == 2) if last else num_channels == 3


def _by_labels(listing: Listing, ways: Mapping[str, Readings]) -> str | None:
    """What files without masks hold: slices where there is a label for each, pictures where a table names files."""
    labels = listing.root / "labels.npy"
    if labels.is_file():
        shape = open_stack(labels).values.shape
        return "slices" if shape and shape[0] == sum(map(_num_rows, ways.values())) else None
    return "picture" if listing.table is not None else None


def _refuse_slices_last(listing: Listing, stacks: list[str]) -> None:
    """Raise where unnamed axes may have the slices last, as other programs save volumes: (H, H, N) in place of (N, H, W)."""
    root = listing.root
    if (root / "labels.npy").is_file() and not mask_files(listing):
        return  # their number tells, or is refused
    for name in stacks:
        stack = readings(root / name).stack
        if stack is None or stack.is_named or len(stack.shape) != 3:
            continue
        first, height, last = stack.shape
        # Two sides are more often the same than a side and the number of slices, and few are as short as this.
        if last in (first, height) or (first != height and last > MAX_CHANNELS):
            continue
        problem = f"shape {first}×{height}×{last} may be {first} images of {height}×{last}, or {last} of {first}×{height}"
        cure = (
            "State data.layout: arrays for the first; for the second, save images and masks with the axis that counts them"
            " first (numpy.moveaxis(array, -1, 0))."
        )
        raise DataError(problem, where=str(root / name), cure=cure)
