"""A weight set: a folder with `config.json` and one folder a part, its own or another set's.

    {"fps": 24.0, "max_side_px": 1024, "parts": {"gesture": "../demo/gesture", ...}}

`parts` says which folders are shared, relative to the set's own; any other part lies in it under
its own name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emo2.errors import MissingCheckpoint

CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
DEMO_CHECKPOINT = CHECKPOINTS / "demo"
FETCHED = ("echomimic_v2", "echomimic_v2_accelerated")
"""Sets that `python -m emo2 weights get` makes."""


@dataclass(frozen=True)
class WeightSet:
    """Where the parts lie and how big and fast the films are."""

    folder: Path
    fps: float
    max_side_px: int
    parts: Mapping[str, str] = field(default_factory=dict)
    """Part to folder, relative to `folder`."""

    @classmethod
    def open(cls, name: str | Path) -> WeightSet:
        """A set's folder, or the name of one in `checkpoints`.

        Raises:
            MissingCheckpoint: there is none, or its config.json is not one; names the command that
                gets it.
        """
        folder = find(name)
        path = folder / "config.json"
        if not path.is_file():
            raise MissingCheckpoint(
                "checkpoint", "must be a folder with config.json", folder, how_to_get(folder)
            )
        try:
            config = json.loads(path.read_text())
            return cls(folder, config["fps"], config["max_side_px"], dict(config.get("parts", {})))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            rule = "config.json must hold fps and max_side_px"
            said = f"{path} ({type(error).__name__}: {error})"
            raise MissingCheckpoint("checkpoint", rule, said, how_to_get(folder)) from error

    def part(self, name: str) -> Path:
        """The folder of a part, whether or not it is there."""
        return (self.folder / self.parts.get(name, name)).resolve()


def find(name: str | Path) -> Path:
    """A folder as given; a bare name that is none is looked for in `checkpoints`."""
    path = Path(name)
    bare = len(path.parts) == 1 and not path.is_absolute()
    return CHECKPOINTS / path if bare and not path.is_dir() else path


def how_to_get(folder: Path) -> str:
    """What to do about a set that is not there."""
    if folder.name in FETCHED:
        accelerated = " --accelerated" if folder.name.endswith("_accelerated") else ""
        elsewhere = "" if folder.parent == CHECKPOINTS else f" --to {folder}"
        return f"Fetch it: python -m emo2 weights get echomimic_v2{accelerated}{elsewhere}"
    return f"The bundled set is {DEMO_CHECKPOINT}; leave --checkpoint out to use it."
