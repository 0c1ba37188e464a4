"""Public sets from their original folders to what foldwise reads: class folders, images/ with masks/ or a table."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from foldwise.data.formats.reading import read_image, read_mask
from foldwise.data.layouts.files import image_files, subfolders
from foldwise.data.layouts.tables import Table, read_table
from foldwise.data.phantoms.proteins import ORGANELLES
from foldwise.errors import DataError
from foldwise.storage import write_table
from foldwise.text import some

# What is being done ("Downloading fives.rar"), how much of it is done, and of how much (None: not known).
Progress = Callable[[str, int, int | None], None]


def silent(_what: str, _done: int, _total: int | None) -> None:
    """Show no progress."""


# (part, place in it, name without suffix) of an image -> what is known of it, for metadata.csv.
Facts = Callable[[str, int, str], dict[str, str]]

# Part -> its folder of images and that of their masks.
FIVES = {part: (f"{part}/Original", f"{part}/Ground truth") for part in ("train", "test")}
BDELLO = {"": ("images", "masks")}
NEURONS = {"": ("all_images/images", "all_masks/masks")}
ISBI = {part: (f"{part}/images", f"{part}/masks") for part in ("train", "val")}
DISC = ("tr_images", "ts_images", "clean_masks")
GELS = ("dataset/gel", "dataset/not_gel", "test_images/gel", "test_images/not_gel")
ATLAS = ("train.csv", "train")
# Of every colour, what it stains; the files of the phantoms are named as these are.
STAINS = {
    "red": "microtubules",
    "green": "the protein",
    "blue": "the nucleus",
    "yellow": "the endoplasmic reticulum",
}
CLASSES = tuple(ORGANELLES)

MAX_DEPTH = 4  # folders above the original in an archive or a copy
ISBI_BLOCK = 6  # consecutive sections kept together
DISC_WIDTH, DISC_FROM = 1072, 20  # the left frame of a stereo picture; masks above this grey are the disc


def convert_fives(raw: Path, out: Path, progress: Progress) -> tuple[str, ...]:
    """FIVES: split and disease stay in the names (``train_12_A.png``) and become columns."""

    def facts(part: str, _order: int, name: str) -> dict[str, str]:
        return {"split": part, "disease": name.rpartition("_")[2] if "_" in name else ""}

    rows = _lay_out_pairs(raw, out, progress, FIVES, facts)
    meaning = "the letter at the end of the original name, as it stands there"
    return _counted(rows, "split"), _counted(rows, "disease", meaning)


def convert_bdello(raw: Path, out: Path, progress: Progress) -> tuple[str, ...]:
    """Phase-contrast Bdellovibrio: names are kept, where the seed study renumbered them."""
    rows = _lay_out_pairs(raw, out, progress, BDELLO, lambda _part, _order, _name: {})
    return (f"{len(rows)} images with their masks, names kept; the original states no split and no groups.",)


def convert_neurons(raw: Path, out: Path, progress: Progress) -> tuple[str, ...]:
    """Fluorescent neuronal cells: names are kept; what stands before the section in a name is the group."""

    def facts(_part: str, _order: int, name: str) -> dict[str, str]:
        match = re.match(r"(mar\d+[a-z]?)s\d", name.casefold())
        return {"group": match[1] if match else name}

    rows = _lay_out_pairs(raw, out, progress, NEURONS, facts)
    num_groups = len({row["group"] for row in rows})
    return (
        f"{len(rows)} images with their masks, names kept.",
        f"{num_groups} groups were read from the names (Mar31bS2C1R2_... is of Mar31b); names of another form are"
        " groups of their own. The source does not say that this part is the animal.",
    )


def convert_isbi(raw: Path, out: Path, progress: Progress) -> tuple[str, ...]:
    """ISBI 2012 as one repository holds it: 27 training and 3 validation sections, in blocks of neighbours."""

    def facts(part: str, order: int, _name: str) -> dict[str, str]:
        return {"split": part, "order": str(order), "group": f"{part}-{order // ISBI_BLOCK}"}

    rows = _lay_out_pairs(raw, out, progress, ISBI, facts)
    return (
        _counted(rows, "split"),
        f"Groups are blocks of up to {ISBI_BLOCK} sections that follow each other by name in their folder.",
        "Mask values are as in the original: 255 is the inside of cells, 0 the membrane.",
    )


def convert_disc(raw: Path, out: Path, progress: Progress) -> tuple[str, ...]:
    """Optic disc: the left frame of stereo pictures, and masks made 0 and 255, as the seed study prepared them."""
    root = find_root(raw, DISC)
    masks = {path.stem: path for path in (root / "clean_masks").iterdir() if not path.name.startswith(".")}
    parts = [
        (part, path)
        for part, folder in (("train", "tr_images"), ("test", "ts_images"))
        for path in sorted((root / folder).iterdir())
        if not path.name.startswith(".")
    ]
    absent = [path.name for _, path in parts if path.stem not in masks]
    if absent or not parts:
        problem = f"{len(absent)} images have no mask of their name" if absent else "there are no images"
        cure = "Get the copy again whole: masks bear the names of their images."
        raise DataError(problem, where=str(root / "clean_masks"), cure=cure)
    rows, num_cut = [], 0
    for done, (part, path) in enumerate(parts, 1):
        name = f"{part}_{path.stem}.png"
        num_cut += _write_disc(path, masks[path.stem], out, name)
        rows.append({"image": f"images/{name}", "split": part})
        progress("Converting", done, len(parts))
    write_table(out / "metadata.csv", rows)
    return (
        f"{len(parts)} images: {sum(part == 'train' for part, _ in parts)} train, the rest test.",
        f"{num_cut} stereo pictures were cut to their left {DISC_WIDTH} columns.",
        f"Masks: values above {DISC_FROM} became 255, the others 0.",
    )


def _write_disc(image_path: Path, mask_path: Path, out: Path, name: str) -> bool:
    """Write one image and its mask; True if it was a stereo picture."""
    image_HWC = np.moveaxis(read_image(image_path, channels="rgb"), 0, -1)
    mask = read_mask(mask_path)
    grey_HW = mask if mask.ndim == 2 else mask.max(-1)
    if image_HWC.shape[:2] != grey_HW.shape:
        sizes = " and ".join(f"{shape[1]}×{shape[0]}" for shape in (image_HWC.shape, grey_HW.shape))
        problem = f"image and mask differ in size: {sizes}"
        raise DataError(problem, where=str(mask_path), cure="Get them again.")
    for folder, pixels in (("images", image_HWC), ("masks", np.where(grey_HW > DISC_FROM, 255, 0))):
        (out / folder).mkdir(exist_ok=True)
        Image.fromarray(pixels[:, :DISC_WIDTH].astype(np.uint8)).save(out / folder / name)
    return bool(image_HWC.shape[1] > DISC_WIDTH)


def _counted(rows: Sequence[Mapping[str, str]], fact: str, meaning: str = "") -> str:
    counts = Counter(row[fact] or "(none)" for row in rows)
    counted_values = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f"Column {fact} of metadata.csv{f' ({meaning})' if meaning else ''}: {counted_values}."


def convert_gels(raw: Path, out: Path, progress: Progress) -> tuple[str, ...]:
    """Gel images: class folders gel/ and not_gel/; the images of the author's test set are called test_..."""
    root = find_root(raw, GELS)
    rows: list[dict[str, str]] = []
    images = [(folder, name) for folder in GELS for name in image_files(root / folder)]
    for done, (folder, name) in enumerate(images, 1):
        part, label = folder.split("/")
        target = f"{label}/{name if part == 'dataset' else f'test_{name}'}"
        _copy(root / folder / name, out / target)
        rows.append({"image": target, "label": label, "split": "train" if part == "dataset" else "test"})
        progress("Copying", done, len(images))
    if {row["label"] for row in rows} != {"gel", "not_gel"}:
        raise DataError("one of the two classes has no images", where=str(root), cure="Get the set again.")
    write_table(out / "metadata.csv", rows)
    num_test = sum(row["split"] == "test" for row in rows)
    return (
        f"{len(rows)} images in gel/ and not_gel/; the {num_test} of the author's test set begin with test_.",
    )


