"""The hands that an image-based regressor of the HaMeR kind found, whichever way they were saved.

Such tools hand out one dictionary an image (or a batch of crops) and leave the saving to the user.
Read are: one file with stacked arrays; a list or a dictionary over frames; a folder with a file a
frame. The parameters may lie at the top or in `pred_mano_params`, `mano_params` or `wilor_preds`.
Rotations are matrices (HaMeR, WiLoR) or axis-angles (WiLoR-mini): their shapes tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.motion.formats.arrays import numbers, plain_array, read_npz
from emo2.motion.formats.stand_ins import ARRAYS
from emo2.motion.formats.unpickling import TENSORS, load_pickle
from emo2.motion.rotations import from_axis_angle, from_matrix
from emo2.types import NUM_BETAS, NUM_JOINTS

NESTED = ("pred_mano_params", "mano_params", "wilor_preds")
CROP_PLACE = "pred_cam_t"
PLACES = ("pred_cam_t_full", "cam_t_full", "cam_t", "transl", "trans", CROP_PLACE)
"""Names of the translation from the camera, best first."""
SIDES = ("right", "is_right")
FRAMES = ("frame", "frames", "frame_idx", "frame_index", "frame_id")
RATES = ("fps", "frame_rate")
KNOWN = ("global_orient", "hand_pose", "betas", *NESTED, *PLACES, *SIDES, *FRAMES, *RATES)
SUFFIXES = (".npz", ".pkl", ".pt")
MAX_SPAN = 200_000
MAX_DEPTH = 4
_FINGERS = NUM_JOINTS - 1
_NEED = "global_orient, hand_pose, right (1 or 0), and pred_cam_t_full where known"
_REMEDY = f"Save the regressor's output with the names {_NEED}; a row a hand and frame."
_NAME = re.compile(r"(\d+)(?:_(\d{1,2}|left|right|l|r))?$", re.IGNORECASE)


@dataclass
class Detections:
    """N hands, in the order found."""

    frame: list[int] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    quaternions: list[np.ndarray] = field(default_factory=list)
    """(16, 4) each: wrist in the camera's frame (y down, z away from it), joints from the flat
    hand."""
    places: list[np.ndarray | None] = field(default_factory=list)
    """(3,) each: the translation from the camera [m], in which depth is nominal."""
    maybe_crops: bool = False
    """The translations may be those from each crop's own camera, which say nothing of the body."""
    betas: list[np.ndarray] = field(default_factory=list)
    """(10,) each."""
    fps: float | None = None
    frames: int = 0
    """How many frames the file has, with hands or without."""
    numbered: bool = True
    """False: frames were counted, for the file does not number them."""


def read_detections(path: Path) -> Detections:
    """All hands in a file or in a folder with a file a frame. Raises `InputError`."""
    found = Detections()
    if path.is_dir():
        for frame, side, file in _frame_files(path):
            _collect(found, _read(file), file, frame, side, 0)
    else:
        _collect(found, _read(path), path, None, None, 0)
    if not found.frame:
        rule = f"must hold at least one hand ({_NEED})"
        raise InputError("motion", rule, f"none in {path}", _REMEDY)
    first, last = min(found.frame), max(found.frame)
    start = 0 if found.frames > last else first
    found.frames = max(found.frames, last + 1) - start
    if found.frames > MAX_SPAN:
        rule = f"frame numbers must span at most {MAX_SPAN}"
        raise InputError("motion", rule, f"{first} to {last} in {path}", "Number frames from 0.")
    found.frame = [frame - start for frame in found.frame]
    return found


def _read(path: Path) -> object:
    if path.suffix.lower() == ".npz":
        return read_npz(path, KNOWN)
    return load_pickle(path, {**ARRAYS, **TENSORS})


