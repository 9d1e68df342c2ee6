"""How Stage 2's networks are written and read: own arguments only, and every tensor or none.

diffusers merely warns when a file lacks tensors a class has, and fills them with random numbers.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from pathlib import Path

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors import SafetensorError, safe_open

from emo2.errors import MissingCheckpoint


class OwnArguments(ConfigMixin):
    """For a class that narrows a stock model: config.json holds the arguments of its own
    constructor, without those of the parent that follow from them."""

    def to_json_string(self) -> str:
        """The configuration as it is saved."""
        own = inspect.signature(type(self).__init__).parameters
        values = json.loads(super().to_json_string())
        kept = {k: v for k, v in values.items() if k in own or k.startswith("_")}
        return json.dumps(kept, indent=2, sort_keys=True) + "\n"


def check_parts(folder: str | Path, classes: Iterable[type[ModelMixin]]) -> None:
    """Compares the networks of a pipeline's folder with those of `classes` that they name.

    Raises:
        MissingCheckpoint: there is no such folder, or a network is not whole.
    """
    folder = Path(folder)
    index = folder / "model_index.json"
    if not index.is_file():
        raise MissingCheckpoint(
            "checkpoint",
            "Stage 2 needs a folder with model_index.json",
            folder,
            "checkpoints/demo/video is one; `python -m emo2 train video` makes another.",
        )
    by_name = {network.__name__: network for network in classes}
    for part, described in json.loads(index.read_text()).items():
        if isinstance(described, list) and described[-1] in by_name:
            check_strictly(folder / part, by_name[described[-1]])


def check_strictly(folder: Path, model_class: type[ModelMixin]) -> None:
    """Compares a saved model with its class, names and shapes of all tensors, without loading it.

    Raises:
        MissingCheckpoint: a file is missing or unreadable, or does not hold exactly the class's
            tensors.
    """
    remedy = "Restore the folder from the release it came from, or train it anew"
    config, weights = folder / "config.json", folder / SAFETENSORS_WEIGHTS_NAME
    for path in (config, weights):
        if not path.is_file():
            raise MissingCheckpoint("checkpoint", "needs this file", path, remedy)
    try:
        with safe_open(weights, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise MissingCheckpoint(
            "checkpoint", "must be a whole safetensors file", f"{weights} ({error})", remedy
        ) from error
    with torch.device("meta"):
        model = model_class.from_config(model_class.load_config(folder))
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if found == wanted:
        return
    wrong = {
        "missing": wanted.keys() - found.keys(),
        "unexpected": found.keys() - wanted.keys(),
        "of another shape": {k for k in wanted.keys() & found.keys() if wanted[k] != found[k]},
    }
    said = "; ".join(
        f"{len(names)} {kind}, such as {min(names)!r}" for kind, names in wrong.items() if names
    )
    raise MissingCheckpoint(
        "checkpoint", f"must hold exactly the tensors of {model_class.__name__}",
        f"{weights}: {said}", remedy,
    )  # fmt: skip
