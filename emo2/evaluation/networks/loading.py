"""From a file of weights to a network: strict, and never by running what is in the file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn

from emo2.errors import InputError

COUNTERS = "num_batches_tracked"
"""Older files lack batch norm's counters, which evaluation does not use."""


class Session(Protocol):
    """What is used of an `onnxruntime.InferenceSession`."""

    def run(self, names: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]: ...

    def get_inputs(self) -> list: ...


def load(network: nn.Module, path: Path) -> nn.Module:
    """The network in evaluation mode with a file's tensors, each by its name and shape.

    Raises `InputError` where names or shapes differ.
    """
    found = torch.load(path, map_location="cpu", weights_only=True)
    found = {key: tensor for key, tensor in found.items() if not key.endswith(COUNTERS)}
    wanted = {key: t for key, t in network.state_dict().items() if not key.endswith(COUNTERS)}
    wrong = sorted(found.keys() ^ wanted.keys()) or sorted(
        key for key, tensor in found.items() if tensor.shape != wanted[key].shape
    )
    if wrong:
        rule = f"must hold the {len(wanted)} tensors of {type(network).__name__}"
        remedy = "Remove it and fetch it again."
        raise InputError(str(path), rule, f"other names or shapes: {wrong[:3]}", remedy)
    network.load_state_dict(found, strict=False)
    return network.eval().requires_grad_(False)


def open_onnx(path: Path) -> Session:
    """A session on the CPU. Raises `InputError` where onnxruntime is not installed."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise InputError(
            str(path), "is read with onnxruntime", "not installed", "Run pip install onnxruntime."
        )
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
