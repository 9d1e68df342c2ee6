"""The arm as a chain from the shoulder to the wrist, as body models (SMPL-X) write it.

Upper arm, forearm and hand each have a rotation relative to the one before; where the wrist is
follows by forward kinematics with the reference body's bones. In the T-pose all rotations are the
identity: the left arm lies along +x, palm down. One arm is described, the left; the right is its
mirror image. `representation` makes channels of it.

EMO2 compares hands alone with a whole-arm network (paper, Table 1, "on SMPL"). This is what such a
network speaks.
"""

from __future__ import annotations

import numpy as np

from emo2.motion.anatomy import ELBOW_RANGE_M, FOREARM_M, SHOULDER_M, UPPER_ARM_M, elbow
from emo2.motion.rotations import conjugate, from_matrix, multiply, normalise, rotate

_ALONG = np.array([1.0, 0.0, 0.0])
_ROLL = np.array([1.0, 1.0, 0.0, 0.0])
"""The parts of a quaternion that turn about x."""


def solve(wrist_m: np.ndarray, wrist: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inverse kinematics: a left wrist's place (..., 3) [m] and orientation in the body frame (...,
    4) to the rotations of upper arm, forearm and hand, each (..., 4).

    The elbow hangs where `anatomy.elbow` has it and bends as a hinge; the forearm also rolls with
    the hand (pronation), so the hand only swings. A wrist that the arm cannot reach is moved along
    its line to the shoulder until it can.
    """
    place = within_reach(wrist_m)
    joint = elbow(place)
    above, below = _unit(joint - SHOULDER_M), _unit(place - joint)
    hinge = _unit(np.cross(below, above))
    upper, lower = (
        from_matrix(np.stack([bone, hinge, np.cross(bone, hinge)], axis=-1))
        for bone in (above, below)
    )
    roll = normalise(multiply(conjugate(lower), wrist) * _ROLL)
    rolled = multiply(lower, roll)
    return upper, multiply(conjugate(upper), rolled), multiply(conjugate(rolled), wrist)


def follow(
    upper: np.ndarray, forearm: np.ndarray, hand: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Forward kinematics, the inverse of `solve`: rotations of the chain (..., 4) to the wrist's
    place (..., 3) [m] and orientation (..., 4) in the body frame."""
    rolled = multiply(upper, forearm)
    joint = SHOULDER_M + UPPER_ARM_M * rotate(upper, _ALONG)
    return joint + FOREARM_M * rotate(rolled, _ALONG), multiply(rolled, hand)


def within_reach(wrist_m: np.ndarray) -> np.ndarray:
    """The nearest places (..., 3) to left wrists that the two bones can reach."""
    way = wrist_m - SHOULDER_M
    distance = np.linalg.norm(way, axis=-1, keepdims=True)
    return SHOULDER_M + way * (np.clip(distance, *ELBOW_RANGE_M) / np.maximum(distance, 1e-9))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)
