"""Sets of images with masks, each from its original folders to images/, masks/ and metadata.csv."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from foldwise.data.formats.reading import read_image, read_mask
from foldwise.data.public.laying_out import Pair, find_root, lay_out_pairs, paired, write_table
from foldwise.data.public.source import Progress
from foldwise.errors import DataError

FIVES = ("train/Original", "train/Ground truth", "test/Original", "test/Ground truth")
BDELLO = ("images", "masks")
NEURONS = ("all_images/images", "all_masks/masks")
ISBI = ("train/images", "train/masks", "val/images", "val/masks")
DISC = ("tr_images", "ts_images", "clean_masks")

ISBI_BLOCK = 6  # consecutive sections kept together
DISC_WIDTH, DISC_FROM = 1072, 20  # the left frame of a stereo picture; masks above this grey are the disc


def convert_fives(raw: Path, out: Path, progress: Progress) -> tuple[str, ...]:
    """FIVES: split and disease stay in the names (``train_12_A.png``) and become columns."""
    root = find_root(raw, FIVES)
    pairs = []
    for part in ("train", "test"):
        for image, mask in paired(root / part / "Original", root / part / "Ground truth"):
            disease = image.stem.rpartition("_")[2] if "_" in image.stem else ""
            facts = {"split": part, "disease": disease}
            pairs.append(Pair(image, mask, f"{part}_{image.stem}", facts))
    lay_out_pairs(pairs, out, progress)
    return (
        _counted(pairs, "split"),
        _counted(pairs, "disease", "the letter at the end of the original name, as it stands there"),
    )


def convert_bdello(raw: Path, out: Path, progress: Progress) -> tuple[str, ...]:
    """Phase-contrast Bdellovibrio: names are kept, where the seed study renumbered them."""
    root = find_root(raw, BDELLO)
    pairs = [Pair(image, mask, image.stem) for image, mask in paired(root / "images", root / "masks")]
    lay_out_pairs(pairs, out, progress)
    return (f"{len(pairs)} images with their masks, names kept; the original states no split and no groups.",)


def convert_neurons(raw: Path, out: Path, progress: Progress) -> tuple[str, ...]:
    """Fluorescent neuronal cells: names are kept; what stands before the section in a name is the group."""
    root = find_root(raw, NEURONS)
    found = paired(root / NEURONS[0], root / NEURONS[1])
    pairs = [Pair(image, mask, image.stem, {"group": _animal(image.stem)}) for image, mask in found]
    lay_out_pairs(pairs, out, progress)
    num_groups = len({pair.facts["group"] for pair in pairs})
    return (
        f"{len(pairs)} images with their masks, names kept.",
        f"{num_groups} groups were read from the names (Mar31bS2C1R2_... is of Mar31b); names of another form are"
        " groups of their own. The source does not say that this part is the animal.",
    )


def _animal(name: str) -> str:
    match = re.match(r"(mar\d+[a-z]?)s\d", name.casefold())
    return match[1] if match else name


def convert_isbi(raw: Path, out: Path, progress: Progress) -> tuple[str, ...]:
    """ISBI 2012 as one repository holds it: 27 training and 3 validation sections, in blocks of neighbours."""
    root = find_root(raw, ISBI)
    pairs = []
    for part in ("train", "val"):
        for place, (image, mask) in enumerate(paired(root / part / "images", root / part / "masks")):
            facts = {"split": part, "order": str(place), "group": f"{part}-{place // ISBI_BLOCK}"}
            pairs.append(Pair(image, mask, f"{part}_{image.stem}", facts))
    lay_out_pairs(pairs, out, progress)
    return (
        _counted(pairs, "split"),
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
        what = f"{len(absent)} images have no mask of their name" if absent else "there are no images"
        raise DataError(what, where=str(root / "clean_masks"), cure="Masks bear the names of their images.")
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
        raise DataError(
            f"image and mask differ in size: {sizes}", where=str(mask_path), cure="Get them again."
        )
    for folder, pixels in (("images", image_HWC), ("masks", np.where(grey_HW > DISC_FROM, 255, 0))):
        (out / folder).mkdir(exist_ok=True)
        Image.fromarray(pixels[:, :DISC_WIDTH].astype(np.uint8)).save(out / folder / name)
    return bool(image_HWC.shape[1] > DISC_WIDTH)


def _counted(pairs: Sequence[Pair], fact: str, meaning: str = "") -> str:
    counts = Counter(pair.facts[fact] or "(none)" for pair in pairs)
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f"Column {fact} of metadata.csv{f' ({meaning})' if meaning else ''}: {listed}."
