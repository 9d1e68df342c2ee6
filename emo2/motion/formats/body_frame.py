"""From a moving body's joints to the frame of `HandMotion`: its shoulders, and nothing else of
it."""

from __future__ import annotations

import numpy as np

from emo2.motion.rotations import conjugate, from_matrix, multiply, rotate
from emo2.types import REFERENCE_SHOULDER_BREADTH_M


def to_body_frame(
    shoulders_m: np.ndarray,
    spine_up: np.ndarray,
    wrists_m: np.ndarray,
    wrist_rotations: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Wrists in the body frame, the body scaled to the reference shoulder breadth.

    shoulders_m (T, 2, 3) left then right, spine_up (T, 3) from the pelvis or chest towards the
    neck, any length; wrists_m (T, 2, 3); wrist_rotations (T, 2, 4) unit wxyz: all in one world
    frame of any orientation, metres. Returns quaternions (T, 2, 4), translation (T, 2, 3) metres
    and the body's shoulder breadth [m] (the median), which was scaled away.
    """
    shoulders_m = np.asarray(shoulders_m, dtype=np.float64)
    across = shoulders_m[:, 0] - shoulders_m[:, 1]
    breadth_m = float(np.median(np.linalg.norm(across, axis=-1)))
    x = _unit(across)
    y = _unit(spine_up - x * (np.asarray(spine_up) * x).sum(-1, keepdims=True))
    world_from_body = from_matrix(np.stack([x, y, np.cross(x, y)], axis=-1))[:, None]
    body_from_world = conjugate(world_from_body)
    origin = shoulders_m.mean(axis=1, keepdims=True)
    places = rotate(body_from_world, np.asarray(wrists_m) - origin)
    scale = REFERENCE_SHOULDER_BREADTH_M / breadth_m
    return multiply(body_from_world, wrist_rotations), scale * places, breadth_m


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)
