"""Every metric is a row: what it is, how it averages, which way is better, and how it is made from the outputs.

Most metrics are weighted means of ratios of sums over cases (`Ratio`), from which both the number and the influence
of every case on it follow; AUROC and average precision rank cases within folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from foldwise.errors import SpecError, unknown
from foldwise.metrics import ratios
from foldwise.metrics.ratios import (
    Parts,
    image_dice,
    image_iou,
    per_image,
    pixel_ap,
    pixel_auroc,
    surface_dice,
)


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Attributes:
        averaging: how images and classes are averaged, in words.
        parts: the ratio it is; None for a ranking.
        ranking: ``auroc`` or ``average_precision``; None for a ratio.
        interval: the rule of statistics.md 1.4: ``wilson`` for shares, ``logit`` for bounded means, ``plain``
            else, ``free`` where a score may be negative.
        groups_equal: a mean over units: each group counts once. False: cases are summed over all groups.
        boundary: it needs boundary scores, which only some studies ask for.
        counted: each case is right or wrong, so that differences have the variance floor of paired proportions.
    """

    name: str
    title: str
    families: tuple[str, ...]
    averaging: str
    parts: Parts | None = None
    ranking: str | None = None
    interval: Literal["wilson", "logit", "plain", "free"] = "logit"
    higher_is_better: bool = True
    groups_equal: bool = False
    counted: bool = False
    boundary: bool = False

    @property
    def bounded(self) -> bool:
        """Whether it lies between 0 and 1."""
        return self.interval in ("wilson", "logit")


