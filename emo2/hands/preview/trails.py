"""Ribbons that the wrists leave behind in the picture, so that a still shows the movement.

A ribbon is the smooth curve through a wrist's places of the last `SPAN_S` seconds (and, as a ghost,
of the next), as wide as a cord of `WIDTH_M` seen at its depth, thinner and fainter with age. It has
a depth of its own: where it lies behind a hand the hand hides it, where before it covers the hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from emo2.hands.raster import to_pixels
from emo2.types import NUM_HANDS, Camera, HandMotion

SPAN_S = 0.7
WIDTH_M = 0.014
OPACITY = 0.85
GHOST_OPACITY = 0.40
GHOST_WIDTH = 0.45
STEPS = 4
"""Points of the curve for each frame."""
_NEAREST_M = 0.05
"""What comes closer to the camera than this is not drawn."""


@dataclass(frozen=True)
class Trails:
    """The ribbons of one frame."""

    alpha: np.ndarray
    """(H, W) float32 in [0, 1]."""
    depth: np.ndarray
    """(H, W) float32 metres from the camera; inf where nothing is."""
    hand: np.ndarray
    """(H, W) int8: whose ribbon it is."""


def draw_trails(motion: HandMotion, camera: Camera, t: int, *, ghost: bool = False) -> Trails:
    """The ribbons of frame `t`; a ribbon is broken where its hand is not visible."""
    size = (camera.height_px, camera.width_px)
    trails = Trails(
        np.zeros(size, np.float32), np.full(size, np.inf, np.float32), np.zeros(size, np.int8)
    )
    span = max(1, round(SPAN_S * motion.fps))
    for hand in range(NUM_HANDS):
        _ribbon(trails, motion, hand, camera, t, max(t - span, 0), OPACITY, 1.0)
        if ghost:
            end = min(t + span, motion.num_frames - 1)
            _ribbon(trails, motion, hand, camera, t, end, GHOST_OPACITY, GHOST_WIDTH)
    return trails


def _ribbon(
    trails: Trails,
    motion: HandMotion,
    hand: int,
    camera: Camera,
    t: int,
    end: int,
    opacity: float,
    width: float,
) -> None:
    """Draw the curve from frame `end`, where it fades out, to frame `t`."""
    first, last = min(t, end), max(t, end)
    if first == last:
        return
    pixels = to_pixels(_curve(motion, hand, first, last), camera)
    frames = first + np.arange(len(pixels)) / STEPS
    young = 1 - np.abs(frames - t) / (SPAN_S * motion.fps + 1)
    scale = camera.pixels_per_metre * camera.distance_m / np.maximum(pixels[:, 2], _NEAREST_M)
    radius_px = 0.5 * WIDTH_M * width * scale * (0.25 + 0.75 * young)
    seen = motion.visible[first : last + 1, hand]
    drawn = np.repeat(seen[:-1] & seen[1:], STEPS)
    drawn &= np.minimum(pixels[:-1, 2], pixels[1:, 2]) > _NEAREST_M
    _stroke(
        pixels.astype(np.float32),
        np.maximum(radius_px, 0.6).astype(np.float32),
        (opacity * young**1.2).astype(np.float32),
        drawn,
        hand,
        trails.alpha,
        trails.depth,
        trails.hand,
    )


def _curve(motion: HandMotion, hand: int, first: int, last: int) -> np.ndarray:
    """(STEPS * (last - first) + 1, 3) metres: Catmull-Rom's spline through the wrist's places."""
    around = np.clip(np.arange(first - 1, last + 2), 0, motion.num_frames - 1)
    p = motion.translation_m[around, hand].astype(np.float64)
    u = (np.arange(STEPS) / STEPS)[:, None]
    p0, p1, p2, p3 = (p[k : len(p) - 3 + k, None] for k in range(4))
    cubic = 3 * (p1 - p2) + p3 - p0
    pieces = p1 + 0.5 * u * (p2 - p0 + u * (2 * p0 - 5 * p1 + 4 * p2 - p3 + u * cubic))
    return np.concatenate([pieces.reshape(-1, 3), p[-2:-1]])


@numba.njit(cache=True, nogil=True)
def _stroke(points, radius, opacity, drawn, hand, alpha, depth, owner):
    """Round, smooth-edged pieces from point to point; where several overlap, the densest counts."""
    height, width = alpha.shape
    half = np.float32(0.5)
    for k in range(len(points) - 1):
        if not drawn[k]:
            continue
        x0, y0, x1, y1 = points[k, 0], points[k, 1], points[k + 1, 0], points[k + 1, 1]
        edge = max(radius[k], radius[k + 1]) + np.float32(1.0)
        left, right = max(min(x0, x1) - edge, 0), min(max(x0, x1) + edge, width)
        top, bottom = max(min(y0, y1) - edge, 0), min(max(y0, y1) + edge, height)
        dx, dy = x1 - x0, y1 - y0
        inverse = np.float32(1.0) / max(dx * dx + dy * dy, np.float32(1e-9))
        for row in range(int(top), int(bottom)):
            for col in range(int(left), int(right)):
                px, py = np.float32(col) + half - x0, np.float32(row) + half - y0
                u = min(max((px * dx + py * dy) * inverse, np.float32(0)), np.float32(1))
                away = np.sqrt((px - u * dx) ** 2 + (py - u * dy) ** 2)
                reach = radius[k] + u * (radius[k + 1] - radius[k])
                cover = min(max(reach - away + half, np.float32(0)), np.float32(1))
                value = cover * (opacity[k] + u * (opacity[k + 1] - opacity[k]))
                if value > alpha[row, col]:
                    alpha[row, col] = value
                    depth[row, col] = points[k, 2] + u * (points[k + 1, 2] - points[k, 2])
                    owner[row, col] = hand


@numba.njit(cache=True, nogil=True)
def lay_trails(frame, rgb, alpha, hand):
    """Lay ribbons of the hands' colours `rgb` (2, 3) over a float frame (h, w, 3), in place."""
    for row in range(frame.shape[0]):
        for col in range(frame.shape[1]):
            share = alpha[row, col]
            if share > 0:
                for c in range(3):
                    beneath = frame[row, col, c]
                    frame[row, col, c] = beneath + share * (rgb[hand[row, col], c] - beneath)
