"""Pretrained weights: read from a file or the library's own download, matched name by name, and reported."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from urllib.parse import urlparse

import torch
from huggingface_hub import constants
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from foldwise.errors import MissingExtra, SpecError
from foldwise.learning.networks.packaged_weights import converted
from foldwise.storage import from_home
from foldwise.study.named_weights import NAMED_WEIGHTS
from foldwise.study.training import NO_WEIGHTS_FILE

Shapes = Mapping[str, tuple[int, ...]]
Donor = Callable[[], dict[str, Tensor]]
_PATIENCE_S = 3.0

# What wraps an encoder in a file, and what never belongs to one.
_PREFIXES = ("", "module.", "model.", "encoder.", "backbone.", "body.encoder.", "model.encoder.")
_HEAD = re.compile(
    r"^(.*\.)?(fc|classifier|head|heads|head_dist|last_linear|pre_logits|aux\w*|Aux\w*|decoder|segmentation_head)\."
)
# What EfficientNets and MobileNets of timm have between their last features and the classifier; encoders of masks end before.
_TAIL = re.compile(r"^(conv_head|bn2|norm_head)\.")


@dataclass(frozen=True)
class Report:
    """What became of every tensor of a weights file; names of the encoder, but for `unexpected`.

    Args:
        source: the file, or ``imagenet``.
        mapping: how names of the file were read.
        matched: taken as they are.
        adapted: taken after a change that keeps what they compute: a first convolution, position embeddings.
        missing: not in the file and not needed: counters.
        unexpected: in the file and of a classifier, which is made anew, or of what leads to it.
    """

    source: str
    mapping: str
    matched: tuple[str, ...]
    adapted: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"weights from {self.source}: all of the encoder is taken from there"]
        positions = [name for name in self.adapted if "pos" in name]
        if len(positions) < len(self.adapted):
            parts.append("its first layer is fitted to the channels of these images")
        if positions:
            parts.append("its position embeddings are fitted to the size of these images")
        if self.unexpected:
            parts.append("what follows the encoder there is left out, and made anew for these classes")
        return "; ".join(parts)


def load_encoder(encoder: nn.Module, weights: str, *, name: str, donor: Donor | None) -> Report:
    """Give `encoder` pretrained weights, all of them or none.

    Args:
        encoder: changed in place; it may have another number of input channels than the weights.
        weights: ``imagenet``, or the path of a safetensors file.
        donor: downloads the library's own weights of the encoder for three channels; None if it has none.

    Raises:
        SpecError: no such file or weights, or a tensor of the encoder that they do not hold.
        MissingExtra: the download failed.
    """
    source = _downloaded(name, donor) if weights == "imagenet" else _read(weights_file(weights))
    report, placed = match(_shapes(source), _shapes(encoder.state_dict()), source=weights, name=name)
    # All is matched before anything is changed: an encoder has all of its weights, or an error.
    state = encoder.state_dict()
    for key, file_key in placed.items():
        state[key] = adapted(source[file_key], state[key])
    encoder.load_state_dict(state)
    return report


def check_file(encoder: nn.Module, weights: str, *, name: str) -> Report:
    """The report of `load_encoder` for a file, from its header alone; `encoder` may be on the meta device."""
    shapes = file_shapes(weights_file(weights))
    return match(shapes, _shapes(encoder.state_dict()), source=weights, name=name)[0]


def weights_file(weights: str) -> Path:
    """The path that `weights` names; SpecError unless a safetensors file is there."""
    if weights in NAMED_WEIGHTS:
        return converted(weights, NAMED_WEIGHTS[weights])
    path = from_home(weights)
    if path.suffix != ".safetensors":
        raise SpecError(
            f"no weights are called {weights!r}",
            cure=f"Known: {', '.join(NO_WEIGHTS_FILE)}, or the path of a .safetensors file (other formats can run code"
            " when read).",
        )
    if not path.is_file():
        raise SpecError(f"the weights file {weights!r} does not exist", cure="Check the path.")
    return path


def file_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a safetensors file, without reading its tensors."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        what = f"the weights file {str(path)!r} cannot be read: {error}"
        raise SpecError(what, cure="Copy or download it again.") from None


def match(file: Shapes, encoder: Shapes, *, source: str, name: str) -> tuple[Report, dict[str, str]]:
    """What became of every tensor, and name in the encoder -> name in the file, by names and shapes alone.

    Known prefixes and renamings are tried, and the one that places most tensors is taken.

    Raises:
        SpecError: a tensor of the encoder has no counterpart of its shape, or the file holds tensors that belong
            neither to the encoder nor to a classifier, so that it is of another architecture.
    """
    # Libraries wrap an encoder in different ways, and a file does not say which of them wrote it.
    candidates = []
    for (mapping, rename), prefix in product(RENAMINGS.items(), _PREFIXES):
        names = {rename(key.removeprefix(prefix)): key for key in file if key.startswith(prefix)}
        shared = [key for key in encoder if key in names]
        placed = {key: names[key] for key in shared if _fits(file[names[key]], encoder[key], key)}
        candidates.append((f"{mapping}, prefix {prefix!r} removed" if prefix else mapping, placed))
    mapping, placed = max(candidates, key=lambda candidate: len(candidate[1]))
    absent = tuple(key for key in encoder if key not in placed)
    lost = tuple(key for key in absent if not key.endswith("num_batches_tracked"))
    used = set(placed.values())
    unexpected = tuple(key for key in file if key not in used)
    ends_early = mapping == _INSIDE_SMP
    foreign = [
        key
        for key in unexpected
        if not (_HEAD.match(key) or (ends_early and _TAIL.match(key)) or key.endswith("num_batches_tracked"))
    ]
    if lost or foreign:
        raise _mismatch(file, encoder, lost=lost, foreign=foreign, source=source, name=name)
    changed = tuple(key for key, file_key in placed.items() if file[file_key] != encoder[key])
    unchanged = tuple(key for key in placed if key not in changed)
    return Report(source, mapping, unchanged, changed, absent, unexpected), placed


def adapted(tensor: Tensor, like: Tensor) -> Tensor:
    """`tensor` in the shape of `like`: the same, a first convolution, or position embeddings.

    A convolution made for RGB, (out, 3, h, w), is summed for one channel, so that a grey image gives what its
    RGB copy would; for C channels its kernels are repeated in turn and scaled by 3 / C, which keeps the size of
    what comes out.
    """
    if tensor.shape == like.shape:
        return tensor.to(like.dtype)
    if tensor.ndim == 4:
        if like.shape[1] == 1:
            return tensor.sum(1, keepdim=True).to(like.dtype)
        turns = torch.arange(like.shape[1]) % tensor.shape[1]
        return (tensor[:, turns] * (tensor.shape[1] / like.shape[1])).to(like.dtype)
    raise ValueError(f"a tensor of shape {tuple(tensor.shape)} cannot be adapted to {tuple(like.shape)}")


def torchvision_mobilenet_v2(key: str) -> str:
    """The timm name (``mobilenetv2_100``) of a tensor of torchvision's ``mobilenet_v2``."""
    part, _, rest = key.partition(".")
    if part == "classifier":
        return f"classifier.{rest.rpartition('.')[2]}"
    numbers = re.match(r"features\.(\d+)\.(conv\.)?(\d+)(?:\.(\d+))?\.(\w+)$", key)
    if not numbers:
        return key
    block, inside, first, second, tensor = numbers.groups()
    if not inside:
        conv, norm = ("conv_stem", "bn1") if block == "0" else ("conv_head", "bn2")
        return f"{conv if first == '0' else norm}.{tensor}"
    # The first block has no expansion, so its layers stand one place earlier.
    layers = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"]
    if block == "1":
        layers = ["conv_dw", "bn1", "conv_pw", "bn2"]
    is_last_norm = int(first) != len(layers) // 2 - 1
    layer_number = 2 * int(first) + int(second) if second else len(layers) - 2 + is_last_norm
    stage, index = _STAGE_AND_INDEX[int(block) - 1]
    return f"blocks.{stage}.{index}.{layers[layer_number]}.{tensor}"


