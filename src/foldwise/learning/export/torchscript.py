"""The winner as a TorchScript file: traced, for programs with libtorch."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from foldwise.errors import RunError
from foldwise.learning.export.graph import Ensemble, in_plain_operations
from foldwise.learning.export.onnx_file import quietly
from foldwise.learning.export.proof import Predictor


def write_torchscript(ensemble: Ensemble, images_NCHW: np.ndarray, path: Path) -> None:
    """Trace `ensemble` on two of the images; torch says that TorchScript will end, and still writes it.

    Raises:
        RunError: a user's own network decides by sizes or values, of which a trace takes only what the images take.
    """
    example = torch.from_numpy(np.concatenate([images_NCHW[:1], images_NCHW[-1:]]).astype(np.float32))
    with quietly(), in_plain_operations(), torch.no_grad(), warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always", torch.jit.TracerWarning)
        traced = torch.jit.trace(ensemble, (example,), check_trace=False)
    doubts = [str(each.message).splitlines()[0] for each in met if each.category is torch.jit.TracerWarning]
    if ensemble.is_own and doubts:
        what = f"the network decides by sizes or values, which a trace cannot follow ({doubts[0]:.160})"
        raise RunError(what, cure="Use another format.")
    with quietly():
        torch.jit.save(traced, str(path))


def run_torchscript(path: Path) -> Predictor:
    """The file as a callable, images in the values of their files to probabilities."""
    with quietly():
        module = torch.jit.load(str(path))

    @torch.no_grad()
    def run(images_NCHW: np.ndarray) -> np.ndarray:
        outputs: np.ndarray = module(torch.from_numpy(images_NCHW.astype(np.float32))).numpy()
        return outputs

    return run
