"""Drafts that went wrong, to learn how they should have been.

The pair is (spoilt draft, draft). What is spoilt is what procedural arms get wrong on a new
portrait: tone against the face, flat or uneven shading, blotches, softness. Only where the
draft drew something (`change`) can it be spoilt, because only there the film may differ from
it.
"""

from __future__ import annotations

import cv2
import numpy as np

UNSPOILT_SHARE = 0.15
"""Clips left as they are: where nothing is wrong, the network must learn to say nothing."""


def spoil(draft: np.ndarray, change: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One clip (T, H, W, 3) in [0, 1] with `change` (T, H, W) in [0, 1]; faults last for the
    clip."""
    if rng.random() < UNSPOILT_SHARE:
        return draft.copy()
    frames, height, width = change.shape
    flatness = rng.uniform(0, 0.6) * (rng.random() < 0.5)
    softness_px = rng.uniform(0, 0.008) * width
    tone = np.exp(rng.normal(0, 0.16)) * np.exp(rng.normal(0, 0.05, 3))
    lamp = _gradient(height, width, rng) * rng.uniform(0, 0.25)
    blotches = _blotches(frames, height, width, rng) * rng.uniform(0, 0.12)
    spoilt = np.empty_like(draft)
    for t in range(frames):
        picture = draft[t]
        if flatness:
            picture = picture + flatness * (_average(picture, change[t]) - picture)
        if softness_px > 0.4:
            picture = cv2.GaussianBlur(picture, (0, 0), softness_px)
        picture = picture * tone * (1 + lamp + blotches[t])[..., None]
        spoilt[t] = draft[t] + change[t, ..., None] * (picture - draft[t])
    return spoilt.clip(0, 1).astype(np.float32)


def _average(picture: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The colour around each pixel, of changed pixels alone: shading without form."""
    height, width = change.shape
    small = (width // 4, height // 4)
    weight = cv2.resize(change, small, interpolation=cv2.INTER_AREA)
    colour = cv2.resize(picture * change[..., None], small, interpolation=cv2.INTER_AREA)
    sigma = 0.06 * small[0]
    weight, colour = (cv2.GaussianBlur(x, (0, 0), sigma) for x in (weight, colour))
    return cv2.resize(colour / np.maximum(weight, 1e-3)[..., None], (width, height))


def _gradient(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A lamp at a random side: (H, W) from -1 to 1."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return (np.cos(angle) * x + np.sin(angle) * y).clip(-1, 1)


def _blotches(frames: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (T, H, W) that turns slowly from one pattern into another."""
    cells = int(rng.integers(5, 14))
    first, last = (
        cv2.resize(
            rng.standard_normal((cells, cells)), (width, height), interpolation=cv2.INTER_CUBIC
        )
        for _ in range(2)
    )
    angle = np.linspace(0, rng.uniform(0, np.pi / 2), frames)[:, None, None]
    return np.cos(angle) * first + np.sin(angle) * last
