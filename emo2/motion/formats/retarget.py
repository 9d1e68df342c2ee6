"""From any moving humanoid whose bones have names to the two hands of a `HandMotion`.

What counts is how each bone has turned since
the file's own rest pose; where that rest is not our T-pose with flat hands, the bones' directions
say how far it is from it (an arm that hangs at rest, fingers a little bent). Places are measured in
the frame of the shoulders and scaled to the reference body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.errors import InputError
from emo2.hands.skeleton import FIRST_JOINT
from emo2.motion.anatomy import FOREARM_M, UPPER_ARM_M
from emo2.motion.formats.body_frame import to_body_frame
from emo2.motion.formats.bone_names import UP_FROM, UP_TO
from emo2.motion.formats.skinned_hands import free_joints, joint_shapes
from emo2.motion.formats.vrm_skeleton import BONES, JOINT_BONES, SIDES
from emo2.motion.rotations import between, conjugate, continuous, from_matrix, multiply, rotate
from emo2.types import NUM_BETAS, NUM_HANDS, NUM_JOINTS, REFERENCE_SHOULDER_BREADTH_M

LONG_ARMS = 1.1
"""Figures whose arms are longer than this times ours, once their shoulders are as broad, are drawn
with narrow shoulders; their hands would be out of everybody's reach."""
NO_AREA = 1e-12
"""Shoulders and spine that span no more than this, in the file's units squared, span nothing."""
SAME_SHAPE_M = 2e-5
"""Joints that lie so near to a free hand's are a free hand's."""


@dataclass(frozen=True)
class Humanoid:
    """A moving skeleton, bones along B in any order and frames along T."""

    bones: dict[str, int]
    """VRM 1.0's name -> index along B."""
    rest_rotations: np.ndarray
    """(B, 4) unit wxyz in the file's world, of the pose that no rotation is applied to."""
    rest_places: np.ndarray
    """(B, 3) in the file's units."""
    rotations: np.ndarray
    """(T, B, 4) unit wxyz in the file's world."""
    places: np.ndarray
    """(T, B, 3) in the file's units."""


@dataclass(frozen=True)
class Hands:
    """What `retarget` found."""

    quaternions: np.ndarray
    """(T, 2, 16, 4)."""
    translation_m: np.ndarray
    """(T, 2, 3)."""
    betas: np.ndarray
    """(2, 10): those of the free hand if the bones are its, else 0."""
    are_free: bool
    """Are the bones those of the free hands: a file of our own."""
    remarks: tuple[str, ...]
    """What was lost or guessed."""


