"""What arms allow: where elbows lie, how far a wrist bends, where hands can be. Body frame, metres.

One arm is described, the left; the right is its mirror image. The bones belong to a body whose
shoulders are `REFERENCE_SHOULDER_BREADTH_M` apart.
"""

from __future__ import annotations

import numpy as np

from emo2.motion.rotations import (
    between,
    conjugate,
    from_axis_angle,
    from_matrix,
    mirror,
    multiply,
    rotate,
    slerp,
)
from emo2.types import REFERENCE_SHOULDER_BREADTH_M

SHOULDER_M = np.array([REFERENCE_SHOULDER_BREADTH_M / 2, 0.0, 0.0])
UPPER_ARM_M = 0.30
FOREARM_M = 0.26
ELBOW_RANGE_M = (0.08, 0.985 * (UPPER_ARM_M + FOREARM_M))
"""From shoulder to wrist: an elbow neither folds flat nor locks straight."""
POLE = np.array([0.65, -1.0, -0.45])
"""Elbows hang down, outward and a little back."""
MAX_BEND_RAD = np.deg2rad(55.0)
VOLUME_M = np.array([[0.0, -0.46, 0.08], [0.46, 0.10, 0.40]])
"""Corners of the box in front of the torso where a speaker's left wrist can be."""
MAX_REACH_M = 0.94 * (UPPER_ARM_M + FOREARM_M)
SOFT_EDGE_M = 0.04
HAND_LENGTH_M = 0.17
HAND_GAP_M = 0.012
HAND_THICKNESS_M = 0.075
_THUMB_UP = np.array([0.0, 1.0, -0.35])
_MIRROR = np.array([-1.0, 1.0, 1.0])


def elbow(wrist_m: np.ndarray) -> np.ndarray:
    """The left elbow (..., 3) for a left wrist (..., 3): two bones, bending towards `POLE`."""
    reach = wrist_m - SHOULDER_M
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    axis = reach / np.maximum(distance, 1e-9)
    distance = np.clip(distance, *ELBOW_RANGE_M)
    along = (UPPER_ARM_M**2 - FOREARM_M**2 + distance**2) / (2 * distance)
    away = np.sqrt(np.maximum(UPPER_ARM_M**2 - along**2, 0.0))
    side = POLE - axis * (POLE * axis).sum(-1, keepdims=True)
    return SHOULDER_M + along * axis + away * side / np.linalg.norm(side, axis=-1, keepdims=True)


def neutral_wrist(wrist_m: np.ndarray) -> np.ndarray:
    """The left wrist's orientation (..., 4) in line with the forearm, thumb up, for a wrist at
    (..., 3)."""
    fingers = _unit(wrist_m - elbow(wrist_m))
    thumb = _unit(_THUMB_UP - fingers * (fingers @ _THUMB_UP)[..., None])
    return from_matrix(np.stack([fingers, np.cross(thumb, fingers), thumb], axis=-1))


def wrist_orientation(wrist_m: np.ndarray, angles_rad: np.ndarray) -> np.ndarray:
    """The left wrist's orientation (..., 4) from anatomy's angles (..., 3): pronation, flexion,
    ulnar deviation.

    Zero is in line with the forearm, thumb up. Pronation turns the palm down, flexion bends the
    fingers towards the palm, ulnar deviation towards the little finger.
    """
    turn = angles_rad[..., :1] * np.array([1.0, 0.0, 0.0])
    bend = angles_rad[..., 1:2] * np.array([0.0, 0.0, -1.0])
    bend = bend + angles_rad[..., 2:] * np.array([0.0, 1.0, 0.0])
    local = multiply(from_axis_angle(turn), from_axis_angle(bend))
    return multiply(neutral_wrist(wrist_m), local)


