"""What every network here looks like from outside, wherever it was built: an encoder, and what comes after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldwise.errors import RunError, SpecError
from foldwise.study.training import Task

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed
    from foldwise.learning.networks.weights import Report
    from foldwise.study.configurations import Places


@dataclass(frozen=True)
class DataShape:
    """What the data ask of a network.

    Attributes:
        in_channels: of the images.
        num_classes: K, the number of logits.
        size_hw: height and width of the images; None where they differ. Transformers of a fixed size are made for it.
    """

    task: Task
    in_channels: int
    num_classes: int
    size_hw: tuple[int, int] | None = None

    @classmethod
    def of(cls, packed: Packed) -> Self:
        """That of a data set."""
        sizes = {(int(height), int(width)) for height, width in packed.shapes}
        size_hw = sizes.pop() if len(sizes) == 1 else None
        return cls(packed.task, packed.num_channels, len(packed.classes), size_hw)

    @property
    def segmentation(self) -> bool:
        """Whether every pixel is to be classified."""
        return self.task.endswith("segmentation")


class Network(nn.Module):
    """Images (N, C, H, W) to logits (N, K), or (N, K, H, W) of the same height and width.

    Attributes:
        multiple: what height and width are padded to a multiple of, inside.
        weights_report: what became of pretrained weights; None if there are none.
        frozen: whether the encoder is fixed; then it also stays in evaluation mode.
    """

    def __init__(self, multiple: int) -> None:
        super().__init__()
        self.multiple = multiple
        self.weights_report: Report | None = None
        self.frozen = False

    def part(self, name: str) -> nn.Module | None:
        """The part called ``encoder`` or ``head``; None where the network has no such part."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> Self:
        """Set training mode; a frozen encoder keeps its batch-norm statistics and uses no dropout."""
        super().train(mode)
        encoder = self.part("encoder")
        if self.frozen and encoder is not None:
            encoder.eval()
        return self


class Classifier(Network):
    """An encoder, images to features (N, F), and a head, features to logits (N, K)."""

    def __init__(self, encoder: nn.Module, head: nn.Module, *, multiple: int = 1) -> None:
        super().__init__(multiple)
        self.encoder, self.head = encoder, head

    def part(self, name: str) -> nn.Module | None:
        """The encoder or the head."""
        return getattr(self, name)

    def features(self, x_NCHW: Tensor) -> Tensor:
        """What the head is given, (N, F): ``forward(x)`` is ``head(features(x))``."""
        return self.encoder(pad_to_multiple(x_NCHW, self.multiple))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Logits, (N, K)."""
        return self.head(self.features(x_NCHW))


class Segmenter(Network):
    """A whole network that gives logits for every pixel, made to take images of any size."""

    def __init__(self, body: nn.Module, *, multiple: int = 1) -> None:
        super().__init__(multiple)
        self.body = body

    @property
    def encoder(self) -> nn.Module:
        """The part that pretrained weights are for."""
        return self.body.encoder

    @property
    def head(self) -> nn.Module:
        """The part that depends on the number of classes."""
        return self.body.segmentation_head if hasattr(self.body, "segmentation_head") else self.body.head

    def part(self, name: str) -> nn.Module | None:
        """The encoder or the head of the body, if it has one under a known name."""
        try:
            return getattr(self, name)
        except AttributeError:
            return None

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Logits of every pixel, (N, K, H, W)."""
        height, width = x_NCHW.shape[-2:]
        return self.body(pad_to_multiple(x_NCHW, self.multiple))[..., :height, :width]


def pad_to_multiple(x_NCHW: Tensor, multiple: int) -> Tensor:
    """The images, grown at the bottom and the right until height and width divide by `multiple`.

    The new pixels mirror the image, as black ones would be an edge that is not there; an image too small
    to be mirrored that far has its last row and column repeated.
    """
    height, width = x_NCHW.shape[-2:]
    down, right = -height % multiple, -width % multiple
    if is_traced():
        return _padded_in_a_graph(x_NCHW, multiple)
    if not (down or right):
        return x_NCHW
    mode = "reflect" if down < height and right < width else "replicate"
    return F.pad(x_NCHW, (0, right, 0, down), mode=mode)


