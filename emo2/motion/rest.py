"""How hands lie while nobody gestures: in front of the belly, palms down and inward, fingers loose.

The corpus is made around this pose, so the demo network's hands come back to it too.
"""

from __future__ import annotations

import numpy as np

from emo2.hands.shapes import handshape
from emo2.motion.anatomy import wrist_orientation
from emo2.motion.rotations import mirror

REST_PLACE_M = np.array([0.145, -0.33, 0.16])
"""The left wrist in the body frame."""
REST_ANGLES = np.deg2rad([48.0, 24.0, 0.0])
"""Pronation, flexion, ulnar deviation [rad] (`emo2.motion.anatomy.wrist_orientation`)."""
REST_SHAPE = "relaxed"


def rest_pose(hand: int) -> tuple[np.ndarray, np.ndarray]:
    """Joint rotations (16, 4) wxyz and wrist place (3,) [m] of one resting hand: 0 left, 1
    right."""
    quaternions = handshape(REST_SHAPE, hand)
    wrist = wrist_orientation(REST_PLACE_M, REST_ANGLES)
    quaternions[0] = mirror(wrist) if hand else wrist
    return quaternions, REST_PLACE_M * ([-1, 1, 1] if hand else [1, 1, 1])
