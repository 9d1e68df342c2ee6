"""Key poses: at one frame a hand is here, turned so, shaped so; what lies between is made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emo2.errors import InputError
from emo2.hands.shapes import handshape
from emo2.motion.edit.span import HANDS
from emo2.types import NUM_JOINTS

MAX_BYTES = 1_000_000
_KEYS = {"at_s", "frame", "hand", "place", "wrist", "shape"}


@dataclass(frozen=True)
class Pin:
    """One hand at one frame. What is None stays free."""

    frame: int
    hand: str
    """"left" or "right"."""
    place_m: Sequence[float] | None = None
    """(3,) the wrist in the body frame."""
    wrist: Sequence[float] | None = None
    """(4,) wxyz, the hand's orientation in the body frame."""
    shape: str | np.ndarray | None = None
    """A handshape's name (`emo2.hands.shapes`), or (16, 4) joint rotations, of which the first, the
    wrist's, is not read."""

    def __post_init__(self) -> None:
        if self.hand not in HANDS:
            raise InputError("pin", f"hand must be one of {HANDS}", self.hand, "Choose one.")
        for name, size in (("place_m", 3), ("wrist", 4)):
            given = getattr(self, name)
            if given is None:
                continue
            numbers = _numbers(given)
            if numbers.shape != (size,) or not np.isfinite(numbers).all():
                raise InputError("pin", f"{name} must be {size} numbers", given, "Check the pin.")
            if name == "wrist" and not numbers.any():
                raise InputError("pin", "wrist must be a rotation", given, "[1, 0, 0, 0] is none.")
        if self.shape is not None and not isinstance(self.shape, str):
            rotations = _numbers(self.shape)
            if rotations.shape != (NUM_JOINTS, 4) or not np.isfinite(rotations).all():
                rule = f"shape must be a name or ({NUM_JOINTS}, 4) quaternions"
                raise InputError("pin", rule, rotations.shape, "Check the pin.")
        _ = self.fingers  # an unknown name is said now

    @property
    def hand_index(self) -> int:
        """0 left, 1 right."""
        return HANDS.index(self.hand)

    @property
    def fingers(self) -> np.ndarray | None:
        """(15, 4) the fingers' joints, or None."""
        if isinstance(self.shape, str):
            return handshape(self.shape, self.hand_index)[1:]
        return None if self.shape is None else _numbers(self.shape)[1:]


def read_pins(path: str | Path, fps: float) -> list[Pin]:
    """Pins from a .json file, a list of objects:

        [{"at_s": 1.5, "hand": "right", "place": [-0.2, -0.1, 0.3], "shape": "point"},
         {"frame": 60, "hand": "left", "wrist": [1, 0, 0, 0]}]

    "place" in metres, "wrist" wxyz; what is left out stays free. Raises `InputError`.
    """
    path = Path(path)
    if path.stat().st_size > MAX_BYTES:
        raise InputError("--pins", f"must be smaller than {MAX_BYTES} bytes", path, "Check it.")
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        rule, remedy = "must be a JSON list of pins", 'Write [{"at_s": 1.5, "hand": "left", ...}].'
        raise InputError("--pins", rule, f"{path} ({error})", remedy) from error
    if not isinstance(listed, list) or not listed:
        raise InputError("--pins", "must be a list of pins", path, "Put it in [ ].")
    return [_pin(entry, index, fps) for index, entry in enumerate(listed)]


def _pin(entry: Any, index: int, fps: float) -> Pin:
    where = f"pins[{index}]"
    timed = isinstance(entry, Mapping) and ("at_s" in entry) != ("frame" in entry)
    if not timed or "hand" not in entry or not entry.keys() <= _KEYS:
        rule = (
            'must have "hand", "at_s" or "frame", and of "place", "wrist", "shape" what is pinned'
        )
        raise InputError(where, rule, json.dumps(entry), "Check the names.")
    if not entry.keys() & {"place", "wrist", "shape"}:
        raise InputError(
            where, 'must pin "place", "wrist" or "shape"', json.dumps(entry), "Add one."
        )
    moment = entry["frame"] if "frame" in entry else entry["at_s"]
    if isinstance(moment, bool) or not isinstance(moment, int | float) or not 0 <= moment < 1e6:
        raise InputError(where, "must be at a time from 0", moment, "Give seconds or a frame.")
    frame = moment if "frame" in entry else moment * fps
    return Pin(
        round(frame),
        entry["hand"],
        place_m=entry.get("place"),
        wrist=entry.get("wrist"),
        shape=entry.get("shape"),
    )


def _numbers(values: Any) -> np.ndarray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.full(0, np.nan)
