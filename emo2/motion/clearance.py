"""How far two hands have to move so that they only touch: what `separate` moves them by."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from emo2.motion.anatomy import elbow
from emo2.motion.capsules import BONES, Anatomy, Contact, deepest

TOUCH_M = 0.003
"""Hands that touch press into each other so far."""
FARTHEST_M = 0.24
_ROUND_M = 0.07
"""How far flesh and forearm may lie beyond a hand's joints where two hands are looked at."""
_LADDER_M = np.array([0.0, 0.01, 0.02, 0.035, 0.055, 0.085, 0.13, 0.18, FARTHEST_M])
_HALVINGS = 5
_CHUNK_FRAMES = 512
FOREARM = len(BONES)
"""The bone that follows the hand's own in `pair_bones`."""
_FOREARM_SHARE, _FOREARM_RADIUS_M = 0.4, 0.020
"""The part of the forearm that hands meet, thinner than it is: elbows are only supposed."""
_FIRST, _SECOND = np.indices((len(BONES) + 1, len(BONES) + 1)).reshape(2, -1)


def between_hands(joints_m: np.ndarray, anatomy: Anatomy) -> Contact:
    """The deepest overlap of two hands with joints (T, 2, 21, 3), per frame. `pair` counts the
    left hand's bones times the right hand's."""
    low, high = joints_m.min(axis=2) - _ROUND_M, joints_m.max(axis=2) + _ROUND_M
    near = np.all((low[:, 0] < high[:, 1]) & (low[:, 1] < high[:, 0]), axis=-1)
    depth = np.full(len(joints_m), -np.inf, np.float32)
    where = np.array(joints_m[:, 0, 0])
    pair = np.zeros(len(joints_m), int)
    frames = np.flatnonzero(near)
    for first in range(0, len(frames), _CHUNK_FRAMES):
        chunk = frames[first : first + _CHUNK_FRAMES]
        sides = [
            (starts[:, bones], ends[:, bones], radius[bones])
            for hand, bones in enumerate((_FIRST, _SECOND))
            for starts, ends, radius in [_arm(joints_m[chunk, hand], anatomy, hand)]
        ]
        contact = deepest(*sides)
        depth[chunk], where[chunk], pair[chunk] = contact.depth_m, contact.where_m, contact.pair
    return Contact(depth, where, pair)


def _arm(joints_m: np.ndarray, anatomy: Anatomy, hand: int):
    """Starts, ends (T, 25, 3) and radii (25,) of a hand's capsules and its forearm's."""
    starts, ends = anatomy.capsules(joints_m, hand)
    side = np.array([1 - 2 * hand, 1, 1])
    wrist = joints_m[:, :1]
    back = _FOREARM_SHARE * (elbow(wrist * side) * side - wrist)
    radius = np.append(anatomy.radius_m[hand], _FOREARM_RADIUS_M)
    return (
        np.concatenate([starts, wrist], axis=1),
        np.concatenate([ends, wrist + back.astype(np.float32)], axis=1),
        radius.astype(np.float32),
    )


def pair_bones(pair: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The left and the right bone of a `between_hands` pair: of `BONES`, or `FOREARM`."""
    return _FIRST[pair], _SECOND[pair]


def needed(joints_m: np.ndarray, anatomy: Anatomy, ways: np.ndarray) -> np.ndarray:
    """(T,) metres along `ways` until the hands no more than touch, 0 where they do already.

    joints_m (T, 2, 21, 3); ways (2, 3): how each hand moves per metre. `FARTHEST_M` where even that
    is not enough.
    """
    way = np.asarray(ways, np.float32)[:, None]

    def collide(frames: np.ndarray, far: np.ndarray) -> np.ndarray:
        moved = joints_m[frames] + far[:, None, None, None].astype(np.float32) * way
        return between_hands(moved, anatomy).depth_m > TOUCH_M

    out = np.zeros(len(joints_m))
    low = np.zeros(len(joints_m))
    frames = np.flatnonzero(collide(np.arange(len(joints_m)), out))
    met = frames
    for step, far in pairwise(_LADDER_M):
        low[frames], out[frames] = step, far
        frames = frames[collide(frames, out[frames])]
    for _ in range(_HALVINGS):
        middle = 0.5 * (low[met] + out[met])
        still = collide(met, middle)
        low[met[still]] = middle[still]
        out[met[~still]] = middle[~still]
    return out
