"""Windows of pictures as one array: cut, padded where they reach outside, and where they hold picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Place = tuple[int, int, int, int]  # top, bottom, left, right


def cut(
    pictures_CHW: Sequence[np.ndarray], corners_N2: np.ndarray, size_hw: tuple[int, int], fill: int = 0
) -> tuple[np.ndarray, np.ndarray | None]:
    """Windows of pictures as one array (N, C, h, w), and where (N, h, w) they hold picture; None: everywhere."""
    height, width = size_hw
    first = pictures_CHW[0]
    # 16-bit integers are rare in torch; 8-bit ones stay small until they are on the device.
    dtype = np.uint8 if first.dtype == np.uint8 else np.float32
    places = _places([picture.shape for picture in pictures_CHW], corners_N2, size_hw)
    full = _is_full(places, size_hw)
    shape = (len(pictures_CHW), len(first), height, width)
    made = np.empty(shape, dtype) if full else np.full(shape, fill, dtype)
    inside = None if full else np.zeros((len(pictures_CHW), height, width), np.bool_)
    for row, (picture, (there, here)) in enumerate(zip(pictures_CHW, places, strict=True)):
        made[row, :, there[0] : there[1], there[2] : there[3]] = picture[
            :, here[0] : here[1], here[2] : here[3]
        ]
        if inside is not None:
            inside[row, there[0] : there[1], there[2] : there[3]] = True
    return made, inside


def cut_there(
    pictures_CHW: Sequence[Tensor], corners_N2: np.ndarray, size_hw: tuple[int, int], fill: int = 0
) -> tuple[Tensor, Tensor | None]:
    """The same as `cut`, of tensors on the device where they are."""
    places = _places([tuple(picture.shape) for picture in pictures_CHW], corners_N2, size_hw)
    windows = [
        picture[:, here[0] : here[1], here[2] : here[3]]
        for picture, (_, here) in zip(pictures_CHW, places, strict=True)
    ]
    if _is_full(places, size_hw):
        return torch.stack(windows), None
    first = pictures_CHW[0]
    made = first.new_full((len(windows), len(first), *size_hw), fill)
    inside = torch.zeros((len(windows), *size_hw), dtype=torch.bool, device=first.device)
    for row, (window, (there, _)) in enumerate(zip(windows, places, strict=True)):
        made[row, :, there[0] : there[1], there[2] : there[3]] = window
        inside[row, there[0] : there[1], there[2] : there[3]] = True
    return made, inside


def _places(
    shapes: Sequence[tuple[int, ...]], corners_N2: np.ndarray, size_hw: tuple[int, int]
) -> list[tuple[Place, Place]]:
    return [_overlap(shape, corner, size_hw) for shape, corner in zip(shapes, corners_N2, strict=True)]


def _is_full(places: Sequence[tuple[Place, Place]], size_hw: tuple[int, int]) -> bool:
    return all((there[1] - there[0], there[3] - there[2]) == size_hw for there, _ in places)


def _overlap(shape: tuple[int, ...], corner: np.ndarray, size_hw: tuple[int, int]) -> tuple[Place, Place]:
    """What a window shares with a picture: its place in the window, and in the picture."""
    there, here = [], []
    for length, start, side in zip(shape[1:], corner.tolist(), size_hw, strict=True):
        low, high = max(start, 0), min(start + side, length)
        here += [low, high]
        there += [low - start, high - start]
    return (there[0], there[1], there[2], there[3]), (here[0], here[1], here[2], here[3])
