"""The skeleton that motions are exported on: a standing humanoid in T-pose with VRM 1.0's bones.

Every bone's axes are parallel to the body frame's at rest (arms along +-x, palms down), so a
rotation of the identity is the T-pose, and finger rotations are MANO's own. Shoulders, elbows and
forearms are those of `emo2.motion.anatomy`; the rest of the body stands still, for tools that
refuse a humanoid without it. Fingers hang on their hand in VRM's order; MANO counts the pinky
before the ring finger, VRM calls it little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.hands.skeleton import FIRST_JOINT
from emo2.motion.anatomy import FOREARM_M, SHOULDER_M, UPPER_ARM_M, elbow
from emo2.motion.rotations import (
    conjugate,
    continuous,
    from_axis_angle,
    from_matrix,
    mirror,
    multiply,
    rotate,
)
from emo2.types import NUM_HANDS, HandMotion

FLOOR_M = -1.40
"""The floor below the midpoint of the shoulders, for formats whose bodies stand on y = 0."""
TWIST_SHARE = 0.5
"""How much of the hand's roll the forearm takes, so that neither wrist nor elbow of an avatar
wrings."""
SIDES = ("left", "right")
_MIRROR = np.array([-1.0, 1.0, 1.0])
_HAIR_M = np.array([1e-3, 0.0, 1e-3])


@dataclass(frozen=True)
class Bone:
    """One bone of the skeleton."""

    name: str
    """VRM 1.0's, as in `leftIndexProximal`."""
    bvh_name: str
    """Mixamo's without its prefix, as in `LeftHandIndex1`: what retargeting tools look for."""
    parent: int
    """Index in `BONES`; -1 for the hips."""
    hand: int | None = None
    """0 left, 1 right for hands and fingers."""
    joint: int | None = None
    """MANO's joint number for hands and fingers."""
    place_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """At rest, in the body frame; hands and fingers: see `rest_places`."""


_TRUNK = (
    ("hips", "Hips", -1, -0.48),
    ("spine", "Spine", 0, -0.38),
    ("chest", "Spine1", 1, -0.26),
    ("upperChest", "Spine2", 2, -0.12),
    ("neck", "Neck", 3, 0.06),
    ("head", "Head", 4, 0.16),
)
_ARM = (
    ("Shoulder", "Shoulder", (0.03, 0.0, 0.0)),
    ("UpperArm", "Arm", tuple(SHOULDER_M)),
    ("LowerArm", "ForeArm", (SHOULDER_M[0] + UPPER_ARM_M, 0.0, 0.0)),
)
_LEG = (
    ("UpperLeg", "UpLeg", (0.09, -0.54, 0.0)),
    ("LowerLeg", "Leg", (0.09, -0.93, 0.0)),
    ("Foot", "Foot", (0.09, -1.32, 0.0)),
)
_FINGERS = (
    ("Thumb", "Thumb", "thumb", ("Metacarpal", "Proximal", "Distal")),
    ("Index", "Index", "index", ("Proximal", "Intermediate", "Distal")),
    ("Middle", "Middle", "middle", ("Proximal", "Intermediate", "Distal")),
    ("Ring", "Ring", "ring", ("Proximal", "Intermediate", "Distal")),
    ("Little", "Pinky", "pinky", ("Proximal", "Intermediate", "Distal")),
)
WRIST_M = np.array([SHOULDER_M[0] + UPPER_ARM_M + FOREARM_M, 0.0, 0.0])
"""The left wrist at rest, body frame."""


def _bones() -> tuple[Bone, ...]:
    bones = [Bone(name, bvh, up, place_m=(0.0, y, 0.0)) for name, bvh, up, y in _TRUNK]

    def add(*arguments, **more) -> int:
        bones.append(Bone(*arguments, **more))
        return len(bones) - 1

    for hand, side in enumerate(SIDES):
        sign, title = 1 - 2 * hand, side.title()
        parent = 3
        for name, bvh, (x, y, z) in _ARM:
            parent = add(side + name, title + bvh, parent, place_m=(sign * x, y, z))
        wrist = add(side + "Hand", title + "Hand", parent, hand, 0)
        for name, bvh, finger, segments in _FINGERS:
            parent = wrist
            for k, segment in enumerate(segments):
                joint = FIRST_JOINT[finger] + k
                bvh_name = f"{title}Hand{bvh}{k + 1}"
                parent = add(side + name + segment, bvh_name, parent, hand, joint)
    for hand, side in enumerate(SIDES):
        parent = 0
        for name, bvh, (x, y, z) in _LEG:
            place = ((1 - 2 * hand) * x, y, z)
            parent = add(side + name, side.title() + bvh, parent, place_m=place)
    return tuple(bones)


