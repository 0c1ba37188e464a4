"""Every metric is a row: what it is, how it averages, which way is better, and how it is made from the outputs.

Epoch choice, landscapes, tables of the report and the judge all take their metrics from here. Most are weighted means
of ratios of sums over cases (`Ratio`); AUROC and average precision rank cases within folds (`Ranking`); a
`ConfusionFunction` is any function of all counts together. From each follow both the number and the influence of
every case on it (`influence.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from foldwise.errors import SpecError, unknown
from foldwise.metrics import ratios
from foldwise.metrics.confusion import ConfusionFunction, kappa, mcc
from foldwise.metrics.ranking import AUROC, AVERAGE_PRECISION, Ranking
from foldwise.metrics.ratios import (
    RatioOf,
    image_dice,
    image_iou,
    of_classes,
    per_image,
    pixel_ap,
    pixel_auroc,
    surface_dice,
)

BOUNDS = {
    "wilson": (0.0, 1.0),
    "logit": (0.0, 1.0),
    "signed": (-1.0, 1.0),
    "plain": (0.0, float("inf")),
    "free": (-float("inf"), float("inf")),
}


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Attributes:
        families: the tasks it is for, as in `FAMILIES`.
        averaging: how images and classes are averaged, in words.
        formula: how it is made; None where scores come from elsewhere and are only averaged.
        needs: what it is made of: ``decisions`` (the class of each image or pixel), ``probabilities``, a
            ``histogram`` of those of pixels, or ``boundary`` scores, which only some studies have.
        interval: the rule of statistics.md 1.4: ``wilson`` for shares, ``logit`` for bounded means, ``signed``
            for correlations, from -1 to 1, ``plain`` else, ``free`` where a score may be negative.
        groups_equal: a mean over units: each group counts once. False: cases are summed over all groups.
        counted: each case is right or wrong, so that differences have the variance floor of paired proportions.
        ordered: only for classes that stand in an order, which a study says by naming such a metric.
    """

    name: str
    title: str
    families: tuple[str, ...]
    averaging: str
    formula: RatioOf | Ranking | ConfusionFunction | None = None
    needs: Literal["decisions", "probabilities", "histogram", "boundary"] = "decisions"
    interval: Literal["wilson", "logit", "signed", "plain", "free"] = "logit"
    higher_is_better: bool = True
    groups_equal: bool = False
    counted: bool = False
    ordered: bool = False

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value it can have."""
        return BOUNDS[self.interval]

    @property
    def oriented_bounds(self) -> tuple[float, float]:
        """The same of scores whose sign is turned where less is better, so that higher is better."""
        low, high = self.bounds
        return (low, high) if self.higher_is_better else (-high, -low)

    @property
    def bounded(self) -> bool:
        """Whether it lies between 0 and 1."""
        return self.bounds == (0.0, 1.0)

    @property
    def ranks(self) -> bool:
        """Whether it ranks cases, which takes enough of both kinds."""
        return isinstance(self.formula, Ranking)


_SINGLE = ("binary", "multiclass")
_CLASSIFY = ("binary", "multiclass", "multilabel")
_MANY = ("multiclass", "multilabel")
_IMG = "mean over images; in each, mean over its foreground classes"
_POOLED = "pixels of all images pooled; mean over foreground classes"
_MACRO = "images pooled over folds; mean over classes"
_ALL = "images of all classes pooled over folds"
_ORDERED = _ALL + "; an error counts by {}how many classes it is off, in their order"
_WEIGHTED = "mean over classes weighted by their images"
_RANK = (
    "within each fold, mean over folds; mean over classes that at least 10 images or groups have and 10 lack"
)
_ROWS = (
    Metric("balanced_accuracy", "Balanced accuracy", _SINGLE, _MACRO + " of the sensitivity", of_classes("sensitivity", "all"), counted=True),
    Metric("accuracy", "Accuracy", _SINGLE, "mean over images", ratios.accuracy, interval="wilson", groups_equal=True, counted=True),
    Metric("exact_match", "Exact match", ("multilabel",), "share of images with every label right", ratios.accuracy, interval="wilson", groups_equal=True, counted=True),
    Metric("label_accuracy", "Label accuracy", ("multilabel",), "mean over images and labels", ratios.label_accuracy, groups_equal=True),
    Metric("balanced_accuracy_macro", "Macro balanced accuracy", ("multilabel",), _MACRO + " of the mean of sensitivity and specificity", ratios.balanced_labels, counted=True),
    Metric("sensitivity", "Sensitivity (recall)", ("binary",), "of the positive class", of_classes("sensitivity", "positive"), interval="wilson", counted=True),
    Metric("specificity", "Specificity", ("binary",), "of the positive class", of_classes("specificity", "positive"), interval="wilson", counted=True),
    Metric("precision", "Precision", ("binary",), "of the positive class", of_classes("precision", "positive"), interval="wilson"),
    Metric("f1", "F1", ("binary",), "of the positive class", of_classes("f1", "positive")),
    Metric("recall_macro", "Macro sensitivity (recall)", _CLASSIFY, _MACRO, of_classes("sensitivity", "all"), counted=True),
    # Weighted by the images of each class, sensitivity is the share of all true labels that are found.
    Metric("recall_weighted", "Weighted sensitivity (recall)", _CLASSIFY, _WEIGHTED, of_classes("sensitivity", "all", "micro"), counted=True),
    Metric("specificity_macro", "Macro specificity", _MANY, _MACRO, of_classes("specificity", "all"), counted=True),
    Metric("precision_macro", "Macro precision", _CLASSIFY, _MACRO, of_classes("precision", "all")),
    Metric("precision_weighted", "Weighted precision", _CLASSIFY, _WEIGHTED, of_classes("precision", "all", "weighted")),
    Metric("f1_macro", "Macro F1", _CLASSIFY, _MACRO, of_classes("f1", "all")),
    Metric("f1_micro", "Micro F1", _CLASSIFY, "images and classes pooled", of_classes("f1", "all", "micro")),
    Metric("f1_weighted", "Weighted F1", _CLASSIFY, _WEIGHTED, of_classes("f1", "all", "weighted")),
    Metric("mcc", "Matthews correlation", _SINGLE, _ALL, ConfusionFunction(mcc), interval="signed"),
    Metric("kappa", "Cohen's kappa", _SINGLE, _ALL, ConfusionFunction(kappa(0)), interval="signed"),
    Metric("kappa_linear", "Cohen's kappa, linear weights", ("multiclass",), _ORDERED.format(""), ConfusionFunction(kappa(1)), interval="signed", ordered=True),
    Metric("kappa_quadratic", "Cohen's kappa, quadratic weights", ("multiclass",), _ORDERED.format("the square of "), ConfusionFunction(kappa(2)), interval="signed", ordered=True),
    Metric("auroc", "AUROC", ("binary",), "of the positive class; within each fold, mean over folds", AUROC, needs="probabilities"),
    Metric("auroc_macro", "Macro AUROC", _MANY, _RANK, AUROC, needs="probabilities"),
    Metric("average_precision", "Average precision", ("binary",), "of the positive class; within each fold, mean over folds", AVERAGE_PRECISION, needs="probabilities"),
    Metric("average_precision_macro", "Macro average precision", _MANY, _RANK, AVERAGE_PRECISION, needs="probabilities"),
    Metric("brier", "Brier score", _CLASSIFY, "mean over images of the squared error of the probabilities; of two classes that of the positive one, of several their sum, of several labels their mean", ratios.brier, needs="probabilities", interval="plain", higher_is_better=False, groups_equal=True),
    Metric("log_loss", "Log-loss", _CLASSIFY, "mean over images of -log of the probability of the truth; of several labels their mean", ratios.log_loss, needs="probabilities", interval="plain", higher_is_better=False, groups_equal=True),
    Metric("dice_img_macro", "Dice per image", ("segmentation",), _IMG + "; images where truth and prediction are empty are left out", per_image(image_dice), groups_equal=True),
    Metric("dice_img_macro_empty_one", "Dice per image, empty = 1", ("segmentation",), _IMG + "; both empty counts 1", per_image(lambda outputs: image_dice(outputs, empty="one")), groups_equal=True),
    Metric("dice_img_macro_nonempty", "Dice per image with the class", ("segmentation",), _IMG + "; only images whose truth has the class", per_image(lambda outputs: image_dice(outputs, empty="truth")), groups_equal=True),
    Metric("dice_pooled_macro", "Dice, pooled", ("segmentation",), _POOLED, of_classes("f1", "foreground")),
    Metric("iou_img_macro", "IoU per image", ("segmentation",), _IMG + "; both empty is left out", per_image(image_iou), groups_equal=True),
    Metric("iou_pooled_macro", "IoU, pooled", ("segmentation",), _POOLED, of_classes("iou", "foreground")),
    Metric("nsd_img_macro", "Surface Dice per image (NSD)", ("segmentation",), _IMG + "; share of both boundaries within the tolerance; both empty is left out", per_image(surface_dice), needs="boundary", groups_equal=True),
    Metric("pixel_accuracy_img", "Pixel accuracy per image", ("segmentation",), "mean over images", ratios.pixel_accuracy_img, groups_equal=True),
    Metric("pixel_accuracy_pooled", "Pixel accuracy, pooled", ("segmentation",), "pixels of all images pooled", ratios.pixel_accuracy_pooled),
    Metric("pixel_sensitivity_pooled_macro", "Pixel sensitivity, pooled", ("segmentation",), _POOLED, of_classes("sensitivity", "foreground")),
    Metric("pixel_specificity_pooled_macro", "Pixel specificity, pooled", ("segmentation",), _POOLED, of_classes("specificity", "foreground")),
    Metric("pixel_precision_pooled_macro", "Pixel precision, pooled", ("segmentation",), _POOLED, of_classes("precision", "foreground")),
    Metric("pixel_mcc_pooled", "Matthews correlation of pixels, pooled", ("segmentation",), "pixels of all images and classes pooled", ConfusionFunction(mcc), interval="signed"),
    Metric("pixel_kappa_pooled", "Cohen's kappa of pixels, pooled", ("segmentation",), "pixels of all images and classes pooled", ConfusionFunction(kappa(0)), interval="signed"),
    Metric("pixel_auroc_img_macro", "Pixel AUROC per image", ("segmentation",), _IMG, per_image(pixel_auroc), needs="histogram", groups_equal=True),
    Metric("pixel_ap_img_macro", "Pixel average precision per image", ("segmentation",), _IMG, per_image(pixel_ap), needs="histogram", groups_equal=True),
    Metric("false_positive_image_rate_macro", "False-positive images", ("segmentation",), "share of the images without a class in which it is predicted; mean over foreground classes", ratios.false_positive_images, interval="wilson", higher_is_better=False),
    Metric("brier_img", "Brier score", ("segmentation",), "mean over images of the mean over pixels of the squared error of the probabilities; of two classes that of the foreground, of several their sum", ratios.brier, needs="probabilities", interval="plain", higher_is_better=False, groups_equal=True),
    Metric("log_loss_img", "Log-loss", ("segmentation",), "mean over images of the mean over pixels of -log of the probability of the truth", ratios.log_loss, needs="probabilities", interval="plain", higher_is_better=False, groups_equal=True),
)  # fmt: skip
METRICS = {metric.name: metric for metric in _ROWS}
DEFAULTS = {
    "judge": {
        "binary": "balanced_accuracy",
        "multiclass": "balanced_accuracy",
        "multilabel": "average_precision_macro",
        "segmentation": "dice_img_macro",
    },
    # Log-loss goes by the probabilities, so that epochs of equal decisions still differ; there are few images.
    "select": {
        "binary": "log_loss",
        "multiclass": "log_loss",
        "multilabel": "log_loss",
        "segmentation": "dice_img_macro",
    },
}


def metrics_of(family: str) -> dict[str, Metric]:
    """The rows that make sense for a family of tasks: any of them may decide, or choose an epoch."""
    return {name: metric for name, metric in METRICS.items() if family in metric.families}


def reported(decides: Metric, family: str, *, boundary: bool) -> dict[str, Metric]:
    """The rows that are computed beside the one that decides; `boundary`: there are boundary scores.

    Only a row of ordered classes that decides says that they are; only then the others like it make sense.
    """
    return {
        name: metric
        for name, metric in metrics_of(family).items()
        if (boundary or metric.needs != "boundary") and (decides.ordered or not metric.ordered)
    }


def choose_metric(name: str, family: str, purpose: Literal["judge", "select"] = "judge") -> Metric:
    """The metric that a study names; a macro may be named without it.

    Args:
        name: ``auto`` is the default of the purpose.
        family: of the task.
        purpose: to ``judge`` configurations, or to ``select`` an epoch.

    Raises:
        SpecError: no metric of this task is called so; the ones there are, are listed. Or it is only described.
    """
    metric = find_metric(name, family, purpose)
    if metric is not None:
        return metric
    if name == "hd95" and family == "segmentation":
        raise SpecError(
            "hd95 is a median of distances, which one missed object can make as large as the image: it decides nothing",
            cure="Decide by nsd; judge.boundary: true reports hd95 beside any metric.",
        )
    raise unknown(name, metrics_of(family), f"metric for {family} tasks")


def find_metric(name: str, family: str, purpose: Literal["judge", "select"] = "judge") -> Metric | None:
    """As `choose_metric`, but None where there is no such metric."""
    metrics = metrics_of(family)
    name = DEFAULTS[purpose][family] if name == "auto" else name
    candidates = (name, f"{name}_macro", f"{name}_img_macro", f"{name}_img")
    return next((metrics[candidate] for candidate in candidates if candidate in metrics), None)
