"""A user's own code, ``package.module:function``: the files it stands on, and what of it cannot be followed.

Nothing here imports it: imports are read from its text, so that asking what a folder would run runs nothing.
"""

from __future__ import annotations

import ast
import importlib
import re
import site
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import file_digest, sha256
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ModuleSpec
from pathlib import Path
from typing import Any

from foldwise.text import some

LIBRARIES = ("timm", "smp", "torchvision")  # before a colon these name a library's network, and no module
NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
COMPILED = (*EXTENSION_SUFFIXES, *BYTECODE_SUFFIXES)

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
class OwnCode:
    """All the code that a name stands on, outside installed packages and the standard library.

    Attributes:
        files: module -> its file, as imports lead there; packages around a module are among them.
        not_followed: what leads further than text can be followed: ``helper.py:4 (exec)``.
    """

    name: str
    files: dict[str, Path]
    not_followed: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Changes when, and only when, one of the files does, or there are others; empty where none was found."""
        digests = {module: content_of(path) for module, path in self.files.items()}
        if not digests:
            return ""
        if list(digests) == [self.name.partition(":")[0]]:
            return next(iter(digests.values()))
        listed = "".join(f"{module} {digest}\n" for module, digest in sorted(digests.items()))
        return f"sha256:{sha256(listed.encode()).hexdigest()}"

    def record(self) -> dict[str, Any]:
        """What a run says of it, without the places of this machine."""
        return {"digest": self.digest, "files": len(self.files), "sentence": self.sentence}

    @property
    def sentence(self) -> str:
        """What of it counts for the ids of what is done, and what does not, in one line."""
        files = [path.name for path in self.files.values()]
        counts = "counts" if len(files) == 1 else "count"
        counted = f"own code {self.name}: {some(files, 4)} {counts}, so that an edit trains anew"
        text = counted if files else f"own code {self.name}: no file of it was found"
        return text + (f"; not followed: {some(self.not_followed, 4)}" if self.not_followed else "")


def is_own(name: str) -> bool:
    """Whether a name in a study is a user's own ``package.module:function``, and of no table or library."""
    return NAME.fullmatch(name) is not None and name.partition(":")[0] not in LIBRARIES


def own_names(value: Any, *, as_written: bool = False) -> frozenset[str]:
    """Names of own code among the choices in plain values, at any depth: those of a plan, or of the settings of an item.

    Args:
        as_written: of a study before it is checked, where any text or key may be such a name.
    """
    if as_written and isinstance(value, str):
        return frozenset([value] if is_own(value) else ())
    if isinstance(value, list | tuple):
        return frozenset().union(*(own_names(part, as_written=as_written) for part in value))
    if not isinstance(value, dict):
        return frozenset()
    name = str(value.get("name")) if value.keys() == {"name", "options"} else ""
    parts = [*value.values(), *(value if as_written else ())]
    return frozenset([name] if is_own(name) else ()).union(
        *(own_names(part, as_written=as_written) for part in parts)
    )


def with_code(value: Any) -> Any:
    """Plain values in which every choice of own code carries the digest of it: what an id is made of."""
    if isinstance(value, list | tuple):
        return [with_code(part) for part in value]
    if not isinstance(value, dict):
        return value
    inner = {key: with_code(part) for key, part in value.items()}
    name = value.get("name")
    if value.keys() == {"name", "options"} and isinstance(name, str) and is_own(name):
        code = own_code(name)
        # That nothing is found is said when the model or the loss is built.
        return inner | ({"code": code.digest} if code.files else {})
    return inner


def own_code(name: str) -> OwnCode:
    """What a name stands on, followed through imports, also relative ones and those within functions."""
    importlib.invalidate_caches()  # files may be newer than what the import system remembers
    files: dict[str, Path] = {}
    loose: list[str] = []
    specs: dict[str, ModuleSpec | None] = {}
    waiting, met = [name.partition(":")[0]], set[str]()
    while waiting:
        dotted = waiting.pop()
        for module in _with_parents(dotted):
            if module in met:
                continue
            met.add(module)
            path = _own_file(_find(module, specs))
            if path is None:
                continue
            files[module] = path
            read = _read(path, *_stamp(path))
            package = module if path.name.startswith("__init__.") else module.rpartition(".")[0]
            waiting += [full for step in read.steps for full in step.modules(package, specs)]
            loose += read.loose
    missing = [] if files or _find(name.partition(":")[0], specs) else [f"{name} (not found)"]
    return OwnCode(name, files, (*dict.fromkeys(loose), *missing))


