"""A contact sheet: many pictures in rows, each with a word, a bar and a mark, as one PNG for slides and mails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from foldwise.reporting.drawing.pictures import Pixels
from foldwise.reporting.wording import percent

COLUMNS, CELL_PX, GAP_PX = 6, 180, 16
TEXT_PX, LINE_PX, BAR_PX = 14, 20, 6
INK, MUTED, TRACK, FILL = (22, 32, 44), (86, 101, 122), (232, 236, 241), (0, 114, 178)
RIGHT, WRONG = (0, 115, 79), (168, 40, 30)


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
    for place, cell in enumerate(cells):
        row, column = divmod(place, columns)
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
    amount = percent(cell.share).replace("\u00a0", " ")  # the font has no unbreakable space
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
