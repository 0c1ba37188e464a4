"""What is done to the pixels of a file beyond reading them: every such step of every format, in one table, at one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from foldwise.data.formats.pixels import VARIES, Pixels, Step, plain, upright
from foldwise.errors import DataError
from foldwise.text import count, some

if TYPE_CHECKING:
    from foldwise.study.spec import Decoding

LUT = "lut"
# Colours in use, and of 255 between two neighbours, of a palette that is a ramp.
MIN_LUT, MAX_LUT_STEP = 16, 24


@dataclass(frozen=True)
class StepKind:
    """One kind of step.

    Attributes:
        words: what was done, of one and of several files: ``was turned``, ``were turned``.
        why: the end of that sentence.
        key: of `data.decoding`, by which a study settles it; empty where there is no choice.
        choices: both ways to state it, for a cure.
        do: the pixels with the step done; the detail of the step says how.
        ignore: the pixels where the study states that it is not to be done.
        doubt: of a detail, why it cannot be known what was meant; None where it can.
        advice: when it is right, where there is no choice.
    """

    words: tuple[str, str]
    why: str
    key: str = ""
    choices: str = ""
    do: Callable[[Pixels, str], Pixels] = lambda pixels, _: pixels
    ignore: Callable[[Pixels], Pixels] = lambda pixels: pixels
    doubt: Callable[[str], str | None] = lambda _: None
    advice: str = "Right if nothing that counts is lost by it; else save them in a form without it, grey or RGB of 8 or 16 bit."

    def cure(self) -> str:
        """Both ways to state what is meant."""
        return f"State data.decoding: {self.choices}"


def _turned(pixels: Pixels, detail: str) -> Pixels:
    return replace(pixels, values=upright(pixels.values, int(detail)))


def _inverted(pixels: Pixels, detail: str) -> Pixels:
    values, bits = pixels.values, pixels.bit_depth
    if not detail.startswith(("uint", "bool")) or values.dtype.kind != "u":
        raise DataError(
            f"the file says that white is 0, and values of type {detail} have no largest one that could be black",
            cure="State data.decoding: {white_is_zero: ignore} to take the values as they are stored, or save it again.",
        )
    # Bilevel pictures hold 0 and 255; 12 bits of 16 are inverted within their 12.
    top = 255 if bits == 1 else 2**bits - 1
    return replace(pixels, values=values.dtype.type(top) - values)


def _coloured(pixels: Pixels, _: str) -> Pixels:
    if pixels.mode != "P":
        cure = (
            "State data.decoding: {palette: ignore} to take the stored values, or save it without a palette."
        )
        problem = f"the palette in the file cannot colour {count(len(pixels.values), 'channel')} of {pixels.bit_depth} bits"
        raise DataError(problem, cure=cure)
    return pixels


def _alpha_kept(pixels: Pixels) -> Pixels:
    if pixels.mode not in {"LA", "RGBA"}:
        cure = "Save it as RGBA, or state data.decoding: {alpha: drop}."
        raise DataError("the transparency of a palette or of one colour is no plane to keep", cure=cure)
    return replace(pixels, mode=f"C{len(pixels.values)}")


_ORIENTATION = (
    "{orientation: apply} to take the picture as viewers show it, {orientation: ignore} to take the stored pixels, on"
    " which programs that know no such tag draw masks."
)
_WHITE = (
    "{white_is_zero: apply} to take what viewers show, {white_is_zero: ignore} to take the stored values (ImageJ saves"
    " masks with an inverting LUT like this, and 255 is the object)."
)
_PALETTE = "{palette: ignore} to take the stored values (the colours are a lookup table), {palette: apply} to take the colours."
_ALPHA = "{alpha: keep} if it is a channel like the others, {alpha: drop} if it is transparency."


STEPS: dict[str, StepKind] = {
    "turned": StepKind(
        ("was turned or mirrored", "were turned or mirrored"), "as the orientation tag of the file asks",
        "orientation", _ORIENTATION, do=_turned,
    ),
    "inverted": StepKind(
        ("was inverted", "were inverted"), "since the file says that white is 0", "white_is_zero", _WHITE, do=_inverted,
    ),
    "palette": StepKind(
        ("was coloured", "were coloured"), "by the palette in the file", "palette", _PALETTE, do=_coloured,
        ignore=lambda pixels: replace(pixels, palette=None, mode="L" if pixels.mode == "P" else pixels.mode),
        doubt=lambda detail: "the palette is a lookup table of grey values" if detail == LUT else None,
    ),
    "alpha": StepKind(
        ("lost its alpha channel", "lost their alpha channel"), "on the way to the networks", "alpha", _ALPHA,
        ignore=_alpha_kept, doubt=lambda detail: "the plane that is dropped varies" if detail == VARIES else None,
    ),
    "grey": StepKind(("was made grey", "were made grey"), "as data.channels: gray asks, though the colour varies"),
    "rounded": StepKind(("was rounded to 32-bit floats", "were rounded to 32-bit floats"), "from 64-bit ones"),
    "pages": StepKind(
        ("was read as a picture of several channels", "were read as pictures of several channels"),
        "by the lengths of their axes, as no names tell",
        advice="Right if the pages of a file, or the values of each pixel, are channels. Slices with a mask each are read with"
        " data.layout: arrays.",
    ),
    "first": StepKind(
        ("is the first picture", "are the first pictures"), "of a file that holds several; the others are not read",
    ),
}  # fmt: skip


def carried_out(stored: Pixels, decoding: Decoding, *, where: str) -> Pixels:
    """The pixels of a decoded file with the steps done that it asks for, but for those that the study ignores.

    Every decoder ends here. The steps of the result are those that were done.

    Raises:
        DataError: a step cannot be done, or the values are of a type that is not read.
    """
    try:
        return _carried_out(stored, decoding)
    except DataError as error:
        raise DataError(error.what, where=where, cure=error.cure) from None


def _carried_out(stored: Pixels, decoding: Decoding) -> Pixels:
    values = plain(stored.values)
    done = [Step("rounded")] if _is_rounded(stored.values, values) else []
    pixels = replace(stored, values=values, steps=())
    for step in (*stored.steps, *_dropped(pixels)):
        kind = STEPS[step.kind]
        if kind.key and getattr(decoding, kind.key) in {"ignore", "keep"}:
            pixels = kind.ignore(pixels)
        else:
            pixels = kind.do(pixels, step.detail)
            done.append(step)
    return replace(pixels, steps=tuple(done))


def _is_rounded(stored: np.ndarray, values: np.ndarray) -> bool:
    return (
        stored.dtype.kind == "f"
        and stored.dtype.itemsize == 8
        and not np.array_equal(stored, values, equal_nan=True)
    )


def _dropped(pixels: Pixels) -> list[Step]:
    """The steps that the pixels themselves ask for: a palette that shows another picture, an alpha plane."""
    if pixels.palette is not None and pixels.mode != "P":
        return [Step("palette", LUT)]
    if pixels.palette is not None and (detail := _palette(pixels)):
        return [Step("palette", detail)]
    if pixels.mode in {"LA", "RGBA"}:
        low, high = pixels.values[-1].min(), pixels.values[-1].max()
        return [Step("alpha", f"{low:g} everywhere" if low == high else VARIES)]
    return []


def _palette(pixels: Pixels) -> str:
    """What a palette is: a lookup table over grey values, grey, or colours; empty where it shows the values themselves."""
    assert pixels.palette is not None
    used = np.unique(pixels.values)
    colours = pixels.palette[used].astype(int)
    if (colours == colours[:, :1]).all():
        return "" if (colours[:, 0] == used).all() else "grey"
    # Programs of microscopes write a palette for nothing else into a TIFF. Elsewhere a lookup table goes through its
    # colours in small steps, and the palette of a picture with few colours does not.
    whole = pixels.palette[int(used[0]) : int(used[-1]) + 1].astype(int)
    steps = np.abs(np.diff(whole, axis=0)).max(1)
    is_ramp = len(used) >= MIN_LUT and np.quantile(steps, 0.9) <= MAX_LUT_STEP
    return LUT if is_ramp or pixels.format == "TIFF" else "colours"


def doubts(step: Step) -> str | None:
    """Why a step may be wrong for this one file, whatever else there is; None where it cannot."""
    return STEPS[step.kind].doubt(step.detail)


def refuse_doubtful(steps: Sequence[Step], decoding: Decoding, *, where: str) -> None:
    """Raise DataError where a step may be wrong for a file, and the study that the model is of did not state it."""
    for step in steps:
        kind = STEPS[step.kind]
        reason = doubts(step)
        if reason is not None and getattr(decoding, kind.key) is None:
            cure = f"Save it as the training images were; they had no such thing. For a study: {kind.cure()}"
            raise DataError(reason, where=where, cure=cure)


def what_was_done(steps: Mapping[str, Sequence[Step]]) -> list[str]:
    """What was done to files, by their names, in a sentence for each kind of step."""
    by_kind = {
        kind: [name for name, own in steps.items() if any(step.kind == kind for step in own)]
        for kind in STEPS
    }
    return [
        f"{done_to(name, len(files), len(steps), 'image')} {STEPS[name].why}: {some(files)}."
        for name, files in by_kind.items()
        if files
    ]


def in_words(steps: Sequence[Step]) -> str:
    """The steps of one file in a cell of a table: ``turned 6; alpha varies``."""
    return "; ".join(f"{step.kind} {step.detail}".strip() for step in steps)


def done_to(name: str, number: int, total: int, noun: str) -> str:
    """What was done to how many of all: ``3 of 24 images were inverted``."""
    return f"{number} of {count(total, noun)} {STEPS[name].words[number > 1]}"
