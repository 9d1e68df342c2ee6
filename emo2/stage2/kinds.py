"""The kinds of film models. Each has `from_pretrained(folder)` and `film(scene, ...)`."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

from emo2.errors import MissingCheckpoint

KINDS = {
    "Stage2Pipeline": "emo2.stage2.pipeline",
    "EchoMimicV2": "emo2.stage2.echomimic_v2",
}
"""The class that a checkpoint's `model_index.json` names, and its module."""


def film_model(folder: Path):
    """The film model that lies in `folder`, loaded. Raises `MissingCheckpoint` where there is none
    or it is of no known kind."""
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
    return getattr(import_module(KINDS[kind]), kind).from_pretrained(folder)
