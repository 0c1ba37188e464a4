"""How a network is trained: the typed settings of one configuration, and what ``auto`` among them stands for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from foldwise.errors import unknown
from foldwise.study import ranges
from foldwise.study.named_weights import NAMED_WEIGHTS
from foldwise.study.ranges import InvalidValue, Node, shown

Task = Literal[
    "binary_classification",
    "multiclass_classification",
    "multilabel_classification",
    "binary_segmentation",
    "multiclass_segmentation",
]
Cache = Literal["disk", "memory", "none"]
NAMED_OPTIONS = "Write it as {adam: {lr: 0.001}}: the name, then its options by name."
DRAWN = 8  # the first number of a view that is drawn by a seed; those below are of `Augment.views`
NO_WEIGHTS_FILE = ("none", "imagenet", *NAMED_WEIGHTS)  # words of `train.weights` that are no path


class Choice(Node):
    """A row of a table by name, with its options: ``adam`` or ``{adam: {lr: 0.001}}`` in YAML."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _in_range(self) -> Choice:
        # What each option takes, its function says, when the images are read; what none takes is said at once.
        for name, value in self.options.items():
            if wrong := [part for part in _numbers_in(value) if not abs(part) <= ranges.MAX_OPTION]:
                most = f"{ranges.MAX_OPTION:,}"
                what = f"has {name}: {shown(wrong[0])}; numbers of options are from -{most} to {most}"
                raise InvalidValue(what)
        return self

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, dict):
            raise InvalidValue(f"must be a name, or {{name: {{option: value}}}}, got {shown(value)}")
        # What a dump of a study holds is taken back as it is.
        if isinstance(value.get("name"), str) and value.keys() <= {"name", "options"}:
            return value
        if len(value) != 1:
            listed = ", ".join(map(str, value)) or "none"
            what = f"must be one name with its options, got {len(value)} keys: {listed}"
            raise InvalidValue(what, NAMED_OPTIONS)
        name, options = next(iter(value.items()))
        if not isinstance(options, dict | None):
            what = f"needs the options of {name} by their names, got {shown(options)}"
            raise InvalidValue(what, NAMED_OPTIONS)
        return {"name": str(name), "options": options or {}}

    def __str__(self) -> str:
        if not self.options:
            return self.name
        listed = ", ".join(f"{key} {_short(value)}" for key, value in self.options.items())
        return f"{self.name} ({listed})"


def _numbers_in(value: Any) -> Iterator[float]:
    """Every number in the value of an option."""
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _numbers_in(part)


