"""How far two hands have to move so that they only touch: what `separate` moves them by."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from emo2.motion.capsules import BONES, Anatomy, Contact, deepest

TOUCH_M = 0.003
"""Hands that touch press into each other so far."""
FARTHEST_M = 0.24
_LADDER_M = np.array([0.0, 0.01, 0.02, 0.035, 0.055, 0.085, 0.13, 0.18, FARTHEST_M])
_HALVINGS = 5
_CHUNK_FRAMES = 512
_FIRST, _SECOND = np.indices((len(BONES), len(BONES))).reshape(2, -1)


def between_hands(joints_m: np.ndarray, anatomy: Anatomy) -> Contact:
    """The deepest overlap of two hands with joints (T, 2, 21, 3), per frame. `pair` counts `BONES`
    of the left hand times those of the right."""
    low, high = joints_m.min(axis=2) - 0.02, joints_m.max(axis=2) + 0.02
    near = np.all((low[:, 0] < high[:, 1]) & (low[:, 1] < high[:, 0]), axis=-1)
    depth = np.full(len(joints_m), -np.inf, np.float32)
    where = np.array(joints_m[:, 0, 0])
    pair = np.zeros(len(joints_m), int)
    frames = np.flatnonzero(near)
    for first in range(0, len(frames), _CHUNK_FRAMES):
        chunk = frames[first : first + _CHUNK_FRAMES]
        sides = [
            (starts[:, bones], ends[:, bones], anatomy.radius_m[hand, bones].astype(np.float32))
            for hand, bones in enumerate((_FIRST, _SECOND))
            for starts, ends in [anatomy.capsules(joints_m[chunk, hand], hand)]
        ]
        contact = deepest(*sides)
        depth[chunk], where[chunk], pair[chunk] = contact.depth_m, contact.where_m, contact.pair
    return Contact(depth, where, pair)


def pair_bones(pair: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The left hand's and the right hand's bone of a `between_hands` pair."""
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
