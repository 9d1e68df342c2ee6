"""The clean plate: the portrait taken apart into what lies behind the person and the person without
forearms and hands, so that the body can move and new arms can be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emo2.draft.joints import ArmJoint, arm_joint
from emo2.draft.limbs import UPPER_ARM_RADIUS_M, arm_bones, covering, distance_to_bones
from emo2.draft.removal import cut_arms, disc
from emo2.features.appearance import CLOTH_CHROMA, SKIN_HUED_CLOTH, face_skin_lab, to_lab, to_rgb
from emo2.features.inpaint import fill_holes
from emo2.features.person import CHIN
from emo2.types import NUM_HANDS, Portrait

BARE = 2
"""Added to an upper arm's label where the sleeve has ended."""
SLEEVE_BINS = 16
CLOTH_LIGHT = 0.35
"""Differences in lightness count so much when cloth is compared with cloth."""
BEHIND = 0.4
"""Cloth seen below a sleeve's end counts less than skin above it: the torso's shows behind an
arm."""
ROUND_SHADE = 0.22
"""A bare arm loses so much light towards its sides."""
FEW_PX = 60
"""Fewer pixels than this are no sample of a bare arm."""
SWAY_M = 0.05
"""Heads and shoulders move at most this far, so the background is detailed only this far behind."""
CLOTH_BIAS = 0.6
"""Clothes run on downwards rather than sideways: see `nearest_fill`."""
TORSO, UPPER_ARMS = 1, (2, 3)  # labels of cloth: sleeves are filled from sleeves


@dataclass(frozen=True)
class Plate:
    """A portrait in two layers. `alpha * body + (1 - alpha) * background` is the picture without
    forearms and hands; where `arm_mask` is 0 it is the picture itself, but for a trace along the
    silhouette."""

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
    """Take `portrait` apart. Sides whose arm is hidden keep every pixel
    (`arms[side].removed`)."""
    image, matte = portrait.image, portrait.person_mask
    metre = portrait.camera.pixels_per_metre
    bones = [arm_bones(portrait, side) for side in range(NUM_HANDS)]
    arm_mask, alpha = cut_arms(portrait, bones)

    # The scene: everything the person covers or fringes is unknown.
    fringe = max(3, round(0.012 * metre))
    person = cv2.dilate((matte > 0.04).astype(np.uint8), disc(fringe))
    solid = cv2.erode((alpha > 0.5).astype(np.uint8), disc(round(SWAY_M * metre)))
    scene = fill_holes(image, person, 1 - person, detail=solid == 0, level_bias=2.0)

    body = _own_colours(image, matte, scene)
    body = _fill_clothes(portrait, body, alpha, arm_mask, bones)
    arms = tuple(arm_joint(portrait, body, alpha, side, bones[side]) for side in range(NUM_HANDS))
    return Plate(scene, body, alpha, arm_mask, arms)


