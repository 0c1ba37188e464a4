"""What every page is made of: templates, and style sheets and scripts, which stand in the page itself."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from types import CodeType

from jinja2 import BytecodeCache, Environment, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from foldwise.reporting.wording import breakable, percent


class _Compiled(BytecodeCache):
    """The templates that this process has compiled: half of the time that a small report takes, for all pages but the first."""

    def __init__(self) -> None:
        self.code: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self.code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self.code[bucket.key, bucket.checksum] = bucket.code


COMPILED = _Compiled()


def environment(*kinds: str) -> Environment:
    """The templates, with names escaped and numbers in words; a name that a template lacks is an error.

    Args:
        kinds: of the scripts that stand in the page, besides its style sheets: ``scripts``, ``live``.
    """
    templates = Environment(
        loader=PackageLoader("foldwise.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=COMPILED,
    )
    templates.filters |= {"breakable": breakable, "percent": percent}
    script = "".join(map(joined, kinds))
    # By its SHA-256 the Content-Security-Policy of a page lets this script run, and no other.
    digest = b64encode(sha256(script.encode()).digest()).decode("ascii")
    templates.globals |= {
        "style": Markup(joined("styles")),
        "script": Markup(script),
        "script_digest": digest,
    }
    return templates


@cache
def joined(kind: str) -> str:
    """All files of ``scripts``, ``styles`` or ``live``, one below the other in the order of their names."""
    folder = files("foldwise.reporting").joinpath("templates", kind)
    # The order of the names is the order of the code: a later script uses functions of an earlier one.
    parts = sorted(folder.iterdir(), key=lambda file: file.name)
    return "\n".join(part.read_text(encoding="utf-8") for part in parts)
