"""What new arms must match: the hands' skin, and skin, sleeve and cuff where a forearm joins.

In: a portrait and its plate. Out: colours as lit in the picture, and where the sleeve ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emo2.draft.joints import ArmJoint
from emo2.draft.light import SKIN_POINTS
from emo2.draft.limbs import arm_bones, covering
from emo2.draft.plate import Plate
from emo2.types import NUM_HANDS, Portrait

# Hands are a little duller than faces, and never much darker or brighter.
HAND_TONE = np.array([1.0, 0.99, 0.98])
HAND_LIGHT = (0.94, 1.03)
LONG_SLEEVE_CUFF = 0.10
"""Where a long sleeve ends, as a share of the way from wrist to elbow."""
ROLLED_SLEEVE_CUFF = 0.78
NO_SLEEVE = 2.0
SKIN_UNLIKE = 0.07
"""A pixel that differs more than this from the skin tone (see `_unlike`) is no skin."""
ALIKE = (0.03, 0.05)
"""Cloth nearer to the skin tone than this cannot be told from skin: at all, at the elbow."""
BARE_ELBOW = 0.3
"""The share of skin above the elbow from which on the elbow is bare."""
CLOTHED_ELBOW = 0.1
"""The share of skin below which this very elbow is clothed, whatever the other."""
ELBOW_LIGHT = (0.90, 1.08)
"""How much darker or brighter than the hands an elbow may be."""


@dataclass(frozen=True)
class Join:
    """What the forearm is made of where it joins the picture's upper arm."""

    cloth: np.ndarray
    """(3,): the sleeve's colour."""
    skin: np.ndarray
    """(3,): the skin's colour near the elbow."""
    cuff: float
    """Where the sleeve ends, as a share of the way from wrist to elbow; beyond 1: no sleeve."""


def arm_joins(portrait: Portrait, plate: Plate, skin: np.ndarray) -> list[Join]:
    """Both arms' joins. People wear both sleeves alike, so both arms decide
    together where neither is sure."""
    sleeve = portrait.sleeve_rgb.astype(np.float64)
    cloths, tones = [], []
    shares = np.full(NUM_HANDS, np.nan)
    for side, joint in enumerate(plate.arms):
        # What the plate measured counts as cloth only where it is not an arm in the shade.
        here = joint.rgb[None].astype(np.float64)
        like_cloth = _unlike(here, sleeve) < _unlike(here, skin)
        cloths.append(here[0] if joint.elbow_seen and like_cloth else sleeve)
        tones.append(skin)
        if joint.elbow_seen:
            pixels = _above_elbow(portrait, joint, side)
            bare = _unlike(pixels, skin) < np.minimum(_unlike(pixels, cloths[-1]), SKIN_UNLIKE)
            shares[side] = bare.mean()
            if shares[side] > BARE_ELBOW:
                tone = _bright(pixels[bare])
                # A hint of shade is the arm's own; more of it is cast on it by the body.
                light = np.clip(tone.mean() / skin.mean(), *ELBOW_LIGHT)
                hue = 0.7 * tone / tone.mean() + 0.3 * skin / skin.mean()
                tones[-1] = hue * light * skin.mean()
    # Cloth in the colour of skin cannot be told from it: in doubt the arm is bare.
    contrast = _unlike(sleeve[None], skin)[0]
    if not portrait.bare_forearms and contrast > ALIKE[0]:
        cuffs = [LONG_SLEEVE_CUFF] * NUM_HANDS
    elif contrast > ALIKE[1] and np.isfinite(shares).any():
        # But what can be seen of one arm alone to be cloth must go on as cloth.
        votes = np.where(shares < CLOTHED_ELBOW, shares, np.nanmean(shares))
        cuffs = [ROLLED_SLEEVE_CUFF if vote < BARE_ELBOW else NO_SLEEVE for vote in votes]
    else:
        cuffs = [NO_SLEEVE] * NUM_HANDS
    return [Join(*parts) for parts in zip(cloths, tones, cuffs, strict=True)]


def _above_elbow(portrait: Portrait, joint: ArmJoint, side: int) -> np.ndarray:
    """(N, 3) in [0, 1]: the picture's pixels on the end of the upper arm that nothing covers."""
    metre = portrait.camera.pixels_per_metre
    region = np.zeros(portrait.person_mask.shape, np.uint8)
    ends = [joint.elbow + share * (joint.shoulder - joint.elbow) for share in (0.05, 0.22)]
    start, end = (tuple(np.round(point).astype(int).tolist()) for point in ends)
    cv2.line(region, start, end, 1, max(3, round(0.05 * metre)))
    region[covering(portrait, side, arm_bones(portrait, side))] = 0
    inside = (region > 0) & (portrait.person_mask > 0.8)
    if inside.sum() < 12:
        return joint.rgb[None].astype(np.float64)
    return portrait.image[inside] / 255.0


def _unlike(colours: np.ndarray, to: np.ndarray) -> np.ndarray:
    """(N,) how different colours (N, 3) are: shares of red, green and blue, which shade leaves as
    they are, and a little brightness."""
    totals = colours.sum(axis=-1, keepdims=True), to.sum()
    shares = colours / np.maximum(totals[0], 1e-3) - to / max(totals[1], 1e-3)
    brightness = (totals[0][..., 0] - totals[1]) / 3
    return np.hypot(np.linalg.norm(shares, axis=-1), 0.07 * brightness)


def hand_tone(portrait: Portrait) -> np.ndarray:
    """(3,) the hands' colour where the light meets them: the face's, a little brighter or darker
    where the picture's own hands are."""
    at = np.round(portrait.face_landmarks[SKIN_POINTS, :2]).astype(int)
    height, width = portrait.person_mask.shape
    at = at[((at >= 0) & (at < (width, height))).all(axis=1)]
    face = _bright(portrait.image[at[:, 1], at[:, 0]] / 255.0)
    region = np.zeros((height, width), np.uint8)
    for hand in portrait.hands[~np.isnan(portrait.hands).any(axis=(1, 2))]:
        cv2.fillConvexPoly(region, cv2.convexHull(np.round(hand).astype(np.int32)), 1)
    pixels = portrait.image[region > 0] / 255.0
    pixels = pixels[_unlike(pixels, portrait.skin_rgb.astype(np.float64)) < SKIN_UNLIKE]
    hand = _bright(pixels) if len(pixels) > 50 else portrait.skin_rgb.astype(np.float64)
    hue = (0.4 * face / face.mean() + 0.6 * hand / hand.mean()) * HAND_TONE
    return hue * face.mean() * np.clip(0.5 * (1 + hand.mean() / face.mean()), *HAND_LIGHT)


def _bright(pixels: np.ndarray) -> np.ndarray:
    """(3,) the mean of the brighter pixels of (N, 3), highlights left out: what faces the light."""
    low, high = np.percentile(pixels.mean(axis=1), (45, 92))
    return pixels[(pixels.mean(axis=1) >= low) & (pixels.mean(axis=1) <= high)].mean(axis=0)
