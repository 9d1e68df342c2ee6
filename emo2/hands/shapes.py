"""Named handshapes and wrist orientations: the words in which gestures are composed.

A handshape is a table of angles in degrees, (5 fingers, 5 angles). Rows: thumb, index, middle,
ring, pinky. Columns:

    twist   about the first segment; a thumb's + turns its pad towards the fingers (opposition)
    spread  at the first joint; a finger's + is away from the middle finger (the middle finger's own
            is towards the thumb); a thumb's + is away from the palm (palmar abduction)
    base    flexion of the first joint (MCP); the thumb's (CMC) sweeps it across the palm
    middle  flexion of the second joint (PIP; MCP of the thumb)
    tip     flexion of the third joint (DIP; IP of the thumb)

Counting is the western way with the index first: one = index, two = index and middle, three = those
and the ring finger, the thumb holding the others down; four = all but the thumb; five = all.

Most tables were solved so that fingers touch and do not cross (`emo2.hands.recipes`).
`emo2.hands.blending.blend` goes from one to another without a thumb through the fingers. Tables
also mix linearly: `0.3 * SHAPES["fist"] + 0.7 * SHAPES["relaxed"]` is a loose hand. All zero is
the flat hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.errors import InputError
from emo2.hands.skeleton import FINGERS, FIRST_JOINT, LEFT, RIGHT, finger_axes
from emo2.hands.tables import TABLES
from emo2.motion.rotations import from_axis_angle, from_matrix, mirror, multiply


@dataclass(frozen=True)
class Label:
    """A handshape in words for people."""

    title: str
    use: str
    """When speakers use it, one line."""


LABELS: dict[str, Label] = {
    "flat": Label("Flat", "The neutral hand: fingers straight, nothing meant."),
    "open": Label("Open", "Open, honest talk; the hand of most strokes and beats."),
    "relaxed": Label("Relaxed", "Rest and small beats: fingers fall into their natural curl."),
    "cup": Label("Cup", "Holding an idea as if it were a ball."),
    "offer": Label("Offering", "Palm up: presenting, asking, giving the turn to somebody."),
    "blade": Label("Blade", "Fingers together: chopping, dividing, setting limits."),
    "steeple": Label(
        "Steeple", "Fingertips against those of the other hand: weighing, confidence."
    ),
    "frame": Label("Frame", "Both hands around a box of air: size, scope, a topic."),
    "claw": Label("Claw", "Tension, grasping at something, a big rough thing."),
    "hold": Label("Grip", "Around a glass, a microphone, the handle of a tool."),
    "thumb_up": Label("Thumb up", "Approval; turned over, disapproval."),
    "fist": Label("Fist", "Strength, determination, the end of an argument."),
    "point": Label("Pointing", "At a person, a place, or a thing just said."),
    "one": Label("One", "Counting, “one moment”, “first of all”."),
    "two": Label("Two", "Counting; victory and peace."),
    "three": Label("Three", "Counting: index, middle and ring finger."),
    "four": Label("Four", "Counting: all but the thumb."),
    "five": Label("Five", "Counting; stop, high five: as wide as it goes."),
    "ok": Label("OK ring", "Exactly right, approval, a fine point."),
    "pinch": Label("Pinch", "Something small between two fingers: precision, detail."),
    "a_little": Label("A little", "This much: a gap between thumb and index."),
    "precision": Label("Precision grip", "A pen or a thread in three fingers: exactness."),
    "purse": Label("Purse", "All tips together: “what do you mean?”, the essence, taste."),
    "l_shape": Label("L", "Thumb and index square: a corner, a measure, a frame with two hands."),
    "phone": Label("Call me", "Thumb and little finger out: telephone, “let us talk”."),
}
"""Title and use of every handshape, in the order in which a page offers them."""

SHAPES: dict[str, np.ndarray] = {name: np.array(TABLES[name], dtype=np.float64) for name in LABELS}
"""Angles in degrees, (5, 5) per name."""

_SPREAD_SIGNS = {"index": 1.0, "middle": 1.0, "ring": -1.0, "pinky": -1.0}


def finger_quaternions(angles_deg: np.ndarray, hand: int) -> np.ndarray:
    """Handshape angles (..., 5, 5) [degrees] to joint rotations (..., 16, 4), unit wxyz.

    The wrist, joint 0, is the identity. `hand` is 0 for the left hand, 1 for the right.
    """
    angles = np.deg2rad(np.asarray(angles_deg, dtype=np.float64))
    out = np.zeros((*angles.shape[:-2], 16, 4))
    out[..., 0] = 1.0
    for row, finger in enumerate(FINGERS):
        axes, first = finger_axes(finger), FIRST_JOINT[finger]
        along, sideways, flexion = first_joint_axes(finger)
        twist, spread, base, middle, tip = np.moveaxis(angles[..., row, :], -1, 0)
        swing = multiply(_about(flexion, base), _about(sideways, spread))
        out[..., first, :] = multiply(swing, _about(-along, twist))
        out[..., first + 1, :] = _about(axes[1, 2], middle)
        out[..., first + 2, :] = _about(axes[2, 2], tip)
    return mirror(out) if hand == LEFT else out


def handshape(name: str, hand: int) -> np.ndarray:
    """A named handshape as (16, 4) joint rotations, wxyz; InputError if it is not in `SHAPES`."""
    if name not in SHAPES:
        raise InputError(
            "handshape", "must be a known name", repr(name), f"Use one of {', '.join(SHAPES)}."
        )
    return finger_quaternions(SHAPES[name], hand)


def wrist_rotation(fingers: np.ndarray, palm: np.ndarray, hand: int) -> np.ndarray:
    """The wrist orientation, unit wxyz (..., 4), from where the fingers point and the palm faces.

    Both are directions (..., 3) in the body frame (x to the person's left, y up, z to the camera),
    of any length; `palm` is made square to `fingers`. `hand` is 0 for the left, 1 for the right.
    Raises InputError where the two are parallel.

    >>> wrist_rotation([0, 1, 0], [0, 0, 1], RIGHT)      # "stop": fingers up, palm to the camera
    """
    fingers, palm = np.broadcast_arrays(np.asarray(fingers, float), np.asarray(palm, float))
    along = fingers / np.linalg.norm(fingers, axis=-1, keepdims=True)
    normal = palm - along * np.sum(along * palm, axis=-1, keepdims=True)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    if np.any(length < 1e-6):
        raise InputError("palm", "must not be parallel to fingers", palm, "Turn one of the two.")
    normal = normal / length
    thumb = np.cross(along, normal) * (1.0 if hand == RIGHT else -1.0)
    # In the flat hand: fingers -x (right) or +x (left), palm -y, thumb +z.
    x_axis = -along if hand == RIGHT else along
    return from_matrix(np.stack([x_axis, -normal, thumb], axis=-1))


def first_joint_axes(finger: str) -> np.ndarray:
    """(3, 3) unit axes of a first joint of the flat right hand: along the bone, of spread, of
    flexion.

    Twist comes first, then spread, then flexion about an axis that stays in the palm. The thumb's
    spread lifts it off the palm, a finger's turns it within the palm.
    """
    along, _, flexion = finger_axes(finger)[0]
    if finger == "thumb":
        sideways = np.array([along[2], 0.0, -along[0]]) / np.hypot(along[0], along[2])
    else:
        sideways = np.array([0.0, _SPREAD_SIGNS[finger], 0.0])
    return np.stack([along, sideways, flexion])


def _about(axis: np.ndarray, angle_rad: np.ndarray) -> np.ndarray:
    """Rotations about one unit axis, wxyz."""
    return from_axis_angle(angle_rad[..., None] * axis)
