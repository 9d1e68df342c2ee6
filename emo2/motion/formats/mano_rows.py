"""One dictionary of a hand regressor: the MANO parameters of a hand, or of a batch of hands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.motion.formats.arrays import numbers, plain_array
from emo2.motion.rotations import from_axis_angle, from_matrix
from emo2.types import NUM_BETAS, NUM_JOINTS

NESTED = ("pred_mano_params", "mano_params", "wilor_preds")
CROP_PLACE = "pred_cam_t"
PLACES = ("pred_cam_t_full", "cam_t_full", "cam_t", "transl", "trans", CROP_PLACE)
"""Names of the translation from the camera, best first."""
SIDES = ("right", "is_right")
FRAMES = ("frame", "frames", "frame_idx", "frame_index", "frame_id")
KNOWN = ("global_orient", "hand_pose", "betas", *NESTED, *PLACES, *SIDES, *FRAMES)
NEED = "global_orient, hand_pose, right (1 or 0), and pred_cam_t_full where known"
REMEDY = f"Save the regressor's output with the names {NEED}; a row a hand and frame."
_FINGERS = NUM_JOINTS - 1


@dataclass(frozen=True)
class Rows:
    """N hands."""

    right: np.ndarray
    """(N,) bool."""
    quaternions: np.ndarray
    """(N, 16, 4): wrist in the camera's frame (y down, z away), joints from the flat hand."""
    betas: np.ndarray
    """(N, 10): zeros where the file has none."""
    places: np.ndarray | None
    """(N, 3): the translation from the camera [m]; its depth is nominal."""
    frame: np.ndarray | None
    """(N,) int, where the rows are numbered."""
    from_crops: bool
    """The places may be those from each crop's own camera, which say nothing of the body."""


def params_in(held: Mapping) -> Mapping | None:
    """Where the MANO parameters lie; None where there are none."""
    for inner in (held, *(held.get(name) for name in NESTED)):
        if isinstance(inner, Mapping) and ("hand_pose" in inner or "global_orient" in inner):
            return inner
    return None


def read_rows(held: Mapping, path: Path, side: str | None) -> Rows:
    """The hands in a dictionary with `params_in`; `side` is known from elsewhere, or None. Raises
    `InputError`."""
    merged = {**held, **params_in(held)}
    quaternions = _rotations(merged, path)
    count = len(quaternions)
    place = next((name for name in PLACES if merged.get(name) is not None), None)
    betas = _rows(merged, "betas", NUM_BETAS, count, path) if "betas" in merged else None
    return Rows(
        right=_sides(merged, count, path, side),
        quaternions=quaternions,
        betas=np.zeros((count, NUM_BETAS)) if betas is None else betas,
        places=_rows(merged, place, 3, count, path) if place else None,
        frame=_frame_numbers(merged, count, path),
        from_crops=place == CROP_PLACE,
    )


def _rotations(merged: Mapping, path: Path) -> np.ndarray:
    """(N, 16, 4): as matrices or axis-angles, which the shape of `hand_pose` tells."""
    for name in ("global_orient", "hand_pose"):
        if plain_array(merged.get(name)) is None:
            raise InputError("motion", f"a MANO track must hold {NEED}", path, REMEDY)
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
            raise InputError("motion", rule, f"{shapes} in {path}", REMEDY)
        flat = array.reshape(count, joints * per_hand)
        parts.append(numbers({name: flat}, name, ("T", joints * per_hand), path))
    values = np.concatenate(parts, axis=1).reshape(count, NUM_JOINTS, per_hand)
    if not matrices:
        return from_axis_angle(values)
    values = values.reshape(count, NUM_JOINTS, 3, 3)
    off = np.abs(values @ np.swapaxes(values, -1, -2) - np.eye(3)).max(axis=(1, 2, 3))
    if off.max() > 0.05 or np.linalg.det(values).min() < 0:
        rule = "3x3 arrays must be rotation matrices"
        raise InputError("motion", rule, f"others in row {off.argmax()} of {path}", REMEDY)
    return from_matrix(values)


def _sides(merged: Mapping, count: int, path: Path, side: str | None) -> np.ndarray:
    name = next((name for name in SIDES if name in merged), None)
    if name is None and side is not None:
        return np.full(count, side == "right")
    if name is None:
        rule = "a MANO track must say which hand a row is: right, 1 or 0"
        raise InputError("motion", rule, f"no such array in {path}", REMEDY)
    values = _rows(merged, name, 1, count, path)[:, 0]
    if not np.isin(values, (0, 1)).all():
        raise InputError("motion", f"{name} must be 1 or 0", path, REMEDY)
    return values.astype(bool)


def _frame_numbers(merged: Mapping, count: int, path: Path) -> np.ndarray | None:
    name = next((name for name in FRAMES if name in merged), None)
    if name is None:
        return None
    given = _rows(merged, name, 1, count, path)[:, 0]
    if given.min() < 0:
        raise InputError("motion", f"{name} must be 0 or more", path, "Number frames from 0.")
    return given.astype(np.int64)


def _rows(merged: Mapping, name: str, width: int, count: int, path: Path) -> np.ndarray:
    """`merged[name]` as (count, width); one row stands for all."""
    array = plain_array(merged[name])
    if array is not None and array.size in (width, count * width):
        array = array.reshape(-1, width)
    rows = numbers({name: merged[name] if array is None else array}, name, ("T", width), path)
    if len(rows) not in (1, count):
        rule = f"{name} must have a row a hand, {count}"
        raise InputError("motion", rule, f"{len(rows)} in {path}", REMEDY)
    return np.broadcast_to(rows, (count, width))
