"""Passes of frozen encoders, which fits share: in which views they see images, and how one is shared out among workers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from foldwise.runs.items import Item, make_item
from foldwise.study.configurations import Configuration
from foldwise.study.spec import Study
from foldwise.study.training import DRAWN, NO_PRETRAINING, Choice, Task, Training
from foldwise.text import some

CLASSIFICATION = ("binary_classification", "multiclass_classification", "multilabel_classification")
# Pixels that one item passes through an encoder: 84 images of 224 x 224, which take one core 3 s (ResNet18) to 15 s
# (VGG16), beside 0.1 to 2 s to build the network again. No more parts than that: each fit names all that it needs.
PASS_PX, MAX_PARTS = 2**22, 8


@dataclass(frozen=True)
class ImageSizes:
    """The images of a study, as far as passes hang on them.

    Attributes:
        num: how many there are.
        pixels: of all together.
        square: whether each of them is, so that it may be turned by 90°; None where that is not stated.
    """

    num: int = 1
    pixels: int = 0
    square: bool | None = None


UNSTATED, SQUARE = ImageSizes(), ImageSizes(square=True)


def passes(
    study: Study,
    row: Configuration,
    task: Task,
    images: ImageSizes,
    *,
    packed: str,
    split: tuple[int, int, str],
) -> list[Item]:
    """The passes that the fits of a configuration on a fold need, first that of the first images as they are.

    None where the encoder is trained, or shown too much that is new, see `shared_views`.
    """
    views = shared_views(study, row.training, task, square=images.square)
    parts = num_parts(images)
    return [
        _features(study, row, view, (part, parts), packed=packed, split=split)
        for view in views
        for part in range(parts)
    ]


def why_not_stored(training: Training, task: Task) -> str:
    """Why what the encoder says of an image cannot be stored for a whole fit; empty where it can."""
    if task not in CLASSIFICATION:
        return "masks are made of all maps of an encoder, of which nothing is stored"
    if training.freeze != "encoder":
        return "the encoder is trained (freeze: none)"
    if training.crop_px is not None:
        return f"crops (crop_px: {training.crop_px}) are drawn anew in each epoch"
    # Pretraining sees the training part of one fold, so a pretrained encoder differs from fold to fold.
    return "the encoder is pretrained in each fold" if training.pretrain != NO_PRETRAINING else ""


def shared_views(study: Study, training: Training, task: Task, *, square: bool | None) -> tuple[int, ...]:
    """The views in which images are passed through the encoder once, for all configurations and mostly for all folds.

    They are numbers of `Augment.views`, or 0 and from `DRAWN` on those of `cache_views`. Empty where the encoder is
    trained, where there is no end of what it is shown, or where it would be asked about more views than it is shown
    images in all epochs of all folds that share them.

    Args:
        square: whether all images are; None where that is not stated.
    """
    if why_not_stored(training, task):
        return ()
    if fixed := training.fixed_views:
        return (0, *range(DRAWN, DRAWN + fixed))
    views = training.augment.views(square=bool(square))
    # An image is in the training part of all folds but one.
    folds = 1 if _differs_by_fold(training) else max(study.validate_.folds - 1, 1) * study.validate_.repeats
    too_many = len(views) > training.epochs * folds and not training.cache_views
    return () if too_many or (square is None and views != (0,)) else views


def _differs_by_fold(training: Training) -> bool:
    """Whether images are normalised by the training part of each fold."""
    return training.normalize == "train" or (training.normalize == "auto" and training.weights == "none")


def advice_on_passes(items: Iterable[Item]) -> list[str]:
    """A sentence on encoders that are passed once for each fold only since nobody said how images are normalised, if any is."""
    folds: dict[str, set[tuple[int, int]]] = {}
    for settings in (item.settings for item in items if item.kind == "features"):
        if "split" in settings and settings["encoder"]["normalize"] == "auto":
            model = str(Choice.model_validate(settings["encoder"]["model"]))
            folds.setdefault(model, set()).add((settings["repeat"], settings["fold"]))
    num = max(map(len, folds.values()), default=0)
    if num < 2:
        return []
    return [
        f"images go through frozen encoders ({some(folds, 6)}) once for each of {num} folds, since they are normalised by "
        "the training part of each (normalize: auto, of random weights); with normalize: image or half, which changes the "
        "scores, one pass does for all folds"
    ]


def num_parts(images: ImageSizes) -> int:
    """Among how many items the pass of one view is shared out: a rule on the images alone.

    Not on how many views or workers there are: whoever draws more views, or does them, shares the passes of others.
    """
    return max(1, min(-(-images.pixels // PASS_PX), images.num, MAX_PARTS))


def _features(
    study: Study,
    row: Configuration,
    view: int,
    part: tuple[int, int],
    *,
    packed: str,
    split: tuple[int, int, str],
) -> Item:
    training = row.training
    encoder = training.model_dump(
        mode="json", include={"model", "weights", "normalize", "precision", "device"}
    )
    seed = encoder_seed(study, training)
    settings = {"encoder": encoder, "packed": packed, "threads": study.threads, "seed": seed}
    title = f"features of {training.model}" + (
        f" ({row.levels['weights']})" if "weights" in row.levels else ""
    )
    if view:  # images as they are share their pass with configurations that do not augment
        settings["view"] = view
    if view >= DRAWN:
        # Not how many there are: eight views are the first four, and four more.
        settings |= {"augment": training.augment.model_dump(mode="json"), "draw_seed": study.seed}
        title += f", view {view - DRAWN + 1} of {training.augment}"
    elif view:
        title += f", images {view_name(view)}"
    if part[1] > 1:
        settings["images"] = list(part)
        title += f", part {part[0] + 1} of {part[1]}"
    if _differs_by_fold(training):
        repeat, fold, digest = split
        settings |= {"split": digest, "repeat": repeat, "fold": fold}
        title += f" · {fold_name(study, repeat, fold)}"
    return make_item("features", settings, title=title)


def view_name(view: int) -> str:
    """What is done to images in one of `Augment.views`: ``mirrored and turned by 90°``."""
    parts = ["mirrored"] * (view >= 4) + [f"turned by {view % 4 * 90}°"] * (view % 4 > 0)
    return " and ".join(parts) or "as they are"


def encoder_seed(study: Study, training: Training) -> int:
    """The seed of a frozen encoder: one for the study where it is random, and none that matters where it is not."""
    return study.seed if training.weights == "none" else 0


def fold_name(study: Study, repeat: int, fold: int) -> str:
    """Which fold it is, in words."""
    fold_of = f"fold {fold + 1} of {study.validate_.folds}"
    repeats = study.validate_.repeats
    return f"{fold_of}, repeat {repeat + 1} of {repeats}" if repeats > 1 else fold_of
