"""Which of the code that a study or a folder names may be run: none, unless the user has said so."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from foldwise.errors import RunError, SpecError
from foldwise.processes import try_apart
from foldwise.study.own_code import file_of, own_code

IMPORT_S = 120.0  # for a module of own code, which may import torch from a slow disk

# A variable of the context and no argument: every function between a command and the one import of own code would have to
# hand it on, and one that forgot would run what nobody trusts. Here it is empty where nobody has said anything.
_trusted: ContextVar[frozenset[str]] = ContextVar("trusted", default=frozenset())


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
