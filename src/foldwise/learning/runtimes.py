"""What answers for the winner: its networks in torch, or one graph of them in onnxruntime, proven to be equal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from foldwise.data.batches.normalize import normalized
from foldwise.errors import FoldwiseError, SpecError, unknown
from foldwise.learning.checkpoints.winner import GRAPH, digest_of_networks
from foldwise.learning.export.graph import (
    Ensemble,
    Features,
    OnnxModel,
    is_of_shared_encoder,
    missing,
    write_graph,
)
from foldwise.learning.export.proof import Agreement, Predictor, compared
from foldwise.learning.networks.network import Classifier, layout_for
from foldwise.learning.networks.tiles import LARGEST_PX
from foldwise.learning.networks.zoo.vim import SelectiveScan
from foldwise.learning.training.devices import precision_for

if TYPE_CHECKING:
    from foldwise.learning.checkpoints.saved import Member, Winner
from foldwise.learning.training.scoring import ForwardPass, probabilities
from foldwise.sealed import Damaged, read_json, seal, verified
from foldwise.storage import folder_replaced

RUNTIMES = ("auto", "torch", "onnxruntime")
MODEL_FILE, RECORD_FILE = "model.onnx", "export.json"  # in the folder `GRAPH` of a winner
# From so many images on, a graph is written for them: that takes as long as 30 to 70 images take in torch, and makes the
# others 1.05 to 2 times faster. By number and not by a timing, which noise would decide.
MIN_IMAGES = 128


class TorchRuntime:
    """The networks of the winner in torch, on the device where they lie; `why` not in onnxruntime, if that was open.

    Images beyond the budget of `tiles` go through in tiles, but where they are tiles already (`of_tiles`).
    """

    def __init__(
        self, winner: Winner, device: torch.device, why: str = "", *, of_tiles: bool = False
    ) -> None:
        self.winner, self.device, self.why, self.of_tiles = winner, device, why, of_tiles

    @torch.inference_mode()
    def __call__(self, images_NCHW: np.ndarray) -> np.ndarray:
        """Mean probabilities of all members, of images as they are fed to them: (N, K), or (N, K, H, W)."""
        shared: dict[Any, Tensor] = {}
        each = [self._asked(member, images_NCHW, shared) for member in self.winner.members]
        mean: np.ndarray = (sum(each[1:], each[0]) / len(each)).cpu().numpy()
        return mean

    def _asked(self, member: Member, images_NCHW: np.ndarray, shared: dict[Any, Tensor]) -> Tensor:
        """What one member says; features of an encoder that several have are computed once, into `shared`."""
        model, network = member.model, member.network
        precision = precision_for(model.training.precision, self.device)
        layout = layout_for(network)
        forward = ForwardPass(model.task, len(model.classes), self.device, precision, layout, self.of_tiles)
        if not is_of_shared_encoder(member):
            logits = forward.logits(network, self._inputs(member, images_NCHW))
            return probabilities(logits, model.task)
        halves, key = cast("Classifier", network), (model.encoder_from, model.normalization)
        if key not in shared:
            shared[key] = forward.logits(Features(halves), self._inputs(member, images_NCHW))
        return probabilities(forward.logits(halves.head, shared[key]), model.task)

    @torch.inference_mode()
    def features(self, image_1CHW: np.ndarray) -> np.ndarray | None:
        """What the encoder of the first member makes of an image, (F,); None of a network that has no such part.

        Of feature maps the last, which are the deepest, and their mean over the image.
        """
        member = self.winner.members[0]
        encoder = member.network.part("encoder")
        if encoder is None:
            return None
        outputs: list[Any] = []
        hook = encoder.register_forward_hook(lambda _, __, output: outputs.append(output))
        try:
            self._asked(member, image_1CHW, {})
        finally:
            hook.remove()
        maps = [output[-1] if isinstance(output, list | tuple) else output for output in outputs]
        if not maps or not all(isinstance(each, Tensor) and each.ndim in (2, 3, 4) for each in maps):
            return None
        # Of a large image, one for each tile. A transformer gives (1, T, F), a convolution (1, F, H, W).
        vectors = [
            each.mean((2, 3)) if each.ndim == 4 else each.mean(1) if each.ndim == 3 else each for each in maps
        ]
        return np.asarray(torch.stack(vectors).mean((0, 1)).float().cpu().numpy())

    def _inputs(self, member: Member, images_NCHW: np.ndarray) -> Tensor:
        # Each member by its own statistics: those of a normalisation by training parts differ from fold to fold.
        statistics = member.model.normalization.statistics(list(images_NCHW))
        mean_NC, std_NC = (torch.from_numpy(part).to(self.device) for part in statistics)
        return normalized(torch.from_numpy(images_NCHW.astype(np.float32)).to(self.device), mean_NC, std_NC)

    def sentence(self) -> str:
        """What answers, in words."""
        return f"torch {torch.__version__} on {self.device.type}" + (f" ({self.why})" if self.why else "")


class GraphRuntime:
    """The winner's graph in onnxruntime, once it has given on the first batch what torch gives; torch where it has not.

    Images that torch would pass in tiles go to torch.
    """

    def __init__(self, networks: TorchRuntime, graph: Callable[[np.ndarray], OnnxModel]) -> None:
        """`graph` makes the model when the first batch is there."""
        self.networks, self._make = networks, graph
        self._graph: OnnxModel | None = None
        self.comparison: Agreement | None = None
        self.refusal = ""

    def __call__(self, images_NCHW: np.ndarray) -> np.ndarray:
        """Mean probabilities, as those of `TorchRuntime` within `proof.MAX_DIFFERENCE`."""
        if self.refusal or max(images_NCHW.shape[2:]) > LARGEST_PX:
            return self.networks(images_NCHW)
        if self._graph is None:
            return self._first(images_NCHW)
        try:
            return self._graph(images_NCHW)
        except Exception as error:  # whatever onnxruntime meets, such as a size that the graph does not take
            return self._refused(images_NCHW, error)

    def _first(self, images_NCHW: np.ndarray) -> np.ndarray:
        wanted = self.networks(images_NCHW)
        try:
            graph = self._make(images_NCHW)
            by_graph = graph(images_NCHW)
        except Exception as error:
            return self._refused(images_NCHW, error)
        several = self.networks.winner.model.task.startswith("multilabel")
        self.comparison = compared([by_graph], [wanted], several=several)
        if self.comparison.is_equal:
            self._graph = graph
        else:
            self.refusal = self.comparison.sentence()
        return wanted

    def _refused(self, images_NCHW: np.ndarray, error: Exception) -> np.ndarray:
        what = (
            error.what
            if isinstance(error, FoldwiseError)
            else (str(error).strip() or "no reason").splitlines()[0]
        )
        self.refusal = f"{type(error).__name__}: {what:.200}"
        return self.networks(images_NCHW)

    def sentence(self) -> str:
        """What answers, and why not what was meant to."""
        if self.refusal:
            return f"{self.networks.sentence()}, as onnxruntime cannot be used ({self.refusal})"
        if self.comparison is None:
            return f"{self.networks.sentence()}, as all images are larger than {LARGEST_PX} pixels"
        return f"onnxruntime {version('onnxruntime')} on cpu; {self.comparison.sentence()}"


class Flipped:
    """The mean over an image, its mirror images and both at once, each answer turned back."""

    TURNED = ((), (-1,), (-2,), (-2, -1))

    def __init__(self, runtime: TorchRuntime | GraphRuntime) -> None:
        self.runtime = runtime

    def __call__(self, images_NCHW: np.ndarray) -> np.ndarray:
        """Mean probabilities (N, K), or (N, K, H, W)."""
        total: np.ndarray | None = None
        for axes in self.TURNED:
            p = self.runtime(np.ascontiguousarray(np.flip(images_NCHW, axes)))
            p = np.flip(p, axes) if p.ndim == 4 else p
            total = p.copy() if total is None else total + p
        assert total is not None  # there are four
        mean: np.ndarray = total / len(self.TURNED)
        return mean

    def sentence(self) -> str:
        """What answers, in words."""
        return f"{self.runtime.sentence()}; mean over {len(self.TURNED)} flips of each image, which were not judged"


Runtime = TorchRuntime | GraphRuntime | Flipped


def pick_runtime(
    stated: str, winner: Winner, folder: Path, *, device: torch.device, num_images: int, flips: bool = False
) -> Runtime:
    """What is to answer for the winner.

    Args:
        stated: one of `RUNTIMES`. ``auto`` is onnxruntime on a CPU where it is there, is faster, and its graph is there
            already or repays its making.
        folder: of the winner, which keeps the graph for the next time if it may be written to.
        flips: whether it is asked about the mirror images as well.

    Raises:
        SpecError: there is no such runtime, or it cannot do what is asked.
        MissingExtra: it was stated, and is not installed.
    """
    if stated not in RUNTIMES:
        raise unknown(stated, RUNTIMES, "runtime", where="--runtime")
    plain = _picked(stated, winner, folder, device, num_images)
    return Flipped(plain) if flips else plain


def _picked(
    stated: str, winner: Winner, folder: Path, device: torch.device, num_images: int
) -> TorchRuntime | GraphRuntime:
    if stated == "torch":
        return TorchRuntime(winner, device)
    impossible, absent = _impossible(winner, device), missing()
    if stated == "onnxruntime":
        if impossible:
            cure = "Use --runtime auto or torch."
            raise SpecError(f"onnxruntime cannot be used: {impossible}", where="--runtime", cure=cure)
        if absent:
            raise absent
    why = impossible or (f"{absent.what}: {absent.cure}" if absent else "")
    if not why and stated == "auto":
        why = _not_worth_it(winner, folder, num_images)
    networks = TorchRuntime(winner, device, why)
    return (
        networks if why else GraphRuntime(networks, lambda images: _graph(winner, folder, networks, images))
    )


def _not_worth_it(winner: Winner, folder: Path, num_images: int) -> str:
    """Why onnxruntime would take longer; empty where it would not."""
    if any(isinstance(part, SelectiveScan) for part in winner.members[0].network.modules()):
        return "onnxruntime takes 10 times as long for a state-space model"
    if num_images < MIN_IMAGES and not is_kept(folder):
        return f"onnxruntime repays its start from {MIN_IMAGES} images on"
    return ""


def _impossible(winner: Winner, device: torch.device) -> str:
    """Why onnxruntime cannot be used at all; empty where it can."""
    if device.type != "cpu":
        return f"it runs on cpu here, and the device is {device.type}"
    if any(precision_for(member.model.training.precision, device) == "bf16" for member in winner.members):
        return "the winner works in bf16, and its graph in fp32"
    return ""


def is_kept(folder: Path) -> bool:
    """Whether a winner's folder holds the graph of its networks as they are now."""
    try:
        record = read_json(folder / GRAPH / RECORD_FILE)
        return bool(record["networks"] == digest_of_networks(folder))
    except (FoldwiseError, KeyError, TypeError):
        return False


def _graph(winner: Winner, folder: Path, networks: Predictor, images_NCHW: np.ndarray) -> OnnxModel:
    """The graph that is kept in the winner's folder, or a new one, which is kept there if it may be."""
    threads = torch.get_num_threads()
    if is_kept(folder):
        with suppress(Damaged):
            return OnnxModel(verified(folder / GRAPH / MODEL_FILE), threads=threads)
    with TemporaryDirectory(prefix="foldwise-") as scratch:
        path = Path(scratch) / MODEL_FILE
        model = write_graph(Ensemble(winner), images_NCHW, path, networks, threads=threads, about={})
        with suppress(OSError):  # a folder of somebody else: the next time it is made again
            keep_graph(folder, path)
    return model


def keep_graph(folder: Path, path: Path) -> None:
    """Copy a graph of the winner's networks into the winner's folder, for `predict`."""
    networks = digest_of_networks(folder)
    if networks is None:
        return
    with folder_replaced(folder / GRAPH) as scratch:
        copyfile(path, scratch / MODEL_FILE)
        versions = {name: version(name) for name in ("foldwise", "torch", "onnx")}
        seal(scratch / RECORD_FILE, {"networks": networks, **versions}, [scratch / MODEL_FILE])
