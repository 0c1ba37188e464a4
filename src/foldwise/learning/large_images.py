"""Masks of images far larger than memory: read, asked about and written band by band, in the tiles that the whole would have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import torch
from PIL import Image

from foldwise.data.batches.normalize import SMALLEST_STD, WHITE, Normalization
from foldwise.data.formats.pixels import PixelUm, Step
from foldwise.data.formats.windows import BAND_PX, Windows, large_image, stride_of
from foldwise.data.novelty import Novelty
from foldwise.data.overlays import overlay
from foldwise.errors import DataError
from foldwise.learning.model_inputs import as_trained_on
from foldwise.learning.networks.tiles import bands, even_side_px, least_side_px, need_of, num_tiles, step_of
from foldwise.learning.probability_files import ProbabilityKind, rows_kept
from foldwise.learning.resuming import Band, Unfinished
from foldwise.learning.runtimes import Flipped, TorchRuntime
from foldwise.resources import usable
from foldwise.storage import written_whole

if TYPE_CHECKING:
    from foldwise.learning.checkpoints.saved import Winner

# The longest side of a tile that is asked about. Nets of few maps would get one of 6,000, which with its outputs took
# 7.5 GB; those of 1 KB a pixel and more get what they get of an image that is predicted whole.
MAX_SIDE_PX = 2048
TILE_PX = 512  # of a mask, which viewers read in part
MASK_BYTES = 2**32 - 2**25  # beyond which a TIFF needs 64-bit offsets
FLOATS_PER_CLASS = 3  # of each pixel of an image that is predicted whole: sums, weighted, decided


@dataclass(frozen=True)
class DrawnMask:
    """What is counted of a mask while it is written.

    Attributes:
        certainty: the mean probability of what is drawn.
        shares: of every class.
        steps: what decoding did to the image.
        novelty: how unlike the training images some parts of it are.
    """

    certainty: float
    shares: tuple[float, ...]
    steps: tuple[Step, ...]
    novelty: Novelty


class LargeImage:
    """A large image as a model knows it, window by window."""

    def __init__(self, windows: Windows, winner: Winner, name: str) -> None:
        self._windows, self._winner, self._name = windows, winner, name
        self.size_hw = windows.shape_CHW[1:]
        self.steps: dict[Step, None] = {}  # in the order of their first window

    def window(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """(C, h, w) with the channels and the value type of the training images; DataError where it has others."""
        pixels = self._windows.window(top, bottom, left, right, self._winner.decoding)
        pixels, image_CHW = as_trained_on(pixels, self._winner, file=self._name, name=self._name)
        self.steps |= dict.fromkeys(pixels.steps)
        return image_CHW

    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (C,) of the whole image, in one pass."""
        height, width = self.size_hw
        # Around a value of the image: squares of 16-bit values lose digits else.
        shift_C11 = self.window(0, 1, 0, 1).astype(np.float64)
        total, squares = np.zeros(len(shift_C11)), np.zeros(len(shift_C11))
        for top in range(0, height, BAND_PX):
            centred = self.window(top, min(top + BAND_PX, height), 0, width).astype(np.float64) - shift_C11
            total += centred.sum((1, 2))
            squares += np.square(centred).sum((1, 2))
        mean = total / (height * width)
        variance = np.maximum(squares / (height * width) - np.square(mean), 0)
        return shift_C11[:, 0, 0] + mean, np.sqrt(variance)


def write_large(  # noqa: PLR0913 - each is a thing of its own
    winner: Winner,
    windows: Windows,
    name: str,
    files: Sequence[Path],
    *,
    kind: ProbabilityKind | None = None,
    device: torch.device,
    flips: bool = False,
    pixel_um: PixelUm | None = None,
    side_px: int | None = None,
    progress: Callable[[float], None] = lambda _: None,
    doing: Callable[[str], None] = lambda _: None,
    unfinished: Path | None = None,
) -> DrawnMask:
    """Write the mask as a TIFF in tiles, and a small picture.

    In memory are a tile on its way through a network, one row of tiles of probabilities, and 256 MiB of the file.

    Args:
        files: the mask, the picture, and with a `kind` of them the probabilities; each is written whole.
        flips, pixel_um: whether mirror images of every tile are predicted as well; a pixel, which the mask is to state.
        side_px: of a tile; by default that of an image that is predicted whole.
        progress, doing: called with the share of the image that is done, and with which tile comes.
        unfinished: a folder for what is done while it is not all, with which the next call goes on; deleted at the end.

    Raises:
        DataError: the image has other channels or values than those of the training, or is damaged.
    """
    image, classes = LargeImage(windows, winner, name), winner.model.classes
    plain = TorchRuntime(_by_whole_image(winner, image), device, of_tiles=True)
    tiles = _Tiles(image, Flipped(plain) if flips else plain, winner, side_px)
    counted, begun = _Counted(image, len(classes)), Unfinished(unfinished, with_p=kind is not None)
    with (
        torch.inference_mode(),
        written_whole(files[0]) as scratch,
        rows_kept(files[2] if kind else None, kind, classes, image.size_hw, pixel_um) as keep,
    ):

        def drawn() -> Iterator[np.ndarray]:
            for band in tiles.bands(begun, progress, doing):
                if band.p_Khw is not None:
                    keep(band.top, band.p_Khw.numpy())
                yield counted.drawn(band)

        _write_mask(scratch, image.size_hw, drawn(), pixel_um)
    with written_whole(files[1]) as scratch:
        Image.fromarray(counted.picture()).save(scratch, "PNG")
    return _drawn_mask(winner, image, counted, unfinished)


