"""Predictions of unseen images as pictures, the least certain first: an offline page, and a contact sheet as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from foldwise.data.formats.reading import as_image, read_pixels
from foldwise.data.formats.windows import large_image
from foldwise.data.layouts.channel_files import join_channels
from foldwise.data.layouts.files import image_files_below
from foldwise.data.overlays import Pixels, is_dark
from foldwise.errors import DataError
from foldwise.reporting.drawing.pictures import class_colour, data_uri, displayed, hex_colour
from foldwise.reporting.pages import environment
from foldwise.reporting.sections.images.gallery import MAX_BARS, ClassBar, Picture, ShownCase, names_of
from foldwise.reporting.wording import count, percent
from foldwise.runs.folder import read_json
from foldwise.sealed import read_table
from foldwise.storage import written_whole
from foldwise.study.spec import Decoding

TABLE, PAGE, SHEET = "predictions.csv", "pictures.html", "pictures.png"
CERTAINTY = {
    "binary_classification": "probability of the predicted class",
    "multiclass_classification": "probability of the predicted class",
    "multilabel_classification": "mean probability of the decisions on the labels",
}
ON_PAGE, ON_SHEET = 240, 60  # images; of more, an even choice from the least to the most certain
COLUMNS, CELL_PX, GAP_PX = 6, 180, 16
TEXT_PX, LINE_PX, BAR_PX = 14, 20, 6
INK, MUTED, TRACK, FILL = (22, 32, 44), (86, 101, 122), (232, 236, 241), (0, 114, 178)
RIGHT, WRONG = (0, 115, 79), (168, 40, 30)


@dataclass(frozen=True)
class Prediction:
    """One row of predictions.csv.

    Attributes:
        shares: of every class, its probability, calibrated where it can be; of a segmentation its share of the pixels.
        predicted: indices of the predicted classes; none of a segmentation.
        certainty: the mean probability of the decisions, 0 to 1.
        truth: the class whose folder the image lies in; None where it lies in none.
        warning: why not to rely on it.
    """

    name: str
    shares: tuple[float, ...]
    predicted: tuple[int, ...]
    certainty: float
    overlay: str = ""
    truth: int | None = None
    warning: str = ""

    @property
    def right(self) -> bool | None:
        """Whether the prediction is as the folder says; None where the image lies in no class folder."""
        return None if self.truth is None else self.predicted == (self.truth,)


def write_pictures(winner: Path, images: Path, out: Path) -> tuple[Path, Path]:
    """Draw what `out` holds of predictions of `images`, by the winner: its ``pictures.html`` and ``pictures.png``."""
    record = read_json(winner / "model.json")
    model = record["members"][0]["model"]
    classes, segments = list(model["classes"]), str(model["task"]).endswith("segmentation")
    root = images.parent if images.is_file() else images
    files = _files(root, record.get("channels") or ())
    decoding = Decoding.model_validate(record.get("decoding") or {})
    predictions = sorted(_read(out, root, model), key=lambda row: (row.certainty, row.name))
    drawn, num_dark = [], 0
    for row in _spread(predictions, ON_PAGE):
        image_CHW = _image(root, files.get(row.name, row.name), decoding)
        num_dark += is_dark(image_CHW)
        drawn.append((row, displayed(image_CHW), _overlay(row, out)))
    facts = _facts(predictions, len(drawn), task=str(model["task"]))
    if num_dark:
        facts.append("Dark images are shown brighter than they are.")
    legend = legend_of(classes) if segments else []
    shown = [_shown(*row, classes) for row in drawn]
    template = environment().get_template("predictions.html.j2")
    page = template.render(
        shown=shown,
        facts=facts,
        legend=legend,
        segments=segments,
        caution=record.get("caution"),
        warnings={row.name: _own_warning(row, record) for row, *_ in drawn},
    )
    with written_whole(out / PAGE) as scratch:
        scratch.write_text(page, encoding="utf-8")
    cells = [_cell(row, image if over is None else over, classes) for row, image, over in drawn]
    sheet = contact_sheet(_spread(cells, ON_SHEET), heading=facts[0], legend=legend)
    with written_whole(out / SHEET) as scratch:
        sheet.save(scratch, "PNG")
    return out / PAGE, out / SHEET


def _read(out: Path, root: Path, model: dict[str, Any]) -> list[Prediction]:
    classes, several = list(model["classes"]), model["task"] == "multilabel_classification"
    rows = read_table(out / TABLE)
    if rows and "mask" in rows[0]:
        shares = (_numbers(row, "share_", classes) for row in rows)
        return [
            Prediction(
                row["image"], share, (), float(row["certainty"]), row["overlay"], warning=row["warning"]
            )
            for row, share in zip(rows, shares, strict=True)
        ]
    # Calibrated probabilities are there only where the winner could be calibrated.
    kind = "calibrated_" if rows and f"calibrated_{classes[0]}" in rows[0] else "probability_"
    return [_labels(row, kind, classes, root, several=several) for row in rows]


def _labels(row: dict[str, str], kind: str, classes: list[str], root: Path, *, several: bool) -> Prediction:
    shares = np.array(_numbers(row, kind, classes))
    names = row["predicted"].split("; ") if several else [row["predicted"]]
    predicted = tuple(k for k, name in enumerate(classes) if name in names)
    if several:
        certainty = float(np.where(np.isin(np.arange(len(shares)), predicted), shares, 1 - shares).mean())
        return Prediction(row["image"], tuple(shares.tolist()), predicted, certainty, warning=row["warning"])
    folder = (root.resolve() / row["image"]).parent.name
    truth = classes.index(folder) if folder in classes else None
    certainty = float(shares[predicted[0]])
    return Prediction(
        row["image"], tuple(shares.tolist()), predicted, certainty, truth=truth, warning=row["warning"]
    )


def _numbers(row: dict[str, str], start: str, classes: list[str]) -> tuple[float, ...]:
    return tuple(float(row[f"{start}{name}"]) for name in classes)


def _spread(ordered: list[Any], most: int) -> list[Any]:
    """At most `most` of a list, evenly from its first to its last."""
    if len(ordered) <= most:
        return ordered
    return [ordered[index] for index in np.linspace(0, len(ordered) - 1, most).round().astype(int)]


def _files(root: Path, channels: Sequence[str]) -> dict[str, str]:
    """Name -> files of every image that is one file per channel; empty where images are single files."""
    if not channels:
        return {}
    joined_files = join_channels(image_files_below(root), channels, where=str(root))
    return {name: files for files, name in joined_files.names.items()}


def _image(root: Path, path: str, decoding: Decoding) -> NDArray[Any]:
    """The image (C, H, W), decoded as for the winner, a large one made smaller; a grey square where its file is gone."""
    try:
        with large_image(root / path, decoding) as windows:
            if windows is not None and not windows.why_whole:
                return as_image(windows.preview(decoding), "native", where=path)[1]
        return as_image(read_pixels(root, path, decoding), "native", where=path)[1]
    except DataError:
        return np.full((1, 96, 96), 128, np.uint8)


def _overlay(row: Prediction, out: Path) -> Pixels | None:
    if not row.overlay:
        return None
    with Image.open(out / row.overlay) as stored:
        return np.asarray(stored.convert("RGB"))


def _shown(row: Prediction, image: Pixels, over: Pixels | None, classes: list[str]) -> ShownCase:
    order = sorted(range(len(classes)), key=lambda k: (k not in row.predicted, -row.shares[k]))[:MAX_BARS]
    bars = [
        ClassBar(classes[k], row.shares[k], k == row.truth, k in row.predicted or over is not None)
        for k in sorted(order, key=lambda k: -row.shares[k])
    ]
    pictures = [Picture(data_uri(image), "image")]
    if over is not None:
        pictures.append(Picture(data_uri(over), "prediction"))
    truth = "" if row.truth is None else classes[row.truth]
    return ShownCase(row.name, percent(row.certainty), pictures, bars, row.right, truth, _words(row, classes))


def _cell(row: Prediction, picture: Pixels, classes: list[str]) -> SheetCell:
    words = Path(row.name).name if row.overlay else _words(row, classes)
    truth = f"folder: {classes[row.truth]}" if row.truth is not None and not row.right else ""
    return SheetCell(picture, words, row.certainty, truth, row.right)


def _words(row: Prediction, classes: list[str]) -> str:
    return "" if row.overlay else names_of(row.predicted, row.shares, classes)


def _own_warning(row: Prediction, record: dict[str, Any]) -> str:
    """What is said of this image alone: what is said of the model stands above all of them."""
    reasons = [part for part in row.warning.split("; ") if part]
    return "; ".join(reasons[1:] if record.get("caution") else reasons)


def _facts(predictions: list[Prediction], drawn: int, *, task: str) -> list[str]:
    """What stands above the pictures: how many, in which order, and how many are as their folders say."""
    first = f"{count(len(predictions), 'image')}, least certain first"
    if rights := [row.right for row in predictions if row.right is not None]:
        first += f"; {sum(rights)} of {len(rights)} as their folders say"
    facts = [first]
    if drawn < len(predictions):
        facts.append(
            f"{drawn} of them are shown, evenly from the least to the most certain; {TABLE} has all."
        )
    facts.append(f"Certainty is the {CERTAINTY.get(task, 'mean probability of the classes that are drawn')}.")
    facts.append("It says how sure the model is, not how right.")
    if task == "multilabel_classification":
        facts.append("Filled bars are predicted labels: every label has a threshold of its own.")
    return facts


def legend_of(classes: Sequence[str]) -> list[tuple[str, str]]:
    """The colour and the name of every class that masks draw."""
    return [(hex_colour(class_colour(index)), name) for index, name in enumerate(classes[1:], 1)]


@dataclass(frozen=True)
class SheetCell:
    """One picture: what is said of it, how surely, and a second line.

    Attributes:
        right: draws a frame in the colour of right or wrong; None draws none.
    """

    picture: Pixels
    words: str
    share: float
    note: str = ""
    right: bool | None = None


def contact_sheet(
    cells: Sequence[SheetCell], *, heading: str, legend: Sequence[tuple[str, str]] = ()
) -> Image.Image:
    """The pictures in rows of six below a heading and a legend of (colour, name).

    Text is drawn with the font that Pillow brings, which knows Latin letters only.
    """
    columns = min(COLUMNS, max(len(cells), 3))
    rows = -(-len(cells) // columns)
    top = GAP_PX + LINE_PX * (2 if legend else 1) + GAP_PX
    row_px = CELL_PX + 2 * LINE_PX + BAR_PX + GAP_PX
    width = GAP_PX + columns * (CELL_PX + GAP_PX)
    sheet = Image.new("RGB", (width, top + rows * row_px), "white")
    pen = ImageDraw.Draw(sheet)
    _write(pen, (GAP_PX, GAP_PX), heading, INK, width - 2 * GAP_PX)
    _draw_legend(pen, legend, width)
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        _draw_cell(sheet, pen, cell, (GAP_PX + column * (CELL_PX + GAP_PX), top + row * row_px))
    return sheet


def _draw_cell(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, cell: SheetCell, corner: tuple[int, int]
) -> None:
    left, top = corner
    shown = Image.fromarray(cell.picture)
    factor = CELL_PX / max(shown.size)
    size = (max(1, round(shown.width * factor)), max(1, round(shown.height * factor)))
    # Enlarged pixels keep their edges: smoothing would show detail that is not there.
    shown = shown.resize(size, Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.NEAREST)
    sheet.paste(shown, (left + (CELL_PX - size[0]) // 2, top + (CELL_PX - size[1]) // 2))
    colour = INK if cell.right is None else RIGHT if cell.right else WRONG
    if cell.right is not None:
        pen.rectangle((left - 3, top - 3, left + CELL_PX + 2, top + CELL_PX + 2), outline=colour, width=3)
    below = top + CELL_PX + 5
    # The font has no unbreakable space.
    amount = percent(cell.share).replace("\u00a0", " ")
    room = CELL_PX - round(_font().getlength(amount)) - 6
    _write(pen, (left, below), cell.words, colour, room)
    _write(pen, (left + CELL_PX - round(_font().getlength(amount)), below), amount, MUTED, CELL_PX)
    bar = below + LINE_PX
    pen.rectangle((left, bar, left + CELL_PX, bar + BAR_PX), fill=TRACK)
    pen.rectangle((left, bar, left + round(CELL_PX * cell.share), bar + BAR_PX), fill=FILL)
    _write(pen, (left, bar + BAR_PX + 1), cell.note, MUTED, CELL_PX)


def _draw_legend(pen: ImageDraw.ImageDraw, legend: Sequence[tuple[str, str]], width: int) -> None:
    left, top = GAP_PX, GAP_PX + LINE_PX + 2
    for colour, name in legend:
        room = width - left - 2 * GAP_PX
        if room < CELL_PX // 2:
            return
        pen.rectangle((left, top + 2, left + 12, top + 14), fill=colour, outline=MUTED)
        left += 18 + _write(pen, (left + 18, top), name, INK, min(room, CELL_PX)) + GAP_PX


def _write(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], words: str, colour: tuple[int, int, int], room: int
) -> int:
    """Write as much as there is room for; its width in pixels."""
    font, fitting = _font(), words
    while fitting and font.getlength(fitting) > room:
        fitting = fitting[:-3] + ".." if fitting.endswith("..") else fitting[:-1] + ".."
        fitting = "" if fitting == ".." else fitting
    pen.text(corner, fitting, fill=colour, font=font)
    return round(font.getlength(fitting))


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(TEXT_PX)
