"""torch tensors out of foreign files, as NumPy arrays, without torch."""

from __future__ import annotations

import math
import pickle

import numpy as np

MAX_NUMBERS = 1 << 28
"""A tensor may repeat its storage (`expand`); more numbers than this are refused."""
_BFLOAT16 = "bfloat16"
_CODES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


class Refused(pickle.UnpicklingError):
    """The pickle asks for something that is not in the table, or not in this way."""


class StorageType:
    """Stands for a class of torch storages: what its bytes mean."""

    def __init__(self, name: str) -> None:
        self._code = _CODES[name]

    @property
    def itemsize(self) -> int:
        """Bytes a number."""
        return 2 if self._code == _BFLOAT16 else np.dtype(self._code).itemsize

    def numbers(self, data: bytes) -> np.ndarray:
        """The numbers in `data`, in a row."""
        if self._code == _BFLOAT16:  # the upper half of a float32
            return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
        return np.frombuffer(data, self._code).copy()


STORAGE_TYPES = {("torch", name): StorageType(name) for name in _CODES}


def storage_id(pid: object) -> tuple[StorageType, str, int]:
    """What kind, which and how long, out of torch's ("storage", kind, key, device, length, ...)."""
    if not (type(pid) is tuple and len(pid) in (5, 6) and pid[0] == "storage"):
        raise Refused("a torch storage of another kind")
    _, kind, key, _, length, *view = pid
    known = isinstance(kind, StorageType) and type(key) is str and type(length) is int
    if not known or length < 0 or view not in ([], [None]):
        raise Refused("a torch storage of another kind")
    return kind, key, length


def rebuild_tensor(
    storage: object, offset: object, size: object, stride: object, *rest: object
) -> np.ndarray:
    """`torch._utils._rebuild_tensor_v2`: a view of a storage, inside that storage."""
    if not (isinstance(storage, np.ndarray) and storage.ndim == 1):
        raise Refused("a torch tensor without storage")
    numbers = [offset, *size, *stride]
    if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
        raise Refused("a torch tensor of an impossible size")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    count = math.prod(size)
    if count > MAX_NUMBERS or (count and last >= len(storage)):
        raise Refused(f"a torch tensor of size {tuple(size)}"[:80] + " beyond its data")
    if not count:
        return np.empty(size, storage.dtype)
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)
