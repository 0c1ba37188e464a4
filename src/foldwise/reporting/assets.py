"""What the page brings with it: the style sheets and scripts in `templates/`, each kind joined in order of file names."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Literal


@cache
def joined(kind: Literal["scripts", "styles", "live"]) -> str:
    """All files of a kind, one below the other."""
    parts = sorted(
        files("foldwise.reporting").joinpath("templates", kind).iterdir(), key=lambda one: one.name
    )
    return "\n".join(part.read_text(encoding="utf-8") for part in parts)


def digest(script: str) -> str:
    """What a Content-Security-Policy lets in: the SHA-256 of a script, in base 64."""
    return b64encode(sha256(script.encode()).digest()).decode("ascii")
