"""`LIBRARIES`: a row for each library that makes networks by name, which is imported when a name asks for it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from foldwise.learning.networks.libraries.request import ModelRequest, Part


def _by(module: str, function: str) -> Callable[[ModelRequest], Part]:
    """A function that is imported when it is called: each library takes seconds, and 100 MB and more of memory."""

    def make(request: ModelRequest) -> Part:
        part: Part = getattr(import_module(f"foldwise.learning.networks.libraries.{module}"), function)(
            request
        )
        return part

    return make


# What stands before the colon of a name -> what makes the network behind it.
LIBRARIES: dict[str, Callable[[ModelRequest], Part]] = {
    "timm": _by("timm_encoders", "encoder"),
    "smp": _by("smp_segmenters", "segmenter"),
    "torchvision": _by("torchvision_encoders", "encoder"),
}
