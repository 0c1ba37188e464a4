"""The large network of the protein study: any number of channels, and every parameter learns."""

import torch

from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import DataShape
from foldwise.learning.objectives.losses import make_loss
from foldwise.study.training import Choice, Training


def test_inception_resnet_v2_learns_from_four_channels_with_all_of_its_parameters():
    training = Training.model_validate({"model": "timm:inception_resnet_v2"})
    task = "multilabel_classification"
    network = build(training, DataShape(task=task, in_channels=4, num_classes=28, size_hw=(80, 80)), seed=0)
    x, target = torch.rand(2, 4, 80, 80), torch.rand(2, 28).round()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    loss = make_loss(Choice(name="auto"), task=task, num_classes=28)(network(x), target)
    loss.backward()
    without = [
        name for name, values in network.named_parameters() if values.grad is None or not values.grad.any()
    ]
    assert without == []
    before = [values.detach().clone() for values in network.parameters()]
    optimizer.step()
    assert all((a != b).any() for a, b in zip(before, network.parameters(), strict=True))
    assert sum(values.numel() for values in network.parameters()) > 54e6
