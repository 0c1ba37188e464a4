"""Imports of Python files, read from their text and never run: which modules they lead to, and what no text names."""

from __future__ import annotations

import ast
import site
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ModuleSpec
from pathlib import Path

COMPILED = (*EXTENSION_SUFFIXES, *BYTECODE_SUFFIXES)
Specs = dict[str, ModuleSpec | None]  # where modules lie that were looked for

# What leads to code that no text names, by what is called or imported.
_NOT_FOLLOWED = {
    "exec": "exec", "eval": "eval", "compile": "compile", "runpy.run_path": "runpy", "runpy.run_module": "runpy",
    "importlib.util.spec_from_file_location": "a module loaded by its path",
    "importlib.machinery.SourceFileLoader": "a module loaded by its path",
    "ctypes": "ctypes", "cffi": "cffi", "torch.hub.load": "torch.hub", "torch.ops.load_library": "a compiled library",
    "torch.utils.cpp_extension.load": "a compiled extension", "torch.utils.cpp_extension.load_inline": "a compiled extension",
    "torch.jit.load": "a compiled network", "sys.path.append": "a changed sys.path", "sys.path.insert": "a changed sys.path",
    "sys.path.extend": "a changed sys.path", "site.addsitedir": "a changed sys.path",
}  # fmt: skip
_OPENS = {"open", "io.open", "torch.load", "numpy.load", "numpy.loadtxt", "numpy.genfromtxt", "pickle.load"}
_OPENS |= {"pandas.read_csv", "safetensors.torch.load_file", "torch.hub.load_state_dict_from_url"}
_OPENING = {"read_text", "read_bytes", "open"}  # methods of a path
_IMPORTING = ("importlib.import_module", "__import__", "importlib.__import__")


@dataclass(frozen=True)
class Import:
    """An import as it is written: its module, names taken from it, and how many packages up it starts."""

    module: str
    names: tuple[str, ...] = ()
    level: int = 0

    def modules(self, package: str, specs: Specs) -> list[str]:
        """All modules that may be imported by it, by their whole names."""
        parts = package.split(".") if package else []
        start = parts[: len(parts) - self.level + 1] if self.level else []
        whole = ".".join([*start, *([self.module] if self.module else [])])
        spec = find(whole, specs) if whole else None
        if "*" in self.names and spec is not None:
            # Which of them a package's __all__ names may be computed, so all of its modules count.
            around = [Path(folder) for folder in folders_of(spec, specs)]
            inside = [path.stem for folder in around for path in sorted(folder.glob("*.py"))]
            return [whole, *(f"{whole}.{stem}" for stem in inside if stem != "__init__")]
        # A name may be a module or something in one; one that is not found is the latter.
        return [whole, *(f"{whole}.{name}" for name in self.names)] if whole else list(self.names)


@dataclass(frozen=True)
class Imports:
    """What the text of one file imports, and where it leads to what no text names."""

    steps: tuple[Import, ...]
    loose: tuple[str, ...]


# Size and time are arguments only so that a file that was edited is read anew.
@lru_cache(maxsize=1024)
def imports_of(path: Path, size: int, changed_ns: int) -> Imports:
    """What a file imports; `size` and `changed_ns` are its `stamp`."""
    if path.suffix not in SOURCE_SUFFIXES:
        return Imports((), (f"{path.name} (compiled)",))
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Imports((), (f"{path.name} (no valid Python)",))
    steps = [step for node in ast.walk(tree) for step in _imports(node)]
    spelled = {
        (alias.asname or alias.name.partition(".")[0]): (
            alias.name if alias.asname else alias.name.partition(".")[0]
        )
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        (alias.asname or alias.name): f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        for alias in node.names
    }
    loose = []
    for step in steps:
        top = step.module.partition(".")[0]
        if not step.level and top in _NOT_FOLLOWED:
            loose.append(f"{path.name} ({_NOT_FOLLOWED[top]})")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called, what = _called(node, spelled)
            steps += [called] if called else []
            loose += [f"{path.name}:{node.lineno} ({what})"] if what else []
    return Imports(tuple(steps), tuple(dict.fromkeys(loose)))


def _imports(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield Import(node.module or "", tuple(alias.name for alias in node.names), node.level)


def _called(node: ast.Call, spelled: dict[str, str]) -> tuple[Import | None, str]:
    """The import that a call is, and what of it cannot be followed; neither for all other calls."""
    written = _dotted(node.func)
    first, _, rest = written.partition(".")
    full = ".".join(filter(None, [spelled.get(first, first), rest]))
    if full in _IMPORTING:
        name = node.args[0] if node.args else None
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            level = len(name.value) - len(name.value.lstrip("."))
            return Import(name.value.lstrip("."), level=level), ""
        return None, "an import with a computed name"
    if full in _NOT_FOLLOWED:
        return None, _NOT_FOLLOWED[full]
    opens = full in _OPENS or (isinstance(node.func, ast.Attribute) and node.func.attr in _OPENING)
    return None, "a file it opens" if opens else ""


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return node.id if isinstance(node, ast.Name) else ""


def with_parents(dotted: str) -> list[str]:
    """The packages around a module, which are run when it is imported, and it."""
    parts = dotted.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def find(module: str, specs: Specs) -> ModuleSpec | None:
    """Where a module lies. `importlib.util.find_spec` would import, and so run, the packages around it."""
    if module not in specs:
        above, _, _ = module.rpartition(".")
        spec_above = find(above, specs) if above else None
        folders = folders_of(spec_above, specs) if spec_above is not None else None
        specs[module] = None if above and not folders else _first_spec(module, folders)
    return specs[module]


def _first_spec(module: str, folders: list[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        look = getattr(finder, "find_spec", None)
        try:
            spec = look(module, folders) if look is not None else None
        except (ImportError, ValueError, KeyError, OSError):
            continue
        if isinstance(spec, ModuleSpec):
            return spec
    return None


def folders_of(spec: ModuleSpec, specs: Specs) -> list[str]:
    """The folders in which modules of a package lie."""
    if spec.origin is None and "." in spec.name:
        # A package without __init__.py asks its imported parent, and nothing is imported here.
        above, _, last = spec.name.rpartition(".")
        spec_above = find(above, specs)
        folders = [Path(folder) / last for folder in (folders_of(spec_above, specs) if spec_above else [])]
        return [str(folder) for folder in folders if folder.is_dir()]
    return list(spec.submodule_search_locations or ())


def own_file(spec: ModuleSpec | None) -> Path | None:
    """The file of a module, unless it is installed or of Python itself."""
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    if path.suffix not in (*SOURCE_SUFFIXES, *BYTECODE_SUFFIXES) and not path.name.endswith(COMPILED):
        return None
    resolved = path.resolve()
    installed = {"site-packages", "dist-packages"} & set(resolved.parts)
    if installed or not path.is_file() or any(resolved.is_relative_to(root) for root in _installed()):
        return None
    return path


@lru_cache(maxsize=1)
def _installed() -> tuple[Path, ...]:
    """Folders of the standard library, of installed packages and of foldwise itself."""
    paths = sysconfig.get_paths()
    named = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    named |= {*site.getsitepackages(), site.getusersitepackages(), str(Path(__file__).parents[1])}
    return tuple(Path(name).resolve() for name in named)


def stamp(path: Path) -> tuple[int, int]:
    """The size of a file, and when it was changed, in nanoseconds."""
    about = path.stat()
    return about.st_size, about.st_mtime_ns
