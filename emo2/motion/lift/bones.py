"""The hand as a chain of bones: where its 21 points are and how each angle moves them.

Both hands are described as a LEFT hand: a right hand is looked at in a mirror (x -> -x), which is
exact for the anatomy's angles (`emo2.hands.shapes`) and for places. Letters: `N` hands of any
frames; 21 points in OpenPose order (wrist, then thumb, index, middle, ring, little finger from the
palm to the tip); 31 unknowns of a hand: place (3), turn of the wrist (3), angles (25).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from emo2.hands.shapes import finger_quaternions
from emo2.hands.skeleton import (
    CHAINS,
    FINGER_POINTS,
    FINGERS,
    FIRST_JOINT,
    LEFT,
    REST_JOINTS,
    WRIST,
)
from emo2.motion.rotations import multiply, rotate, to_axis_angle
from emo2.types import NUM_BETAS, NUM_HANDS, HandMotion

if TYPE_CHECKING:
    from emo2.hands.model import HandModel

OPENPOSE = np.array([0, *(joint for chain in CHAINS for joint in chain[1:])])
"""Where each of OpenPose's 21 points stands in `HandModel.joints`."""
NUM_POINTS = 21
NUM_ANGLES = 25
NUM_UNKNOWNS = 6 + NUM_ANGLES
MIRROR = np.array([-1.0, 1.0, 1.0])
_PROBE_DEG = 40.0


@dataclass(frozen=True)
class Bones:
    """The flat hands' points about the wrist, as left hands."""

    rest_m: np.ndarray
    """(2, 21, 3) metres, the wrist at zero."""
    shape_m: np.ndarray
    """(2, 10, 21, 3): by how much one unit of each beta moves them."""

    @classmethod
    def of(cls, hand_model: HandModel | None) -> Bones:
        """The bones of a hand model; of the free hand's anatomy where there is none."""
        if hand_model is None:
            tips = [FINGER_POINTS[finger][3] for finger in FINGERS]
            right = (np.concatenate([REST_JOINTS, tips]) - WRIST)[OPENPOSE]
            left = np.stack([right * MIRROR] * NUM_HANDS)
            return cls(left, np.zeros((NUM_HANDS, NUM_BETAS, NUM_POINTS, 3)))
        rest = _flat_points(hand_model, np.zeros(NUM_BETAS))
        shape = [_flat_points(hand_model, row) - rest for row in np.eye(NUM_BETAS)]
        return cls(rest, np.stack(shape, axis=1))

    def shaped(self, betas: np.ndarray) -> np.ndarray:
        """(2, 21, 3) metres: the rest points of hands with these betas (2, 10)."""
        return self.rest_m + np.einsum("hb,hbpc->hpc", betas, self.shape_m)


