"""What a network costs to use, measured as it will be used: one image at a time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from foldwise.learning.training.devices import synchronize

WARM_UPS, MOST, LONGEST_S = 2, 20, 1.0


@torch.inference_mode()
def latency_ms(function: Callable[[Tensor], Tensor], one_1CHW: Tensor, device: torch.device) -> float:
    """Median milliseconds for one image that is on the device already; at least 3 and at most 20 measured."""
    taken: list[float] = []
    for number in range(WARM_UPS + MOST):
        synchronize(device)
        start = time.perf_counter()
        function(one_1CHW)
        synchronize(device)
        if number >= WARM_UPS:
            taken.append(time.perf_counter() - start)
        if len(taken) >= 3 and sum(taken) > LONGEST_S:
            break
    return statistics.median(taken) * 1e3
