"""What every node of a study is, and the range of every number in it: one row a quantity, far wider than any real study needs.

Fields of the study, and options of models, losses, optimisers and the like, are of these types, so that a slip of the
keyboard (epochs of 1e15, a learning rate of 1e9) ends in a message and not in days of work or a full disk.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

SHOWN_LETTERS = 60


class Node(BaseModel):
    """A part of the study file: typed, immutable, no unknown keys."""

    # No path, name or pattern is longer than what a file system takes.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_max_length=4096)


class InvalidValue(ValueError):
    """A value that its field cannot take; raised by our own validators.

    Args:
        what: goes on after the key: "must be ..., got ...".
        cure: one sentence, or none.
    """

    def __init__(self, what: str, cure: str | None = None) -> None:
        self.what, self.cure = what, cure
        super().__init__(what)


def shown(value: Any) -> str:
    """A value as the study file would write it, cut where it is long; nothing is said to be nothing."""
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]} ..."


IGNORE = 255  # the target value of pixels that no loss and no score may count
# Metrics run from 0 to 1, log loss some further: half of that is no difference without consequence.
MAX_MARGIN = 0.5
# Simulated limits of so rare errors take 20 s at 1e-6 (0.2 s at 1e-4), and are no numbers at 1e-300.
MIN_ALPHA = 1e-4

# Whole numbers.
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]  # every generator takes these
Threads = Annotated[int, Field(ge=1, le=1024)]
Gpus = Annotated[int, Field(ge=0, le=64)]  # of one machine
ShareOfGpu = Annotated[float, Field(ge=0, le=1)]
FitsPerGpu = Annotated[int, Field(ge=1, le=64)]
Jobs = Annotated[int, Field(ge=1, le=1000)]  # of one array; clusters take 1001 unless they say otherwise
UserId = Annotated[int, Field(ge=1, le=2**31 - 1)]  # 0 is root, as whom no pod runs
NumImages = Annotated[int, Field(ge=1, le=100_000)]
NumFolds = Annotated[int, Field(ge=1, le=1000)]
NumRepeats = Annotated[int, Field(ge=1, le=1000)]
NumCopies = Annotated[int, Field(ge=1, le=100)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
EpochOr0 = Annotated[int, Field(ge=0, le=100_000)]
Steps = Annotated[int, Field(ge=1, le=1_000_000)]
BatchSize = Annotated[int, Field(ge=1, le=65_536)]
CachedViews = Annotated[int, Field(ge=0, le=1000)]
SidePx = Annotated[int, Field(ge=1, le=16_384)]  # whole slides are larger, and are cut into tiles before
MaskValue = Annotated[int, Field(ge=-(2**31), le=2**32 - 1)]  # what a pixel of any format can hold
Slices = Annotated[int, Field(ge=1, le=1_000_000)]
Groups = Annotated[int, Field(ge=1, le=10_000)]
Width = Annotated[int, Field(ge=1, le=65_536)]  # channels, units or tokens' numbers
Depth = Annotated[int, Field(ge=1, le=256)]  # layers, blocks, stages
Trials = Annotated[int, Field(ge=1, le=1000)]  # configurations that a search tries in a fold
InFlight = Annotated[int, Field(ge=1, le=100)]
PatchPx = Annotated[int, Field(ge=1, le=1024)]
Trees = Annotated[int, Field(ge=1, le=100_000)]
NumPixels = Annotated[int, Field(ge=1, le=10_000_000)]

# Fractions.
Share = Annotated[float, Field(ge=0, lt=1)]
ShareOr1 = Annotated[float, Field(ge=0, le=1)]
InnerShare = Annotated[float, Field(gt=0, lt=0.5)]
Part = Annotated[float, Field(gt=0, lt=1)]
Alpha = Annotated[float, Field(ge=MIN_ALPHA, lt=0.5)]
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
PixelSideUm = Annotated[float, Field(gt=0, le=1_000_000)]
TolerancePx = Annotated[float, Field(gt=0, le=1000)]
Hours = Annotated[float, Field(gt=0, le=100_000)]
Seconds = Annotated[float, Field(gt=0, le=3600)]

MAX_OPTION = 100_000_000  # of a name, own code included: the ranges of options in our own tables are narrower

# Counts of what is made of several numbers; each by itself may be in its range.
MAX_LEVELS = 1000  # of a factor
MAX_CONFIGURATIONS = 10_000
MAX_VARIANTS = 50
MAX_FITS = 100_000  # configurations, folds and repeats
MAX_DRAWN_PX = 2 * 10**9  # of a phantom, all of its images
