"""The hand's skeleton: joint names, tree, and the anatomy of the free right hand at rest, in MANO's
frame.

MANO's frame (metres): the right hand lies flat, fingers along -x, palm facing -y, thumb towards +z.
The left hand is its mirror image, x -> -x. Every joint's local axes are parallel to the frame's
axes while the hand is flat, so a joint rotation is the identity in the flat hand.
"""

from __future__ import annotations

import numpy as np

LEFT, RIGHT = 0, 1
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
JOINT_NAMES = (
    "wrist",
    *("index1", "index2", "index3"),
    *("middle1", "middle2", "middle3"),
    *("pinky1", "pinky2", "pinky3"),
    *("ring1", "ring2", "ring3"),
    *("thumb1", "thumb2", "thumb3"),
)
"""MANO's order: the pinky comes before the ring finger."""
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
FIRST_JOINT = {"thumb": 13, "index": 1, "middle": 4, "ring": 10, "pinky": 7}
"""Index of a finger's first joint; the other two follow it."""
TIP_VERTICES = {"thumb": 744, "index": 320, "middle": 443, "ring": 554, "pinky": 671}
"""Vertex ids of the finger tips, as smplx names them; they follow the 16 joints in
`HandModel.joints`."""
CHAINS = tuple(
    (0, *range(FIRST_JOINT[f], FIRST_JOINT[f] + 3), 16 + k) for k, f in enumerate(FINGERS)
)
"""Five rows of joint ids from the wrist to the tip, out of the 21 of `HandModel.joints`."""


def _chain(first: tuple[float, float, float], steps: list[tuple[float, tuple]]) -> np.ndarray:
    """Three joints and a tip, from the first joint, segment lengths [m] and directions."""
    points = [np.array(first)]
    for length, direction in steps:
        points.append(points[-1] + length * np.array(direction) / np.linalg.norm(direction))
    return np.stack(points)  # (4, 3)


WRIST = np.array([0.0957, 0.0064, 0.0062])
"""The right wrist joint; MANO's own lies at the same place."""
FINGER_POINTS = {
    "thumb": _chain(
        (0.0725, -0.0050, 0.0255),
        [
            (0.0440, (-0.76, -0.26, 0.60)),
            (0.0320, (-0.84, -0.16, 0.52)),
            (0.0285, (-0.90, -0.10, 0.42)),
        ],
    ),
    "index": _chain(
        (0.0080, 0.0075, 0.0285),
        [(0.0400, (-1, -0.03, 0.07)), (0.0235, (-1, -0.05, 0.06)), (0.0225, (-1, -0.07, 0.04))],
    ),
    "middle": _chain(
        (0.0025, 0.0100, 0.0065),
        [(0.0440, (-1, -0.03, 0.00)), (0.0265, (-1, -0.05, 0.00)), (0.0235, (-1, -0.07, 0.00))],
    ),
    "ring": _chain(
        (0.0090, 0.0085, -0.0145),
        [(0.0410, (-1, -0.03, -0.09)), (0.0250, (-1, -0.05, -0.07)), (0.0235, (-1, -0.07, -0.05))],
    ),
    "pinky": _chain(
        (0.0205, 0.0040, -0.0335),
        [(0.0320, (-1, -0.03, -0.20)), (0.0185, (-1, -0.05, -0.16)), (0.0205, (-1, -0.07, -0.12))],
    ),
}
"""(4, 3) per finger: three joints and the tip of the flat right hand, metres."""
NAIL_NORMALS = {
    "thumb": np.array([0.10, 0.62, 0.78]),
    "index": np.array([0.00, 1.00, 0.10]),
    "middle": np.array([0.00, 1.00, 0.00]),
    "ring": np.array([0.00, 1.00, -0.08]),
    "pinky": np.array([0.00, 1.00, -0.20]),
}
"""Where each nail faces in the flat right hand: it fixes the axis about which that finger bends."""
NAIL_FOLD = {"thumb": 0.39, "index": 0.36, "middle": 0.36, "ring": 0.36, "pinky": 0.36}
"""Where each nail comes out of the skin, as a share of the last bone."""
NAIL_TIP_DEGREES = 34.0
"""Where the mesh has an edge across each tip for its nail: 0 where the rounding begins, 90 at the
very end."""
REST_JOINTS = np.concatenate(
    [WRIST[None], *(FINGER_POINTS[f][:3] for f in ("index", "middle", "pinky", "ring", "thumb"))]
)
"""(16, 3) joints of the flat right hand in MANO's order, metres."""


def finger_axes(finger: str) -> np.ndarray:
    """(3 joints, 3 axes, 3) unit: along the segment, out of the nail, and the axis of flexion, for
    the flat right hand."""
    points = FINGER_POINTS[finger]
    along = np.diff(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    nail = NAIL_NORMALS[finger] - along * (along @ NAIL_NORMALS[finger])[:, None]
    nail /= np.linalg.norm(nail, axis=1, keepdims=True)
    return np.stack([along, nail, np.cross(nail, along)], axis=1)
