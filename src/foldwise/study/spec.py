"""The study file, typed: what can be asked, what is assumed when nothing is said, and no other key.

A value is either shared by every configuration (`train:`) or a factor (`compare:`). Names of models, heads,
losses and the like stay names here; the floor that owns their table checks them, so that a new row there
needs no change here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from foldwise.study import ranges
from foldwise.study.kubernetes import KubernetesProfile
from foldwise.study.profiles import PROFILES, Profile, RayProfile, SlurmProfile
from foldwise.study.ranges import InvalidValue, Node, shown
from foldwise.study.training import Choice, Task

# Times that `validate.aa_test: true` trains a configuration again: five equals make ten pairs.
NUM_COPIES = 4
# Values of `validate.split`: with the first two foldwise makes the folds, by the last each group is tested once alone.
DEALT, LEAVE_ONE_OUT = ("auto", "pooled_folders"), "leave_one_group_out"


class PhantomData(Node):
    """A built-in data set, drawn from a seed with its ground truth, in place of a folder."""

    kind: str
    images: ranges.NumImages = 60
    size: ranges.SidePx = 96
    difficulty: ranges.ShareOr1 = 0.5
    seed: ranges.Seed = 0
    options: dict[str, ranges.Strength] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _drawable(self) -> PhantomData:
        if (px := self.images * self.size**2) > ranges.MAX_DRAWN_PX:
            what = f"asks for {px:,} pixels in all; at most {ranges.MAX_DRAWN_PX:,} are drawn"
            raise InvalidValue(what, "Ask for fewer or smaller images.")
        return self


class ExternalData(Node):
    """A fixed external set, which is only scored; what is not stated is as for the images of the study."""

    path: str
    layout: Literal["auto", "class_folders", "image_mask", "masks_beside", "table", "arrays"] = "auto"
    images: str | None = None
    masks: str | None = None
    table: str | None = None
    image_column: str | None = None
    label_columns: tuple[str, ...] | None = None
    group_column: str | None = None
    mask_values: dict[str, str] | None = None


def _as_external(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class Decoding(Node):
    """What becomes of what a file says of its own pixels. Left out, it is done as viewers do, and asked where in doubt."""

    orientation: Literal["apply", "ignore"] | None = None
    white_is_zero: Literal["apply", "ignore"] | None = None
    palette: Literal["apply", "ignore"] | None = None
    alpha: Literal["drop", "keep"] | None = None

    def of_masks(self) -> Decoding:
        """What of it counts for masks too: their palettes and alpha channels have rules of their own."""
        return Decoding(orientation=self.orientation, white_is_zero=self.white_is_zero)


AS_SHOWN = Decoding()  # nothing is stated


class DataSpec(Node):
    """Where the images are and how they are to be read; what is not stated is read from the folder."""

    path: str | None = None
    phantom: PhantomData | None = None
    source: str | None = None
    layout: Literal["auto", "class_folders", "image_mask", "masks_beside", "table", "arrays"] = "auto"
    task: Literal["auto"] | Task = "auto"
    channels: Annotated[
        Literal["native", "gray", "rgb"] | tuple[str, ...],
        Field(
            description="native, gray, rgb, or a list such as [red, green, blue] of what names channel files"
        ),
    ] = "native"
    size: Annotated[
        ranges.SidePx | tuple[ranges.SidePx, ranges.SidePx] | Literal["native"],
        Field(description="a whole number of pixels from 1 to 16,384, [height, width], or native"),
    ] = "native"
    pixel_um: Annotated[
        ranges.PixelSideUm | tuple[ranges.PixelSideUm, ranges.PixelSideUm] | None,
        Field(description="a number of micrometres above 0, or [height, width]"),
    ] = None
    images: str | None = None
    masks: str | None = None
    table: str | None = None
    image_column: str | None = None
    label_columns: tuple[str, ...] | None = None
    group_column: str | None = None
    classes: tuple[str, ...] | None = None
    mask_values: dict[str, str] | None = None
    ignore_value: ranges.MaskValue | None = None
    run_order: Literal["auto", "columns", "rows"] = "auto"
    slices_per_group: ranges.Slices | None = None
    flagged: Literal["keep", "leave_out"] = "keep"
    decoding: Decoding = AS_SHOWN
    external: Annotated[
        ExternalData | None,
        BeforeValidator(_as_external),
        Field(description="a folder, or its path with how it is read"),
    ] = None

    @model_validator(mode="after")
    def _one_source(self) -> DataSpec:
        sources = [key for key in ("path", "phantom", "source") if getattr(self, key) is not None]
        # A public data set may have its copy at a path; no other two say the same thing.
        if len(sources) != 1 and sources != ["path", "source"]:
            stated = f"{' and '.join(sources)} are stated" if sources else "none is stated"
            raise InvalidValue(
                "needs one of path (a folder), phantom (a built-in data set) and source (a public data set,"
                f" which may have its copy at path); {stated}"
            )
        return self

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Height and width of a pixel of the files in µm; None where it is not stated."""
        return self.pixel_um if isinstance(self.pixel_um, tuple | None) else (self.pixel_um, self.pixel_um)

    @model_validator(mode="after")
    def _channel_files(self) -> DataSpec:
        if isinstance(self.channels, tuple):
            # The files of one image are spelled a_{red,green}.png, and slices images.npy[3].
            bad = [name for name in self.channels if not name or set(name) & set("/\\{},[]")]
            if not self.channels or bad or len(set(self.channels)) < len(self.channels):
                raise InvalidValue(
                    "needs channels each once, by the words that name their files, got"
                    f" {shown(list(self.channels))}",
                    "For a_red.png and a_green.png, or red/a.png and green/a.png: channels: [red, green].",
                )
        return self


