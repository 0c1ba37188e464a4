"""Networks and batches small enough that every number of a loss surface can be worked out another way."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from foldwise.data.batches.batches import Batch
from foldwise.insight.landscape.points import Landscape
from foldwise.learning.training.scoring import ForwardPass

CPU = torch.device("cpu")
CLASSIFY = ForwardPass("multiclass_classification", 3, CPU)
SEGMENT = ForwardPass("multiclass_segmentation", 3, CPU)


def vectors(sizes=(8, 8, 4), features=5, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        Batch(
            torch.randn(n, features, generator=generator),
            torch.randint(0, classes, (n,), generator=generator),
            np.arange(n),
        )
        for n in sizes
    ]


def pictures(sizes=(16,), side=8, classes=3, seed=0, *, masks=False):
    generator = torch.Generator().manual_seed(seed)
    return [
        Batch(
            torch.randn(n, 2, side, side, generator=generator),
            torch.randint(0, classes, (n, side, side) if masks else (n,), generator=generator),
            np.arange(n),
        )
        for n in sizes
    ]


def dense(seed=0, activation=nn.Tanh):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 6), activation(), nn.Linear(6, 3))


def normed(seed=0, dropout=0.5):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


class Weights(nn.Module):
    """Gives its weights for every input, so that a loss of them can be any function."""

    def __init__(self, values):
        super().__init__()
        self.w = nn.Parameter(torch.as_tensor(values, dtype=torch.float32))

    def forward(self, x):
        return self.w.expand(len(x), -1)


def quadratic(h, at):
    """A landscape of the loss 0.5 * sum of h w^2, whose Hessian is diag(h)."""
    curvatures = torch.as_tensor(h, dtype=torch.float32)

    def loss(w, _):
        return 0.5 * (curvatures * w[0] ** 2).sum()

    return Landscape(Weights(at), vectors(sizes=(2, 1)), (loss,), CLASSIFY)


def cross_entropy_of(network, batches=None, **more):
    return Landscape(network, vectors() if batches is None else batches, (F.cross_entropy,), CLASSIFY, **more)
