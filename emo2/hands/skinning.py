"""How the skin of the free right hand follows its bones: weights, knuckle correctives, shape
directions, nails.

Everything is a smooth function of where a rest vertex lies along and around the finger chains, so
the 778-vertex hand and the finer arm mesh get the same behaviour.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from emo2.hands.chains import Chain, chain, ramp
from emo2.hands.implicit import FINGER_RADII
from emo2.hands.skeleton import FINGER_POINTS, FINGERS, FIRST_JOINT, REST_JOINTS, WRIST, finger_axes
from emo2.types import NUM_BETAS, NUM_JOINTS

SHAPE_NAMES = ("size", "breadth", "finger_length")
"""What the first shape coefficients do; one unit is 4 to 6 per cent. The others are unused."""


def skin_weights(points: np.ndarray, faces: np.ndarray, smoothing: int) -> np.ndarray:
    """(N, 16) weights of the hand's joints, rows sum to 1, smoothed `smoothing` times over the
    mesh."""
    weights = np.zeros((len(points), NUM_JOINTS))
    chains = {f: chain(points, f) for f in FINGERS}
    nearness = np.stack([chains[f].surface for f in FINGERS[1:]])
    share = np.exp(-(nearness - nearness.min(axis=0)) / 0.0014)
    thumb = chains["thumb"]
    share = share / share.sum(axis=0) * ramp(thumb.surface - nearness, -0.004, 0.004)
    for f, part in zip(FINGERS[1:], share, strict=True):
        # On the palm side the skin folds further out than the joint lies.
        base = 0.0015 - 0.0045 * chains[f].up
        _spread(weights, chains[f], f, part * ramp(chains[f].along - base, -0.011, 0.012))
    palm = _cone_distance(points, (0.085, 0.004, 0.012), (0.008, 0.0065, 0.0275), 0.0125)
    ours = ramp(palm - thumb.surface, -0.008, 0.010) * (1.0 - weights.sum(axis=1))
    _spread(weights, thumb, "thumb", ours * ramp(thumb.along, -0.012, 0.026))
    weights[:, 0] = np.maximum(0.0, 1.0 - weights[:, 1:].sum(axis=1))
    for _ in range(smoothing):
        weights = 0.5 * weights + 0.5 * _neighbour_mean(weights, faces)
    weights[weights < 1e-3] = 0.0
    return weights / weights.sum(axis=1, keepdims=True)


def _spread(weights: np.ndarray, where: Chain, finger: str, share: np.ndarray) -> None:
    """Give a finger's share of each point to its three joints."""
    first = FIRST_JOINT[finger]
    wide = 0.0085 if finger == "thumb" else 0.0065
    second = ramp(where.along - where.starts[1], -wide, wide)
    third = ramp(where.along - where.starts[2], -0.0058, 0.0058)
    weights[:, first] += share * (1.0 - second)
    weights[:, first + 1] += share * second * (1.0 - third)
    weights[:, first + 2] += share * second * third


def _cone_distance(points: np.ndarray, start: tuple, end: tuple, radius: float) -> np.ndarray:
    start, along = np.asarray(start), np.subtract(end, start)
    t = np.clip((points - start) @ along / (along @ along), 0.0, 1.0)
    return np.linalg.norm(points - start - t[:, None] * along, axis=1) - radius


def _neighbour_mean(values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    total, count = np.zeros_like(values), np.zeros(len(values))
    for i, j in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)):
        np.add.at(total, faces[:, i], values[faces[:, j]])
        np.add.at(count, faces[:, i], 1.0)
    return total / np.maximum(count, 1.0)[:, None]


def knuckle_directions(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(15, N, 3) metres: how far a vertex moves, in the rest pose, per 1 - cos(flexion) of joints 1
    to 15.

    Linear skinning flattens the outside of a bent joint; these lift the knuckles again. Being
    linear in the entries of the rotation matrix they fit MANO's pose correctives.
    """
    out = np.zeros((NUM_JOINTS - 1, len(points), 3))
    for finger in FINGERS:
        where, axes, first = chain(points, finger), finger_axes(finger), FIRST_JOINT[finger]
        for k in range(3):
            parent = 0 if k == 0 else first + k - 1
            child = weights[:, first + k]
            both = 4.0 * weights[:, parent] * child
            radius = FINGER_RADII[finger][k]
            amount = (0.30, 0.46, 0.40)[k] if finger != "thumb" else (0.0, 0.34, 0.36)[k]
            lift = amount * radius * both * np.clip(where.up, 0.0, 1.0)
            normal = axes[k, 1] + (axes[k - 1, 1] if k else 0.0)
            out[first + k - 1] = lift[:, None] * normal / np.linalg.norm(normal)
    return out


def shape_directions(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(N, 3, 10) metres per unit of each shape coefficient, see `SHAPE_NAMES`."""
    out = np.zeros((len(points), 3, NUM_BETAS))
    from_wrist = points - WRIST
    in_hand = from_wrist * np.where(from_wrist[:, :1] > 0, (0.0, 1.0, 1.0), (1.0, 1.0, 1.0))
    out[..., 0] = 0.04 * in_hand
    palm_share = 1.0 - weights[:, 1:].sum(axis=1)
    out[..., 1] = palm_share[:, None] * from_wrist * (0.0, 0.05, 0.05)
    for finger in FINGERS:
        where, first = chain(points, finger), FIRST_JOINT[finger]
        share = weights[:, first : first + 3].sum(axis=1)[:, None]
        root = FINGER_POINTS[finger][0] - WRIST
        out[..., 1] += share * (0.06 * where.offset + 0.05 * root * (0.0, 1.0, 1.0))
        stretch = 0.05 * np.maximum(where.along, 0.0)[:, None] * finger_axes(finger)[0, 0]
        out[..., 2] += share * stretch
    return out


def joint_regressor(points: np.ndarray) -> np.ndarray:
    """(16, N) non-negative rows of sum 1 that give the rest joints exactly from the vertices around
    them."""
    regressor = np.zeros((NUM_JOINTS, len(points)))
    for j, joint in enumerate(REST_JOINTS):
        away = np.linalg.norm(points - joint, axis=1)
        near = np.argsort(away, kind="stable")[: 48 if j == 0 else 32]
        # Stay close to an even average; the joint itself and the sum are met exactly (weight 1e4).
        system = np.concatenate(
            [
                1e4 * (points[near] - joint).T / 0.01,
                1e4 * np.ones((1, len(near))),
                np.eye(len(near)),
            ]
        )
        wanted = np.concatenate([np.zeros(3), [1e4], np.full(len(near), 1.0 / len(near))])
        row, _ = nnls(system, wanted)
        regressor[j, near] = row / row.sum()
    return regressor
