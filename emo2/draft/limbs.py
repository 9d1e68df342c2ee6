"""The arms as bones: elbows and wrists, seen or supposed, and every pixel's distance to them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit

from emo2.types import Portrait

HAND_BONES = (
    *((0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (0, 9), (9, 10), (10, 11)),
    *((11, 12), (0, 13), (13, 14), (14, 15), (15, 16), (0, 17), (17, 18), (18, 19), (19, 20)),
    *((5, 9), (9, 13), (13, 17)),
)  # mediapipe hands
FINGER_RADIUS_M, FOREARM_RADIUS_M, SLEEVE_RADIUS_M, UPPER_ARM_RADIUS_M = 0.016, 0.038, 0.065, 0.07
UPPER_ARM_M, FOREARM_M = 0.29, 0.25
"""Lengths of the reference body's bones."""
HAND_LENGTH_M = 0.18
FOREARM_BEGINS = 0.4
"""As a share of the way from elbow to wrist: nearer the elbow a forearm hides nothing else."""


@dataclass(frozen=True)
class ArmBones:
    """One arm's elbow and wrist, as far as the picture shows or suggests them."""

    elbow: np.ndarray
    """(2,) float32 pixels; supposed where it is hidden, may lie outside the frame."""
    wrist: np.ndarray | None
    """(2,) float32 pixels; None where there is no forearm to take out: hidden, or out of frame."""
    hidden_wrist: np.ndarray | None
    """(2,) float32 pixels; where a wrist behind the back is supposed: the forearm's beginning shows
    beside the body."""
    elbow_seen: bool


def arm_bones(portrait: Portrait, side: int) -> ArmBones:
    """The arm of one side, 0 = left."""
    metre = portrait.camera.pixels_per_metre
    shoulder, elbow, wrist = (
        points[side] for points in (portrait.shoulders, portrait.elbows, portrait.wrists)
    )
    seen = not np.isnan(elbow).any()
    if not seen:
        outward = 1.0 if side == 0 else -1.0
        below = shoulder + np.array([0.18 * outward, 1.0]) * UPPER_ARM_M * metre
        guess = None if portrait.arms_guess is None else portrait.arms_guess[side, 0]
        near = guess is not None and np.linalg.norm(guess - below) < 0.15 * metre
        elbow = guess if near else below
    hidden = None
    if not np.isnan(portrait.hands[side]).any():
        wrist = portrait.hands[side, 0]
    elif np.isnan(wrist).any():
        wrist = None
        if portrait.arms_guess is not None and seen:
            guess = portrait.arms_guess[side, 1]
            if guess[1] > portrait.image.shape[0] - 0.05 * metre:
                wrist = guess  # the forearm hangs out of the picture
            elif portrait.bare_forearms:
                hidden = guess
    return ArmBones(elbow.astype(np.float32), wrist, hidden, seen)


def distance_to_bones(
    shape: tuple[int, int], bones: list[tuple[np.ndarray, np.ndarray, float]]
) -> np.ndarray:
    """(H, W) float32: distance to the nearest of `bones` (from, to, radius), in that bone's
    radii."""
    if not bones:
        return np.full(shape, np.inf, np.float32)
    table = np.array([(*start, *end, radius) for start, end, radius in bones], np.float32)
    return _distances(shape[0], shape[1], table)


def covering(portrait: Portrait, side: int, arm: ArmBones) -> np.ndarray:
    """(H, W) bool: what lies over the upper arm of one side: hands, and that arm's own forearm from
    a little below the elbow on."""
    shape, metre = portrait.person_mask.shape, portrait.camera.pixels_per_metre
    over = np.zeros(shape, np.uint8)
    for hand in portrait.hands[~np.isnan(portrait.hands).any(axis=(1, 2))]:
        hull = cv2.convexHull(np.round(hand).astype(np.int32))
        cv2.fillConvexPoly(over, hull, 1)
        cv2.polylines(over, [hull], True, 1, max(2, round(0.03 * metre)))
    if arm.wrist is not None:
        below = arm.elbow + FOREARM_BEGINS * (arm.wrist - arm.elbow)
        radius = FOREARM_RADIUS_M if portrait.bare_forearms else SLEEVE_RADIUS_M
        over |= distance_to_bones(shape, [(below, arm.wrist, radius * metre)]) < 1
    return over > 0


@njit(cache=True, fastmath=True)
def _distances(height, width, bones):
    nearest = np.full((height, width), np.float32(1e6))
    for i in range(len(bones)):
        x0, y0, radius = bones[i, 0], bones[i, 1], bones[i, 4]
        dx, dy = bones[i, 2] - x0, bones[i, 3] - y0
        length = max(dx * dx + dy * dy, np.float32(1e-6))
        for y in range(height):
            for x in range(width):
                t = ((x - x0) * dx + (y - y0) * dy) / length
                t = min(max(t, np.float32(0)), np.float32(1))
                ex, ey = x - x0 - t * dx, y - y0 - t * dy
                squared = (ex * ex + ey * ey) / (radius * radius)
                nearest[y, x] = min(nearest[y, x], squared)
    return np.sqrt(nearest)


def forearm_bones(
    portrait: Portrait, side: int, elbow: np.ndarray, wrist: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """A forearm, and the hand where only its wrist is known, as bones (from, to, radius) in
    pixels."""
    metre = portrait.camera.pixels_per_metre
    radius = FOREARM_RADIUS_M if portrait.bare_forearms else SLEEVE_RADIUS_M
    bones = [(elbow, wrist, radius * metre)]
    if np.isnan(portrait.hands[side]).any():
        along = (wrist - elbow) / max(np.linalg.norm(wrist - elbow), 1e-6)
        bones.append((wrist, wrist + HAND_LENGTH_M * metre * along, FOREARM_RADIUS_M * metre))
    return bones


def hand_bones(portrait: Portrait, side: int) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """The bones (from, to, radius) in pixels of a hand that is seen; none otherwise."""
    hand = portrait.hands[side]
    if np.isnan(hand).any():
        return []
    size = np.linalg.norm(hand[9] - hand[0]) + np.linalg.norm(hand[12] - hand[9])
    finger = max(FINGER_RADIUS_M * portrait.camera.pixels_per_metre, 0.09 * size)
    return [(hand[a], hand[b], finger) for a, b in HAND_BONES]
