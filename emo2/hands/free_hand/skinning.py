"""How the skin of the free right hand follows its bones: skin weights, and joints from vertices.

Weights are smooth functions of where a rest vertex lies along and around the finger chains.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from emo2.hands.free_hand.chains import Chain, chain, ramp
from emo2.hands.skeleton import FINGERS, FIRST_JOINT, REST_JOINTS
from emo2.types import NUM_JOINTS


def skin_weights(points: np.ndarray, faces: np.ndarray, smoothing: int) -> np.ndarray:
    """(N, 16) weights of the hand's joints, rows sum to 1, smoothed `smoothing` times over the
    mesh."""
    weights = np.zeros((len(points), NUM_JOINTS))
    chains = {f: chain(points, f) for f in FINGERS}
    nearness = np.stack([chains[f].surface for f in FINGERS[1:]])
    stations = np.stack([chains[f].station for f in FINGERS[1:]])
    station = np.take_along_axis(stations, nearness.argmin(axis=0)[None], axis=0)[0]
    # Neighbours share the skin of the web between them, but none beyond it.
    soft = 0.0004 + 0.0022 * ramp(station, 0.68, 0.42)
    share = np.exp(-(nearness - nearness.min(axis=0)) / soft)
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
    for finger in FINGERS[1:]:
        # Smoothing over the mesh does not carry a neighbour's weight past the web.
        own = slice(FIRST_JOINT[finger], FIRST_JOINT[finger] + 3)
        free = (chains[finger].surface < 0.004) & (chains[finger].station > 0.7)
        kept = weights[free, own]
        weights[free] = 0.0
        weights[free, own] = kept
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
