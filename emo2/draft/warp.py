"""Warp a layered person by a triangle mesh and lay it over a still background.

A mesh of V vertices covers the whole picture. `rasterise_map` finds, for every output pixel, where
in the source it comes from; OpenCV samples there; `composite` lays the premultiplied person over
the background. Vertices at rest give the source back, bit for bit.
"""

from __future__ import annotations

import cv2
import numba
import numpy as np

from emo2.draft.plate import Plate


@numba.njit(cache=True)
def rasterise_map(
    moved: np.ndarray, source: np.ndarray, triangles: np.ndarray, out: np.ndarray, x0: int, y0: int
) -> None:
    """Write the source position of every pixel of a window into `out` (h, w, 2) float32.

    `moved`, `source` (V, 2) float32 pixels; `triangles` (F, 3) int32, painted in order, so the
    nearest come last; the window's first pixel is (x0, y0) of the picture.
    """
    height, width = out.shape[:2]
    for f in range(len(triangles)):
        a, b, c = triangles[f]
        ax, ay = moved[a, 0] - x0, moved[a, 1] - y0
        bx, by = moved[b, 0] - x0, moved[b, 1] - y0
        cx, cy = moved[c, 0] - x0, moved[c, 1] - y0
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-4:
            continue
        left = max(0, int(np.ceil(min(ax, bx, cx) - 1e-3)))
        right = min(width - 1, int(np.floor(max(ax, bx, cx) + 1e-3)))
        top = max(0, int(np.ceil(min(ay, by, cy) - 1e-3)))
        bottom = min(height - 1, int(np.floor(max(ay, by, cy) + 1e-3)))
        if left > right or top > bottom:
            continue
        # Displacements are interpolated, not positions: at rest they are exactly zero.
        dax, day = source[a, 0] - moved[a, 0], source[a, 1] - moved[a, 1]
        dbx, dby = source[b, 0] - moved[b, 0], source[b, 1] - moved[b, 1]
        dcx, dcy = source[c, 0] - moved[c, 0], source[c, 1] - moved[c, 1]
        inverse = 1.0 / area
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                wb = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) * inverse
                wc = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) * inverse
                wa = 1.0 - wb - wc
                if wa >= -1e-4 and wb >= -1e-4 and wc >= -1e-4:
                    out[y, x, 0] = x + x0 + wa * dax + wb * dbx + wc * dcx
                    out[y, x, 1] = y + y0 + wa * day + wb * dby + wc * dcy


@numba.njit(cache=True)
def composite(person: np.ndarray, background: np.ndarray, out: np.ndarray) -> None:
    """Lay `person` (h, w, 4) uint8, premultiplied, over `background` (h, w, 3) uint8 into `out`."""
    height, width = out.shape[:2]
    for y in range(height):
        for x in range(width):
            rest = 255 - person[y, x, 3]
            for channel in range(3):
                behind = (background[y, x, channel] * rest + 127) // 255
                value = person[y, x, channel] + behind
                out[y, x, channel] = min(value, 255)


def split_layers(image: np.ndarray, plate: Plate) -> tuple[np.ndarray, np.ndarray]:
    """The person (H, W, 4) uint8, premultiplied, and the background (H, W, 3) uint8.

    Together they give `image` back except where arms were taken out: there the person is the
    plate's body. A pixel's share of person is what the background's share leaves over, and its
    coverage is at least what that needs. So however rough the matte is at the hair, the picture at
    rest shows no rim, and in motion the rim goes with the hair. A few pixels further out the
    background is the picture itself and stands still.
    """
    # Next to removed arms the plate decides: scraps of them must not come back.
    removed = _grown(plate.arm_mask > 0.02, round(0.012 * max(image.shape)))[..., None]
    near = np.maximum(_grown(plate.alpha > 0.02, 3), plate.alpha > 0)[..., None]
    picture = image.astype(np.float32)
    background = np.rint(picture + np.maximum(near, removed) * (plate.background - picture))
    darker = 1 - ((picture + 0.5) / (background + 0.5)).min(axis=2, keepdims=True)
    needed = np.where(darker > 0.03, darker, 0) * (1 - removed)
    coverage = np.rint(255 * np.clip(np.maximum(plate.alpha[..., None], needed), 0, 1))
    share = np.clip(picture - np.rint(background * (255 - coverage) / 255), 0, 255)
    colour = np.rint(share + removed * (plate.body * plate.alpha[..., None] - share))
    person = np.concatenate([colour, coverage], axis=2).astype(np.uint8)
    return person, background.astype(np.uint8)


def _grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """(H, W) float32 in [0, 1]: `mask` made wider by `pixels`, with a soft edge."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.blur(cv2.dilate(mask.astype(np.float32), kernel), (9, 9))


def sample(person: np.ndarray, source_map: np.ndarray) -> np.ndarray:
    """`person` (H, W, 4) at the positions of `source_map` (h, w, 2), sharp; its edges repeat."""
    # Cubic: a bilinear person would go soft and sharp again with every half pixel of sway.
    return cv2.remap(
        person,
        source_map,
        None,
        interpolation=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
