"""What `auto` stands for where the task or the model decides it."""

import pytest

from foldwise.study.training import Choice, Training, stated_loss, stated_pretraining

AUTO = Choice(name="auto")


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("binary_classification", "cross_entropy"),
        ("multiclass_classification", "cross_entropy"),
        ("multilabel_classification", "binary_cross_entropy"),
        ("binary_segmentation", "dice_cross_entropy"),
        ("multiclass_segmentation", "dice_cross_entropy"),
    ],
)
def test_the_loss_follows_from_the_task(task, name):
    assert stated_loss(AUTO, task) == Choice(name=name)
    own = Choice(name="focal", options={"gamma": 1})
    assert stated_loss(own, task) is own


@pytest.mark.parametrize(("model", "name"), [("unet", "denoise"), ("vit", "mask"), ("vim", "mask")])
def test_the_pretraining_follows_from_the_model(model, name):
    asked = Training(model={model: {}}, pretrain={"auto": {"epochs": 3}})
    assert stated_pretraining(asked) == Choice(name=name, options={"epochs": 3})
    assert stated_pretraining(Training(model=model, pretrain="denoise")) == Choice(name="denoise")
