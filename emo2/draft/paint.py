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

from emo2.draft.joints import ArmJoint
from emo2.draft.light import SKIN_POINTS
from emo2.draft.plate import Plate
from emo2.hands.arm import ArmModel
from emo2.hands.implicit import FOREARM_LENGTH_M
from emo2.hands.model import HandModel
from emo2.types import NUM_BETAS, NUM_HANDS, NUM_JOINTS, HandMotion, Portrait

# Hands catch less light than the face that the tone was measured on.
HAND_TONE = np.array([1.0, 0.99, 0.98])
HAND_LIGHT = (0.94, 1.03)
PALM_TINT = np.array([1.03, 0.985, 0.975])
KNUCKLE_TINT = np.array([0.985, 0.92, 0.90])
FINGERTIP_TINT = np.array([1.02, 0.94, 0.925])
NAIL_TINT = np.array([1.05, 0.985, 0.98])
# Joints whose backs are knuckles (MANO order: every finger joint), and the radius of the mark [m].
KNUCKLE_RADIUS_M = 0.0075
SKIN_MOTTLE = 0.014
CUFF_M, FOLD_M = 0.004, 0.0018
"""How far a sleeve stands off the skin, and how high its folds are."""
CLOTH_SPAN, CLOTH_RANGE, CLOTH_DETAIL = 0.8, (0.82, 1.18), 0.12
"""How much of the upper arm's length is used as cloth, how far it may go from its mean, and what
counts as its detail, in widths of the arm."""
LONG_SLEEVE_CUFF = 0.10
"""Where a long sleeve ends, as a share of the way from wrist to elbow."""
ROLLED_SLEEVE_CUFF = 0.78
NO_SLEEVE = 2.0
SHORT_SLEEVE = 0.6
"""Where a short sleeve ends on the upper arm, as a share of the way from shoulder to elbow."""
SKIN_UNLIKE = 0.07
"""A pixel that differs more than this from the skin tone (see `_unlike`) is no skin."""
ALIKE = (0.03, 0.05)
BARE_ELBOW = 0.3
"""The share of skin above the elbow from which on the elbow is bare."""
ELBOW_LIGHT = (0.90, 1.08)
ELBOW_RADIUS_M = 0.0405
BARE_HALF_M, SLEEVE_HALF_M = (0.034, 0.046), (0.040, 0.052)
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
    tone = _hand_tone(portrait)
    joins = _joins(portrait, plate, tone)
    cloths = [_straight_cloth(plate, hand, joins[hand].cloth) for hand in range(NUM_HANDS)]
    layers = []
    for hand in range(NUM_HANDS):
        join, cuff = joins[hand], joins[hand].cuff
        skin = _skin(tone, vertices[hand], joints[hand], arm_model.nail)
        # The picture's own tone takes over on the way to the elbow.
        skin = _mix(skin, join.skin, _smooth(along, 0.25, 0.9))
        skin = skin * (1 + SKIN_MOTTLE * _mottle(vertices[hand], noise)[:, None])
        around = np.arctan2(vertices[hand, :, 1] - joints[hand, 0, 1], vertices[hand, :, 2])
        half_m = plate.arms[hand].width_px / portrait.camera.pixels_per_metre / 2
        swell = np.clip(half_m, *(SLEEVE_HALF_M if cuff < 1 else BARE_HALF_M)) - ELBOW_RADIUS_M
        stand_off = CUFF_M + FOLD_M * _folds(along, around, noise)
        lift = swell * _smooth(along, 0.1, 1.0)
        lift += stand_off * _smooth(along, cuff - 0.01, cuff + 0.01)
        gloss = 0.055 + 0.20 * np.asarray(arm_model.nail)
        rows, columns = cloths[hand].shape[:2]
        # The cloth goes on from the elbow, turned back as if mirrored; also behind the arm.
        onward = (1 - along) * FOREARM_LENGTH_M * portrait.camera.pixels_per_metre
        at = np.stack(
            [(0.5 + 0.46 * np.sin(around)) * columns, rows - 1 - np.minimum(onward, rows - 1)], -1
        )
        inside = (along - cuff) * FOREARM_LENGTH_M
        layers.append((np.clip(skin * grain[hand], 0, 1), gloss, inside, lift, at))
    skin, gloss, inside, lift, at = (
        np.stack(part).astype(np.float32) for part in zip(*layers, strict=True)
    )
    elbow_skin = np.array([join.skin for join in joins], np.float32)
    upper_cuff = np.array([SHORT_SLEEVE if j.cuff > 1 else NO_SLEEVE for j in joins], np.float32)
    return ArmPaint(skin, gloss, inside, lift, _same_size(cloths), at, elbow_skin, upper_cuff)


