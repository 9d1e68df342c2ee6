"""State dicts out of `.pth` files: tensors and nothing else, and never code."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from emo2.errors import MissingCheckpoint

REMEDY = "Delete the file and get the set again: only this file is fetched anew."


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors by name, mapped from the file where its format allows it, so that gigabytes are read
    only when they are used. They may be views of one large buffer.

    Raises:
        MissingCheckpoint: the file is cut short, holds more than tensors, or no state dict.
    """
    try:
        content = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError as error:
        first = str(error).split("\n")[0][:200]
        raise MissingCheckpoint(
            "weights", "must be a whole pickle that holds tensors only", f"{path} ({first})", REMEDY
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        first = str(error).split("\n")[0][:200]
        rule = "must be a whole file of tensors"
        raise MissingCheckpoint("weights", rule, f"{path} ({first})", REMEDY) from error
    fits = isinstance(content, dict) and content
    if not fits or not all(isinstance(value, Tensor) for value in content.values()):
        rule = "must be a dictionary of tensors"
        raise MissingCheckpoint("weights", rule, f"{path}: {type(content).__name__}", REMEDY)
    return dict(content)


def halved(tensors: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Each in float16 and in memory of its own. Raises `MissingCheckpoint` for numbers that float16
    cannot hold."""
    own = {name: tensor.to(torch.float16, copy=True) for name, tensor in tensors.items()}
    for name, tensor in own.items():
        if not torch.isfinite(tensor).all():
            rule = "must hold finite numbers that float16 can hold"
            raise MissingCheckpoint("weights", rule, f"{source}: {name}", REMEDY)
    return own
