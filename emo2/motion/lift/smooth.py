"""All frames of a stretch together: the energy of every frame plus the smoothness of hands, by
Gauss-Newton on one banded system.

What muscles do has a bounded jerk, so places, turns and angles pay for their third differences, in
units of what talking hands show; the price is robust (Cauchy), so that the few fast strokes stay
fast. It is a zero-phase filter that knows how sure each frame is: the less noise the points have,
the less is smoothed. Frames without points are bridged; there a hand also pays for its speed, or a
long gap would swing out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, solveh_banded

from emo2.motion.lift.bones import NUM_ANGLES, NUM_UNKNOWNS
from emo2.motion.lift.terms import Pose, Quadratic, Sight, quadratic
from emo2.motion.rotations import from_matrix, to_axis_angle

JERK_STD = np.array([*[25.0, 25.0, 10.0], *[210.0] * 3, *[225.0] * NUM_ANGLES])
"""Of talking hands: place [m/s^3] (less in depth, which is hardly seen), turn and angles
[rad/s^3]."""
GROUPS = (slice(0, 3), slice(3, 6), slice(6, NUM_UNKNOWNS))
FREE_JERK = 2.0
"""A jerk above this many (squared) deviations costs ever less."""
GAP_SPEED_STD = np.array([*[0.15] * 3, *[1.0] * 3, *[1.0] * NUM_ANGLES])
"""Of hands that are not seen: [m/s], [rad/s]."""
REACH = 3
"""A third difference ties a frame to the three before it."""
LARGEST_DAMPING = 1e8
CONVERGED = 1e-4


@dataclass(frozen=True)
class _Ties:
    """What ties the frames of a stretch together."""

    third: np.ndarray
    """(T - 3, T) third differences."""
    gaps: np.ndarray
    """(REACH + 1, T) diagonals of the squared steps of frames without points."""
    jerk_weight: np.ndarray
    """(31,)."""
    speed_weight: np.ndarray
    """(31,)."""
    unseen: np.ndarray
    """(T - 1,) 1 where either frame of a step has no points."""


def smooth(
    sight: Sight,
    pose: Pose,
    rest_m: np.ndarray,
    fps: float,
    noise_px: float,
    tolerance: float,
    steps: int,
) -> tuple[Pose, Quadratic]:
    """The likeliest movement near `pose`, T frames of one hand; rest_m (1, 21, 3)."""
    ties = _ties(sight, fps)
    damping = 1e-4
    now = quadratic(sight, pose, rest_m, noise_px, tolerance)
    energy = now.energy.sum() + _tension(pose, ties)
    for _ in range(steps):
        step = _solve(now, pose, ties, damping)
        tried = None if step is None else pose.moved(step)
        then = tried and quadratic(sight, tried, rest_m, noise_px, tolerance)
        after = then.energy.sum() + _tension(tried, ties) if then else np.inf
        if after < energy:
            gain, energy, pose, now = energy - after, after, tried, then
            damping = max(damping / 10, 1e-9)
            if gain < CONVERGED * energy:
                break
        else:
            damping *= 10
            if damping > LARGEST_DAMPING:
                break
    return pose, now


def _ties(sight: Sight, fps: float) -> _Ties:
    count = len(sight.weight)
    third = _differences(count, 3)
    empty = sight.weight.sum(-1) == 0
    unseen = (empty[1:] | empty[:-1]).astype(np.float64)
    first = _differences(count, 1)
    return _Ties(
        third,
        _diagonals(first.T @ (unseen[:, None] * first)),
        (fps**3 / JERK_STD) ** 2,
        (fps / GAP_SPEED_STD) ** 2,
        unseen,
    )


def _differences(count: int, order: int) -> np.ndarray:
    """(T - order, T): the matrix of differences of an order; empty where T is too short."""
    return np.diff(np.eye(count), n=order, axis=0)


def _diagonals(matrix: np.ndarray) -> np.ndarray:
    """The main diagonal and the REACH below it, (REACH + 1, T)."""
    count = len(matrix)
    out = np.zeros((REACH + 1, count))
    for m in range(min(REACH + 1, count)):
        out[m, : count - m] = np.diagonal(matrix, -m)
    return out


def _velocity(pose: Pose) -> np.ndarray:
    """(T - 1, 31): what changes from each frame to the next, turns as small rotations."""
    turned = pose.turn[1:] @ pose.turn[:-1].transpose(0, 2, 1)
    return np.concatenate(
        [
            np.diff(pose.place_m, axis=0),
            to_axis_angle(from_matrix(turned)),
            np.diff(pose.free, axis=0),
        ],
        axis=1,
    )


def _tension(pose: Pose, ties: _Ties) -> float:
    speed = _velocity(pose)
    gaps = ties.unseen @ (speed**2 @ ties.speed_weight)
    return float(gaps + sum(price.sum() for price in _jerk(speed, ties)[1]))


def _jerk(speed: np.ndarray, ties: _Ties) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """The jerk (T - 3, 31), what place, turn and angles pay for it (3 of T - 3), and the weights
    (T - 3, 31) under which the price is a square."""
    jerk = np.diff(speed, n=2, axis=0)
    prices, weights = [], np.zeros_like(jerk)
    for group in GROUPS:
        square = jerk[:, group] ** 2 @ ties.jerk_weight[group]
        free = FREE_JERK * len(ties.jerk_weight[group])
        prices.append(free * np.log1p(square / free))
        weights[:, group] = ties.jerk_weight[group] / (1 + square / free)[:, None]
    return jerk, prices, weights


def _solve(now: Quadratic, pose: Pose, ties: _Ties, damping: float) -> np.ndarray | None:
    """The Gauss-Newton step (T, 31); None where the system is not positive definite."""
    count = len(pose.free)
    speed = _velocity(pose)
    jerk, _, weights = _jerk(speed, ties)
    band = np.zeros((REACH * NUM_UNKNOWNS + 1, count * NUM_UNKNOWNS))
    tied = ties.gaps[:, :, None] * ties.speed_weight
    for group in GROUPS:
        share = weights[:, group][:, :1] / ties.jerk_weight[group][0]
        diagonals = _diagonals(ties.third.T @ (share * ties.third))
        tied[:, :, group] += diagonals[:, :, None] * ties.jerk_weight[group]
    band[::NUM_UNKNOWNS] = tied.reshape(REACH + 1, -1)
    row, column = np.tril_indices(NUM_UNKNOWNS)
    place = np.arange(count) * NUM_UNKNOWNS
    band[(row - column)[:, None], place + column[:, None]] += now.curvature[:, row, column].T
    band[0] *= 1 + damping
    gradient = now.gradient + ties.third.T @ (jerk * weights)
    steps = speed * ties.unseen[:, None] * ties.speed_weight
    gradient[1:] += steps
    gradient[:-1] -= steps
    try:
        step = solveh_banded(band, -gradient.ravel(), lower=True, overwrite_ab=True)
    except LinAlgError:
        return None
    return step.reshape(count, NUM_UNKNOWNS)
