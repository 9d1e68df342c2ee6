"""The clean plate: the portrait taken apart into what lies behind the person and the person without
forearms and hands, so that the body can move and new arms can be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emo2.draft.limbs import (
    UPPER_ARM_RADIUS_M,
    ArmJoint,
    arm_bones,
    distance_to_bones,
    forearm_bones,
    torso_outline,
)
from emo2.features.inpaint import fill_holes
from emo2.features.person import CHIN
from emo2.types import NUM_HANDS, Portrait

SWAY_M = 0.05
"""Heads and shoulders move at most this far, so the background is detailed only this far behind."""
TORSO, UPPER_ARMS = 1, (2, 3)  # labels of cloth: sleeves are filled from sleeves
TEXTURE_PX = 32


@dataclass(frozen=True)
class Plate:
    """A portrait in two layers. `alpha * body + (1 - alpha) * background` is the picture without
    forearms and hands; where `arm_mask` is 0 it is the picture itself."""

    background: np.ndarray
    """(H, W, 3) uint8: the scene with the whole person removed. Detailed up to `SWAY_M` inside the
    silhouette and behind removed arms, smooth further in, where nobody ever looks."""
    body: np.ndarray
    """(H, W, 3) uint8, not premultiplied: head, torso and upper arms, with clothes filled in where
    a forearm or hand lay over them. Near the silhouette the colours are the person's own, cleaned
    of
    the background."""
    alpha: np.ndarray
    """(H, W) float32 in [0, 1]: coverage of `body`."""
    arm_mask: np.ndarray
    """(H, W) float32 in [0, 1]: where an old forearm or hand was taken out."""
    arms: tuple[ArmJoint, ArmJoint]
    """Left, right: where the new forearms join."""


def make_plate(portrait: Portrait) -> Plate:
    """Take `portrait` apart. Sides whose arm is hidden keep every pixel (`arms[side].removed`)."""
    image, matte = portrait.image, portrait.person_mask
    metre = portrait.camera.pixels_per_metre
    shape = matte.shape
    bones = [arm_bones(portrait, side) for side in range(NUM_HANDS)]
    forearms = []
    for side, (elbow, wrist, _) in enumerate(bones):
        if wrist is not None:
            forearms += forearm_bones(portrait, side, elbow, wrist)
    if forearms:
        arm_mask, alpha = _cut_arms(portrait, bones, forearms)
    else:
        arm_mask, alpha = np.zeros(shape, np.float32), matte

    # The scene: everything the person covers or fringes is unknown.
    fringe = max(3, round(0.012 * metre))
    person = cv2.dilate((matte > 0.04).astype(np.uint8), _disc(fringe))
    solid = cv2.erode((alpha > 0.5).astype(np.uint8), _disc(round(SWAY_M * metre)))
    background = fill_holes(image, person, 1 - person, detail=solid == 0, level_bias=2.0)

    body = _own_colours(image, matte, background)
    body = _fill_clothes(portrait, body, alpha, arm_mask, bones)
    arms = tuple(_arm_joint(portrait, body, alpha, side, *bones[side]) for side in range(NUM_HANDS))
    return Plate(background, body, alpha, arm_mask, arms)


def _disc(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _cut_arms(portrait: Portrait, bones: list, forearms: list) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) what is taken out, and (H, W) the coverage of the body that stays."""
    matte = portrait.person_mask
    shape = matte.shape
    metre = portrait.camera.pixels_per_metre
    origin = np.array(portrait.camera.origin_px, np.float32)
    radius = UPPER_ARM_RADIUS_M * metre
    upper = [(portrait.shoulders[side], bones[side][0], radius) for side in range(NUM_HANDS)]
    chin = portrait.face_landmarks[CHIN, :2]
    head = [(origin, portrait.face_landmarks[:, :2].mean(axis=0), np.linalg.norm(chin - origin))]
    to_arm = distance_to_bones(shape, forearms)
    to_rest = distance_to_bones(shape, upper + head)
    near_arm = (to_arm < 2.4) & (to_arm < to_rest) & (matte > 0.02)
    over_arm = cv2.dilate((matte > 0.02).astype(np.uint8), _disc(3)) > 0

    sleeves = distance_to_bones(shape, upper) < 1.2
    torso = torso_outline(portrait, matte > 0.5, near_arm | sleeves)
    stumps = np.clip((1.0 - distance_to_bones(shape, upper)) * radius * 0.9 + 0.5, 0, 1)
    kept_shape = np.maximum(torso, stumps)
    # Outside torso and upper arm an arm's surroundings go with it; on them only the arm itself.
    outside = near_arm & (kept_shape < 0.5)
    inside = (to_arm < 1.35) & (kept_shape >= 0.5)
    cut = np.where(outside | inside, 1, 0).astype(np.uint8)
    alpha = np.where(outside, 0.0, matte)
    alpha = np.where(inside, np.maximum(alpha, kept_shape), alpha)
    alpha = np.where(near_arm, np.minimum(alpha, np.maximum(kept_shape, 0)), alpha)
    # Scraps of cuff that hang on to nothing go too.
    count, label, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.3).astype(np.uint8))
    if count > 2:
        main = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        scraps = (label > 0) & (label != main) & (to_arm < 6)
        alpha = np.where(scraps, 0, alpha)
        cut |= scraps.astype(np.uint8)
    arm_mask = cv2.dilate(cut, _disc(2)).astype(np.float32) * over_arm
    arm_mask = np.maximum(cv2.GaussianBlur(arm_mask, (0, 0), 1.0), arm_mask)
    return arm_mask.astype(np.float32), alpha.astype(np.float32)


