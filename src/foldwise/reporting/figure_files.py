"""Every drawing and table of a report as a file of its own: SVG that image editors open too, and CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

from markupsafe import Markup

from foldwise.csv_cells import TableReader, spelled
from foldwise.errors import RunError
from foldwise.reporting.drawing.rows import stacked
from foldwise.reporting.drawing.svg import element, text
from foldwise.reporting.pages import joined
from foldwise.reporting.report import sections_of
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.verdict.leaderboard import leaderboard
from foldwise.runs.folder import written_whole

# Every figure is written by `drawing`, with its title first, so that a pattern finds it without parsing the page.
FIGURE = re.compile(
    r"<svg (?P<attributes>[^>]*role=\"img\"[^>]*)><title>(?P<title>[^<]*)</title>.*?</svg>", re.DOTALL
)
IN_ROWS = ("rowchart", "barcell")  # drawings that belong to a row of a table: its CSV has their numbers
LONGEST_NAME = 60
SILENT = ("svg", "button", "select")  # elements of a cell whose words are no part of its value
FONT = "font: 11px system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; overflow: visible"
LINE_PX, MARGIN_PX = 15, 10


def write_figures(data: ReportData, out: Path) -> list[Path]:
    """Write all figures and tables of a report; the files, in the order of the page.

    A file is named after its section, its number in it, and its title: ``cost-1-score-against-time.svg``. The numbers
    of a figure lie beside it under the same name. A table has the value behind every cell with all its digits, and
    columns of their own for the ends of an interval and for small print.

    Raises:
        RunError: `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file, so no figures can be put there", cure="Name a folder.")
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for name, content in figures_of(data):
        files.append(out / name)
        with written_whole(files[-1]) as scratch:
            scratch.write_text(content, encoding="utf-8", newline="")
    return files


def figures_of(data: ReportData) -> Iterator[tuple[str, str]]:
    """All figures and tables of a report, in the order of the page: the names of their files, and what is in them."""
    for section in sections_of(data):
        drawn = [*forest(data)] if section.name == "leaderboard" else []
        for end, content in (*drawn, *_figures(section.html, data.names), *_tables(section.html)):
            yield f"{section.name}-{end}", content


def _figures(html: str, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The end of a file name, and its text: SVG, and CSV where a figure knows its numbers."""
    figures = [
        figure
        for figure in FIGURE.finditer(html)
        if not any(kind in figure["attributes"] for kind in IN_ROWS)
    ]
    for number, figure in enumerate(figures, 1):
        title = unescape(figure["title"])
        name = f"{number}-{_slug(title)}"
        yield f"{name}.svg", standalone(Markup(figure[0]), title=title)
        if numbers := re.search(r'data-numbers="([^"]*)"', figure["attributes"]):
            lines = TableReader(unescape(numbers[1]).splitlines())
            yield f"{name}.csv", _written([[names.get(cell, cell) for cell in line] for line in lines])


def forest(data: ReportData) -> Iterator[tuple[str, str]]:
    """The intervals of the leaderboard as one figure, which a page shows row by row."""
    board = leaderboard(data)
    rows = [
        (row["name"], row["estimate"]["shown"], row["drawing"])
        for row in (*board["rows"], *board["baselines"])
    ]
    title = f"{data.verdict.metric.title} of all configurations"
    yield "0-intervals.svg", standalone(stacked(rows, head=board["head"], title=title), title=title)


def _slug(title: str) -> str:
    """A title as a part of a file name: letters, digits and hyphens."""
    return re.sub(r"[^\w]+", "-", title.lower())[:LONGEST_NAME].strip("-") or "figure"


# The csv module quotes by rules of its own; these are the rules of the buttons on the page (scripts/2-saving.js), so
# that both ways give the same bytes.
def _written(rows: Sequence[Sequence[str]]) -> str:
    quoted = (
        [
            f'"{cell.replace(chr(34), chr(34) * 2)}"' if re.search(r'[",\n]', cell) else cell
            for cell in map(spelled, row)
        ]
        for row in rows
    )
    return "".join(",".join(row) + "\n" for row in quoted)


def _tables(html: str) -> Iterator[tuple[str, str]]:
    reader = _PageReader()
    reader.feed(html)
    for number, table in enumerate(
        (table for table in reader.tables if table.head and not table.pictures), 1
    ):
        named = f"-{_slug(table.name)}" if table.name else ""
        yield f"table-{number}{named}.csv", _written(_flat(table))


@dataclass
class _Cell:
    """A cell as it is read: `words` without the small print, which is `note`; what it spans; `left_out` of drawings."""

    attributes: dict[str, str]
    words: str = ""
    note: str = ""

    @property
    def left_out(self) -> bool:
        return "drawn" in self.attributes.get("class", "").split()

    @property
    def value(self) -> str:
        return self.attributes.get("data-value", _plain(self.words))


@dataclass
class _Table:
    """Rows of cells; `name` is the label of the region around it."""

    name: str
    head: list[list[_Cell]] = field(default_factory=list)
    body: list[list[_Cell]] = field(default_factory=list)
    pictures: bool = False


def _plain(words: str) -> str:
    return " ".join(words.replace("\u200b", "").split())


class _PageReader(HTMLParser):
    """Finds the tables of a section; of cells, values and words."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[_Table] = []
        self.region, self.in_head, self.inside = "", False, []  # type: str, bool, list[str]
        self.cell: _Cell | None = None
        self.open: _Table | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "div" and attributes.get("role") == "region":
            self.region = attributes.get("aria-label", "")
        elif tag == "table":
            self.open = _Table(self.region)
            self.tables.append(self.open)
        elif self.open is None:
            return
        elif tag in ("thead", "tbody"):
            self.in_head = tag == "thead"
        elif tag == "tr":
            (self.open.head if self.in_head else self.open.body).append([])
        elif tag in ("th", "td"):
            self.cell = _Cell(attributes)
            (self.open.head if self.in_head else self.open.body)[-1].append(self.cell)
        elif tag == "img":
            self.open.pictures = True
        elif tag == "br" and self.cell is not None:
            self.cell.words += " "
        elif tag in (*SILENT, "small") or (tag == "span" and attributes.get("class") == "unseen"):
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.open = None
        elif tag in ("th", "td"):
            self.cell, self.inside = None, []
        elif self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if self.cell is None or any(tag != "small" for tag in self.inside):
            return
        if self.inside:
            self.cell.note += f"{'; ' if self.cell.note else ''}{_plain(data)}"
        else:
            self.cell.words += data


def _flat(table: _Table) -> list[list[str]]:
    """The heading and the rows; a column is widened by the ends of its intervals, and by its small print."""
    heads = _headings(table.head)
    lines: list[list[str]] = [[] for _ in range(len(table.body) + 1)]
    for column, head in enumerate(heads):
        if head is None:
            continue
        cells = [row[column] if column < len(row) else _Cell({}) for row in table.body]
        columns = [(head, [cell.value for cell in cells])]
        if any("data-low" in cell.attributes for cell in cells):
            columns += [
                (f"{head}, {end}", [cell.attributes.get(f"data-{end}", "") for cell in cells])
                for end in ("low", "high")
            ]
        notes = ["" if "data-low" in cell.attributes else cell.note for cell in cells]
        columns += [(f"{head}, note", notes)] if any(notes) else []
        for title, values in columns:
            for line, value in zip(lines, (title, *values), strict=True):
                line.append(value)
    return lines


def _headings(rows: Sequence[Sequence[_Cell]]) -> list[str | None]:
    """The words above every column, those of several rows joined; None for a column of drawings."""
    grid: dict[int, dict[int, str | None]] = {}
    for top, row in enumerate(rows):
        column = 0
        for cell in row:
            while top in grid.get(column, {}):
                column += 1
            for _ in range(int(cell.attributes.get("colspan", 1))):
                for below in range(int(cell.attributes.get("rowspan", 1))):
                    words = "" if below else None if cell.left_out else _plain(cell.words)
                    grid.setdefault(column, {})[top + below] = words
                column += 1
    columns = [list(grid[column].values()) for column in sorted(grid)]
    return [None if None in words else ", ".join(part for part in words if part) for words in columns]


def standalone(drawing: Markup, *, title: str, notes: Sequence[str] = ()) -> str:
    """The drawing under its title and above its notes, in the colours of the light theme, on white.

    It brings the rules of the style sheets that it needs, their variables replaced by values: Inkscape knows none.
    """
    # For the scripts of the page only.
    drawing = Markup(re.sub(r' data-(?:numbers|configuration)="[^"]*"', "", str(drawing)))
    size = re.match(r'<svg viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing)
    assert size, "not made by foldwise.reporting.drawing.svg.drawing"
    width, height = (float(side) for side in size.groups())
    top = MARGIN_PX + LINE_PX + 4
    bottom = top + height + LINE_PX
    inside = Markup(str(drawing).replace("<svg", f'<svg x="{MARGIN_PX}" y="{top:g}"', 1))
    whole = (width + 2 * MARGIN_PX, bottom + LINE_PX * len(notes))
    page = element(
        "svg",
        element("title", title),
        element("style", Markup(" ".join(_rules(drawing)))),
        element("rect", width="100%", height="100%", fill="#ffffff"),
        text(title, MARGIN_PX, MARGIN_PX + 11, class_="name strong"),
        inside,
        *(text(note, MARGIN_PX, bottom + LINE_PX * line) for line, note in enumerate(notes)),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {whole[0]:g} {whole[1]:g}",
        width=whole[0],
        height=whole[1],
    )
    return f"{page}\n"


def _rules(drawing: str) -> list[str]:
    """The rules of the style sheets that speak of nothing but what the drawing holds."""
    css = re.sub(r"/\*.*?\*/", "", joined("styles"), flags=re.DOTALL)
    # The light ones come first.
    colours = dict(re.findall(r"--([\w-]+):\s*([^;]+);", css[: css.index("}")]))
    drawn = {name for listed in re.findall(r'class="([^"]*)"', drawing) for name in listed.split()}
    drawn |= {"name", "strong", "tick"}
    rules = [f"svg {{ {FONT} }}"]
    for selector, declared in re.findall(r"(?:^|(?<=\}))\s*([^{}@]+)\{([^{}]*)\}", css):
        if all(_is_drawn(part.strip(), drawn) for part in selector.split(",")):
            plain = re.sub(r"var\(--([\w-]+)\)", lambda name: colours.get(name[1], "currentColor"), declared)
            rules.append(f"{selector.strip()} {{{plain}}}")
    return rules


def _is_drawn(selector: str, classes: set[str]) -> bool:
    named = re.fullmatch(r"(?:\.[\w-]+)+", selector)
    return selector == "polyline" or bool(named and classes.issuperset(selector[1:].split(".")))