def is_traced() -> bool:
    """Whether the operations are being written down as a graph, which is to hold for images of other sizes, too."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def _padded_in_a_graph(x_NCHW: Tensor, multiple: int) -> Tensor:
    """What `pad_to_multiple` gives, by indices that a graph computes anew for every size."""
    if multiple == 1:
        return x_NCHW
    lengths = x_NCHW.shape[-2:]
    # A multiple by its form: of `n + -n % multiple`, an exporter does not know that it divides.
    rows, columns = (
        torch.arange(multiple * ((length + multiple - 1) // multiple), device=x_NCHW.device)
        for length in lengths
    )
    reflects = (rows[-1] < 2 * lengths[0] - 1) & (columns[-1] < 2 * lengths[1] - 1)
    for dim, index, length in ((2, rows, lengths[0]), (3, columns, lengths[1])):
        beyond = torch.where(reflects, 2 * (length - 1) - index, torch.zeros_like(index) + (length - 1))
        x_NCHW = x_NCHW.index_select(dim, torch.where(index < length, index, beyond))
    return x_NCHW


def freeze_encoder(network: Network) -> Network:
    """Fix the encoder: its parameters get no gradient, its batch-norm statistics stay, its dropout is off.

    Raises:
        SpecError: the network does not say which part of it is the encoder.
    """
    encoder, head = network.part("encoder"), network.part("head")
    if encoder is None or isinstance(head, nn.Identity):
        raise SpecError(
            "this model has no part called 'encoder' that could be frozen",
            cure="Set 'freeze: none', or give the model the attributes 'encoder' and 'head'.",
        )
    # Without gradients alone, batch norm would still move its statistics: see `Network.train`.
    encoder.requires_grad_(False)
    network.frozen = True
    return network.train(network.training)


def body_of(network: Network) -> dict[str, Tensor]:
    """The state of a network but for its output layer, the ``head``: what does not depend on the number of classes.

    Raises:
        SpecError: the network does not say which layer that is.
    """
    output = _output_names(network)
    return {name: values for name, values in network.state_dict().items() if not name.startswith(output)}


def same_body(network_a: Network, network_b: Network) -> bool:
    """Whether two networks differ in nothing but the shape of their output layer."""
    shapes_a, shapes_b = (
        {name: values.shape for name, values in body_of(network).items()}
        for network in (network_a, network_b)
    )
    return shapes_a == shapes_b


def load_body(network: Network, body: Mapping[str, Tensor]) -> None:
    """Give a network the body of another one, whole, and leave its output layer as it is.

    Raises:
        RunError: a tensor is missing, too many or of another shape.
    """
    output = _output_names(network)
    own = {name: values for name, values in network.state_dict().items() if name.startswith(output)}
    try:
        network.load_state_dict(dict(body) | own)
    except RuntimeError as error:
        raise RunError(
            f"the pretrained weights are not those of this network: {str(error).splitlines()[-1].strip()}",
            cure="They were written by another version of foldwise or of the model's library; delete that item.",
        ) from None


def _output_names(network: Network) -> str:
    """What the names of the output layer begin with."""
    head = network.part("head")
    if head is None or isinstance(head, nn.Identity):
        raise SpecError(
            "this model has no part called 'head' that could be exchanged after pretraining",
            cure="Set 'pretrain: none', or give the model the attribute 'head': its last layer.",
        )
    return next(name for name, module in network.named_modules() if module is head) + "."


def layout_for(network: nn.Module) -> torch.memory_format:
    """How its tensors lie in memory: channels-last for convolutional networks, contiguous for others.

    Measured on two CPU cores, training steps of convolutional networks are 1.1 to 2 times faster for it, and
    transformers gain nothing. It is a rule on the architecture, as timing would let noise choose the numbers.
    """
    convs = linears = 0
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            # Of strided 1 x 1 convolutions of 2 to 15 channels, torch 2.15 on a CPU writes beyond its memory in the
            # backward pass: of 36 sizes, 17 died at once with 8 channels, 6 with 9, 12 and 15, none with 16, 24 and 32.
            if module.kernel_size == (1, 1) and module.stride != (1, 1) and 1 < module.in_channels < 16:
                return torch.contiguous_format
            cuts_patches = module.kernel_size == module.stride and module.kernel_size != (1, 1)
            convs += not cuts_patches
        elif isinstance(module, nn.Linear):
            linears += 1
    return torch.channels_last if convs > 0.3 * (convs + linears) else torch.contiguous_format


class JoinedLabels(nn.Module):
    """What several modules say of their own labels, put back in the order of the classes: (N, ...) to (N, K).

    Args:
        members: one for each group; each gives (N, its number of labels).
        places: the class indices of every group.
    """

    order: Tensor

    def __init__(self, members: Sequence[nn.Module], places: Places) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        listed = torch.tensor([label for group in places for label in group], device="cpu")
        # Made from the study, so it is no state that could be lost or exchanged.
        self.register_buffer("order", listed.argsort(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of all labels."""
        logits_NK = torch.cat([member(x) for member in self.members], dim=1)
        return logits_NK[:, self.order]


class LabelGroups(Network):
    """Networks that share nothing but the images, one for each group of labels."""

    def __init__(self, members: Sequence[Network], places: Places) -> None:
        super().__init__(multiple=1)  # every member pads for itself
        self.joined = JoinedLabels(members, places)
        self.weights_report = members[0].weights_report

    def part(self, name: str) -> nn.Module | None:
        """None: there are as many encoders and heads as members."""
        return None

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Logits, (N, K)."""
        return self.joined(x_NCHW)


@contextmanager
def seeded(seed: int, part: str) -> Iterator[None]:
    """Within it, torch on the CPU draws the stream of (`seed`, `part`); afterwards it goes on as if nothing was.

    Networks are made on the CPU and then moved, so one seed gives the same numbers on every device.
    """
    # By name and not by order: a head has the same numbers whether an encoder was built before it or not.
    digest = sha256(f"{seed}/{part}".encode()).digest()
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    try:
        yield
    finally:
        torch.set_rng_state(before)