_INSIDE_SMP = "a timm network inside an smp encoder"
RENAMINGS: dict[str, Callable[[str], str]] = {
    "names as they are": lambda key: key,
    "torchvision's mobilenet_v2 to timm": torchvision_mobilenet_v2,
    _INSIDE_SMP: lambda key: f"model.{key}",
}
_BLOCKS_BY_STAGE = (1, 2, 3, 4, 3, 3, 1)  # of mobilenet_v2
_STAGE_AND_INDEX = [(stage, n) for stage, num in enumerate(_BLOCKS_BY_STAGE) for n in range(num)]


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...], key: str) -> bool:
    if shape == wanted:
        return True
    # Only a first convolution may differ, and only in its input channels, of which files have three.
    is_convolution = len(shape) == len(wanted) == 4 and key.endswith("weight")
    return is_convolution and shape[1] == 3 and shape[:1] + shape[2:] == wanted[:1] + wanted[2:]


def _mismatch(
    file: Shapes, encoder: Shapes, *, lost: tuple[str, ...], foreign: list[str], source: str, name: str
) -> SpecError:
    parts = []
    if lost:
        shaped = [f"{key} {encoder[key]}" + (f", there {file[key]}" if key in file else "") for key in lost]
        parts.append(f"{len(lost)} of {len(encoder)} tensors of the encoder are not in it: {_few(shaped)}")
    if foreign:
        parts.append(f"{len(foreign)} of its tensors are not in the encoder: {_few(foreign)}")
    return SpecError(
        f"the weights {source!r} are not those of {name}: {'; '.join(parts)}",
        cure="Name the model that the file was made for; torchvision's own names are models 'torchvision:<name>'.",
    )


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def _read(path: Path) -> dict[str, Tensor]:
    names = file_shapes(path)  # says what is wrong with a file that cannot be read
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in names}


