"""The winner as one graph: images with the values of their files go in, the mean probabilities of its networks come out.

As an ONNX file, which torch writes and onnxruntime reads, too.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldwise.data.batches.normalize import SMALLEST_STD, WHITE, Normalization, normalized
from foldwise.errors import MissingExtra, RunError, need, refuse_without
from foldwise.learning.export.proof import Predictor, compared, of_other_sizes
from foldwise.learning.networks.network import Classifier
from foldwise.learning.training.scoring import probabilities
from foldwise.study.own_code import is_own

if TYPE_CHECKING:
    from foldwise.learning.checkpoints.saved import Member, Winner
IMAGE, PROBABILITIES = "image", "probabilities"  # the names of what goes in and what comes out
EXTRA = "export"
OPSET = 20  # what onnxruntime of 1.17 (2024) and later, and so most programs, run


class Normalized(nn.Module):
    """Images (N, C, H, W), 0..255 for 8 bit, to what a network learned from."""

    mean_1C: Tensor
    std_1C: Tensor

    def __init__(self, normalization: Normalization) -> None:
        super().__init__()
        self.by_image = normalization.kind == "image"
        self.least_std = SMALLEST_STD * WHITE[normalization.dtype]
        if not self.by_image:
            self.register_buffer("mean_1C", torch.tensor([normalization.mean], dtype=torch.float32))
            self.register_buffer("std_1C", torch.tensor([normalization.std], dtype=torch.float32))

    def forward(self, raw_NCHW: Tensor) -> Tensor:
        """(value - mean) / std."""
        if not self.by_image:
            return normalized(raw_NCHW, self.mean_1C, self.std_1C)
        # Around the mean: of 16-bit values, the mean of the squares has too few digits in single precision.
        centred = raw_NCHW - raw_NCHW.mean((2, 3), keepdim=True)
        std_NC11 = centred.square().mean((2, 3), keepdim=True).sqrt().clamp(min=self.least_std)
        return centred / std_NC11


class Ensemble(nn.Module):
    """Images (N, C, H, W), float32 in the values of their files, to probabilities (N, K) or (N, K, H, W), float32.

    What members share is done once: the normalisation, and the encoder that was frozen for all folds.

    Attributes:
        is_own: whether the networks are a user's own code, which may decide by values, as those of libraries do not.
    """

    def __init__(self, winner: Winner) -> None:
        super().__init__()
        self.task = winner.model.task
        self.by_pixel, self.several = self.task.endswith("segmentation"), self.task.startswith("multilabel")
        self.is_own = is_own(winner.model.training.model.name)
        self.normalizations, self.bodies, self.heads = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.of_normalization: list[int] = []  # which one each body takes
        self.of_body: list[int] = []  # and which body each head
        keys: list[Normalization] = []
        shared: dict[tuple[str, int], int] = {}
        for member in winner.members:
            normalization, network = member.model.normalization, member.network
            if normalization not in keys:
                keys.append(normalization)
                self.normalizations.append(Normalized(normalization))
            key = (member.model.encoder_from or "", keys.index(normalization))
            halves = is_of_shared_encoder(member)
            if not halves or key not in shared:
                shared[key] = len(self.bodies)
                self.bodies.append(Features(cast("Classifier", network)) if halves else network)
                self.of_normalization.append(key[1])
            self.of_body.append(shared[key])
            self.heads.append(cast("Classifier", network).head if halves else nn.Identity())
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """The mean over the members."""
        inputs = [normalization(image) for normalization in self.normalizations]
        outputs = [
            body(inputs[index]) for body, index in zip(self.bodies, self.of_normalization, strict=True)
        ]
        each = [
            probabilities(head(outputs[index]), self.task)
            for head, index in zip(self.heads, self.of_body, strict=True)
        ]
        return sum(each[1:], each[0]) / len(each)


class Features(nn.Module):
    """The encoder of a network as a module of its own: images to features (N, F)."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """What the head is given."""
        return self.network.features(x_NCHW)


def is_of_shared_encoder(member: Member) -> bool:
    """Whether a member is a head on an encoder that all members of that `encoder_from` have, number by number."""
    return member.model.encoder_from is not None and isinstance(member.network, Classifier)


@contextmanager
def in_plain_operations() -> Iterator[None]:
    """Within it, networks do what graphs have no word for by plain operations.

    These are fused transformers, and pooling to a number of pixels of images whose size is not fixed.
    """
    pool, fused = F.adaptive_avg_pool2d, torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    F.adaptive_avg_pool2d = _pooled  # what modules call as well
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        F.adaptive_avg_pool2d = pool


def _pooled(x_NCHW: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """What `adaptive_avg_pool2d` gives: every row and column of the output is the mean of a window of the input."""
    size_hw = (output_size, output_size) if isinstance(output_size, int) else output_size
    height, width = (
        length if size is None else size for size, length in zip(size_hw, x_NCHW.shape[-2:], strict=True)
    )
    if (height, width) == (1, 1):
        return x_NCHW.mean((-2, -1), keepdim=True)
    rows = _windows(x_NCHW, x_NCHW.shape[-2], height)
    columns = _windows(x_NCHW, x_NCHW.shape[-1], width)
    return rows @ x_NCHW @ columns.transpose(0, 1)


def _windows(like: Tensor, length: int, num: int) -> Tensor:
    """(num, length): the share of every pixel in each window, from ``floor(k length / num)`` to ``ceil((k + 1) length / num)``."""
    index, window = (
        torch.arange(length, device=like.device)[None],
        torch.arange(num, device=like.device)[:, None],
    )
    start, stop = window * length // num, ((window + 1) * length + num - 1) // num
    return ((index >= start) & (index < stop)).to(like.dtype) / (stop - start).to(like.dtype)


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
