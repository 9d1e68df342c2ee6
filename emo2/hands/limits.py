"""What finger joints allow: rotations back to the angles of a handshape table, and those angles
held inside their anatomical ranges.

`finger_angles` undoes `emo2.hands.shapes.finger_quaternions`. `clamp_fingers` brings any motion, a
network's or a tracker's, to the nearest one that a hand can make.

Ranges (degrees) are those of healthy adults by clinical goniometry (e-hand.com): MCP 90 of flexion
and 0 to 45 of hyperextension, from person to person (30 here); PIP 0 to 110, DIP 0 to 80, with the
10 degrees of hyperextension that a spread hand shows; thumb CMC 45 of palmar and 60 of radial
abduction, MCP -10 to 55 and IP -15 to 80, of which tracked speakers use a little more at the MCP
(60 here). Fingers spread by about 20 degrees, the little finger by more; the tight side ligaments
of a bent MCP take most of that away. The thumb's angles count from the flat hand of this model, in
which it already stands 38 degrees off the index.
"""

from __future__ import annotations

import numpy as np

from emo2.errors import InputError
from emo2.hands.shapes import finger_quaternions, first_joint_axes
from emo2.hands.skeleton import FINGERS, FIRST_JOINT, LEFT, finger_axes
from emo2.motion.rotations import (
    conjugate,
    from_axis_angle,
    mirror,
    multiply,
    rotate,
    to_axis_angle,
)

_FINGER = {"twist": (-12, 12), "base": (-30, 92), "middle": (-10, 110), "tip": (-10, 80)}
LIMITS_DEG = np.array(
    [
        [(-30, 60), (-20, 50), (-35, 45), (-10, 60), (-15, 80)],
        *(
            [_FINGER["twist"], spread, _FINGER["base"], _FINGER["middle"], _FINGER["tip"]]
            for spread in ((-12, 20), (-12, 12), (-12, 20), (-12, 28))
        ),
    ],
    dtype=np.float64,
)
"""(5, 5, 2) lowest and highest angle per entry of a handshape table, at a straight base joint."""
LIMITS_DEG.flags.writeable = False
SPREAD_LEFT = 0.25
"""Share of a finger's outward spread that is left at 90 degrees of flexion of its base joint."""
HINGE_PLAY_DEG = 15.0
"""How far a second or third joint may turn off its hinge: what soft joints give, and what the axes
of another hand model (MANO's own) differ from these."""
_TOLERANCE_DEG = 1e-3


def clamp_angles(angles_deg: np.ndarray) -> np.ndarray:
    """Handshape angles (..., 5, 5) [degrees] held inside their limits, each by itself.

    A finger's outward spread shrinks with the flexion of its base joint.
    """
    angles = np.clip(_circular(np.asarray(angles_deg, np.float64)), *np.moveaxis(LIMITS_DEG, -1, 0))
    angles[..., 1:, 1] = np.minimum(angles[..., 1:, 1], most_spread(angles[..., 1:, 2]))
    return angles


def most_spread(base_deg: np.ndarray) -> np.ndarray:
    """The largest outward spread (..., 4) [degrees] of four fingers whose base joints are bent by
    `base_deg` (..., 4)."""
    left = 1.0 - (1.0 - SPREAD_LEFT) * np.asarray(base_deg) / 90.0
    return LIMITS_DEG[1:, 1, 1] * np.clip(left, 0.0, 1.0)


def clamp_fingers(quaternions: np.ndarray, hand: int) -> np.ndarray:
    """The nearest finger rotations (..., 16, 4) inside the limits, as angles of the table go.

    What is inside stays to the bit, so that clamping twice is clamping once; the wrist, joint 0, is
    never touched. `hand` is 0 for the left, 1 for the right.
    """
    quaternions = np.asarray(quaternions)
    angles, residual = finger_angles(quaternions, hand)
    allowed = clamp_angles(angles)
    off_hinge = multiply(quaternions, conjugate(finger_quaternions(angles, hand)))[..., 1:, :]
    play = np.minimum(1.0, np.deg2rad(HINGE_PLAY_DEG) / np.maximum(residual, 1e-9))
    play[..., [joint - 1 for joint in FIRST_JOINT.values()]] = 0.0
    kept = from_axis_angle(to_axis_angle(off_hinge) * play[..., None])
    clamped = multiply(kept, finger_quaternions(allowed, hand)[..., 1:, :])

    outside = residual > np.deg2rad(HINGE_PLAY_DEG + _TOLERANCE_DEG)
    beyond = np.abs(allowed - angles) > _TOLERANCE_DEG  # (..., 5, 5)
    for row, finger in enumerate(FINGERS):
        first = FIRST_JOINT[finger] - 1
        outside[..., first] |= beyond[..., row, :3].any(axis=-1)
        outside[..., first + 1 : first + 3] |= beyond[..., row, 3:]
    out = quaternions.copy()
    out[..., 1:, :] = np.where(outside[..., None], clamped, quaternions[..., 1:, :])
    return out


