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

from emo2.draft.head_mesh import smoothstep
from emo2.draft.limbs import UPPER_ARM_M
from emo2.draft.plate import Plate
from emo2.draft.tone import NO_SLEEVE, arm_joins, hand_tone
from emo2.features.garment import folds
from emo2.hands.arm import ArmModel
from emo2.hands.free_hand.implicit import FOREARM_LENGTH_M
from emo2.hands.model import HandModel
from emo2.types import NUM_BETAS, NUM_HANDS, NUM_JOINTS, HandMotion, Portrait

PALM_TINT = np.array([1.03, 0.985, 0.975])
KNUCKLE_TINT = np.array([0.985, 0.92, 0.90])
FINGERTIP_TINT = np.array([1.02, 0.94, 0.925])
NAIL_TINT = np.array([1.05, 0.985, 0.98])
# Joints whose backs are knuckles (MANO order: every finger joint), and the radius of the mark [m].
KNUCKLE_RADIUS_M = 0.0075
SKIN_MOTTLE = 0.014
CUFF_M, FOLD_M = 0.004, 0.0018
"""How far a sleeve stands off the skin, and how high its folds are."""
CLOTH_SPAN, CLOTH_RANGE, CLOTH_DETAIL = 0.8, (0.88, 1.12), 0.12
"""How much of the upper arm's length is used as cloth, how far it may go from its mean, and what
counts as its detail, in widths of the arm."""
SHORT_SLEEVE = 0.6
"""Where a short sleeve ends on the upper arm, as a share of the way from shoulder to elbow."""
ELBOW_RADIUS_M = 0.0405
BARE_HALF_M, SLEEVE_HALF_M = (0.033, 0.041), (0.039, 0.048)
"""How thin and thick an arm may be drawn at the elbow, whatever was measured."""


@dataclass(frozen=True)
class ArmPaint:
    """The surface of both arms; `V` vertices each."""

    skin: np.ndarray
    """(2, V, 3) float32 in [0, 1]: its colour as lit from the front."""
    gloss: np.ndarray
    """(2, V) float32: strength of the skin's highlight."""
    from_cuff_m: np.ndarray
    """(2, V) float32: how far a vertex lies inside the sleeve, negative on the bare part."""
    lift_m: np.ndarray
    """(2, V) float32: how far the surface stands off the arm model's, along the normal."""
    cloth: np.ndarray
    """(2, h, w, 3) float32 in [0, 1]: the sleeves, unlit, from the picture's upper arms."""
    cloth_at: np.ndarray
    """(2, V, 2) float32: column and row of `cloth` that lie on a vertex."""
    elbow_skin: np.ndarray
    """(2, 3) float32 in [0, 1]: skin of the upper arm, where a whole arm has to be drawn."""
    upper_cuff: np.ndarray
    """(2,) float32: where a drawn upper arm's sleeve ends, as a share of shoulder to elbow."""


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
    tone = hand_tone(portrait)
    joins = arm_joins(portrait, plate, tone)
    metre_px = portrait.camera.pixels_per_metre
    cloths = [_straight_cloth(plate, k, joins[k].cloth, metre_px) for k in range(NUM_HANDS)]
    layers = []
    for hand in range(NUM_HANDS):
        join, cuff = joins[hand], joins[hand].cuff
        skin = _skin(tone, vertices[hand], joints[hand], arm_model.nail)
        # The picture's own tone takes over on the way to the elbow.
        skin = _mix(skin, join.skin, smoothstep(0.25, 0.9, along))
        skin = skin * (1 + SKIN_MOTTLE * _mottle(vertices[hand], noise)[:, None])
        around = np.arctan2(vertices[hand, :, 1] - joints[hand, 0, 1], vertices[hand, :, 2])
        half_m = plate.arms[hand].width_px / metre_px / 2
        swell = np.clip(half_m, *(SLEEVE_HALF_M if cuff < 1 else BARE_HALF_M)) - ELBOW_RADIUS_M
        stand_off = CUFF_M + FOLD_M * _folds(along, around, noise)
        lift = swell * smoothstep(0.1, 1.0, along)
        lift += stand_off * smoothstep(cuff - 0.01, cuff + 0.01, along)
        gloss = 0.055 + 0.20 * np.asarray(arm_model.nail)
        rows, columns = cloths[hand].shape[:2]
        # The cloth goes on from the elbow, turned back as if mirrored; also behind the arm.
        onward = (1 - along) * FOREARM_LENGTH_M * metre_px
        at = place_on_cloth(around, onward, rows, columns)
        inside = (along - cuff) * FOREARM_LENGTH_M
        layers.append((np.clip(skin * grain[hand], 0, 1), gloss, inside, lift, at))
    skin, gloss, inside, lift, at = (
        np.stack(part).astype(np.float32) for part in zip(*layers, strict=True)
    )
    elbow_skin = np.array([join.skin for join in joins], np.float32)
    upper_cuff = np.array([SHORT_SLEEVE if j.cuff > 1 else NO_SLEEVE for j in joins], np.float32)
    return ArmPaint(skin, gloss, inside, lift, _same_size(cloths), at, elbow_skin, upper_cuff)


