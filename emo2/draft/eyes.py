"""Lids and gaze, painted into the portrait before it is warped.

A lid slides over the eye: skin shaded like a lid, taken from above and below the eye, with the lash
line at its edge. Stretching the picture's own narrow lid instead would smear the lashes. The gaze
moves the iris inside the opening.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from emo2.draft.head_mesh import EYES_LOWER, EYES_UPPER, smoothstep

_SHUT_RATIO = 0.09
"""Height over width below which the portrait's eye is already shut."""
_GAZE_SHARE = 0.11
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class Eye:
    """One eye of one portrait."""

    def __init__(self, image: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> None:
        """`image` (H, W, 3) uint8; `upper`, `lower` (9, 2) pixels along the margins of the lids."""
        corner, across = upper[0], upper[-1] - upper[0]
        self.width = float(np.linalg.norm(across))
        axis = across / self.width
        axes = np.stack([axis, [-axis[1], axis[0]]])  # u to the right, v down
        middle = 0.5 * (upper[0] + upper[-1])
        u_v = [(edge - middle) @ axes.T for edge in (upper, lower)]
        self.is_shut = bool((u_v[1][:, 1] - u_v[0][:, 1]).max() < _SHUT_RATIO * self.width)
        reach = np.array([0.72, 0.62]) * self.width + 2
        low = np.floor(middle - reach).astype(int)
        high = np.ceil(middle + reach).astype(int) + 1
        low, high = np.maximum(low, 0), np.minimum(high, image.shape[1::-1])
        self.window = slice(low[1], high[1]), slice(low[0], high[0])
        ys, xs = np.mgrid[self.window].astype(np.float32)
        self._u = (xs - middle[0]) * axes[0, 0] + (ys - middle[1]) * axes[0, 1]
        self._v = (xs - middle[0]) * axes[1, 0] + (ys - middle[1]) * axes[1, 1]
        self._axis = axis.astype(np.float32)
        self._corner = corner
        self._upper = self._edge(u_v[0])
        self._lower = np.maximum(self._edge(u_v[1]), self._upper)
        self._inside = 1 - smoothstep(0.44, 0.56, np.abs(self._u) / self.width)
        self._patch = image[self.window].astype(np.float32)
        self._lid, self._lash = self._lid_and_lash(image, middle, axes, u_v)

    def _edge(self, margin: np.ndarray) -> np.ndarray:
        """v of a lid's margin over every pixel of the window."""
        return np.interp(self._u, margin[:, 0], margin[:, 1]).astype(np.float32)

    def _lid_and_lash(
        self, image: np.ndarray, middle: np.ndarray, axes: np.ndarray, margins: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(h, w, 3) the shut lid's skin, and (3,) the colour of its lashes."""
        width = self.width
        us = np.linspace(-0.62, 0.62, 32) * width

        def strip(margin: np.ndarray, offsets: np.ndarray) -> np.ndarray:
            v = np.interp(us, margin[:, 0], margin[:, 1])[:, None] + offsets * width  # (32, k)
            at = middle + us[:, None, None] * axes[0] + v[..., None] * axes[1]
            at = at.astype(np.float32)
            return cv2.remap(
                image, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            ).astype(np.float32)

        def skin(margin: np.ndarray, offsets: np.ndarray) -> np.ndarray:
            # The lighter half of the strip: lashes, liner and a frame's rim are the darker one.
            pixels = strip(margin, offsets)
            order = np.argsort(pixels @ _LUMA, axis=1)[..., None]
            bright = np.take_along_axis(pixels, order, axis=1)[:, len(offsets) // 2 :].mean(1)
            return gaussian_filter1d(bright, 4.0, axis=0, mode="nearest")

        above = skin(margins[0], np.linspace(-0.30, -0.12, 7))
        below = skin(margins[1], np.linspace(0.10, 0.24, 7))
        height = np.clip((self._v - self._upper) / (self._lower - self._upper + 1e-3), 0, 1)
        lid_v = 0.45 * height
        rows = [
            np.interp(self._u, us, above[:, c]) * (1 - lid_v)
            + np.interp(self._u, us, below[:, c]) * lid_v
            for c in range(3)
        ]
        # A lid is a ball's skin: lighter where it bulges, darker towards its edge and corners.
        bulge = np.clip(1 - (self._u / (0.55 * width)) ** 2, 0, 1)
        shade = 1.0 - 0.05 * (1 - bulge) - 0.10 * height**2 + 0.03 * bulge * (1 - height)
        lid = np.stack(rows, -1) * shade[..., None]
        margin = strip(margins[0], np.linspace(-0.05, 0.05, 5)).reshape(-1, 3)
        dark = margin[np.argsort(margin @ _LUMA)[: max(1, len(margin) // 5)]].mean(0)
        return lid.astype(np.float32), 0.8 * dark + 0.2 * lid.mean((0, 1))

    def draw(self, blink: float, gaze_x: float, gaze_y: float) -> np.ndarray:
        """(h, w, 3) uint8: the window of the portrait with this lid and this gaze."""
        patch = self._look(gaze_x, gaze_y) if abs(gaze_x) + abs(gaze_y) > 0.02 else self._patch
        if blink > 0.01 and not self.is_shut:
            patch = self._shut(patch, blink)
        return np.clip(patch + 0.5, 0, 255).astype(np.uint8)

    def _look(self, gaze_x: float, gaze_y: float) -> np.ndarray:
        """The opening's content shifted; it stands still at the margins."""
        opening = np.maximum(self._lower - self._upper, 1e-3)
        height = np.clip((self._v - self._upper) / opening, 0, 1)
        rim = np.clip(1 - np.abs(2 * height - 1) ** 3, 0, 1)
        side = np.clip(1 - (self._u / (0.5 * self.width)) ** 2, 0, 1)
        share = (rim * side).astype(np.float32)
        shift_u = _GAZE_SHARE * self.width * gaze_x * share
        shift_v = 0.5 * _GAZE_SHARE * self.width * gaze_y * share
        height_px, width_px = self._u.shape
        ys, xs = np.mgrid[:height_px, :width_px].astype(np.float32)
        map_x = xs - shift_u * self._axis[0] + shift_v * self._axis[1]
        map_y = ys - shift_u * self._axis[1] - shift_v * self._axis[0]
        return cv2.remap(
            self._patch, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )

    def _shut(self, patch: np.ndarray, blink: float) -> np.ndarray:
        width, begun = self.width, smoothstep(0.0, 0.3, np.float32(blink))
        soft = max(1.0, 0.02 * width)
        # The upper lid does most of the way, the lower one comes up for the rest.
        meet = self._upper + 0.86 * (self._lower - self._upper)
        edge = self._upper + blink * (meet - self._upper)
        above = np.clip((edge - self._v) / soft + 0.5, 0, 1)
        # Skin also replaces the lashes of the open lid; it fades out towards the brow.
        from_crease = smoothstep(-0.20 * width, -0.07 * width, self._v - self._upper)
        cover = above * from_crease * begun
        to_cheek = 1 - smoothstep(-0.01 * width, 0.06 * width, self._v - self._lower)
        below = smoothstep(0.6, 1.0, np.float32(blink)) * (self._v > edge - soft) * to_cheek
        cover = (np.maximum(cover, below) * self._inside)[..., None]
        patch = patch + cover * (self._lid - patch)
        thick = max(0.8, 0.026 * width)
        line = np.exp(-(((self._v - edge) / thick) ** 2)) * self._inside
        crease = self._upper + (0.10 * blink - 0.07) * width
        fold = np.exp(-(((self._v - crease) / (1.3 * thick)) ** 2)) * self._inside
        patch = patch * (1 - 0.10 * (fold * begun)[..., None])
        return patch + (0.82 * begun * line)[..., None] * (self._lash - patch)


def eyes_of(image: np.ndarray, landmarks: np.ndarray) -> tuple[Eye, Eye]:
    """Both eyes of a portrait, the picture's left one first."""
    return tuple(
        Eye(image, landmarks[upper, :2].astype(np.float64), landmarks[lower, :2].astype(np.float64))
        for upper, lower in zip(EYES_UPPER, EYES_LOWER, strict=True)
    )