BONES = _bones()
INDEX = {bone.name: k for k, bone in enumerate(BONES)}
UPPER_ARMS = tuple(INDEX[f"{side}UpperArm"] for side in SIDES)
LOWER_ARMS = tuple(INDEX[f"{side}LowerArm"] for side in SIDES)
HANDS = tuple(INDEX[f"{side}Hand"] for side in SIDES)
JOINT_BONES = np.array(
    [
        [next(k for k, b in enumerate(BONES) if (b.hand, b.joint) == (hand, j)) for j in range(16)]
        for hand in range(NUM_HANDS)
    ]
)
"""(2, 16): the bone of every MANO joint."""


def rest_places(joints_m: np.ndarray) -> np.ndarray:
    """Where every bone is in the T-pose, (B, 3) metres in the body frame, for flat hands whose
    joints (2, 16, 3) lie anywhere: their wrists go to the ends of the arms."""
    places = np.array([bone.place_m for bone in BONES])
    for hand in range(NUM_HANDS):
        wrist = _MIRROR**hand * WRIST_M
        places[JOINT_BONES[hand]] = joints_m[hand] - joints_m[hand, 0] + wrist
    return places


def rest_offsets(places_m: np.ndarray) -> np.ndarray:
    """(B, 3) places relative to the parent bone; the hips' own is their place."""
    parents = np.array([bone.parent for bone in BONES])
    return places_m - np.where((parents >= 0)[:, None], places_m[parents], 0.0)


def body_rotations(motion: HandMotion) -> np.ndarray:
    """(T, B, 4) float64 unit wxyz, each relative to its parent bone, without sign flips.

    Arms reach by `anatomy.elbow`. The hands' rotations in the body frame are the motion's.
    """
    rotations = np.zeros((motion.num_frames, len(BONES), 4))
    rotations[..., 0] = 1.0
    for hand in range(NUM_HANDS):
        local = motion.quaternions[:, hand].astype(np.float64)
        local /= np.linalg.norm(local, axis=-1, keepdims=True)
        place = _MIRROR**hand * motion.translation_m[:, hand].astype(np.float64)
        upper, lower = _left_arm(place, mirror(local[:, 0]) if hand else local[:, 0])
        if hand:
            upper, lower = mirror(upper), mirror(lower)
        rotations[:, UPPER_ARMS[hand]] = upper
        rotations[:, LOWER_ARMS[hand]] = multiply(conjugate(upper), lower)
        rotations[:, JOINT_BONES[hand]] = local
        rotations[:, HANDS[hand]] = multiply(conjugate(lower), local[:, 0])
    return continuous(rotations)


def hand_places(motion: HandMotion, rotations: np.ndarray) -> np.ndarray:
    """(T, 2, 3) metres: each hand bone relative to the forearm that `rotations` (T, B, 4) turn.

    The forearm's rest length along x wherever the arm reaches the wrist; a hand that is farther (or
    nearer) than arms go keeps its place by this.
    """
    out = []
    for hand in range(NUM_HANDS):
        upper = rotations[:, UPPER_ARMS[hand]]
        lower = multiply(upper, rotations[:, LOWER_ARMS[hand]])
        side = _MIRROR**hand
        elbow_m = side * SHOULDER_M + rotate(upper, side * np.array([UPPER_ARM_M, 0.0, 0.0]))
        out.append(rotate(conjugate(lower), motion.translation_m[:, hand] - elbow_m))
    return np.stack(out, axis=1)


def _left_arm(wrist_m: np.ndarray, wrist: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper arm and forearm of the left, (T, 4) in the body frame: x along the bone, y the elbow's
    hinge, as in the T-pose, where bending brings the forearm forward."""
    # At the shoulder itself, and in line with where elbows point, an arm has no plane to bend in;
    # a hair's breadth beside, it has.
    reach = wrist_m - SHOULDER_M
    straight = np.linalg.norm(np.cross(reach, elbow(wrist_m) - SHOULDER_M), axis=-1) > 1e-6
    wrist_m = np.where(straight[:, None], wrist_m, wrist_m + _HAIR_M)
    elbow_m = elbow(wrist_m)
    upper, lower = _unit(elbow_m - SHOULDER_M), _unit(wrist_m - elbow_m)
    hinge = _unit(np.cross(wrist_m - SHOULDER_M, elbow_m - SHOULDER_M))
    upper_arm = from_matrix(np.stack([upper, hinge, np.cross(upper, hinge)], axis=-1))
    forearm = from_matrix(np.stack([lower, hinge, np.cross(lower, hinge)], axis=-1))
    roll = multiply(conjugate(forearm), wrist)
    angle = np.unwrap(_half_turns(2 * np.arctan2(roll[:, 1], roll[:, 0])))
    twist = np.zeros((len(angle), 3))
    twist[:, 0] = TWIST_SHARE * angle
    return upper_arm, multiply(forearm, from_axis_angle(twist))


def _half_turns(angle: np.ndarray) -> np.ndarray:
    """The same angles between -pi and pi."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)