def place_on_cloth(around: np.ndarray, onward_px: np.ndarray, rows: int, columns: int):
    """(V, 2) column and row of a sleeve's cloth (rows, columns): `around` the arm, 0 = towards the
    camera, and `onward_px` from the elbow, where the cloth's last row lies."""
    down = rows - 1 - np.minimum(onward_px, rows - 1)
    return np.stack([(0.5 + 0.46 * np.sin(around)) * columns, down], axis=-1)


def _rest_motion() -> HandMotion:
    """Both hands flat in the T-pose, one frame."""
    quaternions = np.zeros((1, NUM_HANDS, NUM_JOINTS, 4), np.float32)
    quaternions[..., 0] = 1
    translation = np.array([[[0.3, 0, 0], [-0.3, 0, 0]]], np.float32)
    visible = np.ones((1, NUM_HANDS), bool)
    return HandMotion(quaternions, translation, visible, np.zeros((NUM_HANDS, NUM_BETAS)), fps=24)


def _skin(tone: np.ndarray, vertices, joints, nail) -> np.ndarray:
    """(V, 3) skin of one flat hand: back and palm, knuckles, finger tips and nails."""
    skin = np.broadcast_to(tone, vertices.shape)
    up = vertices[:, 1] - joints[0, 1]
    back = smoothstep(-0.004, 0.006, up)
    skin = skin * (PALM_TINT + (1 - PALM_TINT) * back[:, None])
    for joint in range(1, NUM_JOINTS):
        near = np.exp(-np.square((vertices - joints[joint]) / KNUCKLE_RADIUS_M)[:, ::2].sum(-1))
        skin = skin * (1 + (KNUCKLE_TINT - 1) * (near * back)[:, None])
    for tip in joints[NUM_JOINTS:]:
        near = np.exp(-np.square((vertices - tip) / 0.016).sum(-1))
        skin = skin * (1 + (FINGERTIP_TINT - 1) * near[:, None])
    return skin * (1 + (NAIL_TINT - 1) * np.asarray(nail)[:, None])


def _straight_cloth(plate: Plate, hand: int, cloth: np.ndarray, metre_px: float) -> np.ndarray:
    """(h, w, 3) in [0, 1]: the picture's upper arm from shoulder to elbow, straightened, unlit;
    plain cloth with folds where it shows none."""
    joint = plate.arms[hand]
    if not joint.elbow_seen:
        shape = max(8, round(UPPER_ARM_M * metre_px)), max(8, round(2 * ELBOW_RADIUS_M * metre_px))
        return (cloth * folds(shape, metre_px, seed=1 + hand)[..., None]).astype(np.float32)
    down = joint.elbow - joint.shoulder
    length = max(float(np.linalg.norm(down)), 8.0)
    down = down / length
    across = np.array([down[1], -down[0]]) * (0.9 * joint.width_px / 2)
    rows, columns = max(8, round(CLOTH_SPAN * length)), max(8, round(0.9 * joint.width_px))
    start = joint.elbow - CLOTH_SPAN * length * down
    strip = cv2.warpAffine(
        plate.body.astype(np.float32),
        np.column_stack([2 * across / columns, down, start - across]).astype(np.float64),
        (columns, rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # The light on the upper arm is not the light on the forearm: keep folds and threads alone.
    unlit = strip / np.maximum(cv2.GaussianBlur(strip, (0, 0), CLOTH_DETAIL * columns), 8)
    return np.clip(cloth * np.clip(unlit, *CLOTH_RANGE), 0, 1).astype(np.float32)


def _same_size(images: list[np.ndarray]) -> np.ndarray:
    """(n, h, w, 3): images of different sizes in one array, their last pixels repeated."""
    height, width = (max(image.shape[k] for image in images) for k in (0, 1))
    edges = [(0, height - i.shape[0], 0, width - i.shape[1]) for i in images]
    return np.stack(
        [
            cv2.copyMakeBorder(i, *edge, cv2.BORDER_REPLICATE)
            for i, edge in zip(images, edges, strict=True)
        ]
    )


def _mottle(vertices: np.ndarray, noise: np.random.Generator) -> np.ndarray:
    """(V,) about -1..1: the slow unevenness of living skin."""
    total = np.zeros(len(vertices))
    for wavelength_m in np.geomspace(0.012, 0.05, 8):
        direction = noise.standard_normal(3)
        direction *= 2 * np.pi / wavelength_m / np.linalg.norm(direction)
        total += np.sin(vertices @ direction + noise.uniform(0, 2 * np.pi))
    return total / 2


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
