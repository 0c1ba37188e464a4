"""Plain arrays of NumPy as files: one picture, or images in a row, by the lengths of their axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foldwise.data.formats.axes import Axes, Stack, as_picture, as_stack, axes_of_array
from foldwise.data.formats.pixels import Pixels, Step
from foldwise.errors import DataError
from foldwise.resources import HEADERS


def unnamed(axes: Axes) -> tuple[Step, ...]:
    """The step that is told where only the lengths of axes tell which one has the channels."""
    if axes.is_named or axes.channel is None or axes.shape[axes.channel] == 1:
        return ()
    return (Step("pages", f"{axes.shape[axes.channel]} of {'×'.join(map(str, axes.shape))}"),)


def npy_axes(path: Path) -> tuple[tuple[int, ...], str]:
    """The lengths of the axes of an array, and what they are called as those of other files are."""
    shape = mapped(path).shape
    return shape, axes_of_array(len(shape))


def decode_npy(path: Path) -> Pixels:
    """The one picture (H, W), (C, H, W) or (H, W, C) in an array."""
    array = mapped(path)
    axes = as_picture(array.shape, axes_of_array(array.ndim))
    shape = "×".join(map(str, array.shape)) or "()"
    if array.dtype.kind not in "buif" or array.size == 0:
        problem = f"an array of shape {shape} and type {array.dtype} holds no picture"
        raise DataError(
            problem, where=str(path), cure="Save numbers as height × width, with channels first or last."
        )
    if axes is None:
        cure = (
            "Save it as height × width × channels with 16 channels at most, or as a TIFF that names its axis of channels"
            " (CYX, in ImageJ or OME). Slices with a mask each are read with data.layout: arrays."
        )
        raise DataError(f"an array of shape {shape} is not one picture", where=str(path), cure=cure)
    values = np.asarray(array).reshape(axes.shape)
    image_CHW = values[None] if axes.channel is None else np.moveaxis(values, axes.channel, 0)
    mode = {1: "L", 3: "RGB"}.get(len(image_CHW), f"C{len(image_CHW)}")
    return Pixels(np.ascontiguousarray(image_CHW), mode, "NPY", array.dtype.itemsize * 8, steps=unnamed(axes))


def open_npy(path: Path) -> Stack:
    """An array of any kind, mapped; of four axes one has channels, where lengths tell which."""
    values = mapped(path)
    axes = as_stack(values.shape, axes_of_array(values.ndim))
    like = Pixels(np.empty(0), "L", "NPY", values.dtype.itemsize * 8)
    if axes is not None and values.ndim == 4 and len(axes.shape) == 3:
        values = values.reshape(axes.shape)  # (N, 1, H, W), as PyTorch has grey images
    return Stack(values, None if axes is None else axes.channel, like)


def mapped(path: Path) -> np.ndarray:
    """The array of a file, of which only what is used is read; DataError where it holds Python objects."""
    try:
        with HEADERS:
            return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except ValueError as error:
        if "objects" not in str(error).casefold():
            raise
        cure = "Save it with numpy.save as a plain array of numbers or text, not of objects."
        raise DataError(
            "the array holds Python objects, which are not read", where=str(path), cure=cure
        ) from None
