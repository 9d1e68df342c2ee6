"""The inside of the mouth: what the picture shows of it, and a painted cavity, teeth and tongue.

Everything is in head coordinates (see `head_mesh`), in the plane of the lips. The upper teeth stand
still with the skull, the lower ones and the tongue go with the jaw. A portrait whose mouth is open
keeps its own teeth: its pixels are used as far as they reach.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.interpolate import CubicSpline

from emo2.draft.head_mesh import EYES_LOWER, EYES_UPPER, INNER_LOWER, INNER_UPPER, smoothstep

_FINE = CubicSpline(np.arange(11), np.eye(11))(np.linspace(0, 10, 41))
"""(41, 11): from the eleven landmarks of a lip's edge to a smooth curve."""
_LUMA = np.array([0.299, 0.587, 0.114])
_TOOTH_EDGES = np.array([0.0, 0.33, 0.59, 0.8])
"""Where one tooth ends, from the middle to a corner, in half widths of the mouth."""


class MouthInterior:
    """Paints what is seen between the lips of one portrait."""

    def __init__(
        self,
        image: np.ndarray,
        landmarks: np.ndarray,
        skin_rgb: np.ndarray,
        to_head: np.ndarray,
        is_open: bool,
    ) -> None:
        """`image` (H, W, 3) uint8, `landmarks` (478, 3) pixels, `skin_rgb` (3,) in [0, 1].

        `to_head` (2, 3) takes the portrait's pixels to head coordinates in the plane of the lips;
        `is_open`: the portrait shows the inside of the mouth.
        """
        self.image, self.is_open = image, is_open
        self._to_source = cv2.invertAffineTransform(to_head)
        upper, lower = (_apply(to_head, landmarks[k, :2]) for k in (INNER_UPPER, INNER_LOWER))
        self.width = float(upper[-1, 0] - upper[0, 0])
        self.middle = 0.5 * (upper[0, 0] + upper[-1, 0])
        self.top, self.bottom = float(upper[5, 1]), float(lower[5, 1])
        self._rest_upper, self._rest_lower = _FINE @ upper, _FINE @ lower
        skin = 255 * skin_rgb.astype(np.float64)
        lip = _lip_colour(image, landmarks, skin)
        white = _white_under_this_light(image, landmarks, skin)
        self._teeth = 0.88 * white
        self._tongue = 0.62 * (0.6 * lip + 0.4 * np.array([1.0, 0.62, 0.6]) * (skin @ _LUMA))
        self._cavity = 0.22 * (0.7 * lip + 0.3 * np.array([1.0, 0.45, 0.42]) * (skin @ _LUMA))

    def draw(
        self,
        frame: np.ndarray,
        upper: np.ndarray,
        lower: np.ndarray,
        drop: float,
        to_head: np.ndarray,
    ) -> None:
        """Paint the gap between the lips into `frame` (H, W, 3) uint8.

        `upper`, `lower` (11, 2) are the inner edges of the lips in pixels of this frame, `drop` the
        jaw's way down in face heights, `to_head` (2, 3) takes this frame's pixels to head
        coordinates.
        """
        outline = np.concatenate([_FINE @ upper, _FINE @ lower])
        low = np.maximum(np.floor(outline.min(0)) - 1, 0).astype(int)
        high = np.minimum(np.ceil(outline.max(0)) + 2, frame.shape[1::-1]).astype(int)
        if (high <= low).any():
            return
        window = slice(low[1], high[1]), slice(low[0], high[0])
        ys, xs = np.mgrid[window]
        x, y = np.moveaxis(_apply(to_head, np.stack([xs, ys], -1)), -1, 0)
        edges = _apply(to_head, outline)
        upper, lower = edges[: len(_FINE)], edges[len(_FINE) :]
        pixel = float(np.sqrt(abs(np.linalg.det(to_head[:, :2]))))
        y_upper = np.interp(x, upper[:, 0], upper[:, 1])
        y_lower = np.interp(x, lower[:, 0], lower[:, 1])
        span = np.minimum(y + pixel / 2, y_lower) - np.maximum(y - pixel / 2, y_upper)
        coverage = np.clip(span / pixel, 0, 1)
        coverage[(x < upper[0, 0]) | (x > upper[-1, 0])] = 0
        part = frame[window].astype(np.float64)
        if coverage.max() > 0.02:
            colour = self._paint(x, y, y_upper, y_lower, drop, pixel)
            if self.is_open:
                self._keep_own(colour, x, y, drop, pixel)
            part = _over(part, colour, coverage, np.ones_like(x))
        if self.is_open:
            contact = self._contact(x, y, y_upper, y_lower, pixel)
            part = _over(part, 2 * self._cavity, contact, np.ones_like(x))
        frame[window] = np.clip(part + 0.5, 0, 255).astype(np.uint8)

    def _paint(self, x, y, y_upper, y_lower, drop: float, pixel: float) -> np.ndarray:
        """(h, w, 3) cavity, tongue, lower teeth, upper teeth, under the upper lip's shadow."""
        width = self.width
        across = (x - self.middle) / (0.5 * width)
        aside = np.abs(across)
        gap = np.maximum(y_lower - y_upper, 1e-6)
        height = (y - y_upper) / gap
        colour = self._cavity * (0.75 + 0.6 * np.clip(height, 0, 1) ** 2)[..., None]

        bulge = np.clip(1 - (across / 0.72) ** 2, 0, 1)
        tongue_top = self.bottom + drop - (0.035 * width + 0.30 * max(drop, 0)) * bulge
        on_tongue = smoothstep(-0.02 * width, 0.05 * width, y - tongue_top) * (bulge > 0)
        lit = 0.55 + 0.45 * smoothstep(0.0, 0.14 * width, y - tongue_top) * bulge
        groove = 1 - 0.12 * np.exp(-((across / 0.06) ** 2))
        colour = _over(colour, self._tongue, on_tongue, lit * groove)

        low_edge = self.bottom + drop - 0.035 * width + 0.05 * width * across**2
        on_lower = np.clip((y - low_edge) / pixel + 0.5, 0, 1) * (1 - smoothstep(0.4, 0.62, aside))
        colour = _over(colour, 0.78 * self._teeth, on_lower, _tooth_shade(1.35 * aside, pixel))

        biting, rounded = _tooth_shade(aside, pixel), _tooth_rounding(aside)
        edge = self.top + width * (0.062 - 0.05 * across**2 - 0.014 * rounded)
        on_upper = np.clip((edge - y) / pixel + 0.5, 0, 1) * (1 - smoothstep(0.72, 0.95, aside))
        recede = 1 - 0.62 * smoothstep(0.25, 0.9, aside)
        colour = _over(colour, self._teeth, on_upper, biting * recede)
        shadow = 0.58 + 0.42 * smoothstep(-0.01 * width, 0.07 * width, y - y_upper)
        return colour * shadow[..., None]

    def _contact(self, x, y, y_upper, y_lower, pixel: float) -> np.ndarray:
        """The soft dark line where lips meet that the portrait shows apart."""
        upper = np.interp(x, self._rest_upper[:, 0], self._rest_upper[:, 1])
        lower = np.interp(x, self._rest_lower[:, 0], self._rest_lower[:, 1])
        rest = lower - upper
        shut = np.clip(1 - (y_lower - y_upper) / np.maximum(rest, pixel), 0, 1) ** 2
        shut = shut * np.clip(rest / pixel - 1, 0, 1)
        thick = max(0.8 * pixel, 0.014 * self.width)
        return 0.65 * shut * np.exp(-(((y - 0.5 * (y_upper + y_lower)) / thick) ** 2))

    def _keep_own(self, colour, x, y, drop: float, pixel: float) -> None:
        """Put the portrait's own teeth and tongue over the painted ones, where it shows them."""
        upper = np.interp(x, self._rest_upper[:, 0], self._rest_upper[:, 1])
        lower = np.interp(x, self._rest_lower[:, 0], self._rest_lower[:, 1])
        # What hangs from the skull is kept to here, what lies on the jaw from here on.
        border = upper + 0.62 * (lower - upper)
        soft = pixel + 0.5 * abs(drop)
        shows = np.clip((lower - upper) / pixel, 0, 1)
        skull = np.clip((border - y) / soft + 0.5, 0, 1) * np.clip((y - upper) / pixel + 1, 0, 1)
        jaw_y = y - drop
        jaw = np.clip((jaw_y - border) / soft + 1, 0, 1) * np.clip(
            (lower - jaw_y) / pixel + 1, 0, 1
        )
        for weight, at_y in ((jaw, jaw_y), (skull, y)):
            source = _apply(self._to_source, np.stack([x, at_y], -1)).astype(np.float32)
            own = cv2.remap(
                self.image, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            colour += (weight * shows)[..., None] * (own - colour)


def _apply(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """`affine` (2, 3) of points (..., 2)."""
    return points @ affine[:, :2].T + affine[:, 2]


def _over(beneath, colour, weight, shade) -> np.ndarray:
    return beneath + weight[..., None] * (colour * shade[..., None] - beneath)


def _tooth_shade(aside: np.ndarray, pixel: float) -> np.ndarray:
    """Thin shadows between teeth, fainter where a pixel is wider than they are."""
    gaps = np.abs(aside[..., None] - _TOOTH_EDGES).min(-1)
    return 1 - 0.16 * np.exp(-((gaps / 0.035) ** 2))


def _tooth_rounding(aside: np.ndarray) -> np.ndarray:
    """0 in the middle of a tooth's edge, 1 at its corners."""
    index = np.clip(np.searchsorted(_TOOTH_EDGES, aside, side="right") - 1, 0, 2)
    start, end = _TOOTH_EDGES[index], _TOOTH_EDGES[index + 1]
    return np.clip(np.abs(2 * (aside - start) / (end - start) - 1), 0, 1) ** 4


def _region(image: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """(n, 3) float64 pixels inside an outline (k, 2)."""
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    return image[mask > 0].astype(np.float64)


def _lip_colour(image: np.ndarray, landmarks: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """The lower lip's median colour; the skin's, reddened, where it covers no pixel."""
    outline = landmarks[[*INNER_LOWER, 375, 321, 405, 314, 17, 84, 181, 91, 146], :2]
    pixels = _region(image, outline)
    return np.median(pixels, axis=0) if len(pixels) else skin * np.array([0.95, 0.7, 0.7])


def _white_under_this_light(
    image: np.ndarray, landmarks: np.ndarray, skin: np.ndarray
) -> np.ndarray:
    """What a tooth would look like without shade: between the whites of the eyes and lit skin."""
    outlines = np.concatenate([EYES_UPPER, EYES_LOWER[:, ::-1]], axis=1)
    pixels = np.concatenate([_region(image, landmarks[eye, :2]) for eye in outlines])
    pixels = pixels if len(pixels) else skin[None]
    luma = pixels @ _LUMA
    sclera = pixels[luma >= np.percentile(luma, 85)].mean(0)
    # Half the colour of the light: as the skin shows it, which in a painting may be golden.
    tint = 0.55 * np.array([1.03, 1.0, 0.92]) + 0.45 * skin / max(skin @ _LUMA, 1.0)
    bright = 0.5 * (sclera @ _LUMA) + 0.55 * (skin @ _LUMA)
    return np.clip(max(bright, 95.0) * tint / (tint @ _LUMA), 0, 245)
