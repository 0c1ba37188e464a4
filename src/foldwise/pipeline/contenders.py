"""What a drafted study states: contenders, sizes, channels and epochs that fit the images, with a remark on each."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from foldwise.text import count, some

if TYPE_CHECKING:
    from foldwise.data.cases import Dataset
    from foldwise.data.formats.pixels import PixelUm

SIDES_PX = (
    32,
    48,
    64,
    96,
    128,
    160,
    192,
    224,
)  # that images to be classified are brought to; encoders learned at 224
LARGE_PX, CROP_PX = 512, 256  # from which side on masks are learned on squares, and of which side these are
STEPS = 1500  # of training, about what the small networks of the five studies took to their best epoch
FEWEST_EPOCHS, MOST_EPOCHS = 10, 60


@dataclass(frozen=True)
class FolderContents:
    """What a data set holds, by a sample of its images: (height, width) of each, and how often which channels occur.

    Attributes:
        pixel_um: height and width of a pixel, where files state one size.
    """

    dataset: Dataset
    sizes: tuple[tuple[int, int], ...]
    channels: Counter[int]
    pixel_um: PixelUm | None = None

    @property
    def is_segmentation(self) -> bool:
        """Whether there are masks; else images are classified."""
        return self.dataset.task.endswith("segmentation")


def document_of(
    look: FolderContents, images: Path, base: Path, effort: tuple[int, int, float], answers: Sequence[str]
) -> dict[str, Any]:
    """The study, in the order in which it is read, with remarks."""
    dataset, (folds, repeats, share) = look.dataset, effort
    is_given = any(answer.startswith("validate.split=") and "pooled" not in answer for answer in answers)
    path = Path(os.path.relpath(images, base.resolve())).as_posix()
    data = CommentedMap(path=images.as_posix() if path.startswith("../..") else path)
    classes = f"{dataset.task.replace('_', ' ')}: {some(dataset.classes, 6)}"
    _remark(data, "path", f"{count(len(dataset.cases), 'image')}; {classes}")
    if (channels := _channels(look.channels)) is not None:
        data["channels"] = channels
        _remark(data, "channels", "the files are grey and in colour; all are brought to this")
    if (size := _size(look)) is not None:
        data["size"] = _in_one_line(size) if isinstance(size, list) else size
        _remark(data, "size", f"pixels (height, width); the files have {_range(look.sizes)} (width × height)")
    if look.pixel_um is not None:
        height, width = (float(f"{side:.6g}") for side in look.pixel_um)
        data["pixel_um"] = width if math.isclose(height, width) else _in_one_line([height, width])
        _remark(data, "pixel_um", "as the files state it; other files are checked against it")
    train = CommentedMap(augment="flips")
    _remark(
        train,
        "augment",
        "mirrored and turned; take it out where left and right, or up and down, mean something",
    )
    if look.is_segmentation and max(map(max, look.sizes)) > LARGE_PX:
        train["crop_px"] = CROP_PX
        _remark(train, "crop_px", "learns on squares, scores whole images")
    train["batch_size"] = batch = 8 if look.is_segmentation or len(dataset.cases) < 100 else 16
    wanted = int(np.clip(STEPS * batch / len(dataset.cases), FEWEST_EPOCHS, MOST_EPOCHS))
    train["epochs"] = max(FEWEST_EPOCHS, round(wanted * share))
    validation = CommentedMap() if is_given else CommentedMap(folds=folds)
    # One test part takes as many runs as folds would; without several, the luck of a run cannot be told.
    repeats = folds if is_given and isinstance(dataset.cases[0].part, str) else repeats
    if repeats > 1:
        validation["repeats"] = repeats
        others = "other seeds" if is_given else "other folds and seeds"
        _remark(validation, "repeats", f"{others}: fewer are quicker, and tell less apart")
    contenders, baselines = _contenders(look)
    study = re.sub(r"[^A-Za-z0-9._]+", "-", images.name).strip("-._")[:80] or "study"
    document = CommentedMap(study=study, data=data, compare=CommentedMap(network=contenders), train=train)
    if baselines:
        document["baselines"] = baselines
        document.yaml_set_comment_before_after_key(
            "baselines", before="Learns from single pixels: is a network worth its cost?"
        )
    if validation:
        document["validate"] = validation
    return document


def _remark(mapping: CommentedMap, key: str, text: str) -> None:
    """A remark behind a key, on its line whatever is in it."""
    mapping.yaml_add_eol_comment(" ".join(text.split()), key)


def _channels(seen: Counter[int]) -> str | None:
    """What all images are brought to; None where they agree. Colour is kept."""
    return "rgb" if set(seen) == {1, 3} else None


def _size(look: FolderContents) -> int | list[int] | None:
    """What images to be classified are brought to, in the proportions that all of them have; None where they stay as they are."""
    largest = SIDES_PX[-1]
    is_one_size = len(set(look.sizes)) == 1 and max(look.sizes[0]) <= largest
    if look.is_segmentation or is_one_size:
        return None
    typical = float(np.median([min(size) for size in look.sizes]))
    side = max((side for side in SIDES_PX if side <= typical), default=SIDES_PX[0])
    # Height to width of all, where they have one; of images of all shapes, squares lose least.
    shapes = [height / width for height, width in look.sizes]
    if max(shapes) > 1.1 * min(shapes) or 0.9 < shapes[0] < 1.1:
        return side
    other = round(side * min(shapes[0], 1 / shapes[0]) / 8) * 8
    return [side, other] if shapes[0] > 1 else [other, side]


def _range(sizes: Sequence[tuple[int, int]]) -> str:
    small, large = (
        min(sizes, key=lambda size: size[0] * size[1]),
        max(sizes, key=lambda size: size[0] * size[1]),
    )
    spelled = [f"{width} × {height}" for height, width in dict.fromkeys((small, large))]
    return " to ".join(spelled)


def _contenders(look: FolderContents) -> tuple[list[dict[str, Any]], list[str]]:
    """The networks that are compared, as levels of one factor, and the shallow baselines beside them.

    A small one that begins at random, and a pretrained encoder, frozen and tuned, where its weights can be had.
    """
    from foldwise.learning.networks.weights import pretrained_here

    pretrained = pretrained_here()
    if look.is_segmentation:
        small, larger = {"unet": {"width": 16}}, {"resnet": {"width": 16}}
        encoder = pretrained and f"smp:unet/{pretrained.smp}"
    else:
        small, larger = "conv", "resnet"  # type: ignore[assignment]
        encoder = pretrained and f"timm:{pretrained.timm}"
    levels: list[dict[str, Any]] = [{"name": "small from scratch", "model": small}]
    if pretrained is None or encoder is None:
        levels.append({"name": "residual from scratch", "model": larger})
    else:
        begun, tuned = {"model": encoder, "weights": pretrained.weights}, {"adamw": {"lr": 0.0003}}
        levels.append({"name": f"{pretrained.title} frozen", **begun, "freeze": "encoder"})
        levels.append({"name": f"{pretrained.title} tuned", **begun, "optimizer": tuned})
    return [_in_one_line(level) for level in levels], ["random_forest"] if look.is_segmentation else []


def _in_one_line(value: Any) -> Any:
    """A list or mapping as YAML writes it between brackets."""
    node = CommentedMap(value) if isinstance(value, dict) else CommentedSeq(value)
    node.fa.set_flow_style()
    return node
