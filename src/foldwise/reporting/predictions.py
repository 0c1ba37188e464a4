"""Predictions of unseen images as pictures: one offline page and one contact sheet, the least certain first."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from foldwise.data.cases import channel_files
from foldwise.data.formats.images import read_image
from foldwise.data.layouts.channel_files import join_channels
from foldwise.data.layouts.listing import image_files_below
from foldwise.data.layouts.mask_census import read_pixels
from foldwise.data.overlays import COLOURS
from foldwise.errors import DataError
from foldwise.reporting.assets import joined
from foldwise.reporting.drawing.pictures import Pixels, data_uri, displayed
from foldwise.reporting.drawing.sheet import Cell, contact_sheet
from foldwise.reporting.sections.images.gallery import MAX_BARS, Bar, Picture, Shown, names_said
from foldwise.reporting.wording import count, percent
from foldwise.run.folder import read_json
from foldwise.storage import written_whole

TABLE, PAGE, SHEET = "predictions.csv", "pictures.html", "pictures.png"
CERTAINTY = {
    "binary_classification": "probability of the class that is said",
    "multiclass_classification": "probability of the class that is said",
    "multilabel_classification": "mean probability of what is said of every label",
}
ON_PAGE, ON_SHEET = 240, 60  # images; of more, an even choice from the least to the most certain


@dataclass(frozen=True)
class Told:
    """One row of predictions.csv.

    Attributes:
        shares: of every class, its probability, calibrated where it can be; of a segmentation its share of the pixels.
        said: indices of the predicted classes; none of a segmentation.
        certainty: the mean probability of what is said, 0 to 1.
        truth: the class whose folder the image lies in; None where it lies in none.
    """

    name: str
    shares: tuple[float, ...]
    said: tuple[int, ...]
    certainty: float
    overlay: str = ""
    truth: int | None = None


def write_pictures(winner: Path, images: Path, out: Path) -> tuple[Path, Path]:
    """Draw what `out` holds of predictions: its ``pictures.html`` and ``pictures.png``.

    Args:
        winner: the folder of the model that predicted.
        images: the folder or the image that was predicted.
        out: the folder of the predictions.
    """
    record = read_json(winner / "model.json")
    model = record["members"][0]["model"]
    classes, segments = list(model["classes"]), str(model["task"]).endswith("segmentation")
    root = images.parent if images.is_file() else images
    places = _places(root, record.get("channels") or ())
    told = sorted(_told(out, root, model), key=lambda one: (one.certainty, one.name))
    drawn = [
        (one, _image(root, places.get(one.name, one.name)), _overlay(one, out))
        for one in _spread(told, ON_PAGE)
    ]
    facts = _facts(told, len(drawn), task=str(model["task"]))
    legend = _legend(classes) if segments else []
    page = _page([_shown(one, image, over, classes) for one, image, over in drawn], facts, legend, segments)
    with written_whole(out / PAGE) as scratch:
        scratch.write_text(page, encoding="utf-8")
    cells = [_cell(one, image if over is None else over, classes) for one, image, over in drawn]
    sheet = contact_sheet(_spread(cells, ON_SHEET), heading=facts[0], legend=legend)
    with written_whole(out / SHEET) as scratch:
        sheet.save(scratch, "PNG")
    return out / PAGE, out / SHEET


def _told(out: Path, root: Path, model: dict[str, Any]) -> list[Told]:
    classes, several = list(model["classes"]), model["task"] == "multilabel_classification"
    with (out / TABLE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if "mask" in (rows[0] if rows else ()):
        return [
            Told(row["image"], _numbers(row, "share_", classes), (), float(row["certainty"]), row["overlay"])
            for row in rows
        ]
    told = []
    kind = "calibrated_" if rows and f"calibrated_{classes[0]}" in rows[0] else "probability_"
    for row in rows:
        shares = np.array(_numbers(row, kind, classes))
        names = row["predicted"].split("; ") if several else [row["predicted"]]
        said = tuple(k for k, name in enumerate(classes) if name in names)
        sure = np.where(np.isin(np.arange(len(shares)), said), shares, 1 - shares).mean()
        folder = (root.resolve() / row["image"]).parent.name
        truth = classes.index(folder) if folder in classes and not several else None
        certainty = float(sure) if several else float(shares[said[0]])
        told.append(Told(row["image"], tuple(shares.tolist()), said, certainty, truth=truth))
    return told


def _numbers(row: dict[str, str], start: str, classes: list[str]) -> tuple[float, ...]:
    return tuple(float(row[f"{start}{name}"]) for name in classes)


def _spread(ordered: list[Any], most: int) -> list[Any]:
    """At most `most` of a list, evenly from its first to its last."""
    if len(ordered) <= most:
        return ordered
    return [ordered[place] for place in np.linspace(0, len(ordered) - 1, most).round().astype(int)]


def _places(root: Path, channels: Sequence[str]) -> dict[str, str]:
    """Name -> files of every image that is one file per channel; empty where images are single files."""
    if not channels:
        return {}
    joined = join_channels(image_files_below(root), channels, where=str(root))
    return {name: place for place, name in joined.names.items()}


def _image(root: Path, place: str) -> Pixels:
    """The image; a grey square where its file is gone."""
    try:
        if len(channel_files(place)) > 1:
            return displayed(read_pixels(root, place).values)
        return displayed(read_image(root / place, channels="native"))
    except DataError:
        return np.full((96, 96, 3), 128, np.uint8)


def _overlay(one: Told, out: Path) -> Pixels | None:
    if not one.overlay:
        return None
    with Image.open(out / one.overlay) as stored:
        return np.asarray(stored.convert("RGB"))


def _shown(one: Told, image: Pixels, over: Pixels | None, classes: list[str]) -> Shown:
    order = sorted(range(len(classes)), key=lambda k: (k not in one.said, -one.shares[k]))[:MAX_BARS]
    bars = [
        Bar(classes[k], one.shares[k], k == one.truth, k in one.said or over is not None)
        for k in sorted(order, key=lambda k: -one.shares[k])
    ]
    pictures = [Picture(data_uri(image), "image")]
    if over is not None:
        pictures.append(Picture(data_uri(over), "prediction"))
    right = None if one.truth is None else one.said == (one.truth,)
    truth = "" if one.truth is None else classes[one.truth]
    return Shown(one.name, percent(one.certainty), pictures, bars, right, truth, _said(one, classes))


def _cell(one: Told, picture: Pixels, classes: list[str]) -> Cell:
    right = None if one.truth is None else one.said == (one.truth,)
    words = Path(one.name).name if one.overlay else _said(one, classes)
    truth = f"folder: {classes[one.truth]}" if one.truth is not None and not right else ""
    return Cell(picture, words, one.certainty, truth, right)


def _said(one: Told, classes: list[str]) -> str:
    return "" if one.overlay else names_said(one.said, one.shares, classes)


def _facts(told: list[Told], drawn: int, *, task: str) -> list[str]:
    """What stands above the pictures: how many, in which order, and how many are as their folders say."""
    known = [one for one in told if one.truth is not None]
    first = f"{count(len(told), 'image')}, least certain first"
    if known:
        right = sum(one.said == (one.truth,) for one in known)
        first += f"; {right} of {len(known)} as their folders say"
    facts = [first]
    if drawn < len(told):
        facts.append(
            f"{drawn} of them are shown, evenly from the least to the most certain; {TABLE} has all."
        )
    facts.append(f"Certainty is the {CERTAINTY.get(task, 'mean probability of the classes that are drawn')}.")
    facts.append("It says how sure the model is, not how right.")
    if task == "multilabel_classification":
        facts.append("Filled bars are said: every label has a threshold of its own.")
    return facts


def _legend(classes: list[str]) -> list[tuple[str, str]]:
    colours = [tuple(int(part) for part in colour) for colour in COLOURS]
    return [
        ("#{:02x}{:02x}{:02x}".format(*colours[place % len(colours)]), name)
        for place, name in enumerate(classes[1:])
    ]


def _page(shown: list[Shown], facts: list[str], legend: list[tuple[str, str]], segments: bool) -> str:
    environment = Environment(
        loader=PackageLoader("foldwise.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    style = joined("styles")
    template = environment.get_template("predictions.html.j2")
    return template.render(shown=shown, facts=facts, legend=legend, segments=segments, style=Markup(style))
