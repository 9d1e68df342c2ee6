"""Whose pixel is it: forearm and hand, upper arm, or torso and head. And where new forearms join.

Every pixel of the person goes to the nearest bone, each bone measured in its own thickness. Inside
the torso's outline the arm's colours then decide, because there a generous margin costs cloth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.types import REFERENCE_SHOULDER_BREADTH_M, Portrait

HAND_BONES = (
    *((0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (0, 9), (9, 10), (10, 11)),
    *((11, 12), (0, 13), (13, 14), (14, 15), (15, 16), (0, 17), (17, 18), (18, 19), (19, 20)),
    *((5, 9), (9, 13), (13, 17)),
)  # mediapipe hands
FINGER_RADIUS_M, FOREARM_RADIUS_M, SLEEVE_RADIUS_M, UPPER_ARM_RADIUS_M = 0.016, 0.045, 0.065, 0.07
UPPER_ARM_M, FOREARM_M = 0.29, 0.25
"""Lengths of the reference body's bones."""
HAND_LENGTH_M = 0.18
TORSO_BELOW_M, TORSO_HALF_M = (0.0, 0.12, 0.30, 0.48), (0.17, 0.155, 0.14, 0.16)
"""Half the breadth of a plain torso without arms, at these depths below the shoulder line."""


@dataclass(frozen=True)
class ArmJoint:
    """How one arm leaves the picture's body: what a new forearm joins on to."""

    shoulder: np.ndarray
    """(2,) float32 pixels."""
    elbow: np.ndarray
    """(2,) float32 pixels; supposed from the shoulder where it is hidden, may lie outside the
    frame."""
    elbow_seen: bool
    """True: the picture shows this upper arm down to its elbow, keep the new forearm there."""
    removed: bool
    """True: an old forearm or hand of this arm was taken out of the picture."""
    width_px: float
    """Across the sleeve or upper arm, just above the elbow."""
    bare: bool
    """True: the upper arm shows skin where the forearm joins."""
    rgb: np.ndarray
    """(3,) float32 in [0, 1]: the colour there, as lit."""
    texture: np.ndarray
    """(P, P, 3) uint8: the upper arm's surface above the elbow, `width_px` wide, turned so that
    columns run across the arm and rows from shoulder to elbow."""
    upper_arm: np.ndarray
    """(H, W) float32 in [0, 1]: how far a body pixel turns with the upper arm about the shoulder: 1
    near the elbow, 0 on the torso."""


def arm_bones(portrait: Portrait, side: int) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """The elbow (2,), the wrist (2,) or None, and whether the elbow is seen, of one side.

    The wrist is None where there is no forearm to take out: nothing found, or hidden behind the
    back.
    """
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
    if not np.isnan(portrait.hands[side]).any():
        wrist = portrait.hands[side, 0]
    elif np.isnan(wrist).any():
        wrist = None
        if portrait.arms_guess is not None and seen:
            guess = portrait.arms_guess[side, 1]
            # A forearm that hangs out of the picture; one that is hidden inside it stays.
            if guess[1] > portrait.image.shape[0] - 0.05 * metre:
                wrist = guess
    return elbow.astype(np.float32), wrist, seen


def distance_to_bones(
    shape: tuple[int, int], bones: list[tuple[np.ndarray, np.ndarray, float]]
) -> np.ndarray:
    """(H, W) float32: distance to the nearest of `bones` (from, to, radius), in that bone's
    radii."""
    nearest = np.full(shape, np.inf, np.float32)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    for start, end, radius in bones:
        along = np.asarray(end, np.float32) - start
        t = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(along @ along, 1e-6)
        t = np.clip(t, 0, 1)
        distance = np.hypot(x - start[0] - t * along[0], y - start[1] - t * along[1]) / radius
        np.minimum(nearest, distance.astype(np.float32), out=nearest)
    return nearest


def forearm_bones(
    portrait: Portrait, side: int, elbow: np.ndarray, wrist: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Forearm and hand as bones (from, to, radius) in pixels."""
    metre = portrait.camera.pixels_per_metre
    radius = FOREARM_RADIUS_M if portrait.bare_forearms else SLEEVE_RADIUS_M
    bones = [(elbow, wrist, radius * metre)]
    hand = portrait.hands[side]
    if np.isnan(hand).any():
        along = (wrist - elbow) / max(np.linalg.norm(wrist - elbow), 1e-6)
        bones.append((wrist, wrist + HAND_LENGTH_M * metre * along, FOREARM_RADIUS_M * metre))
    else:
        size = np.linalg.norm(hand[9] - hand[0]) + np.linalg.norm(hand[12] - hand[9])
        finger = max(FINGER_RADIUS_M * metre, 0.09 * size)
        bones += [(hand[a], hand[b], finger) for a, b in HAND_BONES]
    return bones


def torso_outline(portrait: Portrait, body: np.ndarray, uncertain: np.ndarray) -> np.ndarray:
    """(H, W) float32 in [0, 1]: the torso's own silhouette, continued behind the arms.

    Row by row outwards from the spine: where the person's `body` (H, W) bool ends in pixels that
    are not `uncertain` (H, W) bool (arms), its edge is the torso's. Rows between are interpolated
    as departures from a plain torso's outline.
    """
    height, width = body.shape
    metre = portrait.camera.pixels_per_metre
    spine = portrait.camera.origin_px[0]
    shoulder_y = portrait.camera.origin_px[1]
    rows = np.arange(height)
    below_m = (rows - shoulder_y) / metre
    plain = np.interp(below_m, TORSO_BELOW_M, TORSO_HALF_M) * metre
    scale = np.linalg.norm(portrait.shoulders[0] - portrait.shoulders[1])
    plain *= scale / (REFERENCE_SHOULDER_BREADTH_M * metre)
    outline = np.zeros((height, width), np.float32)
    columns = np.arange(width)
    inside = np.ones((height, width), np.float32)
    for sign in (1, -1):
        departure = np.full(height, np.nan)
        for y in rows[(below_m > 0.08)]:
            reach = np.arange(int(spine), width) if sign > 0 else np.arange(int(spine), -1, -1)
            reach = reach[(reach >= 0) & (reach < width)]
            if not len(reach):
                continue
            line = body[y, reach]
            end = int(np.argmin(line)) if not line.all() else len(line)
            if 0 < end < len(line) and not uncertain[y, reach[max(end - 4, 0) : end]].any():
                departure[y] = end - plain[y]
        known = ~np.isnan(departure)
        known &= np.abs(np.nan_to_num(departure)) < 0.6 * plain
        shift = np.interp(rows, rows[known], departure[known]) if known.any() else np.zeros(height)
        half = plain + shift
        inside *= np.clip(half[:, None] - (columns - spine) * sign + 0.5, 0, 1)
    outline = inside * (below_m > 0)[:, None]
    return outline.astype(np.float32)
