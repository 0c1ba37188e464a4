"""What every conversion does: find the original's root, pair images with masks, copy them, write their table."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foldwise.data.layouts.listing import image_files, subfolders
from foldwise.data.public.source import Progress
from foldwise.errors import DataError
from foldwise.text import some

DEEPEST = 4  # folders above the original in an archive or a copy


@dataclass(frozen=True)
class Pair:
    """An image, its mask, the name (without suffix) both will have, and what else is known, for metadata.csv."""

    image: Path
    mask: Path
    name: str
    facts: dict[str, str] = field(default_factory=dict)


def find_root(folder: Path, wanted: Sequence[str]) -> Path:
    """The folder, at `folder` or the fewest levels below it, that holds all the `wanted` paths.

    Raises:
        DataError: there is none, or there are several at one level; names what is missing.
    """
    level = [folder]
    for _ in range(DEEPEST):
        found = [root for root in level if all((root / path).exists() for path in wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(
                f"the original could be any of {some(str(root.relative_to(folder)) for root in found)}",
                where=str(folder),
                cure="Give the right one with --local.",
            )
        level = [root / name for root in level for name in subfolders(root)]
    missing = [path for path in wanted if not (folder / path).exists()]
    there = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    raise DataError(
        f"{some(missing)} not found; there is {some(there) or 'nothing'}",
        where=str(folder),
        cure=f"The original holds {', '.join(wanted)}. Get it again whole, or give the right folder with --local.",
    )


def paired(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Images with the masks of the same name but for the suffix, in natural order; DataError where one is alone."""
    image_of = {Path(name).stem: images / name for name in image_files(images)}
    mask_of = {Path(name).stem: masks / name for name in image_files(masks)}
    alone = [*(image_of.keys() - mask_of.keys()), *(mask_of.keys() - image_of.keys())]
    if alone or not image_of:
        what = f"{len(alone)} of the images and masks have no partner: {some(sorted(alone))}"
        raise DataError(
            what if alone else "there are no images",
            where=f"{images} and {masks}",
            cure="The copy is not whole: get it again.",
        )
    return [(path, mask_of[name]) for name, path in image_of.items()]


def lay_out_pairs(pairs: Sequence[Pair], out: Path, progress: Progress) -> None:
    """Copy the bytes to images/ and masks/, and write what is known of each image to metadata.csv."""
    rows = []
    for done, pair in enumerate(pairs, 1):
        for path, kind in ((pair.image, "images"), (pair.mask, "masks")):
            copy(path, out / kind / f"{pair.name}{path.suffix.lower()}")
        rows.append({"image": f"images/{pair.name}{pair.image.suffix.lower()}", **pair.facts})
        progress("Copying", done, len(pairs))
    write_table(out / "metadata.csv", rows)


def copy(path: Path, target: Path) -> None:
    """Copy a file to where none is yet: two originals never become one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise DataError(
            f"two files would be called {target.name}", where=str(path), cure="Get the set again."
        )
    shutil.copyfile(path, target)


def write_table(path: Path, rows: Iterable[dict[str, str]]) -> None:
    """Write a CSV file with the keys of the first row as its header."""
    listed = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(listed[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(listed)
