"""Networks without the compiler of torch, which libraries and the meta device ask for and nothing here uses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

_COMPILER, _CHECKS = "torch._dynamo", "torch._dynamo.utils"
_KEPT = "__dynamo_disable"  # where torch keeps what the compiler made of a function


def library(name: str) -> Any:
    """The module of a library of networks, imported without the compiler.

    At their import timm and torchvision ask it for two functions, which do nothing where nothing is compiled. It takes
    1.1 s of CPU and 140 MB in every process, more than half of what timm takes.
    """
    with without_compiler():
        return import_module(name)


@contextmanager
def without_compiler() -> Iterator[None]:
    """Within it nobody imports the compiler by the way; whoever asks for more than that nothing be compiled gets it whole.

    The meta device marks its arithmetic as not to be compiled, whatever network it is of.
    """
    if _COMPILER in sys.modules:
        yield
        return
    marked: list[Any] = []

    def disable(function: Any = None, *_: Any, **__: Any) -> Any:
        if function is None:
            return disable
        marked.append(function)
        return function

    compiler, checks = _Later(_COMPILER), _Later(_CHECKS)
    vars(compiler)["disable"] = disable
    vars(checks)["is_compile_supported"] = _is_compile_supported
    sys.modules.update({_COMPILER: compiler, _CHECKS: checks})
    try:
        yield
    finally:
        _give_way()
        for function in marked:  # the compiler marks them itself, should it come
            vars(function).pop(_KEPT, None)


class _Later(ModuleType):
    """In place of a module of the compiler: whoever asks for more than it has gets all that the module has."""

    def __getattr__(self, name: str) -> Any:
        # Whoever looks through all modules, as `inspect` does, asks for nothing; and only of a package is there a path.
        if name.startswith("__") and (name, self.__name__) != ("__path__", _COMPILER):
            raise AttributeError(name)
        _give_way()
        return getattr(import_module(self.__name__), name)


def _give_way() -> None:
    for name in (_COMPILER, _CHECKS):
        if isinstance(sys.modules.get(name), _Later):
            del sys.modules[name]


def _is_compile_supported(device: str) -> bool:
    """What the compiler says of a kind of device, asked when it matters."""
    return bool(import_module(_CHECKS).is_compile_supported(device))
