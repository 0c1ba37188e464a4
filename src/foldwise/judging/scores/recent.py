"""What was read last, kept in bounded memory, so that a judgement that asks for it again does not read it again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

MAX_BYTES = 1 << 28  # scores of 7,500 fits of a thousand images; of masks, which have histograms, far fewer


class Recent:
    """Values by key, of which those asked for longest ago are given up where they are more than `max_bytes` together."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any], size: Callable[[Any], int]) -> Any:
        """The value of a key, made where it is not at hand; `size` says how many bytes it has."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key][0]
        value = make()
        self._values[key] = value, size(value)
        self._bytes += self._values[key][1]
        while self._bytes > self._max_bytes:
            _, (_, given_up) = self._values.popitem(last=False)
            self._bytes -= given_up
        return value
