"""What a computation takes of memory, counted by its tensors: the same on every device, and without numbers too."""

from __future__ import annotations

import math
from typing import Any
from weakref import finalize

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class TensorMemory(TorchDispatchMode):
    """Counts the bytes of all tensors that live at the same time.

    Attributes:
        most: bytes at the worst moment.
        largest: name of an operation -> bytes of its largest result; ``table``: of every place by every other one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.most, self.largest = 0, dict[str, int]()
        self._now, self._seen = 0, set[int]()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        outputs = func(*args, **(kwargs or {}))
        name = func.name()
        if "scaled_dot_product" in name:
            query, key = args[:2]
            table = 4 * math.prod(query.shape[:-1]) * key.shape[-2]
            self.largest["table"] = max(self.largest.get("table", 0), table)
        for output in tree_leaves(outputs):
            if isinstance(output, Tensor):
                self._count(name, output.untyped_storage())
        return outputs

    def _count(self, name: str, storage: torch.UntypedStorage) -> None:
        key, num = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self._now += num
        self.most = max(self.most, self._now)
        self.largest[name] = max(self.largest.get(name, 0), num)
        finalize(storage, self._forget, key, num)

    def _forget(self, key: int, num: int) -> None:
        self._seen.discard(key)
        self._now -= num
