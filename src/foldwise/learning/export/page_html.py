"""The page on which images are dropped on a model: with the model inside, or with foldwise behind it."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from foldwise.data.novelty import MIN_GROUPS, UNLIKE
from foldwise.data.overlays import CLASS_COLOURS, displayed
from foldwise.learning.checkpoints.winner import why_unknown
from foldwise.learning.prediction_files import MAX_ODDS, MAX_RESCALED, RESCALED, UNPROVEN

if TYPE_CHECKING:
    from foldwise.learning.checkpoints.saved import Winner

FOLDER = "page"
SCORE, LIMITS = "How well it does", "What it must not be used for"  # of the sections of a model card
_BOLD = re.compile(r"(?<!\\)\*\*(.+?)(?<!\\)\*\*")
_ESCAPED = re.compile(r"\\([^\w\s]|_)")  # a word may hold an escaped underscore, too
_CELLS = re.compile(r"(?<!\\)\|")


def page(  # noqa: PLR0913 - each is a part of the page
    winner: Winner,
    *,
    title: str,
    card: str,
    lead: str,
    reads: str,
    engine: str,
    facts: Mapping[str, Any],
    data: Mapping[str, bytes],
    connect: str = "'none'",
    runs: str = "",
    accept: str = "image/*",
    examples: Sequence[str] = (),
    notice: str = "",
) -> str:
    """The HTML of a page, with all that it needs inside.

    Its Content-Security-Policy lets it run its own scripts only, by their digests, and load nothing from anywhere.

    Args:
        card: the model card, as `model_card` writes it.
        lead, reads: what the page does with images, and which it reads.
        engine: the script that predicts, in the folder `page`.
        facts: of the model, for the scripts; what `facts_of` gives and more.
        data: id -> bytes that go in packed; with ``training``, by which images are compared with those of the training.
        connect, runs: of the policy: with whom it may speak, and what it may run beside its scripts.
        examples: pictures as data addresses.
        notice: the licence of what runs the model.
    """
    scripts = [_text(name) for name in (*["novelty.js"] * ("training" in data), engine, "page.js")]
    sections, stated = card_sections(card), facts_of(winner) | dict(facts)
    return _template().render(
        title=title,
        lead=lead,
        reads=reads,
        caution=winner.caution,
        unknown=why_unknown(winner.training_images),
        score=Markup("".join(sections.get(SCORE, "").partition("</p>")[:2])),  # the rest is in the card
        limits=Markup(sections.get(LIMITS, "")),
        card=Markup("".join(f"<h3>{html.escape(name)}</h3>{text}" for name, text in sections.items())),
        accept=accept,
        examples=examples,
        notice=notice,
        policy=_policy(scripts, connect, runs),
        style=Markup(_text("page.css")),
        facts=Markup(json.dumps(stated, ensure_ascii=True).replace("<", "\\u003c")),
        data=[(name, Markup(packed(content))) for name, content in data.items()],
        scripts=[Markup(script) for script in scripts],
    )


def _policy(scripts: Sequence[str], connect: str, runs: str) -> str:
    digests = " ".join(_digest(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {digests} {runs}; style-src {_digest(_text('page.css'))}; "
        f"img-src data:; connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


def facts_of(winner: Winner) -> dict[str, Any]:
    """What the scripts of a page know of a model."""
    model = winner.model
    return {
        "task": model.task,
        "classes": list(model.classes),
        "thresholds": [None if np.isinf(value) else float(value) for value in winner.thresholds],
        "temperature": winner.temperature,
        "channels": model.num_channels,
        "size": model.size_hw,
        "resized": model.resized,
        "caution": bool(winner.caution),
        "sizes": winner.sizes_px,
        "colours": CLASS_COLOURS,
        "maxOdds": MAX_ODDS,
        "maxRescaled": MAX_RESCALED,
        "rescaled": RESCALED,
        "unproven": UNPROVEN,
        "unlike": UNLIKE,
        "comparable": winner.training_images.num_groups >= MIN_GROUPS,
    }


def packed(content: bytes) -> str:
    """Base64 of gzip, the same for the same bytes."""
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()


def unpacked(page: str, name: str) -> bytes:
    """What `packed` put into a page under an id."""
    match = re.search(rf'<script type="application/octet-stream" id="{name}">([^<]*)</script>', page)
    assert match is not None  # our own page
    return gzip.decompress(base64.b64decode(match[1]))


def as_png(image_CHW: np.ndarray, side: int | None = None) -> str:
    """A picture of an image as a data address; no side is longer than `side`."""
    picture = Image.fromarray(displayed(image_CHW) if side else _exact(image_CHW))
    if side and max(picture.size) > side:
        picture.thumbnail((side, side))
    return png_address(picture)


def _exact(image_CHW: np.ndarray) -> np.ndarray:
    return image_CHW[0] if len(image_CHW) == 1 else np.moveaxis(image_CHW, 0, -1)


def png_address(picture: Image.Image) -> str:
    """A picture as a data address."""
    file = BytesIO()
    picture.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def card_sections(card: str) -> dict[str, str]:
    r"""Title -> HTML of each section of a model card; knows the Markdown that cards are made of, and no other.

    >>> card_sections("## Data\n\n- **a** \\*b\\* c\\_d &lt;i&gt;\n")
    {'Data': '<ul><li><b>a</b> *b* c_d &lt;i&gt;</li></ul>'}
    """
    sections: dict[str, str] = {}
    for part in re.split(r"^## ", card, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        sections[title] = "".join(_block(block.splitlines()) for block in text.strip().split("\n\n") if block)
    return sections


def _block(lines: Sequence[str]) -> str:
    if all(line.startswith("- ") for line in lines):
        return f"<ul>{''.join(f'<li>{_inline(line[2:])}</li>' for line in lines)}</ul>"
    if all(line.startswith("|") for line in lines):
        rows = [_CELLS.split(line)[1:-1] for line in lines if not set(line) <= set("|-")]
        cells = ("".join(f"<td>{_inline(cell.strip())}</td>" for cell in row) for row in rows)
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _inline(text: str) -> str:
    """A line of Markdown of which only bold words and escapes count, as HTML."""
    parts = _BOLD.split(text)  # every other one is bold
    plain = [html.escape(html.unescape(_ESCAPED.sub(r"\1", part)), quote=False) for part in parts]
    return "".join(f"<b>{part}</b>" if number % 2 else part for number, part in enumerate(plain))


@cache
def _text(name: str) -> str:
    return files("foldwise.learning.export").joinpath(FOLDER, name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    loader = PackageLoader("foldwise.learning.export", FOLDER)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2")