class Validation(Node):
    """How the images are divided: the same folds for every configuration. A split that is given has its own folds."""

    split: str = "auto"
    folds: ranges.NumFolds = 5
    repeats: ranges.NumRepeats = 1
    inner: ranges.InnerShare = 0.2
    group: str = "auto"
    near_duplicates: Literal["group", "ignore"] = "group"
    stratify: bool = True
    race: bool = False
    aa_test: Annotated[
        bool | ranges.NumCopies,
        Field(description="true, false, or how often the first configuration is trained again, 1 to 100"),
    ] = False

    @field_validator("folds")
    @classmethod
    def _enough(cls, folds: int, info: ValidationInfo) -> int:
        if folds < 2 and info.data.get("split", "auto") in DEALT:
            raise InvalidValue(f"must be at least 2, got {folds}")
        return folds

    @property
    def num_copies(self) -> int:
        """How often one configuration is trained again under other seeds, for the A/A test."""
        return NUM_COPIES if self.aa_test is True else int(self.aa_test)

    @property
    def is_given(self) -> bool:
        """Whether others have divided the images, or their groups do; else foldwise deals them to folds."""
        return self.split not in DEALT

    def with_folds(self, folds: int) -> Validation:
        """The same with the number of folds that a split has which is given."""
        return self.model_copy(update={"folds": folds})


class Judging(Node):
    """What counts as better, and how much better is of no consequence."""

    metric: str = "auto"
    select: str = "auto"
    thresholds: str = "auto"
    boundary: bool = False
    tolerance_px: ranges.TolerancePx = 2.0
    equivalent_within: ranges.Margin = 0.01
    alpha: ranges.Alpha = 0.05
    textbook: bool = False


MeasuredCache = Literal["memory", "disk", "none", "features"]


class Measuring(Node):
    """What of speed is measured: every model with every cache, at every batch size."""

    batch_sizes: Annotated[tuple[ranges.BatchSize, ...], Field(min_length=1)] = (1, 4, 16, 64)
    caches: Annotated[tuple[MeasuredCache, ...], Field(min_length=1)] = ("memory", "disk", "none")
    precisions: tuple[Literal["fp32", "bf16"], ...] = ()
    models: tuple[Choice, ...] = ()
    seconds: ranges.Seconds = 2.0