def convert_atlas(raw: Path, out: Path, progress: Progress) -> tuple[str, ...]:
    """Human Protein Atlas: train.csv and the four stains of every field in train/, as they are; names of the numbers."""
    root = find_root(raw, ATLAS)
    table = read_table(root / "train.csv")
    labels = _atlas_labels(table)
    files = [f"{name}_{colour}.png" for name in labels for colour in STAINS]
    if missing := [file for file in files if not (root / "train" / file).is_file()]:
        problem = f"{len(missing)} of {len(files)} channel files are not there: {some(missing)}"
        cure = "Unpack all of train.zip into train/, or get the set again."
        raise DataError(problem, where=str(root / "train"), cure=cure)
    _copy(root / "train.csv", out / "train.csv")
    for done, file in enumerate(files, 1):
        _copy(root / "train" / file, out / "train" / file)
        progress("Copying", done // len(STAINS), len(labels))
    names = ("|".join(CLASSES[k] for k in numbers) for numbers in labels.values())
    rows = ({"image": image, "names": text} for image, text in zip(labels, names, strict=True))
    write_table(out / "metadata.csv", rows)
    stains = ", ".join(f"{colour} ({stain})" for colour, stain in STAINS.items())
    return (
        f"{len(labels)} images of four channels, each a file: {stains}.",
        "train.csv has the numbers of the labels, metadata.csv their names; the test images have no public labels and"
        " were left.",
    )


def _atlas_labels(table: Table) -> dict[str, tuple[int, ...]]:
    """The label numbers of every image id, in the order of the table."""
    if table.columns != ("Id", "Target"):
        problem = f"the columns are {', '.join(table.columns)}"
        raise DataError(
            problem, where=table.name, cure="Get the file again, or name its columns Id and Target."
        )
    labels: dict[str, tuple[int, ...]] = {}
    for k, row in enumerate(table.rows):
        numbers = row["Target"].split()
        good = numbers and all(text.isdigit() and int(text) < len(CLASSES) for text in numbers)
        name = row["Id"].strip()
        if not good or name in labels or not name or Path(name).name != name:
            expected = f"an id once, and numbers from 0 to {len(CLASSES) - 1}, are expected"
            problem = f"{row['Id']!r}, {row['Target']!r}: {expected}"
            raise DataError(problem, where=table.where(k), cure="Get train.csv again.")
        labels[name] = tuple(int(text) for text in numbers)
    return labels


def find_root(folder: Path, paths: Sequence[str]) -> Path:
    """The folder, at `folder` or the fewest levels below it, that holds all of `paths`.

    Raises:
        DataError: there is none, or there are several at one level; names what is missing.
    """
    level = [folder]
    for _ in range(MAX_DEPTH):
        roots = [root for root in level if all((root / path).exists() for path in paths)]
        if len(roots) == 1:
            return roots[0]
        if roots:
            problem = f"the original could be any of {some(str(root.relative_to(folder)) for root in roots)}"
            raise DataError(problem, where=str(folder), cure="Give the right one with --local.")
        level = [root / name for root in level for name in subfolders(root)]
    missing = [path for path in paths if not (folder / path).exists()]
    present = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    raise DataError(
        f"{some(missing)} not found; there is {some(present) or 'nothing'}",
        where=str(folder),
        cure=f"The original holds {', '.join(paths)}. Get it again whole, or give the right folder with --local.",
    )


def _lay_out_pairs(
    raw: Path, out: Path, progress: Progress, parts: Mapping[str, tuple[str, str]], facts: Facts
) -> list[dict[str, str]]:
    """Copy the bytes to images/ and masks/; returns the rows that metadata.csv has of them.

    Args:
        parts: part of the set -> its folder of images and that of their masks; the part begins the new names.
        facts: columns of metadata.csv, from the part, the place within it, and the name without suffix.
    """
    root = find_root(raw, paths_of(parts))
    pairs = [
        (part, order, *pair)
        for part, (images, masks) in parts.items()
        for order, pair in enumerate(_paired(root / images, root / masks))
    ]
    rows = []
    for done, (part, order, image, mask) in enumerate(pairs, 1):
        name = f"{part}_{image.stem}" if part else image.stem
        for path, kind in ((image, "images"), (mask, "masks")):
            _copy(path, out / kind / f"{name}{path.suffix.lower()}")
        rows.append({"image": f"images/{name}{image.suffix.lower()}", **facts(part, order, image.stem)})
        progress("Copying", done, len(pairs))
    write_table(out / "metadata.csv", rows)
    return rows


def paths_of(parts: Mapping[str, tuple[str, str]]) -> tuple[str, ...]:
    """All folders of images and masks."""
    return tuple(path for folders in parts.values() for path in folders)


def _paired(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Images with the masks of the same name but for the suffix, in natural order; DataError where one is alone."""
    image_of = {Path(name).stem: images / name for name in image_files(images)}
    mask_of = {Path(name).stem: masks / name for name in image_files(masks)}
    alone = [*(image_of.keys() - mask_of.keys()), *(mask_of.keys() - image_of.keys())]
    if alone or not image_of:
        problem = f"{len(alone)} of the images and masks have no partner: {some(sorted(alone))}"
        cure = "The copy is not whole: get it again."
        raise DataError(problem if alone else "there are no images", where=f"{images} and {masks}", cure=cure)
    return [(path, mask_of[name]) for name, path in image_of.items()]


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Two originals never become one.
    if target.exists():
        problem = f"two files would be called {target.name}"
        raise DataError(problem, where=str(path), cure="Get the set again.")
    shutil.copyfile(path, target)
