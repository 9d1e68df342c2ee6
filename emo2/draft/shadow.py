"""Light that does not arrive: creases between fingers and hands, and the arms' shadow on the body.

Both work on what the rasteriser saw: which pixels are covered and how far in front they lie.
"""

from __future__ import annotations

import cv2
import numba
import numpy as np

from emo2.draft.light import SKIN_SHADOW_GAMMA, Light

# Where the surface dips by so much between two points so far apart on either side, it is a crease.
CREASE_RADIUS_M, CREASE_DEPTH_M = 0.009, 0.007
CREASE_STRENGTH = 0.42
# What stands further in front than this hides light no more.
NEAR_M, FAR_M = 0.025, 0.06
# The chest stands this far in front of the plane of the shoulders; shadows fall on it.
CHEST_DEPTH_M = 0.10
SHADOW_STRENGTH = 0.42
SHADOW_REACH_M = 0.07
_SHRINK = 4


def creases(nearness_m: np.ndarray, covered: np.ndarray, pixels_per_metre: float) -> np.ndarray:
    """(h, w, 3) what is left of the light: dark in the hollows of a surface (h, w), never on its
    round edges."""
    radius = max(2, round(CREASE_RADIUS_M * pixels_per_metre))
    dips = np.zeros(nearness_m.shape, np.float32)
    _dips(nearness_m, covered, radius, dips)
    dark = cv2.GaussianBlur(dips, (0, 0), max(0.7, 0.35 * radius))
    dark = np.clip(dark / CREASE_DEPTH_M, 0, 1)[..., None]
    return (1 - CREASE_STRENGTH * dark) ** SKIN_SHADOW_GAMMA


@numba.njit(cache=True, nogil=True)
def _dips(nearness, covered, radius, out):
    """How far each pixel lies behind the line between the points on both sides of it, metres, the
    mean over four directions and two distances."""
    height, width = nearness.shape
    for y in range(height):
        for x in range(width):
            if not covered[y, x]:
                continue
            here, total = nearness[y, x], np.float32(0)
            for step in range(8):
                reach = radius if step < 4 else (radius + 1) // 2
                direction = step % 4
                dx = 0 if direction == 1 else reach
                dy = 0 if direction == 0 else (-reach if direction == 3 else reach)
                x0, x1, y0, y1 = x - dx, x + dx, y - dy, y + dy
                if x0 < 0 or x1 >= width or min(y0, y1) < 0 or max(y0, y1) >= height:
                    continue
                if not (covered[y0, x0] and covered[y1, x1]):
                    continue
                rise = np.float32(0)
                for gap in (nearness[y0, x0] - here, nearness[y1, x1] - here):
                    if gap > NEAR_M:
                        gap = NEAR_M * max(0.0, (FAR_M - gap) / (FAR_M - NEAR_M))
                    rise += max(gap, -NEAR_M)
                total += max(rise, np.float32(0)) / 2
            out[y, x] = total / 8


def cast_shadow(
    alpha: np.ndarray, nearness_m: np.ndarray, light: Light, pixels_per_metre: float
) -> np.ndarray:
    """(h, w) in [0, 1], the arms' soft shadow on the body: near parts sharp and close by, far parts
    wide, weak and shifted away from the light."""
    height, width = alpha.shape
    size = (max(2, width // _SHRINK), max(2, height // _SHRINK))
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    above = cv2.resize(nearness_m, size, interpolation=cv2.INTER_AREA) - CHEST_DEPTH_M
    above = np.clip(above, 0, 0.3)
    far = np.clip((above - 0.03) / 0.12, 0, 1)
    ppm = pixels_per_metre / _SHRINK
    dx, dy, dz = light.direction
    total = np.zeros_like(small)
    for weight in (small * (1 - far), small * far):
        gap = float((weight * above).sum() / max(weight.sum(), 1e-3))
        shift = np.array([-dx, dy]) / max(dz, 0.3) * (gap + 0.008) * ppm
        move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float64)
        moved = cv2.warpAffine(weight, move, size, flags=cv2.INTER_LINEAR)
        moved = cv2.GaussianBlur(moved, (0, 0), max(0.6, (0.010 + 0.22 * gap) * ppm))
        total += moved * (SHADOW_STRENGTH / (1 + gap / 0.10))
    return cv2.resize(total, (width, height), interpolation=cv2.INTER_LINEAR)
