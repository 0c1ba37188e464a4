"""Sets of images with labels, each from its original folders to class folders or to images/ and labels.csv."""

from __future__ import annotations

from pathlib import Path

from foldwise.data.layouts.listing import image_files
from foldwise.data.layouts.tables import Table, read_table
from foldwise.data.public.laying_out import copy, find_root, write_table
from foldwise.data.public.source import Progress
from foldwise.errors import DataError
from foldwise.text import some

GELS = ("dataset/gel", "dataset/not_gel", "test_images/gel", "test_images/not_gel")
ATLAS = ("train.csv", "train")
COLOURS = ("red", "green", "blue", "yellow")
STAINS = ("microtubules", "the protein", "the nucleus", "the endoplasmic reticulum")
ORGANELLES = (
    "Nucleoplasm", "Nuclear membrane", "Nucleoli", "Nucleoli fibrillar center", "Nuclear speckles", "Nuclear bodies",
    "Endoplasmic reticulum", "Golgi apparatus", "Peroxisomes", "Endosomes", "Lysosomes", "Intermediate filaments",
    "Actin filaments", "Focal adhesion sites", "Microtubules", "Microtubule ends", "Cytokinetic bridge",
    "Mitotic spindle", "Microtubule organizing center", "Centrosome", "Lipid droplets", "Plasma membrane",
    "Cell junctions", "Mitochondria", "Aggresome", "Cytosol", "Cytoplasmic bodies", "Rods & rings",
)  # fmt: skip


def convert_gels(raw: Path, out: Path, progress: Progress) -> tuple[str, ...]:
    """Gel images: class folders gel/ and not_gel/; the images of the author's test set are called test_..."""
    root = find_root(raw, GELS)
    rows = []
    found = [(folder, name) for folder in GELS for name in image_files(root / folder)]
    for done, (folder, name) in enumerate(found, 1):
        part, label = folder.split("/")
        target = f"{label}/{name if part == 'dataset' else f'test_{name}'}"
        copy(root / folder / name, out / target)
        rows.append({"image": target, "label": label, "split": "train" if part == "dataset" else "test"})
        progress("Copying", done, len(found))
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
    missing = [
        f"{name}_{colour}.png"
        for name in labels
        for colour in COLOURS
        if not (root / "train" / f"{name}_{colour}.png").is_file()
    ]
    if missing:
        raise DataError(
            f"{len(missing)} of {4 * len(labels)} channel files are not there: {some(missing)}",
            where=str(root / "train"),
            cure="Unpack all of train.zip into train/, or get the set again.",
        )
    copy(root / "train.csv", out / "train.csv")
    for done, name in enumerate(labels, 1):
        for colour in COLOURS:
            copy(root / "train" / f"{name}_{colour}.png", out / "train" / f"{name}_{colour}.png")
        progress("Copying", done, len(labels))
    named = {name: "|".join(ORGANELLES[k] for k in numbers) for name, numbers in labels.items()}
    write_table(out / "metadata.csv", ({"image": name, "names": text} for name, text in named.items()))
    stains = ", ".join(f"{colour} ({stain})" for colour, stain in zip(COLOURS, STAINS, strict=True))
    return (
        f"{len(labels)} images of four channels, each a file: {stains}.",
        "train.csv has the numbers of the labels, metadata.csv their names; the test images have no public labels and"
        " were left.",
    )


def _atlas_labels(table: Table) -> dict[str, tuple[int, ...]]:
    """The label numbers of every image id, in the order of the table."""
    if table.columns != ("Id", "Target"):
        raise DataError(
            f"the columns are {', '.join(table.columns)}",
            where=table.name,
            cure="They must be Id and Target.",
        )
    labels: dict[str, tuple[int, ...]] = {}
    for place, row in enumerate(table.rows):
        numbers = row["Target"].split()
        good = numbers and all(text.isdigit() and int(text) < len(ORGANELLES) for text in numbers)
        name = row["Id"].strip()
        if not good or name in labels or not name or Path(name).name != name:
            raise DataError(
                f"{row['Id']!r}, {row['Target']!r}: an id once, and numbers from 0 to {len(ORGANELLES) - 1}, are expected",
                where=table.where(place),
                cure="Get train.csv again.",
            )
        labels[name] = tuple(int(text) for text in numbers)
    return labels
