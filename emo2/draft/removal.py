"""Take forearms and hands out of the picture: which pixels go, and what of the body stays.

Every pixel near an arm goes to the nearest bone, each bone measured in its own thickness. Beside
the torso's outline the whole neighbourhood goes, cuffs and all; over it only what has the arm's
colours, because there a generous margin costs cloth. Elbows stay: new forearms overlap them.
"""

from __future__ import annotations

import cv2
import numpy as np

from emo2.draft.limbs import (
    FOREARM_RADIUS_M,
    UPPER_ARM_RADIUS_M,
    ArmBones,
    distance_to_bones,
    forearm_bones,
    hand_bones,
)
from emo2.features.appearance import CLOTH_CHROMA, to_lab
from emo2.features.person import CHIN
from emo2.types import NUM_HANDS, REFERENCE_SHOULDER_BREADTH_M, Portrait

ELBOW_CAP = 0.72
"""In radii of the upper arm: what lies as close to its bone is upper arm or elbow."""
SAME_CLOTH = 14.0
"""CIELAB distance within which a colour may be the torso's cloth."""
NEAR_ARM = 2.4
"""In radii of the arm's bones: how far an arm's own pixels may lie from them."""
TORSO_BELOW_M, TORSO_HALF_M = (0.0, 0.12, 0.30, 0.48), (0.17, 0.155, 0.14, 0.16)
"""Half the breadth of a plain torso without arms, at these depths below the shoulder line."""


def disc(radius: int) -> np.ndarray:
    """A round structuring element."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def cut_arms(portrait: Portrait, bones: list[ArmBones]) -> tuple[np.ndarray, np.ndarray]:
    """What is taken out of the picture, and the coverage of the body that stays, both (H, W)
    float32 in [0, 1]."""
    matte = portrait.person_mask
    shape = matte.shape
    metre = portrait.camera.pixels_per_metre
    forearms, hands = [], []
    for side, arm in enumerate(bones):
        if arm.wrist is not None:
            forearms += forearm_bones(portrait, side, arm.elbow, arm.wrist)
        hands += hand_bones(portrait, side)
    hidden = [
        (arm.elbow, arm.hidden_wrist, FOREARM_RADIUS_M * metre)
        for arm in bones
        if arm.hidden_wrist is not None
    ]
    if not forearms and not hidden:
        return np.zeros(shape, np.float32), matte

    origin = np.array(portrait.camera.origin_px, np.float32)
    radius = UPPER_ARM_RADIUS_M * metre
    upper = [(portrait.shoulders[side], bones[side].elbow, radius) for side in range(NUM_HANDS)]
    chin = portrait.face_landmarks[CHIN, :2]
    face = portrait.face_landmarks[:, :2].mean(axis=0)
    head = [(origin, face, np.linalg.norm(chin - origin))]
    to_hand = distance_to_bones(shape, hands)
    to_arm = np.minimum(distance_to_bones(shape, forearms), to_hand)
    to_upper = distance_to_bones(shape, upper)
    to_rest = np.minimum(to_upper, distance_to_bones(shape, head))
    # A hand lies in front of whatever it overlaps; but a face is never taken apart.
    to_rest = np.where(to_hand < 1.6, np.inf, to_rest)
    person = (matte > 0.02) & ~_face_oval(portrait)
    near_arm = (to_arm < NEAR_ARM) & (to_arm < to_rest) & person
    # The elbow itself stays, as the picture shows it, for the new forearm to overlap.
    near_arm &= (to_upper > ELBOW_CAP) | (to_hand < 1.6)
    # What sticks out behind the elbow is the old forearm seen end on.
    near_arm |= _past_elbow(portrait, bones, to_upper) & (to_arm < 2 * NEAR_ARM) & person

    to_hidden = distance_to_bones(shape, hidden)
    to_any = np.minimum(to_arm, to_hidden)
    skin = _skin_coloured(portrait)
    unsure = (to_any < NEAR_ARM) | (skin & (to_any < 1.4 * NEAR_ARM)) | (to_upper < 1.2)
    stays = torso_outline(portrait, bones, matte > 0.5, unsure)
    # An upper arm that shows beside a hand lying over it goes on behind the hand.
    stays = np.maximum(stays, np.clip((ELBOW_CAP - to_upper) * radius + 0.5, 0, 1))
    arm = _arm_by_colour(portrait.image, to_arm, near_arm)
    if portrait.bare_forearms:
        # Beside bare arms other colours may be a coat's hem: keep what hangs on to the torso.
        torso = (stays > 0.5) & ~near_arm & (to_upper > 1.2) & (matte > 0.9)
        cloth = near_arm & ~arm & (to_arm > 1.0) & _coloured_like(portrait.image, torso)
        _, piece = cv2.connectedComponents((cloth | torso).astype(np.uint8))
        of_torso = np.unique(piece[torso])
        hem = np.isin(piece, of_torso[of_torso > 0]) & near_arm
        hem = cv2.morphologyEx(hem.astype(np.float32), cv2.MORPH_OPEN, disc(5))
        stays = np.maximum(stays, hem)
    # Beside the body everything around the arm goes with it; over it only the arm itself.
    cut = near_arm & ((stays < 0.5) | arm)
    alpha = np.where(near_arm, np.minimum(matte, stays), matte)
    # Of a bare arm that goes behind the back, what shows below the elbow.
    stub = (to_hidden < NEAR_ARM) & person & skin
    stub = cv2.dilate(stub.astype(np.uint8), disc(3)) > 0
    stub &= (to_upper > ELBOW_CAP) & (stays < 0.5)
    cut |= stub
    alpha = np.where(stub, 0, alpha)
    # Scraps of cuff that now hang on to nothing, or by a thread, go too.
    left = (alpha > 0.3).astype(np.uint8)
    thick = cv2.morphologyEx(left, cv2.MORPH_OPEN, disc(max(2, round(0.008 * metre))))
    _, piece, stats, _ = cv2.connectedComponentsWithStats(thick)
    if len(stats) > 1:
        main = piece == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        main = cv2.dilate(main.astype(np.uint8), disc(3)) > 0
        scraps = (left > 0) & ~main & (to_any < 2 * NEAR_ARM)
        alpha = np.where(scraps, 0, alpha)
        cut |= scraps
    touched = cut | (np.abs(alpha - matte) > 0.01)
    arm_mask = cv2.dilate(touched.astype(np.float32), disc(2)) * (matte > 0)
    arm_mask = np.where(touched, 1.0, cv2.GaussianBlur(arm_mask, (0, 0), 1.0))
    return arm_mask.astype(np.float32), alpha.astype(np.float32)


def _coloured_like(image: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels of the colours that prevail where `sample` (H, W) bool is set."""
    lab = to_lab(image)
    pixels = lab[sample][::7]
    if len(pixels) < 50:
        return np.zeros(sample.shape, bool)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 0.5)
    cv2.setRNGSeed(0)
    _, _, palette = cv2.kmeans(pixels, 4, None, stop, 1, cv2.KMEANS_PP_CENTERS)
    gaps = [np.linalg.norm(lab - colour, axis=-1) for colour in palette]
    return np.min(gaps, axis=0) < SAME_CLOTH


