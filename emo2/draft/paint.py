"""What the arms are made of, vertex by vertex: this person's skin, nails and knuckles, and the
sleeve with its cuff.

In: a portrait, its plate and the arm meshes at rest. Out: an `ArmPaint` that stays fixed to the
mesh for the whole film. Colours are taken from the picture as lit; the light that turns with the
arm is `emo2.draft.light`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emo2.draft.plate import Plate
from emo2.hands.arm import ArmModel
from emo2.hands.implicit import FOREARM_LENGTH_M
from emo2.hands.model import HandModel
from emo2.types import NUM_BETAS, NUM_HANDS, NUM_JOINTS, HandMotion, Portrait

# Hands catch less light than the face that the tone was measured on.
HAND_TONE = np.array([0.985, 0.955, 0.94])
PALM_TINT = np.array([1.03, 0.985, 0.975])
KNUCKLE_TINT = np.array([0.985, 0.90, 0.875])
FINGERTIP_TINT = np.array([1.02, 0.94, 0.925])
NAIL_TINT = np.array([1.05, 0.985, 0.98])
# Joints whose backs are knuckles (MANO order: every finger joint), and the radius of the mark [m].
KNUCKLE_RADIUS_M = 0.0075
SLEEVE_THICKNESS_M = 0.006
FOLD_M = 0.0016
LONG_SLEEVE_CUFF = 0.10
"""Where a long sleeve ends, as a share of the way from wrist to elbow."""
ROLLED_SLEEVE_CUFF = 0.78
NO_SLEEVE = 2.0
SKIN_LAB = 24.0
"""A pixel further than this from the skin tone (Lab, lightness by a third) is no skin."""
BARE_ELBOW = 0.3
"""The share of skin above the elbow from which on the elbow is bare."""
ELBOW_RADIUS_M = 0.0405
BARE_HALF_M, SLEEVE_HALF_M = (0.034, 0.050), (0.040, 0.070)
"""How thin and thick an arm may be drawn at the elbow, whatever was measured."""


@dataclass(frozen=True)
class ArmPaint:
    """The surface of both arms; `V` vertices each."""

    albedo: np.ndarray
    """(2, V, 3) float32 in [0, 1]: colour as lit from the front."""
    cloth: np.ndarray
    """(2, V) float32 in [0, 1]: 1 on the sleeve, 0 on skin."""
    gloss: np.ndarray
    """(2, V) float32: strength of the highlight."""
    lift_m: np.ndarray
    """(2, V) float32: how far the sleeve stands off the arm, along the normal."""


def paint_arms(
    portrait: Portrait, plate: Plate, arm_model: ArmModel, hand_model: HandModel, seed: int
) -> ArmPaint:
    """Colour the arm meshes for the person in `portrait`."""
    rest = _rest_motion()
    towards_body = np.array([[[-FOREARM_LENGTH_M, 0, 0], [FOREARM_LENGTH_M, 0, 0]]], np.float32)
    vertices = arm_model.vertices(rest, rest.translation_m + towards_body)[0].astype(np.float64)
    joints = hand_model.joints(rest)[0]  # (2, 21, 3)
    along = np.asarray(arm_model.blend, np.float64)  # (V,) 0 at the wrist, 1 at the elbow
    noise = np.random.default_rng(seed)
    grain = 1 + _photo_grain(portrait) * noise.standard_normal((NUM_HANDS, len(along), 1))
    layers = []
    for hand in range(NUM_HANDS):
        sleeve_rgb, elbow_rgb, cuff = _join_colours(portrait, plate, hand)
        skin = _skin(portrait, vertices[hand], joints[hand], arm_model.nail)
        # The picture's own tone takes over on the way to the elbow.
        skin = _mix(skin, elbow_rgb, _smooth(along, 0.25, 0.9))
        cloth = _smooth(along, cuff - 0.012, cuff + 0.012)
        angle = np.arctan2(vertices[hand, :, 1] - joints[hand, 0, 1], vertices[hand, :, 2])
        folds = _folds(along, angle, noise)
        sleeve = np.clip(sleeve_rgb * (1 + 0.05 * folds[:, None]), 0, 1)
        under_cuff = np.exp(-(((along - cuff) / 0.03) ** 2)) * (1 - cloth)
        albedo = _mix(skin * (1 - 0.28 * under_cuff[:, None]), sleeve, cloth)
        half_m = plate.arms[hand].width_px / portrait.camera.pixels_per_metre / 2
        widest = SLEEVE_HALF_M if cuff < 1 else BARE_HALF_M
        swell = np.clip(half_m, *widest) - ELBOW_RADIUS_M
        lift = swell * _smooth(along, 0.1, 1.0) + cloth * (SLEEVE_THICKNESS_M + FOLD_M * folds)
        gloss = (1 - cloth) * (0.055 + 0.20 * np.asarray(arm_model.nail))
        layers.append((np.clip(albedo * grain[hand], 0, 1), cloth, gloss, lift))
    return ArmPaint(*(np.stack(part).astype(np.float32) for part in zip(*layers, strict=True)))


def _rest_motion() -> HandMotion:
    """Both hands flat in the T-pose, one frame."""
    quaternions = np.zeros((1, NUM_HANDS, NUM_JOINTS, 4), np.float32)
    quaternions[..., 0] = 1
    translation = np.array([[[0.3, 0, 0], [-0.3, 0, 0]]], np.float32)
    visible = np.ones((1, NUM_HANDS), bool)
    return HandMotion(quaternions, translation, visible, np.zeros((NUM_HANDS, NUM_BETAS)), fps=24)


def _skin(portrait: Portrait, vertices, joints, nail) -> np.ndarray:
    """(V, 3) skin of one flat hand: back and palm, knuckles, finger tips and nails."""
    skin = np.broadcast_to(portrait.skin_rgb * HAND_TONE, vertices.shape)
    up = vertices[:, 1] - joints[0, 1]
    back = _smooth(up, -0.004, 0.006)
    skin = skin * (PALM_TINT + (1 - PALM_TINT) * back[:, None])
    for joint in range(1, NUM_JOINTS):
        near = np.exp(-np.square((vertices - joints[joint]) / KNUCKLE_RADIUS_M)[:, ::2].sum(-1))
        skin = skin * (1 + (KNUCKLE_TINT - 1) * (near * back)[:, None])
    for tip in joints[NUM_JOINTS:]:
        near = np.exp(-np.square((vertices - tip) / 0.016).sum(-1))
        skin = skin * (1 + (FINGERTIP_TINT - 1) * near[:, None])
    return skin * (1 + (NAIL_TINT - 1) * np.asarray(nail)[:, None])


def _join_colours(
    portrait: Portrait, plate: Plate, hand: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Colours of sleeve and skin where the forearm joins the picture, and where the sleeve ends.

    The end is a share of the way from wrist to elbow; beyond 1 there is no sleeve.
    """
    skin = portrait.skin_rgb * HAND_TONE
    joint = plate.arms[hand]
    cloth = (portrait.sleeve_rgb if joint.bare else joint.rgb).astype(np.float64)
    if not joint.elbow_seen:
        return cloth, skin, NO_SLEEVE if portrait.bare_forearms else LONG_SLEEVE_CUFF
    pixels = _lower_upper_arm(portrait, plate, hand)
    is_skin = _lab_distance(pixels, skin) < np.minimum(_lab_distance(pixels, cloth), SKIN_LAB)
    if not portrait.bare_forearms:
        return cloth, skin, LONG_SLEEVE_CUFF
    if is_skin.mean() < BARE_ELBOW:
        return cloth, skin, ROLLED_SLEEVE_CUFF
    tone = np.median(pixels[is_skin], axis=0)
    # A hint of shade is the arm's own; more of it belongs to what lay beside the arm.
    light = np.clip(tone.mean() / skin.mean(), 0.80, 1.10)
    hue = 0.5 * (tone / tone.mean() + skin / skin.mean())
    return cloth, hue * light * skin.mean(), NO_SLEEVE


