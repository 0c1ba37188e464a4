"""What the pages bring with them: templates, and the style sheets and scripts of `templates/`."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from foldwise.reporting.wording import breakable, percent


def environment() -> Environment:
    """The templates, with names escaped and numbers in words; a name that a template lacks is an error."""
    templates = Environment(
        loader=PackageLoader("foldwise.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"breakable": breakable, "percent": percent}
    return templates


@cache
def joined(kind: Literal["scripts", "styles", "live"]) -> str:
    """All files of a kind, one below the other in the order of their names."""
    folder = files("foldwise.reporting").joinpath("templates", kind)
    # The order of the names is the order of the code: a later script uses functions of an earlier one.
    parts = sorted(folder.iterdir(), key=lambda file: file.name)
    return "\n".join(part.read_text(encoding="utf-8") for part in parts)


def digest(script: str) -> str:
    """The SHA-256 of a script in base 64, by which a Content-Security-Policy lets it run and no other."""
    return b64encode(sha256(script.encode()).digest()).decode("ascii")
