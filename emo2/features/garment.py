"""The plain garment of a body that a picture does not show: its outline, its folds, its roundness.

Everything is in metres from the middle of the shoulders, x across and y down, so that a close and a
distant person wear the same cut. The arms are not part of it: the draft draws them.
"""

from __future__ import annotations

import cv2
import numpy as np

TORSO_DEPTH_M = (-0.16, -0.10, -0.05, -0.02, 0.0, 0.05, 0.12, 0.22, 0.36, 0.52, 0.70)
TORSO_HALF_M = (0.058, 0.066, 0.100, 0.140, 0.160, 0.168, 0.162, 0.152, 0.146, 0.156, 0.166)
"""Half the breadth of a clothed torso without arms, at these depths below the shoulder line."""
NECK_M, CAP_M = (0.062, -0.075), 0.050
"""Where the slope of the shoulders leaves the neck, and the radius of their ends."""
FOLD_LONG_M, FOLD_WIDE_M, FOLD_DEPTH = 0.10, 0.013, 0.055
"""Length and breadth of a fold, and how much light it takes or gives (standard deviation)."""
FOLD_TURN_RAD = 0.5
"""Folds run from the armpits towards the middle, there straight down."""
_FOLD_PX_M = 300.0
EDGE_M, EDGE_SHADE = 0.035, 0.26
"""Cloth turns out of the light this close to the outline, and loses so much of it."""


def torso_half_px(rows: np.ndarray, shoulder_y: float, metre_px: float) -> np.ndarray:
    """(N,) pixels from the spine to the side of a torso without arms, at pixel `rows` (N,)."""
    return np.interp((rows - shoulder_y) / metre_px, TORSO_DEPTH_M, TORSO_HALF_M) * metre_px


def shoulders_outline(shape: tuple[int, int], shoulders: np.ndarray, metre_px: float) -> np.ndarray:
    """(H, W) float32 in [0, 1]: the slopes from neck to shoulder and their round ends, in which
    drawn arms begin. `shoulders` (2, 2) pixels, left then right."""
    middle = shoulders.mean(axis=0)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) + 0.5
    inside = np.full(shape, -np.inf, np.float32)
    for shoulder in shoulders:
        side = np.sign(shoulder[0] - middle[0]) or 1.0
        neck = middle + np.array([side * NECK_M[0], NECK_M[1] + CAP_M]) * metre_px
        along = shoulder - neck
        share = ((x - neck[0]) * along[0] + (y - neck[1]) * along[1]) / max(along @ along, 1e-6)
        share = np.clip(share, 0, 1)
        distance = np.hypot(x - neck[0] - share * along[0], y - neck[1] - share * along[1])
        inside = np.maximum(inside, CAP_M * metre_px - distance)
    return np.clip(inside + 0.5, 0, 1)


def folds(
    shape: tuple[int, int], metre_px: float, *, middle: float | None = None, seed: int = 0
) -> np.ndarray:
    """(H, W) float32 around 1: how soft folds of plain cloth catch the light. They lean towards the
    column `middle`, None = they run straight down."""
    noise = np.random.default_rng(seed)
    # Drawn at a size of its own, so that the cut does not change with the picture's.
    scale = _FOLD_PX_M / metre_px
    small = max(8, round(shape[0] * scale)), max(8, round(shape[1] * scale))
    white = noise.standard_normal(small).astype(np.float32)
    turns = [0.0] if middle is None else [-FOLD_TURN_RAD, 0.0, FOLD_TURN_RAD]
    lit = [_lit_ridges(white, turn) for turn in turns]
    light = lit[len(lit) // 2]
    if middle is not None:
        across = (np.arange(small[1]) / scale - middle) / metre_px
        aside = np.clip(np.abs(across) / 0.12, 0, 1) ** 2
        light = (1 - aside) * light + aside * np.where(across < 0, lit[2], lit[0])
    return 1 + FOLD_DEPTH * cv2.resize(light, shape[::-1], interpolation=cv2.INTER_CUBIC)


def _lit_ridges(white: np.ndarray, turn: float) -> np.ndarray:
    """Noise drawn out into ridges that lean by `turn`, lit from the side; few stand out."""
    ridges = cv2.filter2D(white, -1, _streak(turn), borderType=cv2.BORDER_REFLECT)
    ridges = np.maximum(ridges, 0.3 * ridges.std()) ** 1.5
    slope = ridges - np.roll(ridges, 2, axis=1)
    return np.clip(slope / max(float(slope.std()), 1e-6), -2.5, 2.5)


def roundness(silhouette: np.ndarray, metre_px: float) -> np.ndarray:
    """(H, W) float32 in (0, 1]: what is left of the light where a body (H, W) turns away."""
    solid = np.pad((silhouette > 0.5).astype(np.uint8), ((0, 1), (1, 1)), mode="edge")
    depth = cv2.distanceTransform(solid, cv2.DIST_L2, 5)[:-1, 1:-1]
    return 1 - EDGE_SHADE * np.exp(-np.square(depth / (EDGE_M * metre_px)))


def _streak(turn: float) -> np.ndarray:
    """A Gaussian kernel as long and wide as a fold, `turn` from the vertical."""
    long, wide = FOLD_LONG_M * _FOLD_PX_M / 2, FOLD_WIDE_M * _FOLD_PX_M / 2
    reach = int(2.5 * long)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    along, across = y * np.cos(turn) + x * np.sin(turn), x * np.cos(turn) - y * np.sin(turn)
    kernel = np.exp(-0.5 * np.square(along / long) - 0.5 * np.square(across / wide))
    return (kernel / kernel.sum()).astype(np.float32)
