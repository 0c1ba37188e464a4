"""A hook of mkdocs, for what its Markdown reads otherwise than others do."""

import re
from typing import Any


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The text of a page: links to files of the repository, which have no page, as their names; ``[a][b]`` of tables as text."""
    depth = page.file.src_uri.count("/") + 1
    text = re.sub(rf"\[[^\]]+\]\((?:\.\./){{{depth}}}([^)#]+)[^)]*\)", r"`\1`", markdown)
    return re.sub(r"^\|.*$", lambda row: row[0].replace("][", "]\\["), text, flags=re.MULTILINE)
