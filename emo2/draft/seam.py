"""Where shut lips really meet: the dark line that a face mesh finds to within a few pixels only.

An upper lip that opens a little beside that line takes a strip of the lower lip along with it.
"""

from __future__ import annotations

import cv2
import numpy as np

from emo2.draft.head_mesh import INNER_LOWER, INNER_UPPER, LIP_ROWS_LOWER, LIP_ROWS_UPPER, HeadFrame
from emo2.draft.lips import SHUT_GAP

_REACH = 0.026
"""How far the line is searched for on both sides of the landmarks, in face heights."""
_COLUMNS, _OFFSETS = 41, 25
_STAY, _SMOOTH = 0.5, 0.35
"""Costs, in deviations of brightness: of the farthest offset, of one step between columns."""
_FOLLOWS = np.array([0.0, 0.25, 0.6, 1.0])
"""Share of the correction that the rows of a lip take, from its outer edge to its inner one."""


def snap_lips(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """`landmarks` (478, 3) with the lips' inner edges on the line between them.

    `image` (H, W, 3) uint8. Landmarks of an open mouth come back as they are.
    """
    frame = HeadFrame.of(landmarks)
    upper, lower = landmarks[INNER_UPPER, :2], landmarks[INNER_LOWER, :2]
    down = frame.axes[1, :2] / np.linalg.norm(frame.axes[1, :2])
    gap = (lower - upper) @ down / frame.height_px
    if gap.max() > SHUT_GAP:
        return landmarks
    seam = 0.5 * (upper + lower)
    shift = _darkest_path(image, seam, down, _REACH * frame.height_px)
    snapped = landmarks.copy()
    snapped[INNER_UPPER, :2] = snapped[INNER_LOWER, :2] = seam + shift[:, None] * down
    for row, share in enumerate(_FOLLOWS[:3]):
        for rows in (LIP_ROWS_UPPER, LIP_ROWS_LOWER[::-1]):
            snapped[rows[row, 1:-1], :2] += share * shift[1:-1, None] * down
    return snapped


def _darkest_path(
    image: np.ndarray, seam: np.ndarray, down: np.ndarray, reach_px: float
) -> np.ndarray:
    """(11,) pixels along `down` from the points of `seam` (11, 2) to the dark line near them."""
    at = np.linspace(0, len(seam) - 1, _COLUMNS)
    columns = np.stack([np.interp(at, np.arange(len(seam)), seam[:, k]) for k in (0, 1)], axis=1)
    offsets = np.linspace(-1, 1, _OFFSETS)
    points = columns[:, None] + (reach_px * offsets)[:, None] * down
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 0.7)
    light = cv2.remap(
        grey,
        points[..., 0].astype(np.float32),
        points[..., 1].astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # The corners are where landmarks are surest and pictures darkest, wherever one looks.
    held = 1 + 6 * np.abs(np.linspace(-1, 1, _COLUMNS)) ** 6
    cost = light / max(float(light.std()), 4.0) + _STAY * held[:, None] * offsets**2
    steps = _SMOOTH * np.abs(np.arange(_OFFSETS)[:, None] - np.arange(_OFFSETS)[None])
    total, came_from = cost[0], np.zeros((_COLUMNS, _OFFSETS), int)
    for column in range(1, _COLUMNS):
        ways = total[None] + steps
        came_from[column] = ways.argmin(1)
        total = ways.min(1) + cost[column]
    path = np.empty(_COLUMNS, int)
    path[-1] = total.argmin()
    for column in range(_COLUMNS - 1, 0, -1):
        path[column - 1] = came_from[column, path[column]]
    smooth = np.convolve(np.pad(offsets[path], 2, "edge"), np.full(5, 0.2), "valid")
    return reach_px * np.interp(np.arange(len(seam)), at, smooth)
