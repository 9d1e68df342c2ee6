"""A portrait's own hands as the truth: the draft drawn in the very pose that the picture shows.

    landmarks -> hand model fitted under the portrait's camera -> draft in that pose
    picture   -> its pixels where draft and picture show the same material -> truth

The pair differs in nothing but what the draft renderer cannot do: skin, light, creases; each hand's
mean colour is the draft's. What the picture does not show of a drawn arm (it is thinner, or
covered) is filled in from what it does, and counts less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from emo2.draft.plate import make_plate
from emo2.draft.renderer import DraftRenderer
from emo2.features.appearance import to_lab
from emo2.features.detectors import crop_and_zoom, detectors
from emo2.motion.lift import Track, lift
from emo2.types import NUM_HANDS, HandMotion, Portrait

FRAMES = 8
"""A still is lifted as a track of so many equal frames."""
ZOOM_PX, ZOOM_REACH, SAME_HAND = 384, 1.1, 0.25
"""Hands are looked at again in a crop of this side, so much wider than they are; what is found
further off, in half widths of the crop, is another hand."""
WORST_FIT_M = 0.008
"""A hand that the model does not fit closer than this (median) is left out."""
SAME_CHROMA, SAME_LIGHTNESS = 17.0, 45.0
"""CIELAB distances within which picture and draft show the same material."""
BELIEF_REACH_M = 0.008
"""How fast belief in a filled-in pixel falls with the distance to what was seen."""
LEAST_SEEN = 0.35
"""Of a hand's drawn pixels, the share that the picture must show."""


@dataclass(frozen=True)
class OwnHands:
    """One portrait and what its hands should have looked like in the draft."""

    draft: np.ndarray
    """(H, W, 3) uint8: the draft in the picture's own pose."""
    change: np.ndarray
    """(H, W) float32 in [0, 1]: where the draft drew something."""
    truth: np.ndarray
    """(H, W, 3) uint8: the picture's own pixels within the draft's outlines."""
    belief: np.ndarray
    """(H, W) float32 in [0, 1]: how far `truth` was seen."""
    owner: np.ndarray
    """(H, W) uint8: whose arm is nearest, 1 = left, 2 = right; 0 = the drawn lips."""
    bare: np.ndarray
    """(H, W, 3) uint8: the picture without forearms and hands."""
    motion: HandMotion
    """The pose, one frame."""


def look_again(portrait: Portrait, picture: np.ndarray) -> np.ndarray:
    """(2, 21, 2) the hands' landmarks in pixels of the portrait's frame, found anew in close-ups of
    the upright source `picture`; as they were where the close-up shows none."""
    hands = portrait.hands.copy()
    x0, y0, x1, _ = portrait.source_box
    scale = (x1 - x0) / portrait.camera.width_px
    for side in range(NUM_HANDS):
        points = portrait.hands[side] * scale + (x0, y0)
        if not np.isfinite(points).all():
            continue
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        reach = ZOOM_REACH * np.ptp(points, axis=0).max()
        box = np.concatenate([middle - reach, middle + reach])
        crop, zoom, corner = crop_and_zoom(picture, box, ZOOM_PX)
        found = [hand.points / zoom + corner for hand in detectors().hands(crop)]
        off = [np.linalg.norm(seen - points, axis=-1).mean() for seen in found]
        if off and min(off) < SAME_HAND * reach:
            hands[side] = (found[int(np.argmin(off))] - (x0, y0)) / scale
    return hands


def own_pose(portrait: Portrait, hands_px: np.ndarray, hand_model) -> HandMotion | None:
    """The pose of hands (2, 21, 2), as a motion of one frame; None where none can be fitted."""
    seen = np.isfinite(hands_px).all(axis=(1, 2))
    if not seen.any():
        return None
    body, score = np.zeros((18, 2)), np.zeros(18)
    for points, places in (
        (portrait.shoulders, (5, 2)),
        (portrait.elbows, (6, 3)),
        (portrait.wrists, (7, 4)),
    ):
        for point, place in zip(points, places, strict=True):
            if np.isfinite(point).all():
                body[place], score[place] = point, 1.0
    repeat = [
        np.repeat(x[None], FRAMES, axis=0)
        for x in (np.nan_to_num(hands_px), np.repeat(seen[:, None] * 1.0, 21, axis=1), body, score)
    ]
    camera = portrait.camera
    track = Track(*repeat, width_px=camera.width_px, height_px=camera.height_px, fps=24.0)
    lifted = lift(track, hand_model, camera=camera)
    at = FRAMES // 2
    error_px = np.linalg.norm(lifted.reprojected_px[at] - hands_px, axis=-1)
    fits = np.nanmedian(np.where(seen[:, None], error_px, np.inf), axis=1)
    visible = seen & (fits < WORST_FIT_M * camera.pixels_per_metre)
    if not visible.any():
        return None
    motion = lifted.motion
    return replace(
        motion,
        quaternions=motion.quaternions[at : at + 1],
        translation_m=motion.translation_m[at : at + 1],
        visible=visible[None],
        meta={},
    )


