"""torch tensors out of foreign files, as NumPy arrays; torch reads weights only and never code."""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from pathlib import Path

import numpy as np

MAX_NUMBERS = 1 << 28
"""A tensor may repeat its storage (`expand`); more numbers than this are refused."""


def load_weights(path: Path, max_bytes: int) -> object:
    """A `torch.save` archive: dictionaries, lists and tensors, these as NumPy arrays."""
    import torch

    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > max_bytes:
            raise pickle.UnpicklingError(f"it unpacks to more than {max_bytes >> 20} MB")
    return _to_numpy(torch.load(path, map_location="cpu", weights_only=True))


def storage_from_bytes(data: object) -> object:
    """`torch.storage._load_from_bytes`: a tensor's numbers, inside another pickle."""
    import torch

    if not isinstance(data, bytes):
        raise pickle.UnpicklingError("a torch storage that is not bytes")
    storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(storage, torch.storage.TypedStorage):
        raise pickle.UnpicklingError("a torch storage of another kind")
    return storage


def rebuild_tensor(
    storage: object, offset: object, size: object, stride: object, *rest: object
) -> np.ndarray:
    """`torch._utils._rebuild_tensor_v2`: a view of a storage, inside that storage."""
    import torch

    if not isinstance(storage, torch.storage.TypedStorage):
        raise pickle.UnpicklingError("a torch tensor without storage")
    numbers = [offset, *size, *stride]
    if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
        raise pickle.UnpicklingError("a torch tensor of an impossible size")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    count = math.prod(size)
    flat = _array(torch.empty(0, dtype=storage.dtype).set_(storage))
    if count > MAX_NUMBERS or (count and last >= len(flat)):
        claim = f"{tuple(size)}"[:60]
        raise pickle.UnpicklingError(f"a torch tensor of size {claim} beyond its data")
    if not count:
        return np.empty(size, flat.dtype)
    steps = [step * flat.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(flat[offset:], size, steps, writeable=False)


def _to_numpy(value: object) -> object:
    import torch

    if isinstance(value, torch.Tensor):
        return _array(value)
    if isinstance(value, dict):
        return {key: _to_numpy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_numpy(item) for item in value]
    return value


def _array(tensor) -> np.ndarray:
    import torch

    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
