"""The person's matte, skin and cloth, read off the framed picture.

Skin and cloth are told apart by the a and b of CIELAB alone: an arm held towards the camera lies in
its own shadow, which changes lightness and leaves hue where it is.
"""

from __future__ import annotations

import cv2
import numpy as np

CHEEKS_AND_FOREHEAD = (50, 280, 205, 425, 151, 108, 337)  # mediapipe face mesh
PALM = (0, 1, 5, 9, 13, 17)  # mediapipe hands: the hull of palm or back
CLOTH_CHROMA = 11.0
"""CIELAB a-b distance from the skin's beyond which a colour is cloth."""
SKIN_HUED_CLOTH = 5.0
"""CIELAB a-b distance from a shade of skin below which cloth cannot be told from it by hue."""
FORESHORTENED_M = 0.10
"""Forearms that look shorter than this point at the camera."""
SHADED_HAND = 8.0
"""CIELAB lightness by which hands in shade fall behind the cheeks."""


def refine_matte(image: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """(H, W) in [0, 1]: a coarse person mask (H, W) in [0, 1], drawn to the edges of `image`.

    The mask knows the silhouette to about 1/64 of the picture. Within that band colours decide
    (GrabCut at half size), then a guided filter gives hair and blurred edges their partial cover.
    """
    height, width = coarse.shape
    band = max(4, round(max(height, width) / 64))
    kernel = np.ones((2 * band + 1,) * 2, np.uint8)
    labels = np.where(coarse > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[cv2.erode((coarse > 0.6).astype(np.uint8), kernel) > 0] = cv2.GC_FGD
    labels[cv2.dilate((coarse > 0.3).astype(np.uint8), kernel) == 0] = cv2.GC_BGD
    half = ((width + 1) // 2, (height + 1) // 2)
    small = cv2.resize(image, half, interpolation=cv2.INTER_AREA)
    labels = cv2.resize(labels, half, interpolation=cv2.INTER_NEAREST)
    if (labels == cv2.GC_BGD).any() and (labels == cv2.GC_FGD).any():
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(small, labels, None, *models, 2, cv2.GC_INIT_WITH_MASK)
    person = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    person = _one_piece(person)
    hard = cv2.resize(person.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    radius = max(3, band // 2)
    fine = cv2.ximgproc.guidedFilter(image.astype(np.float32) / 255, hard, radius, 1e-4)
    # The filter leaves a veil on both sides of the silhouette: stretch it away.
    fine = np.clip((fine - 0.1) / 0.8, 0, 1)
    kernel = np.ones((2 * radius + 1,) * 2, np.uint8)
    inner, outer = cv2.erode(hard, kernel) > 0.99, cv2.dilate(hard, kernel) < 0.01
    return np.where(inner, 1.0, np.where(outer, 0.0, fine)).astype(np.float32)


def _one_piece(mask: np.ndarray) -> np.ndarray:
    """(H, W) uint8: the largest piece of a 0/1 mask, its small holes closed."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask)
    if len(stats) < 2:
        return mask
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    piece = (pieces == largest).astype(np.uint8)
    _, holes, stats, _ = cv2.connectedComponentsWithStats(1 - piece)
    small = stats[:, cv2.CC_STAT_AREA] < 0.001 * mask.size
    small[0] = False
    return np.where(small[holes], 1, piece).astype(np.uint8)


def to_lab(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB to float32 CIELAB: L in [0, 100]."""
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def to_rgb(lab: np.ndarray) -> np.ndarray:
    """One CIELAB colour (3,) to float32 RGB (3,) in [0, 1]."""
    pixel = np.asarray(lab, np.float32).reshape(1, 1, 3)
    return np.clip(cv2.cvtColor(pixel, cv2.COLOR_LAB2RGB), 0, 1).reshape(3)


def _discs(shape: tuple[int, int], centres: np.ndarray, radius: float) -> np.ndarray:
    """(H, W) bool: discs around (N, 2) pixels."""
    canvas = np.zeros(shape, np.uint8)
    for x, y in np.rint(centres).astype(int):
        cv2.circle(canvas, (int(x), int(y)), max(1, round(radius)), 1, -1)
    return canvas > 0


def face_skin_lab(lab: np.ndarray, face: np.ndarray) -> np.ndarray:
    """(3,) CIELAB of cheeks and forehead without glints, shadows and fringes of hair."""
    radius = 0.05 * np.ptp(face[:, 1])
    pixels = lab[_discs(lab.shape[:2], face[list(CHEEKS_AND_FOREHEAD), :2], radius)]
    # The middle of the lightness; then what strays in hue (hair, beard, rouge) goes too.
    low, high = np.percentile(pixels[:, 0], (35, 90))
    pixels = pixels[(pixels[:, 0] >= low) & (pixels[:, 0] <= high)]
    stray = np.linalg.norm(pixels[:, 1:] - np.median(pixels[:, 1:], axis=0), axis=1)
    return np.median(pixels[stray <= np.percentile(stray, 80)], axis=0)


def skin_rgb(lab: np.ndarray, face: np.ndarray, hands: np.ndarray) -> np.ndarray:
    """(3,) float32 RGB in [0, 1] for hands to be drawn in: the hands' own skin where seen, and the
    cheeks'."""
    cheeks = face_skin_lab(lab, face)
    canvas = np.zeros(lab.shape[:2], np.uint8)
    for hand in hands[~np.isnan(hands).any(axis=(1, 2))]:
        hull = cv2.convexHull(np.rint(hand[list(PALM)]).astype(np.int32))
        cv2.fillConvexPoly(canvas, hull, 1)
    pixels = lab[canvas > 0]
    is_skin = np.linalg.norm(pixels[:, 1:] - cheeks[1:], axis=1) < CLOTH_CHROMA
    if is_skin.sum() < 30:
        return to_rgb(cheeks)
    palm = np.median(pixels[is_skin], axis=0)
    weight = 0.7 if palm[0] > cheeks[0] - SHADED_HAND else 0.35
    return to_rgb(weight * palm + (1 - weight) * cheeks)


def bare_forearms(
    lab: np.ndarray,
    skin: np.ndarray,
    cloth: np.ndarray,
    matte: np.ndarray,
    arms: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    metre_px: float,
) -> bool:
    """True where the forearms show skin rather than `cloth`. Both arms vote by what is seen of
    them.

    `arms` holds shoulders, elbows, wrists (2, 2) and hands (2, 21, 2). A foreshortened forearm lies
    under its own hand, where any sample would be skin: the hands are left out, and what remains
    around the elbow decides. Of arms behind the back the elbow alone is asked.
    """
    shoulders, elbows, wrists, hands = arms
    covered = np.zeros(lab.shape[:2], np.uint8)
    for hand in hands[~np.isnan(hands).any(axis=(1, 2))]:
        cv2.fillConvexPoly(covered, cv2.convexHull(np.rint(hand).astype(np.int32)), 1)
    # Skin in shade keeps its hue and gains saturation; hands are lit as their forearms are.
    shades = skin[1:] * np.linspace(0.8, 1.8, 6)[:, None]
    if covered.any():
        shades = np.vstack([shades, np.percentile(lab[covered > 0][:, 1:], (30, 50, 70), axis=0)])
    covered = cv2.dilate(covered, np.ones((max(3, round(0.02 * metre_px)),) * 2, np.uint8))
    seen = (covered == 0) & (matte > 0.8)
    skin_hued = np.linalg.norm(shades - cloth[1:], axis=-1).min() < SKIN_HUED_CLOTH
    bare = total = 0
    for shoulder, elbow, wrist in zip(shoulders, elbows, wrists, strict=True):
        if np.isnan(elbow).any():
            continue
        radius_m = 0.012
        if np.isnan(wrist).any():
            along = shoulder + np.linspace(0.85, 1.0, 5)[:, None] * (elbow - shoulder)
        else:
            along = elbow + np.linspace(0.0, 0.75, 14)[:, None] * (wrist - elbow)
            if np.linalg.norm(wrist - elbow) < FORESHORTENED_M * metre_px:
                radius_m = 0.03
        pixels = lab[_discs(lab.shape[:2], along, radius_m * metre_px) & seen]
        to_skin = np.linalg.norm(pixels[:, None, 1:] - shades, axis=-1).min(axis=1)
        to_cloth = np.linalg.norm(pixels[:, 1:] - cloth[1:], axis=1)
        bare += ((to_skin < CLOTH_CHROMA) & (skin_hued | (to_skin < to_cloth))).sum()
        total += len(pixels)
    return bool(bare > 0.5 * total)


def sleeve_rgb(
    lab: np.ndarray,
    skin: np.ndarray,
    matte: np.ndarray,
    shoulders: np.ndarray,
    elbows: np.ndarray,
    metre_px: float,
) -> np.ndarray:
    """(3,) float32 RGB in [0, 1]: cloth of the upper arms; of the chest where the arms are bare or
    unseen."""
    middle = shoulders.mean(axis=0)
    across = np.array([[x, y] for x in (-0.07, 0.0, 0.07) for y in (0.14, 0.2, 0.26)])
    chest = lab[_discs(lab.shape[:2], middle + across * metre_px, 0.025 * metre_px) & (matte > 0.8)]
    chest_lab = np.median(chest, axis=0) if len(chest) else np.array([30.0, 0.0, 0.0])
    centres = []
    for shoulder, elbow in zip(shoulders, elbows, strict=True):
        below = shoulder + np.array([0.0, 0.28 * metre_px])
        end = below if np.isnan(elbow).any() else elbow
        centres.append(shoulder + np.linspace(0.2, 0.75, 10)[:, None] * (end - shoulder))
    here = _discs(lab.shape[:2], np.concatenate(centres), 0.025 * metre_px) & (matte > 0.8)
    arms = lab[here]
    hue_gap = np.linalg.norm(arms[:, 1:] - skin[1:], axis=1)
    # Cloth of nearly the skin's own hue (beige, rose) is known by the chest it continues.
    like_chest = np.linalg.norm(arms - chest_lab, axis=1) < np.linalg.norm(arms - skin, axis=1)
    cloth = (hue_gap > CLOTH_CHROMA) | like_chest
    if cloth.sum() > max(30, 0.3 * len(arms)):
        return to_rgb(np.median(arms[cloth], axis=0))
    return to_rgb(chest_lab)
