"""Where the hands of a preview stand: the dimmed portrait or a plain stage, and what is laid over
it."""

from __future__ import annotations

import cv2
import numpy as np

from emo2.types import Camera, Frame

Window = tuple[slice, slice]

_TOP, _BOTTOM = np.array([236, 238, 243]), np.array([196, 202, 214])
_SHADOW = 0.30


def stage(size: tuple[int, int], background: Frame | None) -> np.ndarray:
    """(H, W, 3) float32, 0..255: the dimmed, slightly greyed portrait, or a soft gradient."""
    height, width = size
    if background is not None:
        picture = background.astype(np.float32)
        grey = picture.mean(axis=-1, keepdims=True)
        # A dark portrait needs little dimming for the hands to stand out, a bright one much.
        dim = np.clip(55.0 / max(float(grey.mean()), 1.0), 0.40, 0.70)
        return dim * (0.65 * picture + 0.35 * grey) + 12.0
    down = np.linspace(0, 1, height)[:, None, None]
    across = np.linspace(-1, 1, width)[None, :, None]
    gradient = _TOP + (_BOTTOM - _TOP) * down**1.3 - 8.0 * across**2
    return np.ascontiguousarray(np.broadcast_to(gradient, (height, width, 3)), dtype=np.float32)


def lay_shadow(frame: np.ndarray, alpha: np.ndarray, window: Window) -> None:
    """Darken the float frame (H, W, 3) softly around and below what covers `alpha` of a window.

    The hands hang in the air: the shadow touches nothing, it only lifts them off the picture.
    """
    height, width = frame.shape[:2]
    sigma = max(height, width) / 90
    margin, drop = int(3 * sigma) + 1, round(1.1 * sigma)
    padded = cv2.copyMakeBorder(alpha, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
    shadow = cv2.GaussianBlur(padded, (0, 0), sigma)
    top, left = window[0].start - margin + drop, window[1].start - margin
    rows = slice(max(top, 0), min(top + shadow.shape[0], height))
    columns = slice(max(left, 0), min(left + shadow.shape[1], width))
    seen = shadow[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    frame[rows, columns] *= 1.0 - _SHADOW * seen[..., None]


def lay_over(frame: np.ndarray, colour: np.ndarray, alpha: np.ndarray, window: Window) -> None:
    """Premultiplied colour (h, w, 3) and alpha (h, w) over a window of the float frame, in
    place."""
    beneath = frame[window]
    beneath *= 1.0 - alpha[..., None]
    beneath += colour


def stage_camera(side_px: int) -> Camera:
    """A 4:3 view of the space where hands gesture, 1.1 m wide, for previews without a portrait."""
    return Camera(
        origin_px=(side_px / 2, 0.26 * side_px),
        pixels_per_metre=side_px / 1.1,
        width_px=side_px,
        height_px=side_px * 3 // 8 * 2,
    )
