"""Where the lips go: from jaw, spread and press to the shape of the mouth.

All in head coordinates (see `head_mesh`). The opening is absolute: 0 shuts the lips of any
portrait, so a smiling picture can close its mouth and does not scream when it opens it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.draft.head_mesh import (
    INNER_LOWER,
    INNER_UPPER,
    LIP_ROWS_LOWER,
    LIP_ROWS_UPPER,
    HeadMesh,
    smoothstep,
)

MAX_OPENING = 0.078
"""The gap between the lips at jaw = 1, in face heights: a quarter of a relaxed mouth."""
SHUT_GAP = 0.012
"""Landmarks closer than this belong to lips that touch."""
_LOWER_SHARE_OPENING, _LOWER_SHARE_CLOSING = 0.84, 0.66
_RELAXED_WIDTH = 0.32
_REACH = 0.09
"""How far from the lips, in face heights, the skin goes along with them."""


@dataclass(frozen=True)
class LipShape:
    """The lips of one frame."""

    rows: np.ndarray
    """(8, 11, 3) displacement: four rows of the upper lip, outer to inner, four of the lower."""
    drop: float
    """How far the lower jaw went down."""


def parted(jaw, spread, press):
    """The gap between the lips as a share of `MAX_OPENING`: numbers or curves of a
    `Performance`."""
    return jaw * (1 - press) * (1 - 0.25 * np.maximum(-spread, 0))


class LipMotion:
    """Turns three numbers into lips, for one portrait."""

    def __init__(self, mesh: HeadMesh) -> None:
        local = mesh.local
        upper, lower = local[INNER_UPPER, :2], local[INNER_LOWER, :2]
        self.gap = np.maximum(lower[:, 1] - upper[:, 1], 0)
        self.gap[[0, -1]] = 0
        self._lower_beside = lower[:, 0] - upper[:, 0]
        self.is_open = bool(self.gap.max() > SHUT_GAP)
        rows = np.concatenate([LIP_ROWS_UPPER, LIP_ROWS_LOWER])  # (8, 11)
        middle = 0.5 * (upper[0, 0] + upper[-1, 0])
        half = 0.5 * (upper[-1, 0] - upper[0, 0])
        self._across = (local[rows, 0] - middle) / half
        columns = np.clip((upper[:, 0] - middle) / half, -1, 1)
        self.profile = np.sqrt(np.clip(1 - columns**2, 0, 1)) ** 1.2
        self.profile[[0, -1]] = 0
        self._half = half
        self._too_wide = float(np.clip(2 * half - _RELAXED_WIDTH, 0, 0.12))
        self._from_seam = local[rows, 1] - 0.5 * (upper[5, 1] + lower[5, 1])
        self.kernel = _skin_kernel(mesh)

    def shape(self, jaw: float, spread: float, press: float, speaking: float) -> LipShape:
        """The lips for one frame's numbers; all zero is the portrait's own mouth."""
        wide, narrow = max(spread, 0.0), max(-spread, 0.0)
        opening = MAX_OPENING * float(parted(jaw, spread, press))
        target = speaking * opening * self.profile + (1 - speaking) * self.gap
        change = target - self.gap  # (11,)
        share = np.where(change > 0, _LOWER_SHARE_OPENING, _LOWER_SHARE_CLOSING)
        drop = float(share[5] * change[5])
        # The corners hang between the lips: they follow the jaw a little.
        corner = 0.28 * drop
        lower = corner * (1 - self.profile) + share * change
        upper = corner * (1 - self.profile) - (1 - share) * change
        rows = np.zeros((8, 11, 3))
        # Upper rows run from the outer edge in, lower rows from the inner edge out.
        stiff = np.array([0.75, 0.85, 0.95, 1.0])[:, None]
        rows[:4, :, 1] = upper * stiff + corner * (1 - self.profile) * (1 - stiff)
        rows[4:, :, 1] = lower
        squeeze = 0.085 * wide - 0.2 * narrow - 0.05 * max(opening, 0) / MAX_OPENING
        relax = -0.5 * self._too_wide / (2 * self._half) * speaking
        rows[..., 0] = self._across * self._half * (speaking * squeeze + relax)
        # Lips that shut meet point by point, or slivers of teeth would show between them.
        meet = np.clip(1 - target / np.maximum(self.gap, 1e-6), 0, 1) * (self.gap > 0)
        rows[3, :, 0] += 0.5 * meet * self._lower_beside
        rows[4, :, 0] -= 0.5 * meet * self._lower_beside
        rows[4, :, 1] -= 0.002 * meet
        # Rounded lips push forward and grow fuller; pressed lips roll in.
        fuller = speaking * (0.16 * narrow - 0.05 * wide) - 0.22 * press
        rows[..., 1] += (
            fuller * self._from_seam * np.cos(0.5 * np.pi * np.clip(self._across, -1, 1))
        )
        rows[..., 2] = -0.02 * speaking * narrow * self.profile
        return LipShape(rows, drop)


def _skin_kernel(mesh: HeadMesh) -> np.ndarray:
    """(V, 22): how the skin around the mouth follows the outer edges of both lips.

    Row v weighs the eleven outer points of the upper and the eleven of the lower lip; it fades with
    distance and is zero on the lips themselves.
    """
    outer = np.concatenate([LIP_ROWS_UPPER[0], LIP_ROWS_LOWER[3]])
    distance = np.linalg.norm(mesh.local[:, None, :2] - mesh.local[None, outer, :2], axis=2)
    nearest = distance.min(1)
    weight = np.exp(-((distance / (0.5 * nearest[:, None] + 0.02)) ** 2))
    weight /= weight.sum(1, keepdims=True) + 1e-9
    weight *= (1 - smoothstep(0.0, _REACH, nearest))[:, None]
    weight[np.concatenate([LIP_ROWS_UPPER, LIP_ROWS_LOWER]).ravel()] = 0
    return weight
