"""Which modules are rows of a table: a table at a growing edge may have many small ones with one importer."""

from __future__ import annotations

import ast
from collections.abc import Set

from tools.house.tree import Module, import_base, imported_modules


def is_row(name: str, importer: Module, names: Set[str]) -> bool:
    """Whether the module `name` is a row of a table in `importer`.

    It is where something imported from it stands in a table: a constant in capitals at module level, or the argument
    of a call there, as commands are handed to the command line. So it is where a function that stands in a table
    imports it, or a text such as ``"package.module:function"`` names it, which is how rows are loaded late.

    Args:
        name: dotted, of the module that may be a row.
        importer: the module that imports it.
        names: of all modules of the package.
    """
    nodes = [node for table in _tables(importer.tree) for node in ast.walk(table)]
    in_tables = {node.id for node in nodes if isinstance(node, ast.Name)}
    if in_tables & _names_from(name, importer):
        return True
    for node in importer.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in in_tables:
            nodes.extend(ast.walk(node))
    return name in imported_modules(nodes, importer.folder, names)


def _tables(tree: ast.Module) -> list[ast.AST]:
    """The values of constants in capitals, and what calls at module level are given."""
    tables: list[ast.AST] = []
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if all(isinstance(target, ast.Name) and target.id.isupper() for target in targets):
                tables.append(node.value)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            tables.extend(node.value.args)
    return tables


def _names_from(name: str, importer: Module) -> set[str]:
    """What `importer` calls the module `name`, and what it imports from it."""
    names: set[str] = set()
    for node in ast.walk(importer.tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = import_base(node, importer.folder)
        for alias in node.names:
            if name in (base, f"{base}.{alias.name}"):
                names.add(alias.asname or alias.name)
    return names
