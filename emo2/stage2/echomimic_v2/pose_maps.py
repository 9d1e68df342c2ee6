"""Hands as EchoMimicV2 sees them: skeletons of both hands over black, to the byte as it draws them.

Only hands: neither body nor face. Whole pixels and no smoothing, on a canvas whose shorter side is
800, then resized: a detector's poses at training time went the same way. Joints are red; the 20
bones go round the colour wheel with red and blue exchanged, because the original exchanges them
once too often and was trained so.
"""

from __future__ import annotations

import colorsys
from itertools import pairwise

import cv2
import numpy as np

CANVAS_PX = 800
SIDE_PX = 768
LINE_PX, JOINT_PX = 2, 4
"""Width of a bone, radius of a joint, on the canvas."""
FINGERS = tuple((0, *range(first, first + 4)) for first in (1, 5, 9, 13, 17))
BONES = tuple(pair for finger in FINGERS for pair in pairwise(finger))
COLOURS = np.array([colorsys.hsv_to_rgb(n / len(BONES), 1.0, 1.0)[::-1] for n in range(len(BONES))])


def draw_hands(
    points: np.ndarray, scores: np.ndarray, height_px: int = SIDE_PX, width_px: int = SIDE_PX
) -> np.ndarray:
    """One frame's map, (H, W, 3) uint8 RGB.

    Args:
        points: (2, 21, 2) in OpenPose's order, shares of the picture's width and height; a point at
            or beyond the left or upper edge is not drawn.
        scores: (2, 21) how surely each was seen. They dim the colours; above 1 they brighten them.
    """
    shorter = min(height_px, width_px)
    scale = CANVAS_PX / shorter if shorter != CANVAS_PX else 1
    height, width = int(height_px * scale), int(width_px * scale)
    canvas = np.zeros((height, width, 3), np.uint8)
    for hand, score in zip(points, scores, strict=True):
        pixels = [(int(x * width), int(y * height)) for x, y in hand]
        drawn = [x > 0 and y > 0 for x, y in pixels]
        for (a, b), colour in zip(BONES, COLOURS, strict=True):
            if drawn[a] and drawn[b]:
                shade = colour * int(score[a] * score[b] * 255)
                cv2.line(canvas, pixels[a], pixels[b], shade.tolist(), LINE_PX)
        for pixel, seen, sure in zip(pixels, drawn, score, strict=True):
            if seen:
                cv2.circle(canvas, pixel, JOINT_PX, (int(sure * 255), 0, 0), -1)
    return cv2.resize(canvas, (width_px, height_px))