def finger_angles(quaternions: np.ndarray, hand: int) -> tuple[np.ndarray, np.ndarray]:
    """Joint rotations (..., 16, 4) wxyz as handshape angles (..., 5, 5) [degrees], and what such a
    table cannot say, (..., 15) [rad], for joints 1 to 15.

    The inverse of `finger_quaternions` wherever spreads are under 90 degrees. Of a second or third
    joint's rotation the part about its hinge is taken. Raises InputError for another shape.
    """
    quaternions = np.asarray(quaternions, dtype=np.float64)
    if quaternions.shape[-2:] != (16, 4):
        raise InputError(
            "quaternions", "must be (..., 16, 4)", quaternions.shape, "Pass one hand's joints."
        )
    right = mirror(quaternions) if hand == LEFT else quaternions
    angles = np.empty((*right.shape[:-2], 5, 5))
    for row, finger in enumerate(FINGERS):
        first = FIRST_JOINT[finger]
        angles[..., row, :3] = _first_joint_angles(right[..., first, :], finger)
        for k in (1, 2):
            angles[..., row, 2 + k] = _about(right[..., first + k, :], finger_axes(finger)[k, 2])
    angles = np.rad2deg(angles)
    off = multiply(quaternions, conjugate(finger_quaternions(angles, hand)))[..., 1:, :]
    return angles, np.linalg.norm(to_axis_angle(off), axis=-1)


def _first_joint_angles(rotation: np.ndarray, finger: str) -> np.ndarray:
    """Twist, spread and base flexion [rad] (..., 3) of a first joint's rotation (..., 4).

    The twist leaves the finger's own axis where it is, and flexion keeps the height of that axis
    along the axis of flexion: that height alone tells the spread, then the rest follows.
    """
    along, sideways, flexion = first_joint_axes(finger)
    pointing = rotate(rotation, along)  # (..., 3)
    still = sideways * (sideways @ along)
    cosine, sine = flexion @ (along - still), flexion @ np.cross(sideways, along)
    height = (pointing @ flexion - flexion @ still) / np.hypot(cosine, sine)
    middle, half = np.arctan2(sine, cosine), np.arccos(np.clip(height, -1.0, 1.0))
    either = _wrap(np.stack([middle - half, middle + half]))
    spread = np.where(np.abs(either[0]) <= np.abs(either[1]), either[0], either[1])

    spread_rotation = from_axis_angle(spread[..., None] * sideways)
    start = rotate(spread_rotation, along)
    across = np.cross(start, pointing) @ flexion
    base = np.arctan2(across, (start * pointing).sum(-1) - (start @ flexion) * (pointing @ flexion))
    swing = multiply(from_axis_angle(base[..., None] * flexion), spread_rotation)
    twist = _about(multiply(conjugate(swing), rotation), -along)
    return np.stack([twist, spread, base], axis=-1)


def _about(rotation: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The angle [rad] (...) of the rotation about `axis` that is nearest to `rotation` (..., 4)."""
    return _wrap(2.0 * np.arctan2(rotation[..., 1:] @ axis, rotation[..., 0]))


def _wrap(angle_rad: np.ndarray) -> np.ndarray:
    """The same angle in [-pi, pi)."""
    return (angle_rad + np.pi) % (2.0 * np.pi) - np.pi


def _circular(angles_deg: np.ndarray) -> np.ndarray:
    """The same angles, each within half a turn of the middle of its range: the nearer limit is then
    the one that `clip` takes."""
    middle = LIMITS_DEG.mean(axis=-1)
    turned = (angles_deg - middle + 180.0) % 360.0 - 180.0 + middle
    inside = (angles_deg >= LIMITS_DEG[..., 0]) & (angles_deg <= LIMITS_DEG[..., 1])
    return np.where(inside, angles_deg, turned)