def _lower_upper_arm(portrait: Portrait, plate: Plate, hand: int) -> np.ndarray:
    """(N, 3) in [0, 1]: the picture's pixels on the last stretch of the upper arm."""
    joint = plate.arms[hand]
    region = np.zeros(plate.alpha.shape, np.uint8)
    ends = [joint.elbow + share * (joint.shoulder - joint.elbow) for share in (0.05, 0.22)]
    start, end = (tuple(np.round(point).astype(int).tolist()) for point in ends)
    cv2.line(region, start, end, 1, max(3, round(0.05 * portrait.camera.pixels_per_metre)))
    inside = (region > 0) & (plate.alpha > 0.8)
    if inside.sum() < 12:
        return np.broadcast_to(portrait.skin_rgb, (1, 3))
    return plate.body[inside] / 255.0


def _lab_distance(colours: np.ndarray, to: np.ndarray) -> np.ndarray:
    """(N,) how different colours (N, 3) are; lightness counts a third, since arms lie in shade."""
    both = np.concatenate([np.asarray(to)[None], colours])[None].astype(np.float32)
    lab = cv2.cvtColor(both, cv2.COLOR_RGB2LAB)[0]
    return np.linalg.norm((lab[1:] - lab[0]) * [0.33, 1, 1], axis=-1)


def _photo_grain(portrait: Portrait) -> float:
    """The photograph's noise: the median of a high-pass that edges do not reach, relative to
    white."""
    grey = cv2.cvtColor(portrait.image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    fine = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1.2))
    return float(np.clip(1.5 * np.median(fine[portrait.person_mask > 0.5]), 0.004, 0.03))


def _folds(along: np.ndarray, angle: np.ndarray, noise: np.random.Generator) -> np.ndarray:
    """(V,) soft rings and slants of a sleeve, about -1..1, stronger towards the elbow."""
    total = np.zeros_like(along)
    for _ in range(6):
        rings, turns = noise.uniform(2, 9), noise.integers(-2, 3)
        total += np.sin(2 * np.pi * rings * along + turns * angle + noise.uniform(0, 2 * np.pi))
    return total / np.sqrt(6) * (0.45 + 0.55 * along)


def _mix(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return a + (b - a) * weight[:, None]


def _smooth(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smoothstep from 0 at `low` to 1 at `high`."""
    x = np.clip((value - low) / (high - low), 0, 1)
    return x * x * (3 - 2 * x)
