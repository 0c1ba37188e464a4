"""A user's own code, ``package.module:function``: the files it stands on, and whether it may be run: not, unless the user says so.

Nothing here imports it: imports are read from its text, so that asking what a folder would run runs nothing.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from foldwise.errors import RunError, SpecError
from foldwise.processes import try_apart
from foldwise.study.imports import Specs, find, imports_of, own_file, stamp, with_parents
from foldwise.study.training import NO_WEIGHTS_FILE, Training
from foldwise.text import some

LIBRARIES = ("timm", "smp", "torchvision")  # before a colon these name a library's network, and no module
CODE = "code"  # the folder of a model with the own code of its networks, as it was when they were trained
NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
IMPORT_S = 120.0  # for a module of own code, which may import torch from a slow disk

# A variable of the context and no argument: every function between a command and the one import of own code would have to
# hand it on, and one that forgot would run what nobody trusts. Here it is empty where nobody has said anything.
_trusted: ContextVar[frozenset[str]] = ContextVar("trusted", default=frozenset())


@dataclass(frozen=True)
class OwnCode:
    """All the code that a name stands on, outside installed packages and the standard library but for the module named.

    Attributes:
        files: module -> its file, as imports lead there; packages around a module are among them.
        not_followed: what leads further than text can be followed: ``helper.py:4 (exec)``.
    """

    name: str
    files: dict[str, Path]
    not_followed: tuple[str, ...]

    @property
    def module(self) -> str:
        """Where its function is."""
        return self.name.partition(":")[0]

    @property
    def digest(self) -> str:
        """Changes when, and only when, one of the files does, or there are others; empty where none was found."""
        digests = {module: content_of(path) for module, path in self.files.items()}
        if not digests:
            return ""
        if list(digests) == [self.module]:
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
        counted = (
            f"{some(files, 4)} {counts}, so that an edit trains anew" if files else "no file of it was found"
        )
        text = f"own code {self.module}: {counted}"
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
    """What a name stands on, followed through imports, also relative ones and those within functions.

    Of a module that is installed its own file counts, and nothing that it imports.
    """
    importlib.invalidate_caches()  # files may be newer than what the import system remembers
    files: dict[str, Path] = {}
    loose: list[str] = []
    specs: Specs = {}
    waiting, met = [name.partition(":")[0]], set[str]()
    while waiting:
        dotted = waiting.pop()
        for module in with_parents(dotted):
            if module in met:
                continue
            met.add(module)
            path = own_file(find(module, specs))
            if path is None:
                continue
            files[module] = path
            read = imports_of(path, *stamp(path))
            package = module if path.name.startswith("__init__.") else module.rpartition(".")[0]
            waiting += [full for step in read.steps for full in step.modules(package, specs)]
            loose += read.loose
    first = name.partition(":")[0]
    if first not in files:
        path = file_of(name)
        loose.append(f"{first} (installed)" if path else f"{name} (not found)")
        files |= {first: path} if path else {}
    return OwnCode(name, files, tuple(dict.fromkeys(loose)))


def file_of(name: str) -> Path | None:
    """The file that importing ``package.module:function`` would run; None where it is not found."""
    spec = find(name.partition(":")[0], {})
    return Path(spec.origin) if spec is not None and spec.origin and Path(spec.origin).is_file() else None


def content_of(path: Path) -> str:
    """The digest of what is in a file: ``sha256:`` and its digits."""
    return _content(path, *stamp(path))


# Size and time are arguments only so that a file that was edited is read anew.
@lru_cache(maxsize=1024)
def _content(path: Path, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return f"sha256:{file_digest(file, 'sha256').hexdigest()}"


def identity(training: Training) -> dict[str, Any]:
    """What of a training can change its result: all of it, a weights file by its content and not its place.

    Of a user's own ``package.module:function`` all the code counts that it imports, so that edited code is run again.
    """
    dump: dict[str, Any] = with_code(training.model_dump(mode="json"))
    if not dump["cache_views"]:  # so that what was done before there was such a key is still the same
        del dump["cache_views"]
    path = Path(training.weights)
    if training.weights not in NO_WEIGHTS_FILE and path.is_file():
        dump["weights"] = content_of(path)
    return dump


@contextmanager
def trusting(names: Collection[str], *, copies: Path | None = None) -> Iterator[None]:
    """Within it these ``package.module:function`` may be imported, and no others; also from the current folder.

    Args:
        copies: a folder of code that comes before the current one: what a model was trained with, and travels with it.
    """
    before, here, written = _trusted.set(frozenset(names)), os.getcwd(), sys.dont_write_bytecode
    paths = [str(path) for path in (copies, here) if path is not None]
    added = [path for path in paths if names and path not in sys.path]
    sys.path[:0] = added
    # The folder of copies holds what was sealed, and no more.
    sys.dont_write_bytecode = written or copies is not None
    try:
        yield
    finally:
        _trusted.reset(before)
        sys.dont_write_bytecode = written
        for path in added:
            with suppress(ValueError):
                sys.path.remove(path)


def trusted() -> frozenset[str]:
    """Names of own code that may be imported now."""
    return _trusted.get()


def refuse_untrusted(names: Collection[str], *, where: str | None = None, copies: Path | None = None) -> None:
    """Refuse own code that may not be imported now.

    Raises:
        RunError: says which file would be run, and how the user says that it may be.
    """
    refused = sorted(set(names) - trusted())
    if not refused:
        return
    with trusting(refused, copies=copies):  # so that the current folder is looked at; nothing is imported
        listed = "; ".join(
            f"{name} would run {file_of(name) or 'a file that is not here'}" for name in refused
        )
    raise RunError(
        f"code that did not come with foldwise is named, and was not run: {listed}",
        where=where,
        cure="Read it, with all that it imports. If you trust it, add --trust-code.",
    )


def unchanged_files(names: Collection[str], planned: Mapping[str, Mapping[str, str]]) -> dict[str, Path]:
    """Module -> file of own code that is as it was when it was `planned`: module -> its record with a ``digest``.

    Nothing of what is installed, which comes with its package, of what is compiled, or of what has changed.
    """
    files: dict[str, Path] = {}
    with trusting(names):  # so that the current folder is looked at; nothing is imported
        for code in map(own_code, sorted(names)):
            installed = f"{code.module} (installed)" in code.not_followed
            is_text = all(path.suffix == ".py" for path in code.files.values())
            if is_text and not installed and code.digest == planned.get(code.module, {}).get("digest"):
                files |= code.files
    return files


# What else is wrong with it is said where it is imported to be used.
_IMPORT = """
import importlib
try:
    importlib.import_module(given)
except BaseException:
    pass
"""


def refuse_unimportable(names: Collection[str], imported: set[str]) -> None:
    """Import the modules of own code in another process first, which they cannot end, or hold up without end, in silence.

    Args:
        imported: modules that were; these are added.

    Raises:
        RunError: nobody has said that they may be run.
        SpecError: one ends the program that imports it, or takes too long.
    """
    refuse_untrusted(names)
    for module in sorted({name.partition(":")[0] for name in names} - imported):
        ending = try_apart(_IMPORT, module, seconds=IMPORT_S).ending
        if ending:
            path = file_of(f"{module}:")
            raise SpecError(
                f"importing {module} {ending}",
                where=str(path) if path else None,
                cure="Move what runs long, or ends the program, from the top of the file into a function.",
            )
        imported.add(module)
