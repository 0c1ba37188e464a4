"""Images that are unlike those of the training: by light, contrast, colour and texture, whatever they show.

An image is some 20 numbers, each over its usual spread among the training images. How unlike it is, is its mean distance to
the three nearest training images; the same distance of every training image to those of other groups says what is usual.
So no network is asked, and what is unlike is found for any model. What is not found: another kind of object in the same
light and texture, and little in a training set that holds pictures of every kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from foldwise.data.formats.pixels import resize_image
from foldwise.text import count, some

Floats = npt.NDArray[np.float64]
VERSION = 1  # raised when an image would have other numbers
# Of a larger image 4 x 4 parts are looked at: it may not fit in memory.
FULL_PX, PATCH_PX, PATCHES = 2**20, 256, 4
NUM_LEVELS, NUM_NEAREST, NAMED = 6, 3, 2
LEVEL = 0.01  # of false alarms, at most, where there are enough training images to know it
# Groups, or images without: from fewer nothing is said; from so many 1 % can be counted.
MIN_GROUPS, ENOUGH = 10, 99
LIKE = 0.05  # p of an image that is changed in one respect, from which that respect explains it
MAX_IMAGES = 1000  # of the training that are compared with: 10 s of them, once

Read = Callable[[int, int, int, int], np.ndarray]  # top, bottom, left, right -> (C, h, w)
# Of every number in turn: what is said where it is greater, or less, than in any training image.
_WORDS = (
    ("its darkest parts are brighter", "its darkest parts are darker"),
    *((("it is brighter", "it is darker"),) * 3),
    ("its brightest parts are brighter", "its brightest parts are darker"),
    ("it has more contrast", "it has less contrast"),
    ("more of it is dark, with bright parts", "more of it is bright, with dark parts"),
    ("its values are spread otherwise",) * 2,
    *((("it is noisier or sharper", "it is more blurred"),) * 2),
    *(
        (("it has more structures of {0} pixels", "it has fewer structures of {0} pixels"),)
        * (NUM_LEVELS - 2)
    ),
    ("its structures lie in another direction",) * 2,
    ("it is more colourful", "it is less colourful"),
)


@dataclass(frozen=True)
class Novelty:
    """How unlike the training images an image is.

    Attributes:
        p: the share of images like those of the training that would be as unlike, or more; 1 / (groups + 1) at least. None
            where there are too few training images to know.
        is_unlike: whether that is said.
        why: in a few words; empty where it is not unlike.
    """

    p: float | None
    is_unlike: bool
    why: str = ""

    @property
    def warning(self) -> list[str]:
        """For the column of warnings; none where it is like them."""
        return [f"{UNLIKE}: {self.why}"] if self.is_unlike else []

    @property
    def cell(self) -> str:
        """Of a table; empty where nothing is known."""
        return "" if self.p is None else f"{self.p:.4f}"


UNLIKE, UNLIKE_P = "unlike the training images", "unlike_training_p"  # a warning; a column of tables


def numbers_of(image_CHW: np.ndarray) -> Floats:
    """(F,) of an image that is there whole; see `numbers_of_parts`."""
    return numbers_of_parts(
        image_CHW.shape, lambda top, bottom, left, right: image_CHW[:, top:bottom, left:right]
    )


def numbers_of_parts(shape_CHW: tuple[int, ...], read: Read) -> Floats:
    """(F,) five percentiles of the grey values, contrast, their shape, texture at six scales, direction, and colours.

    Values as their roots, since the noise of counted light grows so; texture relative to the contrast. nan for scales that
    a small image does not have.
    """
    greys, texture, colours = [], np.zeros((NUM_LEVELS, 2, 2)), []
    for part_CHW in _parts(shape_CHW, read):
        values = part_CHW.astype(np.float32)
        grey_HW = values.mean(0)
        greys.append(grey_HW.ravel())
        some = values[:, ::2, ::2]  # a fourth of them has the same colours, in a fourth of the time
        colours.append([*some.mean((1, 2)), np.abs(some - grey_HW[::2, ::2]).mean()])
        _add_texture(texture, grey_HW)
    grey = np.concatenate(greys)
    # Every so manieth value: of 65,000 a percentile is as good.
    low, quarter, middle, three, high = np.percentile(
        grey[:: max(1, grey.size // 2**16)], [1, 25, 50, 75, 99]
    )
    tiny = 1e-3 * (abs(low) + abs(high)) + 1e-6  # the same sense of nothing in all value types
    contrast = float(grey.std()) + tiny
    sums, counts = texture[..., 0], texture[..., 1]
    steps = np.sqrt(np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)) + tiny
    *means, colourful = np.mean(colours, axis=0)
    shape = [(low + high - 2 * middle) / (high - low + tiny), np.log((three - quarter + tiny) / contrast)]
    fine = np.log(np.sqrt(np.square(steps).mean(1)) / contrast)
    numbers = [*_root([low, quarter, middle, three, high]), np.log(contrast), *shape, *fine]
    numbers += [np.log(steps[2, 0] / steps[2, 1])]
    if len(means) > 1:
        numbers += [np.log((colourful + tiny) / contrast), *(_root(means) - _root([np.mean(means)]))]
    return np.array(numbers, np.float64)


def _root(values: list[float]) -> Floats:
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)))


def _parts(shape_CHW: tuple[int, ...], read: Read) -> Iterator[np.ndarray]:
    """The image, or evenly drawn parts of a large one."""
    _, height, width = shape_CHW
    if height * width <= FULL_PX:
        yield read(0, height, 0, width)
        return
    for top in np.linspace(0, max(height - PATCH_PX, 0), PATCHES).astype(int).tolist():
        for left in np.linspace(0, max(width - PATCH_PX, 0), PATCHES).astype(int).tolist():
            yield read(top, min(top + PATCH_PX, height), left, min(left + PATCH_PX, width))


def _add_texture(texture: Floats, grey_HW: np.ndarray) -> None:
    """Add squared steps between neighbours, down and across, and their number, at each scale; each is half the last."""
    for level in range(NUM_LEVELS):
        height, width = grey_HW.shape
        if min(height, width) < 4:
            return
        for axis in (0, 1):
            steps = np.diff(grey_HW, axis=axis)
            texture[level, axis] += float(np.square(steps).sum(dtype=np.float64)), steps.size
        even = grey_HW[: height // 2 * 2, : width // 2 * 2]
        grey_HW = even.reshape(height // 2, 2, width // 2, 2).mean((1, 3))


@dataclass(frozen=True)
class TrainingImages:
    """The images that a model was trained on, as numbers.

    Attributes:
        numbers_NF: of `numbers_of`.
        groups_N: the group of each, as a number.
    """

    numbers_NF: Floats
    groups_N: np.ndarray

    def novelty(self, image_CHW: np.ndarray) -> Novelty:
        """Of an image as the networks see it; what is usual is tried on its pixels where it is unlike."""
        if self.num_groups < MIN_GROUPS:
            return Novelty(None, False)
        novelty = self.novelty_of(numbers_of(image_CHW))
        if novelty.is_unlike and image_CHW.min() == image_CHW.max():
            return Novelty(novelty.p, True, "all its pixels are alike")
        if novelty.is_unlike and image_CHW.shape[1] * image_CHW.shape[2] <= FULL_PX:
            # By both, as of few groups the least p of all is more than LIKE.
            tried = [
                (min(self._p(self._apart(numbers_of(other)))), words) for words, other in _changed(image_CHW)
            ]
            best, words = max(tried, default=(0.0, ""))
            if best >= LIKE:
                return Novelty(novelty.p, True, words)
        return novelty

    def novelty_of(self, numbers: Floats) -> Novelty:
        """Of the numbers of an image."""
        if self.num_groups < MIN_GROUPS:
            return Novelty(None, False)
        p, tail = self._p(self._apart(numbers))
        # Of few groups the rank says little: the most unlike of 21 images is so by chance once in 21. So it must be beyond
        # what distances of such a spread are as well, by a t of their logarithms. False alarms are never more than 1 / 21.
        few = self.num_groups < ENOUGH
        is_unlike = p <= max(LEVEL, 1 / (self.num_groups + 1)) and (not few or tail <= LEVEL)
        return Novelty(p, bool(is_unlike), self._words(numbers) if is_unlike else "")

    def novelty_of_parts(self, shape_CHW: tuple[int, ...], read: Read) -> Novelty:
        """Of an image that is too large for memory."""
        if self.num_groups < MIN_GROUPS:
            return Novelty(None, False)
        return self.novelty_of(numbers_of_parts(shape_CHW, read))

    def sentence(self, warnings: Mapping[str, Sequence[str]]) -> list[str]:
        """Which images, by name, are unlike those of the training by their warnings, and why; none where all are like them."""
        unlike = {name: words for name, row in warnings.items() for words in row if words.startswith(UNLIKE)}
        if not unlike:
            return []
        reasons = Counter(words.removeprefix(f"{UNLIKE}: ") for words in unlike.values()).most_common(3)
        all_alike = reasons[0][1] == len(unlike)
        why = (
            reasons[0][0]
            if all_alike
            else "; ".join(f"{each} ({number:,} of them)" for each, number in reasons)
        )
        by_chance = max(LEVEL, 1 / (self.num_groups + 1))
        return [
            f"{len(unlike):,} of {count(len(warnings), 'image')} {'is' if len(unlike) == 1 else 'are'} {UNLIKE}: {some(unlike, 3)}. "
            f"Why: {why}. What the model says of such images was never judged. Of images like the training ones, "
            f"at most {100 * by_chance:.2g} % are called so."
        ]

    @cached_property
    def num_groups(self) -> int:
        """Groups, or images where none are grouped."""
        return len(np.unique(self.groups_N))

    @cached_property
    def scale(self) -> tuple[Floats, Floats, np.ndarray]:
        """Middle and spread of every number that all of them have; and which these are."""
        there = np.isfinite(self.numbers_NF).all(0)
        values = self.numbers_NF[:, there]
        middle, (low, high) = np.median(values, axis=0), np.percentile(values, [25, 75], axis=0)
        # Quartiles, so that a few odd images make nothing usual; but never far less than the standard deviation.
        spread = np.maximum((high - low) / 1.349, values.std(0) / 4)
        spread = np.asarray(np.where(spread > 1e-9, spread, 1e-3 * (1 + np.abs(middle))))
        return middle, spread, np.asarray(there)

    def _scaled(self, numbers: Floats) -> Floats:
        middle, spread, there = self.scale
        scaled = (numbers[..., there] - middle) / spread
        return np.where(np.isfinite(scaled), scaled, 0.0)  # what it does not have is no evidence

    @cached_property
    def usual(self) -> tuple[Floats, Floats]:
        """(N,) distances of every training image to those of other groups, sorted; and weights, by which groups count once."""
        scaled = self._scaled(self.numbers_NF)
        distances = np.array([
            _distance(scaled[self.groups_N != group], own)
            for own, group in zip(scaled, self.groups_N, strict=True)
        ])  # fmt: skip
        _, group, sizes = np.unique(self.groups_N, return_inverse=True, return_counts=True)
        return distances, 1 / sizes[group]

    def _apart(self, numbers: Floats) -> float:
        """The distance of an image to the training images."""
        return _distance(self._scaled(self.numbers_NF), self._scaled(numbers))

    def _p(self, own: float) -> tuple[float, float]:
        """The share of usual distances that are as large, the image's among them; and the same by a t of their logarithms."""
        distances, weights = self.usual
        groups = self.num_groups
        p = (1 + float(weights[distances >= own].sum())) / (groups + 1)
        logs = np.log(distances + 1e-9)
        mean = float(weights @ logs) / groups
        spread = np.sqrt(float(weights @ np.square(logs - mean)) / (groups - 1) * (1 + 1 / groups)) + 1e-9
        return min(p, 1.0), float(stdtr(groups - 1, (mean - np.log(own + 1e-9)) / spread))

    def _words(self, numbers: Floats) -> str:
        """In what it is beyond all training images, the farthest first."""
        there = self.scale[2]
        values, scaled = numbers[there], self._scaled(numbers)
        low, high = self.numbers_NF[:, there].min(0), self.numbers_NF[:, there].max(0)
        beyond = np.where((values > high) | (values < low), np.abs(scaled), 0)
        words = [
            word_of(int(np.flatnonzero(there)[k]), more=bool(values[k] > high[k]), total=len(numbers))
            for k in np.argsort(-beyond, kind="stable")
            if beyond[k]
        ]
        named = list(dict.fromkeys(words))[:NAMED]
        return (
            f"{' and '.join(named)} than any of them" if named else "no training image has this combination"
        )