def points(
    rest_m: np.ndarray, place_m: np.ndarray, turn: np.ndarray, angles_rad: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The points (N, 21, 3) of posed hands and their derivatives (N, 21, 3, 31).

    rest_m (N or 1, 21, 3) flat points about the wrist; place_m (N, 3); turn (N, 3, 3) rotation
    matrices; angles_rad (N, 25), five fingers by twist, spread, base, middle, tip. The derivative
    by the turn is by a small rotation in the body frame.
    """
    count = len(place_m)
    local, moves = _fingers(rest_m, angles_rad.reshape(count, 5, 5))
    offsets = np.concatenate([np.zeros((count, 1, 3)), local.reshape(count, 20, 3)], axis=1)
    turned = offsets @ turn.transpose(0, 2, 1)
    out = np.zeros((count, NUM_POINTS, 3, NUM_UNKNOWNS))
    out[..., :3] = np.eye(3)
    x, y, z = np.moveaxis(turned, -1, 0)
    zero = np.zeros_like(x)
    rows = [[zero, z, -y], [-z, zero, x], [y, -x, zero]]
    out[..., 3:6] = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
    moves = np.einsum("nij,nfpkj->nfpik", turn, moves)
    for f in range(5):
        out[:, 1 + 4 * f : 5 + 4 * f, :, 6 + 5 * f : 11 + 5 * f] = moves[:, f]
    return place_m[:, None] + turned, out


def shape_moves(shape_m: np.ndarray, turn: np.ndarray, angles_rad: np.ndarray) -> np.ndarray:
    """(N, 21, 3, 10): how one unit of each beta moves the points; shape_m (N or 1, 10, 21, 3).

    Points are linear in the lengths of the bones, so each beta is posed like a hand of its own.
    """
    count = len(turn)
    out = np.zeros((count, NUM_POINTS, 3, NUM_BETAS))
    for b in range(NUM_BETAS):
        local, _ = _fingers(shape_m[:, b], angles_rad.reshape(count, 5, 5))
        out[:, 1:, :, b] = local.reshape(count, 20, 3) @ turn.transpose(0, 2, 1)
    return out


def hand_points(bones: Bones, motion: HandMotion, frames: slice) -> np.ndarray:
    """(T, 2, 21, 3) metres in the body frame: both hands' points of some frames in OpenPose order,
    whatever their joint rotations."""
    rest = bones.shaped(motion.betas.astype(np.float64))
    out = np.zeros((len(motion.visible[frames]), NUM_HANDS, NUM_POINTS, 3))
    for hand in range(NUM_HANDS):
        flat = rest[hand] * MIRROR**hand
        local = motion.quaternions[frames, hand].astype(np.float64)
        out[:, hand] = motion.translation_m[frames, hand, None]
        for finger, chain in enumerate(CHAINS):
            turn, before = local[:, 0], 0
            for step, joint in enumerate(chain[1:]):
                here = 4 * finger + step + 1
                bone = rotate(turn, np.broadcast_to(flat[here] - flat[before], (len(turn), 3)))
                out[:, hand, here] = out[:, hand, before] + bone
                if joint < local.shape[1]:
                    turn = multiply(turn, local[:, joint])
                before = here
    return out


def _fingers(rest_m: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 5, 4, 3) of the fingers in the wrist's frame and (N, 5, 4, 5, 3) what one radian
    of each angle moves them."""
    axes = _axes()
    steps = np.diff(rest_m[:, 1:].reshape(-1, 5, 4, 3), axis=2)
    steps = np.broadcast_to(steps, (len(angles), 5, 3, 3))
    root = np.broadcast_to(rest_m[:, 1:].reshape(-1, 5, 4, 3)[:, :, 0], (len(angles), 5, 3))
    turns = [_about(axes[:, k], angles[..., k]) for k in range(5)]  # (N, 5, 3, 3) each
    flexed = turns[2]
    swung = flexed @ turns[1]
    first = swung @ turns[0]
    second = first @ turns[3]
    third = second @ turns[4]
    axis = np.stack(  # (N, 5 fingers, 5 angles, 3): each angle's axis, as posed
        [
            swung @ axes[:, 0, :, None],
            flexed @ axes[:, 1, :, None],
            np.broadcast_to(axes[:, 2, :, None], (len(angles), 5, 3, 1)),
            first @ axes[:, 3, :, None],
            second @ axes[:, 4, :, None],
        ],
        axis=2,
    )[..., 0]
    places = [root]
    for turn, k in zip((first, second, third), range(3), strict=True):
        places.append(places[-1] + (turn @ steps[:, :, k, :, None])[..., 0])
    out = np.stack(places, axis=2)
    moves = np.zeros((*out.shape[:3], 5, 3))
    for k, pivot in enumerate((0, 0, 0, 1, 2)):
        arms = out[:, :, pivot + 1 :] - out[:, :, pivot, None]
        moves[:, :, pivot + 1 :, k] = np.cross(axis[:, :, None, k], arms)
    return out, moves


def _about(axis: np.ndarray, angle_rad: np.ndarray) -> np.ndarray:
    """Rotation matrices (N, 5, 3, 3) about five fixed unit axes (5, 3) by (N, 5) radians."""
    x, y, z = axis.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(5, 3, 3)
    sine, cosine = np.sin(angle_rad)[..., None, None], np.cos(angle_rad)[..., None, None]
    return np.eye(3) + sine * cross + (1 - cosine) * (cross @ cross)


@lru_cache(maxsize=1)
def _axes() -> np.ndarray:
    """(5 fingers, 5 angles, 3) unit: the axis of each angle of the handshape table in the flat left
    hand, read off the table's own rotations."""
    axes = np.zeros((5, 5, 3))
    for row, finger in enumerate(FINGERS):
        for k in range(5):
            angles = np.zeros((5, 5))
            angles[row, k] = _PROBE_DEG
            joint = FIRST_JOINT[finger] + max(0, k - 2)
            axes[row, k] = to_axis_angle(finger_quaternions(angles, LEFT)[joint])
    return axes / np.deg2rad(_PROBE_DEG)


def _flat_points(hand_model: HandModel, betas: np.ndarray) -> np.ndarray:
    quaternions = np.zeros((1, NUM_HANDS, 16, 4))
    quaternions[..., 0] = 1.0
    flat = HandMotion(
        quaternions=quaternions,
        translation_m=np.zeros((1, NUM_HANDS, 3)),
        visible=np.ones((1, NUM_HANDS), dtype=bool),
        betas=np.stack([betas, betas]),
        fps=1.0,
    )
    placed = hand_model.joints(flat)[0].astype(np.float64)[:, OPENPOSE]
    placed[1] *= MIRROR
    return placed
