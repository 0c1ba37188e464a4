"""Bounded memory: what was read last is kept while there is room, and numbers of many images wait on the disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from tempfile import TemporaryFile
from typing import Any, Self

import numpy as np

from foldwise.metrics.outputs import Floats, Outputs

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


def size_of_arrays(arrays: Mapping[str, Any]) -> int:
    """Bytes of them all."""
    return sum(array.nbytes for array in arrays.values())


def size_of_outputs(outputs: Outputs) -> int:
    """Bytes of outputs, with what is counted from them: four numbers for every case and class."""
    own = sum(value.nbytes for value in vars(outputs).values() if isinstance(value, np.ndarray))
    return own + 32 * len(outputs.case) * outputs.num_classes


class Waiting:
    """Arrays that are needed once more, later: the first `max_bytes` of them stay in memory, others go to a temporary file.

    Of 500 configurations in 3 repeats, all metrics of 10,000 images have 2.4 GB. The file is where `TMPDIR` says, and
    gone at the end of the ``with``.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._left, self._end = max_bytes, 0
        self._file: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def put(self, arrays: Mapping[str, Floats], *, but: Collection[str] = ()) -> Mapping[str, Floats]:
        """The same arrays, wherever they are now; those called as in `but` are in memory, and stay."""
        often = {name: array for name, array in arrays.items() if name in but}
        once = {name: array for name, array in arrays.items() if name not in but}
        size = sum(array.nbytes for array in once.values())
        if size <= self._left:
            self._left -= size
            return arrays
        self._left = 0
        self._file = self._file or TemporaryFile(prefix="foldwise-")  # noqa: SIM115  closed at the end
        starts = {name: self._written(array) for name, array in once.items()}
        return _OnDisk(self._file, often, starts)

    def _written(self, array: Floats) -> tuple[int, tuple[int, ...]]:
        start = self._end
        self._file.seek(start)
        self._file.write(np.ascontiguousarray(array).data)
        self._end += array.nbytes
        return start, array.shape


class _OnDisk(Mapping[str, Floats]):
    def __init__(
        self, file: Any, often: Mapping[str, Floats], starts: Mapping[str, tuple[int, tuple[int, ...]]]
    ) -> None:
        self._file, self._often, self._starts = file, often, starts

    def __getitem__(self, name: str) -> Floats:
        if name in self._often:
            return self._often[name]
        start, shape = self._starts[name]
        self._file.seek(start)
        read: Floats = np.fromfile(self._file, np.float64, count=int(np.prod(shape)))
        return read.reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter([*self._often, *self._starts])

    def __len__(self) -> int:
        return len(self._often) + len(self._starts)
