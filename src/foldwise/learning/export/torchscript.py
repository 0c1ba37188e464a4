"""The winner as a TorchScript file: traced, for programs with libtorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from foldwise.learning.export.graph import Ensemble, in_plain_operations
from foldwise.learning.export.onnx_file import quietly
from foldwise.learning.export.proof import Predictor


def write_torchscript(ensemble: Ensemble, images_NCHW: np.ndarray, path: Path) -> None:
    """Trace `ensemble` on two of the images; torch says that TorchScript will end, and still writes it."""
    example = torch.from_numpy(np.concatenate([images_NCHW[:1], images_NCHW[-1:]]).astype(np.float32))
    with quietly(), in_plain_operations(), torch.no_grad():
        torch.jit.save(torch.jit.trace(ensemble, (example,), check_trace=False), str(path))


def run_torchscript(path: Path) -> Predictor:
    """The file as a callable, images in the values of their files to probabilities."""
    with quietly():
        module = torch.jit.load(str(path))

    @torch.no_grad()
    def run(images_NCHW: np.ndarray) -> np.ndarray:
        outputs: np.ndarray = module(torch.from_numpy(images_NCHW.astype(np.float32))).numpy()
        return outputs

    return run
