"""Lids and gaze, painted into the portrait before it is warped.

A lid slides over the eye: skin grown smoothly from all around the eye (a membrane), shaded like a
lid, with the lash line at its edge. Stretching the picture's own narrow lid instead would smear the
lashes. The gaze moves the iris inside the opening.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from emo2.draft.head_mesh import EYES_LOWER, EYES_UPPER, smoothstep

_SHUT_RATIO = 0.09
"""Height over width below which the portrait's eye is already shut."""
_GAZE_SHARE = 0.11
_ABOVE, _BELOW, _BESIDE = 0.24, 0.13, 0.6
"""How far the lid's skin reaches past the margins and to the sides, in widths of the eye."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class Eye:
    """One eye of one portrait."""

    def __init__(self, image: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> None:
        """`image` (H, W, 3) uint8; `upper`, `lower` (9, 2) pixels along the margins of the lids."""
        across = upper[-1] - upper[0]
        self.width = width = float(np.linalg.norm(across))
        axis = across / width
        middle = 0.5 * (upper[0] + upper[-1])
        reach = 0.8 * width + 3
        low = np.maximum(np.floor(middle - reach), 0).astype(int)
        high = np.minimum(np.ceil(middle + reach) + 1, image.shape[1::-1]).astype(int)
        self.window = slice(low[1], high[1]), slice(low[0], high[0])
        ys, xs = np.mgrid[self.window].astype(np.float32)
        axes = np.stack([axis, [-axis[1], axis[0]]]).astype(np.float32)  # u right, v down
        self._axis = axes[0]
        self._u = (xs - middle[0]) * axes[0, 0] + (ys - middle[1]) * axes[0, 1]
        self._v = (xs - middle[0]) * axes[1, 0] + (ys - middle[1]) * axes[1, 1]
        margins = [(edge - middle) @ axes.T for edge in (upper, lower)]
        opening = float((margins[1][:, 1] - margins[0][:, 1]).max())
        self.is_shut = opening < _SHUT_RATIO * width
        self._upper, lower_v = (
            np.interp(self._u, m[:, 0], m[:, 1]).astype(np.float32) for m in margins
        )
        self._lower = np.maximum(lower_v, self._upper)
        arch = np.clip(1 - (self._u / (0.5 * width)) ** 2, 0, 1)
        # Shut lids meet low, in one smooth arch between the corners.
        self._meet = arch * max(0.74 * float(margins[1][:, 1].max()), 0.0)
        self._patch = image[self.window].astype(np.float32)
        reach = width * np.sqrt(0.5 + 0.5 * arch)
        region = (
            (np.abs(self._u) < _BESIDE * width)
            & (self._v > self._upper - _ABOVE * reach)
            & (self._v < self._lower + _BELOW * reach)
        )
        # Full over the open lid's lashes, thin towards brow, cheek and corners.
        top = smoothstep(-_ABOVE * width, -0.06 * width, self._v - self._upper)
        bottom = 1 - smoothstep(0.02 * width, _BELOW * width, self._v - self._lower)
        corners = 1 - smoothstep(0.36, 0.56, np.abs(self._u) / width)
        self._soft_region = top * bottom * corners
        height = np.clip((self._v - self._upper) / (self._meet - self._upper + 1e-3), 0, 1)
        # A lid is skin over a ball: lighter where it bulges, darker towards its edge.
        shade = 1 + 0.05 * arch * np.sin(np.pi * height) - 0.03 - 0.06 * arch * height**3
        skin = _membrane(self._bare_skin(), region)
        # In a deep or painted socket the rim is all shadow; a lid catches more light than that.
        light = self._patch[~region]
        luma = light @ _LUMA
        lit = light[luma >= np.percentile(luma, 60)].mean(0)
        dim = np.clip(1 - (skin @ _LUMA) / max(lit @ _LUMA, 1.0), 0, 1)[..., None]
        skin = skin + 0.3 * dim * (lit - skin)
        self._lid = skin * shade[..., None]
        at_margin = np.abs(self._v - self._upper) < 0.05 * width
        at_margin &= np.abs(self._u) < 0.45 * width
        pixels = self._patch[at_margin]
        darkest = np.argsort(pixels @ _LUMA)[: max(1, len(pixels) // 4)]
        dark = pixels[darkest].mean(0) if len(pixels) else np.zeros(3, np.float32)
        # Half grey and darker: the darkest pixels at the margin may be a blue iris's rim.
        self._lash = 0.75 * (0.5 * dark + 0.5 * (dark @ _LUMA))

    def _bare_skin(self) -> np.ndarray:
        """The window without thin dark lines: lashes, liner and crease must not tint the lid."""
        size = 2 * max(1, round(0.17 * self.width)) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        closed = cv2.morphologyEx(self._patch, cv2.MORPH_CLOSE, kernel)
        mixed = 0.7 * closed + 0.3 * self._patch
        return cv2.GaussianBlur(mixed, (0, 0), max(1.0, 0.06 * self.width))

    def draw(self, blink: float, gaze_x: float, gaze_y: float) -> np.ndarray:
        """(h, w, 3) uint8: the window of the portrait with this lid and this gaze."""
        patch = self._look(gaze_x, gaze_y) if abs(gaze_x) + abs(gaze_y) > 0.02 else self._patch
        if blink > 0.01 and not self.is_shut:
            patch = self._shut(patch, float(blink))
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
        width, begun = self.width, float(smoothstep(0.0, 0.35, np.float64(blink)))
        soft = max(1.0, 0.02 * width)
        edge = self._upper + blink * (self._meet - self._upper)
        above = np.clip((edge - self._v) / soft + 0.5, 0, 1)
        # The upper lid does most of the way, the lower one comes up for the rest.
        below = float(smoothstep(0.6, 1.0, np.float64(blink)))
        cover = np.maximum(above * begun, below) * self._soft_region
        patch = patch + cover[..., None] * (self._lid - patch)
        thick = max(0.8, 0.028 * width)
        taper = 1 - smoothstep(0.40, 0.55, np.abs(self._u) / width)
        line = np.exp(-(((self._v - edge) / thick) ** 2)) * taper * (0.8 * begun)
        return patch + line[..., None] * (self._lash - patch)


def _membrane(patch: np.ndarray, region: np.ndarray) -> np.ndarray:
    """`patch` (h, w, 3), its `region` (h, w) filled as smoothly as the rim allows (Laplace)."""
    inner = region.copy()
    inner[[0, -1]] = inner[:, [0, -1]] = False
    count = int(inner.sum())
    if count == 0:
        return patch.copy()
    index = np.full(region.shape, -1)
    index[inner] = np.arange(count)
    rows, columns = [np.arange(count)], [np.arange(count)]
    values, right = [np.full(count, 4.0)], np.zeros((count, 3))
    ys, xs = np.nonzero(inner)
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        neighbour = index[ys + dy, xs + dx]
        free = neighbour >= 0
        rows.append(np.flatnonzero(free))
        columns.append(neighbour[free])
        values.append(np.full(free.sum(), -1.0))
        right[~free] += patch[ys + dy, xs + dx][~free]
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    solution = splu(coo_matrix(entries, shape=(count, count)).tocsc()).solve(right)
    filled = patch.copy()
    filled[inner] = solution
    return filled


def eyes_of(image: np.ndarray, landmarks: np.ndarray) -> tuple[Eye, Eye]:
    """Both eyes of a portrait, the picture's left one first."""
    return tuple(
        Eye(image, landmarks[upper, :2].astype(np.float64), landmarks[lower, :2].astype(np.float64))
        for upper, lower in zip(EYES_UPPER, EYES_LOWER, strict=True)
    )
