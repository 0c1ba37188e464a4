"""What metrics are called in columns of tables and in texts."""

from __future__ import annotations

import re

# By the family: every name it goes by. Names are compared without case, spaces and signs.
FAMILIES = {
    "balancedaccuracy": ("balanced accuracy", "balanced accuracies", "bacc"),
    "accuracy": ("accuracy", "accuracies", "acc"),
    "precision": ("precision", "positive predictive value", "ppv"),
    "recall": ("recall", "sensitivity", "true positive rate", "tpr", "sensitivity recall"),
    "specificity": ("specificity", "true negative rate", "tnr"),
    "f1": ("f1", "f1 score", "f score", "f measure"),
    "dice": ("dice", "dice score", "dice coefficient", "dsc"),
    "iou": ("iou", "intersection over union", "jaccard", "jaccard index"),
    "auroc": ("auroc", "auc", "roc auc", "auc roc", "area under the roc curve", "area under the curve"),
    "averageprecision": ("average precision", "ap", "map", "auprc"),
    "mcc": ("mcc", "matthews correlation", "matthews correlation coefficient"),
    "kappa": ("kappa", "cohen kappa", "cohen's kappa", "weighted kappa", "quadratic weighted kappa", "qwk"),
    "nsd": ("nsd", "surface dice", "normalised surface distance", "normalized surface distance"),
    "hd95": ("hd95", "hd", "hausdorff distance", "hausdorff"),
    "brier": ("brier", "brier score"),
    "logloss": ("log loss", "cross entropy"),
    "ece": ("ece", "expected calibration error", "calibration error"),
    "loss": ("loss",),
    "error": ("error", "error rate"),
    "distance": ("assd", "asd", "masd"),
    "residual": ("mae", "mse", "rmse"),
}
LOWER_IS_BETTER = {"hd95", "brier", "logloss", "ece", "loss", "error", "distance", "residual"}
# What a name may have around it: ``dice_img_macro``, ``test accuracy``.
AROUND = re.compile(
    r"^(macro|micro|weighted|mean|test|val|validation)|(macro|micro|weighted|linear|quadratic|pooled|img|mean|score|test|val|s)$"
)


def plain(name: str) -> str:
    """A name as it is compared: ``Image ID`` -> ``imageid``."""
    return re.sub(r"[\W_]+", "", name.casefold())


FAMILY_OF = {plain(name): family for family, names in FAMILIES.items() for name in names}


def family_of(name: str) -> str | None:
    """The family of metrics that a name belongs to: ``dice_img_macro`` is of ``dice``; None where it is unknown."""
    bare = plain(name)
    while bare and bare not in FAMILY_OF:
        bare, before = AROUND.sub("", bare, count=1), bare
        if bare == before:
            return None
    return FAMILY_OF.get(bare)


def is_score(name: str) -> bool:
    """Whether a column is called like a metric."""
    return plain(name) in FAMILY_OF


def is_loss(name: str) -> bool:
    """Whether lower is better, as far as the name says."""
    return FAMILY_OF.get(plain(name)) in LOWER_IS_BETTER
