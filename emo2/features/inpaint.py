"""Fill holes in a picture with what surrounds them: PatchMatch and patch voting, coarse to fine.

Barnes et al. 2009 (PatchMatch) inside Wexler et al. 2007 (space-time completion): every patch that
touches the hole looks for its likeness among the sources, every hole pixel becomes the mean of what
its patches propose, from a smooth guess at the coarsest scale to full detail. Deterministic.
"""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit

PATCH_RADIUS = 3
COARSEST_SIDE_PX = 56
SWEEPS_PER_LEVEL = (8, 6, 4, 2)
"""Search sweeps, coarsest level first; the last number holds for all finer ones."""
FINE_REACH_PX = 24
"""Random search starts this far out on all but the two coarsest levels: they have found the
place."""
INWARD_DOUBT = 1.5
"""The rim of a hole is trusted this many times more than what lies one pixel further in."""


def smooth_fill(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(H, W, C) float32: `image` where `known` (H, W) bool, elsewhere a smooth continuation of it.

    Averages are pulled up a pyramid and pushed down into the unknown, so large holes cost nothing.
    """
    weight = known.astype(np.float32)
    if known.all() or not known.any():
        return image.astype(np.float32)
    small_size = ((image.shape[1] + 1) // 2, (image.shape[0] + 1) // 2)
    pulled = cv2.resize(image * weight[..., None], small_size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(weight, small_size, interpolation=cv2.INTER_AREA)
    pulled = pulled / np.maximum(share, 1e-6)[..., None]
    small = smooth_fill(pulled, share > 1e-3) if min(small_size) > 1 else pulled
    pushed = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.where(known[..., None], image, pushed).astype(np.float32)


def nearest_fill(image: np.ndarray, known: np.ndarray, level_bias: float = 2.0) -> np.ndarray:
    """(H, W, C) float32: every unknown pixel takes the colour of its nearest known one.

    `level_bias` above 1 makes rows nearer than columns: behind a standing person horizons, desks
    and shelves run on sideways.
    """
    height, width = known.shape
    squeezed = (max(1, round(width / level_bias)), height)
    weight = cv2.resize(known.astype(np.float32), squeezed, interpolation=cv2.INTER_AREA)
    solid = weight > 0.99
    if not solid.any():
        return smooth_fill(image, known)
    colours = cv2.resize(image.astype(np.float32), squeezed, interpolation=cv2.INTER_AREA)
    _, index = cv2.distanceTransformWithLabels(
        (~solid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    palette = np.zeros((index.max() + 1, image.shape[2]), np.float32)
    palette[index[solid]] = colours[solid]
    filled = cv2.resize(palette[index], (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(known[..., None], image, filled).astype(np.float32)


def fill_holes(
    image: np.ndarray,
    hole: np.ndarray,
    source: np.ndarray,
    *,
    detail: np.ndarray | None = None,
    level_bias: float = 1.0,
) -> np.ndarray:
    """`image` (H, W, 3) uint8 with its `hole` (H, W) filled from its `source`: (H, W, 3) uint8.

    `source` holds a label above 0 where pixels may be copied from; `hole` a label above 0 where
    they are wanted, and only equal labels meet (so sleeve fills sleeve). Pixels that are neither
    are ignored. `detail` (H, W) bool limits the work at the two finest scales.
    `level_bias`: see `nearest_fill`.
    """
    hole, source = hole.astype(np.uint8), source.astype(np.uint8)
    known = (source > 0) & (hole == 0)
    if not known.any():
        known = hole == 0
    start = _start_by_label(image, hole, np.where(known, source, 0), level_bias)
    pyramid = [(start, hole, np.where(known, source, 0).astype(np.uint8))]
    while min(pyramid[-1][1].shape) >= 2 * COARSEST_SIDE_PX:
        pyramid.append(_halved(*pyramid[-1]))

    filled, field = None, None
    for level in range(len(pyramid) - 1, -1, -1):
        picture, wanted, labels = pyramid[level]
        picture = np.ascontiguousarray(picture, np.float32)
        centres = _patch_centres(labels)
        if filled is not None:
            finer = cv2.resize(filled, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            picture = np.where((wanted > 0)[..., None], finer, picture)
        if detail is not None and level < 2:
            seen = cv2.resize(detail.astype(np.uint8), wanted.shape[::-1], interpolation=0)
            wanted = np.where(seen > 0, wanted, 0)
        filled = picture
        active = np.argwhere(cv2.dilate(wanted, np.ones((2 * PATCH_RADIUS + 1,) * 2)) > 0)
        target = np.where(wanted > 0, wanted, labels)
        active = active[target[active[:, 0], active[:, 1]] > 0].astype(np.int32)
        if not len(active) or not (centres > 0).any():
            continue
        field = _start_field(field, target, centres, level)
        depth = len(pyramid) - 1 - level
        sweeps = SWEEPS_PER_LEVEL[min(depth, len(SWEEPS_PER_LEVEL) - 1)]
        reach = max(target.shape) if depth < 2 else FINE_REACH_PX
        inward = cv2.distanceTransform((wanted > 0).astype(np.uint8), cv2.DIST_L2, 5)
        trust = np.maximum(INWARD_DOUBT**-inward, 1e-3).astype(np.float32) * (target > 0)
        filled = np.ascontiguousarray(filled)
        for sweep in range(sweeps):
            _search(filled, trust, target, centres, field, active, sweep, reach, PATCH_RADIUS)
            if sweep % 2 or sweep == sweeps - 1:
                filled = _vote(filled, trust, wanted, labels, field, active, PATCH_RADIUS)
    return np.clip(np.rint(filled), 0, 255).astype(np.uint8)


def _start_by_label(
    image: np.ndarray, hole: np.ndarray, source: np.ndarray, level_bias: float
) -> np.ndarray:
    """Each label's holes filled from that label's sources (from any, where it has none)."""
    start = image.astype(np.float32)
    for label in np.unique(hole[hole > 0]):
        own = source == label
        nearest = nearest_fill(image, own if own.any() else source > 0, level_bias)
        start = np.where((hole == label)[..., None], nearest, start)
    return start


def _halved(
    picture: np.ndarray, hole: np.ndarray, source: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size = ((picture.shape[1] + 1) // 2, (picture.shape[0] + 1) // 2)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    wanted = cv2.resize(hole, size, interpolation=cv2.INTER_NEAREST)
    # A coarse pixel is a source only where all of it is one.
    solid = cv2.resize((source > 0).astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.99
    labels = np.where(solid & (wanted == 0), cv2.resize(source, size, interpolation=0), 0)
    return small, wanted, labels.astype(np.uint8)


def _patch_centres(labels: np.ndarray) -> np.ndarray:
    """(H, W) uint8: the label where a whole patch lies in the sources, 0 elsewhere."""
    for radius in range(PATCH_RADIUS, -1, -1):
        # Narrow sources (a sleeve, a coarse level) lend smaller patches rather than none.
        kernel = np.ones((2 * radius + 1,) * 2, np.uint8)
        inner = cv2.erode((labels > 0).astype(np.uint8), kernel, borderValue=0)
        centres = np.where(inner > 0, labels, 0).astype(np.uint8)
        if set(np.unique(centres)) == set(np.unique(labels)) | {0}:
            break
    margin = PATCH_RADIUS
    centres[:margin] = centres[-margin:] = 0
    centres[:, :margin] = centres[:, -margin:] = 0
    return centres


def _start_field(
    coarse: np.ndarray | None, target: np.ndarray, centres: np.ndarray, level: int
) -> np.ndarray:
    """(H, W, 2) int32: for every pixel the row and column of a source patch of its label."""
    height, width = target.shape
    field = np.zeros((height, width, 2), np.int32)
    rng = np.random.default_rng(level)
    for label in np.unique(target[target > 0]):
        own = np.argwhere(centres == label)
        if not len(own):
            own = np.argwhere(centres > 0)
        here = target == label
        field[here] = own[rng.integers(0, len(own), here.sum())]
    if coarse is not None:
        rows = np.minimum(np.arange(height) // 2, coarse.shape[0] - 1)
        columns = np.minimum(np.arange(width) // 2, coarse.shape[1] - 1)
        finer = coarse[rows][:, columns] * 2
        finer[..., 0] += (np.arange(height) % 2)[:, None]
        finer[..., 1] += (np.arange(width) % 2)[None]
        finer = np.clip(finer, 0, (height - 1, width - 1))
        fits = (centres[finer[..., 0], finer[..., 1]] == target) & (target > 0)
        field[fits] = finer[fits]
    return field


@njit(cache=True, fastmath=True)
def _distance(picture, trust, y, x, sy, sx, radius, best):
    """Squared colour difference of two patches, each target pixel by its trust; infinite past best.

    A patch's trust is the same for every candidate, so nothing is divided by it.
    """
    height, width = trust.shape
    total = 0.0
    for dy in range(-radius, radius + 1):
        ty = y + dy
        if ty < 0 or ty >= height:
            continue
        for dx in range(-radius, radius + 1):
            tx = x + dx
            if tx < 0 or tx >= width:
                continue
            a = picture[ty, tx, 0] - picture[sy + dy, sx + dx, 0]
            b = picture[ty, tx, 1] - picture[sy + dy, sx + dx, 1]
            c = picture[ty, tx, 2] - picture[sy + dy, sx + dx, 2]
            total += trust[ty, tx] * (a * a + b * b + c * c)
        if total > best:
            return np.inf
    return total


@njit(cache=True)
def _search(picture, trust, target, centres, field, active, sweep, reach, radius):
    """One PatchMatch sweep over the active pixels: propagate, then look around at random."""
    height, width = target.shape
    count = len(active)
    step = -1 if sweep % 2 else 1
    state = np.uint64(88172645463325252 + sweep)
    for i in range(count):
        index = i if step == 1 else count - 1 - i
        y, x = active[index, 0], active[index, 1]
        label = target[y, x]
        by, bx = field[y, x, 0], field[y, x, 1]
        best = _distance(picture, trust, y, x, by, bx, radius, np.inf)
        for axis in range(2):
            ny, nx = (y - step, x) if axis == 0 else (y, x - step)
            if ny < 0 or nx < 0 or ny >= height or nx >= width or target[ny, nx] == 0:
                continue
            sy, sx = field[ny, nx, 0] + (y - ny), field[ny, nx, 1] + (x - nx)
            if sy < 0 or sx < 0 or sy >= height or sx >= width or centres[sy, sx] != label:
                continue
            d = _distance(picture, trust, y, x, sy, sx, radius, best)
            if d < best:
                best, by, bx = d, sy, sx
        span = reach
        while span >= 1:
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            sy = by + int(state % np.uint64(2 * span + 1)) - span
            sx = bx + int((state >> np.uint64(32)) % np.uint64(2 * span + 1)) - span
            if 0 <= sy < height and 0 <= sx < width and centres[sy, sx] == label:
                d = _distance(picture, trust, y, x, sy, sx, radius, best)
                if d < best:
                    best, by, bx = d, sy, sx
            span //= 2
        field[y, x, 0], field[y, x, 1] = by, bx


@njit(cache=True)
def _vote(picture, trust, wanted, labels, field, active, radius):
    """Every hole pixel becomes the mean of what the patches over it propose, good ones foremost."""
    height, width = wanted.shape
    colour = np.zeros((height, width, 3), np.float32)
    weight = np.zeros((height, width), np.float32)
    for i in range(len(active)):
        y, x = active[i, 0], active[i, 1]
        sy, sx = field[y, x, 0], field[y, x, 1]
        d = _distance(picture, trust, y, x, sy, sx, radius, np.inf)
        w = np.float32(trust[y, x] / (d + 100.0))
        for dy in range(-radius, radius + 1):
            for dx in range(-radius, radius + 1):
                ty, tx = y + dy, x + dx
                if ty < 0 or tx < 0 or ty >= height or tx >= width or wanted[ty, tx] == 0:
                    continue
                py, px = sy + dy, sx + dx
                if labels[py, px] == 0:
                    continue
                for c in range(3):
                    colour[ty, tx, c] += w * picture[py, px, c]
                weight[ty, tx] += w
    filled = picture.copy()
    for y in range(height):
        for x in range(width):
            if wanted[y, x] and weight[y, x] > 0:
                for c in range(3):
                    filled[y, x, c] = colour[y, x, c] / weight[y, x]
    return filled
