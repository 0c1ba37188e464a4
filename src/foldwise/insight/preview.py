"""Training images before and after augmentation, drawn by the very pipeline that training uses."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from foldwise.data.batches.batches import Pictures
from foldwise.data.batches.normalize import normalization
from foldwise.data.batches.sampling import step_generators
from foldwise.data.cache.packed import Packed
from foldwise.data.corruptions import as_stored
from foldwise.learning.job import Job
from foldwise.learning.training.devices import steady
from foldwise.study.training import Augment, Task

IMAGES, DRAWS = 4, 4
LONGEST_PX = 256  # of what is kept; larger draws are made smaller
PREVIEW = "preview.npz"


def preview_item(job: Job) -> dict[str, Any]:
    """Draw a few training images a few times; the content of ``result.json``.

    Args:
        job: its settings are ``augment``, ``crop_px``, ``normalize``, ``pretrained``, ``seed``, ``threads``; its scratch
            folder gets ``preview.npz``: ``case`` (4,), and of every image k ``draws_k`` (4, C, h, w), in the values and
            the type of the files, and ``masks_k`` (4, h, w): class indices, `IGNORE` outside the picture (and where the
            truth has it); of a classification 0 in place of the classes.
    """
    settings, packed, split = job.settings, job.packed, job.split
    norm = normalization(
        settings["normalize"], pretrained=settings["pretrained"], packed=packed, train=split.train
    )
    source: Any = packed if packed.task.endswith("segmentation") else WithMasks(packed)
    pictures = Pictures(source, norm, torch.device("cpu"))
    cases = chosen(packed, split.train)
    arrays: dict[str, np.ndarray] = {"case": np.array(cases, np.int64)}
    with steady(settings["seed"], settings["threads"], torch.device("cpu")):
        for number, case in enumerate(cases):
            images, masks = _draws(pictures, case, number, settings)
            # Back to the values of the file, so that the draws are seen as the images are.
            mean_NC, std_NC = norm.statistics([packed.image(case)])
            std, mean = (torch.from_numpy(values)[..., None, None] for values in (std_NC, mean_NC))
            images = images * std + mean
            factor = LONGEST_PX / max(images.shape[2:])
            if factor < 1:
                size = [max(1, round(side * factor)) for side in images.shape[2:]]
                masks = F.interpolate(masks[:, None].float(), size, mode="nearest")[:, 0].round().long()
                images = F.interpolate(images, size, mode="area")
            arrays[f"draws_{number}"] = as_stored(images.numpy(), packed.dtype)
            arrays[f"masks_{number}"] = masks.numpy().astype(np.uint8)
    np.savez_compressed(job.scratch / PREVIEW, **arrays)  # type: ignore[arg-type]
    return {"augment": settings["augment"], "crop_px": settings["crop_px"], "warnings": []}


def _draws(pictures: Pictures, case: int, number: int, settings: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Images (4, C, h, w), normalised, and masks (4, h, w) of one case; each a batch of its own, as none is padded then."""
    augment = Augment.model_validate(settings["augment"])
    generators = step_generators(settings["seed"], number)
    order = [np.array([case])] * DRAWS
    drawn = pictures.training(order, crop_px=settings["crop_px"], augment=augment, generators=generators)
    batches = list(drawn)
    return torch.cat([batch.inputs for batch in batches]), torch.cat([batch.targets for batch in batches])


class WithMasks:
    """Images to be classified as if they were to be segmented: their empty masks show what comes from outside."""

    task: Task = "binary_segmentation"

    def __init__(self, packed: Packed) -> None:
        self.packed = packed

    def __getattr__(self, name: str) -> Any:
        """Of the data set itself."""
        return getattr(self.packed, name)

    def target(self, index: int) -> np.ndarray:
        """0 everywhere in the picture."""
        height, width = self.packed.shapes[index]
        return np.zeros((height, width), np.uint8)


def chosen(packed: Packed, train: np.ndarray) -> list[int]:
    """Up to four training cases: evenly spread over the classes, or over how much foreground there is, if any."""
    if packed.task.endswith("segmentation"):
        size = {int(case): sum(packed.measures[case].class_pixels[1:]) for case in train}
        with_any = [case for case in size if size[case]] or list(size)
        ordered = sorted(with_any, key=lambda case: (size[case], case))
    else:
        label = {int(case): np.atleast_1d(packed.labels[case]).tolist() for case in train}
        ordered = sorted(label, key=lambda case: (label[case], case))
    # Even steps through the order: of sorted labels every class, of sorted sizes little and much foreground.
    places = np.linspace(0, len(ordered) - 1, min(IMAGES, len(ordered))).round().astype(int)
    return [ordered[number] for number in places]
