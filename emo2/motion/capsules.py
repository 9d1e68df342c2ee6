"""Hands as bones with flesh: joints of every frame by forward kinematics, and capsules around them.

Checks run over ten minutes in seconds, so they do not skin a mesh. The joints are the hand model's
own (shape included); the radii are the free hand's, scaled to the model's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from emo2.hands.skeleton import CHAINS, FINGER_POINTS, FINGERS, PARENTS, REST_JOINTS
from emo2.motion.rotations import to_matrix
from emo2.types import NUM_HANDS, NUM_JOINTS, HandMotion

if TYPE_CHECKING:
    from emo2.hands.model import HandModel

_KNUCKLE_ROW = ((14, 1), (1, 4), (4, 10), (10, 7))
"""From the thumb's web along the knuckles: they close the palm."""
BONES = np.array([*(pair for chain in CHAINS for pair in pairwise(chain)), *_KNUCKLE_ROW])
"""(24, 2) joint ids: per finger, thumb to pinky, wrist to tip; then across the palm."""
BONE_FINGER = np.concatenate([np.repeat(np.arange(len(FINGERS)), 4), np.zeros(4, int)])
"""(24,) which finger a bone belongs to, unless it lies in the palm."""
IN_PALM = np.array([*(True, False, False, False) * len(FINGERS), *[True] * 4])
BONE_RADIUS_M = np.array(
    [
        *(0.0150, 0.0140, 0.0100, 0.0090),
        *(0.0120, 0.0094, 0.0085, 0.0073),
        *(0.0130, 0.0096, 0.0087, 0.0073),
        *(0.0130, 0.0090, 0.0081, 0.0071),
        *(0.0125, 0.0080, 0.0070, 0.0062),
        *(0.0065, 0.0115, 0.0115, 0.0115),
    ]
)
"""(24,) capsules that lie inside the free hand's skin: what they share, two hands share."""
_TIPS = np.stack([FINGER_POINTS[finger][3] for finger in FINGERS])
_REST_RIGHT = np.concatenate([REST_JOINTS, _TIPS]) - REST_JOINTS[0]
_MIRROR = np.array([-1.0, 1.0, 1.0])
_LAST = np.flatnonzero(BONES[:, 1] >= NUM_JOINTS)
_TIP_PARENTS = np.array([chain[3] for chain in CHAINS])


@dataclass(frozen=True)
class Anatomy:
    """The bones of both hands at rest."""

    rest_m: np.ndarray
    """(2, 21, 3) joints and tips of the flat hands, from the wrist."""
    radius_m: np.ndarray
    """(2, 24) of `BONES`."""

    @classmethod
    def of(cls, motion: HandMotion, hand_model: HandModel | None = None) -> Anatomy:
        """This motion's hands; without a model the free hand's, whatever the motion's betas."""
        free = np.stack([_REST_RIGHT * _MIRROR, _REST_RIGHT])
        radius = np.broadcast_to(BONE_RADIUS_M, (NUM_HANDS, len(BONES)))
        if hand_model is None:
            return cls(free, radius)
        flat = np.zeros((1, NUM_HANDS, NUM_JOINTS, 4), np.float32)
        flat[..., 0] = 1.0
        nowhere = np.zeros((1, NUM_HANDS, 3), np.float32)
        seen = np.ones((1, NUM_HANDS), bool)
        rest = hand_model.joints(HandMotion(flat, nowhere, seen, motion.betas, motion.fps))[0]
        size = _lengths(rest).sum(-1) / _lengths(free).sum(-1)
        return cls(rest.astype(np.float64), radius * size[:, None])

    def joints(self, quaternions: np.ndarray, translation_m: np.ndarray) -> np.ndarray:
        """(T, 2, 21, 3) metres in the body frame, MANO's 16 joints and the five tips."""
        turns = to_matrix(quaternions.astype(np.float32))  # (T, 2, 16, 3, 3)
        rest = self.rest_m.astype(np.float32)
        out = np.empty((*turns.shape[:2], 21, 3), np.float32)
        out[:, :, 0] = 0.0
        for joint, parent in enumerate(PARENTS):
            if parent >= 0:
                bone = rest[:, joint] - rest[:, parent]
                out[:, :, joint] = out[:, :, parent] + _turn(turns[:, :, parent], bone)
                turns[:, :, joint] = turns[:, :, parent] @ turns[:, :, joint]
        for tip, parent in enumerate(_TIP_PARENTS, start=NUM_JOINTS):
            bone = rest[:, tip] - rest[:, parent]
            out[:, :, tip] = out[:, :, parent] + _turn(turns[:, :, parent], bone)
        return out + translation_m[:, :, None].astype(np.float32)

    def capsules(self, joints_m: np.ndarray, hand: int) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends (..., 24, 3) of one hand's capsules, from joints (..., 21, 3). The last
        ones end where their round caps reach the tips."""
        starts, ends = joints_m[..., BONES[:, 0], :], joints_m[..., BONES[:, 1], :]
        last = ends[..., _LAST, :] - starts[..., _LAST, :]
        length = np.linalg.norm(last, axis=-1, keepdims=True)
        cap = self.radius_m[hand, _LAST, None].astype(np.float32)
        ends[..., _LAST, :] -= last * np.minimum(cap / np.maximum(length, 1e-9), 1.0)
        return starts, ends


@dataclass(frozen=True)
class Contact:
    """The deepest overlap of two sets of capsules, per frame."""

    depth_m: np.ndarray
    """(T,) negative where they are apart; -inf where they cannot meet."""
    where_m: np.ndarray
    """(T, 3) the middle of the overlap."""
    pair: np.ndarray
    """(T,) index of the deepest pair."""


def deepest(
    first: tuple[np.ndarray, np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> Contact:
    """The deepest overlap between capsules of equal number, pair by pair.

    Each side is starts (T, P, 3), ends (T, P, 3) and radii (P,).
    """
    a, b, radius = first
    c, d, other_radius = second
    on_first, on_second = closest_points(a, b, c, d)
    depth = radius + other_radius - np.linalg.norm(on_first - on_second, axis=-1)  # (T, P)
    pair = depth.argmax(axis=1)
    rows = np.arange(len(depth))
    middle = 0.5 * (on_first[rows, pair] + on_second[rows, pair])
    return Contact(depth[rows, pair], middle, pair)


def closest_points(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest points of segments a-b and c-d, all (..., 3).

    Ericson, Real-Time Collision Detection (2005), 5.1.9: clamp one parameter, solve the other,
    clamp again.
    """
    u, v, w = b - a, d - c, a - c
    uu, vv, uv = _dot(u, u), _dot(v, v), _dot(u, v)
    uw, vw = _dot(u, w), _dot(v, w)
    uu, vv = np.maximum(uu, 1e-12), np.maximum(vv, 1e-12)
    determinant = uu * vv - uv * uv
    apart = determinant > 1e-6 * uu * vv  # else parallel: any point of the overlap will do
    s = np.clip(np.where(apart, (uv * vw - vv * uw) / np.where(apart, determinant, 1), 0.5), 0, 1)
    t = np.clip((uv * s + vw) / vv, 0.0, 1.0)
    s = np.clip((uv * t - uw) / uu, 0.0, 1.0)
    return a + s[..., None] * u, c + t[..., None] * v


def _turn(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.einsum("...ij,...j->...i", matrices, vectors)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...i->...", a, b)


def _lengths(rest_m: np.ndarray) -> np.ndarray:
    ends = rest_m[:, BONES]
    return np.linalg.norm(ends[:, :, 1] - ends[:, :, 0], axis=-1)
