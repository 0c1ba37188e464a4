"""foldwise: which deep-learning model should I use on my images, how sure can I be, and what does it cost?

The public names are loaded when they are first used, so that `import foldwise` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foldwise.errors import (
        ClaimsFalse,
        DataError,
        FoldwiseError,
        ItemsFailed,
        MissingExtra,
        RunError,
        SpecError,
    )
    from foldwise.interface.api import check, claims, init, judge, open, report, run
    from foldwise.interface.models import app, evaluate, export, load, predict
    from foldwise.interface.results import Judged, Run
    from foldwise.interface.working import look, measure, plan, status, stop

_ERRORS = (
    "FoldwiseError",
    "SpecError",
    "DataError",
    "MissingExtra",
    "RunError",
    "ItemsFailed",
    "ClaimsFalse",
)
_PLACES = {
    **dict.fromkeys(("check", "claims", "init", "judge", "open", "report", "run"), "foldwise.interface.api"),
    **dict.fromkeys(("look", "measure", "plan", "status", "stop"), "foldwise.interface.working"),
    **dict.fromkeys(("app", "evaluate", "export", "load", "predict"), "foldwise.interface.models"),
    **dict.fromkeys(("Judged", "Run"), "foldwise.interface.results"),
    **dict.fromkeys(_ERRORS, "foldwise.errors"),
}
__all__ = [
    "ClaimsFalse",
    "DataError",
    "FoldwiseError",
    "ItemsFailed",
    "Judged",
    "MissingExtra",
    "Run",
    "RunError",
    "SpecError",
    "app",
    "check",
    "claims",
    "evaluate",
    "export",
    "init",
    "judge",
    "load",
    "look",
    "measure",
    "open",
    "plan",
    "predict",
    "report",
    "run",
    "status",
    "stop",
]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("foldwise")
    raise AttributeError(f"module 'foldwise' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
