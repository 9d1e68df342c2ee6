"""All frames of a stretch together: the energy of every frame plus the smoothness of hands, by
Gauss-Newton on one banded system.

What muscles do has a bounded jerk, so places, turns and angles pay for their third differences, in
units of what talking hands show. It is a zero-phase filter that knows how sure each frame is: the
less noise the points have, the less is smoothed. Frames without points are bridged; there a hand
also pays for its speed, or a long gap would swing out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, solveh_banded

from emo2.motion.lift.bones import NUM_ANGLES, NUM_UNKNOWNS
from emo2.motion.lift.terms import Pose, Quadratic, Sight, quadratic
from emo2.motion.rotations import from_matrix, to_axis_angle

JERK_STD = np.array([*[120.0, 120.0, 60.0], *[1200.0] * 3, *[1500.0] * NUM_ANGLES])
"""Of talking hands: place [m/s^3] (less in depth, which is hardly seen), turn and angles
[rad/s^3]."""
GAP_SPEED_STD = np.array([*[0.15] * 3, *[1.0] * 3, *[1.0] * NUM_ANGLES])
"""Of hands that are not seen: [m/s], [rad/s]."""
REACH = 3
"""A third difference ties a frame to the three before it."""
LARGEST_DAMPING = 1e8
CONVERGED = 1e-4


@dataclass(frozen=True)
class _Ties:
    """What ties frames together: (REACH + 1, T) diagonals of two quadratic forms over time."""

    jerk: np.ndarray
    speed: np.ndarray
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
        _diagonals(third.T @ third, count),
        _diagonals(first.T @ (unseen[:, None] * first), count),
        (fps**3 / JERK_STD) ** 2,
        (fps / GAP_SPEED_STD) ** 2,
        unseen,
    )


def _differences(count: int, order: int) -> np.ndarray:
    """(T - order, T): the matrix of differences of an order; empty where T is too short."""
    return np.diff(np.eye(count), n=order, axis=0)


def _diagonals(matrix: np.ndarray, count: int) -> np.ndarray:
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
    jerk = np.diff(speed, n=2, axis=0)
    return float(
        (jerk**2 @ ties.jerk_weight).sum() + (ties.unseen @ (speed**2 @ ties.speed_weight))
    )


def _pull(pose: Pose, ties: _Ties) -> np.ndarray:
    """(T, 31) gradient of the tension (half of it, as in `Quadratic`)."""
    speed = _velocity(pose)
    out = np.zeros((len(pose.free), NUM_UNKNOWNS))
    pulled = speed * ties.unseen[:, None] * ties.speed_weight
    out[1:] += pulled
    out[:-1] -= pulled
    jerk = np.diff(speed, n=2, axis=0) * ties.jerk_weight
    for k, share in enumerate((-1.0, 3.0, -3.0, 1.0)):
        out[k : k + len(jerk)] += share * jerk
    return out


def _solve(now: Quadratic, pose: Pose, ties: _Ties, damping: float) -> np.ndarray | None:
    """The Gauss-Newton step (T, 31); None where the system is not positive definite."""
    count = len(pose.free)
    band = np.zeros((REACH * NUM_UNKNOWNS + 1, count * NUM_UNKNOWNS))
    for m in range(REACH + 1):
        tied = ties.jerk[m, :, None] * ties.jerk_weight + ties.speed[m, :, None] * ties.speed_weight
        band[m * NUM_UNKNOWNS] += tied.ravel()
    row, column = np.tril_indices(NUM_UNKNOWNS)
    place = np.arange(count) * NUM_UNKNOWNS
    band[(row - column)[:, None], place + column[:, None]] += now.curvature[:, row, column].T
    band[0] *= 1 + damping
    gradient = now.gradient + _pull(pose, ties)
    try:
        step = solveh_banded(band, -gradient.ravel(), lower=True, overwrite_ab=True)
    except LinAlgError:
        return None
    return step.reshape(count, NUM_UNKNOWNS)
