"""What ``auto`` stands for where the task or the model alone decides it; every floor above asks here."""

from __future__ import annotations

from foldwise.study.spec import Choice, Task, Training

PATCH_MODELS = ("vit", "vim")  # see images as patches, so their pretraining hides some of these


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
