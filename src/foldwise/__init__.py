"""foldwise: which deep-learning model should I use on my images, how sure can I be, and what does it cost?

The public names are loaded when they are first used, so that `import foldwise` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foldwise.interface.api import Run, check, open_run, predict, run

__all__ = ["Run", "check", "open_run", "predict", "run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from foldwise.interface import api

        return getattr(api, name)
    raise AttributeError(f"module 'foldwise' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