NO_PRETRAINING = Choice(name="none")


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "-".join(_short(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


class Augment(Node):
    """Random changes of the training images, mask and image together; what is 0 or false is not done."""

    flip: bool = False
    turn: bool = False
    rotate_deg: ranges.Degrees = 0.0
    scale: ranges.Share = 0.0
    shift: ranges.Share = 0.0
    brightness: ranges.Strength = 0.0
    contrast: ranges.Share = 0.0
    noise: ranges.Strength = 0.0
    blur_px: ranges.BlurPx = 0.0

    def views(self, *, square: bool) -> tuple[int, ...]:
        """All that an image may look like: quarter turns 0 to 3, and 4 more where it is mirrored first; 0 is as it is.

        Empty where there is no end of them, because something other than flips and turns is done.

        Args:
            square: whether images may be turned by 90°, too.
        """
        if self != Augment(flip=self.flip, turn=self.turn):
            return ()
        # Without `turn`, flips still go both ways: mirrored left-right and turned by 180° is mirrored up-down.
        turns = range(0, 4, 1 if self.turn and square else 2) if self.flip or self.turn else (0,)
        return tuple(4 * mirrored + turn for mirrored in range(1 + self.flip) for turn in turns)

    def __str__(self) -> str:
        """Its name in `AUGMENTS`, or its parts: ``flip, noise 0.1``."""
        parts = self.model_dump(exclude_defaults=True)
        spelled = ", ".join(part if size is True else f"{part} {size:g}" for part, size in parts.items())
        return next((name for name, row in AUGMENTS.items() if row == self), spelled)


AUGMENTS = {
    "none": Augment(),
    "flips": Augment(flip=True, turn=True),
    "standard": Augment(flip=True, turn=True, rotate_deg=15, scale=0.1, shift=0.05, brightness=0.1, contrast=0.1),
    "strong": Augment(
        flip=True, turn=True, rotate_deg=180, scale=0.25, shift=0.1, brightness=0.2, contrast=0.25, noise=0.05, blur_px=1.0,
    ),
}  # fmt: skip


def _named_augment(value: Any) -> Any:
    if isinstance(value, str) and value not in AUGMENTS:
        error = unknown(value, AUGMENTS, "augmentation")
        cure = f"{error.cure} Or state its parts, such as {{flip: true, turn: true}}."
        raise InvalidValue(f"is unknown: {error.what}", cure)
    return AUGMENTS[value] if isinstance(value, str) else value


class Training(Node):
    """How one configuration is trained. Every key may be stated once for all, or be a factor of `compare`."""

    model: Choice
    head: Choice = Choice(name="linear")
    loss: Choice = Choice(name="auto")
    optimizer: Choice = Choice(name="adamw", options={"lr": 1e-3})
    schedule: Choice = Choice(name="constant")
    weights: str = "none"
    pretrain: Choice = NO_PRETRAINING
    freeze: Literal["none", "encoder"] = "none"
    augment: Annotated[Augment, BeforeValidator(_named_augment)] = Augment()
    cache_views: ranges.CachedViews = 0
    normalize: Literal["auto", "train", "imagenet", "half", "image", "none"] = "auto"
    epochs: ranges.Epochs = 30
    patience_epochs: ranges.Epochs | None = None
    batch_size: ranges.BatchSize = 16
    steps_per_epoch: ranges.Steps | None = None
    sampling: Literal["shuffled", "balanced"] = "shuffled"
    label_groups: Annotated[
        ranges.Groups | tuple[tuple[str | ranges.MaskValue, ...], ...],
        Field(description="a number of groups, or a list of lists of class names"),
    ] = 1
    crop_px: ranges.SidePx | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    cache: Cache = "disk"

    @model_validator(mode="after")
    def _as_weights_want(self) -> Training:
        """Images are normalised as named weights learned from them, unless the study says otherwise."""
        weights = NAMED_WEIGHTS.get(self.weights)
        if weights is not None and self.normalize == "auto":
            # The value is frozen for all others. Before the fields are read it could be set too, but what comes after such
            # a step is no JSON any more, where a list may be a tuple.
            object.__setattr__(self, "normalize", weights.normalize)
        return self

    @property
    def fixed_views(self) -> int:
        """How many views of an image stand for all that its augmentation would draw; 0 where images are drawn anew.

        Of flips and quarter turns so many views may be all there are: then nothing is replaced.
        """
        views = self.augment.views(square=True)
        return 0 if 0 < len(views) <= self.cache_views else self.cache_views

    @property
    def views_sentence(self) -> str:
        """What `fixed_views` do to a training, in words."""
        return f"{self.fixed_views} fixed views in place of fresh ones each epoch"


# These see images as patches, so their pretraining hides some of them.
PATCH_MODELS = ("vit", "vim")


def stated_loss(choice: Choice, task: Task) -> Choice:
    """The loss by its own name: for masks Dice and cross-entropy, for several labels a yes-or-no loss of each."""
    if choice.name != "auto":
        return choice
    if task.endswith("segmentation"):
        return Choice(name="dice_cross_entropy")
    return Choice(name="binary_cross_entropy" if task == "multilabel_classification" else "cross_entropy")


def stated_pretraining(training: Training) -> Choice:
    """The pretraining by its own name: networks of patches learn hidden patches, the others noise."""
    choice = training.pretrain
    if choice.name != "auto":
        return choice
    return Choice(name="mask" if training.model.name in PATCH_MODELS else "denoise", options=choice.options)


# Common names of what is an option of a setting, or has another name here: the setting, one value of it, several.
_SYNONYMS = {
    "lr learning_rate": ("optimizer", "{adam: {lr: 0.001}}", "[{adam: {lr: {each: [0.001, 0.01]}}}]"),
    "weight_decay": ("optimizer", "{adamw: {weight_decay: 0.01}}", "[{adamw: {weight_decay: {each: [0, 0.01]}}}]"),
    "momentum": ("optimizer", "{sgd: {momentum: 0.9}}", "[{sgd: {momentum: {each: [0, 0.9]}}}]"),
    "architecture arch network net": ("model", "smp:unet/resnet18", "[smp:unet/resnet18, smp:linknet/resnet18]"),
    "encoder backbone decoder": ("model", "smp:unet/resnet18", "[smp:unet/resnet18, smp:unet/resnet34]"),
    "dropout": ("head", "{mlp: {dropout: 0.25}}", "[{mlp: {dropout: {each: [0, 0.25]}}}]"),
    "criterion loss_function": ("loss", "cross_entropy", "[cross_entropy, focal]"),
    "lr_schedule lr_scheduler": ("schedule", "cosine", "[constant, cosine]"),
    "pretrained pretraining": ("weights", "imagenet", "[none, imagenet]"),
    "finetune fine_tune fine_tuning": ("freeze", "encoder", "[none, encoder]"),
    "augmentation augmentations transform transforms": ("augment", "flips", "[none, flips]"),
    "early_stopping patience": ("patience_epochs", "10", "[5, 10]"),
    "amp mixed_precision fp16": ("precision", "bf16", "[fp32, bf16]"),
    "hardware gpu accelerator": ("device", "cuda", "[cpu, cuda]"),
}  # fmt: skip
# Common names of what all configurations share.
_SHARED = {
    "size image_size input_size img_size resolution": "data.size: 224",
    "seed seeds runs": "validate.repeats: 3",
    "folds cv cross_validation": "validate.folds: 5",
    "metric metrics": "judge.metric: auto",
}
# By such a name, what to write instead.
SYNONYM_CURES = {
    word: f"State it as {setting}: {value} in train, or several as compare.{setting}: {several}."
    for words, (setting, value, several) in _SYNONYMS.items()
    for word in words.split()
} | {
    word: f"State it once for all configurations, as {stated}."
    for words, stated in _SHARED.items()
    for word in words.split()
}
