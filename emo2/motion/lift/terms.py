"""How well a posed hand explains what is seen of it: the energy of one frame and its Gauss-Newton
quadratic.

Three terms, each a squared distance in units of its own standard deviation:

* reprojection, weighted by the detector's score and robust (Geman-McClure): a point far off counts
  for ever less;
* a prior of hands that talk: angles near the relaxed hand, a fingertip that bends with its finger,
  neighbours that go together. It decides only what the picture leaves open;
* the arm: the wrist at the depth that the arm's bones ask for and not in the chest, no more bend at
  the wrist than a person has.

Angles are unbounded inside the fit; `bounded` squeezes them softly into the anatomical limits, so
that no solution leaves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from emo2.hands.limits import LIMITS_DEG
from emo2.hands.shapes import SHAPES
from emo2.motion.anatomy import MAX_BEND_RAD, elbow
from emo2.motion.lift.bones import NUM_ANGLES, NUM_UNKNOWNS, points
from emo2.motion.rotations import from_axis_angle, to_matrix

_LOW, _HIGH = np.moveaxis(np.deg2rad(LIMITS_DEG).reshape(NUM_ANGLES, 2), -1, 0)
_EDGE = np.minimum(np.deg2rad(6.0), 0.2 * (_HIGH - _LOW))
_MIDDLE, _HALF = (_HIGH + _LOW) / 2, (_HIGH - _LOW) / 2 - _EDGE
ANGLE_STD_DEG = np.array([[14, 14, 18, 20, 25], *[[7, 8, 32, 35, 25]] * 4], dtype=np.float64)
"""How far a talking hand's angles lie from the relaxed hand's: thumb, then the fingers."""
TIP_SHARE, TIP_STD_DEG = 0.6, 12.0
"""A finger's last joint bends by this share of its middle one's."""
NEIGHBOUR_STD_DEG = 30.0
BEND_STD_RAD = np.deg2rad(6.0)
NEAREST_M, NEAREST_STD_M = 0.06, 0.015
"""Wrists nearer to the plane of the shoulders would be inside the chest."""
_TAN_SMALL = 1e-6


@dataclass(frozen=True)
class Sight:
    """What is seen of one hand in N frames, looked at as a left hand, y up, from the middle of the
    shoulders; pixels of a picture 768 high."""

    points_px: np.ndarray
    """(N, 21, 2)."""
    weight: np.ndarray
    """(N, 21) in [0, 1]; 0 where nothing is known."""
    depth_m: np.ndarray
    """(N,) the wrist's distance in front of the shoulders, as the arm asks for it."""
    depth_std_m: np.ndarray
    """(N,)."""
    pixels_per_metre: float
    distance_m: float

    def __getitem__(self, frames) -> Sight:
        """Some of the frames."""
        names = ("points_px", "weight", "depth_m", "depth_std_m")
        return replace(self, **{name: getattr(self, name)[frames] for name in names})


@dataclass(frozen=True)
class Pose:
    """N left hands in the fit's own terms."""

    place_m: np.ndarray
    """(N, 3) the wrist joint in the body frame."""
    turn: np.ndarray
    """(N, 3, 3) the wrist's orientation."""
    free: np.ndarray
    """(N, 25) angles in radians before `bounded`."""

    def __getitem__(self, frames) -> Pose:
        """Some of the frames."""
        return Pose(self.place_m[frames], self.turn[frames], self.free[frames])

    def moved(self, step: np.ndarray) -> Pose:
        """The hands after a step (N, 31)."""
        turn = to_matrix(from_axis_angle(step[:, 3:6])) @ self.turn
        return Pose(self.place_m + step[:, :3], turn, self.free + step[:, 6:])


def joined(poses: Sequence[Pose]) -> Pose:
    """Poses one after the other."""
    names = ("place_m", "turn", "free")
    return Pose(*(np.concatenate([getattr(pose, name) for pose in poses]) for name in names))


