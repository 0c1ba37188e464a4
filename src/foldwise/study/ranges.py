"""The range of every number that a study can ask for: one row a quantity, far wider than any real study needs.

Fields of the study, and options of models, losses, optimisers and the like, are of these types, so that a slip of the
keyboard (epochs of 1e15, a learning rate of 1e9) ends in a message and not in days of work or a full disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Annotated, Any

from pydantic import Field

from foldwise.study.validation_errors import Invalid
from foldwise.text import count

# Metrics run from 0 to 1, log loss some further: half of that is no difference without consequence.
MAX_MARGIN = 0.5

# Whole numbers.
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]  # every generator takes these
Threads = Annotated[int, Field(ge=1, le=1024)]
Gpus = Annotated[int, Field(ge=0, le=64)]  # of one machine
FitsPerGpu = Annotated[int, Field(ge=1, le=64)]
Jobs = Annotated[int, Field(ge=1, le=1000)]  # of one array; clusters take 1001 unless they say otherwise
NumImages = Annotated[int, Field(ge=1, le=100_000)]
NumFolds = Annotated[int, Field(ge=1, le=1000)]
NumRepeats = Annotated[int, Field(ge=1, le=1000)]
NumCopies = Annotated[int, Field(ge=1, le=100)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
EpochOr0 = Annotated[int, Field(ge=0, le=100_000)]
Steps = Annotated[int, Field(ge=1, le=1_000_000)]
BatchSize = Annotated[int, Field(ge=1, le=65_536)]
SidePx = Annotated[int, Field(ge=1, le=16_384)]  # whole slides are larger, and are cut into tiles before
MaskValue = Annotated[int, Field(ge=-(2**31), le=2**32 - 1)]  # what a pixel of any format can hold
Slices = Annotated[int, Field(ge=1, le=1_000_000)]
Groups = Annotated[int, Field(ge=1, le=10_000)]
Width = Annotated[int, Field(ge=1, le=65_536)]  # channels, units or tokens' numbers
Depth = Annotated[int, Field(ge=1, le=256)]  # layers, blocks, stages
PatchPx = Annotated[int, Field(ge=1, le=1024)]
Trees = Annotated[int, Field(ge=1, le=100_000)]
NumPixels = Annotated[int, Field(ge=1, le=10_000_000)]

# Fractions.
Share = Annotated[float, Field(ge=0, lt=1)]
ShareOr1 = Annotated[float, Field(ge=0, le=1)]
InnerShare = Annotated[float, Field(gt=0, lt=0.5)]
Part = Annotated[float, Field(gt=0, lt=1)]
Alpha = Annotated[float, Field(gt=0, lt=0.5)]
Margin = Annotated[float, Field(ge=0, le=MAX_MARGIN)]
LearningRate = Annotated[float, Field(gt=0, le=10)]
Decay = Annotated[float, Field(ge=0, le=10)]
Exponent = Annotated[float, Field(ge=0, le=100)]
Factor = Annotated[float, Field(gt=0, le=100)]
Weight = Annotated[float, Field(ge=0, le=1_000_000)]
WeightAbove0 = Annotated[float, Field(gt=0, le=1_000_000)]
Degrees = Annotated[float, Field(ge=0, le=180)]
Strength = Annotated[float, Field(ge=0, le=100)]  # in units of the range, or of the deviation, of an image
StrengthAbove0 = Annotated[float, Field(gt=0, le=100)]
BlurPx = Annotated[float, Field(ge=0, le=1000)]
TolerancePx = Annotated[float, Field(gt=0, le=1000)]
Seconds = Annotated[float, Field(gt=0, le=3600)]

MAX_OPTION = 100_000_000  # of a name, own code included: the ranges of options in our own tables are narrower

# Counts of what is made of several numbers; each by itself may be in its range.
MAX_LEVELS = 1000  # of a factor
MAX_CONFIGURATIONS = 10_000
MAX_VARIANTS = 50
MAX_FITS = 100_000  # configurations, folds and repeats
MAX_DRAWN_PX = 2 * 10**9  # of a phantom, all of its images


def find_too_many(compare: Mapping[str, Any]) -> list[Invalid]:
    """Factors of more levels, and more combinations, than can be spelled out; counted without doing so."""
    errors, combinations = [], 1
    for key, written in compare.items():
        levels_of_it = sum(map(num_spelled_out, written)) if isinstance(written, list) else 1
        combinations *= max(1, levels_of_it)
        if levels_of_it > MAX_LEVELS:
            what = f"compare.{key} has {_large(levels_of_it)} levels; a factor may have {MAX_LEVELS:,}"
            errors.append(Invalid(("compare", key), what, "List fewer.", at="key"))
    if not errors and combinations > MAX_CONFIGURATIONS:
        what = f"the factors make {_large(combinations)} configurations; at most {MAX_CONFIGURATIONS:,} are compared"
        cure = "List fewer levels, or keep together what belongs together, as the levels of one bundle."
        errors.append(Invalid(("compare",), what, cure, at="key"))
    return errors


def _large(number: int) -> str:
    return f"{number:,}" if number < 10**12 else "more than a million million"


def num_spelled_out(value: Any) -> int:
    """How many values `spelled_out` would yield."""
    if isinstance(value, dict):
        if value.keys() == {"each"} and isinstance(value["each"], list):
            return sum(map(num_spelled_out, value["each"]))
        return prod(map(num_spelled_out, value.values()))
    return prod(map(num_spelled_out, value)) if isinstance(value, list) else 1


def find_too_many_fits(compare: Mapping[str, list[Any]], folds: int, repeats: int) -> list[Invalid]:
    """More fits than a plan can hold, of levels, folds and repeats that each are in their range."""
    combinations = prod(sum(map(num_spelled_out, written)) for written in compare.values())
    fits = combinations * folds * repeats
    if fits <= MAX_FITS:
        return []
    what = f"{count(combinations, 'configuration')}, {count(folds, 'fold')} and {count(repeats, 'repeat')} make {fits:,} fits; at most {MAX_FITS:,} are planned"
    return [Invalid(("validate",), what, "Ask for fewer levels, folds or repeats.", at="key")]
