"""Paint what lies beyond a picture's edges: the room goes on, and so does the body.

Head-and-shoulders pictures end above the place where hands gesture. The scene, without the person,
is mirrored outwards and loses focus with distance; the silhouette goes on from where the picture
cut it towards that of a standing person with hanging arms; its cloth runs down from the last rows,
each thread fading into the plain cloth. Not one pixel of the picture itself changes.
"""

from __future__ import annotations

import cv2
import numpy as np

from emo2.features.appearance import CLOTH_CHROMA, to_lab
from emo2.features.garment import folds, roundness, shoulders_outline, torso_half_px
from emo2.features.inpaint import fill_holes, smooth_fill

SETTLE_OUT_M, SETTLE_IN_M = 0.04, 0.15
"""Within these lengths a silhouette cut off too narrow (at the neck) or too wide (a puffed sleeve)
comes over to that breadth."""
ROUND_M = 0.02
"""Where the picture's side cuts through the body, it bulges out this far beyond."""
SCENE_BLUR, CLOTH_BLUR = 0.06, 0.12
"""How fast mirrored scene and running threads lose focus: sigma per pixel from the picture."""
FADE_M = 0.35
"""Folds and colours of the picture's edge fade into plain cloth over this length."""
FOLDS_IN_M = 0.05
"""Folds and roundness of the new garment set in over this length."""
NECKLINE_M = 0.05
"""Bare skin at the lower edge goes on to this depth below the shoulder line; a collar ends it."""
WIDEST_NECK_M = 0.26
PLAIN_CLOTH = (62.0, 66.0, 74.0)
"""sRGB of the garment of a person of whom no cloth is seen: slate grey."""
GRAIN_LIMIT = 2.5
"""Standard deviation of added grain, in grey levels: more looks like dirt."""
SKIN_HUE_RAD = 0.35
"""CIELAB hue angle within which a colour may be skin in light or shade."""


