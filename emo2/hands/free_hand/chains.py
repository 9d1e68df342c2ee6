"""Where points lie along and around the fingers of the right hand at rest: the coordinates in which
skinning, shape and skin are written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.hands.free_hand.implicit import FINGER_RADII, TIP_LENGTH, finger_distance
from emo2.hands.skeleton import FINGER_POINTS, finger_axes


@dataclass(frozen=True)
class Chain:
    """Where N points lie on one finger."""

    along: np.ndarray
    """(N,) metres from the first joint, over the rounded tip as an arc; negative towards the
    wrist."""
    offset: np.ndarray
    """(N, 3) from the bone to the point, metres."""
    angle: np.ndarray
    """(N,) radians around the finger: 0 on the middle of the back, +-pi on the pads."""
    surface: np.ndarray
    """(N,) metres from the finger's skin; negative inside."""
    starts: np.ndarray
    """(4,) metres along the finger of its three joints and tip."""

    @property
    def up(self) -> np.ndarray:
        """(N,) -1..1: from the pad to the nail side."""
        return np.cos(self.angle)

    @property
    def station(self) -> np.ndarray:
        """(N,) `along` in bones: 0 to 3 from the first joint to the tip."""
        return np.interp(self.along, self.starts, np.arange(4.0)) + np.minimum(
            self.along / self.starts[1], 0.0
        )


def chain(points: np.ndarray, finger: str) -> Chain:
    """The coordinates of points (N, 3) about one finger."""
    joints, axes = FINGER_POINTS[finger], finger_axes(finger)
    lengths = np.linalg.norm(np.diff(joints, axis=0), axis=1)
    starts = np.concatenate([[0.0], np.cumsum(lengths)])
    tip = TIP_LENGTH * FINGER_RADII[finger][3]
    best = np.full(len(points), np.inf)
    along, angle = np.zeros(len(points)), np.zeros(len(points))
    offset = np.zeros_like(points)
    for k in range(3):
        relative = points - joints[k]
        ahead = relative @ axes[k, 0]
        inside = np.clip(ahead, 0.0 if k else -0.05, lengths[k] - (tip if k == 2 else 0.0))
        out = relative - inside[:, None] * axes[k, 0]
        length = np.linalg.norm(out, axis=1)
        up, across = out @ axes[k, 1], out @ axes[k, 2]
        beyond = np.arctan2(np.maximum(ahead - inside, 0.0), np.hypot(up, across))
        nearer = length < best
        best = np.where(nearer, length, best)
        along = np.where(nearer, starts[k] + inside + (tip * beyond if k == 2 else 0.0), along)
        angle = np.where(nearer, np.arctan2(across, up), angle)
        offset = np.where(nearer[:, None], out, offset)
    return Chain(along, offset, angle, finger_distance(points, finger), starts)


def ramp(x: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def bump(x: np.ndarray, width: float) -> np.ndarray:
    """1 at 0, falling off as a Gaussian of standard deviation `width`."""
    return np.exp(-0.5 * np.square(x / width))
