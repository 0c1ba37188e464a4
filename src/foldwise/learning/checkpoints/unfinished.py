"""A training in progress as one file: any nested values with tensors among them, read back bit for bit or not at all.

The form is that of safetensors, written here tensor by tensor: its library copies all of them at once, which would count
as memory of the fit. Nothing in it can run code. The digest is of all bytes, with zeros in its own place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foldwise.sealed_arrays import read_head
from foldwise.storage import written_whole

NO_DIGEST = "0" * 64
TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in TYPES.items()}


def write_unfinished(path: Path, record: Mapping[str, Any], state: Any) -> None:
    """Write a state, whole or not at all, into a folder that is there.

    Args:
        record: plain values that are read without the tensors.
        state: numbers, texts, None, tensors and arrays of `TYPES`, in lists, tuples and dictionaries.
    """
    tensors: list[Tensor] = []
    plain = {**record, "state": _without_tensors(state, tensors)}
    # The digest first, so that its place is the first of so many zeros.
    head: dict[str, Any] = {"__metadata__": {"sha256": NO_DIGEST, "record": json.dumps(plain)}}
    end = 0
    for number, values in enumerate(tensors):
        start, end = end, end + values.nbytes
        about = {"dtype": NAMES[values.dtype], "shape": list(values.shape), "data_offsets": [start, end]}
        head[str(number)] = about
    text = json.dumps(head).encode()
    raw = len(text).to_bytes(8, "little") + text
    digest = sha256(raw)
    with written_whole(path, make_folders=False) as scratch, scratch.open("wb") as file:
        file.write(raw)
        for values in tensors:
            part = _bytes_of(values.detach().cpu().contiguous())
            digest.update(part)
            file.write(part)
        file.seek(raw.index(NO_DIGEST.encode()))
        file.write(digest.hexdigest().encode())


def read_unfinished(path: Path) -> tuple[dict[str, Any], Any]:
    """The record and the state that `write_unfinished` wrote, tensors on the CPU.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not what was written.
    """
    head = read_head(path)
    digest = sha256(head.raw.replace(head.sha256.encode(), NO_DIGEST.encode(), 1))
    tensors = []
    with path.open("rb") as file:
        file.seek(len(head.raw))
        # Before room is made for them: a damaged length may be any number.
        if _num_bytes(head.tensors) != path.stat().st_size - len(head.raw):
            raise ValueError("it is longer or shorter than it says")
        for about in head.tensors.values():
            values = torch.empty(about["shape"], dtype=TYPES[about["dtype"]])
            part = _bytes_of(values)
            file.readinto(part)
            digest.update(part)
            tensors.append(values)
    if digest.hexdigest() != head.sha256:
        raise ValueError("its bytes are not those that were written")
    record = dict(head.record)
    return record, _with_tensors(record.pop("state"), tensors)


def _num_bytes(tensors: Mapping[str, Mapping[str, Any]]) -> int:
    try:
        return sum(math.prod(about["shape"]) * TYPES[about["dtype"]].itemsize for about in tensors.values())
    except (KeyError, TypeError) as error:
        raise ValueError(f"{error!r} in its head") from None


def _bytes_of(values: Tensor) -> Any:
    """The bytes (n,) of a contiguous tensor on the CPU, in its own memory."""
    return values.reshape(-1).view(torch.uint8).numpy()


def _without_tensors(value: Any, tensors: list[Tensor]) -> Any:
    """The same as JSON has it, with numbers in place of tensors, which are appended."""
    if isinstance(value, Tensor):
        tensors.append(value)
        # Kernels that work through memory in its order need the values of one weight in one order.
        return {"tensor": len(tensors) - 1, "stride": list(value.stride())}
    if isinstance(value, np.ndarray):
        tensors.append(torch.from_numpy(value.copy(order="C")))
        return {"array": len(tensors) - 1}
    if isinstance(value, list):
        return [_without_tensors(part, tensors) for part in value]
    if isinstance(value, tuple):
        return {"tuple": [_without_tensors(part, tensors) for part in value]}
    if isinstance(value, Mapping):  # as pairs, since keys are numbers, too
        return {"dict": [[key, _without_tensors(part, tensors)] for key, part in value.items()]}
    return value


def _with_tensors(value: Any, tensors: list[Tensor]) -> Any:
    if isinstance(value, list):
        return [_with_tensors(part, tensors) for part in value]
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(_with_tensors(part, tensors) for part in value["tuple"])
    if "dict" in value:
        return {key: _with_tensors(part, tensors) for key, part in value["dict"]}
    if "array" in value:
        return tensors[value["array"]].numpy()
    values, stride = tensors[value["tensor"]], tuple(value["stride"])
    if stride == values.stride() or 0 in stride:
        return values
    return torch.empty_strided(values.shape, stride, dtype=values.dtype).copy_(values)