def _drawn_mask(winner: Winner, image: LargeImage, counted: _Counted, unfinished: Path | None) -> DrawnMask:
    """What is said of an image whose mask is written, so that nothing of it is unfinished any more."""
    if unfinished is not None:
        rmtree(unfinished, ignore_errors=True)
    shares = tuple((counted.pixels / counted.pixels.sum()).tolist())
    shape_CHW = winner.model.num_channels, *image.size_hw
    novelty = winner.training_images.novelty_of_parts(shape_CHW, image.window)
    return DrawnMask(counted.sure / math.prod(image.size_hw), shares, tuple(image.steps), novelty)


class _Tiles:
    """The tiles of a large image: their size, and what a model makes of them."""

    def __init__(
        self, image: LargeImage, runtime: TorchRuntime | Flipped, winner: Winner, side_px: int | None
    ) -> None:
        self._image, self._runtime = image, runtime
        networks = [member.network for member in winner.members]
        self._step = math.lcm(*(step_of(network) for network in networks))
        num = winner.model.num_channels
        whole = min(need_of(each, num).side_px(self._step) for each in networks)
        largest = MAX_SIDE_PX // self._step * self._step
        usual = whole if whole <= largest else even_side_px(image.size_hw, largest, self._step)
        self._side = side_px or max(least_side_px(self._step), usual)

    def bands(
        self, unfinished: Unfinished, progress: Callable[[float], None], doing: Callable[[str], None]
    ) -> Iterator[Band]:
        """Bands of the mask from top to bottom; what is done already comes first, without asking again."""
        begun = unfinished.begun(self._side)
        yield from unfinished.bands()
        height, width = self._image.size_hw
        across, total = (num_tiles(size, self._side, self._step) for size in ((1, width), (height, width)))
        number = count(begun.rows * across if begun else 0)

        def window(*ends: int) -> torch.Tensor:
            done = next(number)
            doing(f"tile {done + 1} of {total}")
            progress(done / total)
            return torch.from_numpy(self._image.window(*ends)[None])

        def answer(tile: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(self._runtime(tile.numpy()))

        how: dict[str, Any] = {"side_px": self._side, "step": self._step, "begun": begun}
        carry = partial(unfinished.carry, side_px=self._side)
        for top, _, p_1Khw in bands(window, answer, (height, width), **how, carry=carry):
            yield unfinished.kept(top, p_1Khw[0])


class _Counted:
    """What is counted and kept of an image while its mask goes by."""

    def __init__(self, image: LargeImage, num_classes: int) -> None:
        self._image, self._step = image, stride_of(image.size_hw)
        self.pixels, self.sure = np.zeros(num_classes, np.int64), 0.0
        self._small: list[tuple[np.ndarray, np.ndarray]] = []

    def drawn(self, band: Band) -> np.ndarray:
        """The rows of the mask (h, W) uint8: indices of classes, or 0 and 255 of two."""
        top, bottom = band.top, band.top + len(band.labels_hW)
        for first in range(top, bottom, BAND_PX):  # the image again, to look at: a few rows at a time
            last, skipped = min(first + BAND_PX, bottom), -first % self._step
            image_CHW = self._image.window(first, last, 0, self._image.size_hw[1])
            shown = (slice(skipped, None, self._step), slice(None, None, self._step))
            self._small.append((image_CHW[:, *shown].copy(), band.labels_hW[first - top : last - top][shown]))
        self.pixels += np.bincount(band.labels_hW.ravel(), minlength=len(self.pixels))
        self.sure += band.sure
        return band.labels_hW * np.uint8(255) if len(self.pixels) == 2 else band.labels_hW

    def picture(self) -> np.ndarray:
        """Image and mask to look at, (h, w, 3)."""
        image_CHW = np.concatenate([image for image, _ in self._small], axis=1)
        return overlay(image_CHW, np.concatenate([labels for _, labels in self._small]))


def _write_mask(
    path: Path, size_hw: tuple[int, int], parts: Iterator[np.ndarray], pixel_um: PixelUm | None
) -> None:
    """A TIFF in tiles of rows of a mask as they come, so that no more than these are in memory."""
    scale: dict[str, Any] = {}
    if pixel_um is not None:
        scale = {"resolution": (1e4 / pixel_um[1], 1e4 / pixel_um[0]), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        path,
        _tiles(parts, size_hw[1]),
        shape=size_hw,
        dtype=np.uint8,
        tile=(TILE_PX, TILE_PX),
        compression="zlib",
        photometric="minisblack",
        metadata=None,
        bigtiff=math.prod(size_hw) > MASK_BYTES,
        maxworkers=1,
        **scale,
    )


def _tiles(parts: Iterator[np.ndarray], width: int) -> Iterator[np.ndarray]:
    """Tiles of rows (h, W), row by row; what is beyond the image is 0."""
    waiting = np.zeros((0, width), np.uint8)
    across = -(-width // TILE_PX)

    def cut(rows: np.ndarray) -> Iterator[np.ndarray]:
        padded = np.zeros((TILE_PX, across * TILE_PX), np.uint8)
        padded[: len(rows), :width] = rows
        yield from (padded[:, k * TILE_PX : (k + 1) * TILE_PX] for k in range(across))

    for part in parts:
        waiting = np.concatenate([waiting, part])
        while len(waiting) >= TILE_PX:
            yield from cut(waiting[:TILE_PX])
            waiting = waiting[TILE_PX:]
    if len(waiting):
        yield from cut(waiting)


def _by_whole_image(winner: Winner, image: LargeImage) -> Winner:
    """The same winner; normalisation by each image itself is by the whole of this one, and not by its tiles."""
    if all(member.model.normalization.kind == "fixed" for member in winner.members):
        return winner
    mean, std = image.statistics()
    dtype = winner.model.dtype
    std = np.maximum(std, SMALLEST_STD * WHITE[dtype])
    fixed = Normalization("fixed", tuple(mean.tolist()), tuple(std.tolist()), dtype)
    members = [
        member
        if member.model.normalization.kind == "fixed"
        else replace(member, model=member.model.model_copy(update={"normalization": fixed}))
        for member in winner.members
    ]
    return replace(winner, members=tuple(members))


def large_among(
    winner: Winner, root: Path, places: dict[str, str], problems: list[DataError]
) -> dict[str, tuple[int, ...]]:
    """The images that are read in windows: name -> height and width.

    Those that would have to be read whole, and do not fit into memory, are taken out of `places` and go to `problems`.
    """
    large = {}
    for name, file in list(places.items()):
        with large_image(root / file, winner.decoding) as windows:
            if windows is None:
                continue
            why = windows.why_whole or _why_model(winner)
            needed, free = _bytes_whole(winner, windows), usable().free
        if not why:
            large[name] = windows.shape_CHW[1:]
        elif needed > free:
            size = f"{windows.shape_CHW[2]:,} × {windows.shape_CHW[1]:,} pixels"
            what = f"an image of {size} takes about {needed / 2**30:.1f} GiB of memory, {free / 2**30:.1f} are free"
            what += f", and it cannot be read in parts: {why}"
            cure = "Save it as a TIFF in tiles, grey or RGB, of 8 or 16 bit; or cut it."
            problems.append(DataError(what, where=name, cure=cure))
            del places[name]
    return large


def _bytes_whole(winner: Winner, windows: Windows) -> int:
    """What an image takes that is read and predicted whole."""
    num_channels, height, width = windows.shape_CHW
    per_pixel = num_channels * (2 * windows.like.values.dtype.itemsize + 4)  # stored, arranged, normalised
    if not winner.model.resized and winner.model.task.endswith("segmentation"):
        per_pixel += 4 * FLOATS_PER_CLASS * len(winner.model.classes)
    return height * width * per_pixel


def _why_model(winner: Winner) -> str:
    """Why a model has to see images whole; empty where it need not."""
    segments = winner.model.task.endswith("segmentation")
    if winner.model.resized:  # to be read in bands; its mask would be enlarged whole
        return "the model brings every image to one size, and its mask back" if segments else ""
    return "" if segments else "the model says one thing of the whole image, as it is"
