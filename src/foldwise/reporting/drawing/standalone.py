"""A drawing of the report as an SVG file of its own, which image editors open too."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup

from foldwise.reporting.assets import joined
from foldwise.reporting.drawing.svg import element, text

FONT = "font: 11px system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; overflow: visible"
LINE_PX, MARGIN_PX = 15, 10


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
    colours = dict(re.findall(r"--([\w-]+):\s*([^;]+);", css[: css.index("}")]))  # the light ones come first
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
