"""The kinds of film models. Each has `from_pretrained(folder, dtype=)`, `dtype_on(device)`,
`plan(size, fps, offload)` and `film(scene, ...)`."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import torch

from emo2.errors import MissingCheckpoint
from emo2.stage2.devices import choose_device, place
from emo2.stage2.preflight import check_weights

KINDS = {
    "Stage2Pipeline": "emo2.stage2.pipeline",
    "EchoMimicV2": "emo2.stage2.echomimic_v2",
}
"""The class that a checkpoint's `model_index.json` names, and its module."""


def film_model(folder: Path, device: str | torch.device | None = None, offload: str = "none"):
    """The film model that lies in `folder`, on its device.

    Raises:
        MissingCheckpoint: there is none, or it is of no known kind.
        InputError: there is no such device, or no room for the weights.
    """
    index, kind = folder / "model_index.json", "Stage2Pipeline"
    if index.is_file():
        try:
            kind = json.loads(index.read_text())["_class_name"]
        except (ValueError, KeyError, TypeError) as error:
            kind = f"nothing readable ({error})"
        if kind not in KINDS:
            rule = f"model_index.json must name one of {', '.join(KINDS)}"
            remedy = "Restore the folder from where it came, or fetch the set again."
            raise MissingCheckpoint("checkpoint", rule, f"{index}: {kind}", remedy)
    placed = choose_device(device)
    model = getattr(import_module(KINDS[kind]), kind)
    dtype = model.dtype_on(placed)
    loaded = model.from_pretrained(folder, dtype=dtype)
    check_weights(loaded, placed, offload, dtype=dtype)
    return place(loaded, placed, offload, dtype)