def _own_colours(image: np.ndarray, matte: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the person's colours along the silhouette, where the picture mixes both.

    With blurred means F and B of person and scene, F + a (I - a F - (1 - a) B) is the person's own
    colour: exact where the matte is, smooth where it is thin.
    """
    a = matte[..., None]
    picture, scene = image.astype(np.float32), background.astype(np.float32)
    own = np.where(matte[..., None] > 0.95, a, 0).astype(np.float32)[..., 0]
    mean = cv2.GaussianBlur(picture * own[..., None], (0, 0), 5)
    share = cv2.GaussianBlur(own, (0, 0), 5)[..., None]
    mean = np.where(share > 1e-3, mean / np.maximum(share, 1e-3), picture)
    exact = (picture - (1 - a) * scene) / np.maximum(a, 0.3)
    colours = np.where(a > 0.95, picture, np.where(a > 0.3, exact, mean + (exact - mean) * a))
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8)


def _fill_clothes(
    portrait: Portrait, body: np.ndarray, alpha: np.ndarray, arm_mask: np.ndarray, bones: list
) -> np.ndarray:
    """(H, W, 3) uint8: `body` with cloth where arms lay over it and a little past its
    silhouette."""
    if not arm_mask.any():
        return body
    metre = portrait.camera.pixels_per_metre
    shape = alpha.shape
    labels = np.full(shape, TORSO, np.uint8)
    for side, label in enumerate(UPPER_ARMS):
        upper = [(portrait.shoulders[side], bones[side][0], UPPER_ARM_RADIUS_M * metre)]
        beside = abs(np.arange(shape[1]) - portrait.camera.origin_px[0]) > 0.13 * metre
        labels[(distance_to_bones(shape, upper) < 1.0) & beside[None]] = label
    hole = (arm_mask > 0) & (alpha > 0)
    rows = np.arange(shape[0])[:, None] > portrait.face_landmarks[CHIN, 1]
    source = (arm_mask == 0) & (portrait.person_mask > 0.97) & rows
    return fill_holes(body, np.where(hole, labels, 0), np.where(source, labels, 0))


def _arm_joint(
    portrait: Portrait,
    body: np.ndarray,
    alpha: np.ndarray,
    side: int,
    elbow: np.ndarray,
    wrist: np.ndarray | None,
    seen: bool,
) -> ArmJoint:
    """Measure the upper arm that the plate keeps on one side."""
    metre = portrait.camera.pixels_per_metre
    shoulder = portrait.shoulders[side]
    along = (elbow - shoulder) / max(np.linalg.norm(elbow - shoulder), 1e-6)
    across = np.array([along[1], -along[0]])
    outward = 1.0 if side == 0 else -1.0
    across *= np.sign(across[0] * outward) or 1.0
    # From the bone outwards to the silhouette: inwards there is no edge between arm and chest.
    station = shoulder + 0.75 * (elbow - shoulder)
    steps = np.arange(0.03 * metre, 0.12 * metre)
    points = np.rint(station + steps[:, None] * across).astype(int)
    fits = np.all((points >= 0) & (points < alpha.shape[::-1]), axis=1)
    covered = alpha[points[fits, 1], points[fits, 0]] > 0.5
    half = steps[fits][int(np.argmin(covered))] if len(covered) and not covered.all() else None
    if half is None or half < 0.035 * metre:
        half = 0.05 * metre
    half = float(min(half, 0.085 * metre))
    # The texture's columns run along `across` reversed for the right arm, so both read left to
    # right.
    right = across * outward
    size = np.array([2 * half, 2 * half])
    corner = station - right * half - along * half
    matrix = np.column_stack([right * size[0] / TEXTURE_PX, along * size[1] / TEXTURE_PX, corner])
    texture = cv2.warpAffine(
        body,
        matrix.astype(np.float64),
        (TEXTURE_PX, TEXTURE_PX),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    middle = texture[:, TEXTURE_PX // 4 : -TEXTURE_PX // 4].reshape(-1, 3)
    rgb = np.median(middle, axis=0).astype(np.float32) / 255
    skin_gap = np.linalg.norm(rgb - portrait.skin_rgb)
    sleeve_gap = np.linalg.norm(rgb - portrait.sleeve_rgb)
    distance = distance_to_bones(alpha.shape, [(shoulder, elbow, half)])
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
    down = (x - shoulder[0]) * along[0] + (y - shoulder[1]) * along[1]
    down = np.clip(down / max(np.linalg.norm(elbow - shoulder), 1e-6), 0, 1)
    weight = np.clip(2.0 - distance, 0, 1) * down
    return ArmJoint(
        shoulder=shoulder,
        elbow=elbow,
        elbow_seen=seen,
        removed=wrist is not None,
        width_px=2 * half,
        bare=bool(skin_gap < sleeve_gap),
        rgb=rgb,
        texture=texture,
        upper_arm=weight.astype(np.float32),
    )
