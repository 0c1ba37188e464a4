"""The modules of the package, what each imports, and the floors that the import contract names."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Module:
    """One file of Python.

    Attributes:
        name: dotted, such as ``foldwise.data.cases``; a package has the name of its folder.
        path: the file.
        is_package: whether the file is an ``__init__.py``.
        source: the text of the file.
        tree: the text, parsed.
        imports: the modules of the package that this one imports anywhere, for type checkers only included.
        runtime_imports: the same without what stands under ``if TYPE_CHECKING``.
    """

    name: str
    path: Path
    is_package: bool
    source: str
    tree: ast.Module
    imports: frozenset[str]
    runtime_imports: frozenset[str]

    @property
    def floor(self) -> str:
        """What stands directly in the root folder: ``data``, ``errors``; ``__init__`` for the root package."""
        return self.name.split(".")[1] if "." in self.name else "__init__"

    @property
    def folder(self) -> str:
        """The dotted name of the folder that holds the file."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @property
    def num_lines(self) -> int:
        """Lines of the file: code, docstrings, comments and empty ones."""
        return len(self.source.splitlines())

    @property
    def sentence(self) -> str:
        """The first sentence of the docstring; empty where there is none."""
        paragraph = (ast.get_docstring(self.tree) or "").split("\n\n")[0]
        return re.split(r"(?<=[.!?])\s", " ".join(paragraph.split()))[0]


@dataclass(frozen=True)
class House:
    """The package as it stands.

    Attributes:
        root: the folder of the repository.
        package: the name of the root package.
        levels: the floors from the top down, as the import contract has them; siblings share a level.
        modules: by dotted name, in order of their names.
    """

    root: Path
    package: str
    levels: tuple[tuple[str, ...], ...]
    modules: dict[str, Module]

    @property
    def source(self) -> Path:
        """The folder of the root package."""
        return self.root / "src" / self.package

    @property
    def floors(self) -> tuple[str, ...]:
        """The floors that hold a module, from the top down; first those that the contract does not name."""
        present = {module.floor for module in self.modules.values()}
        named = [floor for level in self.levels for floor in level]
        return (*sorted(present - set(named)), *(floor for floor in named if floor in present))

    @cached_property
    def importers(self) -> dict[str, set[str]]:
        """The modules that import each module."""
        importers: dict[str, set[str]] = {name: set() for name in self.modules}
        for module in self.modules.values():
            for imported in module.imports:
                importers[imported].add(module.name)
        return importers

    def on_floor(self, floor: str) -> list[Module]:
        """The modules of one floor."""
        return [module for module in self.modules.values() if module.floor == floor]


def read_house(root: Path) -> House:
    """The house below the repository folder `root`."""
    config = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    package = config["root_package"]
    paths = sorted((root / "src" / package).rglob("*.py"))
    names = {_dotted(path.relative_to(root / "src")): path for path in paths}
    modules = {name: _read_module(name, path, frozenset(names)) for name, path in sorted(names.items())}
    return House(root, package, _levels(config["contracts"]), modules)


def _levels(contracts: list[dict[str, object]]) -> tuple[tuple[str, ...], ...]:
    """The floors of the contract of type ``layers``; ``a | b`` and ``a : b`` are siblings, ``(a)`` may be absent."""
    for contract in contracts:
        if contract["type"] == "layers":
            layers = contract["layers"]
            assert isinstance(layers, list)
            return tuple(tuple(re.findall(r"\w+", layer)) for layer in layers)
    raise ValueError("pyproject.toml has no contract of type 'layers' in [tool.importlinter]")


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read_module(name: str, path: Path, names: Set[str]) -> Module:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, str(path))
    is_package = path.name == "__init__.py"
    folder = name if is_package else name.rpartition(".")[0]
    imports = frozenset(imported_modules(ast.walk(tree), folder, names) - {name})
    runtime = frozenset(imported_modules(_runtime_nodes(tree), folder, names) - {name})
    return Module(name, path, is_package, source, tree, imports, runtime)


def imported_modules(nodes: Iterable[ast.AST], folder: str, names: Set[str]) -> set[str]:
    """Those of `names` that the nodes import: by a statement, or by a text such as ``"package.module:function"``."""
    imports: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = import_base(node, folder)
            imports |= {inner if (inner := f"{base}.{alias.name}") in names else base for alias in node.names}
        elif isinstance(node, ast.Constant) and re.fullmatch(r"[\w.]+:\w+", str(node.value)):
            imports.add(str(node.value).partition(":")[0])
    return imports & names


def import_base(node: ast.ImportFrom, folder: str) -> str:
    """The module that a ``from`` statement in `folder` imports from, dots resolved."""
    if not node.level:
        return node.module or ""
    above = folder.split(".")[: len(folder.split(".")) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below `node`, those under ``if TYPE_CHECKING`` left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from _runtime_nodes(other)
        else:
            yield child
            yield from _runtime_nodes(child)