def own_hands(
    portrait: Portrait, picture: np.ndarray, renderer: DraftRenderer, seed: int = 0
) -> OwnHands | None:
    """The pair of a portrait; None where no hand of it can be drawn again. `picture` is the upright
    source that `portrait` was framed from."""
    motion = own_pose(portrait, look_again(portrait, picture), renderer.hand_model)
    if motion is None:
        return None
    drafted = next(renderer.still(portrait, motion, seed=seed))
    owner = _owners(portrait, motion, renderer, drafted.change)
    truth, belief = _truth(portrait, drafted.image, drafted.change)
    truth = _as_bright(truth, drafted.image, owner, belief * drafted.change)
    truth[owner == 0], belief[owner == 0] = drafted.image[owner == 0], 1.0
    for side in range(NUM_HANDS):
        drawn = (owner == side + 1) & (drafted.change > 0.5)
        if drawn.any() and (belief[drawn] > 0.5).mean() < LEAST_SEEN:
            belief[owner == side + 1] = 0
    plate = make_plate(portrait)
    alpha = plate.alpha[..., None]
    bare = np.rint(alpha * plate.body + (1 - alpha) * plate.background).astype(np.uint8)
    return OwnHands(drafted.image, drafted.change, truth, belief, owner, bare, motion)


def _owners(
    portrait: Portrait, motion: HandMotion, renderer: DraftRenderer, change: np.ndarray
) -> np.ndarray:
    """(H, W) uint8: 1 + the hand whose joints are nearest; 0 for what the draft drew elsewhere, the
    lips."""
    joints = portrait.camera.project(renderer.hand_model.joints(motion)[0])  # (2, 21, 2)
    height, width = change.shape
    reach = np.empty((NUM_HANDS, height, width), np.float32)
    pieces = cv2.connectedComponents((change > 0).astype(np.uint8))[1]
    arms = []
    for side in range(NUM_HANDS):
        seeds = np.ones((height, width), np.uint8)
        at = np.rint(joints[side]).astype(int).clip(0, (width - 1, height - 1))
        seeds[at[:, 1], at[:, 0]] = 0
        reach[side] = cv2.distanceTransform(seeds, cv2.DIST_L2, 3)
        if motion.visible[0, side]:
            arms.append(pieces[at[:, 1], at[:, 0]])
        else:
            reach[side] = np.inf
    owner = 1 + reach.argmin(axis=0)
    lips = (pieces > 0) & ~np.isin(pieces, np.concatenate(arms))
    return np.where(lips, 0, owner).astype(np.uint8)


def _as_bright(
    truth: np.ndarray, draft: np.ndarray, owner: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """`truth` with each hand's mean colour that of the draft: how light falls there in a picture
    says nothing about where a hand will be, and the draft's tone is the face's."""
    out = truth.astype(np.float64)
    for hand in range(1, NUM_HANDS + 1):
        share = np.where(owner == hand, weight, 0)[..., None]
        gain = (share * draft).sum((0, 1)) / np.maximum((share * truth).sum((0, 1)), 1e-6)
        if share.any():
            out[owner == hand] *= gain
    return np.rint(out).clip(0, 255).astype(np.uint8)


def _truth(
    portrait: Portrait, draft: np.ndarray, change: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The picture within the draft's outlines, (H, W, 3) uint8, and belief in it, (H, W)."""
    drawn, pictured = to_lab(draft), to_lab(portrait.image)
    gap = np.linalg.norm((drawn - pictured)[..., 1:], axis=-1)
    lightness = np.abs(drawn - pictured)[..., 0]
    alike = (gap < SAME_CHROMA) & (lightness < SAME_LIGHTNESS) & (portrait.person_mask > 0.9)
    alike &= change > 0.95
    alike = cv2.morphologyEx(alike.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    if not alike.any():
        return draft.copy(), np.zeros(change.shape, np.float32)
    # What is seen goes on outwards, as a difference from the draft: shading stays where it is.
    difference = portrait.image.astype(np.float32) - draft
    far, nearest = distance_transform_edt(~alike, return_indices=True)
    spread = difference[nearest[0], nearest[1]]
    smooth = cv2.GaussianBlur(spread, (0, 0), 3)
    spread = np.where(alike[..., None], difference, smooth)
    belief = np.exp(-far / (BELIEF_REACH_M * portrait.camera.pixels_per_metre))
    truth = np.rint(draft + spread).clip(0, 255).astype(np.uint8)
    return truth, belief.astype(np.float32)
