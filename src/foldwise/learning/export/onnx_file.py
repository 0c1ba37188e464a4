"""The winner as an ONNX file: written by torch, read by onnxruntime."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foldwise.errors import MissingExtra, RunError, need, refuse_without
from foldwise.learning.export.graph import IMAGE, PROBABILITIES, Ensemble, in_plain_operations
from foldwise.learning.export.proof import Predictor, compared, of_other_sizes

EXTRA = "export"
OPSET = 20  # what onnxruntime of 1.17 (2024) and later, and so most programs, run


def write_graph(
    ensemble: Ensemble,
    images_NCHW: np.ndarray,
    path: Path,
    networks: Predictor,
    *,
    threads: int,
    about: Mapping[str, str],
) -> OnnxModel:
    """Write `ensemble` as an ONNX file that takes any number of images, of any size where that can be had; the file opened.

    Any size is tried on two that no stride divides, against `networks`. Where the two differ, or the network is of one
    size, the file is for the size of these images.

    Args:
        images_NCHW: images in the values of their files.
        networks: what the graph is to give.
        about: what the file says of itself, name -> text.

    Raises:
        MissingExtra: a package is not installed.
        RunError: the networks cannot be written as a graph.
    """
    twice = np.concatenate([images_NCHW[:1], images_NCHW[-1:]])  # of one image, the number would be fixed
    example = torch.from_numpy(twice.astype(np.float32))
    reason = ""
    for any_size in (True, False):
        try:
            _write(ensemble, example, path, any_size=any_size, about=about)
            model = OnnxModel(path, threads=threads)
            if not any_size or _takes_any_size(model, networks, images_NCHW, several=ensemble.several):
                return model
        except MissingExtra:
            raise
        # Whatever torch, onnx and onnxruntime meet in a network: no word for an operation, control flow, types.
        except Exception as error:
            reason = f"{type(error).__name__}: {(str(error).strip() or 'no reason').splitlines()[0]:.200}"
    raise RunError(f"the winner cannot be written as a graph ({reason})", cure="Use another format.")


def _takes_any_size(model: OnnxModel, networks: Predictor, images_NCHW: np.ndarray, *, several: bool) -> bool:
    others = of_other_sizes(images_NCHW)
    return compared(
        [model(images) for images in others], [networks(images) for images in others], several=several
    ).is_equal


def _write(
    ensemble: Ensemble, example: torch.Tensor, path: Path, *, any_size: bool, about: Mapping[str, str]
) -> None:
    """Trace it, in 0.1 to 1 s a network; what cannot be traced is captured as a program, in 5 to 20 s, which can follow more.

    So is a user's own code: a trace takes the branches that the example takes, and a program refuses to guess.
    """
    onnx = need("onnx", EXTRA)
    axes = {0: "batch"} | ({2: "height", 3: "width"} if any_size else {})
    with quietly(), in_plain_operations(), torch.no_grad():
        try:
            if ensemble.is_own:
                _capture(ensemble, example, path, axes)
            else:
                _trace(ensemble, example, path, axes)
        except Exception:  # operations that tracing has no word for, and whatever else
            if ensemble.is_own:
                raise
            _capture(ensemble, example, path, axes)
    model = onnx.load(str(path))
    for name, text in about.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, text
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _trace(ensemble: Ensemble, example: torch.Tensor, path: Path, axes: Mapping[int, str]) -> None:
    names: dict[str, Any] = {"input_names": [IMAGE], "output_names": [PROBABILITIES], "opset_version": OPSET}
    dynamic = {IMAGE: dict(axes), PROBABILITIES: dict(axes) if ensemble.by_pixel else {0: "batch"}}
    torch.onnx.export(ensemble, (example,), str(path), dynamo=False, dynamic_axes=dynamic, **names)


def _capture(ensemble: Ensemble, example: torch.Tensor, path: Path, axes: Mapping[int, str]) -> None:
    need("onnxscript", EXTRA)
    program = torch.onnx.export(
        ensemble,
        (example,),
        dynamo=True,
        dynamic_shapes=(dict(axes),),
        input_names=[IMAGE],
        output_names=[PROBABILITIES],
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None  # it is where no path is given
    program.save(str(path), external_data=False)


@contextmanager
def quietly() -> Iterator[None]:
    """Within it, exporters print nothing: they report progress, graphs of thousands of lines and what is to change one day."""
    before = logging.root.manager.disable
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)


class OnnxModel:
    """An ONNX file in onnxruntime, on the CPU: images (N, C, H, W) in the values of their files to probabilities.

    Raises:
        MissingExtra: onnxruntime is not installed.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        runtime = need("onnxruntime", EXTRA)
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4  # its errors are raised as well
        # By its bytes: a path would let the file name others, wherever they lie.
        self.session = runtime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        self.about: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)

    def __call__(self, images_NCHW: np.ndarray) -> np.ndarray:
        """Probabilities (N, K) or (N, K, H, W), float32."""
        (outputs,) = self.session.run(None, {IMAGE: images_NCHW.astype(np.float32)})
        probabilities: np.ndarray = outputs
        return probabilities


def missing() -> MissingExtra | None:
    """Why ONNX files can be neither written nor run here; None where they can."""
    for module in ("onnxruntime", "onnx"):
        try:
            refuse_without(module, EXTRA)
        except MissingExtra as error:
            return error
    return None