class Robustness(Node):
    """Test images blurred and made noisy, in every combination of the two, for the networks as they are."""

    blur_px: Annotated[tuple[ranges.BlurPx, ...], Field(min_length=1, max_length=8)] = (0, 1, 2, 4)
    noise: Annotated[tuple[ranges.Strength, ...], Field(min_length=1, max_length=8)] = (0, 0.1, 0.2, 0.4)

    @model_validator(mode="after")
    def _rising(self) -> Robustness:
        for key, strengths in (("blur_px", self.blur_px), ("noise", self.noise)):
            if list(strengths) != sorted(set(strengths)):
                raise InvalidValue(
                    f"needs {key} from weak to strong, each once, got {shown(list(strengths))}"
                )
        return self


class Looking(Node):
    """A look inside training: which fits are trained once more, and how finely the surfaces of their losses are drawn."""

    configurations: Annotated[int, Field(ge=1, le=1000)] = 4
    epochs: Annotated[
        Annotated[int, Field(ge=2, le=60)] | Annotated[tuple[ranges.EpochOr0, ...], Field(max_length=60)],
        Field(description="a whole number of epochs from 2 to 60, or a list of epochs such as [1, 5, 20]"),
    ] = 5
    points: Annotated[int, Field(ge=5, le=101)] = 15
    directions: Annotated[int, Field(ge=1, le=50)] = 5
    images: Annotated[
        Annotated[int, Field(ge=2, le=100_000)] | Literal["auto"],
        Field(description="a whole number of images from 2 to 100,000, or auto"),
    ] = "auto"
    losses: Annotated[
        tuple[Choice, ...] | Literal["auto"], Field(description="a list of losses, or auto")
    ] = "auto"

    @model_validator(mode="after")
    def _centred(self) -> Looking:
        if self.points % 2 == 0:
            raise InvalidValue(
                f"needs an odd number of points, so that one is the network itself, got {self.points}",
                f"Write points: {self.points + 1}.",
            )
        if self.losses == ():
            raise InvalidValue("needs at least one of its losses", "Name some, or remove the line losses.")
        return self


def _look_or_none(value: Any) -> Any:
    # What comes after this is no JSON any more, where a list may be a tuple.
    if isinstance(value, dict):
        return {key: tuple(part) if isinstance(part, list) else part for key, part in value.items()}
    return {} if value is True else None if value is False else value


class Searching(Node):
    """A search: ranges and choices in place of values, how many configurations are tried, and who proposes them."""

    # Plain values: `search_space` checks them.
    space: dict[str, Any]
    configurations: ranges.Trials = 20
    hours: ranges.Hours | None = None
    sampler: str = "tpe"
    in_flight: ranges.InFlight = 1
    halving: bool = False


class Study(Node):
    """One question: which of these configurations is best on this data."""

    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    title: Annotated[str, Field(max_length=300)] | None = None
    seed: ranges.Seed = 0
    threads: ranges.Threads = 1
    data: DataSpec
    # Plain values: `factors` checks them level by level, so that an error names its level.
    compare: dict[str, list[Any]] = Field(default_factory=dict)
    train: dict[str, Any] = Field(default_factory=dict)
    search: Searching | None = None
    validate_: Validation = Field(default=Validation(), alias="validate")
    judge: Judging = Judging()
    robustness: Robustness | None = None
    baselines: tuple[Choice, ...] = ()
    measure: Measuring | None = None
    look: Annotated[Looking | None, BeforeValidator(_look_or_none)] = None
    # Where it is run changes no result, and no command is ever read from a run folder: no part of what is recorded.
    slurm: SlurmProfile = Field(default=SlurmProfile(), exclude=True)
    ray: RayProfile = Field(default=RayProfile(), exclude=True)
    kubernetes: KubernetesProfile = Field(default=KubernetesProfile(), exclude=True)
    # Laid over the rest when the file is read, so they are no part of what is run.
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict, exclude=True)

    def profile_of(self, engine: str) -> Profile | None:
        """What an engine is asked for; None where it is one that is asked for nothing."""
        profile: Profile | None = getattr(self, engine) if engine in PROFILES else None
        return profile
