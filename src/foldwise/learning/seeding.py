"""Random numbers by name: each part of a network draws from its own stream, whatever else was built before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import torch


@contextmanager
def seeded(seed: int, part: str) -> Iterator[None]:
    """Within it, torch on the CPU draws the stream of (`seed`, `part`); afterwards it goes on as if nothing was.

    Networks are made on the CPU and then moved, so one seed gives the same numbers on every device.
    """
    digest = sha256(f"{seed}/{part}".encode()).digest()
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    try:
        yield
    finally:
        torch.set_rng_state(before)