def _own_colours(image: np.ndarray, matte: np.ndarray, scene: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the person's colours. Along the silhouette, where the picture mixes them
    with the scene's, they are unmixed; where little of them is left, the neighbourhood's serve."""
    a = matte[..., None]
    picture = image.astype(np.float32)
    solid = (matte > 0.98).astype(np.float32)
    near = cv2.GaussianBlur(picture * solid[..., None], (0, 0), 4)
    share = cv2.GaussianBlur(solid, (0, 0), 4)[..., None]
    near = np.where(share > 0.01, near / np.maximum(share, 0.01), picture)
    unmixed = np.clip((picture - (1 - a) * scene) / np.maximum(a, 0.2), 0, 255)
    sure = np.clip((a - 0.2) / 0.5, 0, 1)
    own = np.where(a > 0.999, picture, sure * unmixed + (1 - sure) * near)
    return np.rint(own).astype(np.uint8)


def _fill_clothes(
    portrait: Portrait, body: np.ndarray, alpha: np.ndarray, arm_mask: np.ndarray, bones: list
) -> np.ndarray:
    """(H, W, 3) uint8: `body` with cloth, or skin of the upper arm, where arms lay over it."""
    if not arm_mask.any():
        return body
    metre = portrait.camera.pixels_per_metre
    hole = (arm_mask > 0) & (alpha > 0)
    below_chin = np.arange(alpha.shape[0])[:, None] > portrait.face_landmarks[CHIN, 1]
    source = (arm_mask == 0) & (portrait.person_mask > 0.97) & below_chin
    lab = to_lab(portrait.image)
    skin = face_skin_lab(lab, portrait.face_landmarks)
    is_skin = np.linalg.norm(lab[..., 1:] - skin[1:], axis=-1) < CLOTH_CHROMA
    labels = np.full(alpha.shape, TORSO, np.uint8)
    beside = np.abs(np.arange(alpha.shape[1]) - portrait.camera.origin_px[0]) > 0.13 * metre
    arms = [(portrait.shoulders[side], bones[side].elbow) for side in range(NUM_HANDS)]
    reaches = [distance_to_bones(alpha.shape, [(*arm, UPPER_ARM_RADIUS_M * metre)]) for arm in arms]
    shown = [
        (reach < 0.5) & (portrait.person_mask > 0.9) & ~covering(portrait, side, bones[side])
        for side, reach in enumerate(reaches)
    ]
    end = _sleeve_end(lab, skin, shown, arms)
    for label, arm, reach in zip(UPPER_ARMS, arms, reaches, strict=True):
        limb = (reach < 1.0) & beside[None]
        labels[limb] = label
        y, x = np.nonzero(limb)
        bare = _along(x, y, *arm) > end
        labels[y[bare], x[bare]] = label + BARE
    # Skin of the neck must not be copied on to the clothes, nor cloth on to bare arms.
    cloth = source & (labels == TORSO) & ~is_skin
    if cloth.sum() > 0.5 * (source & (labels == TORSO)).sum():
        source &= cloth | (labels != TORSO)
    source &= is_skin | (labels <= UPPER_ARMS[1])
    hole, source = np.where(hole, labels, 0), np.where(source, labels, 0)
    filled = fill_holes(body, hole, source, level_bias=CLOTH_BIAS)
    for label, reach in zip(UPPER_ARMS, reaches, strict=True):
        # Where nothing is left of a bare arm, it is round and as the face is.
        if (source == label + BARE).sum() < FEW_PX:
            here = hole == label + BARE
            light = 1 - ROUND_SHADE * np.square(reach[here])[:, None]
            filled[here] = np.rint(255 * to_rgb(skin) * light).astype(np.uint8)
    return filled


def _along(x: np.ndarray, y: np.ndarray, shoulder: np.ndarray, elbow: np.ndarray) -> np.ndarray:
    """Where pixels lie from shoulder (0) to elbow (1)."""
    bone = elbow - shoulder
    return ((x - shoulder[0]) * bone[0] + (y - shoulder[1]) * bone[1]) / max(bone @ bone, 1e-6)


def _sleeve_end(
    lab: np.ndarray, skin: np.ndarray, shown: list[np.ndarray], arms: list[tuple]
) -> float:
    """How far down the upper arms the sleeves reach, from 0 to 1; infinite where they cover all or
    nothing: then the whole arm is of one kind.

    `shown` holds each arm's pixels (H, W) bool that nothing covers, `arms` its shoulder and elbow.
    Both arms decide together: the place above which there is most cloth and below which most skin.
    """
    # Skin in shade gains saturation; cloth is what the arms wear higher up.
    shades = skin[1:] * np.linspace(0.8, 1.8, 6)[:, None]
    seen, bare = np.zeros(SLEEVE_BINS), np.zeros(SLEEVE_BINS)
    for here, arm in zip(shown, arms, strict=True):
        y, x = np.nonzero(here)
        place = np.clip((_along(x, y, *arm) * SLEEVE_BINS).astype(int), 0, SLEEVE_BINS - 1)
        upper = (place >= SLEEVE_BINS // 16) & (place < SLEEVE_BINS // 4)
        pixels = lab[y, x]
        if not upper.any():
            continue
        cloth = np.median(pixels[upper], axis=0)
        if np.linalg.norm(shades - cloth[1:], axis=-1).min() < SKIN_HUED_CLOTH:
            continue  # no sleeve, or one that cannot be told from skin: all is alike
        to_skin = np.linalg.norm(pixels[:, None, 1:] - shades, axis=-1).min(axis=1)
        to_cloth = np.linalg.norm((pixels - cloth) * (CLOTH_LIGHT, 1, 1), axis=-1)
        is_bare = to_skin < to_cloth
        seen += np.bincount(place, minlength=SLEEVE_BINS)
        bare += np.bincount(place, is_bare, minlength=SLEEVE_BINS)
    above = np.concatenate([[0], np.cumsum(bare)])  # skin above each possible end
    below = (seen - bare).sum() - np.concatenate([[0], np.cumsum(seen - bare)])  # cloth below it
    end = int(np.argmin(above + BEHIND * below))
    return end / SLEEVE_BINS if bare[end:].sum() > FEW_PX else np.inf
