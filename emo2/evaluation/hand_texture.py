"""Does the skin of the hands look photographed? Twelve numbers of a hand's crop, no learning.

    rows = [texture(crop) for crop in crops]        # (12,) each
    frechet_distance(rows / spread, real / spread)  # `hand_texture_distance`

A crop is 64 px of a hand and the skin inside its outline. Its lightness is taken as a logarithm, so
that the lamp's brightness drops out, and filtered at three sizes by derivatives of a Gaussian in
two directions, from which the response in any direction follows (Freeman & Adelson 1991). Of each
size: how strong edges are, how much of them lies in one direction, how rare and strong they are
(kurtosis); and the spread of lightness and of colour over the skin, and how the finest size goes
with the next. Blur, noise and flat paint each move a few of them: see `FLOORS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from emo2.types import Frame

SIDE_PX = 64
LEAST_PX = 40
"""Hands that are smaller in the picture are left out: enlarging would be measured."""
MARGIN = 0.15
"""Of the hand's size, around its outermost points."""
FLESH = 0.07
"""The skin goes this far beyond the bones, in hand sizes."""
SIZES_PX = (0.8, 1.6, 3.2)
BONES = (
    (0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (0, 17, 18, 19, 20),
    (5, 9, 13, 17),
)  # fmt: skip
PALM = (0, 1, 5, 9, 13, 17)
NAMES = (
    *(f"{what}_{size}" for size in SIZES_PX for what in ("strength", "direction", "rarity")),
    "lightness", "colour", "across_sizes",
)  # fmt: skip


@dataclass(frozen=True)
class HandCrop:
    """One hand of a picture."""

    pixels: np.ndarray
    """(64, 64, 3) uint8 RGB."""
    skin: np.ndarray
    """(64, 64) bool: inside the hand's outline."""


def hand_crop(frame: Frame, points: np.ndarray) -> HandCrop | None:
    """Cut the hand whose 21 points [px] are given; None where it is too small, or more than an
    eighth of the crop lies outside the frame."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = (high - low).max()
    if not side >= LEAST_PX:
        return None
    side *= 1 + 2 * MARGIN
    corner = (low + high - side) / 2
    if (corner + side / 8 < 0).any() or (corner + side * 7 / 8 > frame.shape[1::-1]).any():
        return None
    scale = SIDE_PX / side
    # Each pixel is the mean over its area: a warp alone would skip pixels of a large hand.
    if scale < 1:
        frame = cv2.GaussianBlur(frame, (0, 0), 0.5 * np.sqrt(1 / scale**2 - 1) + 1e-3)
    into = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    pixels = cv2.warpAffine(
        frame, into, (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return HandCrop(pixels, _outline((points - corner) * scale))


def _outline(points: np.ndarray) -> np.ndarray:
    """(64, 64) bool: bones drawn as thick as fingers, and the palm."""
    mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    places = np.rint(points).astype(np.int32)
    for bone in BONES:
        cv2.polylines(mask, [places[list(bone)]], False, 1, round(2 * FLESH * SIDE_PX) // 2)
    cv2.fillConvexPoly(mask, cv2.convexHull(places[list(PALM)]), 1)
    return mask.astype(bool)


def texture(crop: HandCrop) -> np.ndarray:
    """(12,) float64, in the order of `NAMES`."""
    lab = cv2.cvtColor(crop.pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light = np.log(np.maximum(lab[..., 0], 2.0))
    skin = crop.skin
    facts, strengths = [], []
    for size in SIZES_PX:
        # The blur is the Gaussian whose derivative is taken; times its size, scales compare.
        smooth = cv2.GaussianBlur(light, (0, 0), size)
        dx = size * cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3)[skin] / 8
        dy = size * cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3)[skin] / 8
        power = dx**2 + dy**2
        strengths.append(np.log(np.sqrt(power) + 1e-4))
        doubled = np.hypot((dx**2 - dy**2).mean(), 2 * (dx * dy).mean())
        facts += [
            strengths[-1].mean(),
            doubled / (power.mean() + 1e-8),
            np.log((power**2).mean() / (power.mean() ** 2 + 1e-12) + 1e-3),
        ]
    facts.append(np.log(light[skin].std() + 1e-3))
    facts.append(np.log(np.hypot(*lab[skin][:, 1:].std(axis=0)) + 0.1))
    fine, next_finest = (values - values.mean() for values in strengths[:2])
    spread = np.sqrt((fine**2).sum() * (next_finest**2).sum())
    facts.append((fine * next_finest).sum() / max(spread, 1e-9))
    return np.array(facts, np.float64)


# Floors ----------------------------------------------------------------------------------------


def blurred(crop: HandCrop) -> HandCrop:
    """As a lens that missed its focus."""
    return HandCrop(cv2.GaussianBlur(crop.pixels, (0, 0), 1.5), crop.skin)


def noisy(crop: HandCrop, seed: int = 0) -> HandCrop:
    """As a sensor in the dark: 12 of 255."""
    grain = np.random.default_rng(seed).normal(0, 12, crop.pixels.shape)
    return HandCrop(np.clip(crop.pixels + grain, 0, 255).astype(np.uint8), crop.skin)


def flat(crop: HandCrop) -> HandCrop:
    """As a mesh with one colour under one lamp: inside the outline all but the slow change goes."""
    weight = crop.skin.astype(np.float32)
    spread = SIDE_PX / 6
    within = cv2.GaussianBlur(weight, (0, 0), spread) + 1e-6
    slow = cv2.GaussianBlur(crop.pixels * weight[..., None], (0, 0), spread) / within[..., None]
    pixels = np.where(crop.skin[..., None], np.rint(slow).astype(np.uint8), crop.pixels)
    return HandCrop(pixels, crop.skin)


FLOORS = {"blurred": blurred, "noisy": noisy, "flat": flat}


def textures(crops: Sequence[HandCrop]) -> np.ndarray:
    """(n, 12)."""
    return np.stack([texture(crop) for crop in crops]) if crops else np.zeros((0, len(NAMES)))