NONE = TrainingImages(np.empty((0, 0)), np.empty(0, np.int64))


def _distance(others_NF: Floats, own_F: Floats) -> float:
    nearest = np.sort(np.sqrt(np.square(others_NF - own_F).mean(1)))[:NUM_NEAREST]
    return float(nearest.mean())


def word_of(number: int, *, more: bool, total: int) -> str:
    """In words, that the number of this index, of so many, is greater than in any training image, or less."""
    if number >= len(_WORDS):
        channel = number - len(_WORDS)
        name = ("red", "green", "blue")[channel] if total - len(_WORDS) == 3 else f"channel {channel + 1}"
        return f"its {name} is {'stronger' if more else 'weaker'}"
    level = number - 8  # of the texture, which follows eight other numbers
    return _WORDS[number][0 if more else 1].format(2**level if level > 0 else 1)


def _changed(image_CHW: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """What an image would be without one usual mistake, (C, H, W) of the same type; and that image in words."""
    low, high = image_CHW.min(), image_CHW.max()
    whole = image_CHW.dtype.kind == "u"
    full = np.iinfo(image_CHW.dtype).max if whole else high
    for top in dict.fromkeys((int(full), int(high) + int(low)) if whole else (high + low,)):
        turned = np.clip(top - image_CHW.astype(np.float64), 0 if whole else low, full)
        yield "its negative would be like them", turned.astype(image_CHW.dtype)
    for factor in (16, 256, 1 / 16, 1 / 256):
        values = image_CHW * np.float64(factor)
        times = f"{factor:g} times brighter" if factor > 1 else f"{1 / factor:g} times darker"
        clipped = np.clip(values, 0, full) if whole else values
        yield (
            f"{times} it would be like them (another bit depth or exposure?)",
            clipped.astype(image_CHW.dtype),
        )
    height, width = image_CHW.shape[1:]
    for factor in (2, 4, 1 / 2, 1 / 4):
        size = round(height / factor), round(width / factor)
        if min(size) >= 2**4 and size[0] * size[1] <= 4 * FULL_PX:
            times = f"{factor:g} times smaller" if factor > 1 else f"{1 / factor:g} times larger"
            why = "another magnification, or noise?" if factor > 1 else "another magnification?"
            yield f"{times} it would be like them ({why})", resize_image(image_CHW, size)
    yield "turned by 90° it would be like them", np.rot90(image_CHW, axes=(1, 2))
