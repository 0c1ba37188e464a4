"""MTNeuro task 2: cutouts of one brain volume, four regions, split along z."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from foldwise.data.public.conversions import Progress, find_root
from foldwise.errors import DataError, need
from foldwise.storage import write_array, write_table, written_whole

IMAGES, LABELS = "bossdb://prasad/prasad2020/image", "bossdb://prasad/prasad_analysis/pixel_labels"
SERVER = {"protocol": "https", "host": "api.bossdb.io", "token": "public"}
# Region -> ranges of x and of y; the stacks hold the regions one after the other, in this order.
REGIONS = {
    "cortex": ((4600, 4856), (900, 1156)),
    "striatum": ((3700, 3956), (500, 756)),
    "VP": ((3063, 3319), (850, 1106)),
    "ZI": ((1543, 1799), (650, 906)),
}
SPLITS = {"train": (110, 379), "val": (380, 409), "test": (420, 470)}  # ranges of z
OFFICIAL = ("cortex", "striatum", "VP")
NUM_CLASSES = 4
KINDS = {"images": IMAGES, "labels": LABELS}
FILES = tuple(f"task2_2D_4class{part}{kind}.npy" for part in SPLITS for kind in KINDS)


def fetch_task2(folder: Path, progress: Progress) -> None:
    """Cut the six stacks out of the database and save them as the benchmark does; what is there is not fetched again.

    Raises:
        MissingExtra: intern, the client of the database, is not installed.
        DataError: the database does not answer.
    """
    stacks = [(part, kind) for part in SPLITS for kind in KINDS]
    todo = [stack for stack in stacks if not _stack(folder, *stack).is_file()]
    if not todo:
        return
    intern = need("intern", "bossdb")
    for done, (part, kind) in enumerate(todo):
        progress(f"Cutting out {part} {kind}", done, len(todo))
        first, last = SPLITS[part]
        try:
            volume = intern.array(KINDS[kind], boss_config=dict(SERVER))
            regions = [
                np.asarray(volume[first:last, y0:y1, x0:x1]) for (x0, x1), (y0, y1) in REGIONS.values()
            ]
        except Exception as error:  # whatever intern and the network raise
            problem = f"the database gave no {part} {kind} ({type(error).__name__})"
            cure = (
                "Try again: the stacks that are whole are kept. Or give the .npy files with --local FOLDER."
            )
            raise DataError(problem, where=KINDS[kind], cure=cure) from None
        with written_whole(_stack(folder, part, kind)) as scratch:
            write_array(scratch, np.concatenate(regions))
    progress("Cutting out", len(todo), len(todo))


def _stack(folder: Path, part: str, kind: str) -> Path:
    return folder / f"task2_2D_4class{part}{kind}.npy"


def convert_official(raw: Path, out: Path, progress: Progress) -> tuple[str, ...]:
    """The official four-class task: cortex, striatum and VP; the region ZI is left out."""
    return _convert(raw, out, OFFICIAL, progress)


def convert_with_zi(raw: Path, out: Path, progress: Progress) -> tuple[str, ...]:
    """All four regions of the stacks, as the seed report used them."""
    return _convert(raw, out, tuple(REGIONS), progress)


def _convert(raw: Path, out: Path, regions: Sequence[str], progress: Progress) -> tuple[str, ...]:
    """One stack of images and one of masks of all splits; split, region, z and group in metadata.csv."""
    root = find_root(raw, FILES)
    images, masks, rows = [], [], []
    for done, (part, (first, last)) in enumerate(SPLITS.items(), 1):
        image, mask = _opened(root, part, last - first)
        for k, region in enumerate(REGIONS):
            if region not in regions:
                continue
            start = k * (last - first)
            images.append(image[start : start + last - first])
            masks.append(mask[start : start + last - first].astype(np.uint8))
            facts = {"split": part, "region": region, "group": region}
            rows += [facts | {"z": str(z)} for z in range(first, last)]
        progress("Joining stacks", done, len(SPLITS))
    write_array(out / "images.npy", np.concatenate(images))
    write_array(out / "masks.npy", np.concatenate(masks))
    write_table(out / "metadata.csv", ({"image": f"images.npy[{i}]", **row} for i, row in enumerate(rows)))
    return (
        f"{len(rows)} slices of {', '.join(regions)}; the column group is the region, the column split the benchmark's.",
    )


def _opened(root: Path, part: str, num_z: int) -> tuple[np.ndarray, np.ndarray]:
    """The two stacks of a split, checked."""
    stacks = []
    for kind in KINDS:
        path = _stack(root, part, kind)
        try:
            stacks.append(np.load(path, mmap_mode="r", allow_pickle=False))
        except (ValueError, OSError, EOFError) as error:
            problem = f"the stack cannot be read ({error})"
            raise DataError(problem, where=str(path), cure="Get it again.") from None
    image, mask = stacks
    num_slices = num_z * len(REGIONS)
    if image.ndim != 3 or image.shape != mask.shape or len(image) != num_slices:
        shapes = " and ".join("×".join(map(str, stack.shape)) for stack in stacks)
        expected = f"{num_slices} slices each ({num_z} of {len(REGIONS)} regions)"
        problem = f"the {part} stacks have shapes {shapes}; {expected} are expected"
        raise DataError(problem, where=str(root), cure="Get them again.")
    if mask.min() < 0 or mask.max() >= NUM_CLASSES:
        problem = f"labels reach from {mask.min()} to {mask.max()}, not from 0 to {NUM_CLASSES - 1}"
        raise DataError(problem, where=str(_stack(root, part, "labels")), cure="Get them again.")
    return image, mask
