"""Tensors of other people's checkpoints by name, from a folder or a file.

safetensors are read as they are; pickles only as far as they hold tensors (`weights_only`), so that
a file from a stranger cannot run code.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from emo2.errors import InputError, MissingCheckpoint

FOLDER_FILES = tuple(
    f"diffusion_pytorch_model{ending}"
    for ending in (".safetensors", ".fp16.safetensors", ".bin", ".fp16.bin")
)
"""What a diffusers folder may hold, the best first."""
PICKLES = (".ckpt", ".bin", ".pt", ".pth")


def read_tensors(path: str | Path, argument: str, part: str | None = None) -> dict[str, Tensor]:
    """All tensors of a checkpoint on the CPU, in the precision of the file.

    Args:
        path: a file, a diffusers model's folder, or with `part` the folder of a whole pipeline of
            which this is one folder ("unet").
        argument: what an error is about.

    Raises:
        InputError: no such file, not whole, or it holds more than tensors.
    """
    file = find_weights(Path(path), argument, part)
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        if file.suffix not in PICKLES:
            rule = f"must end in .safetensors or {', '.join(PICKLES)}"
            raise InputError(argument, rule, file.name, "Name the file with the weights.")
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            argument,
            "must hold nothing but tensors",
            f"{file.name} ({str(error).splitlines()[0]})"[:300],
            "Use its .safetensors edition; pickled objects could run code and are not read.",
        ) from error
    except (SafetensorError, RuntimeError, EOFError) as error:
        value = f"{file} ({str(error).splitlines()[0]})"[:300]
        raise InputError(argument, "must be whole", value, "Download it again.") from error
    return unwrapped(found, file, argument)


def find_weights(path: Path, argument: str, part: str | None = None) -> Path:
    """The file at `path`, or the one with the weights in that folder."""
    if path.is_file():
        return path
    folder = path / part if part is not None and (path / part).is_dir() else path
    for name in FOLDER_FILES:
        if (folder / name).is_file():
            return folder / name
    raise MissingCheckpoint(
        argument, f"must be a file of weights or a folder with {FOLDER_FILES[0]}", path,
        "Download it, for example with `hf download`, and name the folder or the file.",
    )  # fmt: skip


def unwrapped(found: object, file: Path, argument: str) -> dict[str, Tensor]:
    """The tensors of an unpickled checkpoint: trainers wrap them in `state_dict`, and data-parallel
    ones put "module." before every name."""
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise InputError(
            argument, "must hold tensors by name", file, "Name the checkpoint's own file."
        )
    return {name.removeprefix("module."): tensor for name, tensor in found.items()}