_SINGLE = ("binary", "multiclass")
_CLASSIFY = ("binary", "multiclass", "multilabel")
_MANY = ("multiclass", "multilabel")
_IMG = "mean over images; in each, mean over its foreground classes"
_POOLED = "pixels of all images pooled; mean over foreground classes"
_MACRO = "images pooled over folds; mean over classes"
_WEIGHTED = "mean over classes weighted by their images"
_RANK = (
    "within each fold, mean over folds; mean over classes that at least 10 images or groups have and 10 lack"
)
_ROWS = (
    Metric("balanced_accuracy", "Balanced accuracy", _SINGLE, _MACRO + " of the sensitivity", ratios.sensitivity("all"), counted=True),
    Metric("accuracy", "Accuracy", _SINGLE, "mean over images", ratios.accuracy, interval="wilson", groups_equal=True, counted=True),
    Metric("exact_match", "Exact match", ("multilabel",), "share of images with every label right", ratios.accuracy, interval="wilson", groups_equal=True, counted=True),
    Metric("label_accuracy", "Label accuracy", ("multilabel",), "mean over images and labels", ratios.label_accuracy, groups_equal=True),
    Metric("sensitivity", "Sensitivity (recall)", ("binary",), "of the positive class", ratios.sensitivity("positive"), interval="wilson", counted=True),
    Metric("specificity", "Specificity", ("binary",), "of the positive class", ratios.specificity("positive"), interval="wilson", counted=True),
    Metric("precision", "Precision", ("binary",), "of the positive class", ratios.precision("positive"), interval="wilson"),
    Metric("f1", "F1", ("binary",), "of the positive class", ratios.f1("positive")),
    Metric("recall_macro", "Macro sensitivity (recall)", _CLASSIFY, _MACRO, ratios.sensitivity("all"), counted=True),
    Metric("recall_weighted", "Weighted sensitivity (recall)", _CLASSIFY, _WEIGHTED, ratios.recall_weighted, counted=True),
    Metric("specificity_macro", "Macro specificity", _MANY, _MACRO, ratios.specificity("all"), counted=True),
    Metric("precision_macro", "Macro precision", _CLASSIFY, _MACRO, ratios.precision("all")),
    Metric("precision_weighted", "Weighted precision", _CLASSIFY, _WEIGHTED, ratios.precision("all", "weighted")),
    Metric("f1_macro", "Macro F1", _CLASSIFY, _MACRO, ratios.f1("all")),
    Metric("f1_micro", "Micro F1", _CLASSIFY, "images and classes pooled", ratios.f1("all", "micro")),
    Metric("f1_weighted", "Weighted F1", _CLASSIFY, _WEIGHTED, ratios.f1("all", "weighted")),
    Metric("auroc", "AUROC", ("binary",), "of the positive class; within each fold, mean over folds", ranking="auroc"),
    Metric("auroc_macro", "Macro AUROC", _MANY, _RANK, ranking="auroc"),
    Metric("average_precision", "Average precision", ("binary",), "of the positive class; within each fold, mean over folds", ranking="average_precision"),
    Metric("average_precision_macro", "Macro average precision", _MANY, _RANK, ranking="average_precision"),
    Metric("brier", "Brier score", _CLASSIFY, "mean over images", ratios.brier, interval="plain", higher_is_better=False, groups_equal=True),
    Metric("log_loss", "Log-loss", _CLASSIFY, "mean over images", ratios.log_loss, interval="plain", higher_is_better=False, groups_equal=True),
    Metric("dice_img_macro", "Dice per image", ("segmentation",), _IMG + "; images where truth and prediction are empty are left out", per_image(image_dice), groups_equal=True),
    Metric("dice_img_macro_empty_one", "Dice per image, empty = 1", ("segmentation",), _IMG + "; both empty counts 1", per_image(lambda outputs: image_dice(outputs, empty="one")), groups_equal=True),
    Metric("dice_img_macro_nonempty", "Dice per image with the class", ("segmentation",), _IMG + "; only images whose truth has the class", per_image(lambda outputs: image_dice(outputs, empty="truth")), groups_equal=True),
    Metric("dice_pooled_macro", "Dice, pooled", ("segmentation",), _POOLED, ratios.f1("foreground")),
    Metric("iou_img_macro", "IoU per image", ("segmentation",), _IMG + "; both empty is left out", per_image(image_iou), groups_equal=True),
    Metric("iou_pooled_macro", "IoU, pooled", ("segmentation",), _POOLED, ratios.iou_pooled),
    Metric("nsd_img_macro", "Surface Dice per image (NSD)", ("segmentation",), _IMG + "; share of both boundaries within the tolerance; both empty is left out", per_image(surface_dice), groups_equal=True, boundary=True),
    Metric("pixel_accuracy_img", "Pixel accuracy per image", ("segmentation",), "mean over images", ratios.pixel_accuracy_img, groups_equal=True),
    Metric("pixel_accuracy_pooled", "Pixel accuracy, pooled", ("segmentation",), "pixels of all images pooled", ratios.pixel_accuracy_pooled),
    Metric("pixel_sensitivity_pooled_macro", "Pixel sensitivity, pooled", ("segmentation",), _POOLED, ratios.sensitivity("foreground")),
    Metric("pixel_specificity_pooled_macro", "Pixel specificity, pooled", ("segmentation",), _POOLED, ratios.specificity("foreground")),
    Metric("pixel_precision_pooled_macro", "Pixel precision, pooled", ("segmentation",), _POOLED, ratios.precision("foreground")),
    Metric("pixel_auroc_img_macro", "Pixel AUROC per image", ("segmentation",), _IMG, per_image(pixel_auroc), groups_equal=True),
    Metric("pixel_ap_img_macro", "Pixel average precision per image", ("segmentation",), _IMG, per_image(pixel_ap), groups_equal=True),
    Metric("false_positive_image_rate_macro", "False-positive images", ("segmentation",), "share of the images without a class in which it is predicted; mean over foreground classes", ratios.false_positive_images, interval="wilson", higher_is_better=False),
    Metric("brier_img", "Brier score", ("segmentation",), "mean over images of the mean over pixels", ratios.brier, interval="plain", higher_is_better=False, groups_equal=True),
    Metric("log_loss_img", "Log-loss", ("segmentation",), "mean over images of the mean over pixels", ratios.log_loss, interval="plain", higher_is_better=False, groups_equal=True),
)  # fmt: skip
METRICS = {metric.name: metric for metric in _ROWS}
DEFAULTS = {
    "binary": "balanced_accuracy",
    "multiclass": "balanced_accuracy",
    "multilabel": "average_precision_macro",
    "segmentation": "dice_img_macro",
}


def metrics_of(family: str, *, boundary: bool = True) -> dict[str, Metric]:
    """The rows that make sense for a family of tasks; without those that need boundary scores where there are none."""
    return {
        name: metric
        for name, metric in METRICS.items()
        if family in metric.families and (boundary or not metric.boundary)
    }


def choose_metric(name: str, family: str) -> Metric:
    """The metric a study asks for; ``auto`` is the default of its task, and a macro may be named without it.

    Raises:
        SpecError: no metric of this task is called so; the ones there are, are listed. Or it is only described.
    """
    known = metrics_of(family)
    if name == "auto":
        return known[DEFAULTS[family]]
    if name == "hd95" and family == "segmentation":
        raise SpecError(
            "hd95 is a median of distances, which one missed object can make as large as the image: it decides nothing",
            cure="Decide by nsd; judge.boundary: true reports hd95 beside any metric.",
        )
    for candidate in (name, f"{name}_macro", f"{name}_img_macro", f"{name}_img"):
        if candidate in known:
            return known[candidate]
    raise unknown(name, known, f"metric for {family} tasks")