def _downloaded(name: str, donor: Donor | None) -> dict[str, Tensor]:
    if donor is None:
        what = f"there are no imagenet weights of {name}"
        raise SpecError(what, cure="Set 'weights: none', or give a .safetensors file.")
    try:
        with quick_offline():
            return donor()
    except SpecError:
        raise
    except Exception as error:  # each library, and each kind of network trouble, raises an error of its own
        raise MissingExtra(
            f"the imagenet weights of {name} are not on this machine and could not be downloaded: "
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            cure="Connect once so that they are kept, set 'weights:' to a local .safetensors file, or start from random "
            "numbers: 'weights: none'.",
        ) from error


@dataclass(frozen=True)
class PretrainedEncoder:
    """An encoder whose pretrained weights can be had here.

    Attributes:
        title: for tables and texts.
        timm: its name in timm, for classifiers.
        smp: its name in segmentation-models-pytorch.
        weights: what `train.weights` states.
    """

    title: str
    timm: str
    smp: str
    weights: str


def pretrained_here() -> PretrainedEncoder | None:
    """An encoder to begin with whose weights are on this machine, or can be downloaded now; None where none can be had."""
    from huggingface_hub import try_to_load_from_cache

    for name, weights in NAMED_WEIGHTS.items():
        if find_spec(weights.module) is not None:
            return PretrainedEncoder(weights.title, weights.model, f"tu-{weights.model}", name)
    cached = try_to_load_from_cache("timm/resnet18.a1_in1k", "model.safetensors")
    if isinstance(cached, str) or reachable(constants.ENDPOINT):
        return PretrainedEncoder("ResNet-18", "resnet18", "resnet18", "imagenet")
    return None


@contextmanager
def quick_offline() -> Iterator[None]:
    """Within it, the weights hub looks only into what it has kept, if its server cannot be reached."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def reachable(url: str) -> bool:
    """Whether the server of `url` takes a connection; True behind a proxy, as that cannot be told from here."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    address = urlparse(url)
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), timeout=_PATIENCE_S).close()
    except OSError:
        return False
    return True
