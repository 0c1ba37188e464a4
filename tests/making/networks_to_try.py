"""Networks small enough to train in a test: every row of the zoo, and a few of every library."""

from foldwise.learning.networks.models import MODELS, build
from foldwise.learning.networks.network import DataShape
from foldwise.study.training import Choice, Training

SMALL = {
    "conv": {"width": 4, "depth": 3},
    "unet": {"width": 4, "depth": 2},
    "resnet": {"width": 4, "stages": 3, "blocks": 1},
    "vit": {"width": 16, "depth": 2, "patch": 8},
    "vim": {"width": 16, "blocks": 1, "states": 4, "patch": 8},
    "haltuf": {"width": 4},
}
CLASSIFY, SEGMENT = "multiclass_classification", "multiclass_segmentation"
OWN = [
    (name, task)
    for name, row in MODELS.items()
    for task, form in ((CLASSIFY, row.encoder), (SEGMENT, row.segmenter))
    if form
]
LIBRARY = [
    ("timm:test_resnet", CLASSIFY),
    ("timm:test_vit", CLASSIFY),
    ("timm:test_convnext", CLASSIFY),
    ("torchvision:squeezenet1_0", CLASSIFY),
    ("smp:unet/resnet18", SEGMENT),
    ("smp:linknet/tu-test_resnet", SEGMENT),
]
EVERY = OWN + LIBRARY


def training(model, **more):
    return Training(model=Choice(name=model, options=SMALL.get(model, {})), **more)


def network(model, task, *, in_channels=3, num_classes=4, size_hw=(64, 64), seed=0, **more):
    return build(
        training(model, **more),
        DataShape(task=task, in_channels=in_channels, num_classes=num_classes, size_hw=size_hw),
        seed=seed,
    )