def _rest_motion() -> HandMotion:
    """Both hands flat in the T-pose, one frame."""
    quaternions = np.zeros((1, NUM_HANDS, NUM_JOINTS, 4), np.float32)
    quaternions[..., 0] = 1
    translation = np.array([[[0.3, 0, 0], [-0.3, 0, 0]]], np.float32)
    visible = np.ones((1, NUM_HANDS), bool)
    return HandMotion(quaternions, translation, visible, np.zeros((NUM_HANDS, NUM_BETAS)), fps=24)


def _hand_tone(portrait: Portrait) -> np.ndarray:
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


def _skin(tone: np.ndarray, vertices, joints, nail) -> np.ndarray:
    """(V, 3) skin of one flat hand: back and palm, knuckles, finger tips and nails."""
    skin = np.broadcast_to(tone, vertices.shape)
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


@dataclass(frozen=True)
class _Join:
    """What the forearm is made of where it joins the picture's upper arm."""

    cloth: np.ndarray
    """(3,): the sleeve's colour."""
    skin: np.ndarray
    """(3,): the skin's colour near the elbow."""
    cuff: float
    """Where the sleeve ends, as a share of the way from wrist to elbow; beyond 1: no sleeve."""


def _joins(portrait: Portrait, plate: Plate, skin: np.ndarray) -> list[_Join]:
    """Both arms' joins. People wear both sleeves alike, so both arms decide together."""
    sleeve = portrait.sleeve_rgb.astype(np.float64)
    cloths, tones, shares = [], [], []
    for joint in plate.arms:
        # What the plate measured counts as cloth only where it is not an arm in the shade.
        here = joint.rgb[None].astype(np.float64)
        like_cloth = _unlike(here, sleeve) < _unlike(here, skin)
        cloths.append(here[0] if joint.elbow_seen and like_cloth else sleeve)
        tones.append(skin)
        if joint.elbow_seen:
            pixels = _above_elbow(portrait, joint)
            bare = _unlike(pixels, skin) < np.minimum(_unlike(pixels, cloths[-1]), SKIN_UNLIKE)
            shares.append(bare.mean())
            if shares[-1] > BARE_ELBOW:
                tone = _bright(pixels[bare])
                # A hint of shade is the arm's own; more of it is cast on it by the body.
                light = np.clip(tone.mean() / skin.mean(), *ELBOW_LIGHT)
                hue = 0.7 * tone / tone.mean() + 0.3 * skin / skin.mean()
                tones[-1] = hue * light * skin.mean()
    # Cloth in the colour of skin cannot be told from it: in doubt the arm is bare.
    contrast = _unlike(sleeve[None], skin)[0]
    if not portrait.bare_forearms and contrast > ALIKE[0]:
        cuff = LONG_SLEEVE_CUFF
    elif contrast > ALIKE[1] and shares and np.mean(shares) < BARE_ELBOW:
        cuff = ROLLED_SLEEVE_CUFF
    else:
        cuff = NO_SLEEVE
    return [_Join(cloth, tone, cuff) for cloth, tone in zip(cloths, tones, strict=True)]


def _above_elbow(portrait: Portrait, joint: ArmJoint) -> np.ndarray:
    """(N, 3) in [0, 1]: the picture's pixels on the end of the upper arm, hands left out."""
    metre = portrait.camera.pixels_per_metre
    region = np.zeros(portrait.person_mask.shape, np.uint8)
    ends = [joint.elbow + share * (joint.shoulder - joint.elbow) for share in (0.05, 0.22)]
    start, end = (tuple(np.round(point).astype(int).tolist()) for point in ends)
    cv2.line(region, start, end, 1, max(3, round(0.05 * metre)))
    for hand in portrait.hands[~np.isnan(portrait.hands).any(axis=(1, 2))]:
        hull = cv2.convexHull(np.round(hand).astype(np.int32))
        cv2.fillConvexPoly(region, hull, 0)
        cv2.polylines(region, [hull], True, 0, max(2, round(0.03 * metre)))
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


def _straight_cloth(plate: Plate, hand: int, cloth: np.ndarray) -> np.ndarray:
    """(h, w, 3) in [0, 1]: the picture's upper arm from shoulder to elbow, straightened, unlit."""
    joint = plate.arms[hand]
    if not joint.elbow_seen:
        return np.broadcast_to(cloth, (8, 8, 3)).astype(np.float32)
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


def _smooth(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smoothstep from 0 at `low` to 1 at `high`."""
    x = np.clip((value - low) / (high - low), 0, 1)
    return x * x * (3 - 2 * x)