def retarget(body: Humanoid) -> Hands:
    """The hands of a humanoid that has the bones of `needed_bones`. Raises `InputError` where its
    shoulders are not apart."""
    bones = body.bones
    shoulders = [bones[f"{side}UpperArm"] for side in SIDES]
    wrists = [bones[f"{side}Hand"] for side in SIDES]
    low = bones[next(name for name in UP_FROM if name in bones)]
    high = bones[next(name for name in UP_TO if name in bones)]

    def frame(places: np.ndarray, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        up = places[:, high] - places[:, low]
        across = places[:, shoulders[0]] - places[:, shoulders[1]]
        if np.linalg.norm(np.cross(across, up), axis=-1).min() < NO_AREA:
            raise InputError(
                "motion",
                "the skeleton must have its shoulders apart and a spine between them",
                "bones that lie on one another",
                "Export it with its bones' lengths.",
            )
        return to_body_frame(places[:, shoulders], up, places[:, wrists], turns)

    identity = np.broadcast_to([1.0, 0, 0, 0], (1, NUM_HANDS, 4))
    body_from_world, _, breadth = frame(body.rest_places[None], identity)
    body_from_world = body_from_world[0, 0]
    to_metres = REFERENCE_SHOULDER_BREADTH_M / breadth
    names = [[BONES[k].name for k in row] for row in JOINT_BONES]
    rest = np.full((NUM_HANDS, NUM_JOINTS, 3), np.nan)
    for hand, joint in np.ndindex(rest.shape[:2]):
        if names[hand][joint] in bones:
            place = body.rest_places[bones[names[hand][joint]]] - body.rest_places[wrists[hand]]
            rest[hand, joint] = to_metres * rotate(body_from_world, place)
    betas, is_ours = _shape(rest)
    bind = _identity() if is_ours else _alignment(rest)

    turned = {}
    for name, k in bones.items():
        since_rest = multiply(body.rotations[:, k], conjugate(body.rest_rotations[k]))
        turned[name] = multiply(since_rest, conjugate(body_from_world))
    quaternions = np.zeros((len(body.rotations), NUM_HANDS, NUM_JOINTS, 4))
    quaternions[..., 0] = 1.0
    absent = []
    wrist_turns = []
    for hand in range(NUM_HANDS):
        wrist = multiply(turned[names[hand][0]], bind[hand, 0])
        wrist_turns.append(wrist)
        for first in FIRST_JOINT.values():
            above = wrist
            for joint in range(first, first + 3):
                if names[hand][joint] not in turned:
                    absent.append(names[hand][joint])
                    continue
                here = multiply(turned[names[hand][joint]], bind[hand, joint])
                quaternions[:, hand, joint] = multiply(conjugate(above), here)
                above = here
    wrist_turns, translation_m, _ = frame(body.places, np.stack(wrist_turns, axis=1))
    quaternions[:, :, 0] = wrist_turns
    remarks = []
    longer = to_metres * _arm_length(body) / (UPPER_ARM_M + FOREARM_M)
    if longer > LONG_ARMS:
        translation_m = translation_m / longer
        remarks.append("arms long for its shoulders: places are scaled by the arms instead")
    if not is_ours:
        remarks.append("the shape of the hands, and all of the body but hands and shoulders")
        if np.isfinite(rest).any() and not np.allclose(bind[..., 0], 1.0, atol=1e-6):
            remarks.append("its rest pose was brought to ours by the directions of its bones")
    if absent:
        remarks.append(f"{len(absent)} finger joints that the file has not stay flat")
    return Hands(continuous(quaternions), translation_m, betas, is_ours, tuple(remarks))


def _arm_length(body: Humanoid) -> float:
    """The mean of both arms at rest, in the file's units."""
    lengths = []
    for side in SIDES:
        chain = [f"{side}{part}" for part in ("UpperArm", "LowerArm", "Hand")]
        places = body.rest_places[[body.bones[name] for name in chain if name in body.bones]]
        lengths.append(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())
    return float(np.mean(lengths))


def _shape(rest_m: np.ndarray) -> tuple[np.ndarray, bool]:
    """The shape coefficients of a flat free hand with these joints (2, 16, 3), wrists at 0; zeros
    and False if it is another hand. Coefficients that move no joint come out as 0."""
    betas = np.zeros((NUM_HANDS, NUM_BETAS))
    if not np.isfinite(rest_m).all():
        return betas, False
    neutral, shapes = free_joints(betas), joint_shapes()
    for hand in range(NUM_HANDS):
        difference = (rest_m - (neutral - neutral[:, :1]))[hand].ravel()
        moves = (shapes - shapes[:, :1])[hand].reshape(-1, NUM_BETAS)
        betas[hand] = np.linalg.lstsq(moves, difference, rcond=1e-4)[0]
        if np.abs(moves @ betas[hand] - difference).max() > SAME_SHAPE_M:
            return np.zeros((NUM_HANDS, NUM_BETAS)), False
    return betas.round(4), True


def _identity() -> np.ndarray:
    return np.broadcast_to([1.0, 0.0, 0.0, 0.0], (NUM_HANDS, NUM_JOINTS, 4))


def _alignment(rest_m: np.ndarray) -> np.ndarray:
    """(2, 16, 4): from our flat hand's bones to those at rest in the file, body frame."""
    ours = free_joints(np.zeros((NUM_HANDS, NUM_BETAS)))
    out = np.array(_identity())
    for hand in range(NUM_HANDS):
        theirs, mine = rest_m[hand], ours[hand] - ours[hand, 0]
        knuckles = [FIRST_JOINT[name] for name in ("middle", "index", "pinky")]
        if not np.isfinite(theirs[knuckles]).all():
            continue
        palm = multiply(_palm(theirs[knuckles]), conjugate(_palm(mine[knuckles])))
        out[hand, 0] = palm
        for first in FIRST_JOINT.values():
            swing = palm
            for joint in range(first, first + 3):
                # The last bone has no joint after it: it keeps the turn of the one before.
                if joint < first + 2 and np.isfinite(theirs[joint : joint + 2]).all():
                    bone = _unit(rotate(palm, mine[joint + 1] - mine[joint]))
                    to_theirs = between(bone, _unit(theirs[joint + 1] - theirs[joint]))
                    swing = multiply(to_theirs, palm)
                out[hand, joint] = swing
    return out


def _palm(knuckles: np.ndarray) -> np.ndarray:
    """The frame of a palm from its middle, index and pinky knuckles (3, 3), the wrist at 0."""
    along = _unit(knuckles[0])
    across = knuckles[1] - knuckles[2]
    across = _unit(across - along * (along @ across))
    return from_matrix(np.stack([along, across, np.cross(along, across)], axis=-1))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