def file_of(name: str) -> Path | None:
    """The file that importing ``package.module:function`` would run; None where it is not found."""
    spec = _find(name.partition(":")[0], {})
    return Path(spec.origin) if spec is not None and spec.origin and Path(spec.origin).is_file() else None


@dataclass(frozen=True)
class _Step:
    """An import as it is written: its module, names taken from it, and how many packages up it starts."""

    module: str
    names: tuple[str, ...] = ()
    level: int = 0

    def modules(self, package: str, specs: dict[str, ModuleSpec | None]) -> list[str]:
        """All modules that may be imported by it, by their whole names."""
        parts = package.split(".") if package else []
        start = parts[: len(parts) - self.level + 1] if self.level else []
        whole = ".".join([*start, *([self.module] if self.module else [])])
        spec = _find(whole, specs) if whole else None
        if "*" in self.names and spec is not None:
            # Which of them a package's __all__ names may be computed, so all of its modules count.
            around = [Path(place) for place in _places(spec, specs)]
            inside = [path.stem for place in around for path in sorted(place.glob("*.py"))]
            return [whole, *(f"{whole}.{stem}" for stem in inside if stem != "__init__")]
        # A name may be a module or something in one; one that is not found is the latter.
        return [whole, *(f"{whole}.{name}" for name in self.names)] if whole else list(self.names)


@dataclass(frozen=True)
class _Read:
    """What the text of one file imports, and where it leads to what no text names."""

    steps: tuple[_Step, ...]
    loose: tuple[str, ...]


# Size and time are arguments only so that a file that was edited is read anew.
@lru_cache(maxsize=1024)
def _read(path: Path, size: int, changed_ns: int) -> _Read:
    if path.suffix not in SOURCE_SUFFIXES:
        return _Read((), (f"{path.name} (compiled)",))
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _Read((), (f"{path.name} (no valid Python)",))
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
    return _Read(tuple(steps), tuple(dict.fromkeys(loose)))


def _imports(node: ast.AST) -> Iterator[_Step]:
    if isinstance(node, ast.Import):
        yield from (_Step(alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield _Step(node.module or "", tuple(alias.name for alias in node.names), node.level)


def _called(node: ast.Call, spelled: dict[str, str]) -> tuple[_Step | None, str]:
    """The import that a call is, and what of it cannot be followed; neither for all other calls."""
    written = _dotted(node.func)
    first, _, rest = written.partition(".")
    full = ".".join(filter(None, [spelled.get(first, first), rest]))
    if full in _IMPORTING:
        name = node.args[0] if node.args else None
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            level = len(name.value) - len(name.value.lstrip("."))
            return _Step(name.value.lstrip("."), level=level), ""
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


def _with_parents(dotted: str) -> list[str]:
    """The packages around a module, which are run when it is imported, and it."""
    parts = dotted.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _find(module: str, specs: dict[str, ModuleSpec | None]) -> ModuleSpec | None:
    """Where a module lies. `importlib.util.find_spec` would import, and so run, the packages around it."""
    if module not in specs:
        above, _, _ = module.rpartition(".")
        spec_above = _find(above, specs) if above else None
        places = _places(spec_above, specs) if spec_above is not None else None
        specs[module] = None if above and not places else _first_spec(module, places)
    return specs[module]


def _first_spec(module: str, places: list[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        try:
            spec = find(module, places) if find is not None else None
        except (ImportError, ValueError, KeyError, OSError):
            continue
        if isinstance(spec, ModuleSpec):
            return spec
    return None


def _places(spec: ModuleSpec, specs: dict[str, ModuleSpec | None]) -> list[str]:
    """The folders in which modules of a package lie."""
    if spec.origin is None and "." in spec.name:
        # A package without __init__.py asks its imported parent, and nothing is imported here.
        above, _, last = spec.name.rpartition(".")
        spec_above = _find(above, specs)
        folders = [Path(place) / last for place in (_places(spec_above, specs) if spec_above else [])]
        return [str(folder) for folder in folders if folder.is_dir()]
    return list(spec.submodule_search_locations or ())


def _own_file(spec: ModuleSpec | None) -> Path | None:
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


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns


def content_of(path: Path) -> str:
    """The digest of what is in a file: ``sha256:`` and its digits."""
    return _content(path, *_stamp(path))


# Size and time are arguments only so that a file that was edited is read anew.
@lru_cache(maxsize=1024)
def _content(path: Path, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return f"sha256:{file_digest(file, 'sha256').hexdigest()}"