def limit(quaternions: np.ndarray, translation_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest motion that a body can make: hands in front of the torso, wrists not broken,
    hands not in each other.

    Takes and returns quaternions (T, 2, 16, 4) and translation (T, 2, 3). What is well inside the
    limits stays as it is.
    """
    quaternions, translation_m = np.array(quaternions), np.array(translation_m, dtype=np.float64)
    for hand in (0, 1):
        side = _MIRROR**hand
        translation_m[:, hand] = side * limit_place(side * translation_m[:, hand])
    translation_m = separate(quaternions[:, :, 0], translation_m)
    for hand in (0, 1):
        wrist = mirror(quaternions[:, hand, 0]) if hand else quaternions[:, hand, 0]
        wrist = limit_bend(wrist, _MIRROR**hand * translation_m[:, hand])
        quaternions[:, hand, 0] = mirror(wrist) if hand else wrist
    return quaternions, translation_m


def limit_place(wrist_m: np.ndarray) -> np.ndarray:
    """Left wrists (..., 3) softly held inside `VOLUME_M` and the arm's reach."""
    inside = _soft_clip(wrist_m, VOLUME_M[0], VOLUME_M[1])
    reach = inside - SHOULDER_M
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    limited = _soft_clip(distance, np.array(0.12), np.array(MAX_REACH_M))
    return SHOULDER_M + reach * limited / np.maximum(distance, 1e-9)


def limit_bend(wrist: np.ndarray, wrist_m: np.ndarray) -> np.ndarray:
    """Left wrist orientations (..., 4) whose fingers leave the forearm's line by no more than
    `MAX_BEND_RAD`."""
    forearm = _unit(wrist_m - elbow(wrist_m))
    fingers = rotate(wrist, np.array([1.0, 0.0, 0.0]))
    back = between(fingers, forearm)
    angle = np.arccos(np.clip((fingers * forearm).sum(-1), -1, 1))
    wanted = _soft_clip(angle, np.array(-MAX_BEND_RAD), np.array(MAX_BEND_RAD), edge=0.2)
    share = np.where(angle > 1e-6, 1 - wanted / np.maximum(angle, 1e-6), 0.0)
    return multiply(slerp(np.broadcast_to([1.0, 0, 0, 0], back.shape), back, share), wrist)


def separate(wrists: np.ndarray, translation_m: np.ndarray) -> np.ndarray:
    """Move hands that would pass through each other apart sideways: wrists (T, 2, 4), translation
    (T, 2, 3)."""
    fingers = np.stack(
        [rotate(wrists[:, hand], np.array([1.0 - 2 * hand, 0.0, 0.0])) for hand in (0, 1)], axis=1
    )
    along = np.linspace(0, HAND_LENGTH_M, 5)[:, None]
    points = translation_m[:, :, None] + fingers[:, :, None] * along  # (T, 2, 5, 3)
    left, right = points[:, 0, :, None], points[:, 1, None, :]
    apart = np.linalg.norm((left - right)[..., 1:], axis=-1)  # seen from the side
    overlap = HAND_GAP_M + right[..., 0] - left[..., 0]
    nearness = np.clip(1.5 - apart / HAND_THICKNESS_M, 0.0, 1.0)
    push = np.maximum(overlap * nearness, 0.0).max(axis=(1, 2))
    return translation_m + 0.5 * push[:, None, None] * np.array([[1.0, 0, 0], [-1.0, 0, 0]])


def bend_angle(wrists: np.ndarray, translation_m: np.ndarray) -> np.ndarray:
    """The angle [rad] (T, 2) between each hand's fingers and its forearm."""
    angles = []
    for hand in (0, 1):
        wrist = mirror(wrists[:, hand]) if hand else wrists[:, hand]
        place = _MIRROR**hand * translation_m[:, hand]
        forearm = _unit(place - elbow(place))
        local = rotate(conjugate(wrist), forearm)
        angles.append(np.arccos(np.clip(local[..., 0], -1, 1)))
    return np.stack(angles, axis=1)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def _soft_clip(
    value: np.ndarray, low: np.ndarray, high: np.ndarray, edge: float = SOFT_EDGE_M
) -> np.ndarray:
    """The identity between low + edge and high - edge, never beyond low and high, no kink."""
    over = np.maximum(value - (high - edge), 0.0)
    under = np.maximum((low + edge) - value, 0.0)
    return (
        np.clip(value, low + edge, high - edge)
        + edge * np.tanh(over / edge)
        - edge * np.tanh(under / edge)
    )