def extend_frame(
    frame: np.ndarray,
    matte: np.ndarray,
    known: tuple[int, int, int, int],
    shoulders: np.ndarray,
    skin_lab: np.ndarray,
    metre_px: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Paint `frame` (H, W, 3) uint8 outside `known` (x0, y0, x1, y1), the picture's own part of it.

    Returns the whole frame and its matte (H, W) float32 in [0, 1].
    `matte` (H, W) need only be right inside `known`; `shoulders` (2, 2) are frame pixels.
    """
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = known
    spine, shoulder_y = shoulders.mean(axis=0)
    picture, own_matte = frame[y0:y1, x0:x1], matte[y0:y1, x0:x1]
    outside = _distance_outside(known, (height, width))
    scene = _mirrored_scene(picture, own_matte, known, outside)

    across = np.arange(width) + 0.5 - spine
    left = _half_breadths(own_matte, known, -1, spine, shoulder_y, metre_px, height)
    right = _half_breadths(own_matte, known, 1, spine, shoulder_y, metre_px, height)
    reach = np.where(across[None] < 0, left[:, None], right[:, None])
    silhouette = np.clip(reach - np.abs(across)[None] + 0.5, 0, 1).astype(np.float32)
    silhouette = np.maximum(silhouette, shoulders_outline((height, width), shoulders, metre_px))
    silhouette[y0:y1, x0:x1] = own_matte
    silhouette = cv2.GaussianBlur(silhouette, (0, 0), 1.0)

    cloth = _cloth(
        picture, own_matte, known, outside, reach, across, shoulder_y, skin_lab, metre_px
    )
    # Nothing of the garment's own begins at the picture's edge: no step, no line.
    share = np.clip(outside / (FOLDS_IN_M * metre_px), 0, 1)
    shade = folds((height, width), metre_px, middle=spine) * roundness(silhouette, metre_px)
    cloth *= (1 + share * (shade - 1))[..., None]
    a = silhouette[..., None]
    image = np.clip(np.rint(a * cloth + (1 - a) * scene), 0, 255).astype(np.uint8)
    image[y0:y1, x0:x1] = picture
    silhouette[y0:y1, x0:x1] = own_matte
    return image, silhouette


def _distance_outside(known: tuple[int, int, int, int], shape: tuple[int, int]) -> np.ndarray:
    """(H, W) float32: pixels to the nearest point of the known box."""
    x0, y0, x1, y1 = known
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    beside = np.maximum(np.maximum(x0 - x, x - x1 + 1), 0)
    return np.hypot(beside, np.maximum(np.maximum(y0 - y, y - y1 + 1), 0))


def _defocused(picture: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32: every pixel of `picture` blurred by its own `sigma` (H, W) in pixels."""
    levels = (0.0, 1.5, 3.0, 6.0, 12.0, 24.0)
    blurred = [picture] + [cv2.GaussianBlur(picture, (0, 0), s) for s in levels[1:]]
    result = blurred[-1]
    for low, high, sharp, soft in zip(levels, levels[1:], blurred, blurred[1:], strict=False):
        mix = np.clip((sigma - low) / (high - low), 0, 1)[..., None]
        here = ((sigma >= low) & (sigma < high))[..., None]
        result = np.where(here, (1 - mix) * sharp + mix * soft, result)
    return result


def _mirrored_scene(
    picture: np.ndarray,
    matte: np.ndarray,
    known: tuple[int, int, int, int],
    outside: np.ndarray,
) -> np.ndarray:
    """(H, W, 3) float32: the scene behind the person, mirrored at the picture's edges."""
    x0, y0, x1, y1 = known
    half = (max(1, picture.shape[1] // 2), max(1, picture.shape[0] // 2))
    small = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    person = cv2.resize(matte, half, interpolation=cv2.INTER_AREA) > 0.03
    person = cv2.dilate(person.astype(np.uint8), np.ones((7, 7), np.uint8))
    if person.all():
        person[:1] = 0
    scene = fill_holes(small, person, 1 - person, level_bias=2.0)
    scene = cv2.resize(scene, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    border = (y0, outside.shape[0] - y1, x0, outside.shape[1] - x1)
    scene = cv2.copyMakeBorder(scene, *border, cv2.BORDER_REFLECT).astype(np.float32)
    return _defocused(scene, outside * SCENE_BLUR)


def _half_breadths(
    matte: np.ndarray,
    known: tuple[int, int, int, int],
    sign: int,
    spine: float,
    shoulder_y: float,
    metre_px: float,
    height: int,
) -> np.ndarray:
    """(H,) the silhouette's distance from the spine on one side, 0 in rows without new body.

    New rows begin under the picture's lower edge, and wherever its side cuts through the body.
    """
    x0, y0, x1, y1 = known
    edge = (x1 - spine) if sign > 0 else (spine - x0)
    rows = np.arange(height)
    touching = np.zeros(height, bool)
    touching[y0:y1] = (matte[:, -1] if sign > 0 else matte[:, 0]) > 0.5
    to_end = cv2.distanceTransform(
        np.pad(touching.astype(np.uint8), (1, 1)).reshape(-1, 1).repeat(3, axis=1),
        cv2.DIST_L2,
        3,
    )[1:-1, 1]
    if touching[y1 - 1]:
        to_end[:y1] = np.where(touching[:y1], np.cumsum(touching[:y1]), to_end[:y1])
        start = edge
    else:
        middle = int(np.clip(spine - x0, 0, matte.shape[1] - 1))
        line = matte[-1, middle:] if sign > 0 else matte[-1, middle::-1]
        ends = np.nonzero(line < 0.5)[0]
        start = float(ends[0]) if len(ends) else float(len(line))
    bulge = ROUND_M * metre_px * (1 - np.exp(-to_end / (0.6 * ROUND_M * metre_px)))
    if touching[y1 - 1]:
        start += bulge[y1 - 1]
    plain = torso_half_px(rows, shoulder_y, metre_px)
    gap = start - plain[min(y1, height - 1)]
    # The wider the garment, the longer it takes.
    settle = SETTLE_IN_M * metre_px + 3 * gap if gap > 0 else SETTLE_OUT_M * metre_px
    below = plain + gap * np.exp(-np.maximum(rows - y1 + 1, 0) / settle)
    beside = np.where(touching, np.maximum(edge + bulge, np.minimum(plain, edge + 4 * bulge)), 0)
    return np.where(rows >= y1, np.maximum(below, 1.0), beside)


def _cloth(
    picture: np.ndarray,
    matte: np.ndarray,
    known: tuple[int, int, int, int],
    outside: np.ndarray,
    reach: np.ndarray,
    across: np.ndarray,
    shoulder_y: float,
    skin_lab: np.ndarray,
    metre_px: float,
) -> np.ndarray:
    """(H, W, 3) float32: the body's surface beyond the picture, wherever the silhouette may
    fall."""
    x0, y0, x1, y1 = known
    height, width = outside.shape
    body = matte > 0.9
    depth_m = (np.arange(y0, y1) - shoulder_y) / metre_px
    is_skin = body & _looks_like_skin(to_lab(picture), skin_lab)
    bare = np.nonzero(is_skin[-1])[0]
    if depth_m[-1] > NECKLINE_M or (len(bare) and np.ptp(bare)) > WIDEST_NECK_M * metre_px:
        is_skin[:] = False  # so low or so wide it is rose, ochre or leather
    # Of a head alone, hair hangs beside the neck: only the last rows are sure to be cloth.
    head_only = depth_m[-1] < NECKLINE_M
    low = body & (depth_m > depth_m[-1] - (0.03 if head_only else 0.12))[:, None]
    cloth = low & ~is_skin
    coverage = cloth.sum() / max(low.sum(), 1)
    plain = np.array(PLAIN_CLOTH)
    if coverage > 0.1:
        plain = np.median(picture[cloth], axis=0)

    # The picture's edge pixels run on outwards; skin's and scene's places there belong to cloth.
    known_cloth = cloth if head_only and cloth.any() else body & ~is_skin
    run = smooth_fill(picture.astype(np.float32), known_cloth) if known_cloth.any() else picture
    border = (y0, height - y1, x0, width - x1)
    run = cv2.copyMakeBorder(run.astype(np.float32), *border, cv2.BORDER_REPLICATE)
    # A thread keeps its share of the way from spine to silhouette.
    share = across[None] / np.maximum(reach, 1.0)
    rows = np.arange(height)
    column = np.broadcast_to(np.arange(width, dtype=np.float32), (height, width))
    spine = 0.5 - across[0]
    threads = share * reach[min(y1, height - 1)] + spine - 0.5
    column = np.where(rows[:, None] >= y1, threads, column).astype(np.float32)
    row = np.broadcast_to(rows[:, None], (height, width)).astype(np.float32)
    run = cv2.remap(run, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    run = _defocused(run, outside * CLOTH_BLUR)
    sure = coverage**2 if head_only else coverage  # of slivers of cloth little can go on
    fade = np.exp(-outside / (FADE_M * metre_px * (0.05 + sure)))[..., None]
    surface = fade * run + (1 - fade) * plain
    surface += _grain(picture, cloth, (height, width))[..., None]

    if is_skin[-1].any():
        seen = np.nonzero(is_skin[-1])[0]
        skin = [np.interp(np.arange(width), seen + x0, picture[-1, seen, c]) for c in range(3)]
        drop_px = max((NECKLINE_M - depth_m[-1]) * metre_px, 3.0)
        surface = _with_neckline(surface, np.stack(skin, axis=-1), seen + x0, y1, drop_px)
    return surface


def _looks_like_skin(lab: np.ndarray, skin_lab: np.ndarray) -> np.ndarray:
    """(H, W) bool: the skin's hue, in light or in shade."""
    near = np.linalg.norm(lab[..., 1:] - skin_lab[1:], axis=-1) < 0.7 * CLOTH_CHROMA
    hue = np.arctan2(lab[..., 2], lab[..., 1]) - np.arctan2(skin_lab[2], skin_lab[1])
    hue = np.abs((hue + np.pi) % (2 * np.pi) - np.pi)
    strong = np.hypot(lab[..., 1], lab[..., 2]) > 0.5 * np.hypot(*skin_lab[1:])
    return near | (strong & (hue < SKIN_HUE_RAD))


def _with_neckline(
    surface: np.ndarray, skin: np.ndarray, columns: np.ndarray, top: int, drop_px: float
) -> np.ndarray:
    """`surface` (H, W, 3) with bare `skin` (W, 3) from row `top` down to a round collar, `drop_px`
    deep."""
    centre, half = columns.mean(), max(np.ptp(columns) / 2, 2.0)
    y, x = np.mgrid[: surface.shape[0], : surface.shape[1]]
    oval = 1 - np.hypot((x - centre) / half, np.maximum(y - top, 0) / drop_px)
    edge_px = oval * min(half, drop_px)
    inside = np.clip(edge_px / 1.5 + 0.5, 0, 1)[..., None]
    # The collar's edge throws a thin shadow.
    shade = 1 - 0.25 * np.exp(-np.abs(edge_px) / 3)[..., None]
    return (inside * skin + (1 - inside) * surface) * shade


def _grain(picture: np.ndarray, cloth: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W): noise as strong as the cloth's own."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 1.5)
    strength = 1.5 * np.median(np.abs(fine[cloth])) if cloth.any() else 1.0
    noise = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 0.8)
    return noise / noise.std() * min(strength, GRAIN_LIMIT)