def _skin_coloured(portrait: Portrait) -> np.ndarray:
    """(H, W) bool."""
    skin = to_lab(np.rint(portrait.skin_rgb * 255).astype(np.uint8).reshape(1, 1, 3))
    return np.linalg.norm((to_lab(portrait.image) - skin)[..., 1:], axis=-1) < CLOTH_CHROMA


def _face_oval(portrait: Portrait) -> np.ndarray:
    """(H, W) bool."""
    oval = np.zeros(portrait.image.shape[:2], np.uint8)
    points = np.rint(portrait.face_landmarks[:, :2]).astype(np.int32)
    cv2.fillConvexPoly(oval, cv2.convexHull(points), 1)
    return oval > 0


def _past_elbow(portrait: Portrait, bones: list[ArmBones], to_upper: np.ndarray) -> np.ndarray:
    """(H, W) bool: beyond the elbows of arms whose forearm goes, seen from the shoulder."""
    y, x = np.mgrid[: to_upper.shape[0], : to_upper.shape[1]]
    past = np.zeros(to_upper.shape, bool)
    for side, arm in enumerate(bones):
        if arm.wrist is not None:
            along = arm.elbow - portrait.shoulders[side]
            past |= (x - arm.elbow[0]) * along[0] + (y - arm.elbow[1]) * along[1] > 0
    return past & (to_upper > ELBOW_CAP) & (to_upper < 1.6)


def _arm_by_colour(image: np.ndarray, to_arm: np.ndarray, near_arm: np.ndarray) -> np.ndarray:
    """(H, W) bool: the arm's own pixels in its neighbourhood, told from the cloth by colour.

    Sleeve on jersey of the same cloth cannot be told apart, and need not be.
    """
    mask = np.full(to_arm.shape, cv2.GC_BGD, np.uint8)
    mask[near_arm] = cv2.GC_PR_BGD
    mask[near_arm & (to_arm < 1.1)] = cv2.GC_PR_FGD
    mask[near_arm & (to_arm < 0.6)] = cv2.GC_FGD
    if not (mask == cv2.GC_FGD).any():
        return near_arm & (to_arm < 1.1)
    rows, columns = np.nonzero(cv2.dilate(near_arm.astype(np.uint8), disc(12)))
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    labels = np.ascontiguousarray(mask[box])
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    crop = np.ascontiguousarray(image[box])
    cv2.grabCut(crop, labels, None, *models, 2, cv2.GC_INIT_WITH_MASK)
    found = np.zeros(to_arm.shape, np.uint8)
    found[box] = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    # The rim holds mixed colours and the contact shadow.
    return (cv2.dilate(found, disc(4)) > 0) & near_arm


def torso_outline(
    portrait: Portrait, bones: list[ArmBones], body: np.ndarray, uncertain: np.ndarray
) -> np.ndarray:
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
    across = np.arange(width) - spine
    middle = int(np.clip(spine, 0, width - 1))
    inside = np.repeat(np.float32(below_m > 0)[:, None], width, axis=1)
    for side, sign in enumerate((1, -1)):
        outwards = np.s_[:, middle:] if side == 0 else np.s_[:, middle::-1]
        line, doubt = body[outwards], uncertain[outwards]
        end = np.argmin(line, axis=1)
        known = ~line.all(axis=1) & (end > 0) & (below_m > 0.08)
        known &= ~doubt[rows, np.maximum(end - 1, 0)] & ~doubt[rows, np.maximum(end - 4, 0)]
        departure = end - plain
        # Narrower than this is a gap in the mask; wider, a sleeve, but below the elbow a skirt.
        skirt = rows > bones[side].elbow[1] + 0.05 * metre
        known &= (departure > -0.6 * plain) & (skirt | (departure < 0.3 * plain))
        shift = np.interp(rows, rows[known], departure[known]) if known.any() else 0.0
        inside *= np.clip((plain + shift)[:, None] - across * sign + 0.5, 0, 1)
    return inside.astype(np.float32)