def bounded(free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The anatomical angles (..., 25) [rad] of free ones, and the slope: the identity well inside
    the limits, never beyond them."""
    offset = free - _MIDDLE
    over = np.sign(offset) * np.maximum(np.abs(offset) - _HALF, 0.0)
    squeezed = np.tanh(over / _EDGE)
    return _MIDDLE + np.clip(offset, -_HALF, _HALF) + _EDGE * squeezed, 1 - squeezed**2


def unbounded(angles_rad: np.ndarray) -> np.ndarray:
    """Free angles that `bounded` turns into these; what lies outside the limits becomes nearly the
    limit."""
    offset = angles_rad - _MIDDLE
    over = np.sign(offset) * np.clip(np.abs(offset) - _HALF, 0.0, 0.98 * _EDGE)
    return _MIDDLE + np.clip(offset, -_HALF, _HALF) + _EDGE * np.arctanh(over / _EDGE)


def project(sight: Sight, points_m: np.ndarray) -> np.ndarray:
    """Points (N, 21, 3) to the pixels (N, 21, 2) of `Sight`."""
    away = sight.distance_m - points_m[..., 2:]
    return points_m[..., :2] * (sight.pixels_per_metre * sight.distance_m / away)


def seen_jacobian(sight: Sight, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """(N, 21, 2, M) pixels per unknown, from (N, 21, 3, M) metres per unknown."""
    away = sight.distance_m - points_m[..., 2]
    scale = sight.pixels_per_metre * sight.distance_m / away
    inwards = points_m[..., :2] / away[..., None]
    return scale[..., None, None] * (moves[..., :2, :] + inwards[..., :, None] * moves[..., 2:, :])


@dataclass(frozen=True)
class Quadratic:
    """The energy of N hands and what Gauss-Newton needs of it."""

    energy: np.ndarray
    """(N,)."""
    gradient: np.ndarray
    """(N, 31)."""
    curvature: np.ndarray
    """(N, 31, 31) positive semi-definite."""
    off_px: np.ndarray
    """(N, 21, 2) each reprojected point less the seen one; 0 where none is seen."""

    @property
    def error_px(self) -> np.ndarray:
        """(N, 21) distances."""
        return np.linalg.norm(self.off_px, axis=-1)


def quadratic(
    sight: Sight, pose: Pose, rest_m: np.ndarray, noise_px: float, tolerance: float
) -> Quadratic:
    """The energy at `pose`; rest_m (1 or N, 21, 3). `noise_px` is the standard deviation of the
    seen points, `tolerance` how many of them a point may be off before it counts less."""
    angles, slope = bounded(pose.free)
    placed, moves = points(rest_m, pose.place_m, pose.turn, angles)
    moves[..., 6:] *= slope[:, None, None]
    jacobian = seen_jacobian(sight, placed, moves)
    off = project(sight, placed) - sight.points_px
    off = np.where(sight.weight[..., None] > 0, off, 0.0)
    square = (off**2).sum(-1) / noise_px**2
    robust = tolerance**2 / (tolerance**2 + square)
    energy = (sight.weight * robust * square).sum(-1)
    weight = np.sqrt(sight.weight) * robust / noise_px
    rows = (jacobian * weight[..., None, None]).reshape(len(off), -1, NUM_UNKNOWNS)
    value = (off * weight[..., None]).reshape(len(off), -1, 1)
    curvature = rows.transpose(0, 2, 1) @ rows
    gradient = (rows.transpose(0, 2, 1) @ value)[..., 0]

    away = pose.free - _RELAXED
    pull = away @ _PRECISION
    energy = energy + (away * pull).sum(-1)
    gradient[:, 6:] += pull
    curvature[:, 6:, 6:] += _PRECISION

    deep = (pose.place_m[:, 2] - sight.depth_m) / sight.depth_std_m
    energy += deep**2
    gradient[:, 2] += deep / sight.depth_std_m
    curvature[:, 2, 2] += sight.depth_std_m**-2

    inside = np.minimum(pose.place_m[:, 2] - NEAREST_M, 0.0) / NEAREST_STD_M
    energy += inside**2
    gradient[:, 2] += inside / NEAREST_STD_M
    curvature[:, 2, 2] += (inside < 0) / NEAREST_STD_M**2

    over, axis = _overbent(pose)
    energy += over**2
    gradient[:, 3:6] += over[:, None] * axis
    curvature[:, 3:6, 3:6] += axis[:, :, None] * axis[:, None]
    return Quadratic(energy, gradient, curvature, off)


def _overbent(pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """By how many standard deviations (N,) the wrist bends too far, and the derivative (N, 3) by a
    small turn."""
    forearm = pose.place_m - elbow(pose.place_m)
    forearm /= np.linalg.norm(forearm, axis=-1, keepdims=True)
    fingers = pose.turn[:, :, 0]
    cosine = np.clip((fingers * forearm).sum(-1), -1.0, 1.0)
    angle = np.arccos(cosine)
    over = np.maximum(angle - MAX_BEND_RAD, 0.0) / BEND_STD_RAD
    sine = np.maximum(np.sqrt(1 - cosine**2), _TAN_SMALL)
    axis = -np.cross(fingers, forearm) / sine[:, None] / BEND_STD_RAD
    return over, np.where(over[:, None] > 0, axis, 0.0)


def _precision() -> np.ndarray:
    """(25, 25) inverse covariance of a talking hand's angles."""
    rows = [np.diag(1 / np.deg2rad(ANGLE_STD_DEG.ravel()))]
    for finger in range(1, 5):
        row = np.zeros((1, NUM_ANGLES))
        row[0, 5 * finger + 4], row[0, 5 * finger + 3] = 1.0, -TIP_SHARE
        rows.append(row / np.deg2rad(TIP_STD_DEG))
    for finger in range(1, 4):
        for angle in (2, 3):
            row = np.zeros((1, NUM_ANGLES))
            row[0, 5 * finger + angle], row[0, 5 * finger + 5 + angle] = 1.0, -1.0
            rows.append(row / np.deg2rad(NEIGHBOUR_STD_DEG))
    stacked = np.concatenate(rows)
    return stacked.T @ stacked


_RELAXED = np.deg2rad(SHAPES["relaxed"]).ravel()
_PRECISION = _precision()
