"""Where ambient light does not reach: between fingers, under a bent thumb. From the depth picture
alone, so both backends get the same."""

from __future__ import annotations

import cv2
import numba
import numpy as np

REACH_M = 0.016
"""How far around a point other surfaces take its light away."""
STRENGTH = 0.60
_ABSORBED_RGB = np.array([0.74, 1.0, 1.08], np.float32)
_DIRECTIONS = np.array(
    [(np.cos(a), np.sin(a)) for a in (np.arange(8) + 0.5) * np.pi / 4], dtype=np.float32
)


def darken_crevices(colour: np.ndarray, depth_m: np.ndarray, pixels_per_metre: float) -> None:
    """Take the light that does not reach a crevice from `colour` (h, w, 3), in place: of red the
    least, for skin throws red light on skin."""
    colour *= 1 - (1 - openness(depth_m, pixels_per_metre))[..., None] * _ABSORBED_RGB


def openness(depth_m: np.ndarray, pixels_per_metre: float) -> np.ndarray:
    """(h, w) float32 in [0, 1]: the share of light from all around that arrives, 1 = all.

    `depth_m` (h, w) is the distance from the camera, 0 or inf where nothing is.
    """
    depth = np.where(np.isfinite(depth_m), depth_m, 0).astype(np.float32)
    reach_px = np.float32(max(REACH_M * pixels_per_metre, 1.5))
    light = np.ones(depth.shape, np.float32)
    _gather(depth, reach_px, np.float32(REACH_M), _DIRECTIONS, light)
    return cv2.blur(light, (3, 3))


@numba.njit(cache=True, nogil=True)
def _gather(depth, reach_px, reach_m, directions, light):
    """Eight directions at two distances: how high do neighbours stand before this point?"""
    height, width = depth.shape
    for row in range(height):
        for col in range(width):
            here = depth[row, col]
            if here <= 0:
                continue
            taken = np.float32(0.0)
            for k in range(16):
                along = reach_px * np.float32(0.4 if k % 2 == 0 else 1.0)
                r = row + int(np.rint(along * directions[k // 2, 1]))
                c = col + int(np.rint(along * directions[k // 2, 0]))
                if r < 0 or c < 0 or r >= height or c >= width or depth[r, c] <= 0:
                    continue
                rise = (here - depth[r, c]) / reach_m
                slope = rise / np.float32(0.4 if k % 2 == 0 else 1.0)
                # Far higher neighbours belong to something else, in front of here.
                near = max(np.float32(0.0), np.float32(1.0) - rise / np.float32(3.0))
                taken += min(max(slope - np.float32(0.25), np.float32(0.0)), np.float32(1.0)) * near
            light[row, col] = np.float32(1.0) - np.float32(STRENGTH) * min(
                taken / np.float32(7.0), np.float32(1.0)
            )