def _frame_files(folder: Path) -> list[tuple[int, str | None, Path]]:
    """Frame number, side where the name tells it, and path. `000012_0`, `000012_left`, `img_12`."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES]
    if not files:
        rule = f"a folder of MANO tracks must hold a file a frame ({', '.join(SUFFIXES)})"
        raise InputError("motion", rule, f"none in {folder}", _REMEDY)
    named = [_NAME.search(file.stem) for file in files]
    if not all(named):
        files = sorted(files)
        return [(index, None, file) for index, file in enumerate(files)]
    found = []
    for match, file in zip(named, files, strict=True):
        tail = (match[2] or "").lower()
        side = {"l": "left", "r": "right"}.get(tail, tail if tail in ("left", "right") else None)
        found.append((int(match[1]), side, file))
    found.sort(key=lambda row: (row[0], row[2].name))
    numbers_used = sorted({row[0] for row in found})
    if numbers_used[-1] - numbers_used[0] > 20 * len(numbers_used):  # time stamps
        place = {number: index for index, number in enumerate(numbers_used)}
        return [(place[number], side, file) for number, side, file in found]
    return found


def _collect(
    found: Detections,
    held: object,
    path: Path,
    frame: int | None,
    side: str | None,
    depth: int,
) -> None:
    """Go through what a file holds: hands, frames of hands, or the two sides."""
    if depth > MAX_DEPTH:
        raise InputError("motion", "a MANO track must not be nested deeper", path, _REMEDY)
    if isinstance(held, np.ndarray) and held.dtype.kind in "biuf":
        held = {"an array": held}
    if held is None:
        return
    if isinstance(held, Mapping):
        _note_rate(found, held, path)
        if _params(held) is not None:
            _add_hands(found, held, path, frame, side)
            return
        sides = {name: held[name] for name in ("left", "right") if _holds_hands(held.get(name))}
        if sides:
            for name, value in sides.items():
                _collect(found, value, path, frame, name, depth + 1)
            return
    items = list(_items(held, frame))
    if not items:
        if isinstance(held, list | tuple):
            return
        have = ", ".join(map(str, held))[:160] if isinstance(held, Mapping) else type(held).__name__
        raise InputError("motion", f"a MANO track must hold {_NEED}", f"{have} in {path}", _REMEDY)
    for number, value in items:
        _collect(found, value, path, number, side, depth + 1)
        found.frames = max(found.frames, number + 1)


def _items(held: object, frame: int | None) -> Iterator[tuple[int, object]]:
    """The frames of a list or of a dictionary over frames; hands where a frame is known already."""
    if isinstance(held, list | tuple):
        for index, value in enumerate(held):
            yield (index if frame is None else frame), value
    elif isinstance(held, Mapping):
        keys = [k for k, value in held.items() if _holds_hands(value) or value is None]
        numbered = {key: re.findall(r"\d{1,12}", str(key)) for key in keys}
        known = all(numbered.values()) and len({d[-1] for d in numbered.values()}) == len(keys)
        keys.sort(key=(lambda k: int(numbered[k][-1])) if known else str)
        for index, key in enumerate(keys):
            number = int(numbered[key][-1]) if known else index
            yield (number if frame is None else frame), held[key]


def _holds_hands(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _params(held: Mapping) -> Mapping | None:
    """Where the MANO parameters lie; None where there are none."""
    for inner in (held, *(held.get(name) for name in NESTED)):
        if isinstance(inner, Mapping) and ("hand_pose" in inner or "global_orient" in inner):
            return inner
    return None


def _add_hands(
    found: Detections, held: Mapping, path: Path, frame: int | None, side: str | None
) -> None:
    """One dictionary: a row a hand."""
    merged = {**held, **_params(held)}
    quaternions = _rotations(merged, path)
    count = len(quaternions)
    right = _sides(merged, count, path, side)
    betas = _rows(merged, "betas", NUM_BETAS, count, path) if "betas" in merged else None
    place = next((name for name in PLACES if merged.get(name) is not None), None)
    places = _rows(merged, place, 3, count, path) if place else None
    found.maybe_crops |= place == CROP_PLACE
    found.quaternions += list(quaternions)
    found.right += right
    found.places += [None] * count if places is None else list(places)
    found.betas += [np.zeros(NUM_BETAS)] * count if betas is None else list(betas)
    found.frame += _frame_numbers(found, merged, right, frame, path)


def _frame_numbers(
    found: Detections, merged: Mapping, right: list[bool], frame: int | None, path: Path
) -> list[int]:
    name = next((name for name in FRAMES if name in merged), None)
    if name is not None:
        numbers_given = _rows(merged, name, 1, len(right), path)[:, 0]
        if np.any(numbers_given < 0) or np.any(numbers_given > 1e9):
            raise InputError("motion", f"{name} must be 0 or more", path, "Number frames from 0.")
        return [int(number) for number in numbers_given]
    if frame is not None:
        return [frame] * len(right)
    found.numbered = False
    seen = {True: 0, False: 0}
    out = []
    for is_right in right:
        out.append(seen[is_right])
        seen[is_right] += 1
    return out


def _rotations(merged: Mapping, path: Path) -> np.ndarray:
    """(N, 16, 4): as matrices or axis-angles, which the shape of `hand_pose` tells."""
    for name in ("global_orient", "hand_pose"):
        if plain_array(merged.get(name)) is None:
            raise InputError("motion", f"a MANO track must hold {_NEED}", path, _REMEDY)
    pose = plain_array(merged["hand_pose"])
    matrices = pose.shape[-2:] == (3, 3) or (pose.ndim and pose.shape[-1] == 9 * _FINGERS)
    per_hand = 9 if matrices else 3
    count = pose.size // (per_hand * _FINGERS)
    parts = []
    for name, joints in (("global_orient", 1), ("hand_pose", _FINGERS)):
        array = plain_array(merged[name])
        if count == 0 or array.size != count * joints * per_hand:
            as_what = "3x3 matrices" if matrices else "axis-angles"
            rule = f"global_orient and hand_pose must be 1 and {_FINGERS} {as_what} a row"
            shapes = f"shapes {plain_array(merged['global_orient']).shape} and {pose.shape}"
            raise InputError("motion", rule, f"{shapes} in {path}", _REMEDY)
        flat = array.reshape(count, joints * per_hand)
        parts.append(numbers({name: flat}, name, ("T", joints * per_hand), path))
    values = np.concatenate(parts, axis=1).reshape(count, NUM_JOINTS, per_hand)
    if not matrices:
        return from_axis_angle(values)
    values = values.reshape(count, NUM_JOINTS, 3, 3)
    off = np.abs(values @ np.swapaxes(values, -1, -2) - np.eye(3)).max(axis=(1, 2, 3))
    if off.max() > 0.05 or np.linalg.det(values).min() < 0:
        rule = "3x3 arrays must be rotation matrices"
        raise InputError("motion", rule, f"others in row {off.argmax()} of {path}", _REMEDY)
    return from_matrix(values)


def _sides(merged: Mapping, count: int, path: Path, side: str | None) -> list[bool]:
    name = next((name for name in SIDES if name in merged), None)
    if name is None and side is not None:
        return [side == "right"] * count
    if name is None:
        rule = "a MANO track must say which hand a row is: right, 1 or 0"
        raise InputError("motion", rule, f"no such array in {path}", _REMEDY)
    values = _rows(merged, name, 1, count, path)[:, 0]
    if not np.isin(values, (0, 1)).all():
        raise InputError("motion", f"{name} must be 1 or 0", path, _REMEDY)
    return [bool(value) for value in values]


def _rows(merged: Mapping, name: str, width: int, count: int, path: Path) -> np.ndarray:
    """`merged[name]` as (count, width); one row stands for all."""
    array = plain_array(merged[name])
    if array is not None and array.size in (width, count * width):
        array = array.reshape(-1, width)
    rows = numbers({name: merged[name] if array is None else array}, name, ("T", width), path)
    if len(rows) not in (1, count):
        rule = f"{name} must have a row a hand, {count}"
        raise InputError("motion", rule, f"{len(rows)} in {path}", _REMEDY)
    return np.broadcast_to(rows, (count, width))


def _note_rate(found: Detections, held: Mapping, path: Path) -> None:
    for name in RATES:
        if found.fps is None and plain_array(held.get(name)) is not None:
            fps = float(numbers(held, name, (), path))
            if not 1 <= fps <= 1000:
                rule = f"{name} must be 1 to 1000 frames per second"
                raise InputError("motion", rule, f"{fps:g} in {path}", "Put the right rate in.")
            found.fps = fps
