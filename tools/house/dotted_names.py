"""Dotted names of the package in texts: ``"package.module.function"`` in a test, a docstring or a page must still exist.

Tools that find modules follow imports. Names in texts, which are patched, run in another process or read, are left behind
when a module moves, and nothing says so until that text is used.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tools.house.tree import House

FOLDERS = ("src", "tests", "benchmarks", "tools", "docs", "napari-foldwise", "studies")
MADE_UP = "tests/tools"  # names of a house that these tests make up
PAGES = (".md", ".toml", ".yaml", ".yml")


def name_problems(house: House) -> list[str]:
    """A line for every dotted name in a text that leads to no module, nor to anything at the top of one."""
    tops = {name: _top_names(module.tree) for name, module in house.modules.items()}
    # Of two parts, `foldwise.yaml` is a file as well as `foldwise.run` a function: these are not looked at.
    pattern = re.compile(rf"(?<![\w./-]){house.package}(?:[.:][A-Za-z_]\w*){{2,}}(?![\w/-])")
    return [
        f"{path.relative_to(house.root)}:{line}: there is no {name}. Cure: name what stands in its stead."
        for path, line, text in _texts(house)
        for name in dict.fromkeys(pattern.findall(text))
        if not _exists(name.replace(":", "."), tops)
    ]


def _texts(house: House) -> Iterator[tuple[Path, int, str]]:
    """Of every file: where a text begins, and the text; of Python its constants, of pages every line."""
    own = {module.path: module.tree for module in house.modules.values()}
    for folder in FOLDERS:
        for path in sorted((house.root / folder).rglob("*")):
            if path.is_relative_to(house.root / MADE_UP):
                continue
            if path.suffix == ".py":
                tree = own.get(path) or ast.parse(path.read_text(encoding="utf-8"), str(path))
                for node in ast.walk(tree):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str):
                        yield path, node.lineno, node.value
            elif path.suffix in PAGES:
                for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                    yield path, number, line


def _exists(name: str, tops: dict[str, set[str]]) -> bool:
    """Whether a name is a module, or stands at the top of one; what follows that, such as a method, is not looked at."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        if module in tops:
            return length == len(parts) or parts[length] in tops[module]
    return False


def _top_names(tree: ast.Module) -> set[str]:
    """What a module defines or imports at its top, under conditions too."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return names
